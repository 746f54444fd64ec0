"""`paths`: how many paths through a graph pass which sequence of operators.

Source: the path encoding of BANANAS (White, Neiswanger and Savani, AAAI 2021), on the signal of any graph instead of one cell:
what does not change the signal is contracted, and repeated blocks are counted each by itself, because paths through a stack of
cells are as many as the product of theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from .counts import Counts, counted
from .inputs import as_graphs
from .segment_sequences import Sequences, joined_sequences
from .signal_flow import Segment, signal, units
from .vocabulary import LABELS

if TYPE_CHECKING:
    from ..graph.graph import Graph

#: Between the operators of a path.
ARROW = " > "
#: The path that passes no operator that is kept.
IDENTITY = "identity"


def paths(
    graphs: Graph | Iterable[Graph], *, vocabulary: Iterable[str] | None = None, across: bool = False, min_graphs: int = 1
) -> Counts:
    """Counts (N, V) of the paths of N graphs by the sequence of operators that they pass.

    Operators are those that hold weights, pool, or resize, with their kernels (``"conv2d_3 > max_pool2d2"``); everything else
    is contracted. Paths are counted within every repeated block and between them, and added up; with ``across=True`` from the
    inputs to the outputs instead, the 256 commonest sequences alone. Without a ``vocabulary`` columns are the sequences that
    ``min_graphs`` of the graphs have.

    >>> import netloom as nl
    >>> x = nl.input(3, 8, 8)
    >>> y = nl.relu(nl.conv2d(x, 4, kernel=3, padding=1))
    >>> y = nl.add(y, nl.conv2d(y, 4, kernel=1))
    >>> graph = nl.Graph(x, nl.linear(nl.flatten(y), 2))
    >>> counts = paths([graph], across=True)
    >>> counts.vocabulary, counts.dense().tolist()
    (('conv2d_3 > conv2d_1 > linear', 'conv2d_3 > linear'), [[1.0, 1.0]])
    """
    of_unit: dict[tuple[Segment, ...], Sequences] = {}
    rows: list[Sequences] = []
    names: dict[tuple[int, ...], str] = {}
    for graph in as_graphs(graphs):
        segments = signal(graph).segments
        total: Sequences = {}
        for part in [segments] if across and segments else _units(segments):
            found = of_unit.get(part)
            if found is None:
                found = of_unit[part] = joined_sequences(part)
            for path, count in found.items():
                total[path] = total.get(path, 0.0) + count
        for path in total:
            if path not in names:
                names[path] = ARROW.join(LABELS[label].name for label in path) or IDENTITY
        rows.append(total)
    return counted(rows, names, vocabulary, min_graphs)


def _units(segments: Sequence[Segment]) -> list[tuple[Segment, ...]]:
    number: dict[Segment, int] = {}
    chain = tuple([number.setdefault(segment, len(number)) for segment in segments])
    of_number = list(number)
    return [tuple(of_number[i] for i in part) for part in units(chain)]
