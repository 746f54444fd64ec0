"""What was encoded before: graphs whose hash is known already are not encoded again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .named_features import Counted, Encoded, encoded

if TYPE_CHECKING:
    from ..graph.graph import Graph

Array = np.ndarray[Any, Any]
#: Graphs that are remembered, those that were asked for last; some ten kilobytes each.
MOST = 2000


class _Row(NamedTuple):
    """One graph: features (F,), and for paths, neighbourhoods and regions what is counted and how often."""

    features: Array
    counted: tuple[tuple[Any, Array], ...]


class KnownEncodings:
    """`encoded` that remembers.

    Hashes are not worked out for it: that takes longer than to encode. A search knows those of its candidates.
    """

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._rows: OrderedDict[str, _Row] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._rows)

    def __call__(self, graphs: Sequence[Graph]) -> Encoded:
        """What `encoded` gives for graphs, up to the order in which paths are listed."""
        hashes: list[str | None] = [graph.__dict__.get("hash") for graph in graphs]
        if not hashes or len(hashes) > self.most:
            return encoded(graphs)
        some = self._found(hashes)
        if None in hashes or not some:
            found = encoded(graphs)
            self._remember(hashes, found)
            return found
        new = {hash: graph for hash, graph in zip(hashes, graphs) if hash not in some}
        if new:
            some |= self._remember(list(new), encoded(list(new.values())))
        return _joined([some[hash] for hash in hashes if hash is not None])

    def _found(self, hashes: Sequence[str | None]) -> dict[str, _Row]:
        with self._lock:
            some = {hash: row for hash in hashes if hash is not None and (row := self._rows.get(hash)) is not None}
            for hash in some:
                self._rows.move_to_end(hash)
        return some

    def _remember(self, hashes: Sequence[str | None], found: Encoded) -> dict[str, _Row]:
        made: dict[str, _Row] = {}
        for i, hash in enumerate(hashes):
            if hash is not None and hash not in made:
                made[hash] = _row(found, i)
        with self._lock:
            self._rows.update(made)
            while len(self._rows) > self.most:
                self._rows.popitem(last=False)
        return made


def _row(found: Encoded, i: int) -> _Row:
    counted = []
    for counts, vocabulary in found[1:]:
        part = slice(counts.indptr[i], counts.indptr[i + 1])
        keys: Any = [vocabulary[j] for j in counts.indices[part].tolist()]
        if counts is not found.paths.counts:
            keys = np.array(keys, dtype=np.uint64)
        counted.append((keys, counts.data[part].copy()))
    return _Row(found.features[i].copy(), tuple(counted))


def _joined(rows: list[_Row]) -> Encoded:
    paths, neighbours, regions = ([row.counted[which] for row in rows] for which in range(3))
    vocabulary: dict[Any, int] = {}
    columns = np.array([vocabulary.setdefault(path, len(vocabulary)) for listed, _ in paths for path in listed], dtype=np.intp)
    return Encoded(
        np.array([row.features for row in rows]), _counts(paths, columns, list(vocabulary)), _hashed(neighbours),
        _hashed(regions),
    )  # fmt: skip


def _hashed(rows: list[tuple[Any, Array]]) -> Counted:
    different, columns = np.unique(np.concatenate([keys for keys, _ in rows]), return_inverse=True)
    return _counts(rows, columns, different.tolist())


def _counts(rows: list[tuple[Any, Array]], columns: Array, vocabulary: list[Any]) -> Counted:
    from scipy.sparse import csr_matrix

    ends = np.cumsum([0, *(len(keys) for keys, _ in rows)])
    data = np.concatenate([data for _, data in rows])
    return Counted(csr_matrix((data, columns, ends), shape=(len(rows), len(vocabulary))), vocabulary)
