"""Initialising: which weights a candidate begins its training with, whatever strategy proposed it."""

from __future__ import annotations

import difflib
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import NetloomError, SearchError
from .crediting import Credits, Paying
from .learned_weights import Learned, hypernetwork, netformer, shipped_for
from .proposal import Proposal, Result

if TYPE_CHECKING:
    import numpy

    from .context import Context

_log = logging.getLogger("netloom.search")

#: Races that an initialiser takes part in at most before results decide, fewer where the first ones agree; and the share of a
#: training that a race is, at most so many steps.
RACES, _AGREEING, _RACE_SHARE, _RACE_STEPS = 3, 2, 0.2, 60
#: The share of candidates that every initialiser keeps, random weights among them, whatever is believed of it.
_FLOOR = 0.06
#: Marks the generator that draws initialisers, so that a strategy's own draws stay what they are.
_DRAWS = 0x1217
RANDOM, INHERIT, AUTO = "random", "inherit", "auto"
#: What an initialiser may be called, with what it is.
INITIALISERS = {
    RANDOM: "weights drawn as the operators have it",
    INHERIT: "what the candidate brings along: weights of its parents that survive its edits",
    "ghn:FILE": "a hypernetwork predicts them (a file, or a name that nl.ghn.load knows)",
    "netformer:FILE": "a Netformer writes them for the task (a file, or 'mlp'), for perceptrons of its family",
    AUTO: "all of these that fit the task race on the first candidates; then a bandit follows what pays",
}


def read_init(given: str | Sequence[str] | None) -> str:
    """The text of one or several initialisers, checked; "" for None, which leaves it to the strategy.

    Of several the first one is taken that a candidate is in the family of; after ``"auto"``, they race with all that fit.

    >>> read_init("inherit"), read_init(["ghn:my.safetensors", "inherit"]), read_init(None)
    ('inherit', 'ghn:my.safetensors+inherit', '')
    """
    if given is None or given == "":
        return ""
    words = given.split("+") if isinstance(given, str) else list(given)
    for word in words:
        kind, colon, where = str(word).partition(":")
        known = kind in (RANDOM, INHERIT, AUTO) and not colon or kind in ("ghn", "netformer") and bool(where)
        if not isinstance(word, str) or not known:
            near = difflib.get_close_matches(kind, ["random", "inherit", "auto", "ghn", "netformer"], 1)
            hint = f"did you mean {near[0]!r}? " if near and near[0] != kind else ""
            raise SearchError(f"init {str(word)[:80]!r}; {hint}there is: {', '.join(INITIALISERS)}, or several joined by '+'")
    if len(set(words)) < len(words):
        raise SearchError(f"init {'+'.join(words)!r} names one initialiser twice")
    return "+".join(words)


@dataclass(frozen=True, slots=True)
class Arm:
    """A way to begin: its name for the record, weights (None: random ones), and epochs where they are other than planned."""

    name: str
    weights: Mapping[str, Any] | None = None
    epochs: int | None = None

    def of(self, proposal: Proposal) -> Proposal:
        """The proposal, begun this way."""
        lineage = replace(proposal.lineage, initialised_by=self.name)
        return replace(proposal, weights=self.weights, epochs=self.epochs, lineage=lineage)


@dataclass(slots=True)
class Initialising:
    """Gives every proposal of a search its first weights, as ``spec`` (see `read_init`) has it; "" leaves proposals alone.

    ``"auto"`` never trusts anyone: each initialiser races with random weights, on the same graph, with the same batches, for a
    fifth of a training at most, and has to beat them by more than the standard error of a score: twice, or a third time where
    the first two disagree. Afterwards a bandit (`Credits`) is paid for candidates among the best fifth, for the epochs that
    they take, and keeps a floor for all, random weights among them. What it knows it knows from results: a search that is
    resumed comes back to where it was.
    """

    context: Context
    spec: str = ""
    _learned: list[Learned] = field(default_factory=list, init=False)
    #: Races of each initialiser: whether it won.
    _races: dict[str, list[bool]] = field(default_factory=dict, init=False)
    _chosen: dict[str, str] = field(default_factory=dict, init=False)
    _credits: Credits = field(default_factory=lambda: Credits(floor=_FLOOR), init=False)
    _paying: Paying = field(default_factory=Paying, init=False)

    def __post_init__(self) -> None:
        task = self.context.task
        if task is None:
            return
        words = self.spec.split("+") if self.spec else []
        for word in words:
            kind, _, where = word.partition(":")
            if kind in ("ghn", "netformer"):
                self._learned.append(hypernetwork(where, task) if kind == "ghn" else netformer(where, task))
        if AUTO in words:
            given = {learned.key for learned in self._learned}
            self._learned += [learned for learned in shipped_for(task) if learned.key not in given]
        for learned in self._learned:
            learned.begin(self.context)

    # -- asking ----------------------------------------------------------------------------------------------------
    def apply(self, index: int, proposal: Proposal) -> Proposal:
        """The proposal with the weights that it is to begin with."""
        import numpy as np

        if not self.spec or (proposal.epochs == 0 and proposal.weights is not None):
            return proposal
        words = self.spec.split("+")
        if AUTO in words:
            return self._automatic(proposal, np.random.default_rng([self.context.seed, index, _DRAWS]))
        learned = iter(self._learned)
        for word in words:
            arm = self._own(proposal) if word == INHERIT else Arm(RANDOM, None, _planned(proposal))
            if word not in (INHERIT, RANDOM):
                arm = self._filled(next(learned), proposal)
            if arm is not None:
                return arm.of(proposal)
        return Arm(RANDOM, None, _planned(proposal)).of(proposal)

    def _own(self, proposal: Proposal) -> Arm | None:
        """What the proposal brings along."""
        if proposal.weights is None:
            return None
        return Arm(proposal.lineage.initialised_by, proposal.weights, proposal.epochs)

    def _filled(self, learned: Learned, proposal: Proposal) -> Arm | None:
        """The arm of a learned part; None for a candidate outside its family."""
        if proposal.weights is not None and proposal.lineage.initialised_by == learned.name:
            return self._own(proposal)
        try:
            weights = learned.weights(proposal.graph, self.context.seed)
        except NetloomError as error:
            _log.info("%s is no initialiser of %s: %s", learned.key, proposal.graph.hash, error)
            return None
        return Arm(learned.name, weights, _planned(proposal))

    def _automatic(self, proposal: Proposal, rng: numpy.random.Generator) -> Proposal:
        makers: dict[str, Callable[[], Arm | None]] = {
            learned.name: partial(self._filled, learned, proposal) for learned in reversed(self._learned)
        }
        makers[RANDOM] = lambda: Arm(RANDOM, None, _planned(proposal))
        if proposal.weights is not None:
            makers[proposal.lineage.initialised_by] = lambda: self._own(proposal)
        earlier = self._chosen.get(proposal.graph.hash, "")
        if earlier in makers:  # a rung further on goes on from the weights of the first one
            arm = makers[earlier]()
            if arm is not None:
                return arm.of(proposal)
        racing = {name: maker() for name, maker in makers.items() if name != RANDOM and not self._is_settled(name)}
        arms = {name: arm for name, arm in racing.items() if arm is not None}
        if arms:
            return self._raced(proposal, {**arms, RANDOM: Arm(RANDOM, None, _planned(proposal))})
        names, costs = sorted(makers), {proposal.lineage.initialised_by: self._cost(proposal)}
        while True:
            chosen = self._credits.choose(names, rng, costs)
            arm = makers[chosen]()
            if arm is not None:
                return arm.of(proposal)
            names.remove(chosen)  # outside its family

    def _is_settled(self, name: str) -> bool:
        """Whether an initialiser has raced enough."""
        won = self._races.get(name, [])
        return len(won) >= RACES or (len(won) >= _AGREEING and len(set(won)) == 1)

    def _cost(self, proposal: Proposal) -> float:
        """What training a proposal with its own weights costs, as a share of training it from other ones."""
        recipe = self.context.recipe
        if proposal.weights is None or proposal.epochs is None or recipe is None:
            return 1.0
        return min(1.0, max(proposal.epochs, 1) / recipe.epochs)

    # -- races -----------------------------------------------------------------------------------------------------
    def _raced(self, proposal: Proposal, arms: Mapping[str, Arm]) -> Proposal:
        """The proposal begun by the winner of a short training of each arm; the scores of all stand in its lineage."""
        context = self.context
        assert context.task is not None and context.recipe is not None
        recipe = replace(context.recipe, **proposal.recipe) if proposal.recipe else context.recipe
        per_epoch = math.ceil(len(context.task.train) / recipe.batch_size)
        steps = max(1, min(_RACE_STEPS, round(_RACE_SHARE * recipe.epochs * per_epoch)))
        short = replace(recipe, epochs=math.ceil(steps / per_epoch), max_steps=steps, horizon_epochs=None)
        scores = {name: _short_training(proposal.graph, arm.weights, context, short) for name, arm in arms.items()}
        before = proposal.lineage.edit if isinstance(proposal.lineage.edit, dict) else {"kind": "", "titles": []}
        edit = {**before, "race": scores, "race_epochs": round(len(arms) * steps / per_epoch, 4)}
        told = replace(proposal, lineage=replace(proposal.lineage, edit=edit))
        return arms[winner(scores, context)].of(told)

    # -- telling ---------------------------------------------------------------------------------------------------
    def tell(self, result: Result) -> None:
        """Learn what became of a candidate."""
        for learned in self._learned:
            learned.tell(result)
        if AUTO not in self.spec.split("+") or result.repeated:
            return
        edit, name = result.lineage.edit, result.lineage.initialised_by
        if isinstance(edit, dict) and isinstance(edit.get("race"), dict):
            first = winner(edit["race"], self.context)
            for arm in edit["race"]:
                self._races.setdefault(arm, []).append(arm == first)
                self._credits.tell(arm, float(arm == first))
        self._chosen[result.graph.hash] = name
        self._credits.tell(name, float(self._paying.of(result.score)))


def winner(scores: Mapping[str, float | None], context: Context) -> str:
    """The name of the best score, where it is above that of random weights by more than noise; else that of random weights."""
    known = {name: score for name, score in scores.items() if score is not None}
    best = max(known, key=lambda name: known[name], default=RANDOM)
    level = known.get(RANDOM)
    if level is None or context.task is None:
        return best
    chance = min(max(level, 0.0), 1.0)
    noise = math.sqrt(max(chance * (1 - chance), 0.01) / max(len(context.task.valid), 1))
    return best if known[best] > level + noise else RANDOM


def race_epochs(result: Result) -> float:
    """The epochs that a race before a candidate's training took; 0 where there was none."""
    edit = result.lineage.edit
    return float(edit.get("race_epochs", 0.0)) if isinstance(edit, dict) else 0.0


def _planned(proposal: Proposal) -> int | None:
    """Epochs of a training that begins anew: what inherited weights save is not saved."""
    return None if proposal.weights is not None else proposal.epochs


def _short_training(graph: Any, weights: Mapping[str, Any] | None, context: Context, recipe: Any) -> float | None:
    from ..building.network import build
    from ..training import train

    assert context.task is not None
    try:
        network = graph if weights is None else build(graph, weights=dict(weights))
        score = train(network, context.task, recipe, context.seed).score
    except Exception as error:  # any way in which a candidate can fail: its own training will say so
        _log.info("no race of %s: %s: %s", graph.hash, type(error).__name__, error)
        return None
    return float(score) if math.isfinite(score) else None
