"""Where a graph repeats itself: runs of steps that follow one another and do the same.

Two sources of candidates. Periods of the sequence of rough labels find blocks that are equal call by call, however they
are wired to the rest (layers of a transformer that all read one mask, dense layers that read all before them). The regions
between borders that a single value crosses find blocks that are nearly equal (the first block of a stage has a projection).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .block_reading import Ints, Reading

#: How alike regions must be to repeat each other: the share of their steps that agree, steps with weights counting more.
ALIKE = 0.7
WEIGHTY = 4
#: A repeat without weights must at least be this long to be worth a mention.
WEIGHTLESS = 8


@dataclass(frozen=True, slots=True)
class Repeat:
    """Instance ``i`` is the steps ``[borders[i], borders[i + 1])``."""

    borders: tuple[int, ...]
    #: Whether the instances are equal call by call, sizes aside; else they are alike.
    aligned: bool = True

    @property
    def start(self) -> int:
        return self.borders[0]

    @property
    def stop(self) -> int:
        return self.borders[-1]

    @property
    def spans(self) -> list[tuple[int, int]]:
        return list(zip(self.borders, self.borders[1:]))


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

    @property
    def parts(self) -> list[tuple[int, int]]:
        """The runs of steps between neighbouring borders."""
        return list(zip(self.borders, self.borders[1:]))


def best_repeat(reading: Reading, region: Region) -> Repeat | None:
    """The repeat of a region that explains most of its steps; of several, the more exact one with the shorter body."""
    best: Repeat | None = None
    reach = (0, False, 0)
    for bound, make in sorted(_candidates(reading, region), key=lambda found: -found[0]):
        if bound < reach[0]:
            break
        for repeat in make:
            rank = _rank(reading, repeat)
            if rank > reach:
                best, reach = repeat, rank
    return best and _with_first(reading, region, best)


def _rank(reading: Reading, repeat: Repeat) -> tuple[int, bool, int]:
    first, *rest = [reading.content[a:b] for a, b in repeat.spans]
    exact = repeat.aligned and all(other == first for other in rest)
    return repeat.stop - repeat.start, exact, -len(first)


def _candidates(reading: Reading, region: Region) -> Iterator[tuple[int, Iterator[Repeat]]]:
    """Bounds on the number of steps explained, and the repeats themselves, made only when asked for."""
    for start, period, length in periods(reading.label[region.start : region.stop]):
        yield length, _aligned(reading, region, region.start + start, period, length)
    yield from _alike(reading, region)


def periods(labels: Ints) -> Iterator[tuple[int, int, int]]:
    """(start, period, length) of every longest stretch that repeats itself at least once after ``period`` labels.

    >>> list(periods(np.array([7, 1, 2, 1, 2, 1, 9])))
    [(1, 2, 5)]
    """
    count = len(labels)
    for period in range(1, count // 2 + 1):
        broken = np.flatnonzero(labels[period:] != labels[:-period])
        edges = np.concatenate(([-1], broken, [count - period]))
        lengths = np.diff(edges) - 1
        for i in np.flatnonzero(lengths >= period).tolist():
            yield int(edges[i]) + 1, period, int(lengths[i]) + period


# -- blocks that are equal call by call --------------------------------------------------------------------------------
def _aligned(reading: Reading, region: Region, start: int, period: int, length: int) -> Iterator[Repeat]:
    """The best way to cut a periodic stretch into instances, one result for each run of them with equal output types."""
    if not any(reading.weighty[start : start + period]) and (length < WEIGHTLESS or period < 2 and length < WEIGHTLESS):
        return
    for shift in _phases(reading, region, start, period, length):
        found = list(_runs(reading, region, range(start + shift, start + length + 1, period)))
        if found:
            yield from found
            return


def _phases(reading: Reading, region: Region, start: int, period: int, length: int) -> list[int]:
    """Where the first instance may start, best first: few values between instances, values that fork, then the earliest."""
    ranked = []
    for shift in range(min(period, length - 2 * period + 1)):
        inner = range(start + shift + period, start + length - period + 1, period)
        crossing = region.live[[border - region.start for border in inner]].mean()
        forks = sum(reading.forks(border) for border in inner) / len(inner)
        ranked.append((float(crossing), -forks, shift))
    return [shift for _, _, shift in sorted(ranked)]


def _runs(reading: Reading, region: Region, borders: range) -> Iterator[Repeat]:
    """Maximal runs of instances that are wired alike and give the same type, where they may stand in this region."""
    first = 0
    spans = list(zip(borders, borders[1:]))
    wires = [reading.wired(*span) for span in spans]
    for i in range(1, len(spans) + 1):
        same = i < len(spans) and wires[i] == wires[first] and _same_scale(reading, spans[first], spans[i])
        if not same:
            if i - first > 1:
                repeat = Repeat(tuple(borders[first : i + 1]))
                if _stands(region, repeat) and not _parallel(reading, repeat):
                    yield repeat
            first = i


def _same_scale(reading: Reading, a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Whether two instances end in one type and most of their values have the same size along all axes but one."""
    if reading.types[a[1] - 1] != reading.types[b[1] - 1]:
        return False
    agree = sum(reading.scaled(i, j) for i, j in zip(range(*a), range(*b)))
    return 2 * agree >= a[1] - a[0]


def _stands(region: Region, repeat: Repeat) -> bool:
    """Whether a repeat belongs to this level: not a detail inside one of several larger parts."""
    if len(region.borders) == 2:
        return True
    return not any(a <= repeat.start and repeat.stop <= b for a, b in region.parts if b - a > 1)


def _parallel(reading: Reading, repeat: Repeat) -> bool:
    """Whether few small instances stand side by side (query, key, value), each better shown by itself."""
    spans = repeat.spans
    if len(spans) > 3 or spans[0][1] - spans[0][0] > 3:
        return False
    a, b = spans[1]
    before = spans[0][0]
    return not any(before <= place < a for i in range(a, b) for place, _ in reading.reads[i])


# -- blocks that are nearly equal -----------------------------------------------------------------------------------------
def _alike(reading: Reading, region: Region) -> Iterator[tuple[int, Iterator[Repeat]]]:
    """Repeats of the regions between borders, and single regions that a chain like them precedes."""
    parts = region.parts
    if len(parts) < 2:
        return
    kinds = _kinds(reading, parts)
    large = [b - a > 1 for a, b in parts]
    for start, period, length in periods(np.array(kinds, dtype=np.int64)):
        if any(large[start : start + period]):
            yield parts[start + length - 1][1] - parts[start][0], _of_parts(reading, region, start, period, length)
    for i in range(1, len(parts)):
        if large[i] and not large[i - 1] and kinds[i - 1] != kinds[i]:
            single = _with_first(reading, region, Repeat(parts[i], aligned=False))
            if len(single.borders) > 2:
                yield single.stop - single.start, iter([single])


def _of_parts(reading: Reading, region: Region, start: int, period: int, length: int) -> Iterator[Repeat]:
    """As `_aligned`, in units of parts."""
    borders = region.borders
    ranked = []
    for shift in range(min(period, length - 2 * period + 1)):
        places = range(start + shift, start + length + 1, period)
        forks = sum(reading.forks(borders[i]) for i in places[1:-1]) / (len(places) - 2)
        ranked.append((-forks, shift, places))
    for _, _, places in sorted(ranked, key=lambda entry: entry[:2]):
        found, first = False, 0
        for i in range(1, len(places)):
            if i + 1 == len(places) or not _same_ends(reading, borders, places[first], places[i], period):
                if i - first > 1:
                    found = True
                    yield Repeat(tuple(borders[place] for place in places[first : i + 1]), aligned=False)
                first = i
        if found:
            return


def _same_ends(reading: Reading, borders: tuple[int, ...], a: int, b: int, period: int) -> bool:
    """Whether two instances end in one type, and most of their parts in types of the same size along all axes but one."""
    ends = [(borders[a + i] - 1, borders[b + i] - 1) for i in range(1, period + 1)]
    last, other = ends[-1]
    return reading.types[last] == reading.types[other] and 2 * sum(reading.scaled(*pair) for pair in ends) >= period


def _kinds(reading: Reading, parts: list[tuple[int, int]]) -> list[int]:
    """A number for each part, equal for parts that are alike; single steps by their label."""
    found: list[int] = []
    known: list[tuple[Counter[int], int]] = []
    exact: dict[bytes, int] = {}
    for start, stop in parts:
        if stop - start == 1:
            found.append(int(reading.label[start]))
            continue
        content = reading.label[start:stop].tobytes()
        if content not in exact:
            bag = _bag(reading, start, stop)
            number = next((i for i, (other, _) in enumerate(known) if _likeness(bag, other) >= ALIKE), len(known))
            if number == len(known):
                known.append((bag, number))
            exact[content] = -1 - number
        found.append(exact[content])
    return found


def _bag(reading: Reading, start: int, stop: int) -> Counter[int]:
    bag: Counter[int] = Counter()
    for i in range(start, stop):
        bag[int(reading.label[i])] += WEIGHTY if reading.weighty[i] else 1
    return bag


def _likeness(a: Counter[int], b: Counter[int]) -> float:
    return 2 * (a & b).total() / (a.total() + b.total())


def _with_first(reading: Reading, region: Region, repeat: Repeat) -> Repeat:
    """The repeat with one more instance in front where the steps before it are nearly such an instance."""
    start, stop = repeat.spans[0]
    body = reading.label[start:stop].tolist()[::-1]
    if len(body) < 5 or start == region.start or reading.types[start - 1] != reading.types[stop - 1]:
        return repeat
    weights = [WEIGHTY if w else 1 for w in reading.weighty[start:stop]][::-1]
    whole, seen = sum(weights), 0
    row = [0] * (len(body) + 1)
    best = (ALIKE, 0)
    entrance = region.live[start - region.start]
    for i in range(start - 1, max(region.start, start - 3 * len(body)) - 1, -1):
        label, weight = int(reading.label[i]), WEIGHTY if reading.weighty[i] else 1
        seen += weight
        corner = 0
        for j, other in enumerate(body, 1):
            above = row[j]
            if label == other:
                row[j] = corner + weights[j - 1]
            elif row[j - 1] > above:
                row[j] = row[j - 1]
            corner = above
        if i == region.start or region.live[i - region.start] <= entrance:
            best = max(best, (2 * row[-1] / (whole + seen), -i))
    likeness, first = best[0], -best[1]
    if likeness <= ALIKE or _holds_instance(reading, region, first, (start, stop), likeness):
        return repeat
    return Repeat((first, *repeat.borders), aligned=False)


def _holds_instance(reading: Reading, region: Region, first: int, body: tuple[int, int], likeness: float) -> bool:
    """Whether a part of the steps before the body is more like it than all of them: then it is another instance and more."""
    bag = _bag(reading, *body)
    inside = [(a, b) for a, b in region.parts if first <= a and b <= body[0] and b - a > 1 and b - a < body[0] - first]
    return any(_likeness(_bag(reading, a, b), bag) >= likeness for a, b in inside)
