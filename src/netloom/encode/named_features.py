"""`features`: any graph as a row of named numbers.

Counts, path statistics and sizes in the spirit of GRAF (Kadlecová et al., "Surprisingly Strong Performance Prediction with
Neural Graph Features", ICML 2024), taken from the signal of a graph instead of the edges of a cell, so that they exist for
every graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..graph.garbage import no_collection
from . import segment_statistics, size_features
from .neighbourhood_hashes import neighbourhood_hashes
from .region_hashes import Calls, region_hashes
from .segment_sequences import joined_sequences
from .segment_statistics import statistics
from .signal_batches import LiveCalls, Segments, Signals, signals
from .signal_flow import units
from .vocabulary import KINDS

if TYPE_CHECKING:
    import pandas

    from ..graph.graph import Graph

Array = np.ndarray[Any, Any]
#: Graphs whose features are worked out at once.
_AT_ONCE = 2000
#: A path: the labels of the main calls that it passes.
Path = tuple[int, ...]

_CHAIN = ("segments", "segments.different", "units", "units.different", "disconnected", "dead")
#: The columns of `features`.
NAMES = (*segment_statistics.NAMES, *size_features.NAMES, *_CHAIN, *(f"all.{kind}" for kind in KINDS))


class Counted(NamedTuple):
    """Counts: a sparse matrix (N, V) of scipy, and what each column counts."""

    counts: Any
    vocabulary: list[Any]

    def some(self, rows: Any) -> Counted:
        """The counts of some graphs, with all columns."""
        return Counted(self.counts[rows], self.vocabulary)


class Encoded(NamedTuple):
    """Graphs as predictors read them: features (N, F) in the order of `NAMES`, counts of paths, neighbourhoods and regions.

    Paths are tuples of labels, neighbourhoods and regions numbers that are the same in every process.
    """

    features: Array
    paths: Counted
    neighbours: Counted
    regions: Counted

    def some(self, rows: Any) -> Encoded:
        """What is known of some of the graphs."""
        return Encoded(self.features[rows], self.paths.some(rows), self.neighbours.some(rows), self.regions.some(rows))

    def different(self) -> tuple[Array, Array]:
        """The first row of each kind (D,), in order, and which of them each row (N,) equals: told by random projections."""
        rng = np.random.default_rng(0)
        tables = (self.features, *(part.counts for part in self[1:]))
        sums = [table @ rng.standard_normal((table.shape[1], 1)) for table in tables]
        # Sums of equal numbers in another order differ in their last digits.
        rounded = np.ascontiguousarray(np.round(np.hstack(sums), 9) + 0.0)
        keys = rounded.view(f"V{rounded.itemsize * rounded.shape[1]}").ravel()
        _, rows, like = np.unique(keys, return_index=True, return_inverse=True)
        place = np.empty(len(rows), dtype=np.intp)
        place[np.argsort(rows)] = np.arange(len(rows))
        return np.sort(rows), place[like]


def encoded(graphs: Iterable[Graph]) -> Encoded:
    """Features and path counts of graphs, every different segment, chain and repeated block looked at once."""
    graphs = list(graphs)
    known = _Known()
    with no_collection():  # each look for cycles would walk all graphs in memory
        if graphs:
            known.look(signals(graphs, known.segments))
        begins = range(0, len(graphs), _AT_ONCE)
        rows = [known.rows(graphs[i : i + _AT_ONCE], known.signals.some(i, i + _AT_ONCE)) for i in begins]
        features = np.vstack(rows) if rows else np.zeros((0, len(NAMES)))
        return Encoded(features, known.paths(), known.counted(known.neighbourhoods), known.counted(known.regions))


class _Known:
    """What was learned of the graphs so far: statistics of segments, units of chains, paths of units."""

    def __init__(self) -> None:
        self.segments = Segments()
        self.signals: Signals
        self.table = np.zeros((0, len(segment_statistics.NAMES)))
        self.chains: dict[bytes, int] = {}
        self.units: dict[Path, int] = {}
        #: By chain: numbers of segments, of different ones, of units, of different ones, and whether there is none.
        self.chain_numbers: list[tuple[int, int, int, int, int]] = []
        self.chain_units: list[list[int]] = []
        #: Neighbourhoods and regions of chains, by part: chain, hash, count.
        self.neighbourhoods: list[tuple[Array, Array, Array]] = []
        self.regions: list[tuple[Array, Array, Array]] = []
        self.chain_of_graph: list[Array] = []

    def look(self, found: Signals) -> None:
        """Take up the signals of all graphs."""
        self.signals, self.table = found, statistics(self.segments.found)

    def rows(self, graphs: Sequence[Graph], found: Signals) -> Array:
        """The features (N, F) of graphs."""
        from scipy.sparse import csr_matrix

        segments, bounds = found.chains()
        num_chains = len(self.chains)
        chains = np.array([self._chain(segments[a:b]) for a, b in zip(bounds.tolist(), bounds[1:].tolist())], dtype=np.intp)
        different, first = np.unique(chains, return_index=True)
        self._count_hashes(found.which(first[different >= num_chains]), different[different >= num_chains])
        self.chain_of_graph.append(chains)
        numbers = np.array(self.chain_numbers, dtype=np.float64)[chains]
        structure = csr_matrix((np.ones(len(segments)), segments, bounds), shape=(len(graphs), len(self.table))) @ self.table
        of_graph = csr_matrix((np.ones(len(found.block)), found.block, found.bounds), shape=(len(graphs), len(found.of.kinds)))
        block, graph = found.sounding()
        live = np.bincount(graph, np.diff(found.of.live_bounds)[block], minlength=len(graphs))
        dead = of_graph @ found.of.num_steps - live
        return np.hstack([structure, size_features.sizes(graphs, found), numbers, dead[:, None], of_graph @ found.of.kinds])

    def _chain(self, segments: Array) -> int:
        """The number of a graph's chain of segments."""
        key = segments.tobytes()
        number = self.chains.get(key)
        if number is None:
            number = self.chains[key] = len(self.chains)
            chain = tuple(segments.tolist())
            parts = units(chain)
            self.chain_units.append([self.units.setdefault(part, len(self.units)) for part in parts])
            self.chain_numbers.append((len(chain), len(set(chain)), len(parts), len(set(parts)), not chain))
        return number

    def _count_hashes(self, found: Signals, chains: Array) -> None:
        """Neighbourhoods and regions of one graph for each new chain: graphs of one chain are alike."""
        live: LiveCalls = found.live_calls()
        sizes = np.diff(live.bounds)
        if not len(live.labels):
            return
        chain = np.repeat(chains, sizes)
        for hashes in neighbourhood_hashes(live.labels, live.target, live.source):
            self.neighbourhoods.append(_counts(chain, hashes))
        position = np.arange(len(chain)) - np.repeat(live.bounds[:-1], sizes)
        calls = Calls(live.labels, position, position == np.repeat(sizes, sizes) - 1, live.target, live.source)
        hashes, ends = region_hashes(calls)
        self.regions.append(_counts(chain[ends], hashes))

    def counted(self, parts: list[tuple[Array, Array, Array]]) -> Counted:
        """Counts of all graphs so far from those of their chains."""
        from scipy.sparse import csr_matrix

        if not parts:
            return Counted(csr_matrix((sum(map(len, self.chain_of_graph)), 0)), [])
        chain, hashes, counts = (np.concatenate(column) for column in zip(*parts))
        known, column = np.unique(hashes, return_inverse=True)
        matrix = csr_matrix((counts.astype(np.float64), (chain, column)), shape=(len(self.chains), len(known)))
        return Counted(matrix[np.concatenate(self.chain_of_graph)], known.tolist())

    def paths(self) -> Counted:
        """Path counts of all graphs so far, units of repeated segments taken as one."""
        from scipy.sparse import csr_matrix

        of_each = [joined_sequences(tuple([self.segments.found[i] for i in unit])) for unit in self.units]
        vocabulary: dict[Path, int] = {}
        columns = [vocabulary.setdefault(path, len(vocabulary)) for counts in of_each for path in counts]
        counts = [count for found in of_each for count in found.values()]
        ends = np.cumsum([0, *map(len, of_each)])
        of_unit = csr_matrix((counts, columns, ends), shape=(len(of_each), len(vocabulary)), dtype=np.float64)
        used = [number for chain in self.chain_units for number in chain]
        bounds = np.cumsum([0, *map(len, self.chain_units)])
        of_chain = csr_matrix((np.ones(len(used)), used, bounds), shape=(len(self.chains), len(of_each))) @ of_unit
        rows = np.concatenate(self.chain_of_graph) if self.chain_of_graph else np.zeros(0, dtype=np.intp)
        return Counted(of_chain[rows], list(vocabulary))


def _counts(chain: Array, hashes: Array) -> tuple[Array, Array, Array]:
    """Chains, hashes, and how often each pair is there."""
    known, column = np.unique(hashes, return_inverse=True)
    pairs, counts = np.unique(chain.astype(np.int64) * max(len(known), 1) + column, return_counts=True)
    return pairs // max(len(known), 1), known[pairs % max(len(known), 1)], counts


def features(graphs: Graph | Sequence[Graph]) -> pandas.DataFrame:
    """Named numbers (N, F) of graphs, the same columns whatever the graphs are; see docs/encodings.md for each.

    >>> import netloom as nl
    >>> x = nl.input(3, 8, 8)
    >>> y = nl.relu(nl.conv2d(x, 4, kernel=3, padding=1))
    >>> y = nl.add(y, nl.conv2d(y, 4, kernel=1))
    >>> graph = nl.Graph(x, nl.linear(nl.flatten(y), 2))
    >>> nl.encode.features([graph])[["live.conv3", "longest.heavy", "shortest.heavy", "skips"]].iloc[0].tolist()
    [1.0, 3.0, 2.0, 1.0]
    """
    import pandas as pd

    from ..graph.graph import Graph

    graphs = [graphs] if isinstance(graphs, Graph) else list(graphs)
    if not graphs:
        return pd.DataFrame(np.zeros((0, len(NAMES))), columns=list(NAMES))
    return pd.DataFrame(encoded(graphs).features, columns=list(NAMES))
