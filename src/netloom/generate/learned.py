"""`Learned`: all that a generator knows after learning, and how it writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .conditions import COUNT, Conditions, costs_of
from .learning import write

if TYPE_CHECKING:
    from ..predict import Predictor
    from .families import Family
    from .lessons import Written
    from .transformer import TokenTransformer

Array = np.ndarray[Any, Any]

#: How much further than the best (and the worst) score learned a wish may go, on the scale that scores are learned on.
_BEYOND = 0.3
#: How far wishes for the best are spread.
_SPREAD = 0.15
#: Where no known network keeps the caps, costs are wished for between this share of them and all.
_SHARE_OF_CAPS = 0.4


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What was learned from: sequences, hashes, scores (N,), parameters and FLOPs (N, 2)."""

    sequences: list[list[int]]
    hashes: list[str]
    scores: Array
    costs: Array

    def __len__(self) -> int:
        return len(self.hashes)

    @property
    def ranks(self) -> Array:
        """From 0 for the worst score to 1 for the best (N,)."""
        found: Array = self.scores.argsort().argsort() / max(len(self) - 1, 1)
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """The networks that are written, what was known of them, the maps of wishes to numbers, the transformer, the predictor.

    A sequence has ``most_tokens`` at most. ``best`` is what is asked for where no score is wanted, on the scale that scores are
    learned on: so high that enough of the networks that were learned from are about as good.
    """

    family: Family
    known: Known
    conditions: Conditions
    model: TokenTransformer
    most_tokens: int
    guide: Predictor | None
    best: float

    def rows(self, more: Sequence[Written]) -> Array:
        """Conditions (N + M, 3) of the networks known and of ``more``, whose scores are predicted."""
        rows = self.conditions.rows(self.known.scores, self.known.costs)
        if not more or self.guide is None:
            return rows
        graphs = [graph for graph, _ in more]
        return np.concatenate([rows, self.conditions.rows(self.guide.predict(graphs), costs_of(graphs))])

    def asked(
        self, score: float | None, max_params: float | None, max_flops: float | None, count: int, rng: np.random.Generator
    ) -> Array:
        """Conditions (count, 3): scores near what is wanted; where there are caps, costs of known networks within them."""
        conditions, costs = self.conditions, self.known.costs
        scaled = conditions.targets.scaled(self.known.scores)
        low, high = float(scaled.min()) - _BEYOND, float(scaled.max()) + _BEYOND
        if score is None or score >= self.known.scores.max():
            wanted = self.best + _SPREAD * rng.standard_normal(count)
        else:
            wanted = np.full(count, conditions.targets.scaled(score))
        rows = np.full((count, COUNT), np.nan)
        rows[:, 0] = np.clip(wanted, low, high)
        if max_params is None and max_flops is None:
            return rows
        caps = np.array([np.inf if max_params is None else max_params, np.inf if max_flops is None else max_flops])
        fitting = (costs <= caps).all(1)
        if fitting.any():
            near = np.exp(-np.abs(scaled[fitting] - rows[:, 0].mean()))
            chosen = costs[fitting][rng.choice(int(fitting.sum()), count, p=near / near.sum())]
        else:
            chosen = np.where(np.isfinite(caps), caps, np.nan) * rng.uniform(_SHARE_OF_CAPS, 1.0, (count, 1))
        rows[:, 1:] = conditions.scaled_costs(chosen)
        return rows

    def write(self, rows: Array, temperature: float, rng: np.random.Generator) -> list[list[int]]:
        """A sequence for each row of conditions (N, 3)."""
        import torch

        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        return write(self.model, rows, self.most_tokens, temperature=temperature, generator=generator)
