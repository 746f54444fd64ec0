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
#: Bodies shorter than this are alike only where they are equal call by call.
SMALL = 5
#: An instance that differs from the rest is at most this many times as long.
REACH = 3
#: A repeat without layers needs this many steps, and half of its region, to be worth a mention.
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

    def cut(self, start: int, stop: int) -> Region:
        """A stretch of the region, with the borders that the whole has there."""
        inner = [border for border in self.borders if start < border < stop]
        return Region(start, stop, self.live[start - self.start : stop - self.start], (start, *inner, stop))

    @property
    def parts(self) -> list[tuple[int, int]]:
        """The runs of steps between neighbouring borders."""
        return list(zip(self.borders, self.borders[1:]))


def best_repeat(reading: Reading, region: Region) -> Repeat | None:
    """The repeat of a region that explains most of its steps; of several, the more exact one with the shorter body."""
    best: Repeat | None = None
    reach = (-1, False, False, 0, 0)
    for bound, make in sorted(_candidates(reading, region), key=lambda found: -found[0]):
        if bound < reach[0]:
            break
        for repeat in make:
            rank = _rank(reading, repeat)
            if rank > reach:
                best, reach = repeat, rank
    return best


def _rank(reading: Reading, repeat: Repeat) -> tuple[int, bool, bool, int, int]:
    """Layers explained; whether instances are equal, or equal call by call; steps explained; the shortest body."""
    first, *rest = [reading.content[a:b] for a, b in repeat.spans[-2:]]
    exact = repeat.aligned and all(other == first for other in rest)
    return reading.layers(repeat.start, repeat.stop), exact, repeat.aligned, repeat.stop - repeat.start, -len(first)


def _candidates(reading: Reading, region: Region) -> Iterator[tuple[int, Iterator[Repeat]]]:
    """Bounds on the number of layers explained, and the repeats themselves, made only when asked for."""
    for start, period, length in periods(reading.label[region.start : region.stop]):
        start += region.start
        first = max(region.start, start - REACH * period if period >= SMALL else start)
        yield reading.layers(first, start + length), _aligned(reading, region, start, period, length)
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
    """A periodic stretch cut into instances at the best places, one result for each run of them with equal output types."""
    if length < max(WEIGHTLESS, (region.stop - region.start) / 2) and not reading.layers(start, start + period):
        return
    best = None
    for quality, shift in _phases(reading, region, start, period, length):
        if best not in (None, quality):
            return
        for repeat in _runs(reading, range(start + shift, start + length + 1, period)):
            best = quality
            if _stands(region, repeat) and _flows(reading, repeat):
                yield _with_first(reading, region, repeat)


def _phases(reading: Reading, region: Region, start: int, period: int, length: int) -> list[tuple[tuple[float, float], int]]:
    """Where the first instance may start, best first, and how good that is: few values cross there, and they fork.

    Of equals, first those where many instances fit and the body starts with a step that multiplies; the earliest.
    """
    ranked = []
    for shift in range(min(period, length - 2 * period + 1)):
        inner = range(start + shift + period, start + length - period + 1, period)
        crossing = region.live[inner.start - region.start : inner.stop - region.start : period].mean()
        forks = sum(reading.forks(border) for border in inner) / len(inner)
        ranked.append((float(crossing), -forks, -len(inner), not reading.multiplies[start + shift], shift))
    return [((crossing, forks), shift) for crossing, forks, _, _, shift in sorted(ranked)]


def _runs(reading: Reading, borders: range) -> Iterator[Repeat]:
    """Maximal runs of instances that are wired alike and give the same type."""
    first = 0
    spans = list(zip(borders, borders[1:]))
    wires = [reading.wired(*span) for span in spans]
    for i in range(1, len(spans) + 1):
        same = i < len(spans) and wires[i] == wires[first] and _same_scale(reading, spans[first], spans[i])
        if not same:
            if i - first > 1:
                yield Repeat(tuple(borders[first : i + 1]))
            first = i


def _same_scale(reading: Reading, a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Whether two instances end in one type and most of their values have the same size along all axes but one."""
    if reading.types[a[1] - 1] != reading.types[b[1] - 1]:
        return False
    agree = sum(reading.scaled(i, j) for i, j in zip(range(*a), range(*b)))
    return 5 * agree >= 3 * (a[1] - a[0])


def _stands(region: Region, repeat: Repeat) -> bool:
    """Whether a repeat belongs to this level: no detail of one of several larger parts, and no cut through one."""
    if len(region.borders) > 2 and any(a <= repeat.start and repeat.stop <= b for a, b in region.parts if b - a > 1):
        return False
    if repeat.stop == region.stop:
        return True
    crossing = [int(region.live[border - region.start]) for border in repeat.borders]
    growth = (crossing[-2] - crossing[0]) / (len(crossing) - 2)
    return crossing[-1] <= crossing[-2] + max(0, growth)


def _flows(reading: Reading, repeat: Repeat) -> bool:
    """Whether small instances form a chain: what stands side by side (query, key, value) is better shown by itself."""
    spans = repeat.spans
    if len(spans) > 3 or spans[0][1] - spans[0][0] > 3:
        return True
    return all(
        place >= start - 1 or not reading.depends[place]
        for start, stop in spans[1:]
        for i in range(start, stop)
        for place, _ in reading.reads[i]
    )


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
            body = parts[start + period - 1][1] - parts[start][0]
            first = max(region.start, parts[start][0] - REACH * body)
            bound = reading.layers(first, parts[start + length - 1][1])
            yield bound, _of_parts(reading, region, start, period, length)
    for i in range(1, len(parts)):
        if large[i] and not large[i - 1] and kinds[i - 1] != kinds[i]:
            single = _with_first(reading, region, Repeat(parts[i], aligned=False))
            if len(single.borders) > 2:
                yield reading.layers(single.start, single.stop), iter([single])


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
                    instances = Repeat(tuple(borders[place] for place in places[first : i + 1]), aligned=False)
                    yield _with_first(reading, region, instances)
                first = i
        if found:
            return


def _same_ends(reading: Reading, borders: tuple[int, ...], a: int, b: int, period: int) -> bool:
    """Whether two instances end in one type, and their parts in types of the same size along all axes but one."""
    ends = [(borders[a + i] - 1, borders[b + i] - 1) for i in range(1, period + 1)]
    last, other = ends[-1]
    return reading.types[last] == reading.types[other] and all(reading.scaled(*pair) for pair in ends)


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
            alike = (i for i, (other, _) in enumerate(known) if _likeness(bag, other) >= ALIKE)
            number = next(alike, len(known)) if stop - start >= SMALL else len(known)
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
    if len(body) < SMALL or start == region.start or reading.types[start - 1] != reading.types[stop - 1]:
        return repeat
    weights = [WEIGHTY if w else 1 for w in reading.weighty[start:stop]][::-1]
    whole, seen = sum(weights), 0
    row = [0.0] * (len(body) + 1)
    best = (ALIKE, 0)
    entrance = region.live[start - region.start]
    for i in range(start - 1, max(region.start, start - REACH * len(body)) - 1, -1):
        label, weight = int(reading.label[i]), WEIGHTY if reading.weighty[i] else 1
        seen += weight
        corner = 0.0
        for j, other in enumerate(body, 1):
            above = row[j]
            if label == other:
                row[j] = corner + weights[j - 1] * (1 if reading.scaled(i, stop - j) else 0.5)
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
