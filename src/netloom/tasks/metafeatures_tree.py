"""Meta-features of the decision tree that tells the classes of a table apart: how deep, how many leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .metafeatures_views import Views

if TYPE_CHECKING:
    import numpy


class Tree:
    """scikit-learn's decision tree of a table, grown to the end when it is first asked for. It takes most of the time."""

    def __init__(self, views: Views, seed: int, max_rows: int | None) -> None:
        self.views, self.seed, self.max_rows = views, seed, max_rows
        self._tree: Any = None

    def tree_depth(self) -> numpy.ndarray:
        import numpy as np

        tree = self._grown()
        depths = np.zeros(tree.node_count)
        # A node comes before its children.
        for node, (left, right) in enumerate(zip(tree.children_left, tree.children_right)):
            if left >= 0:
                depths[left] = depths[right] = depths[node] + 1
        return depths

    def leaves_branch(self) -> numpy.ndarray:
        return self.tree_depth()[self._leaves()]

    def nodes_per_attr(self) -> numpy.ndarray:
        import numpy as np

        tree = self._grown()
        return np.array([(tree.node_count - tree.n_leaves) / self._inputs().shape[1]])

    def leaves_per_class(self) -> numpy.ndarray:
        import numpy as np

        tree = self._grown()
        if tree.node_count == 1:
            return np.zeros(0)
        told = tree.value[self._leaves()].argmax(2).reshape(-1)
        counts = np.bincount(told)
        return counts[counts > 0] / tree.n_leaves

    def _leaves(self) -> numpy.ndarray:
        return self._grown().children_left < 0

    def _inputs(self) -> numpy.ndarray:
        numbers: Any = self.views.numbers
        return numbers.T

    def _grown(self) -> Any:
        if self._tree is None:
            import numpy as np
            from sklearn.tree import DecisionTreeClassifier

            x, y = self._inputs(), self.views.classes
            if self.max_rows is not None and len(x) > self.max_rows:
                rows = np.sort(np.random.default_rng(self.seed).choice(len(x), self.max_rows, replace=False))
                x, y = x[rows], y[rows]  # type: ignore[index]
            self._tree = DecisionTreeClassifier(random_state=self.seed).fit(np.ascontiguousarray(x), y).tree_
        return self._tree
