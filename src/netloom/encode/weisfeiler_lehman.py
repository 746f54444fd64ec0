"""`wl`: how often which neighbourhood occurs in a graph.

Source: the subtree kernel of Weisfeiler and Lehman (Shervashidze et al., JMLR 2011), as it encodes architectures in NAS-BOWL
(Ru, Wan, Dong and Osborne, ICLR 2021); on the signal of any graph, with what a call reads and what reads it told apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING

from ..errors import FormatError
from .counts import Counts, counted
from .inputs import as_graphs
from .signal_flow import Segment, signal
from .vocabulary import LABELS

if TYPE_CHECKING:
    from ..graph.graph import Graph

#: Number of a neighbourhood → its name; neighbourhoods by what they are made of.
_NAMES: list[str] = []
_NUMBERS: dict[tuple[object, ...], int] = {}
_DIGITS = 12


def wl(
    graphs: Graph | Iterable[Graph],
    iterations: int = 2,
    *,
    vocabulary: Iterable[str] | None = None,
    min_graphs: int = 1,
) -> Counts:
    """Counts (N, V) of the neighbourhoods of all calls of N graphs, of radius 0 to ``iterations``.

    The neighbourhood of radius 0 is the operator of a call with its kernel, that of radius r + 1 the neighbourhoods of radius r
    of the call, of all that it reads and of all that reads it. Names are the operator's (``"conv2d_3"``) and, from radius 1,
    ``"radius:operator:digest"``; they are the same in every process. Without a ``vocabulary`` columns are the neighbourhoods
    that ``min_graphs`` of the graphs have.

    >>> import netloom as nl
    >>> x = nl.input(8)
    >>> graph = nl.Graph(x, nl.linear(nl.relu(nl.linear(x, 4)), 2))
    >>> counts = wl([graph], iterations=1)
    >>> [name.rpartition(":")[0] or name for name in counts.vocabulary], counts.dense().tolist()
    (['1:input', '1:linear', '1:linear', '1:relu', 'input', 'linear', 'relu'], [[1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 1.0]])
    """
    if type(iterations) is not int or iterations < 0:
        raise FormatError(f"iterations = {iterations!r}; expected an integer ≥ 0")
    rows = []
    for graph in as_graphs(graphs):
        segments = signal(graph).segments
        total: Counter[int] = Counter()
        # A neighbourhood of radius r reaches at most r segments to either side.
        for i in range(len(segments)):
            begin = max(i - iterations, 0)
            total.update(_counts(segments[begin : i + iterations + 1], i - begin, iterations))
        rows.append(total)
    names = {number: _NAMES[number] for row in rows for number in row}
    return counted(rows, names, vocabulary, min_graphs)


@lru_cache(maxsize=100_000)
def _counts(window: tuple[Segment, ...], middle: int, iterations: int) -> dict[int, int]:
    """The neighbourhoods of the calls of one segment, given the segments around it that they may reach."""
    reads: list[list[int]] = []
    labels: list[int] = []
    begin = 0
    for i, segment in enumerate(window):
        if i == middle:
            begin = len(labels)
        for label, *distances in segment:
            here = len(labels)
            reads.append([here - distance for distance in distances if distance <= here])
            labels.append(label)
    end = begin + len(window[middle])
    read_by: list[list[int]] = [[] for _ in labels]
    for i, sources in enumerate(reads):
        for source in sources:
            read_by[source].append(i)
    numbers = [_number(0, LABELS[label].name) for label in labels]
    found = Counter(numbers[begin:end])
    for radius in range(1, iterations + 1):
        before, after = ([tuple(sorted([numbers[j] for j in beside])) for beside in side] for side in (reads, read_by))
        numbers = [_number(radius, *around) for around in zip(numbers, before, after)]
        found.update(numbers[begin:end])
    return dict(found)


def _number(radius: int, own: int | str, reads: tuple[int, ...] = (), read_by: tuple[int, ...] = ()) -> int:
    """The number of a neighbourhood, a new one where it has not been met; ``own`` is the operator where the radius is 0."""
    key = (radius, own, reads, read_by)
    number = _NUMBERS.get(key)
    if number is None:
        number = _NUMBERS[key] = len(_NAMES)
        _NAMES.append(own if isinstance(own, str) else _name(radius, own, reads, read_by))
    return number


def _name(radius: int, own: int, reads: tuple[int, ...], read_by: tuple[int, ...]) -> str:
    parts = [[_NAMES[own]], sorted(_NAMES[number] for number in reads), sorted(_NAMES[number] for number in read_by)]
    digest = blake2b("\n".join(map("\t".join, parts)).encode(), digest_size=_DIGITS // 2).hexdigest()
    operator = _NAMES[own].split(":")[1] if ":" in _NAMES[own] else _NAMES[own]
    return f"{radius}:{operator}:{digest}"
