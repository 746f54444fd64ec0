"""`Zoo`: the networks of a zoo, read when they are asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from ..errors import ZooError
from ..graph.graph import Graph
from .files import PLAN, table_path, tensors_path
from .plan import Plan
from .recent import Recent
from .records import COLUMNS, CURVE, curve_of, schema
from .selecting import Condition, expression_of
from .stored_tasks import PER_FILE, StoredTasks
from .tensor_file import TensorFile

if TYPE_CHECKING:
    import numpy
    import pandas
    import pyarrow
    from torch import Tensor

    from ..building.network import Network
    from ..tasks.task import Task
    from ..training.loop import Epoch

#: Columns that a table of networks leaves out unless asked for them: they are long.
_LONG = ("graph", *(f"curve_{name}" for name in CURVE))


@dataclass(frozen=True, slots=True)
class ZooNetwork:
    """One network of a zoo: what the index says (``record``), graph and curve; weights and task are read when asked for.

    ``graph, network, task, curve = zoo[i]`` takes it apart.
    """

    number: int
    record: Mapping[str, Any] = field(repr=False)
    zoo: Zoo = field(repr=False)

    def __iter__(self) -> Iterator[Any]:
        return iter((self.graph, self.network, self.task, self.curve))

    @property
    def graph(self) -> Graph:
        """The architecture."""
        return Graph.from_json(self.record["graph"])

    @property
    def curve(self) -> tuple[Epoch, ...]:
        """An `Epoch` for each epoch of its training."""
        return curve_of(self.record)

    @property
    def weights(self) -> dict[str, Tensor]:
        """Its tensors by key; `ZooError` where there are none or they cannot be read."""
        return self.zoo.weights(self.number)

    @property
    def network(self) -> Network:
        """The trained module, in evaluation mode; a new one each time."""
        from ..building.network import build

        return build(self.graph, weights=self.weights).eval()

    @property
    def task(self) -> Task:
        """What it learned."""
        return self.zoo.tasks[self.record["task"]]

    @property
    def score(self) -> float:
        """Score on the validation part of the task after the last epoch."""
        return float(self.record["score"])

    @property
    def status(self) -> str:
        """How its training ended."""
        return str(self.record["status"])


class Zoo:
    """The trained networks in a folder that `make` wrote, or a selection of them.

    ``len``, iteration, ``zoo[i]`` (a `ZooNetwork`), ``zoo[a:b]`` and `filter` (smaller zoos); nothing is read before it is
    asked for. ``tasks`` are all tasks by number. A zoo that is still being made shows what is complete (``is_whole`` says
    whether). Raises `ZooError` where the folder holds no zoo, `VersionError` where it is of a later version.

    >>> import netloom as nl, tempfile
    >>> folder = tempfile.mkdtemp() + "/zoo"
    >>> _ = nl.zoo.make(folder, models=30, tasks=3, epochs=10)
    >>> zoo = Zoo(folder)
    >>> deep = zoo.filter(("depth", ">=", 3), status="ok")
    >>> 0 < len(deep) < 30, deep[0].graph.outputs[0].shape, len(deep[0].curve)
    (True, (Size('N'), 1), 10)
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.folder = Path(path)
        try:
            self.plan = Plan.from_json((self.folder / PLAN).read_text(encoding="utf-8"), str(self.folder / PLAN))
        except (OSError, UnicodeDecodeError) as error:
            raise ZooError(f"{str(path)!r} is no zoo (it has no readable {PLAN}: {error}); make one with nl.zoo.make") from None
        shards = [k for k in range(self.plan.shards) if table_path(self.folder, "weights", k).exists()]
        of_tasks = (table_path(self.folder, "tasks", k) for k in range(-(-self.plan.tasks // PER_FILE)))
        self.is_whole = len(shards) == self.plan.shards and all(path.exists() for path in of_tasks)
        self._numbers = self._all_of(shards)
        self.tasks = StoredTasks(self.folder, self.plan.tasks)
        self._tables: Recent[int, pyarrow.Table] = Recent(2, self._table)
        files = lambda shard: TensorFile(tensors_path(self.folder, "weights", shard))  # noqa: E731
        self._files: Recent[int, TensorFile] = Recent(8, files)

    def _all_of(self, shards: Sequence[int]) -> numpy.ndarray:
        import numpy as np

        parts = [np.arange(r.start, r.stop) for r in map(self.plan.shard, shards)]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    @property
    def config(self) -> Any:
        """How it was made: a `ZooConfig`."""
        return self.plan.config

    @property
    def numbers(self) -> numpy.ndarray:
        """The numbers of the networks, in order: int64 (N,)."""
        return self._numbers.copy()

    # -- networks --------------------------------------------------------------------------------------------------
    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, place: int) -> ZooNetwork: ...
    @overload
    def __getitem__(self, place: slice | Sequence[int]) -> Zoo: ...
    def __getitem__(self, place: Any) -> ZooNetwork | Zoo:
        if isinstance(place, slice) or hasattr(place, "__len__"):
            return self._with(self._numbers[place])
        if not -len(self) <= place < len(self):
            raise IndexError(f"network {place} of {len(self)}")
        number = int(self._numbers[place])
        shard, row = divmod(number, self.plan.config.shard_size)
        (record,) = self._tables[shard].slice(row, 1).to_pylist()
        return ZooNetwork(number, record, self)

    def __iter__(self) -> Iterator[ZooNetwork]:
        return (self[place] for place in range(len(self)))

    def weights(self, number: int) -> dict[str, Tensor]:
        """The tensors of the network numbered ``number``, by key."""
        shard, row = divmod(number, self.plan.config.shard_size)
        file = self._files[shard]
        keys = file.keys_of(number)
        if not keys:
            status = self._tables[shard]["status"][row].as_py()
            raise ZooError(f"network {number} has no weights: its training ended {status}")
        return {key: file.read(number, key) for key in keys}

    def _table(self, shard: int) -> pyarrow.Table:
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = table_path(self.folder, "weights", shard)
        try:
            return pq.read_table(path, schema=schema())
        except (OSError, pa.ArrowInvalid) as error:
            raise ZooError(f"cannot read {str(path)!r}: {error}") from None

    # -- tables ----------------------------------------------------------------------------------------------------
    def frame(self, columns: Sequence[str] | None = None) -> pandas.DataFrame:
        """A row for each network; all columns but graphs and curves, or those asked for.

        The columns are described in the datasheet, and in `netloom.zoo.COLUMNS`.
        """
        import pyarrow.compute as pc

        wanted = [name for name in COLUMNS if name not in _LONG] if columns is None else list(columns)
        for name in wanted:
            if name not in COLUMNS:
                raise ZooError(f"a zoo has no column {name!r}; there is: {', '.join(COLUMNS)}")
        table = self._read(list(dict.fromkeys(("network", *wanted))))
        places = pc.index_in(self._numbers, table["network"])
        return table.take(places).select(wanted).to_pandas()

    def curves(self) -> pandas.DataFrame:
        """A row for each epoch of each network: network, epoch, train_loss, train_score, valid_loss, score, seconds."""
        import numpy as np

        frame = self.frame(["network", *(f"curve_{name}" for name in CURVE)])
        lengths = frame[f"curve_{CURVE[0]}"].map(len).to_numpy(dtype=np.int64)
        columns: dict[str, Any] = {
            "network": np.repeat(frame["network"].to_numpy(), lengths),
            "epoch": np.concatenate([np.arange(1, n + 1) for n in lengths] or [np.zeros(0, int)]),
        }
        for name in CURVE:
            columns[name] = np.concatenate([*frame[f"curve_{name}"], np.zeros(0, np.float32)])
        return type(frame)(columns)

    def median_curve(self) -> tuple[Epoch, ...]:
        """The medians of all curves after each epoch, over the networks that were trained for so long."""
        from ..training.loop import Epoch

        medians = self.curves().groupby("epoch").median()
        return tuple(Epoch(epoch=int(epoch), **{name: float(row[name]) for name in CURVE}) for epoch, row in medians.iterrows())

    def filter(self, *conditions: Condition, **equal: Any) -> Zoo:
        """The networks for which all conditions hold, worked out in the Parquet files.

        A condition is ``(column, operator, value)`` with ``==``, ``!=``, ``<``, ``<=``, ``>``, ``>=``, ``in`` or ``not in``, or
        an expression of ``pyarrow.dataset``; ``column=value`` asks for equality. Raises `ZooError` for what is no column.
        """
        import numpy as np
        import pyarrow as pa

        expression = expression_of(conditions, equal)
        try:
            found = self._read(["network"], expression)["network"].to_numpy()
        except (pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            told = (*conditions, *equal.items())
            raise ZooError(f"conditions {told}: a value is of another type than its column: {error}") from None
        return self._with(self._numbers[np.isin(self._numbers, found)])

    def split(self, share: float = 0.1, *, by: str = "task", seed: int = 0) -> tuple[Zoo, Zoo]:
        """Two zoos without a value of the column ``by`` in common; the second has about ``share`` of its values.

        By ``"task"``, what is learned from the first is tested on tasks that it has not seen; by ``"source"`` on architectures
        and initial weights, by ``"network"`` on networks alone.
        """
        import numpy as np

        if not 0 < share < 1:
            raise ZooError(f"share = {share!r}; expected a number between 0 and 1")
        values = self.frame([by])[by].to_numpy()
        different = np.unique(values)
        if len(different) < 2:
            raise ZooError(f"all {len(self)} networks have the same {by}; split by another column")
        count = min(max(1, round(share * len(different))), len(different) - 1)
        held = np.isin(values, np.random.default_rng([seed, 0x5A]).choice(different, count, replace=False))
        return self._with(self._numbers[~held]), self._with(self._numbers[held])

    def _read(self, columns: list[str], expression: Any = None) -> pyarrow.Table:
        import pyarrow as pa
        import pyarrow.dataset

        size = self.plan.config.shard_size
        paths = [str(table_path(self.folder, "weights", shard)) for shard in sorted({int(n) // size for n in self._numbers})]
        try:
            dataset = pyarrow.dataset.dataset(paths, schema=schema(), format="parquet")
            return dataset.to_table(columns=columns, filter=expression)
        except (pa.ArrowInvalid, OSError) as error:
            raise ZooError(f"cannot read {str(self.folder)!r}: {error}; 'netloom zoo check' says which file") from None

    def _with(self, numbers: numpy.ndarray) -> Zoo:
        made = object.__new__(Zoo)
        made.__dict__.update(self.__dict__)
        made._numbers = numbers
        return made

    # -- the whole -------------------------------------------------------------------------------------------------
    def check(self, *, deep: bool = False) -> list[str]:
        """What is wrong with the files, one sentence each; empty where nothing is. See `netloom.zoo.checking`."""
        from .checking import problems

        return problems(self, deep=deep)

    def __repr__(self) -> str:
        whole = "" if self.is_whole else f", {len(self.plan):,} when it is whole"
        return f"<Zoo {str(self.folder)!r}: {len(self):,} networks{whole}, {len(self.tasks):,} tasks>"
