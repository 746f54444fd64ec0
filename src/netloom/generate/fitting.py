"""How a generator learns: from networks with a score, from others whose score is predicted, then from what it writes itself."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import GeneratorError, NetloomError, PredictorError
from .conditions import COUNT, Conditions
from .learned import Known, Learned
from .learning import Lessons, Schedule, train
from .lessons import Written, unlabelled, written

if TYPE_CHECKING:
    from ..graph.graph import Graph
    from ..predict import Predictor
    from .families import Family
    from .transformer import TokenTransformer

Array = np.ndarray[Any, Any]

#: Good networks are learned from more often: by this power of e from the worst to the best.
_FAVOUR = 2.0
#: How often a network with a score of its own is learned from, compared with one whose score is predicted.
_OWN = 3.0
#: Which quantile of what was learned from counts as the best: of the very best there are too few to write more like them.
_BEST = 0.95
#: The rate of learning at first, and of going on.
_RATE, _LATER = 2e-3, 1e-3


@dataclass(frozen=True, slots=True)
class Settings:
    """Those of `TokenGenerator`, without space and predictor."""

    unlabelled: int
    rounds: int
    width: int
    layers: int
    heads: int
    dropout: float
    steps: int | None
    max_tokens: int

    def __post_init__(self) -> None:
        least = {"unlabelled": 0, "rounds": 0, "width": 1, "layers": 1, "heads": 1, "steps": 1, "max_tokens": 1}
        for name, low in least.items():
            value = getattr(self, name)
            if (type(value) is not int or value < low) and not (name == "steps" and value is None):
                raise GeneratorError(f"{name} = {value!r}; expected an integer ≥ {low}")
        if self.width % self.heads:
            raise GeneratorError(f"width = {self.width} is no multiple of heads = {self.heads}")
        if isinstance(self.dropout, bool) or not isinstance(self.dropout, int | float) or not 0 <= self.dropout < 1:
            raise GeneratorError(f"dropout = {self.dropout!r}; expected a number from 0 to below 1")

    def steps_for(self, lessons: int) -> int:
        """How many steps it takes to learn so many networks."""
        return self.steps or round(min(400 * max(lessons / 1000, 0.25) ** 0.5, 4000))


def learn(
    settings: Settings, predictor: Any, family: Family, graphs: Sequence[Graph], known: Known, *, seed: int, progress: bool,
    before: Learned | None = None,
) -> tuple[Learned, float]:  # fmt: skip
    """What is learned of networks and their scores, and the surprise at sequences that were left out.

    With ``before`` the transformer goes on from where it stood then.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise GeneratorError(f"seed = {seed!r}; expected a whole number ≥ 0")
    rng = np.random.default_rng(seed)
    conditions = Conditions.of(known.scores, known.costs)
    guide = _fitted(make_predictor(predictor), graphs, known.scores, int(rng.integers(2**31)))
    more: list[Written] = []
    if guide is not None and settings.unlabelled:
        more = unlabelled(family, known.sequences, known.ranks, settings.unlabelled, settings.max_tokens, rng)
    longest = max(map(len, [*known.sequences, *[sequence for _, sequence in more]]))
    again = before is not None and before.most_tokens >= longest
    most_tokens = family.notation.max_length or min(longest + longest // 4 + 8, 2 * settings.max_tokens)
    if before is not None and again:
        model, most_tokens = before.model, before.most_tokens
    else:
        model = _fresh(settings, len(family.notation.vocabulary), most_tokens, int(rng.integers(2**31)))
    learned = Learned(family, known, conditions, model, most_tokens, guide, 0.0)
    learned = replace(learned, best=_best(learned, more))
    steps = settings.steps_for(len(known) + len(more))
    schedule = Schedule(max(steps // 2, 1), rate=_LATER) if again else Schedule(steps, rate=_RATE)
    surprise = _train(learned, more, schedule, rng, progress)
    for _ in range(settings.rounds if more else 0):
        more = _own(learned, more, max(settings.unlabelled // 2, 1), rng)
        surprise = _train(learned, more, Schedule(max(steps // 3, 1), rate=_LATER), rng, progress)
        learned = replace(learned, best=_best(learned, more))
    return learned, surprise


def _best(learned: Learned, more: Sequence[Written]) -> float:
    """What the best networks score, known or predicted, on the scale that scores are learned on."""
    scores = learned.rows(more)[:, 0]
    return float(min(np.quantile(scores, _BEST), scores[: len(learned.known)].max()))


def _train(learned: Learned, more: Sequence[Written], schedule: Schedule, rng: np.random.Generator, progress: bool) -> float:
    rows = learned.rows(more)
    ranks = rows[:, 0].argsort().argsort() / max(len(rows) - 1, 1)
    known = learned.known
    weights = np.exp(_FAVOUR * ranks) * np.where(np.arange(len(rows)) < len(known), _OWN, 1.0)
    lessons = Lessons([*known.sequences, *[sequence for _, sequence in more]], rows, weights)
    return train(learned.model, lessons, schedule, seed=int(rng.integers(2**31)), progress=progress)


def _own(learned: Learned, more: Sequence[Written], count: int, rng: np.random.Generator) -> list[Written]:
    """The networks without a score of their own, with such as are written when the best is asked for."""
    found = {tuple(sequence): (graph, sequence) for graph, sequence in more}
    known = set(map(tuple, learned.known.sequences))
    sequences = learned.write(learned.asked(None, None, None, count, rng), 1.0, rng)
    for sequence in {tuple(sequence): sequence for sequence in sequences}.values():
        try:
            made = written(learned.family, sequence)
        except NetloomError:
            continue
        key = tuple(made[1])
        if key not in known and len(key) <= learned.most_tokens:
            found.setdefault(key, made)
    return list(found.values())


def _fresh(settings: Settings, vocabulary: int, most_tokens: int, seed: int) -> TokenTransformer:
    import torch

    model = made_transformer(settings, vocabulary, most_tokens)
    model.initialise(torch.Generator().manual_seed(seed))
    return model


def made_transformer(settings: Settings, vocabulary: int, most_tokens: int) -> TokenTransformer:
    """A transformer of these sizes with weights of any kind; draws nothing from the global generator."""
    import torch

    from .transformer import TokenTransformer

    with torch.random.fork_rng(devices=[]):
        return TokenTransformer(
            vocabulary, most_tokens, COUNT, settings.width, settings.layers, settings.heads, settings.dropout
        )  # fmt: skip


# -- predictors --------------------------------------------------------------------------------------------------------
def make_predictor(given: Any) -> Predictor | None:
    """A new predictor of a class in `netloom.predict` by its name, a copy of one as it is, or none."""
    if given is None:
        return None
    import copy

    from .. import predict

    if isinstance(given, predict.Predictor):
        return copy.deepcopy(given)
    kinds = {kind.__name__: kind for kind in predict.KINDS.values()}
    if not isinstance(given, str) or given not in kinds:
        near = difflib.get_close_matches(str(given), kinds, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise GeneratorError(f"predictor = {given!r:.80}; {hint}there is: {', '.join(kinds)}, or None")
    return kinds[given]()


def _fitted(guide: Predictor | None, graphs: Sequence[Graph], scores: Array, seed: int) -> Predictor | None:
    """The predictor after learning from the graphs."""
    if guide is None:
        return None
    try:
        return guide.fit(list(graphs), scores, seed=seed)
    except PredictorError as error:
        raise GeneratorError(f"the generator's predictor: {error}") from None
    except np.linalg.LinAlgError:  # Gaussian processes, of scores that follow from a feature without any noise
        from ..predict import Trees

        return Trees().fit(list(graphs), scores, seed=seed)
