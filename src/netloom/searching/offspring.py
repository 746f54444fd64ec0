"""Offspring: candidates made from others by random edits, with the weights that survive."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import NetloomError
from ..store import Lineage
from .objectives import STATIC, static_measure
from .proposal import Proposal, Result

if TYPE_CHECKING:
    import numpy

    from ..graph.graph import Graph
    from ..mutate import Edit
    from .context import Context

    AnyMutation = Callable[[Edit, numpy.random.Generator], bool]

#: Draws that may give a graph that is known, or too large, before a parent counts as having no new child.
TRIES = 24
#: Most edits of one child, and the chance of each one beyond the first.
_MOST_EDITS, _ANOTHER = 4, 0.35


def default_mutations() -> dict[str, AnyMutation]:
    """The edits that make a child by default, by their kind."""
    from ..mutate import Activation, AddEdge, AddNode, Kernel, Pooling, RemoveEdge, RemoveNode, ResidualBlock, Resize

    return {
        "widen": Resize(0.1, 0.6, probability=None),
        "narrow": Resize(-0.4, -0.1, probability=None),
        "add layer": AddNode(),
        "add residual block": AddNode(ResidualBlock()),
        "remove layer": RemoveNode(),
        "kernel": Kernel(sizes=(1, 3, 5, 7)),
        "activation": Activation(),
        "pooling": Pooling(),
        "add edge": AddEdge(p=1.0),
        "remove edge": RemoveEdge(),
    }


def fresh(context: Context, rng: numpy.random.Generator) -> Proposal:
    """A candidate that owes nothing to others: a sample of the space, or the start after random edits."""
    start = context.start_result
    if context.space is None and start is not None:
        child = child_of(context, start, rng, proposed_by="random")
        if child is not None:
            return child
    return Proposal(context.sample(rng), lineage=Lineage(proposed_by="random"))


def child_of(
    context: Context,
    parent: Result,
    rng: numpy.random.Generator,
    *,
    proposed_by: str,
    mutations: Mapping[str, AnyMutation] | None = None,
    weights: Mapping[str, float] | None = None,
    inherit: bool = True,
    epochs: int | None = None,
    recipe: Mapping[str, Any] | None = None,
) -> Proposal | None:
    """A new graph made from a parent's by a few random edits; None where none was found that is new and allowed.

    ``mutations`` by kind are drawn by their ``weights``. With ``inherit`` the child begins with the trained weights of its
    parent, as far as they survive, where they were kept. What exceeds a constraint is pruned until it keeps to it. In a space
    with edits of its own (a method ``mutate(graph, rng)``), as the cells of a benchmark, and without ``mutations``, those
    are used.
    """
    own = getattr(context.space, "mutate", None)
    if mutations is None and own is not None:
        return _child_by_space(context, parent, rng, own, proposed_by, epochs, recipe)
    chosen = dict(mutations) if mutations is not None else default_mutations()
    network = context.network(parent) if inherit else None
    for _ in range(TRIES):
        kind, edit = _edited(network if network is not None else parent.graph, chosen, weights, rng)
        if not edit.plan.stages:
            continue
        found = _kept_within(context, edit, network is not None)
        if found is None or context.known_graph(found[0]) or not context.allows(found[0]):
            continue
        graph, state = found
        change: dict[str, Any] = {"kind": kind, "titles": [stage.title for stage in edit.plan.stages]}
        if recipe:
            change["recipe"] = dict(recipe)
        lineage = Lineage(
            (parent.graph.hash,), change, proposed_by, initialised_by="random" if state is None else "inherit"
        )  # fmt: skip
        return Proposal(graph, state, epochs if state is not None else None, dict(recipe or {}), lineage)
    return None


def _edited(
    subject: Any, mutations: Mapping[str, AnyMutation], weights: Mapping[str, float] | None, rng: numpy.random.Generator
) -> tuple[str, Edit]:
    """One kind of edit, several with falling chance; the kind of the first that changed something names them all."""
    from ..mutate import edit as begin_edit

    edit = begin_edit(subject, seed=int(rng.integers(2**31)))
    kinds = list(mutations)
    chances = _chances(kinds, weights)
    done: list[str] = []
    for _ in range(_MOST_EDITS):
        kind = kinds[int(rng.choice(len(kinds), p=chances))]
        try:
            changed = mutations[kind](edit, rng)
        except NetloomError:
            edit.undo()
            changed = False
        if changed:
            done.append(kind)
        if done and rng.random() >= _ANOTHER:
            break
    return " + ".join(dict.fromkeys(done)), edit


def _chances(kinds: list[str], weights: Mapping[str, float] | None) -> Any:
    import numpy as np

    given = np.array([1.0 if weights is None else max(float(weights.get(kind, 0.0)), 0.0) for kind in kinds])
    if not given.sum() > 0:
        given[:] = 1.0
    return given / given.sum()


def _kept_within(context: Context, edit: Edit, with_weights: bool) -> tuple[Graph, Any] | None:
    """The edited graph with its weights (None where it has none), pruned where it exceeds a constraint."""
    graph = edit.graph
    excess = _excess(context)
    if excess(graph) <= 1:
        return graph, (dict(edit.result.state_dict()) if with_weights else None)
    return shrunk(edit.result, excess, with_weights)


def shrunk(network: Any, excess: Callable[[Graph], float], with_weights: bool = True) -> tuple[Graph, Any] | None:
    """A network pruned until its ``excess`` is one at most; None where it cannot be."""
    from ..mutate import prune

    current = excess(network.graph)
    if current > 1:
        try:
            network = prune(network, cost=(excess, min(1 / current, 1.0)), ranking="global", at_least=0.1).network
        except NetloomError:
            return None
    if excess(network.graph) > 1:
        return None
    return network.graph, (dict(network.state_dict()) if with_weights else None)


def _excess(context: Context) -> Callable[[Graph], float]:
    """How far a graph is beyond the tightest upper bound that can be told without training: 1 is at the bound."""
    bounds = []
    for constraint in context.constraints:
        start = context.start_value(constraint.name)
        if constraint.name in STATIC and constraint.most and not (constraint.is_relative and start is None):
            bounds.append((constraint.name, constraint.bound(start)))

    def excess(graph: Graph) -> float:
        return max((static_measure(graph, name) / max(bound, 1e-9) for name, bound in bounds), default=0.0)

    return excess


def _child_by_space(
    context: Context, parent: Result, rng: numpy.random.Generator, own: Any, proposed_by: str, epochs: int | None,
    recipe: Mapping[str, Any] | None,
) -> Proposal | None:  # fmt: skip
    for _ in range(TRIES):
        graph = own(parent.graph, rng)
        if context.known_graph(graph) or not context.allows(graph):
            continue
        lineage = Lineage((parent.graph.hash,), {"kind": "neighbour", "titles": []}, proposed_by)
        return Proposal(graph, None, epochs, dict(recipe or {}), lineage)
    return None


def random_walk(context: Context, start: Graph, rng: numpy.random.Generator) -> Graph:
    """The start after a few random edits, within the constraints; the start itself where nothing else was found."""
    from ..building.network import build

    mutations = default_mutations()
    excess = _excess(context)
    for _ in range(TRIES):
        _, edit = _edited(start, mutations, None, rng)
        graph = edit.graph
        if excess(graph) > 1:
            found = shrunk(build(graph, seed=0), excess, with_weights=False)
            if found is None:
                continue
            graph = found[0]
        if context.allows(graph):
            return graph
    return start
