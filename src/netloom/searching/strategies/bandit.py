"""Evolution that learns which edits pay."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from ...errors import SearchError
from ..offspring import default_mutations
from ..proposal import Proposal, Result
from ..space_edits import has_own_edits, notation_of, token_kinds
from .evolution import Evolution

if TYPE_CHECKING:
    import numpy

    from ..context import Context

#: The weight of the kinds that were not chosen, beside the one that was: where that one cannot be done, another one is.
_OTHERS = 0.02


@dataclass(repr=False)
class Bandit(Evolution):
    """Evolution whose kinds of mutations are arms of a bandit; the gain of a child over its parent is what an arm pays.

    ``policy`` is ``"thompson"`` (a draw from what is believed of each arm) or ``"ucb"`` (its mean and ``width`` standard
    errors). Gains are measured in standard deviations of all gains, and of late ones count most: the weight of an old one falls
    by half in ``memory`` children, for what pays at first does not pay for ever. All other settings are those of `Evolution`.

    Sources: O. Chapelle and L. Li, "An Empirical Evaluation of Thompson Sampling", NIPS 2011; adaptive operator selection:
    L. DaCosta et al., "Adaptive Operator Selection with Dynamic Multi-Armed Bandits", GECCO 2008.
    """

    name: ClassVar[str] = "bandit"

    policy: str = "thompson"
    width: float = 1.0
    memory: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.policy not in ("thompson", "ucb"):
            raise SearchError(f"bandit: policy = {self.policy!r}; expected 'thompson' or 'ucb'")
        if isinstance(self.memory, bool) or not isinstance(self.memory, int) or self.memory < 1 or not self.width >= 0:
            raise SearchError(
                f"bandit: memory = {self.memory!r}, width = {self.width!r}; expected an integer ≥ 1, a number ≥ 0"
            )

    def begin(self, context: Context) -> None:
        super().begin(context)
        self._kinds = self._arms(context)
        self._gains: list[tuple[str, float]] = []
        self._fitness_of: dict[str, float] = {}

    def _arms(self, context: Context) -> tuple[str, ...]:
        if self.mutations is not None:
            return tuple(self.mutations)
        notation = notation_of(context.space)
        if notation is not None and (has_own_edits(context.space) or not self.inherit):
            self._breeding = replace(self._breeding, by_kind=True)
            return token_kinds(notation)
        return tuple(default_mutations())

    def tell(self, index: int, result: Result) -> None:
        super().tell(index, result)
        if not self.context.keeps(result) or result.repeated:
            return
        value = self._fitnesses.of(result)
        edit, parents = result.lineage.edit, result.lineage.parents
        if isinstance(edit, dict) and parents and parents[0] in self._fitness_of:
            for kind in str(edit.get("kind", "")).split(" + "):
                if kind in self._kinds:
                    self._gains.append((kind, value - self._fitness_of[parents[0]]))
        self._fitness_of.setdefault(result.graph.hash, value)

    def _child(self, parents: list[Result], rng: numpy.random.Generator) -> Proposal | None:
        worth = {kind: self._worth(mean, error, rng) for kind, (mean, error) in self.beliefs().items()}
        best = max(worth, key=lambda kind: worth[kind])
        weights = {kind: 1.0 if kind == best else _OTHERS for kind in self._kinds}
        self._breeding = replace(self._breeding, weights=weights)
        return super()._child(parents, rng)

    def _worth(self, mean: float, error: float, rng: numpy.random.Generator) -> float:
        noise = float(rng.standard_normal())  # drawn in any case: it also decides among equals
        return mean + error * noise if self.policy == "thompson" else mean + self.width * error + 1e-9 * noise

    def beliefs(self) -> dict[str, tuple[float, float]]:
        """Of every kind of edit, the mean gain and its standard error, in standard deviations of all gains.

        As from a normal prior with mean 0 and deviation 1, which counts as one child.
        """
        sums, counts = dict.fromkeys(self._kinds, 0.0), dict.fromkeys(self._kinds, 1.0)
        values = sorted(gain for _, gain in self._gains if math.isfinite(gain))
        # Between quantiles: a few children that fail to learn would else make all other gains look equal.
        scale = (values[(len(values) - 1) * 7 // 8] - values[(len(values) - 1) // 8]) / 2.3 if len(values) > 3 else 1.0
        for age, (kind, gain) in enumerate(reversed(self._gains)):
            weight = 0.5 ** (age / self.memory)
            sums[kind] += weight * min(max(gain / max(scale, 1e-9), -3.0), 3.0)
            counts[kind] += weight
        return {kind: (sums[kind] / counts[kind], 1 / math.sqrt(counts[kind])) for kind in self._kinds}
