"""How well a generator does what it is asked for, by what can be told without training anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .learning import Lessons, Schedule, SequenceLearner

if TYPE_CHECKING:
    from .token_generator import TokenGenerator

#: Quantiles of the scores learned that are asked for.
QUANTILES = (0.1, 0.5, 0.9, 1.0)


def evaluated(generator: TokenGenerator, n: int = 100, seed: int = 0) -> dict[str, Any]:
    """What becomes of ``n`` sequences for each of some wishes, none of them chosen among others.

    ``surprise`` and ``surprise_unasked`` are nats a token at what was learned, with its own score and costs asked for and with
    nothing asked for; ``wishes`` has for each wish the score asked for, the mean ``predicted`` (None without a predictor), and
    the shares that are ``different`` from each other and ``new``.
    """
    learned = generator.learned
    rows = learned.rows(())
    known = learned.known
    learner = SequenceLearner(learned.model, Lessons(known.sequences, rows, np.ones(len(known))), Schedule(1))
    every = np.arange(len(known))
    found: dict[str, Any] = {
        "scores": len(known), "vocabulary": len(learned.family.notation.vocabulary),
        "space": getattr(learned.family.space, "spec", "") or repr(learned.family.notation),
        "surprise": learner.surprise(every), "surprise_unasked": learner.surprise(every, np.full_like(rows, np.nan)),
        "wishes": [],
    }  # fmt: skip
    hashes = set(known.hashes)
    for quantile in QUANTILES:
        score = float(np.quantile(known.scores, quantile))
        graphs = generator.draw(n, score=score, seed=seed, screen=1, new=False, distinct=False, temperature=1.0).graphs
        different = {graph.hash for graph in graphs}
        predicted = None if learned.guide is None or not graphs else float(learned.guide.predict(graphs).mean())
        found["wishes"].append({
            "quantile": quantile, "score": score, "predicted": predicted, "different": len(different) / n,
            "new": len(different - hashes) / n,
        })  # fmt: skip
    return found
