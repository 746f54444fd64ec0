"""Trees as flat arrays predict what scikit-learn's own do."""

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor

from netloom.predict.forest import Forest


@pytest.mark.parametrize("rows", [1, 700])
def test_it_predicts_what_the_trees_do(rows):
    rng = np.random.default_rng(0)
    # Rounded values lie on thresholds.
    x, others = rng.normal(size=(90, 12)).round(1), rng.normal(size=(rows, 12)).round(1)
    trees = ExtraTreesRegressor(20, max_features=0.5, random_state=0).fit(x, x[:, 0] - x[:, 1] ** 2 + rng.normal(size=90))
    forest = Forest.of_trees([tree.tree_ for tree in trees.estimators_], 1 / 20)
    np.testing.assert_allclose(forest(others), trees.predict(others), atol=1e-12)


def test_a_tree_of_one_leaf_and_no_rows():
    trees = ExtraTreesRegressor(2, random_state=0).fit(np.zeros((5, 3)), np.arange(5.0))
    forest = Forest.of_trees([tree.tree_ for tree in trees.estimators_], 1 / 2)
    assert forest(np.ones((4, 3))).tolist() == [2.0] * 4
    assert forest(np.ones((0, 3))).shape == (0,)
