"""Where a graph repeats itself: runs of steps that follow one another and do the same.

Two sources of candidates. Periods of the sequence of rough labels find blocks that are equal call by call, however they
are wired to the rest (layers of a transformer that all read one mask, dense layers that read all before them). The regions
between borders that a single value crosses find blocks that are nearly equal (the first block of a stage has a projection).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from .block_likeness import ALIKE, SMALL, Region, Span, alike_before, bag, kinds, likeness, periods, resembles
from .block_reading import Reading

#: How many times as long as the rest an instance that differs may be, not counting light steps.
_REACH = 4 * (2 / ALIKE - 1)
#: A repeat without layers needs this many steps, and half of its region, to be worth a mention.
_WORTH = 8


@dataclass(frozen=True, slots=True)
class Repeat:
    """Instance ``i`` is the steps ``[borders[i], borders[i + 1])``."""

    borders: tuple[int, ...]
    #: Whether the instances are equal call by call, sizes aside; else they are alike.
    aligned: bool = True
    #: Whether the first instance was added because it is like the others, wherever it starts.
    extended: bool = False
    #: Layers that all repeats explain which are cut the same way.
    total: int = 0

    @property
    def start(self) -> int:
        return self.borders[0]

    @property
    def stop(self) -> int:
        return self.borders[-1]

    @property
    def spans(self) -> list[Span]:
        return list(zip(self.borders, self.borders[1:]))


#: Layers explained, half as good in a first instance that differs; whether the last instances are equal; whether all are
#: equal call by call; layers that the same cut explains elsewhere; steps explained; the shorter body.
Rank = tuple[int, bool, bool, int, int, int]
#: The most that a candidate can explain, and the repeats that it turns out to be, made only when asked for.
Candidate = tuple[int, Iterator[Repeat]]


def best_repeat(reading: Reading, region: Region) -> Repeat | None:
    """The repeat that explains most of a region, so that the outermost comes first."""
    found = _best(reading, region)
    if found is None:
        return None
    if found.extended:
        # The steps in front may rather be the end of another repeat.
        other = _best(reading, region.cut(region.start, found.borders[1]))
        if other is not None and other.stop > found.start and not other.extended:
            found = replace(found, borders=found.borders[1:], extended=False)
            return found if len(found.borders) > 2 else other
    return found if found.aligned else _sharpened(reading, region, found)


def _best(reading: Reading, region: Region) -> Repeat | None:
    best: Repeat | None = None
    reach: Rank = (-1, False, False, 0, 0, 0)
    for bound, repeats in sorted(_candidates(reading, region), key=lambda candidate: -candidate[0]):
        if bound < reach[0]:
            break
        for repeat in repeats:
            rank = _rank(reading, repeat)
            if rank > reach:
                best, reach = repeat, rank
    return best


def _rank(reading: Reading, repeat: Repeat) -> Rank:
    start, stop = repeat.spans[-1]
    explained = 2 * reading.layers(repeat.start, repeat.stop)
    if repeat.extended:
        explained -= reading.layers(*repeat.spans[0])
    exact = repeat.aligned and reading.equal(repeat.borders[-3], start, stop - start)
    return explained, exact, repeat.aligned, repeat.total, repeat.stop - repeat.start, start - stop


def _sharpened(reading: Reading, region: Region, repeat: Repeat) -> Repeat:
    """The repeat with its first instance starting where it is most like the second."""
    first, second, *rest = repeat.borders
    start = alike_before(reading, region, (second, rest[0]), second)
    if start is None or start >= first:
        return repeat
    body = bag(reading, second, rest[0])
    better = likeness(bag(reading, start, second), body) > likeness(bag(reading, first, second), body)
    return replace(repeat, borders=(start, second, *rest)) if better else repeat


# -- candidates ------------------------------------------------------------------------------------------------------------
def _candidates(reading: Reading, region: Region) -> Iterator[Candidate]:
    shortest: dict[Span, int] = {}
    for start, period, length in region.runs:
        base = shortest.setdefault((start, start + length), period)
        # A multiple of a period tells more than the period itself only where it makes instances equal.
        if period > base and period % base == 0:
            if not reading.equal(start, start + period, length - period) or reading.regular(start, base, length):
                continue
        yield _bound(reading, region, (start, start + period), start + length), _aligned(reading, region, start, period, length)
    parts = region.parts
    if len(parts) < 2:
        return
    numbers = kinds(reading, parts)
    large = [b - a > 1 for a, b in parts]
    shortest = {}
    for start, period, length in periods(np.array(numbers, dtype=np.int64)):
        base = shortest.setdefault((start, start + length), period)
        if (period == base or period % base) and any(large[start : start + period]):
            body = parts[start][0], parts[start + period - 1][1]
            bound = _bound(reading, region, body, parts[start + length - 1][1])
            yield bound, _alike(reading, region, start, period, length)
    for i in range(1, len(parts)):
        if large[i] and not large[i - 1] and numbers[i - 1] != numbers[i]:
            yield _bound(reading, region, parts[i], parts[i][1]), _after_chain(reading, region, parts[i])


def _bound(reading: Reading, region: Region, body: Span, stop: int) -> int:
    """The most that instances like ``body`` can explain up to ``stop`` with one more in front, as `Rank` counts it."""
    size = body[1] - body[0]
    first = max(region.start, body[0] - int(_REACH * size)) if size >= SMALL else body[0]
    return 2 * reading.layers(body[0], stop) + reading.layers(first, body[0])


# -- blocks that are equal call by call --------------------------------------------------------------------------------
def _aligned(reading: Reading, region: Region, start: int, period: int, length: int) -> Iterator[Repeat]:
    """A periodic stretch cut into instances at the best places, one result for each run of them with equal output types."""
    if length < max(_WORTH, (region.stop - region.start) / 2) and not reading.layers(start, start + period):
        return
    for shift in _phases(reading, start, period, length):
        runs = list(_runs(reading, range(start + shift, start + length + 1, period)))
        total = sum(reading.layers(repeat.start, repeat.stop) for repeat in runs)
        for repeat in runs:
            if _stands(reading, region, repeat) and _flows(reading, repeat):
                whole = _with_first(reading, region, _with_proper_first(reading, repeat))
                if len(whole.borders) > 2:
                    yield replace(whole, total=total)


def _phases(reading: Reading, start: int, period: int, length: int) -> list[int]:
    """Where the first instance may start: where instances hand on the fewest values.

    Of equals, first where the value handed on is read most often and the body starts with a step that multiplies.
    """
    young = reading.young(start, start + length, period).tolist()
    ranked = []
    for shift in range(min(period, length - 2 * period + 1)):
        handed = sorted(young[shift + period : length - period + 1 : period])
        readers = reading.readers(start + shift + period)
        ranked.append((handed[len(handed) // 2], -readers, not reading.multiplies[start + shift], shift))
    ranked.sort()
    return [shift for handed, _, _, shift in ranked if handed == ranked[0][0]]


def _runs(reading: Reading, borders: range) -> Iterator[Repeat]:
    """Maximal runs of instances that are wired alike and give the same type."""
    first = 0
    spans = list(zip(borders, borders[1:]))
    for i in range(1, len(spans) + 1):
        if i < len(spans) and _same(reading, spans[first], spans[i]):
            linked = reading.linked(borders[i - 1], *spans[i])
            if i == first + 1:
                chain = linked
            if linked == chain:
                continue
        if i - first > 1:
            yield Repeat(tuple(borders[first : i + 1]))
        first = i


def _same(reading: Reading, a: Span, b: Span) -> bool:
    """Whether two instances end in one type, most of their values have one size but for one axis, and wires are alike."""
    if reading.type[a[1] - 1] != reading.type[b[1] - 1]:
        return False
    first, second = reading.type[slice(*a)], reading.type[slice(*b)]
    differing = np.flatnonzero(first != second)
    far = sum(not reading.close(x)[y] for x, y in zip(first[differing].tolist(), second[differing].tolist()))
    return 5 * far <= 2 * (a[1] - a[0]) and reading.wired_alike(a[0], b[0], a[1] - a[0])


def _with_proper_first(reading: Reading, repeat: Repeat) -> Repeat:
    """The repeat without a first instance that reads more from outside than the second: it starts inside of its block."""
    first, second, *_ = ({place for place in reading.outside(*span) if reading.carries[place]} for span in repeat.spans)
    return replace(repeat, borders=repeat.borders[1:]) if len(first) > len(second) else repeat


def _stands(reading: Reading, region: Region, repeat: Repeat) -> bool:
    """Whether a repeat belongs to this level: no detail of one of several larger parts, and no cut through one."""
    if len(region.borders) > 2 and any(a <= repeat.start and repeat.stop <= b for a, b in region.parts if b - a > 1):
        return False
    if repeat.stop == region.stop or not reading.linked(repeat.start, *repeat.spans[1]):
        return True
    crossing = [region.crossing(border) for border in repeat.borders]
    growth = (crossing[-2] - crossing[0]) / (len(crossing) - 2)
    return crossing[-1] <= crossing[-2] + max(0, growth)


def _flows(reading: Reading, repeat: Repeat) -> bool:
    """Whether small instances form a chain: what stands side by side (query, key, value) is better shown by itself."""
    spans = repeat.spans
    if len(spans) > 3 or spans[0][1] - spans[0][0] > 3:
        return True
    reads = [(start, place) for start, stop in spans[1:] for i in range(start, stop) for place, _ in reading.reads[i]]
    return all(place >= start - 1 or reading.steps[place].op in ("parameter", "constant") for start, place in reads)


# -- blocks that are nearly equal -----------------------------------------------------------------------------------------
def _alike(reading: Reading, region: Region, start: int, period: int, length: int) -> Iterator[Repeat]:
    """As `_aligned`, in units of the parts of the region."""
    borders = region.borders
    ranked = []
    for shift in range(min(period, length - 2 * period + 1)):
        places = range(start + shift, start + length + 1, period)
        ranked.append((-reading.readers(borders[places[1]]), shift))
    for _, shift in sorted(ranked):
        places = range(start + shift, start + length + 1, period)
        runs, first = [], 0
        for i in range(1, len(places)):
            if i + 1 < len(places) and _same_ends(reading, borders, places[first], places[i], period):
                if resembles(reading, *[(borders[place], borders[place + period]) for place in (places[i - 1], places[i])]):
                    continue
            if i - first > 1:
                runs.append(Repeat(tuple(borders[place] for place in places[first : i + 1]), aligned=False))
            first = i
        total = sum(reading.layers(repeat.start, repeat.stop) for repeat in runs)
        for repeat in runs:
            yield replace(_with_first(reading, region, repeat), total=total)


def _same_ends(reading: Reading, borders: tuple[int, ...], a: int, b: int, period: int) -> bool:
    """Whether two instances end in one type, and their parts in types of the same size along all axes but one."""
    ends = [(int(reading.type[borders[a + i] - 1]), int(reading.type[borders[b + i] - 1])) for i in range(1, period + 1)]
    return ends[-1][0] == ends[-1][1] and all(reading.close(one)[other] for one, other in ends)


def _after_chain(reading: Reading, region: Region, part: Span) -> Iterator[Repeat]:
    """A part with what comes before it, where that is such a part without what made it one (the first has no shortcut)."""
    repeat = _with_first(reading, region, Repeat(part, aligned=False))
    if repeat.extended:
        yield repeat


def _with_first(reading: Reading, region: Region, repeat: Repeat) -> Repeat:
    """The repeat with one more instance in front where the steps before it are nearly such an instance."""
    body = repeat.spans[0]
    if body[0] == region.start or reading.type[body[0] - 1] != reading.type[body[1] - 1]:
        return repeat
    start = alike_before(reading, region, body, body[0])
    return repeat if start is None else Repeat((start, *repeat.borders), repeat.aligned, extended=True)
