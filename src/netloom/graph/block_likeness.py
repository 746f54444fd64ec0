"""How alike runs of steps are, and where beside a body another one like it may lie."""

from __future__ import annotations

from collections import Counter
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
    """Steps ``[start, stop)``, the number of values alive at each border, and the borders that only one value crosses."""

    start: int
    stop: int
    live: Ints
    borders: tuple[int, ...]

    @staticmethod
    def of(reading: Reading, start: int, stop: int) -> Region:
        live = reading.live(start, stop)
        inner = np.flatnonzero(live[1:] <= 1) + (start + 1)
        return Region(start, stop, live, (start, *inner.tolist(), stop))

    def cut(self, start: int, stop: int) -> Region:
        """A stretch of the region, with the borders that the whole has there."""
        inner = [border for border in self.borders if start < border < stop]
        return Region(start, stop, self.live[start - self.start : stop - self.start], (start, *inner, stop))

    @property
    def parts(self) -> list[Span]:
        """The runs of steps between neighbouring borders."""
        return list(zip(self.borders, self.borders[1:]))

    def crossing(self, border: int) -> int:
        """Number of values alive at a border; 0 at the end."""
        return 0 if border == self.stop else int(self.live[border - self.start])


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
    if body[1] - body[0] < SMALL or not any(end >= 0 for end in ends):
        return None
    order = slice(*body) if places.step > 0 else slice(body[1] - 1, body[0] - 1 if body[0] else None, -1)
    labels, weights, types = reading.label[order], reading.weight[order], reading.type[order]
    whole = int(weights.sum())
    near = [int(reading.label[i]) for i in places]
    common = int(weights[np.isin(labels, near)].sum())
    if 2 * common < ALIKE * (whole + common):
        return None
    worths: dict[int, Ints] = {}
    row, seen = np.zeros(len(labels) + 1), 0
    best, found = ALIKE, None
    for i, label, end in zip(places, near, ends):
        seen += int(reading.weight[i])
        kind = int(reading.type[i])
        if kind not in worths:
            close = [not sizes or reading.close(kind, other) for other in types.tolist()]
            worths[kind] = np.where(close, weights, weights / 2)
        matched = np.where(labels == label, row[:-1] + worths[kind], 0)
        row[1:] = np.maximum.accumulate(np.maximum(row[1:], matched))
        if end >= 0 and 2 * row[-1] / (whole + seen) > best:
            best, found = 2 * row[-1] / (whole + seen), end
    return found
