"""How alike runs of steps are, and where beside a body another one like it may lie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .block_reading import Ints, Reading

#: How alike runs must be to repeat each other: the share of their steps that agree, by weight (as Dice's coefficient).
ALIKE = 0.7
#: Bodies of fewer steps are alike only where they are equal call by call.
SMALL = 5

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Region:
    """Steps ``[start, stop)``, the number of values alive at each border, and the borders that only one value crosses.

    ``runs`` are its periodic stretches, as `periods` finds them.
    """

    start: int
    stop: int
    live: Ints
    borders: tuple[int, ...]
    runs: tuple[tuple[int, int, int], ...]

    @staticmethod
    def of(reading: Reading, start: int, stop: int) -> Region:
        live = reading.live(start, stop)
        inner = np.flatnonzero(live[1:] <= 1) + (start + 1)
        runs = [(start + first, period, length) for first, period, length in periods(reading.label[start:stop])]
        return Region(start, stop, live, (start, *inner.tolist(), stop), tuple(runs))

    def cut(self, start: int, stop: int) -> Region:
        """A stretch of the region, with the borders that the whole has there."""
        inner = [border for border in self.borders if start < border < stop]
        clipped = ((max(a, start), period, min(a + length, stop) - max(a, start)) for a, period, length in self.runs)
        runs = tuple([run for run in clipped if run[2] >= 2 * run[1]])
        return Region(start, stop, self.live[start - self.start : stop - self.start], (start, *inner, stop), runs)

    @property
    def parts(self) -> list[Span]:
        """The runs of steps between neighbouring borders."""
        return list(zip(self.borders, self.borders[1:]))

    def crossing(self, border: int) -> int:
        """Number of values alive at a border; 0 at the end."""
        return 0 if border == self.stop else int(self.live[border - self.start])


def periods(labels: Ints) -> Iterator[tuple[int, int, int]]:
    """(start, period, length) of every longest stretch that repeats itself at least once after ``period`` labels.

    >>> list(periods(np.array([7, 1, 2, 1, 2, 1, 9])))
    [(1, 2, 5)]
    """
    count = len(labels)
    for period in range(1, count // 2 + 1):
        differs = labels[period:] != labels[:-period]
        if len(differs) - np.count_nonzero(differs) < period:
            continue
        edges = [-1, *np.flatnonzero(differs).tolist(), count - period]
        for before, after in zip(edges, edges[1:]):
            if after - before > period:
                yield before + 1, period, after - before - 1 + period


def bag(reading: Reading, start: int, stop: int) -> Counter[int]:
    """Weight of each label in a run of steps."""
    found: Counter[int] = Counter()
    for label, weight in zip(reading.label[start:stop].tolist(), reading.weight[start:stop].tolist()):
        found[label] += weight
    return found


def likeness(a: Counter[int], b: Counter[int]) -> float:
    """1 for runs of the same labels, in any order, 0 for runs that have none in common."""
    return 2 * (a & b).total() / (a.total() + b.total())


def kinds(reading: Reading, parts: list[Span]) -> list[int]:
    """A number for each part, equal for parts that are alike; single steps by their label."""
    found: list[int] = []
    known: list[Counter[int]] = []
    numbers: dict[bytes, int] = {}
    for start, stop in parts:
        if stop - start == 1:
            found.append(int(reading.label[start]))
            continue
        labels = reading.label[start:stop].tobytes()
        if labels not in numbers:
            this = bag(reading, start, stop)
            alike = (i for i, other in enumerate(known) if likeness(this, other) >= ALIKE)
            number = next(alike, len(known)) if stop - start >= SMALL else len(known)
            if number == len(known):
                known.append(this)
            numbers[labels] = -1 - number
        found.append(numbers[labels])
    return found


def resembles(reading: Reading, a: Span, b: Span) -> bool:
    """Whether two runs are alike step by step, sizes included."""
    if np.array_equal(reading.label[slice(*a)], reading.label[slice(*b)]):
        return True
    longer, other = (a, b) if a[1] - a[0] >= b[1] - b[0] else (b, a)
    places = range(*other)
    return _nearest(reading, longer, places, [*[-1] * (len(places) - 1), other[1]], sizes=True) is not None


def alike_before(reading: Reading, region: Region, body: Span, origin: int, sizes: bool = True) -> int | None:
    """Where a run that ends at ``origin`` and is most like the body starts; None where none is alike.

    Steps whose sizes differ along several axes count half, unless ``sizes`` do not matter.
    """
    places = _within_reach(reading, body, range(origin - 1, region.start - 1, -1))
    limit, multiplies = max(1, region.crossing(origin)), reading.multiplies
    fits = (multiplies[i] == multiplies[body[0]] and (i == region.start or region.crossing(i) <= limit) for i in places)
    ends = [i if fit else -1 for i, fit in zip(places, fits)]
    start = _nearest(reading, body, places, ends, sizes)
    return start if start is not None and not _holds_more(reading, region, (start, origin), body) else None


def alike_after(reading: Reading, region: Region, body: Span, origin: int, sizes: bool = True) -> int | None:
    """Where a run that starts at ``origin`` and is most like the body ends; None where none is alike."""
    places = _within_reach(reading, body, range(origin, region.stop))
    ends = [i + 1 if region.crossing(i + 1) <= 1 else -1 for i in places]
    stop = _nearest(reading, body, places, ends, sizes)
    return stop if stop is not None and not _holds_more(reading, region, (origin, stop), body) else None


def _holds_more(reading: Reading, region: Region, span: Span, body: Span) -> bool:
    """Whether a part of a run is more like the body than all of it: then it is an instance and more."""
    whole = bag(reading, *body)
    limit = likeness(bag(reading, *span), whole)
    inside = [(a, b) for a, b in region.parts if span[0] <= a and b <= span[1] and 1 < b - a < span[1] - span[0]]
    return any(likeness(bag(reading, a, b), whole) >= limit for a, b in inside)


def _within_reach(reading: Reading, body: Span, places: range) -> range:
    """The places that a run like the body can have at most: with more, too few of them would agree."""
    whole = int(reading.weight[slice(*body)].sum())
    weights = (
        reading.weight[places.start : places.stop : places.step] if places.stop >= 0 else reading.weight[places.start :: -1]
    )
    count = int(np.searchsorted(np.cumsum(weights), whole * (2 / ALIKE - 1), side="right"))
    return places[:count]


def _nearest(reading: Reading, body: Span, places: range, ends: list[int], sizes: bool) -> int | None:
    """Of the runs from the first place to an end (-1 for none there) the one with the longest common subsequence."""
    key = body, places, tuple(ends), sizes
    if key not in reading.nearest:
        reading.nearest[key] = _search(reading, body, places, ends, sizes)
    return reading.nearest[key]


def _search(reading: Reading, body: Span, places: range, ends: list[int], sizes: bool) -> int | None:
    """The longest common subsequence by weight, bit by bit: Hyyrö, "Bit-parallel LCS-length computation revisited", 2004.

    A step is two bits for each unit of its weight. The first of the two match any step of its label, the others one of
    about its size. ``row`` has a zero for each bit of the body that is matched so far.
    """
    count = _promising(reading, body, places, ends)
    if not count:
        return None
    masks = _Masks(reading, body, places.step)
    row = full = (1 << 2 * masks.weight) - 1
    both, best, found = masks.weight, ALIKE, None
    for i, end in zip(places[:count], ends):
        weight = int(reading.weight[i])
        both += weight
        mask = masks.of(int(reading.label[i]))
        for matching in (mask, mask & masks.near(int(reading.type[i])) if sizes else mask):
            for _ in range(weight if matching else 0):
                common = row & matching
                row = (row + common | row - common) & full
        matched = 2 * masks.weight - row.bit_count()
        if end >= 0 and matched / both > best:
            best, found = matched / both, end
    return found


class _Masks:
    """Which bits of a body belong to steps of a label, and to steps of about the size of a type."""

    def __init__(self, reading: Reading, body: Span, step: int) -> None:
        order = range(*body) if step > 0 else range(body[1] - 1, body[0] - 1, -1)
        self.reading, self.weight = reading, 0
        self._labels: dict[int, int] = {}
        self._types: dict[int, int] = {}
        self._near: dict[int, int] = {}
        for i in order:
            weight, label, kind = int(reading.weight[i]), int(reading.label[i]), int(reading.type[i])
            bits = ((1 << 2 * weight) - 1) << 2 * self.weight
            self._labels[label] = self._labels.get(label, 0) | bits
            self._types[kind] = self._types.get(kind, 0) | bits
            self.weight += weight

    def of(self, label: int) -> int:
        return self._labels.get(label, 0)

    def near(self, kind: int) -> int:
        if kind not in self._near:
            close = self.reading.close(kind)
            self._near[kind] = sum(bits for other, bits in self._types.items() if close[other])
        return self._near[kind]


def _promising(reading: Reading, body: Span, places: range, ends: list[int]) -> int:
    """How many places to look at: to the last end where the labels alone, in any order, agree well enough."""
    if body[1] - body[0] < SMALL:
        return 0
    left = bag(reading, *body)
    both, agreed, count = left.total(), 0, 0
    for number, (i, end) in enumerate(zip(places, ends), 1):
        label, weight = int(reading.label[i]), int(reading.weight[i])
        both += weight
        if left[label] > 0:
            left[label] -= weight
            agreed += weight
        if end >= 0 and 2 * agreed > ALIKE * both:
            count = number
    return count
