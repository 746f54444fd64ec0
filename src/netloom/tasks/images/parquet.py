"""Images in Parquet files, in the layout of Hugging Face: a column of ``{bytes, path}`` and one of labels."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import TaskError
from ..cache import remembered
from ..progress import progress
from .source import EncodedImages

_LABELS = ("label", "labels", "fine_label", "class", "target", "y")


class ParquetImages(EncodedImages):
    """The images of one or several files, in their order, held in memory as the bytes of their files.

    Class names are those of the schema (Hugging Face's ``ClassLabel``, or a metadata key ``classes``), else the numbers.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = [Path(path).absolute() for path in paths]
        schemas = [_schema(path) for path in self.paths]
        self._column, label = _columns(self.paths[0], schemas[0])
        for path, schema in zip(self.paths, schemas):
            if {self._column, label} - set(schema.names):
                raise TaskError(f"{str(path)!r} has columns {schema.names}; expected {self._column!r} and {label!r}")
        parts = [_numbers(path, label, _read(path, label)) for path in self.paths]
        self._starts = np.cumsum([0, *map(len, parts)])
        self._rows: np.ndarray | None = None
        self.labels = np.concatenate(parts)
        self.class_names = _class_names(schemas[0], label, self.labels)
        if len(self.labels) and (self.labels.min() < 0 or self.labels.max() >= len(self.class_names)):
            low, high = int(self.labels.min()), int(self.labels.max())
            raise TaskError(f"labels of {str(self.paths[0])!r} lie in [{low}, {high}]; it has {len(self.class_names)} classes")

    @cached_property
    def _files(self) -> Any:
        """The bytes of all images, read when the first is asked for: decoded ones may be in the cache."""
        import pyarrow as pa

        return pa.concat_arrays([_bytes_column(_read(path, self._column)) for path in self.paths])

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, row: int) -> bytes:
        data = self._files[row].as_py()
        if data is None:
            raise ValueError("its bytes are missing")
        return data  # type: ignore[no-any-return]

    def name(self, row: int) -> str:
        place = row if self._rows is None else int(self._rows[row])
        number = int(np.searchsorted(self._starts, place, side="right")) - 1
        return f"row {place - int(self._starts[number])} of {self.paths[number].name}"

    def subset(self, rows: np.ndarray) -> ParquetImages:
        part = copy.copy(self)
        part.__dict__["_files"] = self._files.take(rows)
        part._rows = rows if self._rows is None else self._rows[rows]
        part.labels = self.labels[rows]
        return part

    @property
    def signature(self) -> str:
        """Paths, sizes and times of the files, and which rows of them."""
        return signature_of_files(self.paths) + ("" if self._rows is None else f"\n{self._rows.tolist()}")

    def digest(self, *, show: bool = True) -> str:
        """SHA-256 of the files, and which rows of them; remembered while the signature holds."""
        whole = digest_of_files(self.paths, show=show)
        if self._rows is None:
            return whole
        return hashlib.sha256(whole.encode() + self._rows.astype("<i8").tobytes()).hexdigest()


def signature_of_files(paths: Sequence[Path]) -> str:
    """Paths, sizes and times."""
    stats = [path.stat() for path in paths]
    return "\n".join(f"{path} {stat.st_size} {stat.st_mtime_ns}" for path, stat in zip(paths, stats))


def digest_of_files(paths: Sequence[Path], *, show: bool = True) -> str:
    """SHA-256 of the bytes of some files; remembered while paths, sizes and times stay as they are."""
    total = sum(path.stat().st_size for path in paths)

    def read() -> str:
        found = hashlib.sha256(b"netloom files 1")
        with progress(f"reading {paths[0].name}", total, unit="B", show=show) as done:
            for path in paths:
                found.update(f"|{path.stat().st_size}|".encode())
                with open(path, "rb") as file:
                    while block := file.read(1 << 22):
                        found.update(block)
                        done(len(block))
        return found.hexdigest()

    return remembered("sources", signature_of_files(paths), read)


def _schema(path: Path) -> Any:
    with _readable(path) as pq:
        return pq.ParquetFile(path).schema_arrow


def _read(path: Path, column: str) -> Any:
    with _readable(path) as pq:
        # ParquetFile, not read_table: importing Arrow's data sets takes longer than reading CIFAR-10.
        return pq.ParquetFile(path).read(columns=[column]).column(column)


@contextmanager
def _readable(path: Path) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        yield pq
    except (pa.ArrowException, OSError) as error:
        raise TaskError(f"{str(path)!r} is no readable Parquet file: {error}") from None


def _columns(path: Path, schema: Any) -> tuple[str, str]:
    """The names of the columns of images and labels."""
    import pyarrow.types as types

    images: list[str] = []
    labels: list[str] = []
    for field in schema:
        if types.is_struct(field.type) and any(part.name == "bytes" for part in field.type):
            images.append(field.name)
        elif types.is_binary(field.type) or types.is_large_binary(field.type):
            images.append(field.name)
        elif types.is_integer(field.type):
            labels.append(field.name)
    named = [name for name in _LABELS if name in labels] or labels
    if not images or not named:
        lacking = "images (a struct {bytes, path})" if not images else "labels (integers)"
        raise TaskError(f"{str(path)!r} has no column of {lacking}; it has {', '.join(schema.names)}")
    return images[0], named[0]


def _bytes_column(column: Any) -> Any:
    """The bytes of images as one array; with 64-bit offsets, since they may be more than 2 GiB."""
    import pyarrow as pa

    whole = column.combine_chunks()
    whole = whole.field("bytes") if pa.types.is_struct(whole.type) else whole
    return whole.cast(pa.large_binary())


def _numbers(path: Path, name: str, column: Any) -> np.ndarray:
    if column.null_count:
        raise TaskError(f"{str(path)!r}: {column.null_count} labels of column {name!r} are missing; drop those rows first")
    # Arrow's to_numpy would import pandas, which takes ten times as long.
    return np.array(column.to_pylist(), dtype=np.int64)


def _class_names(schema: Any, label: str, labels: np.ndarray) -> tuple[str, ...]:
    metadata = {key.decode(errors="replace"): value.decode(errors="replace") for key, value in (schema.metadata or {}).items()}
    try:
        features = json.loads(metadata["huggingface"])["info"]["features"]
        return tuple(str(name) for name in features[label]["names"])
    except (KeyError, TypeError, ValueError):
        pass
    if metadata.get("classes"):
        return tuple(metadata["classes"].split(","))
    return tuple(str(number) for number in range(int(labels.max()) + 1)) if len(labels) else ()
