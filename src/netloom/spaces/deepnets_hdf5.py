"""Reads the official files of DeepNets-1M: graphs in an HDF5 file, arguments of networks in a JSON file beside it.

The files are published by the paper's authors (``deepnets1m_eval.hdf5`` and ``deepnets1m_eval_meta.json``, the same for
``train`` and ``search``). Reading them executes nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from ..errors import FormatError, NetloomError
from ..graph.graph import Graph
from .deepnets_architecture import LARGE, Architecture
from .deepnets_network import network
from .deepnets_sampling import BASE_CHANNELS

if TYPE_CHECKING:
    import numpy

_NEEDED = ("genotype", "n_cells", "ks", "norm", "preproc", "stem_type", "stem_pool", "C_mult", "fc_layers", "glob_avg")


class PublishedGraph(NamedTuple):
    """A graph as the authors store it: lengths of shortest paths (N, N), 1 for edges; names of primitives and of modules.

    ``cells`` has the index of the cell of every node.
    """

    distances: numpy.ndarray
    primitives: tuple[str, ...]
    names: tuple[str, ...]
    cells: tuple[int, ...]

    @property
    def edges(self) -> list[tuple[int, int]]:
        """(from, to) of every edge, in order."""
        import numpy

        return [(int(i), int(j)) for i, j in numpy.argwhere(self.distances == 1)]


class PublishedSplit(Sequence[Graph]):
    """The networks of one split of an official file, in its order; a graph is made when it is asked for.

    The files do not give channels to every network: ``channels`` stands in where one has none, and networks of ``wide`` get
    four times what is written (twice for images of 96 pixels and more), as the authors' loader does.
    """

    def __init__(
        self, path: Path, split: str, records: Sequence[Mapping[str, Any]], meta: Mapping[str, Any], channels: int,
        input_shape: tuple[int, int, int],
    ) -> None:  # fmt: skip
        self.path, self.split, self.records, self.meta = path, split, records, meta
        self.channels, self.input_shape = channels, input_shape

    def __len__(self) -> int:
        return len(self.records)

    @overload
    def __getitem__(self, place: int) -> Graph: ...
    @overload
    def __getitem__(self, place: slice) -> list[Graph]: ...
    def __getitem__(self, place: int | slice) -> Graph | list[Graph]:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        return network(self.architecture(place))

    def __iter__(self) -> Iterator[Graph]:
        return (self[i] for i in range(len(self)))

    def architecture(self, place: int) -> Architecture:
        """The architecture of a network; `FormatError` where its arguments are none."""
        record = self.records[place]
        missing = [name for name in _NEEDED if name not in record]
        if missing:
            raise FormatError(f"{self.path.name}: network {place} of {self.split} without {missing[0]!r}")
        widen = 1
        if self.split == "wide":
            widen = 2 if max(self.input_shape[1:]) >= LARGE else 4
        try:
            C = widen * int(record.get("C", self.channels))
            return Architecture.from_dict({**record, "C": C, "input_shape": self.input_shape})
        except (NetloomError, TypeError, ValueError) as error:
            raise FormatError(f"{self.path.name}: network {place} of {self.split}: {error}") from None

    def published_graph(self, place: int) -> PublishedGraph:
        """The graph that is stored for a network; `FormatError` where the file holds none."""
        place = range(len(self))[place]
        with _opened(self.path) as file:
            try:
                group = file[self.split][str(place)]
                distances, nodes = group["adj"][()], group["nodes"][()]
            except (KeyError, TypeError, AttributeError):
                raise FormatError(f"{self.path.name} has no graph {place} of {self.split}") from None
        if distances.ndim != 2 or nodes.shape != (len(distances), 3):
            raise FormatError(
                f"{self.path.name}: graph {place} of {self.split} has nodes {nodes.shape} beside distances {distances.shape}"
            )
        kinds, names = self.meta.get("primitives_ext", {}), self.meta.get("unique_op_names", {})
        try:
            primitives = tuple(kinds[str(int(kind))] for kind, _, _ in nodes)
            modules = tuple(names[str(int(name))] for _, _, name in nodes)
        except KeyError as error:
            raise FormatError(f"{self.path.name}: the JSON file beside it has no name for the number {error}") from None
        return PublishedGraph(distances, primitives, modules, tuple(int(cell) for _, cell, _ in nodes))


def read_published(
    path: str | os.PathLike[str], split: str, *, channels: int = BASE_CHANNELS, input_shape: tuple[int, int, int] = (3, 32, 32)
) -> PublishedSplit:
    """A split of an official HDF5 file, whose JSON file ``…_meta.json`` lies beside it; needs h5py for the stored graphs.

    Raises `FormatError` for files that are not there, not in that format, or without the split.
    """
    file = Path(path)
    beside = file.with_name(file.name.removesuffix(".hdf5") + "_meta.json")
    try:
        document = json.loads(beside.read_text(encoding="utf-8"))
    except OSError as error:
        raise FormatError(f"cannot read {str(beside)!r}, which belongs to {file.name}: {error.strerror or error}") from None
    except ValueError as error:
        raise FormatError(f"{str(beside)!r} is no JSON: {error}") from None
    if not isinstance(document, dict) or split not in document:
        known = ", ".join(document) if isinstance(document, dict) else "none"
        raise FormatError(f"{str(beside)!r} has no split {split!r}; it has {known[:200]}")
    try:
        records, meta = document[split]["nets"], document[split].get("meta", {})
        if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
            raise TypeError
    except (KeyError, TypeError, AttributeError):
        raise FormatError(f"{str(beside)!r}: split {split!r} holds no list of networks under 'nets'") from None
    return PublishedSplit(file, split, records, meta, channels, input_shape)


def _opened(path: Path) -> Any:
    try:
        import h5py
    except ImportError:
        raise FormatError("reading HDF5 files needs h5py; install it with: pip install h5py") from None
    try:
        return h5py.File(path, mode="r")
    except OSError as error:
        raise FormatError(f"cannot read {str(path)!r}: {error}") from None
