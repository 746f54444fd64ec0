"""Mutations: which axes of a network change together, and changing them.

>>> import netloom as nl
>>> x = nl.input(4)
>>> graph = nl.Graph(x, nl.linear(nl.relu(nl.linear(x, 8, name="hidden")), 2))
>>> [atom.id for atom in nl.mutate.analyse(graph).free]
['hidden']
"""

from .analysis import Dimensions, analyse
from .atoms import Atom, Member, Take
from .editing import Edit, edit
from .plan import Move, Plan, Stage
from .pruning import Pruned, grow, prune
from .resizing import resize
from .shrinking import gather, shrink

__all__ = [
    "Atom", "Dimensions", "Edit", "Member", "Move", "Plan", "Pruned", "Stage", "Take", "analyse", "edit", "gather", "grow",
    "prune", "resize", "shrink",
]  # fmt: skip
