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
from .gathering import ActivationContribution, Fisher, SeReNe, Taylor
from .plan import Move, Plan, Stage
from .pruning import Pruned, grow, prune
from .resizing import resize
from .shrinking import gather, shrink
from .values import atom_scores

__all__ = [
    "ActivationContribution", "Atom", "Dimensions", "Edit", "Fisher", "Member", "Move", "Plan", "Pruned", "SeReNe",
    "Stage", "Take", "Taylor", "analyse", "atom_scores", "edit", "gather", "grow", "prune", "resize", "shrink",
]  # fmt: skip
