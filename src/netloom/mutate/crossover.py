"""Crossover: two networks exchange parts, with what those have learned.

`swapped` exchanges parts that are named, `Crossover` parts drawn at random, after NaiveGAflux: vertices of the two networks are
paired by their relative topological position, and what ends at a pair changes places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..errors import EditError, NetloomError
from ..graph.graph import Argument, Graph
from ..graph.node import Node
from ..graph.tree import edges
from ..ops import Edge, operator
from .aligning import Aligner
from .analysis import Dimensions
from .mutations import checked_chance, is_merge
from .plan import Stage
from .subject import Subject
from .transplanting import Part, Transplant, interchangeable, part_of, parts_before, transplanted

if TYPE_CHECKING:
    import numpy as np
    import torch

    from ..building.network import Network

#: How many pairs of parts are tried at one pair of vertices, and how large a part may be.
_TRIES, _LARGEST = 8, 256


@dataclass(frozen=True, eq=False)
class Crossed:
    """A network after a crossover; ``graph`` is its architecture, ``result`` the network with its weights.

    ``stages`` has one entry for each part that it got, empty where nothing could be exchanged. ``origins`` says of every tensor
    where it comes from: new key → (0 for the first parent or 1 for the second, the key there).
    """

    graph: Graph
    stages: tuple[Stage, ...] = ()
    origins: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    state: Mapping[str, torch.Tensor] | None = None
    model: torch.nn.Module | None = None

    @cached_property
    def result(self) -> Network:
        """The network; its parents stay as they are."""
        from ..building.network import holding

        if self.state is None:
            raise EditError("a Graph has no weights to exchange; give networks, or read graph")
        return holding(self.graph, {key: tensor.clone() for key, tensor in self.state.items()}, self.model)


@dataclass(frozen=True, slots=True)
class Crossover:
    """Exchanges parts of two networks: ``crossover(a, b, rng, example_inputs)`` → (a with parts of b, b with parts of a).

    Every vertex of ``a`` takes part with its ``probability``; None for one exchange, at a vertex drawn evenly. It is paired
    with the vertex of ``b`` at the nearest relative position, after noise of that standard ``deviation``, among those with
    results of the same kind; what ends at the two, from a value that it alone depends on, changes places (see
    `netloom.mutate.transplanting`). Outputs of the networks stay, and so do both parents; a side on which a part does not fit
    stays as it was.

    ``a`` and ``b`` are both modules (with ``example_inputs``), or both Graphs. ``value`` says which neurons stay where sizes
    must shrink: one that reads weights alone (see `netloom.mutate.values`), not gradients or what hooks gathered.

    >>> import netloom as nl, numpy as np
    >>> def chain(*sizes):
    ...     x = value = nl.input(3)
    ...     for i, size in enumerate(sizes):
    ...         value = nl.linear(value, size, name=f"layer{i}")
    ...     return nl.Graph(x, value)
    >>> one, other = Crossover(probability=None)(chain(4, 5, 6), chain(1, 2, 3), np.random.default_rng(3))
    >>> [[node.out_size for node in child.graph] for child in (one, other)]
    [[3, 1, 5, 6], [3, 4, 2, 3]]
    """

    probability: float | None = 0.05
    deviation: float = 0.05
    value: Any = "magnitude"
    align: tuple[str, ...] = ("grow", "shrink", "both")

    def __post_init__(self) -> None:
        checked_chance(self, probability=self.probability)
        if self.deviation < 0:
            raise EditError(f"Crossover: deviation = {self.deviation}; expected 0 or more")

    def __call__(self, a: Any, b: Any, rng: np.random.Generator, example_inputs: Any = None) -> tuple[Crossed, Crossed]:
        if isinstance(a, Graph) != isinstance(b, Graph):
            raise EditError("crossover takes two models or two Graphs, not one of each")
        seed = int(rng.integers(2**31))
        subjects = [Subject(parent, example_inputs, self.value, seed) for parent in (a, b)]
        crossing = _Crossing(self.align, self.deviation, subjects, rng, seed)
        crossing.one_pair() if self.probability is None else crossing.many_pairs(self.probability)
        return crossing.children[0], crossing.children[1]


def swapped(
    a: Any, names: str | Sequence[str], b: Any, others: str | Sequence[str], example_inputs: Any = None, *,
    value: Any = "magnitude", align: Sequence[str] = ("grow", "shrink", "both"), seed: int = 0,
) -> tuple[Crossed, Crossed]:  # fmt: skip
    """Two networks (modules, or Graphs) with the nodes or modules called ``names`` in ``a`` and ``others`` in ``b`` exchanged.

    Both are parts into which one value goes, or that only merge several, and of which one comes out. Sizes are made to agree:
    what reads adapts, else see ``align``. `EditError` where that is no network, or where weights are shared with what stays.

    >>> import netloom as nl
    >>> def chain(*sizes):
    ...     x = value = nl.input(3)
    ...     for i, size in enumerate(sizes):
    ...         value = nl.linear(value, size, name=f"layer{i}")
    ...     return nl.Graph(x, value)
    >>> one, other = swapped(chain(4, 5, 6), "layer1", chain(1, 2, 3), "layer1")
    >>> [[node.out_size for node in child.graph] for child in (one, other)]
    [[3, 4, 2, 6], [3, 1, 5, 3]]
    """
    if isinstance(a, Graph) != isinstance(b, Graph):
        raise EditError("swapped takes two models or two Graphs, not one of each")
    subjects = [Subject(parent, example_inputs, value, seed) for parent in (a, b)]
    crossing = _Crossing(tuple(align), 0.0, subjects, subjects[0].rng, seed)
    mine, theirs = (part_of(subject.graph, which) for subject, which in zip(subjects, (names, others)))
    return crossing.got(0, mine, theirs), crossing.got(1, theirs, mine)


# -- pairs of vertices ---------------------------------------------------------------------------------------------------
def crossing_points(graph: Graph) -> tuple[str, ...]:
    """The nodes at which parts may end: those that own weights, merges, pools, and what changes the number of axes."""
    return tuple(node.name for node in graph if _is_point(node))


def _is_point(node: Node) -> bool:
    family = operator(node.op).family
    if not node.operands or family == "source" or not node.dtype.startswith("float") or node.feature_axis is None:
        return False
    return bool(node.weights) or is_merge(node) or family == "pool" or _kind(node)[0] != _kind(node)[1]


def _kind(node: Node) -> tuple[Any, ...]:
    """What two vertices must have in common: how many axes come in and go out, which of them has the features."""
    first = node.operands[0]
    return (node.graph.type_of(first).rank, len(node.shape), node.feature_axis, node.dtype)


def pairing(
    a: Graph, b: Graph, rng: np.random.Generator | None = None, deviation: float = 0.0, outputs: bool = True
) -> dict[str, str | None]:
    """Every crossing point of ``a`` with the one of ``b`` of the same kind at the nearest relative position, None without one.

    ``outputs=False`` leaves nodes out that their network returns; positions are counted among all.
    """
    mine, theirs = _points(a), _points(b)
    found: dict[str, str | None] = {}
    for i, (name, kind, returned) in enumerate(mine, 1):
        if returned and not outputs:
            continue
        noise = float(rng.normal(0.0, deviation)) if rng is not None and deviation else 0.0
        place = i / len(mine) + noise
        fitting = [
            (abs(place - j / len(theirs)), j, other) for j, (other, same, end) in enumerate(theirs, 1)
            if same == kind and (outputs or not end)
        ]  # fmt: skip
        found[name] = min(fitting)[2] if fitting else None
    return found


def _points(graph: Graph) -> list[tuple[str, tuple[Any, ...], bool]]:
    """(name, kind, whether the network returns it) of every crossing point."""
    ends = {edge.node for edge in edges([graph.result, graph.train_result])}
    return [(name, _kind(graph[name]), name in ends) for name in crossing_points(graph)]


# -- exchanging ----------------------------------------------------------------------------------------------------------
class _Crossing:
    """Two networks on their way; ``children`` are what they are by now."""

    def __init__(
        self, align: tuple[str, ...], deviation: float, subjects: Sequence[Subject], rng: np.random.Generator, seed: int
    ) -> None:
        self.align, self.deviation, self.subjects, self.rng, self.seed = align, deviation, subjects, rng, seed
        self.children = [self._parent(number, subject) for number, subject in enumerate(subjects)]

    def _parent(self, number: int, subject: Subject) -> Crossed:
        graph = subject.graph
        heads = [key for key, entry in graph.tensors.items() if entry.alias_of is None]
        state = None
        if subject.model is not None:
            held = subject.state
            state = {key: held[key].detach() for key in heads if key in held}
        return Crossed(graph, (), {key: (number, key) for key in heads}, state, subject.model)

    def many_pairs(self, probability: float) -> None:
        i, most = 0, 2 * len(crossing_points(self.children[0].graph))
        while i < min(most, len(points := crossing_points(self.children[0].graph))):
            if self.rng.random() < probability:
                self._exchange_at(points[i])
            i += 1

    def one_pair(self) -> None:
        points = crossing_points(self.children[0].graph)
        for i in self.rng.permutation(len(points)):
            if self._exchange_at(points[int(i)]):
                return

    def _exchange_at(self, name: str) -> bool:
        a, b = (child.graph for child in self.children)
        other = pairing(a, b, self.rng, self.deviation, outputs=False).get(name)
        if other is None or set(a.symbols) != set(b.symbols):
            return False
        best: list[Crossed | None] = [None, None]
        for mine, theirs in self._pairs_of_parts(name, other)[:_TRIES]:
            found = [self._tried(0, mine, theirs), self._tried(1, theirs, mine)]
            if all(found):
                best = found
                break
            if any(found) and not any(best):
                best = found
        self.children = [new or old for new, old in zip(best, self.children)]
        return any(best)

    def _pairs_of_parts(self, name: str, other: str) -> list[tuple[Part, Part]]:
        """For each part of the one, in random order, those of the other that it may be exchanged for, nearest entry first."""
        a, b = (child.graph for child in self.children)
        mine, theirs = ([p for p in parts_before(g, n) if len(p.nodes) <= _LARGEST] for g, n in ((a, name), (b, other)))
        found = []
        for i in self.rng.permutation(len(mine)):
            part = mine[int(i)]
            fitting = [other for other in theirs if interchangeable(part, other)]
            fitting.sort(key=lambda other: abs(_place(part) - _place(other)))  # noqa: B023
            found += [(part, other) for other in fitting[:2]]
        return found

    def _tried(self, number: int, own: Part, other: Part) -> Crossed | None:
        try:
            return self.got(number, own, other)
        except NetloomError:
            return None

    def got(self, number: int, own: Part, other: Part) -> Crossed:
        """A child with a part of the other in the place of its own; `NetloomError` where that does not go."""
        child, giver = self.children[number], self.children[1 - number]

        def state(keys: Mapping[str, str]) -> dict[str, torch.Tensor] | None:
            if child.state is None or giver.state is None:
                return None
            return {**child.state, **{new: giver.state[old] for new, old in keys.items() if old in giver.state}}

        done = transplanted(own, other, lambda keys: self._aligner(number, state(keys)), self.align)
        done.stage.graph.check()  # what comes of two networks is trusted no more than what comes from a file
        return self._with(child, giver, done, state(done.keys))

    def _with(self, child: Crossed, giver: Crossed, done: Transplant, state: dict[str, torch.Tensor] | None) -> Crossed:
        graph, stages = done.stage.graph, (*child.stages, done.stage)
        heads = [key for key, entry in graph.tensors.items() if entry.alias_of is None]
        known = {**child.origins, **{new: giver.origins[old] for new, old in done.keys.items() if old in giver.origins}}
        origins = {key: known[key] for key in heads if key in known}
        if state is not None:
            from .transfer import apply_stage

            state = apply_stage(done.stage, state, seed=f"{self.seed}/{len(stages)}")
        return replace(child, graph=graph, stages=stages, origins=origins, state=state)

    def _aligner(self, number: int, state: Mapping[str, torch.Tensor] | None) -> Aligner:
        subject = self.subjects[number]

        def scores(dims: Dimensions) -> Mapping[str, Any]:
            if state is None:
                return {}
            from .values import atom_scores

            return atom_scores(subject.value, _holder(dims.graph, state), dims.graph, dims, subject.rng)

        return Aligner(scores=scores, rng=subject.rng)


def _place(part: Part) -> float:
    """The relative position of what goes into a part."""
    names = [step.name for step in part.graph.steps]
    return names.index(part.entries[0].node) / len(names)


def _holder(graph: Graph, state: Mapping[str, torch.Tensor]) -> Network:
    """A module with the tensors of a graph, which itself cannot run: it is cut, and parts of two networks are in it."""
    from ..building.network import holding

    (first, *_) = graph.inputs
    table = Graph.make([first.step], graph.tensors, [Argument("x", Edge(first.name))], Edge(first.name), symbols=graph.symbols)
    return holding(table, state)
