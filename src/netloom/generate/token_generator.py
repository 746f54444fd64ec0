"""`TokenGenerator`: a transformer that writes new architectures, conditioned on what they are to score and to cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ..errors import GeneratorError, NetloomError
from .conditions import costs_of
from .drawing import Draws, Wish, draw
from .families import Family, insiders
from .fitting import Settings, learn, make_predictor
from .labels import check_enough, checked
from .learned import Known, Learned

if TYPE_CHECKING:
    import os

    from ..encode.robust import Sequences
    from ..graph.graph import Graph
    from ..predict import Predictor
    from ..spaces import Space

Array = np.ndarray[Any, Any]

#: Networks that are drawn for each that is asked for, where there is a predictor to choose among them.
SCREEN = 8
#: Below 1: what is likely is what was learned, the rest is mostly what was not learned yet.
TEMPERATURE = 0.8


class TokenGenerator:
    """Writes architectures as sequences of the robust notation of their space, every one of which is a network of it.

    ``space`` is a space, its text, or a notation (`netloom.encode.robust`); None for the one that the graphs are recognised as,
    or else the notation that covers their operators. A ``predictor`` (a name in `netloom.predict`, or one of its predictors;
    None for none) is fitted along: it gives ``unlabelled`` further networks a score to learn from, over ``rounds`` also such as
    the generator writes itself, and ranks what `sample` draws. ``width``, ``layers``, ``heads`` and ``dropout`` are those of
    the transformer, which learns for ``steps`` (by default more for more networks). Graphs of more than ``max_tokens`` tokens
    are refused.

    Source: generation conditioned on the outcome as in J. Schmidhuber, "Reinforcement learning upside down", 2019, and
    L. Chen et al., "Decision Transformer", NeurIPS 2021; sequences that are always valid as in M. Krenn et al., SELFIES, 2020.

    >>> import netloom as nl, numpy as np
    >>> space, rng = nl.spaces.MLP(16, 4, widths=(8, 16, 32, 64), layers=(1, 2, 3)), np.random.default_rng(0)
    >>> graphs = [space.sample(rng) for _ in range(40)]
    >>> generator = TokenGenerator(space, steps=60, unlabelled=100)
    >>> generator = generator.fit(graphs, [-abs(graph.num_params - 2000) for graph in graphs])
    >>> new = generator.sample(5, max_params=3000)
    >>> all(space.contains(graph) and graph.num_params <= 3000 for graph in new)
    True
    """

    def __init__(
        self,
        space: Space | Sequences | str | None = None,
        *,
        predictor: str | Predictor | None = "Ensemble",
        unlabelled: int = 1000,
        rounds: int = 1,
        width: int = 64,
        layers: int = 2,
        heads: int = 4,
        dropout: float = 0.1,
        steps: int | None = None,
        max_tokens: int = 512,
    ) -> None:
        self.settings = Settings(unlabelled, rounds, width, layers, heads, dropout, steps, max_tokens)
        make_predictor(predictor)  # says what is wrong
        self.space, self.predictor = space, predictor
        #: Graphs that were left out of the last training, for their scores are NaN.
        self.dropped = 0
        #: Nats a token at sequences that were left out of the last training; NaN where there were too few.
        self.surprise = float("nan")
        self._learned: Learned | None = None

    # -- learning ----------------------------------------------------------------------------------------------------
    def fit(self, graphs: Iterable[Graph], scores: Any, *, seed: int = 0, progress: bool = False, strict: bool = True) -> Self:
        """Learn from graphs and their scores (N,), higher is better. Gives the generator itself.

        Graphs whose score is NaN are left out and counted in ``dropped``, and so are, unless ``strict``, graphs of another
        space and such that no notation writes. `GeneratorError` for fewer than 5 graphs, scores that are all equal or infinite,
        and graphs of another space. ``progress`` prints a line for every look at what is left out.
        """
        listed, values, self.dropped = checked(graphs, scores)
        if not strict:
            count = len(listed)
            listed, values = insiders(self.space, listed, values)
            self.dropped += count - len(listed)
        check_enough(values, self.dropped)
        family = Family.of(self.space, listed)
        known = self._read(family, listed, values)
        self._learned, self.surprise = learn(
            self.settings, self.predictor, family, listed, known, seed=seed, progress=progress
        )  # fmt: skip
        return self

    def refit(
        self, graphs: Iterable[Graph], scores: Any, *, seed: int = 0, progress: bool = False, strict: bool = True
    ) -> Self:
        """Learn from more graphs and scores beside those learned before, going on from where the transformer stands.

        Gives the generator itself. Errors as those of `fit`; before `fit` it is `fit`.
        """
        before = self._learned
        if before is None:
            return self.fit(graphs, scores, seed=seed, progress=progress, strict=strict)
        listed, values, self.dropped = checked(graphs, scores)
        known, family = before.known, before.family
        if not strict:
            count = len(listed)
            listed, values = insiders(self.space, listed, values)
            self.dropped += count - len(listed)
        every = [*map(family.notation.decode, known.sequences), *listed]
        every_score = np.concatenate([known.scores, values])
        try:
            more = self._read(family, listed, values)
        except GeneratorError:
            if self.space is not None:
                raise
            # The notation was made for the graphs known then: it has to be made anew, and all that was learned in it.
            return self.fit(every, every_score, seed=seed, progress=progress)
        joined = Known(
            known.sequences + more.sequences, known.hashes + more.hashes, every_score, np.concatenate([known.costs, more.costs])
        )
        self._learned, self.surprise = learn(
            self.settings, self.predictor, family, every, joined, seed=seed, progress=progress, before=before
        )  # fmt: skip
        return self

    def _read(self, family: Family, graphs: Sequence[Graph], scores: Array) -> Known:
        """Graphs as sequences; `GeneratorError` names the first that is none."""
        sequences, most = [], self.settings.max_tokens
        for i, graph in enumerate(graphs):
            try:
                sequences.append(family.sequence(graph))
            except NetloomError as error:
                raise GeneratorError(f"graph {i} is not of the generator's space: {error}") from None
            if len(sequences[-1]) > most:
                raise GeneratorError(f"graph {i} has {len(sequences[-1])} tokens; expected {most} at most: give max_tokens=")
        return Known(sequences, [graph.hash for graph in graphs], scores, costs_of(graphs))

    # -- drawing -----------------------------------------------------------------------------------------------------
    def sample(
        self,
        n: int = 1,
        *,
        score: float | None = None,
        seed: int | np.random.Generator = 0,
        max_params: float | None = None,
        max_flops: float | None = None,
        temperature: float = TEMPERATURE,
        screen: int | None = None,
        exclude: Iterable[str | Graph] = (),
        new: bool = True,
        distinct: bool = True,
        most_attempts: int | None = None,
    ) -> list[Graph]:
        """``n`` new networks, those that suit best first.

        ``score`` is what they are to score (None: as high as can be; beyond what was learned it is held near the best). None
        has more than ``max_params`` parameters and ``max_flops`` FLOPs. ``screen`` networks are drawn for each one asked for (8
        where there is a predictor), and the predictor keeps those that it expects nearest to ``score``, or highest where that
        is none or no less than the best known; 1 keeps what is drawn. ``exclude`` are hashes or graphs not wanted; with
        ``new`` those that were learned from are not either, and with ``distinct`` no two are alike. ``temperature`` above
        1 writes bolder sequences, below 1 likelier ones; it rises where nothing new comes. ``most_attempts`` is how many
        sequences are written at most. ``seed`` is a number or a generator of numpy's.

        `GeneratorError` where there are fewer: it says why, and what would help.
        """
        found = self.draw(
            n, score=score, seed=seed, max_params=max_params, max_flops=max_flops, temperature=temperature, screen=screen,
            exclude=exclude, new=new, distinct=distinct, most_attempts=most_attempts,
        )  # fmt: skip
        if found.is_short:
            raise GeneratorError(found.shortage())
        return found.graphs

    def draw(
        self,
        n: int = 1,
        *,
        score: float | None = None,
        seed: int | np.random.Generator = 0,
        max_params: float | None = None,
        max_flops: float | None = None,
        temperature: float = TEMPERATURE,
        screen: int | None = None,
        exclude: Iterable[str | Graph] = (),
        new: bool = True,
        distinct: bool = True,
        most_attempts: int | None = None,
    ) -> Draws:
        """Up to ``n`` networks as `sample` gives them, with what is expected of each, and how many sequences it took."""
        learned = self.learned
        left_out = {item if isinstance(item, str) else item.hash for item in exclude} | set(learned.known.hashes if new else ())
        wish = Wish(
            n, None if score is None else _number(score), max_params, max_flops, left_out, distinct, temperature,
            self._screen(screen), most_attempts,
        )  # fmt: skip
        rng = np.random.default_rng(seed)

        def write(count: int, temperature: float) -> list[list[int]]:
            return learned.write(learned.asked(wish.score, max_params, max_flops, count, rng), temperature, rng)

        return self._ranked(draw(learned.family, wish, write))

    def _screen(self, screen: int | None) -> int:
        guide = self.learned.guide
        if screen is None:
            return SCREEN if guide is not None else 1
        if type(screen) is int and screen > 1 and guide is None:
            raise GeneratorError(f"screen = {screen} needs a predictor, which this generator has not; use screen=1")
        return screen

    def _ranked(self, found: Draws) -> Draws:
        """The draws that suit best, first."""
        learned, wish = self.learned, found.wish
        found.predicted = np.full(len(found.graphs), np.nan)
        if learned.guide is not None and found.graphs:
            found.predicted = learned.guide.predict(found.graphs)
            if wish.screen > 1:
                as_high = wish.score is None or wish.score >= float(learned.known.scores.max())
                distance = -found.predicted if as_high else np.abs(found.predicted - wish.score)
                order = distance.argsort(kind="stable")
                found.graphs, found.predicted = [found.graphs[i] for i in order], found.predicted[order]
        del found.graphs[wish.n :]
        found.predicted = found.predicted[: wish.n]
        return found

    # -- what it knows -----------------------------------------------------------------------------------------------
    @property
    def learned(self) -> Learned:
        """Family, known scores, transformer and predictor; `GeneratorError` before `fit`."""
        if self._learned is None:
            raise GeneratorError("the generator has not been fitted; call fit(graphs, scores) first")
        return self._learned

    def predict(self, graphs: Iterable[Graph]) -> Array:
        """The scores (N,) that the predictor expects; `GeneratorError` where there is none."""
        guide = self.learned.guide
        if guide is None:
            raise GeneratorError("this generator has no predictor; make it with predictor='Ensemble'")
        return guide.predict(graphs)

    def evaluate(self, n: int = 100, *, seed: int = 0) -> dict[str, Any]:
        """What ``n`` sequences for each of some wishes come to; see `netloom.generate.evaluated`."""
        from .evaluating import evaluated

        return evaluated(self, n, seed)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the fitted generator to a safetensors file, which `netloom.generate.load` reads back."""
        from .saving import write

        return write(self, path)

    def __repr__(self) -> str:
        if self._learned is None:
            return "<TokenGenerator, not fitted>"
        family = self._learned.family
        where = getattr(family.space, "spec", "") or repr(family.notation)
        return f"<TokenGenerator: {len(self._learned.known):,} scores, {where}>"


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise GeneratorError(f"score = {value!r:.60}; expected a number, or None for as high as can be") from None
