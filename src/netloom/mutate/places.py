"""Where an atom has weights: the axes of parameters that make its indices, and sums over such an axis index by index.

A value of neurons reads scores off the axes of tensors and needs them per index of an atom (`fold`); a penalty on neurons has
a number per index of an atom and needs it along the axes (`unfold`). Both go by the `occurrences` of atoms on an axis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import EditError
from ..graph.graph import Argument, Graph, Step
from ..graph.tree import edges, map_leaves
from ..ops import DType, Edge, Product, Size
from .analysis import Dimensions, analyse
from .atoms import Expression, Take, atoms_of, resized

if TYPE_CHECKING:
    import torch

#: (atom, positions on the axis, the index of the atom at each of them).
Occurrence = tuple[str, "np.ndarray", "np.ndarray"]


@dataclass(frozen=True, slots=True)
class WeightPlace:
    """One axis of a parameter that makes the indices of an atom: the rows of a layer, the scales of a norm.

    ``node`` is the first node that reads the parameter, ``how`` the whole axis over atoms.
    """

    node: str
    key: str
    axis: int
    how: Expression


def weight_places(dims: Dimensions) -> tuple[WeightPlace, ...]:
    """Every axis of a parameter with which some call gives a result and on which an atom is free; a tied one once.

    >>> import netloom as nl
    >>> x = nl.input(4)
    >>> graph = nl.Graph(x, nl.linear(nl.relu(nl.linear(x, 8, name="hidden")), 2, name="head"))
    >>> [(place.key, place.axis) for place in weight_places(analyse(graph))]
    [('hidden.weight', 0), ('hidden.bias', 0)]
    """
    free = {atom.id for atom in dims.free}
    found: dict[str, list[WeightPlace]] = {}
    for step in dims.graph.steps:
        for weight in step.weights:
            key = dims.head(weight.key)
            if key in found or dims.graph.tensors[key].kind != "parameter":
                continue
            found[key] = [
                WeightPlace(step.name, key, axis, how)
                for axis, (how, made) in enumerate(zip(dims.of(key), dims.produces(key)))
                if made and free.intersection(atoms_of(how))
            ]
    return tuple(place for places in found.values() for place in places)


def occurrences(expression: Expression, sizes: Mapping[str, Any]) -> list[Occurrence]:
    """Each occurrence of an atom on an axis: the positions, and which index of the atom each of them is.

    >>> found = occurrences(Product(("g", "c")), {"g": 2, "c": 2})
    >>> [(atom, at.tolist(), index.tolist()) for atom, at, index in found]
    [('g', [0, 1, 2, 3], [0, 0, 1, 1]), ('c', [0, 1, 2, 3], [0, 1, 0, 1])]
    """
    if isinstance(expression, str):
        return [(expression, np.arange(sizes[expression]), np.arange(sizes[expression]))]
    if isinstance(expression, Take):
        return [(expression.atom, np.arange(len(expression.indices)), np.asarray(expression.indices, dtype=np.int64))]
    lengths = [resized(part, sizes) for part in expression.parts]
    found: list[Occurrence] = []
    for i, part in enumerate(expression.parts):
        for atom, at, index in occurrences(part, sizes):
            if isinstance(expression, Product):
                slow, fast = np.arange(prod(lengths[:i])), np.arange(prod(lengths[i + 1 :]))
                spread = ((slow[:, None, None] * lengths[i] + at[:, None]) * len(fast) + fast).ravel()
                index = np.broadcast_to(index[:, None], (len(slow), len(at), len(fast))).ravel()
                found.append((atom, spread, index))
            else:
                found.append((atom, sum(lengths[:i]) + at, index))
    return found


def fold(expression: Expression, sizes: Mapping[str, Any], along: np.ndarray) -> dict[str, np.ndarray]:
    """For every atom of an axis the sum, index by index, of what ``along`` has at the positions where that index occurs.

    >>> folded = fold(Product(("g", "c")), {"g": 2, "c": 3}, np.array([1, 2, 3, 10, 20, 30]))
    >>> {atom: sums.tolist() for atom, sums in folded.items()}
    {'g': [6.0, 60.0], 'c': [11.0, 22.0, 33.0]}
    """
    along = np.asarray(along, dtype=np.float64)
    if isinstance(expression, str):
        return {expression: along}
    found: dict[str, np.ndarray] = {}
    for atom, at, index in occurrences(expression, sizes):
        sums = np.bincount(index, weights=along[at], minlength=sizes[atom])
        found[atom] = found[atom] + sums if atom in found else sums
    return found


def unfold(expression: Expression, sizes: Mapping[str, Any], values: Mapping[str, np.ndarray]) -> np.ndarray:
    """Along an axis, at every position, the sum of the values of the indices that stand there; other atoms count nothing.

    >>> unfold(Product(("g", "c")), {"g": 2, "c": 3}, {"g": np.array([1.0, 2.0])}).tolist()
    [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]
    """
    along = np.zeros(resized(expression, sizes))
    for atom, at, index in occurrences(expression, sizes):
        if atom in values:
            along[at] += values[atom][index]
    return along


def feature_axis(dims: Dimensions, edge: Edge) -> int | None:
    """The axis of a value along which neurons lie: that of its features, if atoms there are free, else the last."""
    free = {atom.id for atom in dims.free}
    shape = dims.graph.type_of(edge).shape
    axes = [i for i, how in enumerate(dims.of(edge)) if isinstance(shape[i], int) and free.intersection(atoms_of(how))]
    own = dims.graph[edge.node].feature_axis if edge.index == 0 else None
    return own if own in axes else axes[-1] if axes else None


def dimensions_of(source: Any, example_inputs: Any = None) -> Dimensions:
    """The analysis of what is given: itself, that of a graph or of a Network's graph, or of a module's trace."""
    if isinstance(source, Dimensions):
        return source
    return analyse(graph_of(source, example_inputs))


def graph_of(source: Any, example_inputs: Any = None) -> Graph:
    """A graph, a Network's graph, or the trace of another module with ``example_inputs``."""
    import torch

    from ..building.network import Network

    if isinstance(source, Network):
        return source.graph
    if isinstance(source, Graph):
        return source
    if not isinstance(source, torch.nn.Module):
        raise EditError(f"a {type(source).__name__} is no network; give a module, a Graph, or what analyse(graph) gives")
    if example_inputs is None:
        raise EditError(f"a {type(source).__name__} must be traced first; give example_inputs, or its Graph")
    from ..tracing.trace import trace

    return trace(source, example_inputs)


def tensor_of(state: Mapping[str, torch.Tensor], graph: Graph, key: str) -> torch.Tensor:
    """An entry of a model's state; `EditError` where the model is not the one that the graph describes."""
    found = state.get(key)
    if found is None:
        raise EditError(f"the model has no tensor {key!r}, which the graph names; trace the model again")
    expected = graph.tensors[key].type.shape
    if tuple(found.shape) != tuple(expected):
        raise EditError(f"the model's {key!r} is {tuple(found.shape)} instead of {tuple(expected)}; trace the model again")
    return found


def rows_of(graph: Graph, source: Edge, axis: int, chain: Sequence[Step], target: Edge) -> np.ndarray[Any, Any] | None:
    """Which indices of an axis of ``source`` the elements of ``target`` come from, by the calls between them; None where
    those cannot be run by themselves."""
    import torch

    from ..building.network import build

    type_ = graph.type_of(source)
    names = {source.node, *(step.name for step in chain)}
    if any(edge.node not in names for step in chain for edge in edges(tuple(graph[step.name].step.args.values()))):
        return None
    symbols = {**graph.symbols, "N": 2}

    def plain(leaf: Any) -> Any:
        return leaf.at(symbols) if isinstance(leaf, Size) else leaf

    shape = tuple(map(plain, type_.shape))
    entry = Step(source.node, "input", {"dtype": DType("float64"), "shape": shape})
    steps = [graph[step.name].step for step in chain]
    calls = [replace(step, args={name: map_leaves(value, plain) for name, value in step.args.items()}) for step in steps]
    part = Graph.make([entry, *calls], {}, [Argument("x", Edge(source.node))], target)
    places = torch.arange(shape[axis], dtype=torch.float64).reshape(-1, *(1,) * (len(shape) - axis - 1))
    found = build(part)(places.expand(shape).contiguous())
    return np.unique(found.numpy().astype(np.int64))
