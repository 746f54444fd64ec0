"""The tasks of a zoo: their data in safetensors, what they are in Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from ..errors import ZooError
from ..tasks.loading import load
from ..tasks.normalization import Normalization
from ..tasks.parts import Split
from ..tasks.task import Task, Withheld
from .files import table_path, tensors_path, write_part
from .recent import Recent
from .tensor_file import TensorFile

if TYPE_CHECKING:
    import pandas
    import pyarrow

#: Tasks that share a file.
PER_FILE = 1000
#: A task of more bytes is not copied into the zoo: only its spec and its hash are.
LARGEST_BYTES = 256 << 20
_PARTS = ("train", "valid", "test")


def write_tasks(folder: Path, number: int, tasks: Sequence[tuple[int, Task]]) -> None:
    """Write one file of numbered tasks."""
    import pyarrow as pa

    tensors: dict[str, Any] = {}
    rows = []
    for place, task in tasks:
        about: dict[str, Any] = {
            name: list(getattr(task, name)) for name in ("class_names", "target_names", "feature_names")
        }  # fmt: skip
        about["parts"] = _put(task, f"{place}", tensors) if _bytes(task) <= LARGEST_BYTES else None
        rows.append(_row(place, task, json.dumps(about)))
    table = pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in _schema().items()})
    write_part(folder, "tasks", number, tensors, table)


def _schema() -> dict[str, Any]:
    import pyarrow as pa

    counts = dict.fromkeys(("num_classes", "num_outputs", "num_train", "num_valid", "num_test"), pa.int64())
    words = dict.fromkeys(("name", "spec", "hash", "kind"), pa.string())
    return {"task": pa.int64(), **words, "input_shape": pa.list_(pa.int64()), **counts, "about": pa.string()}


def _row(place: int, task: Task, about: str) -> dict[str, Any]:
    return {
        "task": place, "name": task.name, "spec": task.spec, "hash": task.hash, "kind": task.kind,
        "input_shape": list(task.input_shape), "num_classes": task.num_classes, "num_outputs": task.num_outputs,
        "num_train": len(task.train), "num_valid": len(task.valid), "num_test": len(task._test), "about": about,
    }  # fmt: skip


def _bytes(task: Task) -> int:
    """What the parts in memory take; more than any limit where a part is streamed."""
    total = 0
    for part in (task.train, task.valid, task._test):
        if isinstance(part, Split):
            total += part.held.nbytes + part.y.nbytes
        elif not isinstance(part, Withheld):
            return LARGEST_BYTES + 1
    return total


def _put(task: Task, prefix: str, tensors: dict[str, Any]) -> dict[str, Any]:
    """Add a task's tensors; gives what is to be said of its parts."""
    said: dict[str, Any] = {}
    # Copying the test part is no look at it.
    for name, part in zip(_PARTS, (task.train, task.valid, task._test)):
        if not isinstance(part, Split):
            said[name] = {"length": len(part), "digest": part.digest}
            continue
        tensors[f"{prefix}/{name}.x"], tensors[f"{prefix}/{name}.y"] = part.held.contiguous(), part.y.contiguous()
        scale = part.normalization
        said[name] = {} if scale is None else {"mean": list(scale.mean), "sd": list(scale.sd)}
    return said


class StoredTasks(Sequence[Task]):
    """The tasks of a zoo, each read when it is asked for; `ZooError` where one is not what it was."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder, self._count = folder, count
        self._tables: Recent[int, pyarrow.Table] = Recent(4, self._table)
        self._files: Recent[int, TensorFile] = Recent(4, lambda number: TensorFile(tensors_path(folder, "tasks", number)))
        self._tasks: Recent[int, Task] = Recent(64, self._read)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> Task: ...
    @overload
    def __getitem__(self, place: slice) -> list[Task]: ...
    def __getitem__(self, place: int | slice) -> Task | list[Task]:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        if not -len(self) <= place < len(self):
            raise IndexError(f"task {place} of {len(self)}")
        return self._tasks[place % len(self)]

    def __iter__(self) -> Iterator[Task]:
        return (self[place] for place in range(len(self)))

    def frame(self) -> pandas.DataFrame:
        """What the tasks are: a row for each, without data."""
        import pyarrow as pa

        parts = [self._tables[number] for number in range(-(-len(self) // PER_FILE))]
        return pa.concat_tables(parts).drop_columns(["about"]).to_pandas()

    def _table(self, number: int) -> pyarrow.Table:
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = table_path(self.folder, "tasks", number)
        try:
            return pq.read_table(path)
        except (OSError, pa.ArrowInvalid) as error:
            raise ZooError(f"cannot read {str(path)!r}: {error}") from None

    def _read(self, place: int) -> Task:
        number, row = divmod(place, PER_FILE)
        (said,) = self._tables[number].slice(row, 1).to_pylist()
        about = json.loads(said["about"])
        if about["parts"] is None:
            task = load(said["spec"])
        else:
            train, valid, test = (self._part(number, place, name, about["parts"][name]) for name in _PARTS)
            names: Any = {name: tuple(about[name]) for name in ("class_names", "target_names", "feature_names")}
            task = Task(said["name"], train, valid, test, said["num_classes"], said["spec"], **names)
        if task.hash != said["hash"]:
            raise ZooError(f"task {place} ({said['spec']}) is not the one that the networks learned: its data have changed")
        return task

    def _part(self, number: int, place: int, name: str, said: dict[str, Any]) -> Any:
        if "digest" in said:
            return Withheld(said["length"], said["digest"])
        x, y = (self._files[number].read(place, f"{name}.{which}") for which in "xy")
        return Split(x, y, normalization=Normalization(tuple(said["mean"]), tuple(said["sd"])) if said else None)
