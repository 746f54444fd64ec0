"""`features`: any graph as a row of named numbers.

Counts, path statistics and sizes in the spirit of GRAF (Kadlecová et al., "Surprisingly Strong Performance Prediction with
Neural Graph Features", ICML 2024), taken from the signal of a graph instead of the edges of a cell, so that they exist for
every graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from . import segment_statistics, size_features
from .segment_statistics import Sequences, joined_sequences, statistics
from .signal_flow import Segment, signal, units
from .vocabulary import KINDS, LABELS

if TYPE_CHECKING:
    import pandas

    from ..graph.graph import Graph

_CHAIN = ("segments", "segments.different", "units", "units.different", "disconnected", "dead")
#: The columns of `features`.
NAMES = (*segment_statistics.NAMES, *size_features.NAMES, *_CHAIN, *(f"all.{kind}" for kind in KINDS))


class Encoded(NamedTuple):
    """Graphs as predictors read them: features (N, F) in the order of `NAMES`, and path counts by sequence of labels."""

    features: np.ndarray
    paths: list[Sequences]


def encoded(graphs: Iterable[Graph]) -> Encoded:
    """Features and path counts of graphs, every different segment looked at once."""
    number: dict[Segment, int] = {}
    segments: list[Segment] = []
    chains: list[tuple[int, ...]] = []
    sizes: list[list[float]] = []
    labels: list[list[int]] = []
    for graph in graphs:
        found = signal(graph)
        chain = []
        for segment in found.segments:
            place = number.get(segment)
            if place is None:
                place = number[segment] = len(segments)
                segments.append(segment)
            chain.append(place)
        chains.append(tuple(chain))
        sizes.append(size_features.sizes(graph, found))
        labels.append(found.labels)
    table = np.array([statistics(segment) for segment in segments]).reshape(-1, len(segment_statistics.NAMES))
    structure = np.array([table[list(chain)].sum(0) if chain else np.zeros(table.shape[1]) for chain in chains])
    divided = [units(chain) for chain in chains]
    kind_of = np.array([label.kind for label in LABELS] or [0])
    everything = np.array([np.bincount(kind_of[row], minlength=len(KINDS)) for row in labels])
    chain_numbers = [
        (len(chain), len(set(chain)), len(parts), len(set(parts)), not chain, len(row) - sum(len(segments[i]) for i in chain))
        for chain, parts, row in zip(chains, divided, labels)
    ]
    rows = [structure, np.array(sizes), np.array(chain_numbers, dtype=float), everything]
    return Encoded(np.hstack([part.reshape(len(chains), -1) for part in rows]), _paths(divided, segments))


def _paths(divided: Sequence[list[tuple[int, ...]]], segments: Sequence[Segment]) -> list[Sequences]:
    """Path counts of each graph, units of repeated segments taken as one."""
    of_unit: dict[tuple[int, ...], Sequences] = {}
    found: list[Sequences] = []
    for parts in divided:
        total: Sequences = {}
        for part in parts:
            if part not in of_unit:
                of_unit[part] = joined_sequences(tuple(segments[i] for i in part))
            for path, count in of_unit[part].items():
                total[path] = total.get(path, 0.0) + count
        found.append(total)
    return found


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
