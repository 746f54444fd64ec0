"""The loop: proposers make candidates, scorers choose among them, and both are credited by what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from ...errors import SearchError
from ..crediting import Credits, Paying
from ..offspring import Breeding
from ..population import check_chances, check_counts, check_shares, first_candidates
from ..proposal import Proposal, Result
from ..proposers import FromSpace, Idea, Population, any_fresh, make_proposer, read_proposers
from ..scorers import FromEarlierTasks, Scorer, make_scorer, read_scorers
from ..strategy import Strategy, shown

if TYPE_CHECKING:
    import numpy

    from ..context import Context

#: What is believed of a scorer before anything came of it: a rank correlation, and candidates that it counts as.
_BELIEF, _BELIEF_COUNT = 0.4, 8
#: Candidates that the expectation of a proposer counts as.
_EXPECTED_COUNT = 5.0
#: Where a candidate's lineage keeps what every scorer said of it: its place in the pool, from 0 to 1.
PLACES = "places"


@dataclass(repr=False)
class ClosedLoop(Strategy):
    """Every part proposes and scores; a bandit shifts the budget to the proposers whose candidates pay.

    ``propose`` names parts that make candidates ("space", "mutation", "crossover", "generator", "netformer"), joined by "+" or
    in a list. The first ``initial`` candidates are samples of the space. Then one proposer is drawn for each candidate, by
    Thompson sampling over how often its candidates were among the best fifth of late ones; each keeps a chance of ``floor``.
    Of up to ``screen`` ideas that it has, the one is tried that ``score`` thinks most of: "predictor" (the default one, or the
    name of any), a zero-cost proxy such as "synflow", "ghn:FILE", several joined by "+", or "none". Predictors speak after
    ``after`` results, refitted when there are 15 % more, and with ``warm`` begin with what the store knew of the task. Several
    scorers are weighed by the rank correlation of what each of them said with what came out.

    Parents are drawn as by `Evolution` (``population``, ``sample``, ``mutations``, ``inherit``, ``share``).
    """

    name: ClassVar[str] = "loop"

    propose: str | Sequence[str] = "space+mutation+crossover"
    score: str | Sequence[Any] | Any = "predictor"
    screen: int = 20
    initial: int | None = None
    after: int = 10
    width: float = 0.5
    floor: float = 0.08
    population: int = 50
    sample: int = 10
    inherit: bool = True
    share: float = 0.5
    warm: bool = True
    mutations: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        self.propose = "+".join(read_proposers(self.propose))
        scorers = read_scorers(self.score)
        self.score = ("+".join(scorers) or "none") if all(isinstance(each, str) for each in scorers) else scorers
        check_counts(
            self.name, screen=self.screen, initial=self.initial, after=self.after, population=self.population,
            sample=self.sample,
        )  # fmt: skip
        check_shares(self.name, share=self.share, floor=self.floor)
        if not self.share > 0:
            raise SearchError(f"{self.name}: share = {self.share!r}; expected a number above 0")
        check_chances(self.name, None, self.mutations)

    __repr__ = shown

    def begin(self, context: Context) -> None:
        super().begin(context)
        self._how = Breeding.of(self, context)
        self._population = Population(self.population, self.sample)
        self._proposers = [make_proposer(name) for name in read_proposers(self.propose)]
        for proposer in self._proposers:
            proposer.begin(context, self._population, self._how)
        self._scorers: list[Scorer] = [
            make_scorer(name, after=self.after, width=self.width, warm=self.warm) for name in read_scorers(self.score)
        ]
        if context.earlier is not None and self._scorers:
            self._scorers.append(FromEarlierTasks(context.earlier))
        for scorer in self._scorers:
            scorer.begin(context)
        self._credits, self._paying = Credits(floor=self.floor), Paying()
        for proposer in self._proposers:
            self._credits.tell(proposer.name, proposer.expected, _EXPECTED_COUNT)
        self._said: dict[str, list[tuple[float, float]]] = {}
        self._told = 0

    # -- asking ----------------------------------------------------------------------------------------------------
    def ask(self, index: int, rng: numpy.random.Generator) -> Proposal:
        if self._told < self._initial():
            # Where candidates are many and nothing is known, proxies and earlier tasks have a say already.
            return self._tried(FromSpace.name, rng) or any_fresh(self.context, rng)
        ready = [proposer.name for proposer in self._proposers if proposer.ready()]
        while ready:
            name = self._credits.choose(ready, rng)
            proposal = self._tried(name, rng)
            if proposal is not None:
                return proposal
            ready.remove(name)  # no ideas: another one's turn
        return any_fresh(self.context, rng)

    def _initial(self) -> int:
        return self.initial if self.initial is not None else first_candidates(self.context, self.population)

    def _tried(self, name: str, rng: numpy.random.Generator) -> Proposal | None:
        """The best idea of a proposer; None where it has none."""
        proposer = next((each for each in self._proposers if each.name == name), None)
        if proposer is None:
            proposer = FromSpace()
            proposer.begin(self.context, self._population, self._how)
        scorers = [scorer for scorer in self._scorers if scorer.ready()]
        ideas = proposer.propose(self.screen if scorers else 1, rng)
        for idea, told in self._ordered(ideas, scorers):
            proposal = idea.make()
            if proposal is not None and not self.context.known_graph(proposal.graph):
                return replace(proposal, lineage=replace(proposal.lineage, **_lineage(proposal, name, told)))
        return None

    def _ordered(self, ideas: list[Idea], scorers: list[Scorer]) -> list[tuple[Idea, Mapping[str, Any]]]:
        """Ideas, the most promising first, each with what the scorers said of it."""
        if not scorers or len(ideas) < 2:
            return [(idea, {}) for idea in ideas]
        graphs = [idea.graph for idea in ideas]
        places = {scorer.name: _places(scorer.values(graphs)) for scorer in scorers}
        weights = {name: self._weight(name) for name in places}
        totals = [sum(weights[name] * places[name][i] for name in places) for i in range(len(ideas))]
        order = sorted(range(len(ideas)), key=lambda i: (-totals[i], i))
        names = "+".join(places)
        found: list[tuple[Idea, Mapping[str, Any]]] = []
        for i in order:
            predicted = next((value for each in scorers if (value := each.predicted(graphs[i])) is not None), None)
            own = {name: round(places[name][i], 4) for name in places}
            found.append((ideas[i], {"scored_by": names, "predicted_score": predicted, PLACES: own}))
        return found

    def _weight(self, scorer: str) -> float:
        """The rank correlation of what a scorer said with what came out, shrunk to a belief while there is little of it."""
        import numpy as np

        said = self._said.get(scorer, [])[-100:]
        correlation = 0.0
        if len(said) > 2:
            first, second = (np.argsort(np.argsort(values)) for values in zip(*said))
            correlation = float(np.corrcoef(first, second)[0, 1])
        return max(0.02, (_BELIEF * _BELIEF_COUNT + len(said) * correlation) / (_BELIEF_COUNT + len(said)))

    # -- telling ---------------------------------------------------------------------------------------------------
    def tell(self, index: int, result: Result) -> None:
        for proposer in self._proposers:
            proposer.tell(result)
        for scorer in self._scorers:
            scorer.tell(result)
        if result.repeated:
            return
        self._told += 1
        paid = float(self._paying.of(result.score if self.context.keeps(result) else None))
        if self._told > self._initial():  # the first ones had no rivals to be better than
            self._credits.tell(result.lineage.proposed_by, paid)
        if not self.context.keeps(result):
            return
        self._population.alive.append(result)
        edit = result.lineage.edit
        for name, place in (edit.get(PLACES) or {}).items() if isinstance(edit, dict) else ():
            self._said.setdefault(name, []).append((float(place), float(result.score or 0.0)))


def _places(values: Sequence[float | None]) -> list[float]:
    """The place of each value in its pool, from 0 (lowest) to 1; in the middle where there is none."""
    known = sorted(value for value in values if value is not None)
    if len(known) < 2:
        return [0.5] * len(values)
    places = {value: i / (len(known) - 1) for i, value in enumerate(known)}
    return [0.5 if value is None else places[value] for value in values]


def _lineage(proposal: Proposal, name: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """What is noted of where a candidate came from."""
    edit = proposal.lineage.edit if isinstance(proposal.lineage.edit, dict) else {"kind": "sample", "titles": []}
    if told:
        edit = {**edit, PLACES: told[PLACES]}
    return {
        "proposed_by": name, "edit": edit, "scored_by": told.get("scored_by", ""),
        "predicted_score": told.get("predicted_score"),
    }  # fmt: skip
