"""Mutations: which axes of a network change together, and changing them.

>>> import netloom as nl
>>> x = nl.input(4)
>>> graph = nl.Graph(x, nl.linear(nl.relu(nl.linear(x, 8, name="hidden")), 2))
>>> [atom.id for atom in nl.mutate.analyse(graph).free]
['hidden']
"""

from __future__ import annotations

from typing import Any

#: File → the names that it gives; loaded when first asked for, since values and transfers need torch.
_NAMES = {
    "analysis": "Dimensions analyse",
    "atoms": "Atom Member Take",
    "combinators": "ByValue Chain Each Filter OneOf Record Recorded Shield When WithProbability Within",
    "crossover": "Crossed Crossover crossing_points pairing swapped",
    "edge_mutations": "AddEdge RemoveEdge edge_targets",
    "editing": "Edit edit",
    "gathering": "ActivationContribution Fisher SeReNe Taylor",
    "mutations": "Activation AddNode Kernel Mutation NodeMutation Pooling RemoveNode Replace Resize Where mutated",
    "plan": "Move Plan Stage",
    "pruning": "Pruned grow prune",
    "regularising": "GroupLasso GrowingRegularization ScaleLasso",
    "resizing": "resize",
    "samplers": "AnyLayer ConvLayer LinearLayer ResidualBlock",
    "shrinking": "gather shrink",
    "values": "atom_scores",
}
_FILES = {name: file for file, names in _NAMES.items() for name in names.split()}

__all__ = sorted(_FILES)


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _FILES:
        raise AttributeError(f"module 'netloom.mutate' has no attribute {name!r}")
    value = getattr(import_module(f"netloom.mutate.{_FILES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_FILES})
