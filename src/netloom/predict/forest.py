"""Decision trees as flat arrays: what scikit-learn grows, netloom keeps, saves and evaluates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
#: Rows that are walked at a time, which then stay in the cache; steps after which those that reached a leaf are set aside.
_ROWS, _STEPS = 512, 4


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
    def of_trees(trees: list[Any], weight: float, bias: float = 0.0, columns: Array | None = None) -> Forest:
        """The ensemble of scikit-learn's ``tree_`` objects, grown on some ``columns`` of the rows or on all."""
        offsets = np.concatenate([[0], np.cumsum([tree.node_count for tree in trees])])
        feature = np.concatenate([tree.feature for tree in trees]).astype(np.int32)
        feature[feature < 0] = -1
        if columns is not None:
            feature = np.where(feature < 0, -1, columns.astype(np.int32)[feature])
        left = np.concatenate([tree.children_left + offset for tree, offset in zip(trees, offsets)]).astype(np.int32)
        right = np.concatenate([tree.children_right + offset for tree, offset in zip(trees, offsets)]).astype(np.int32)
        value = np.concatenate([tree.value[:, 0, 0] for tree in trees])
        threshold = np.concatenate([tree.threshold for tree in trees])
        return Forest(feature, threshold, left, right, value, offsets[:-1].astype(np.int32), weight, bias)

    def __call__(self, x: Array) -> Array:
        """Predictions (N,) for rows (N, D)."""
        used, feature = np.unique(np.maximum(self.feature, 0), return_inverse=True)
        walk = _Walk.of(self, feature.astype(np.int32))
        # scikit-learn grows its trees on float32: rounding here as there sends every row the same way.
        columns = np.ascontiguousarray(x[:, used], dtype=np.float32)
        leaves = [self.value[walk(columns[i : i + _ROWS], self.roots)].sum(1) for i in range(0, len(x), _ROWS)]
        return self.bias + self.weight * np.concatenate(leaves or [np.zeros(0)])


@dataclass(frozen=True, slots=True)
class _Walk:
    """Nodes as tables for steps down: left of node i is ``child[2 i]``, right ``child[2 i + 1]``; leaves lead to themselves."""

    feature: Array
    threshold: Array
    child: Array
    is_inner: Array

    @staticmethod
    def of(forest: Forest, feature: Array) -> _Walk:
        is_inner = forest.feature >= 0
        rounded = forest.threshold.astype(np.float32)
        # The largest number of float32 that is not above: what float32 rows compare with as with the threshold itself.
        rounded = np.where(rounded > forest.threshold, np.nextafter(rounded, np.float32(-np.inf)), rounded)
        itself = np.arange(len(feature), dtype=np.int32)
        child = np.empty(2 * len(feature), dtype=np.int32)
        child[0::2], child[1::2] = np.where(is_inner, forest.left, itself), np.where(is_inner, forest.right, itself)
        return _Walk(np.where(is_inner, feature, 0), np.where(is_inner, rounded, np.float32(np.inf)), child, is_inner)

    def __call__(self, x: Array, roots: Array) -> Array:
        """The leaf (N, T) that each row reaches from each root."""
        values = x.ravel()
        row = np.repeat(np.arange(len(x), dtype=np.int32) * x.shape[1], len(roots))
        node, places = np.tile(roots, len(x)), np.arange(len(x) * len(roots), dtype=np.int32)
        found = np.empty(len(node), dtype=np.int32)
        while len(node):
            for _ in range(_STEPS):
                goes_right = values.take(self.feature.take(node) + row) > self.threshold.take(node)
                node = self.child.take(2 * node + goes_right)
            active = self.is_inner.take(node)
            found[places[~active]] = node[~active]
            node, row, places = node[active], row[active], places[active]
        return found.reshape(len(x), len(roots))
