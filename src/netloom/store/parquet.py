"""A store as Parquet: everything as a folder of files, or evaluations with their graphs as one file."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ..errors import StoreError, VersionError
from .exchange import KINDS, Rows, evaluation_pages, subjects_of
from .records import CURVE_COLUMNS

#: Version of the columns, written into every file.
FORMAT = 1
_MARK = b"netloom"
_PAGE = 5_000

#: ``told(kind, rows)`` is called after each page.
Told = Callable[[str, int], None]


def _schema(kind: str) -> Any:
    import pyarrow as pa

    text, whole, real = pa.string(), pa.int64(), pa.float64()
    numbers = ((name, real) for name in CURVE_COLUMNS if name != "epoch")
    point = pa.struct([("epoch", whole), *numbers, ("more", text)])
    link = pa.struct([("role", text), ("artifact_hash", text)])
    key = [*((name, text) for name in ("graph_hash", "task_hash", "recipe_hash", "init"))]
    key += [(name, whole) for name in ("seed", "fidelity", "evaluator")]
    result = [
        ("status", text), ("score", real), ("seconds", real), ("error", text), ("metrics", text), ("created", text),
        ("curve", pa.list_(point)), ("artifacts", pa.list_(link)),
    ]  # fmt: skip
    columns = {
        "tasks": [("hash", text), ("name", text), ("spec", text), ("kind", text)],
        "recipes": [("hash", text), ("name", text), ("fields", text)],
        "graphs": [("hash", text), ("json", text), ("text", text), ("num_params", whole), ("flops", whole)],
        "artifacts": [("hash", text), ("num_bytes", whole), ("created", text)],
        "evaluations": [*key, *result],
        "runs": [
            ("id", text), ("strategy", text), ("seed", whole), ("settings", text), ("environment", text), ("status", text),
            ("seconds", real), ("created", text), ("updated", text),
        ],
        "proposals": [
            ("run_id", text), ("ask", whole), *key, ("reused", pa.bool_()), ("elapsed", real), ("edit", text),
            ("proposed_by", text), ("scored_by", text), ("predicted_score", real), ("initialised_by", text),
            ("parents", pa.list_(text)),
        ],
        "one file": [
            *key, *result, ("num_params", whole), ("flops", whole), ("graph_json", text), ("task_name", text),
            ("task_spec", text), ("task_kind", text), ("recipe_name", text), ("recipe_fields", text),
        ],
    }  # fmt: skip
    return pa.schema(columns[kind], metadata={_MARK: f"{FORMAT} {kind}"})


# -- writing -----------------------------------------------------------------------------------------------------------
def write_folder(connection: sa.Connection, folder: Path, told: Told) -> None:
    """Everything in the store, a file for each kind of row."""
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"cannot export to {folder}: it is a file; give a folder, or a name that ends in .parquet")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot make the folder {folder}: {error.strerror or error}") from None
    for kind, pages in KINDS.items():
        _write(folder / f"{kind}.parquet", kind, pages(connection), told)


def write_file(connection: sa.Connection, file: Path, filters: dict[str, Any], told: Told) -> None:
    """The evaluations that pass the filters, each with its graph, task and recipe."""
    _write(file, "one file", _whole(connection, filters), told)


def _whole(connection: sa.Connection, filters: dict[str, Any]) -> Iterator[Rows]:
    for page in evaluation_pages(connection, filters):
        graphs, tasks, recipes = subjects_of(connection, page)
        for row in page:
            graph, task, recipe = graphs[row["graph_hash"]], tasks[row["task_hash"]], recipes[row["recipe_hash"]]
            row.update(num_params=graph["num_params"], flops=graph["flops"], graph_json=graph["json"])
            row.update(task_name=task["name"], task_spec=task["spec"], task_kind=task["kind"])
            row.update(recipe_name=recipe["name"], recipe_fields=recipe["fields"])
        yield page


def _write(file: Path, kind: str, pages: Iterable[Rows], told: Told) -> None:
    """One file, written beside its place and moved there: never half of it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(kind)
    partial = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}.partial")
    try:
        with pq.ParquetWriter(partial, schema, compression="zstd") as writer:
            for page in pages:
                writer.write_table(pa.Table.from_pylist(page, schema=schema))
                told(kind, len(page))
        partial.replace(file)
    except OSError as error:
        mend = "" if file.parent.is_dir() else f"; there is no folder {file.parent}, make it first"
        raise StoreError(f"cannot write {file}: {error.strerror or error}{mend}") from error
    finally:
        partial.unlink(missing_ok=True)


# -- reading -----------------------------------------------------------------------------------------------------------
def read_pages(path: Path) -> Iterator[tuple[str, Rows]]:
    """Pages of rows with their kind, from a folder or a file that a store exported.

    Raises `StoreError` for what is no such thing, `VersionError` for files of a newer netloom.
    """
    if path.is_dir():
        missing = [kind for kind in KINDS if not (path / f"{kind}.parquet").is_file()]
        if missing:
            raise StoreError(f"{path} is no exported store: it has no {missing[0]}.parquet")
        for kind in KINDS:
            for page in _read(path / f"{kind}.parquet", kind):
                yield kind, page
        return
    if not path.is_file():
        raise StoreError(f"there is no file or folder {path}")
    for page in _read(path, "one file"):
        yield from _parts(page)


def _parts(page: Rows) -> Iterator[tuple[str, Rows]]:
    """The rows of one file, by kind."""
    tasks, recipes, graphs = {}, {}, {}
    for row in page:
        words = {name: row.pop(f"task_{name}") or "" for name in ("name", "spec", "kind")}
        tasks[row["task_hash"]] = {"hash": row["task_hash"], **words}
        fields = {"name": row.pop("recipe_name") or "", "fields": row.pop("recipe_fields")}
        recipes[row["recipe_hash"]] = {"hash": row["recipe_hash"], **fields}
        costs = {"num_params": row.pop("num_params"), "flops": row.pop("flops")}
        graphs[row["graph_hash"]] = {"hash": row["graph_hash"], "json": row.pop("graph_json"), "text": None, **costs}
    for kind, rows in (("tasks", tasks), ("recipes", recipes), ("graphs", graphs)):
        yield kind, list(rows.values())
    yield "evaluations", page


def _read(file: Path, kind: str) -> Iterator[Rows]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(kind)
    with _told_of(file), pq.ParquetFile(file) as opened:
        _check_mark(file, kind, opened.schema_arrow.metadata or {})
        found = opened.schema_arrow
        missing = [name for name in schema.names if name not in found.names]
        if missing:
            raise StoreError(f"{file} has no column {missing[0]!r}; expected {', '.join(schema.names)}")
        for batch in opened.iter_batches(_PAGE, columns=schema.names):
            # Files that went through other programs may have other types of the same kind, such as large strings.
            table = pa.Table.from_batches([batch]).select(schema.names).cast(pa.schema(list(schema)))
            rows = table.to_pylist()
            _check_rows(file, rows)
            yield rows


@contextmanager
def _told_of(file: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StoreError(f"{file} is no readable Parquet file of a store: {line}") from error


def _check_mark(file: Path, kind: str, metadata: dict[bytes, bytes]) -> None:
    version, _, found = metadata.get(_MARK, b"").decode("utf-8", "replace").partition(" ")
    if not version.isdigit():
        raise StoreError(f"{file} is a Parquet file, but not one that a netloom store exported")
    if int(version) > FORMAT:
        mend = "pip install --upgrade netloom"
        raise VersionError(f"{file} has version {version} of the format, this netloom reads {FORMAT}: {mend}")
    if found != kind:
        raise StoreError(f"{file} holds {found}; expected {kind}: import the folder, or the file of an export to one file")


#: Columns that may be empty.
_OPTIONAL = {
    "score", "metrics", "fields", "text", "edit", "predicted_score", "seed", "recipe_fields", "task_name", "task_spec",
    "task_kind", "recipe_name",
}  # fmt: skip


def _check_rows(file: Path, rows: Rows) -> None:
    for row in rows:
        for name, value in row.items():
            if value is None and name not in _OPTIONAL:
                raise StoreError(f"{file}: a row has nothing in column {name!r}")
