"""``netloom metafeatures``."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from sklearn.datasets import load_iris

from netloom.cli.main import main
from netloom.tasks.metafeatures import get_meta_features


@pytest.fixture
def irises(tmp_path: Path) -> str:
    x, y = load_iris(return_X_y=True)
    frame = pd.DataFrame(x, columns=["sepal length", "sepal width", "petal length", "petal width"])
    frame["species"] = [("setosa", "versicolor", "virginica")[label] for label in y]
    frame.to_csv(tmp_path / "irises.csv", index=False)
    return str(tmp_path / "irises.csv")


def test_table(irises: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metafeatures", irises, "--target", "species", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    expected = get_meta_features(*load_iris(return_X_y=True))
    assert found["features"] == pytest.approx(dict(expected)) and found["reasons"] == {}
    assert main(["metafeatures", irises, "--target", "species", "--features", "cor,nr_class"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said] == ["cor.mean", "cor.sd", "nr_class"] and said[2].split()[1] == "3"


def test_reasons_are_shown(irises: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metafeatures", irises, "--drop", "species", "--features", "class_ent"]) == 0
    assert "nan   there is no target" in capsys.readouterr().out


def test_task_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metafeatures", "digits", "--features", "nr_attr,nr_class", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["features"] == {"nr_attr": 64.0, "nr_class": 10.0}


def test_formulas(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metafeatures", "--explain"]) == 0
    said = capsys.readouterr().out
    assert "kurtosis" in said and "m₄/m₂²" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "needs DATA"),
        (["none.csv"], "there is no file 'none.csv'"),
        (["digits", "--target", "y"], "--target and --drop are for tables"),
        (["digits", "--features", "corr"], "did you mean 'cor'"),
        (["digits", "--max-tree-rows", "0"], "1 or more"),
    ],
)
def test_mistakes(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metafeatures", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_wrong_column(irises: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metafeatures", irises, "--target", "specie"]) == 2
    assert "did you mean 'species'" in capsys.readouterr().err
