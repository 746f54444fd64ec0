"""Mutations put together: in turn, one of several, with a chance, at certain nodes, within limits.

Each takes mutations (see `netloom.mutate.mutations`), other combinations, or any function (edit, rng) → bool, and is one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import EditError
from ..graph.graph import Graph
from ..graph.node import Node
from .atoms import atoms_of
from .editing import Edit
from .handles import feature_axis
from .mutations import EVERYWHERE, Mutation, NodeMutation, Where, checked_chance, is_vertex

if TYPE_CHECKING:
    import numpy as np

#: A mutation, or any function that does as one.
AnyMutation = Callable[[Edit, "np.random.Generator"], bool]
#: The name of a node or module, several, or what a node must fulfil.
Nodes = str | Collection[str] | Callable[[Node], bool]


def perform(mutation: AnyMutation, edit: Edit, rng: np.random.Generator, where: Where) -> bool:
    """Perform a mutation at nodes that may be chosen; a plain function knows no such limits."""
    return mutation.run(edit, rng, where) if isinstance(mutation, Mutation) else bool(mutation(edit, rng))


def candidates_of(mutation: AnyMutation, edit: Edit, where: Where) -> tuple[str, ...]:
    """The nodes at which a mutation may act: its own candidates, or all vertices."""
    if isinstance(mutation, NodeMutation):
        return mutation.candidates(edit, where)
    if not isinstance(mutation, Mutation):
        raise EditError(f"{mutation!r} is a function and chooses its own nodes; derive from nl.mutate.NodeMutation instead")
    return tuple(node.name for node in edit.graph if is_vertex(node) and where.allows(node, mutation))


def perform_at(mutation: AnyMutation, edit: Edit, rng: np.random.Generator, where: Where, names: Sequence[str]) -> bool:
    """Perform a mutation at every one of these nodes; its own probability no longer counts."""
    if isinstance(mutation, NodeMutation):
        return mutation.at(edit, rng, *names, where=where)
    found = False
    for name in names:
        if name in edit.graph:
            found |= perform(mutation, edit, rng, where.but(lambda node, _, name=name: node.name == name))  # type: ignore[misc]
    return found


# -- several -------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, init=False)
class Chain(Mutation):
    """All of them, one after another.

    >>> import netloom as nl, numpy as np
    >>> x = nl.input(4)
    >>> edit = nl.edit(nl.Graph(x, nl.linear(nl.relu(nl.linear(x, 10, name="hidden")), 2)))
    >>> grown = nl.mutate.mutations.Resize(0.5, 0.5, probability=1)
    >>> Chain(grown, grown)(edit, np.random.default_rng(0)), edit.graph["hidden"].out_size
    (True, 23)
    """

    mutations: tuple[AnyMutation, ...]

    def __init__(self, *mutations: AnyMutation) -> None:
        object.__setattr__(self, "mutations", mutations)

    def run(self, edit: Edit, rng: np.random.Generator, where: Where) -> bool:
        found = [perform(mutation, edit, rng, where) for mutation in self.mutations]
        return any(found)


@dataclass(frozen=True, slots=True, init=False)
class OneOf(Mutation):
    """One of them, drawn evenly or by ``weights``; where that one changes nothing, another, until one does."""

    mutations: tuple[AnyMutation, ...]
    weights: tuple[float, ...]

    def __init__(self, *mutations: AnyMutation, weights: Sequence[float] | None = None) -> None:
        given = tuple(float(weight) for weight in (weights if weights is not None else (1.0,) * len(mutations)))
        if not mutations or len(given) != len(mutations) or min(given) < 0 or not sum(given):
            raise EditError(f"OneOf: weights = {weights!r} for {len(mutations)} mutations; expected a chance for each of them")
        object.__setattr__(self, "mutations", mutations)
        object.__setattr__(self, "weights", given)

    def run(self, edit: Edit, rng: np.random.Generator, where: Where) -> bool:
        left = {i: weight for i, weight in enumerate(self.weights) if weight}
        while left:
            place, chosen = float(rng.random()) * sum(left.values()), next(iter(left))
            for i, weight in left.items():
                if place >= 0:
                    chosen = i
                place -= weight
            if perform(self.mutations[chosen], edit, rng, where):
                return True
            del left[chosen]
        return False


# -- with a chance -------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class WithProbability(Mutation):
    """The mutation, with probability ``p``."""

    mutation: AnyMutation
    p: float

    def __post_init__(self) -> None:
        checked_chance(self, p=self.p)

    def run(self, edit: Edit, rng: np.random.Generator, where: Where) -> bool:
        return bool(rng.random() < self.p) and perform(self.mutation, edit, rng, where)


@dataclass(frozen=True, slots=True)
class Each(Mutation):
    """The mutation at every node where it may act, one by one, each with probability ``p``."""

    mutation: AnyMutation
    p: float = 1.0

    def __post_init__(self) -> None:
        checked_chance(self, p=self.p)

    def run(self, edit: Edit, rng: np.random.Generator, where: Where) -> bool:
        names = [name for name in candidates_of(self.mutation, edit, where) if rng.random() < self.p]
        return perform_at(self.mutation, edit, rng, where, names)


@dataclass(frozen=True, slots=True)
class ByValue(Mutation):
    """The mutation at every node where it may act with a probability by the node's value: ``p`` on average.

    The value of a node is the mean of its neurons' (the edit's ``value``). Its probability is p^e, e = spread^z + c, where z
    is its distance to the mean of all nodes, 1 at the largest, and c makes the mean probability p. ``high`` makes nodes of
    high value the likely ones (spread ½), ``high=False`` those of low value (spread 2). Where nothing has a value, all have p.
    """

    mutation: AnyMutation
    p: float
    high: bool = True
    spread: float | None = None

    def __post_init__(self) -> None:
        checked_chance(self, p=self.p)

    def run(self, edit: Edit, rng: np.random.Generator, where: Where) -> bool:
        names = candidates_of(self.mutation, edit, where)
        chances = self.probabilities(node_values(edit, names))
        return perform_at(self.mutation, edit, rng, where, [name for name in names if rng.random() < chances[name]])

    def probabilities(self, values: Mapping[str, float | None]) -> dict[str, float]:
        """Node → its probability, from its value.

        >>> ByValue(Chain(), 0.1).probabilities({"a": 1.0, "b": 2.0, "c": 3.0})
        {'a': 0.0..., 'b': 0.07..., 'c': 0.22...}
        """
        known = [value for value in values.values() if value is not None]
        if not known or not 0 < self.p < 1:
            return dict.fromkeys(values, self.p)
        mean, most = sum(known) / len(known), max(known)
        spread = self.spread or (0.5 if self.high else 2.0)
        distance = {name: (value - mean) / (most - mean) if value is not None and most > mean else 0.0
                    for name, value in values.items()}  # fmt: skip
        plain = {name: self.p ** (spread**z) for name, z in distance.items()}
        scale = self.p * len(plain) / sum(plain.values())
        return {name: min(1.0, chance * scale) for name, chance in plain.items()}


def node_values(edit: Edit, names: Sequence[str]) -> dict[str, float | None]:
    """The mean value of each node's features as the edit stands; None where it has none, as in a Graph without weights."""
    dims = edit.dims()
    scores = edit.subject.scores(edit.plan, dims)
    found: dict[str, float | None] = {}
    for name in names:
        rows = [scores[atom] for atom in atoms_of(feature_axis(dims, name)) if atom in scores]
        count = sum(len(row) for row in rows)
        found[name] = sum(float(score) for row in rows for score in row) / count if count else None
    return found


# -- at certain nodes, under conditions ----------------------------------------------------------------------------------
def selector(nodes: Nodes) -> Callable[[Node], bool]:
    """What says of a node whether it is meant: one of those names, in one of those modules, or by the function."""
    if callable(nodes):
        return nodes
    names = (nodes,) if isinstance(nodes, str) else tuple(nodes)
    return lambda node: any((node.name + ".").startswith(name + ".") for name in names)


@dataclass(frozen=True, slots=True)
class Filter(Mutation):
    """The mutation at some nodes only: ``nodes`` are names of nodes or modules, or a function Node → bool.

    >>> import netloom as nl, numpy as np
    >>> x = nl.input(4)
    >>> y = nl.linear(nl.relu(nl.linear(x, 10, name="a")), 10, name="b")
    >>> edit = nl.edit(nl.Graph(x, nl.linear(nl.relu(y), 2)))
    >>> grown = nl.mutate.mutations.Resize(0.5, 0.5, probability=1)
    >>> Filter("b", grown)(edit, np.random.default_rng(0)), edit.graph["a"].out_size, edit.graph["b"].out_size
    (True, 10, 15)
    """

    nodes: Nodes
    mutation: AnyMutation

    def run(self, edit: Edit, rng: np.random.Generator, where: Where) -> bool:
        meant = selector(self.nodes)
        return perform(self.mutation, edit, rng, where.but(lambda node, _: meant(node)))


@dataclass(frozen=True, slots=True)
class Shield(Mutation):
    """The mutation everywhere but at some nodes; mutations of a kind in ``allowed`` may choose those as well.

    A shielded node is not chosen. It may still change along with others, where their sizes are tied: `Edit.limit` holds sizes.
    """

    nodes: Nodes
    mutation: AnyMutation
    allowed: tuple[type[Mutation], ...] = ()

    def run(self, edit: Edit, rng: np.random.Generator, where: Where) -> bool:
        shielded = selector(self.nodes)
        return perform(
            self.mutation, edit, rng, where.but(lambda node, kind: isinstance(kind, self.allowed) or not shielded(node))
        )


@dataclass(frozen=True, slots=True)
class When(Mutation):
    """The mutation where ``condition`` holds of the Graph as it is, ``otherwise`` another one.

    ``When(lambda graph: graph.num_params > 1e7, shrinking, otherwise=anything)`` keeps a search from growing without end.
    """

    condition: Callable[[Graph], bool]
    mutation: AnyMutation
    otherwise: AnyMutation | None = None

    def run(self, edit: Edit, rng: np.random.Generator, where: Where) -> bool:
        chosen = self.mutation if self.condition(edit.graph) else self.otherwise
        return chosen is not None and perform(chosen, edit, rng, where)


@dataclass(frozen=True, slots=True)
class Within(Mutation):
    """The mutation, undone where the network exceeds a limit by it: ``max_params``, ``max_flops``, or ``cost=(function, most)``
    of a function of a Graph. A network beyond a limit already may change, but not go further beyond."""

    mutation: AnyMutation
    max_params: float | None = None
    max_flops: float | None = None
    cost: tuple[Callable[[Graph], float], float] | None = None

    def run(self, edit: Edit, rng: np.random.Generator, where: Where) -> bool:
        before, count = edit.graph, len(edit.plan.stages)
        changed = perform(self.mutation, edit, rng, where)
        if not changed or not self._exceeds(before, edit.graph):
            return changed
        while len(edit.plan.stages) > count:
            edit.undo()
        return False

    def _exceeds(self, before: Graph, after: Graph) -> bool:
        limits: list[tuple[Callable[[Graph], float], float | None]] = [
            (lambda graph: graph.num_params, self.max_params),
            (lambda graph: graph.flops, self.max_flops),
            self.cost or (lambda graph: 0.0, None),
        ]
        return any(most is not None and cost(after) > max(most, cost(before)) for cost, most in limits)


# -- looking on ----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Recorded:
    """What a mutation did: the graphs before and after, and the title of every stage that it added to the plan."""

    mutation: AnyMutation
    before: Graph
    after: Graph
    titles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Record(Mutation):
    """The mutation; ``log`` is called with what it did (`Recorded`) whenever it changes something, ``log=history.append``."""

    mutation: AnyMutation
    log: Callable[[Recorded], Any]

    def run(self, edit: Edit, rng: np.random.Generator, where: Where = EVERYWHERE) -> bool:
        before, count = edit.graph, len(edit.plan.stages)
        changed = perform(self.mutation, edit, rng, where)
        if changed:
            titles = tuple(stage.title for stage in edit.plan.stages[count:])
            self.log(Recorded(self.mutation, before, edit.graph, titles))
        return changed
