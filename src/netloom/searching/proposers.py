"""Proposers: the parts of a loop that make candidates, each by a name that text can say."""

from __future__ import annotations

import difflib
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import NetloomError, SearchError
from ..store import Lineage
from .crossing import crossed
from .offspring import TRIES, Breeding, finished, fresh
from .proposal import Proposal, Result
from .refits import Refits
from .screening import sketch_of
from .space_edits import has_own_edits

if TYPE_CHECKING:
    import numpy

    from ..graph.graph import Graph
    from .context import Context

_log = logging.getLogger("netloom.search")

#: Sequences that a generator writes for each idea at most; and how long it learns, which all candidates wait for.
_ATTEMPTS, _UNLABELLED, _STEPS = 10, 300, 200


@dataclass(frozen=True, slots=True)
class Idea:
    """A candidate as a graph, and what makes the proposal of it, weights and all; None where that turns out impossible."""

    graph: Graph
    make: Callable[[], Proposal | None]


class Population:
    """The latest results that keep to the constraints, of which parents are drawn by tournament."""

    def __init__(self, size: int, sample: int) -> None:
        self.alive: deque[Result] = deque(maxlen=size)
        self._sample = sample

    def parent(self, rng: numpy.random.Generator) -> Result:
        """The best of a random handful; of equals the smaller network."""
        chosen = rng.choice(len(self.alive), size=min(self._sample, len(self.alive)), replace=False)
        return max((self.alive[int(i)] for i in chosen), key=lambda r: (r.score or 0.0, -r.graph.num_params))


class Proposer(ABC):
    """Makes ideas. It is told every result, keeps no randomness of its own, and says when it can be asked."""

    name: ClassVar[str]
    #: What it does, in a line for people.
    about: ClassVar[str]
    #: How often its candidates are expected to be among the best fifth, before any of them is known.
    expected: ClassVar[float] = 0.4

    def begin(self, context: Context, population: Population, how: Breeding) -> None:
        """Take up work; `SearchError` where it is of no use for this search."""
        self.context, self.population, self.how = context, population, how

    def tell(self, result: Result) -> None:
        """A result of the search, whoever proposed it."""
        del result  # most parts have nothing to learn

    def ready(self) -> bool:
        """Whether it can be asked now."""
        return True

    @abstractmethod
    def propose(self, count: int, rng: numpy.random.Generator) -> list[Idea]:
        """Up to ``count`` ideas, with graphs that the search does not know."""


class FromSpace(Proposer):
    """Fresh samples of the space."""

    name: ClassVar[str] = "space"
    about: ClassVar[str] = "samples of the space, or random walks from the start"
    expected: ClassVar[float] = 0.15

    def propose(self, count: int, rng: numpy.random.Generator) -> list[Idea]:
        return _new(self.context, (self._sample(rng) for _ in range(count)))

    def _sample(self, rng: numpy.random.Generator) -> Idea:
        proposal = fresh(self.context, rng)
        return Idea(proposal.graph, lambda: replace(proposal, lineage=replace(proposal.lineage, proposed_by=self.name)))


class FromMutation(Proposer):
    """Children of good candidates by random edits."""

    name: ClassVar[str] = "mutation"
    about: ClassVar[str] = "edits of the best of a random handful, with the weights that survive"
    expected: ClassVar[float] = 0.5

    def ready(self) -> bool:
        return bool(self.population.alive)

    def propose(self, count: int, rng: numpy.random.Generator) -> list[Idea]:
        return _new(self.context, (self._child(rng) for _ in range(count)))

    def _child(self, rng: numpy.random.Generator) -> Idea | None:
        context, how = self.context, self.how
        sketch = sketch_of(context, self.population.parent(rng)).child(context, rng, how)
        return None if sketch is None else Idea(sketch.graph, lambda: sketch.finished(context, how, "", 0.0))


class FromCrossover(Proposer):
    """Parts of two good candidates."""

    name: ClassVar[str] = "crossover"
    about: ClassVar[str] = "two good candidates that exchange parts, with what both have learned"
    #: Crossing networks with their weights takes ten times as long as an edit.
    _MOST: ClassVar[int] = 4

    def ready(self) -> bool:
        return len(self.population.alive) >= 2

    def propose(self, count: int, rng: numpy.random.Generator) -> list[Idea]:
        return _new(self.context, (self._crossed(rng) for _ in range(min(count, self._MOST))))

    def _crossed(self, rng: numpy.random.Generator) -> Idea | None:
        context, how = self.context, self.how
        first, second = self.population.parent(rng), self.population.parent(rng)
        if first.graph.hash == second.graph.hash:
            return None
        draft = crossed(context, first, second, how, rng)
        return None if draft is None else Idea(draft.graph, lambda: finished(context, draft, how, self.name))


class FromGenerator(Proposer):
    """Sequences of a transformer that is fitted on the results, asked for a high score."""

    name: ClassVar[str] = "generator"
    about: ClassVar[str] = "a transformer over the robust notation, fitted on the results, asked for a high score"
    expected: ClassVar[float] = 0.5
    #: Results that it needs, and the growth of their number after which it is fitted again.
    _LEAST: ClassVar[int] = 30
    _GROWTH: ClassVar[float] = 1.5
    _QUANTILE: ClassVar[float] = 0.95

    def begin(self, context: Context, population: Population, how: Breeding) -> None:
        super().begin(context, population, how)
        self._results: list[Result] = []
        self._due = 0
        self._refits: Refits[tuple[Any, float]] = Refits(beside=context.workers > 1)
        self._latest: tuple[Any, float] | None = None

    def tell(self, result: Result) -> None:
        if result.score is None or result.repeated:
            return
        self._results.append(result)
        if len(self._results) >= max(self._LEAST, self._GROWTH * self._due):
            self._due = len(self._results)

    def ready(self) -> bool:
        if self._due:
            due = self._due
            self._latest = self._refits.latest(due, lambda: self._fitted(self._results[:due]))
        return self._latest is not None

    def _fitted(self, results: Sequence[Result]) -> tuple[Any, float] | None:
        """A generator, and the score that it is asked for."""
        import numpy as np

        from ..generate import TokenGenerator

        graphs, scores = [r.graph for r in results], [float(r.score or 0.0) for r in results]
        # Edits lead out of most spaces: then the notation is the one that covers what was found.
        space = self.context.space if has_own_edits(self.context.space) else None
        try:
            generator = TokenGenerator(space, unlabelled=_UNLABELLED, steps=_STEPS)
            fitted = generator.fit(graphs, scores, seed=self.context.seed, strict=False)
            return fitted, float(np.quantile(scores, self._QUANTILE))
        except NetloomError as error:
            _log.info("no generator of %d results: %s", len(results), error)
            return None

    def propose(self, count: int, rng: numpy.random.Generator) -> list[Idea]:
        assert self._latest is not None
        generator, wanted = self._latest
        try:
            made = generator.draw(
                count, score=wanted, seed=rng, exclude=self.context.known, screen=1, most_attempts=_ATTEMPTS * count
            ).graphs  # fmt: skip
        except NetloomError as error:
            _log.info("the generator gave nothing: %s", error)
            return []
        lineage = Lineage(edit={"kind": self.name, "titles": []}, proposed_by=self.name)
        ideas = [Idea(graph, lambda graph=graph: Proposal(graph, lineage=lineage)) for graph in made]  # type: ignore[misc]
        return _new(self.context, ideas)


class FromNetformer(Proposer):
    """Perceptrons that a Netformer writes for the data, weights and all."""

    name: ClassVar[str] = "netformer"
    about: ClassVar[str] = "perceptrons written for the data, around the structures that did best, with their weights"
    #: The chance that a structure is another one around the best so far, once there are any.
    _NEAR: ClassVar[float] = 0.7

    def __init__(self, where: str = "mlp") -> None:
        self.where = where

    def begin(self, context: Context, population: Population, how: Breeding) -> None:
        super().begin(context, population, how)
        from .learned_weights import NetformerWeights, netformer

        if context.task is None:
            self._written: NetformerWeights | None = None
            return
        self._written = netformer(self.where, context.task)

    def ready(self) -> bool:
        return self._written is not None

    def propose(self, count: int, rng: numpy.random.Generator) -> list[Idea]:
        return _new(self.context, (self._suggested(rng) for _ in range(min(count, 4))))

    def _suggested(self, rng: numpy.random.Generator) -> Idea:
        family = self._written.former.family  # type: ignore[union-attr]
        hidden = self._structure(family, rng)
        task = self.context.task
        graph = perceptron(task.input_shape, task.num_outputs, [(w, family.activations[kind]) for w, kind in hidden])  # type: ignore[union-attr]
        return Idea(graph, lambda: self._written_proposal(graph))

    def _structure(self, family: Any, rng: numpy.random.Generator) -> list[tuple[int, int]]:
        """Widths and activations of hidden layers: any, or a neighbour of a good one."""
        from ..netformer.structures import outline_of

        known = []
        for result in self.population.alive if rng.random() < self._NEAR else ():
            try:
                known.append((result.score or 0.0, outline_of(result.graph, family, any_ends=True).hidden))
            except NetloomError:
                continue
        if not known:
            depth = int(rng.integers(1, family.max_layers + 1))
            widths = rng.integers(max(1, family.max_width // 4), family.max_width + 1, depth)
            return [(int(w), int(rng.integers(len(family.activations)))) for w in widths]
        hidden = list(max(known)[1])
        place = int(rng.integers(len(hidden)))
        if rng.random() < 0.3 and len(hidden) < family.max_layers:
            hidden.insert(place, hidden[place])
        width = _within(hidden[place][0] + int(rng.integers(-4, 5)), 2, family.max_width)
        kind = hidden[place][1] if rng.random() < 0.5 else int(rng.integers(len(family.activations)))
        hidden[place] = (width, kind)
        return hidden

    def _written_proposal(self, graph: Graph) -> Proposal | None:
        try:
            weights = self._written.weights(graph, self.context.seed)  # type: ignore[union-attr]
        except NetloomError as error:
            _log.info("the Netformer wrote nothing: %s", error)
            return None
        edit = {"kind": self.name, "titles": []}
        return Proposal(graph, weights, lineage=Lineage(edit=edit, proposed_by=self.name, initialised_by=self.name))


def _within(value: int, low: int, high: int) -> int:
    """``value`` within bounds."""
    return min(max(value, low), high)


def perceptron(shape: Sequence[int], outputs: int, hidden: Sequence[tuple[int, str]]) -> Graph:
    """A chain of linear layers of (width, activation), after a flatten where samples have several axes."""
    from ..graph.builder import call, input
    from ..graph.graph import Graph

    x = value = input(*shape)
    if len(shape) > 1:
        value = call("flatten", value)
    for width, activation in hidden:
        value = call(activation, call("linear", value, width))
    return Graph(x, call("linear", value, outputs))


def _new(context: Context, ideas: Any) -> list[Idea]:
    """Ideas without None, repeats, known graphs, and those that break a constraint."""
    found: dict[str, Idea] = {}
    for idea in ideas:
        if idea is not None and not context.known_graph(idea.graph) and idea.graph.hash not in found:
            if context.allows(idea.graph):
                found[idea.graph.hash] = idea
    return list(found.values())


#: Name → class.
PROPOSERS: dict[str, type[Proposer]] = {
    kind.name: kind for kind in (FromSpace, FromMutation, FromCrossover, FromGenerator, FromNetformer)
}


def read_proposers(given: str | Sequence[str]) -> tuple[str, ...]:
    """Names of proposers, checked: from text such as ``"space+mutation"``, or a list. ``"netformer:FILE"`` is one too.

    >>> read_proposers("space+mutation"), read_proposers(["generator", "crossover"])
    (('space', 'mutation'), ('generator', 'crossover'))
    """
    names = tuple(given.split("+")) if isinstance(given, str) else tuple(given)
    for name in names:
        kind, colon, _ = str(name).partition(":")
        if not isinstance(name, str) or kind not in PROPOSERS or (colon and kind != FromNetformer.name):
            near = difflib.get_close_matches(kind, PROPOSERS, 1)
            hint = f"did you mean {near[0]!r}? " if near and near[0] != kind else ""
            raise SearchError(f"propose {str(name)[:80]!r}; {hint}there is: {', '.join(PROPOSERS)}, or several joined by '+'")
    if not names or len(set(names)) < len(names):
        raise SearchError(f"propose {given!r}; expected different names of: {', '.join(PROPOSERS)}")
    return names


def make_proposer(name: str) -> Proposer:
    """The proposer of a name."""
    kind, colon, where = name.partition(":")
    return FromNetformer(where) if colon else PROPOSERS[kind]()


def any_fresh(context: Context, rng: numpy.random.Generator) -> Proposal:
    """A sample of the space, not one that is known as far as a number of draws can tell: what is left without ideas."""
    for _ in range(TRIES):
        proposal = fresh(context, rng)
        if not context.known_graph(proposal.graph):
            break
    return replace(proposal, lineage=replace(proposal.lineage, proposed_by=FromSpace.name))
