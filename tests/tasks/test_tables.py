"""Tables: what columns are taken for, what is fitted on what, files of all kinds, and what is refused."""

from __future__ import annotations

import gzip
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_diabetes, load_wine

from netloom import tasks
from netloom.errors import NetloomWarning, TaskError
from netloom.tasks.tables.columns import as_dates, decide_columns
from netloom.tasks.tables.reading import read_table

N = 200


def houses() -> pd.DataFrame:
    """Every kind of column, with gaps."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "rooms": rng.integers(1, 9, N),
            "area": rng.normal(80, 20, N),
            "city": rng.choice(["Paris", "Rome", "Köln"], N),
            "built": pd.date_range("1990-01-01", periods=N, freq="40D"),
            "sold at": pd.date_range("2020-01-01", periods=N, freq="7h").astype(str),
            "lift": rng.random(N) < 0.5,
            "zip": rng.choice([1001, 2002, 3003], N).astype(float),
            "id": [f"house {number}" for number in range(N)],
            "country": "EU",
            "empty": np.nan,
        }
    )
    frame["price"] = 1000 * frame["area"] + 5000 * frame["lift"] + rng.normal(size=N)
    frame["fast"] = rng.choice(["yes", "no"], N)
    for column in ("area", "city", "zip"):
        frame.loc[rng.random(N) < 0.1, column] = np.nan
    return frame


@pytest.fixture
def house_csv(tmp_path: Path) -> Path:
    path = tmp_path / "houses.csv"
    houses().to_csv(path, index=False)
    return path


# -- columns -------------------------------------------------------------------------------------------------------
def test_columns_are_taken_for_what_they_are() -> None:
    kinds = {column.name: column.kind for column in decide_columns(houses(), {})}
    assert kinds == {
        "rooms": "numeric", "area": "numeric", "city": "categorical", "built": "date", "sold at": "date", "lift": "numeric",
        "zip": "numeric", "id": "dropped", "country": "dropped", "empty": "dropped", "price": "numeric", "fast": "categorical",
    }  # fmt: skip
    reasons = {column.name: column.reason for column in decide_columns(houses(), {}) if column.kind == "dropped"}
    assert reasons["country"] == "the same value in all rows" and reasons["empty"] == "no values"
    assert "most values differ" in reasons["id"]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "2.5", None], "numeric"),
        (["1", "2.5", "x"], "categorical"),
        (["2020-01-02", "2021-03-04", None], "date"),
        (["1/2/2020", "13/4/2021"], "date"),
        (["2020-01-02T10:20:30Z", "2020-01-03T10:20:30Z"], "date"),
        (["2020-01-02", "soon"], "categorical"),
        ([True, None, False], "numeric"),
        ([pd.Timedelta("1h"), pd.Timedelta("2h")], "numeric"),
        (pd.Series([1, None, 2], dtype="Int64"), "numeric"),
        (pd.Series(["a", None, "b"], dtype="string"), "categorical"),
        (pd.Series(["a", "b", "a"], dtype="category"), "categorical"),
        ([np.inf, 1.0], "numeric"),
        ([[1], [2]], "dropped"),
        ([f"text {n}" for n in range(200)], "dropped"),
        (list(range(200)), "numeric"),
    ],
)
def test_single_columns(values: list | pd.Series, kind: str) -> None:
    column = decide_columns(pd.DataFrame({"a": values}), {})[0]
    assert column.kind == kind, column


def test_days_before_months_where_only_that_makes_dates() -> None:
    assert as_dates(pd.Series(["13/4/2020", "1/2/2020"])).dt.month.tolist() == [4, 2]
    assert as_dates(pd.Series(["4/13/2020", "1/2/2020"])).dt.month.tolist() == [4, 1]
    assert as_dates(pd.Series(["1.2.2020"])).dt.month.tolist() == [2]


def test_features_have_names_and_the_train_part_mean_0_and_sd_1() -> None:
    task = tasks.from_frame(houses(), "price")
    assert task.kind == "regression" and task.target_names == ("price",)
    names = list(task.feature_names)
    assert tuple(task.train.x.shape) == (120, len(names)) and len(set(names)) == len(names)
    for name in ("rooms", "area", "area is missing", "city_Paris", "city_(missing)", "built days", "sold at sine of day"):
        assert name in names
    assert "built sine of day" not in names and not any(name.startswith(("id", "country", "empty", "price")) for name in names)
    for name in ("rooms", "area", "area is missing", "built days", "lift"):
        column = task.train.x[:, names.index(name)]
        assert abs(float(column.mean())) < 1e-5 and abs(float(column.std(correction=0)) - 1) < 1e-5
    cities = task.train.x[:, [names.index(name) for name in names if name.startswith("city_")]]
    assert torch.equal(cities.sum(1), torch.ones(120)) and set(cities.unique().tolist()) == {0.0, 1.0}


def test_preprocessing_sees_the_train_part_alone() -> None:
    """Values of other rows may be as wild as they like: the features of the train part stay what they are."""
    frame = houses()
    task = tasks.from_frame(frame, "price", seed=4)
    in_train = {float(v) for v in task.restore(task.train.y)[:, 0].round()}
    outside = ~frame["price"].astype("float32").round().isin(in_train).to_numpy()
    assert outside.sum() == N - 120
    wild = frame.copy()
    wild.loc[outside, "area"] = 1e9
    wild.loc[outside, "city"] = "Atlantis"
    other = tasks.from_frame(wild, "price", seed=4)
    assert torch.equal(other.train.x, task.train.x) and other.feature_names == task.feature_names
    assert not torch.equal(other.valid.x, task.valid.x)


def test_targets_are_standardised_on_the_train_part_and_restored() -> None:
    frame = houses()
    task = tasks.from_frame(frame, "price")
    assert abs(float(task.train.y.mean())) < 1e-5 and abs(float(task.train.y.std(correction=0)) - 1) < 1e-5
    restored = torch.cat([task.restore(part.y) for part in (task.train, task.valid, task.read_test())])[:, 0]
    assert np.allclose(sorted(restored.tolist()), sorted(frame["price"]), rtol=1e-5)


def test_new_rows_are_made_ready_as_the_old_ones() -> None:
    frame = houses()
    task = tasks.from_frame(frame, "price", categorical=["zip"])
    rows = {tuple(row) for row in task.transform(frame).tolist()}
    assert {tuple(row) for row in task.valid.x.tolist()} <= rows
    assert torch.equal(task.transform(frame.drop(columns=["price", "id"]).iloc[::-1]), task.transform(frame).flip(0))
    one = frame.iloc[0].to_dict()
    assert torch.equal(task.transform(one), task.transform(frame.head(1))) and torch.equal(
        task.transform([one, one])[1:], task.transform(one)
    )
    strange = task.transform({**one, "city": "Atlantis", "zip": 9, "area": "a lot", "built": None})
    assert strange.shape == (1, len(task.feature_names)) and bool(torch.isfinite(strange).all())
    assert float(strange[0, [n.startswith("city_") for n in task.feature_names]].sum()) == 0
    sent = pickle.loads(pickle.dumps(task))
    assert torch.equal(sent.transform(frame), task.transform(frame)) and sent.hash == task.hash
    with pytest.raises(TaskError, match="no column 'city'"):
        task.transform(frame.drop(columns="city"))
    with pytest.raises(TaskError, match="new rows come as a DataFrame or dicts"):
        task.transform("x")


def test_overrides_by_name() -> None:
    task = tasks.from_frame(houses(), "fast", drop=["area"], categorical=["rooms"], numeric=["zip"], dates=["built"])
    kinds = {column.name: column.kind for column in task.preprocessing.columns}  # type: ignore[union-attr]
    assert kinds["area"] == "dropped" and kinds["rooms"] == "categorical" and kinds["zip"] == "numeric"
    cases = [
        ({"drop": ["are"]}, "no column 'are'; did you mean 'area'"),
        ({"drop": ["fast"]}, "column 'fast' is the target"),
        ({"drop": ["area"], "numeric": ["area"]}, "'area' is given as dropped and as numeric"),
        ({"numeric": ["id"]}, "column 'id' is to be numeric, but none of its values fits; it holds 'house"),
        ({"dates": ["city"]}, "column 'city' is to be date"),
        ({"categorical": ["empty"]}, "it holds missing ones only"),
        ({"drop": [name for name in houses() if name != "fast"]}, "no column is left to learn from"),
    ]
    for settings, message in cases:
        with pytest.raises(TaskError, match=message):
            tasks.from_frame(houses(), "fast", **settings)  # type: ignore[arg-type]


def test_many_categories_share_the_last_feature() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"word": rng.choice([f"w{n}" for n in range(300)], 3000), "y": rng.random(3000)})
    task = tasks.from_frame(frame, "y")
    assert task.input_shape == (64,) and any("infrequent" in name for name in task.feature_names)


# -- targets and parts ---------------------------------------------------------------------------------------------
def test_scikit_learns_own_tables() -> None:
    wine, diabetes = load_wine(as_frame=True), load_diabetes(as_frame=True)
    assert tasks.from_frame(wine.frame, "target").num_classes == 3
    assert tasks.from_frame(diabetes.frame, "target").kind == "regression"
    assert tasks.from_arrays(wine.data, wine.target).hash == tasks.from_frame(wine.frame, "target").hash
    assert tasks.from_arrays(diabetes.data, diabetes.target.tolist()).kind == "regression"


def test_several_targets_are_a_regression() -> None:
    task = tasks.from_frame(houses().fillna({"area": 0.0}), ["price", "area"])
    assert task.num_outputs == 2 and task.target_names == ("price", "area") and "area" not in task.feature_names
    with pytest.raises(TaskError, match="several targets are a regression"):
        tasks.from_frame(houses(), ["price", "fast"])


def test_rows_without_a_target_are_left_out_and_counted() -> None:
    frame = houses()
    frame.loc[:9, "fast"] = None
    with pytest.warns(NetloomWarning, match="10 of 200 rows have no target"):
        task = tasks.from_frame(frame, "fast")
    assert len(task.train) + len(task.valid) + task.num_test == 190 and task.class_names == ("no", "yes")


def test_parts_of_their_own() -> None:
    frame = houses()
    task = tasks.from_frame(frame[:150], "price", test=frame[150:], valid=30)
    assert (len(task.train), len(task.valid), task.num_test) == (120, 30, 50)
    assert np.allclose(task.restore(task.read_test().y)[:, 0], frame["price"][150:], rtol=1e-5)
    values = tasks.from_arrays(
        frame[:150].drop(columns="price"), frame["price"][:150], test=(frame[150:], frame["price"][150:]), valid=30
    )
    assert values.num_test == 50 and torch.equal(values.read_test().y, task.test.y)
    with pytest.raises(TaskError, match="the test part has no column 'city'"):
        tasks.from_frame(frame[:150], "price", test=frame[150:].drop(columns="city"))


@pytest.mark.parametrize(
    ("target", "settings", "message"),
    [
        ("prise", {}, "no column 'prise' to predict; did you mean 'price'"),
        ("country", {}, "one class only, 'EU'"),
        ("empty", {}, "no row has a target"),
        ("built", {}, "the target is a date"),
        ("fast", {"kind": "regression"}, "a regression needs numbers"),
        ([1, 2, 3], {}, "y has 3 values; expected one for each of 200 rows"),
    ],
)
def test_targets_that_cannot_be_learned(target: object, settings: dict, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        tasks.from_frame(houses(), target, **settings)


def test_arrays_are_no_tables() -> None:
    with pytest.raises(TaskError, match="the table is a ndarray; expected a DataFrame"):
        tasks.from_frame(np.zeros((20, 2)), "a")  # type: ignore[arg-type]


def test_the_same_column_twice() -> None:
    frame = pd.DataFrame(np.zeros((20, 2)), columns=["a", "a"])
    with pytest.raises(TaskError, match="the column 'a' twice"):
        tasks.from_frame(frame, "a")


# -- files ---------------------------------------------------------------------------------------------------------
WRITERS: dict[str, Callable[[pd.DataFrame, Path], object]] = {
    "plain.csv": lambda frame, path: frame.to_csv(path, index=False),
    "mark.csv": lambda frame, path: frame.to_csv(path, index=False, encoding="utf-8-sig"),
    "sixteen.csv": lambda frame, path: frame.to_csv(path, index=False, encoding="utf-16"),
    "windows.csv": lambda frame, path: frame.to_csv(path, index=False, encoding="cp1252"),
    "excel.csv": lambda frame, path: frame.to_csv(path, index=False, sep=";", decimal=","),
    "tabs.tsv": lambda frame, path: frame.to_csv(path, index=False, sep="\t"),
    "bars.txt": lambda frame, path: frame.to_csv(path, index=False, sep="|"),
    "packed.csv.gz": lambda frame, path: frame.to_csv(path, index=False),
    "table.parquet": lambda frame, path: frame.to_parquet(path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_kind_of_file_gives_the_same_task(name: str, tmp_path: Path, house_csv: Path) -> None:
    path = tmp_path / name
    WRITERS[name](houses(), path)
    task = tasks.load(f"table:{path}?target=fast&seed=2&categorical=zip")
    expected = tasks.from_frame(houses(), "fast", seed=2, categorical=["zip"])
    assert task.feature_names == expected.feature_names
    assert torch.allclose(task.train.x, expected.train.x, atol=1e-5) and torch.equal(task.train.y, expected.train.y)
    assert task.name == name.split(".")[0] and tasks.load(task.spec).hash == task.hash


def test_specs_with_settings(house_csv: Path, tmp_path: Path) -> None:
    task = tasks.load(f"table:{house_csv}?target=price&kind=regression&valid=0.1&test=10&train=50&seed=3&drop=id,zip")
    assert (len(task.train), len(task.valid), task.num_test) == (50, 20, 10)
    assert {"id", "zip", "country", "empty"} == set(task.preprocessing.dropped)  # type: ignore[union-attr]
    houses()[:40].to_csv(tmp_path / "other.csv", index=False)
    assert tasks.load(f"table:{house_csv}?target=price&test_file=other.csv").num_test == 40
    odd = houses().rename(columns={"price": "price & more, in €?"})
    odd.to_csv(tmp_path / "odd.csv", index=False)
    assert tasks.load(f"table:{tmp_path / 'odd.csv'}?target=price %26 more, in €?").target_names == ("price & more, in €?",)


def test_question_marks_and_blanks_are_missing_values(tmp_path: Path) -> None:
    path = tmp_path / "adult.csv"
    rows = [f" {n % 7}, {'?' if n % 5 == 0 else 'a' if n % 2 else 'b'}, {'>50K' if n % 3 else '<=50K'}" for n in range(60)]
    path.write_text("age, job, income\n" + "\n".join(rows) + "\n")
    task = tasks.load(f"table:{path}?target=income")
    assert task.class_names == ("<=50K", ">50K") and set(task.feature_names) == {"age", "job_(missing)", "job_a", "job_b"}


def test_lines_that_end_with_a_separator(tmp_path: Path) -> None:
    path = tmp_path / "trailing.csv"
    path.write_text("a,b\n" + "".join(f"{n},{n % 2},\n" for n in range(20)))
    frame = read_table(path)
    assert frame["a"].tolist() == list(range(20)) and frame["b"].tolist() == [n % 2 for n in range(20)]


def test_separators_in_quotes_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "quoted.csv"
    path.write_text('"a, b, c, d";"e"\n1;2\n')
    assert list(read_table(path)) == ["a, b, c, d", "e"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.csv", None, "there is no file"),
        ("empty.csv", b"", "has no header"),
        ("head.csv", b"a,b\n", "has no rows"),
        ("ragged.csv", b"a,b\n1,2\n1,2,3\n", "no readable CSV file.*line 3"),
        ("bad.parquet", b"PAR1", "is no readable Parquet file"),
        ("bad.csv.gz", b"not gzip", "Not a gzipped file"),
        ("data.xlsx", b"x", "tables are files of these kinds"),
        ("twice.parquet", "twice", "has no column 'b'"),
    ],
)
def test_files_that_are_no_tables(name: str, content: bytes | str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if content == "twice":
        pd.DataFrame({"a": range(20)}).to_parquet(path)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(TaskError, match=message):
        tasks.load(f"table:{path}?target=b")


def test_specs_that_ask_for_what_is_not_there(house_csv: Path) -> None:
    cases = {
        "": "say which column to predict: .*there is: rooms, area",
        "?target=pric": "did you mean 'price'",
        "?traget=price": "did you mean 'target'",
        "?target=price&kind=ranking": "kind = 'ranking'; expected classification or regression",
        "?target=price&valid=0.9&test=0.9": "leave 0 to train on",
        "?target=price&test=5&test_file=a.csv": "give test= or test_file=",
        "?target=price&test_file=none.csv": "there is no file",
        "?target=price&separator=ab": "separator = 'ab'; expected one character",
    }
    for settings, message in cases.items():
        with pytest.raises(TaskError, match=message):
            tasks.load(f"table:{house_csv}{settings}")
    with pytest.raises(TaskError, match="is a folder; give a file"):
        tasks.load(f"table:{house_csv.parent}?target=a")


def test_a_byte_that_is_no_utf_8_at_the_end_of_a_block(tmp_path: Path) -> None:
    """Characters may be cut where blocks meet; that is no reason to take a file for Windows text."""
    for shift in range(4):
        path = tmp_path / f"{shift}.csv.gz"
        text = "a,b\n" + "x" * shift + "é" * 530_000 + ",1\n"
        path.write_bytes(gzip.compress(text.encode(), 1))
        assert read_table(path)["a"][0].endswith("é")
