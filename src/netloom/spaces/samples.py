"""`Samples`: many networks in a file, as data; read back as graphs.

Three forms, by the ending of the name: ``.parquet`` (a table), ``.jsonl`` (a JSON object a line, the first says how they were
drawn) and ``.txt`` (the notation, for people).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from ..errors import FormatError, NetloomError
from ..graph.graph import Graph
from .described import DescribedSpace

if TYPE_CHECKING:
    import pandas

#: Columns of numbers and hash, beside the one that holds the network in one of the `FORMS`.
COLUMNS = ("index", "hash", "num_params", "flops", "num_nodes", "depth")
FORMS = ("text", "json", "description")
#: A column that samples have which a predictor chose; ``settings["predicted"]`` says so.
PREDICTED = "predicted"
ENDINGS = (".parquet", ".jsonl", ".txt")
#: Rows of a group of a Parquet file: what a reader takes into memory at once.
_GROUP = 10_000
_HEAD = "# netloom samples "


class Samples(Sequence[Graph]):
    """Networks in the order in which they were drawn; a graph is read when it is asked for.

    ``settings`` says how they were drawn (space, seed, caps, versions); ``records`` are the columns: ``index`` (of the draw),
    ``hash``, ``num_params``, ``flops``, ``num_nodes`` (calls, inputs not counted), ``depth`` (calls on the longest path) and
    ``text``, ``json`` or ``description``; also ``predicted`` where a predictor chose them.
    """

    def __init__(self, settings: Mapping[str, Any], records: Mapping[str, Sequence[Any]]) -> None:
        self.settings, self.records = dict(settings), dict(records)
        missing = [name for name in _names(self.settings) if name not in self.records]
        if missing:
            raise FormatError(f"samples without the column {missing[0]!r}; expected {', '.join(_names(self.settings))}")

    @property
    def form(self) -> str:
        """``"text"``, ``"json"`` or ``"description"``: how the networks are written."""
        return _form(self.settings)

    @property
    def is_short(self) -> bool:
        """Whether the space gave fewer different networks than were asked for."""
        return len(self) < int(self.settings.get("n", 0))

    @property
    def hashes(self) -> list[str]:
        return list(self.records["hash"])

    def frame(self) -> pandas.DataFrame:
        """The columns as a DataFrame (N, 7), or (N, 8) with ``predicted``."""
        import pandas

        return pandas.DataFrame({name: list(self.records[name]) for name in _names(self.settings)})

    def __len__(self) -> int:
        return len(self.records["hash"])

    @overload
    def __getitem__(self, place: int) -> Graph: ...
    @overload
    def __getitem__(self, place: slice) -> list[Graph]: ...
    def __getitem__(self, place: int | slice) -> Graph | list[Graph]:
        written = self.records[self.form][place]
        if isinstance(place, slice):
            return [self._graph(one) for one in written]
        return self._graph(written)

    def __iter__(self) -> Iterator[Graph]:
        return map(self._graph, self.records[self.form])

    def _graph(self, written: Any) -> Graph:
        if self.form == "description":
            return self._space.described(written)
        return Graph.from_json(written) if self.form == "json" else Graph.from_text(written)

    @cached_property
    def _space(self) -> DescribedSpace:
        """The space that reads descriptions."""
        from .loading import load

        space = load(str(self.settings.get("space")))
        if not isinstance(space, DescribedSpace):
            raise FormatError(f"samples of {self.settings.get('space')!r:.120} by description, which that space does not read")
        return space

    def __repr__(self) -> str:
        return f"<Samples: {len(self):,} networks of {self.settings.get('space')}>"


def _form(settings: Mapping[str, Any]) -> str:
    form = settings.get("form")
    return form if form in FORMS else "text"


def _names(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns of samples with these settings."""
    return (*COLUMNS, *([PREDICTED] if settings.get(PREDICTED) else []), _form(settings))


def ending(path: str | os.PathLike[str]) -> str:
    """The form that a name asks for; `FormatError` where there is none such.

    >>> ending("nets.parquet")
    '.parquet'
    """
    found = Path(path).suffix.lower()
    if found not in ENDINGS:
        raise FormatError(f"cannot write samples to {os.fspath(path)!r}: its name must end in {', '.join(ENDINGS)}")
    return found


def read_samples(path: str | os.PathLike[str]) -> Samples:
    """The networks that `sample_many` or ``netloom sample --out`` wrote; `FormatError` for any other file.

    >>> import netloom as nl, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> space = nl.spaces.Conv(input_shape=(1, 8, 8))
    >>> written = nl.spaces.sample_many(space, 5, out=folder.name + "/nets.parquet")
    >>> samples = nl.spaces.read_samples(folder.name + "/nets.parquet")
    >>> len(samples), space.contains(samples[0]), samples.hashes == written.hashes
    (5, True, True)
    >>> folder.cleanup()
    """
    name = os.fspath(path)
    try:
        with open(path, encoding="utf-8") as file:
            if ending(path) == ".parquet":
                return _read_parquet(name)
            return _read_lines(file, name) if ending(path) == ".jsonl" else _read_text(file, name)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, NetloomError):
            raise
        said = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise FormatError(f"cannot read samples from {name!r}: {said}") from None


def write_samples(
    path: str, settings: Mapping[str, Any], tables: Iterable[Mapping[str, Sequence[Any]]], unfinished: str
) -> None:
    """Write the records of ``tables``, one after the other, to ``unfinished``, which becomes ``path`` at the end."""
    write = {".parquet": _write_parquet, ".jsonl": _write_lines, ".txt": _write_text}[ending(path)]
    try:
        write(unfinished, settings, tables)
        os.replace(unfinished, path)
    except OSError as error:
        raise FormatError(f"cannot write {path!r}: {error.strerror or error}") from None


# -- Parquet -----------------------------------------------------------------------------------------------------------
def _write_parquet(path: str, settings: Mapping[str, Any], tables: Iterable[Mapping[str, Sequence[Any]]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    form = settings["form"]
    types = {"hash": pa.string(), form: pa.string(), PREDICTED: pa.float64()}
    fields = [pa.field(name, types.get(name, pa.int64()), nullable=False) for name in _names(settings)]
    schema = pa.schema(fields, metadata={"netloom": json.dumps(settings, ensure_ascii=False)})
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        waiting: list[Any] = []
        for table in tables:
            waiting.append(pa.table({field.name: pa.array(table[field.name], field.type) for field in fields}, schema=schema))
            # Groups of one size, whatever the sizes of what comes in: so that equal samples are equal files.
            while sum(part.num_rows for part in waiting) >= _GROUP:
                whole = pa.concat_tables(waiting).combine_chunks()
                writer.write_table(whole.slice(0, _GROUP), row_group_size=_GROUP)
                waiting = [whole.slice(_GROUP)]
        if any(part.num_rows for part in waiting):
            writer.write_table(pa.concat_tables(waiting).combine_chunks(), row_group_size=_GROUP)


def _read_parquet(path: str) -> Samples:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except pa.ArrowInvalid as error:
        raise FormatError(f"cannot read samples from {path!r}: {error}") from None
    settings = (table.schema.metadata or {}).get(b"netloom")
    if settings is None:
        raise FormatError(f"{path!r} is a table, but not of samples: its schema does not say how they were drawn")
    return Samples(json.loads(settings), {name: table.column(name).to_pylist() for name in table.column_names})


# -- JSON lines --------------------------------------------------------------------------------------------------------
def _write_lines(path: str, settings: Mapping[str, Any], tables: Iterable[Mapping[str, Sequence[Any]]]) -> None:
    form = settings["form"]
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps({"netloom_samples": settings}, ensure_ascii=False) + "\n")
        for record in _rows(tables, settings):
            if form == "json":
                record["json"] = json.loads(record["json"])
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def _read_lines(file: Iterable[str], path: str) -> Samples:
    lines = iter(file)
    head = json.loads(next(lines, "null"))
    if not isinstance(head, dict) or "netloom_samples" not in head:
        raise FormatError(f"{path!r} is no file of samples: its first line does not say how they were drawn")
    settings = head["netloom_samples"]
    records = [json.loads(line) for line in lines if line.strip()]
    columns = {name: [record[name] for record in records] for name in _names(settings)}
    if settings["form"] == "json":
        columns["json"] = [json.dumps(document) for document in columns["json"]]
    return Samples(settings, columns)


# -- text --------------------------------------------------------------------------------------------------------------
def _write_text(path: str, settings: Mapping[str, Any], tables: Iterable[Mapping[str, Sequence[Any]]]) -> None:
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(_HEAD + json.dumps(settings, ensure_ascii=False) + "\n")
        for record in _rows(tables, settings):
            text = record.pop("text")
            file.write(f"\n# network {json.dumps(record)}\n{text}")


def _read_text(file: Any, path: str) -> Samples:
    head, *parts = file.read().split("\n\n# network ")
    if not head.startswith(_HEAD):
        raise FormatError(f"{path!r} is no file of samples: its first line does not say how they were drawn")
    settings = json.loads(head.removeprefix(_HEAD))
    columns: dict[str, list[Any]] = {name: [] for name in _names(settings)}
    for part in parts:
        numbers, _, text = part.partition("\n")
        record = {**json.loads(numbers), "text": text.rstrip("\n") + "\n"}
        for name, values in columns.items():
            values.append(record[name])
    return Samples(settings, columns)


def _rows(tables: Iterable[Mapping[str, Sequence[Any]]], settings: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    names = _names(settings)
    for table in tables:
        for values in zip(*(table[name] for name in names)):
            yield dict(zip(names, values))
