"""Offspring: candidates made from others by random edits, with the weights that survive."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..errors import NetloomError
from ..store import Lineage
from .objectives import STATIC, static_measure
from .population import child_epochs
from .proposal import Proposal, Result
from .recipe_mutations import mutated_recipe, read_recipe_mutations
from .space_edits import Member, choices_of, edited_tokens, has_own_edits, neighbour, notation_of

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
#: The chance that a child whose recipe changes keeps the architecture of its parent.
_RECIPE_ALONE = 0.2
#: How many times larger a child may be than its parent, before anything is pruned; and the size below which that is no matter.
_MOST_GROWTH, _SMALL_PARAMS, _SMALL_FLOPS = 16, 250_000, 10_000_000
#: The kind of such a change.
RECIPE = "recipe"


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


@dataclass(frozen=True, slots=True)
class Breeding:
    """How children are made of parents.

    ``mutations`` by kind are drawn by their ``weights``; None for those of the space where it has its own, for edits of its
    robust notation where nothing is inherited, else for `default_mutations`. With ``inherit`` a child begins with the trained
    weights of its parents, as far as they survive and were kept, and trains for ``epochs``. ``recipe_mutations`` change how it
    is trained. ``by_kind``: in a space with edits of its own, those of its notation are taken, which have kinds.
    """

    mutations: Mapping[str, AnyMutation] | None = None
    weights: Mapping[str, float] | None = None
    inherit: bool = True
    epochs: int | None = None
    recipe_mutations: Sequence[Any] = ()
    by_kind: bool = False

    @staticmethod
    def of(strategy: Any, context: Context) -> Breeding:
        """As the settings of a strategy have it: ``mutations``, ``inherit``, ``share``, ``chances``, ``recipe_mutations``."""
        return Breeding(
            strategy.mutations, getattr(strategy, "chances", None), strategy.inherit, child_epochs(context, strategy.share),
            read_recipe_mutations(getattr(strategy, "recipe_mutations", None)),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Draft:
    """A candidate in the making: a graph, what makes its network where it has weights, and what was done so far."""

    graph: Graph
    network: Callable[[], Any] | None = None
    parents: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()
    recipe: Mapping[str, Any] | None = None
    choices: Mapping[str, Any] | None = None

    @staticmethod
    def of(context: Context, parent: Result, inherit: bool) -> Draft:
        """A parent as it is, with its trained weights where they are to be inherited and were kept."""
        network = context.network(parent) if inherit else None
        edit: Any = parent.lineage.edit
        choices = edit.get("choices") if isinstance(edit, dict) else None
        given = None if network is None else lambda: network
        return Draft(parent.graph, given, (parent.graph.hash,), recipe=dict(parent.recipe), choices=choices)


# -- candidates --------------------------------------------------------------------------------------------------------
def fresh(context: Context, rng: numpy.random.Generator) -> Proposal:
    """A candidate that owes nothing to others: a sample of the space, or the start after random edits."""
    start = context.start_result
    if context.space is None and start is not None:
        child = child_of(context, start, rng, proposed_by="random")
        if child is not None:
            return child
    graph = context.sample(rng)
    choices = choices_of(context.space, graph)
    edit: Any = None if choices is None else {"kind": "sample", "titles": [], "choices": as_data(choices)}
    return Proposal(graph, lineage=Lineage(edit=edit, proposed_by="random"))


def fresh_unknown(context: Context, rng: numpy.random.Generator) -> Proposal:
    """As `fresh`, and not one that the search has had already, as far as a number of draws can tell."""
    for _ in range(TRIES):
        proposal = fresh(context, rng)
        if not context.known_graph(proposal.graph):
            break
    return proposal


def child_of(
    context: Context, parent: Result, rng: numpy.random.Generator, *, proposed_by: str, breeding: Breeding | None = None,
) -> Proposal | None:  # fmt: skip
    """A new candidate made from a parent by a few random edits; None where none was found that is new and allowed.

    What exceeds a constraint is pruned until it keeps to it.
    """
    how = breeding or Breeding()
    draft = bred(context, Draft.of(context, parent, how.inherit), how, rng)
    return None if draft is None else proposal_of(draft, how, proposed_by)


def bred(context: Context, parent: Draft, how: Breeding, rng: numpy.random.Generator) -> Draft | None:
    """A draft after a few random edits, new and allowed; None where none such was found."""
    draft = with_recipe(context, parent, how, rng)
    if draft.recipe != parent.recipe and rng.random() < _RECIPE_ALONE:
        return settled(context, replace(draft, kinds=(*draft.kinds, RECIPE)))
    for _ in range(TRIES):
        changed = mutated(context, draft, how, rng)
        found = None if changed is None else settled(context, changed)
        if found is not None:
            return found
    return None


def with_recipe(context: Context, draft: Draft, how: Breeding, rng: numpy.random.Generator) -> Draft:
    """A draft with another recipe, as the mutations of recipes have it."""
    if not how.recipe_mutations or context.recipe is None:
        return draft
    return replace(draft, recipe=mutated_recipe(context.recipe, draft.recipe or {}, how.recipe_mutations, rng))


def mutated(context: Context, draft: Draft, how: Breeding, rng: numpy.random.Generator) -> Draft | None:
    """A draft after a few random edits; None where none of them changed anything."""
    if how.mutations is None:
        member = _within_space(context, draft, how, rng)
        if member is not None:
            return replace(
                draft, graph=member.graph, network=None, kinds=(*draft.kinds, member.kind), choices=member.choices
            )  # fmt: skip
        if has_own_edits(context.space):
            return None
    chosen = dict(how.mutations) if how.mutations is not None else default_mutations()
    kind, edit = _edited(draft.network() if draft.network is not None else draft.graph, chosen, how.weights, rng)
    if not edit.plan.stages or _grown_too_far(draft.graph, edit.graph):
        return None
    titles = tuple(stage.title for stage in edit.plan.stages)
    network = None if draft.network is None else lambda: edit.result
    return replace(
        draft, graph=edit.graph, network=network, kinds=(*draft.kinds, kind), titles=(*draft.titles, *titles), choices=None
    )  # fmt: skip


def _within_space(context: Context, draft: Draft, how: Breeding, rng: numpy.random.Generator) -> Member | None:
    """A neighbour in the space, where that is how children are made."""
    own = has_own_edits(context.space)
    if own and not how.by_kind:
        return neighbour(context.space, draft.graph, rng, draft.choices)
    if own or not how.inherit:
        notation = notation_of(context.space)
        if notation is not None:
            return edited_tokens(notation, draft.graph, rng, how.weights)
        return neighbour(context.space, draft.graph, rng, draft.choices) if own else None
    return None


def finished(context: Context, draft: Draft, how: Breeding, proposed_by: str) -> Proposal | None:
    """The proposal that a draft comes to, pruned where it exceeds a constraint; None where it is known or not allowed."""
    found = settled(context, draft)
    return None if found is None else proposal_of(found, how, proposed_by)


def settled(context: Context, draft: Draft) -> Draft | None:
    """A draft pruned where it exceeds a constraint; None where it is known (unless its recipe alone is new) or not allowed."""
    same = draft.kinds[-1:] == (RECIPE,)
    if not same and context.known_graph(draft.graph):
        return None
    found = _kept_within(context, draft)
    if found is None or (not same and context.known_graph(found[0])) or not context.allows(found[0]):
        return None
    return replace(draft, graph=found[0], network=found[1])


def proposal_of(draft: Draft, how: Breeding, proposed_by: str) -> Proposal:
    """A draft as a proposal, with its lineage."""
    change: dict[str, Any] = {"kind": " + ".join(dict.fromkeys(draft.kinds)), "titles": list(draft.titles)}
    recipe = dict(draft.recipe or {})
    if recipe:
        change["recipe"] = recipe
    if draft.choices is not None:
        change["choices"] = as_data(draft.choices)
    state = None if draft.network is None else dict(draft.network().state_dict())
    lineage = Lineage(draft.parents, change, proposed_by, initialised_by="random" if state is None else "inherit")
    return Proposal(draft.graph, state, how.epochs if state is not None else None, recipe, lineage)


def as_data(choices: Mapping[str, Any]) -> dict[str, Any] | None:
    """Choices as the store can keep them; None where they are more than numbers and words."""
    plain = all(value is None or isinstance(value, bool | int | float | str) for value in choices.values())
    return dict(choices) if plain else None


# -- edits -------------------------------------------------------------------------------------------------------------
def _edited(
    subject: Any, mutations: Mapping[str, AnyMutation], weights: Mapping[str, float] | None, rng: numpy.random.Generator
) -> tuple[str, Edit]:
    """One kind of edit, several with falling chance; the kinds that changed something name them all."""
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


def _grown_too_far(before: Graph, after: Graph) -> bool:
    """Whether edits made a graph so much larger that weights for it would be a burden, if they fit in memory at all.

    One is enough: a linear layer put after a flatten is as wide as that.
    """
    return (
        after.num_params > _MOST_GROWTH * max(before.num_params, _SMALL_PARAMS)
        or after.flops > _MOST_GROWTH * max(before.flops, _SMALL_FLOPS)
    )  # fmt: skip


def _chances(kinds: list[str], weights: Mapping[str, float] | None) -> Any:
    import numpy as np

    given = np.array([1.0 if weights is None else max(float(weights.get(kind, 0.0)), 0.0) for kind in kinds])
    if not given.sum() > 0:
        given[:] = 1.0
    return given / given.sum()


# -- constraints -------------------------------------------------------------------------------------------------------
def _kept_within(context: Context, draft: Draft) -> tuple[Graph, Callable[[], Any] | None] | None:
    """Graph and network of a draft, as there, pruned where it exceeds a constraint; None where pruning does not help."""
    excess = _excess(context)
    if excess(draft.graph) <= 1:
        return draft.graph, draft.network
    if has_own_edits(context.space):
        return None  # what is pruned would be no member of the space
    from ..building.network import build

    found = shrunk(draft.network() if draft.network is not None else build(draft.graph, seed=0), excess)
    if found is None:
        return None
    return found.graph, None if draft.network is None else lambda: found


def shrunk(network: Any, excess: Callable[[Graph], float]) -> Any:
    """A network pruned until its ``excess`` is one at most; None where it cannot be."""
    from ..mutate import prune

    current = excess(network.graph)
    if current > 1:
        try:
            network = prune(network, cost=(excess, min(1 / current, 1.0)), ranking="global", at_least=0.1).network
        except NetloomError:
            return None
    return None if excess(network.graph) > 1 else network


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


def random_walk(context: Context, start: Graph, rng: numpy.random.Generator) -> Graph:
    """The start after a few random edits, within the constraints; the start itself where nothing else was found."""
    how = Breeding(mutations=default_mutations(), inherit=False)
    for _ in range(TRIES):
        draft = mutated(context, Draft(start), how, rng)
        found = None if draft is None else _kept_within(context, draft)
        if found is not None and context.allows(found[0]):
            return found[0]
    return start
