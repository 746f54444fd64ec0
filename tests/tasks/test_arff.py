"""ARFF files: attributes, quotes, sparse rows, gaps, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from netloom import tasks
from netloom.errors import TaskError
from netloom.tasks.tables.arff import read_arff

HEAD = """% a comment
@RELATION 'some flowers'

@ATTRIBUTE 'sepal length' NUMERIC
@attribute kind {setosa, 'versi color', "virg,inica", 'it\\'s'}
@attribute note string
@attribute day date "yyyy-MM-dd"
@attribute count integer
@DATA
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "table.arff"
    path.write_text(text)
    return path


def test_dense_rows(tmp_path: Path) -> None:
    rows = "5.1,setosa,'a, b',2020-01-02,3\n?, 'versi color' ,\"c\",?, 4\n% between\n-1e3,'it\\'s',d e,2021-12-31,?\n"
    frame = read_arff(written(tmp_path, HEAD + rows))
    assert list(frame) == ["sepal length", "kind", "note", "day", "count"]
    assert frame["sepal length"].tolist()[0] == 5.1 and frame["sepal length"].isna().tolist() == [False, True, False]
    assert frame["kind"].tolist() == ["setosa", "versi color", "it's"]
    assert list(frame["kind"].cat.categories) == ["setosa", "versi color", "virg,inica", "it's"]
    assert frame["note"].tolist() == ["a, b", "c", "d e"]
    assert frame["day"].tolist()[0] == pd.Timestamp("2020-01-02") and frame["day"].isna().tolist() == [False, True, False]


def test_sparse_rows(tmp_path: Path) -> None:
    head = "@relation r\n@attribute a numeric\n@attribute b {x,y z}\n@attribute c numeric\n@data\n".replace("y z", "'y z'")
    frame = read_arff(written(tmp_path, head + "{0 1.5, 1 'y z'}\n{}\n{2 ?, 1 x}\n"))
    assert frame["a"].tolist() == [1.5, 0, 0] and frame["b"].tolist() == ["x" if n else "y z" for n in range(3)]
    assert frame["c"].isna().tolist() == [False, False, True]


def test_as_a_task(tmp_path: Path) -> None:
    rows = "".join(f"{n},{'setosa' if n % 2 else '?'},t,2020-01-{n % 28 + 1:02},{n % 3}\n" for n in range(60))
    task = tasks.load(f"table:{written(tmp_path, HEAD + rows)}?target=count&kind=classification")
    assert task.num_classes == 3 and "kind_setosa" in task.feature_names and "kind_(missing)" in task.feature_names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello\n", "line 1: expected @relation, @attribute or @data"),
        ("@relation r\n@attribute a numeric\n", "no @data line"),
        ("@relation r\n@data\n1\n", "line 2: data before any @attribute"),
        ("@relation r\n@attribute a relational\n@data\n", "line 2: an attribute of type 'relational'"),
        ("@relation r\n@attribute a\n@data\n", "line 2: expected @attribute NAME TYPE"),
        ("@relation r\n@attribute a numeric\n@data\n1,2\n", "line 4: 2 values for 1 attributes"),
        ("@relation r\n@attribute a numeric\n@data\nx\n", "attribute 'a': could not convert"),
        ("@relation r\n@attribute a {x,y}\n@data\nz\n", "attribute 'a': 'z' is none of its values x, y"),
        ("@relation r\n@attribute a numeric\n@attribute a numeric\n@data\n1,2\n", "the attribute 'a' twice"),
        ("@relation r\n@attribute a numeric\n@data\n{3 1}\n", "line 4: cannot read '3 1'; expected INDEX VALUE"),
        ("@relation r\n@attribute a numeric\n@data\n{0 1\n", "a sparse row ends with }"),
    ],
)
def test_files_that_are_no_arff(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=message):
        read_arff(written(tmp_path, text))
