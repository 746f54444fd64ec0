"""Graphs and their scores from where people keep them: a store, a Parquet file, a folder of graph files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import NetloomError, PredictorError
from ..graph.graph import Graph

if TYPE_CHECKING:
    import pandas

#: Columns of a Parquet file that graphs are looked for in, and what reads them.
_GRAPH_COLUMNS: dict[str, Callable[[str], Graph]] = {
    "graph_json": Graph.from_json, "json": Graph.from_json, "graph": Graph.from_text, "text": Graph.from_text,
}  # fmt: skip
_GRAPH_FILES: dict[str, Callable[[str], Graph]] = {
    ".json": Graph.from_json, ".txt": Graph.from_text, ".nl": Graph.from_text,
}  # fmt: skip
SCORES_FILE = "scores.csv"
ACCEPTED = (
    "the URL or file of a store, a .parquet file with a column graph_json, json, text, graph or layers32, or a folder of graph "
    f"files (.json, .txt, .nl) with a {SCORES_FILE} of the columns file and score"
)


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Graphs with what they are called where they come from; ``scores`` (N,) are NaN where none is known.

    ``fidelity`` (N,) is how long each was trained, or None where nobody says.
    """

    names: list[str]
    graphs: list[Graph]
    scores: Any
    fidelity: Any = None

    def __len__(self) -> int:
        return len(self.graphs)


def read_labels(source: str, *, score: str = "score", **filters: Any) -> Labelled:
    """Graphs and scores of a source; ``score`` names a column of a Parquet file or of ``scores.csv``.

    Of a store, evaluations with a score that ``filters`` let through (``task``, ``recipe``, …), the mean of those that differ
    in the seed alone. `PredictorError` for a source that is none, names a graph that cannot be read, or has none.
    """
    path = Path(source)
    is_store = "://" in source or path.suffix.lower() in (".db", ".sqlite", ".sqlite3")
    given = [f"{name} = {value!r}" for name, value in filters.items() if value is not None]
    if given and not is_store:
        raise PredictorError(f"{given[0]} chooses among evaluations of a store, and {source!r} is none; leave it out")
    if is_store and score != "score":
        raise PredictorError(f"score = {score!r} names a column of a file; a store has one score for each evaluation")
    if path.is_dir():
        found = _of_folder(path, score)
    elif path.suffix.lower() == ".parquet":
        found = _of_parquet(path, score)
    elif is_store:
        found = _of_store(source, filters)
    else:
        missing = "" if path.exists() else "; there is no such file or folder"
        raise PredictorError(f"{source!r} is no source of graphs{missing}; expected {ACCEPTED}")
    if not len(found):
        like = f" with a score and {', '.join(given)}" if given else " with a score" if is_store else ""
        raise PredictorError(f"{source!r} has no graphs{like}" + ("" if is_store else f"; expected {ACCEPTED}"))
    return found


def _of_store(url: str, filters: dict[str, Any]) -> Labelled:
    from ..store import Store

    with Store(url, must_exist=True) as store:
        rows = store.evaluations(status="ok", **filters)
        rows = rows[rows.score.notna()]
        if rows.task_hash.nunique() > 1:
            names = sorted(set(rows.task.fillna("unnamed")))
            raise PredictorError(
                f"{url!r} has scores on {rows.task_hash.nunique()} tasks ({', '.join(names)}); say which: --task"
            )
        means = rows.groupby(["graph_hash", "fidelity"], as_index=False, sort=False, dropna=False).score.mean()
        graphs = {hash: store.graph(hash) for hash in means.graph_hash.unique()}
    durations = means.fidelity.to_numpy(dtype=np.float64)
    fidelity = durations if len(durations) and (durations > 0).all() and np.ptp(durations) > 0 else None
    hashes = means.graph_hash.tolist()
    return Labelled(hashes, [graphs[hash] for hash in hashes], means.score.to_numpy(dtype=np.float64), fidelity)


def _of_parquet(path: Path, score: str) -> Labelled:
    import pandas as pd

    if not path.exists():
        raise PredictorError(f"cannot read {str(path)!r}: there is no such file")
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise PredictorError(f"cannot read {str(path)!r}: {error}") from None
    column = next((name for name in (*_GRAPH_COLUMNS, "layers32") if name in table.columns), None)
    if column is None:
        raise PredictorError(f"{str(path)!r} has the columns {', '.join(map(str, table.columns))}; expected {ACCEPTED}")
    read = _GRAPH_COLUMNS.get(column) or _of_layers32
    names = table["hash" if "hash" in table.columns else "graph_hash"].astype(str) if _named(table) else table.index.astype(str)
    return Labelled(names.tolist(), _read(names.tolist(), table[column], read), _scores(path, table, score))


def _named(table: pandas.DataFrame) -> bool:
    return "hash" in table.columns or "graph_hash" in table.columns


def _of_layers32(code: str) -> Graph:
    from ..encode import layers32

    return layers32.from_hex(code, input_shape=(3, 32, 32), num_classes=10)


def _of_folder(folder: Path, score: str) -> Labelled:
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in _GRAPH_FILES)
    names = [file.relative_to(folder).as_posix() for file in files]

    def read(name: str) -> Graph:
        file = folder / name
        return _GRAPH_FILES[file.suffix.lower()](file.read_text(encoding="utf-8"))

    graphs = _read(names, names, read)
    if not (folder / SCORES_FILE).exists():
        return Labelled(names, graphs, np.full(len(names), np.nan))
    import pandas as pd

    try:
        table = pd.read_csv(folder / SCORES_FILE)
    except (OSError, ValueError) as error:
        raise PredictorError(f"cannot read {str(folder / SCORES_FILE)!r}: {error}") from None
    if "file" not in table.columns or score not in table.columns:
        raise PredictorError(f"{SCORES_FILE} has the columns {', '.join(map(str, table.columns))}; expected file and {score}")
    if (twice := table.file[table.file.duplicated()].astype(str)).size:
        raise PredictorError(f"{SCORES_FILE} names {twice.iloc[0]!r} more than once; give each file one score")
    of_file = dict(zip(table.file.astype(str), _scores(folder / SCORES_FILE, table, score)))
    unknown = sorted(set(of_file) - set(names))
    if unknown:
        raise PredictorError(f"{SCORES_FILE} names {unknown[0]!r}, which is not in {str(folder)!r}")
    return Labelled(names, graphs, np.array([of_file.get(name, np.nan) for name in names], dtype=np.float64))


def _read(names: list[str], written: Any, read: Callable[[str], Graph]) -> list[Graph]:
    graphs = []
    for name, text in zip(names, written):
        try:
            graphs.append(read(text))
        except (NetloomError, OSError, UnicodeDecodeError, TypeError, AttributeError) as error:
            raise PredictorError(f"graph {name!r} cannot be read: {error}") from None
    return graphs


def _scores(path: Path, table: pandas.DataFrame, score: str) -> Any:
    if score not in table.columns:
        return np.full(len(table), np.nan)
    try:
        return table[score].to_numpy(dtype=np.float64)
    except (TypeError, ValueError):
        raise PredictorError(f"column {score!r} of {str(path)!r} holds something else than numbers") from None
