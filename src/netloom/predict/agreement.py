"""How well predictions agree with what came out."""

from __future__ import annotations

from typing import Any

import numpy as np


def kendall_tau(predicted: Any, scores: Any) -> float:
    """Kendall's τ-b: 1 where both order alike, 0 where they have nothing to do with each other. (Kendall, 1945)

    >>> kendall_tau([1, 2, 3], [10, 20, 30])
    1.0
    """
    from scipy.stats import kendalltau

    return float(kendalltau(predicted, scores).statistic)


def r2(predicted: Any, scores: Any) -> float:
    """Share of the scores' variance that predictions explain; below 0 where the mean would be better.

    >>> r2([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    1.0
    """
    predicted, scores = np.asarray(predicted, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    spread = ((scores - scores.mean()) ** 2).sum()
    return float(1 - ((scores - predicted) ** 2).sum() / spread) if spread > 0 else float("nan")


def precision_at(predicted: Any, scores: Any, share: float = 0.01) -> float:
    """Share of the truly best ``share`` of networks that are among the predicted best.

    >>> precision_at([1, 2, 3, 4], [4, 1, 2, 3], share=0.25)
    0.0
    """
    predicted, scores = np.asarray(predicted), np.asarray(scores)
    count = max(1, round(share * len(scores)))
    return len(set(np.argsort(-predicted)[:count].tolist()) & set(np.argsort(-scores)[:count].tolist())) / count
