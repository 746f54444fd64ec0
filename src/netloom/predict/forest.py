"""Decision trees as flat arrays: what scikit-learn grows, netloom keeps, saves and evaluates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
_ROWS = 4096


@dataclass(frozen=True, slots=True)
class Forest:
    """Nodes of all trees in one table; leaves have feature −1. A row goes left where its feature is ≤ the threshold.

    ``weight`` is what each tree's value counts, ``bias`` is added.
    """

    feature: Array
    threshold: Array
    left: Array
    right: Array
    value: Array
    roots: Array
    weight: float
    bias: float

    @staticmethod
    def of_trees(trees: list[Any], weight: float, bias: float = 0.0) -> Forest:
        """The ensemble of scikit-learn's ``tree_`` objects."""
        offsets = np.concatenate([[0], np.cumsum([tree.node_count for tree in trees])])
        feature = np.concatenate([tree.feature for tree in trees]).astype(np.int32)
        feature[feature < 0] = -1
        left = np.concatenate([tree.children_left + offset for tree, offset in zip(trees, offsets)]).astype(np.int32)
        right = np.concatenate([tree.children_right + offset for tree, offset in zip(trees, offsets)]).astype(np.int32)
        value = np.concatenate([tree.value[:, 0, 0] for tree in trees])
        threshold = np.concatenate([tree.threshold for tree in trees])
        return Forest(feature, threshold, left, right, value, offsets[:-1].astype(np.int32), weight, bias)

    def __call__(self, x: Array) -> Array:
        """Predictions (N,) for rows (N, D)."""
        # scikit-learn grows its trees on float32: rounding here as there sends every row the same way.
        x = np.ascontiguousarray(x, dtype=np.float32)
        return np.concatenate([self._some(x[i : i + _ROWS]) for i in range(0, len(x), _ROWS)] or [np.zeros(0)])

    def _some(self, x: Array) -> Array:
        total = np.full(len(x), self.bias)
        rows = np.arange(len(x))
        for root in self.roots:
            node = np.full(len(x), root)
            active = rows
            while len(active):
                at = node[active]
                feature = self.feature[at]
                inner = feature >= 0
                if not inner.all():
                    active, at, feature = active[inner], at[inner], feature[inner]
                goes_left = x[active, feature] <= self.threshold[at]
                node[active] = np.where(goes_left, self.left[at], self.right[at])
            total += self.weight * self.value[node]
        return total
