"""Meta-features: pymfe's values, and what becomes of data that have none."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn import datasets

import netloom as nl
from netloom.errors import TaskError
from netloom.tasks.metafeatures import FEATURES, TREE, MetaFeatures, get_meta_features, names
from netloom.tasks.metafeatures_information import Crosstab
from netloom.tasks.metafeatures_views import binned

RNG = np.random.default_rng(0)
BLOCK = np.c_[np.ones(100), RNG.normal(size=(100, 3))]
SIGNS = (BLOCK[:, 1] > 0).astype(int)


def with_nan(rows: Any) -> np.ndarray:
    x = BLOCK.copy()
    x[rows, 2] = np.nan
    return x


def with_text() -> np.ndarray:
    x = np.empty((100, 3), dtype=object)
    x[:, 0] = ["abc"[i % 3] for i in range(100)]
    x[:, 1:] = BLOCK[:, 1:3]
    return x


def regression() -> tuple[np.ndarray, np.ndarray]:
    return datasets.make_regression(n_samples=500, n_features=10, n_informative=6, noise=1.0, random_state=0)


#: Name in the reference → X, y and settings.
REFERENCE: dict[str, Any] = {
    "iris": lambda: (*datasets.load_iris(return_X_y=True), {}),
    "wine": lambda: (*datasets.load_wine(return_X_y=True), {}),
    "breast_cancer": lambda: (*datasets.load_breast_cancer(return_X_y=True), {}),
    "digits": lambda: (*datasets.load_digits(return_X_y=True), {}),
    "diabetes_raw_target": lambda: (*datasets.load_diabetes(return_X_y=True), {"target": "classes"}),
    "make_regression_raw_target": lambda: (*regression(), {"compatible": True}),
    "make_regression_3_quantile_classes": lambda: (*regression(), {}),
    "constant_column": lambda: (BLOCK, SIGNS, {}),
    "nan_values_without_complexity_group": lambda: (with_nan(slice(5)), SIGNS, {}),
    "nan_column": lambda: (with_nan(slice(None)), SIGNS, {}),
    "one_row_without_complexity_group": lambda: ([[1.0, 2.0, 3.0]], [0], {"compatible": True}),
    "one_class": lambda: (BLOCK[:, 1:], np.zeros(100, int), {"compatible": True}),
    "one_column": lambda: (BLOCK[:, 1:2], SIGNS, {}),
    "string_column": lambda: (with_text(), SIGNS, {}),
    "string_classes": lambda: (BLOCK[:, 1:], np.where(SIGNS > 0, "p", "n"), {}),
    "binary_column": lambda: (np.c_[BLOCK[:, 2] > 0, BLOCK[:, 1:]], SIGNS, {}),
    "class_of_one": lambda: (BLOCK[:, 1:], (np.arange(100) == 0).astype(int), {}),
}
#: Some of pymfe 0.4.4's values for iris, so that something is compared where the reference is not at hand.
IRIS = {
    "attr_conc.mean": 0.20980476831180148, "attr_conc.sd": 0.11958798177321278, "attr_ent.mean": 2.2771912775084115,
    "attr_ent.sd": 0.06103943244855649, "attr_to_inst": 0.02666666666666667, "class_conc.mean": 0.273473841331267,
}  # fmt: skip


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    folder = os.environ.get("NETLOOM_DATA")
    if not folder:
        pytest.skip("NETLOOM_DATA is unset: pymfe's values are not at hand")
    return json.loads((Path(folder) / "metafeatures_reference.json").read_text())


@pytest.mark.parametrize("name", REFERENCE)
def test_values_are_those_of_pymfe(name: str, reference: dict[str, Any]) -> None:
    x, y, settings = REFERENCE[name]()
    found = get_meta_features(x, y, **settings)
    same_trees = reference["meta"]["scikit_learn"] == sklearn.__version__
    for key, value in reference["datasets"][name]["values"].items():
        if FEATURES[key.partition(".")[0]].group != TREE or same_trees:
            expected = math.nan if value is None else float(value)
            assert found[key] == pytest.approx(expected, rel=1e-6, abs=1e-12, nan_ok=True), key


def test_iris() -> None:
    found = nl.get_meta_features(*datasets.load_iris(return_X_y=True))
    assert list(found) == sorted(found) and len(found) == 37
    assert all(type(value) is float for value in found.values())
    for key, value in IRIS.items():
        assert found[key] == pytest.approx(value, rel=1e-9), key
    assert found["class_ent"] == pytest.approx(math.log2(3)) and found["inst_to_attr"] == 37.5
    assert not found.reasons


def test_every_feature_has_its_formula() -> None:
    assert len(FEATURES) == 23 and len(names()) == 37
    assert all(about.formula for about in FEATURES.values())
    assert get_meta_features(BLOCK, SIGNS, ["f1.sd", "nr_attr", "cor"]).keys() == {"f1.sd", "nr_attr", "cor.mean", "cor.sd"}
    assert list(get_meta_features(BLOCK, SIGNS, ["nr_class", "cov.mean"])) == ["nr_class", "cov.mean"]
    with pytest.raises(TaskError, match="no meta-feature 'skewnes'; did you mean 'skewness'"):
        get_meta_features(BLOCK, SIGNS, ["skewnes"])
    with pytest.raises(TaskError, match=r"'nr_attr.mean'"):
        get_meta_features(BLOCK, SIGNS, ["nr_attr.mean"])


# -- targets -----------------------------------------------------------------------------------------------------------
def same(a: MetaFeatures, b: MetaFeatures, **tolerance: float) -> bool:
    return list(a) == list(b) and bool(np.allclose(list(a.values()), list(b.values()), equal_nan=True, **tolerance))


def test_real_targets_become_three_quantile_classes() -> None:
    x, y = regression()
    classes = np.searchsorted(np.quantile(y, [1 / 3, 2 / 3]), y, side="left")
    assert same(get_meta_features(x, y), get_meta_features(x, classes))
    assert get_meta_features(*datasets.load_diabetes(return_X_y=True))["nr_class"] == 3
    assert get_meta_features(x, y, ["nr_class"], target="classes")["nr_class"] == 500
    assert get_meta_features(BLOCK, SIGNS, ["nr_class"])["nr_class"] == 2
    without = get_meta_features(x, y, target="nan")
    assert "real-valued" in without.reasons["class_ent"] and math.isfinite(without["cor.mean"])
    with pytest.raises(TaskError, match="target = 'classs'"):
        get_meta_features(x, y, target="classs")


def test_targets_of_any_kind() -> None:
    plain = get_meta_features(BLOCK[:, 1:], SIGNS)
    for y in (SIGNS.tolist(), SIGNS.astype(bool), SIGNS.astype(float), SIGNS[:, None], torch.from_numpy(SIGNS),
              pd.Series(SIGNS), pd.Series(SIGNS).astype("category"), pd.Series(SIGNS, dtype="Int64"),
              np.where(SIGNS, "yes", "no"), ["n" if s == 0 else "p" for s in SIGNS]):  # fmt: skip
        assert same(plain, get_meta_features(BLOCK[:, 1:], y))


def test_no_target_and_several_targets() -> None:
    for y, reason in ((None, "no target"), (BLOCK[:, 1:], "3 columns")):
        found = get_meta_features(BLOCK, y)
        assert math.isfinite(found["cov.mean"]) and math.isnan(found["f1.mean"])
        assert reason in found.reasons["mut_inf.mean"] and reason in found.reasons["tree_depth.mean"]


def test_rows_without_target_are_left_out() -> None:
    y = SIGNS.astype(float)
    y[:10] = np.nan
    assert same(get_meta_features(BLOCK, y), get_meta_features(BLOCK[10:], SIGNS[10:]))
    named = np.where(SIGNS, "yes", "no").astype(object)
    named[:10] = None
    assert same(get_meta_features(BLOCK, named), get_meta_features(BLOCK[10:], SIGNS[10:]))


# -- samples -----------------------------------------------------------------------------------------------------------
def test_samples_of_any_kind() -> None:
    from scipy.sparse import csr_matrix

    x = BLOCK.astype(np.float32).astype(np.float64)
    plain = get_meta_features(x, SIGNS)
    frame = pd.DataFrame(x, columns=list("abcd"))
    for given in (x.tolist(), torch.from_numpy(x).float(), frame, frame.astype("Float64"), x.astype(object),
                  np.asfortranarray(x), csr_matrix(x), x.reshape(100, 2, 2)):  # fmt: skip
        assert same(plain, get_meta_features(given, SIGNS))
    mixed = pd.DataFrame({"letter": list(with_text()[:, 0]), "x": BLOCK[:, 1], "z": BLOCK[:, 2]})
    assert same(get_meta_features(with_text(), SIGNS), get_meta_features(mixed, SIGNS))
    assert same(get_meta_features(mixed.astype({"letter": "category"}), SIGNS), get_meta_features(mixed, SIGNS))
    assert same(get_meta_features(mixed.values.tolist(), SIGNS), get_meta_features(mixed, SIGNS))


def test_dates_count_as_numbers_and_missing_categories_as_a_level() -> None:
    days = pd.date_range("2020-01-01", periods=100)
    frame = pd.DataFrame({"day": days, "seconds": (days - days[0]).total_seconds()})
    found = get_meta_features(frame, SIGNS, ["cor", "attr_ent", "kurtosis"])
    assert found["cor.mean"] == pytest.approx(1) and found["attr_ent.sd"] == pytest.approx(0)
    letters = pd.DataFrame({"letter": ["a", None] * 50, "x": BLOCK[:, 1]})
    assert get_meta_features(letters, SIGNS, ["attr_ent", "nr_attr"])["attr_ent.mean"] == pytest.approx((1 + 2) / 2)


def test_the_callers_generator_is_left_alone() -> None:
    x = np.random.default_rng(1).normal(size=(60, 20))
    np.random.seed(5)
    before = np.random.get_state()[1].copy()
    found = get_meta_features(x, x[:, 0] > 0, seed=1)
    assert (np.random.get_state()[1] == before).all()
    assert same(found, get_meta_features(x, x[:, 0] > 0, seed=1))
    assert found["attr_conc.mean"] != get_meta_features(x, x[:, 0] > 0, seed=2)["attr_conc.mean"]


# -- what has no value ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("x", "y", "feature", "reason"),
    [
        (BLOCK, SIGNS, "cor.mean", "column 0 is constant"),
        (np.c_[BLOCK[:, 0], BLOCK[:, 0]], SIGNS, "skewness.mean", "columns 0, 1 are constant"),
        (with_nan(slice(5)), SIGNS, "f1.mean", "column 2 has missing cells"),
        (np.c_[BLOCK[:, 1:], np.full(100, np.inf)], SIGNS, "tree_depth.mean", "infinity"),
        (np.c_[BLOCK[:, 1:], np.full(100, np.inf)], SIGNS, "kurtosis.mean", "column 3 has infinite cells"),
        (BLOCK, np.zeros(100, int), "ns_ratio", "one class only"),
        (BLOCK, np.zeros(100, int), "gravity", "one class only"),
        (BLOCK, np.zeros(100, int), "f2.mean", "one class only"),
        (np.ones((100, 2)), SIGNS, "eq_num_attr", "share no information"),
        (np.ones((100, 2)), SIGNS, "leaves_per_class.mean", "no node but its root"),
        (BLOCK[:, 1:2], SIGNS, "cov.mean", "one column only"),
        (BLOCK[:, 1:2], SIGNS, "sparsity.sd", "one value only"),
        ([[1.0, 2.0, 3.0]], [0], "cov.mean", "one row only"),
        ([[1.0, 2.0, 3.0]], [0], "sparsity.mean", "one row only"),
    ],
)
def test_reasons(x: Any, y: Any, feature: str, reason: str) -> None:
    found = get_meta_features(x, y)
    assert len(found) == 37 and math.isnan(found[feature]) and reason in found.reasons[feature]
    assert set(found.reasons) == {name for name, value in found.items() if math.isnan(value)}


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("d", [1, 2, 13])
def test_tiny_data_never_raise(n: int, d: int) -> None:
    rng = np.random.default_rng(n * 100 + d)
    for x in (rng.normal(size=(n, d)), rng.integers(0, 2, (n, d)), rng.choice(["a", "b"], (n, d)), np.full((n, d), np.nan)):
        for y in (rng.integers(0, 2, n), rng.normal(size=n), ["a"] * n, np.arange(n), None):
            found = get_meta_features(x, y)
            assert len(found) == 37 and all(found.reasons[name] for name, value in found.items() if value != value)


@pytest.mark.parametrize("x", [[], np.zeros((0, 3)), np.zeros((3, 0)), pd.DataFrame()])
def test_nothing_at_all_is_an_error(x: Any) -> None:
    with pytest.raises(TaskError, match="at least one sample|needs its target"):
        get_meta_features(x, [0, 1, 1] if len(x) else [])


def test_what_is_no_table_is_an_error() -> None:
    with pytest.raises(TaskError, match="X has 100 rows, y has 99"):
        get_meta_features(BLOCK, SIGNS[:99])
    with pytest.raises(TaskError, match="different lengths"):
        get_meta_features([[1.0, 2.0], [1.0]], [0, 1])
    with pytest.raises(TaskError, match="expected a table"):
        get_meta_features(3.0, [1])
    with pytest.raises(TaskError, match="y has no value"):
        get_meta_features(BLOCK, np.full(100, np.nan))


# -- sizes ---------------------------------------------------------------------------------------------------------------
def test_many_levels_take_no_more_memory_than_rows() -> None:
    """Two columns of names: their table would have 4·10⁸ cells, their dummy columns as many."""
    names_of_rows = np.array([f"row {i}" for i in range(20_000)], dtype=object)
    found = get_meta_features(np.c_[names_of_rows, names_of_rows[::-1]], np.arange(20_000) % 2)
    assert found["attr_ent.mean"] == pytest.approx(math.log2(20_000)) and "too many levels" in found.reasons["cor.mean"]
    n, marginal = 20_000, 1 / 20_000 + 20_000 * 1e-8
    spread = n * marginal**2
    told = n * ((1 / n + 1e-8) ** 2 + (n - 1) * 1e-16) / marginal
    assert found["attr_conc.mean"] == pytest.approx((told - spread) / (1 - spread), rel=1e-9)


def test_large_and_small_tables_of_two_columns_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    from netloom.tasks import metafeatures_information

    a, b = np.random.default_rng(0).integers(0, 9, 300), np.random.default_rng(1).integers(0, 200, 300)
    b = np.unique(b, return_inverse=True)[1]
    dense = Crosstab.of(a, b)
    monkeypatch.setattr(metafeatures_information, "_DENSE", 0)
    sparse = Crosstab.of(a, b)
    assert len(a) * 4 < 9 * (b.max() + 1)
    for measure in ("joint_entropy", "concentration", "concentration_of_columns"):
        assert getattr(dense, measure)() == pytest.approx(getattr(sparse, measure)(), rel=1e-12)


@pytest.mark.parametrize("n", [2, 7, 27, 64, 100, 999, 1000, 4097])
def test_bins_are_those_of_numpys_quantiles(n: int) -> None:
    rng = np.random.default_rng(n)
    columns = np.stack([rng.normal(size=n), rng.integers(0, 4, n).astype(float), np.round(rng.normal(size=n), 1), np.ones(n)])
    for row, codes in zip(columns, binned(columns, np.sort(columns, axis=1))):
        edges = np.quantile(row, np.linspace(0, 1, int(n ** (1 / 3)) + 1)[1:])
        edges = edges[np.append(True, np.diff(edges) > 1e-8)]
        assert (codes == np.digitize(row, edges, right=True)).all()


def test_features_without_tree_grow_none() -> None:
    """A subset must not pay for the tree: scikit-learn's trees are not even imported."""
    code = (
        "import sys, numpy as np; from netloom.tasks.metafeatures import *\n"
        "x = np.random.default_rng(0).normal(size=(50, 3))\n"
        "get_meta_features(x, x[:, 0] > 0, [n for n, f in FEATURES.items() if f.group != TREE])\n"
        "print('sklearn.tree' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(nl.__file__).resolve().parents[1])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "False"


def test_rows_of_the_tree_may_be_limited() -> None:
    x = np.random.default_rng(0).normal(size=(2000, 4))
    y = (x[:, 0] + np.random.default_rng(1).normal(size=2000) > 0).astype(int)
    whole, limited = get_meta_features(x, y), get_meta_features(x, y, max_tree_rows=100)
    assert limited["nodes_per_attr"] < whole["nodes_per_attr"] / 4 and limited["cor.mean"] == whole["cor.mean"]
    assert same(whole, get_meta_features(x, y, max_tree_rows=2000))


# -- odd tables --------------------------------------------------------------------------------------------------------
def test_masked_named_and_half_numbers_are_what_they_are() -> None:
    plain = np.arange(12.0).reshape(6, 2) ** 2
    expected = get_meta_features(plain, [0, 1] * 3)
    named = np.array([tuple(row) for row in plain], dtype=[("a", float), ("b", float)])
    for x in ({"a": plain[:, 0], "b": plain[:, 1]}, named, torch.tensor(plain).bfloat16()):
        np.testing.assert_allclose([*get_meta_features(x, [0, 1] * 3).values()], [*expected.values()], atol=1e-12)
    masked = get_meta_features(np.ma.masked_array(plain, plain > 100), [0, 1] * 3)
    assert masked.reasons["cor.mean"] == "column 1 has missing cells"
    dates = np.arange(6).astype("datetime64[D]")
    framed = get_meta_features(pd.DataFrame({"d": dates}))
    np.testing.assert_allclose([*get_meta_features(dates[:, None]).values()], [*framed.values()], atol=1e-12)
    with pytest.raises(TaskError, match="complex numbers"):
        get_meta_features(plain + 1j)


def test_what_is_too_large_for_a_number_is_none() -> None:
    found = get_meta_features(BLOCK[:, 1:] * 1e300, SIGNS)
    assert not any(math.isinf(value) for value in found.values())
    assert found.reasons["cov.mean"] == "it is too large for a number of 64 bits" and "too large" in found.reasons["cor.mean"]


@pytest.mark.parametrize("options", [{"seed": -1}, {"seed": "a"}, {"max_tree_rows": 0}, {"max_tree_rows": 1.5}])
def test_numbers_that_make_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises(TaskError, match="expected a"):
        get_meta_features(BLOCK, SIGNS, **options)
