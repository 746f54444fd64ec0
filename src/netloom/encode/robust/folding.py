"""Instructions written as tokens, with what is repeated as blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .instructions import AGAIN, CLOSE, OPEN, Instruction, written_refs, written_times

#: A run of instructions by number, or a run that is repeated.
Part = int | tuple["Folded", int]


class Folded(NamedTuple):
    """Instructions, by number, and repeated runs of them; ``flat`` spells everything out."""

    parts: tuple[Part, ...]
    flat: tuple[int, ...]


def written(instructions: Sequence[Instruction], blocks: bool = True) -> list[str]:
    """The tokens of instructions; with ``blocks`` repeated runs are written once."""
    if not blocks:
        return [token for instruction in instructions for token in instruction.tokens]
    number: dict[tuple[str, ...], int] = {}
    chain = tuple([number.setdefault(instruction.tokens, len(number)) for instruction in instructions])
    tokens = list(number)
    lengths = [len(of_instruction) for of_instruction in tokens]
    found: list[str] = []
    closed: list[tuple[int, ...]] = []
    _write(fold(chain, lengths, chain), tokens, found, closed)
    return found


def fold(chain: tuple[int, ...], lengths: Sequence[int], whole: tuple[int, ...] = ()) -> Folded:
    """The chain with the runs taken together that save the most tokens, then what is left on either side and inside.

    >>> fold((0, 1, 2, 1, 2, 1, 2, 3), [1, 1, 1, 1]).parts
    (0, (Folded(parts=(1, 2), flat=(1, 2)), 3), 3)
    """
    best = _best_run(chain, lengths)
    if best is None:
        return Folded(chain, chain)
    start, period, times = best
    start = _turned(chain, start, period, times, whole)
    stop = start + period * times
    before, inside, after = (
        fold(part, lengths, whole) for part in (chain[:start], chain[start : start + period], chain[stop:])
    )
    return Folded((*before.parts, (inside, times), *after.parts), chain)


def _best_run(chain: tuple[int, ...], lengths: Sequence[int]) -> tuple[int, int, int] | None:
    """Start, period and repeats of the run that saves the most tokens; None where none saves any."""
    last: dict[int, int] = {}
    periods: dict[int, None] = {}
    for i, number in enumerate(chain):
        if number in last:
            periods[i - last[number]] = None
        last[number] = i
    best, most = None, 0
    for period in periods:
        i = 0
        while i + period < len(chain):
            j = i
            while j + period < len(chain) and chain[j] == chain[j + period]:
                j += 1
            times = (j - i) // period + 1
            if times > 1:
                length = sum(lengths[number] for number in chain[i : i + period])
                saved = (times - 1) * length - 2 - len(written_times(times))
                if saved > most:
                    best, most = (i, period, times), saved
            i = j + 1
    return best


def _turned(chain: tuple[int, ...], start: int, period: int, times: int, whole: tuple[int, ...]) -> int:
    """Where the run may begin as well, so that its block is the one that the whole chain has most often."""
    stop = start + period * times
    places = [start]
    while stop < len(chain) and chain[stop] == chain[stop - period] and len(places) < period:
        places.append(places[-1] + 1)
        stop += 1
    if len(places) == 1:
        return start
    return max(places, key=lambda place: (_occurrences(chain[place : place + period], whole), -place))


def _occurrences(block: tuple[int, ...], chain: tuple[int, ...]) -> int:
    count = i = 0
    while i <= len(chain) - len(block):
        found = chain[i] == block[0] and chain[i : i + len(block)] == block
        count += found
        i += len(block) if found else 1
    return count


def _write(folded: Folded, tokens: Sequence[tuple[str, ...]], found: list[str], closed: list[tuple[int, ...]]) -> None:
    """Append the tokens; ``closed`` are the blocks closed so far, which ``again`` refers to."""
    parts = list(folded.parts)
    i = 0
    while i < len(parts):
        part = parts[i]
        if not isinstance(part, tuple):
            again = _known_at(parts, i, tokens, closed)
            if again:
                found += [AGAIN, *_refs(closed, again)]
                i += len(again)
                continue
            found += tokens[part]
        else:
            inside, times = part
            if inside.flat in closed:
                found += [AGAIN, *_refs(closed, inside.flat), *written_times(times)]
            else:
                found.append(OPEN)
                _write(inside, tokens, found, closed)
                found += [CLOSE, *written_times(times)]
                closed.append(inside.flat)
        i += 1


def _refs(closed: Sequence[tuple[int, ...]], block: tuple[int, ...]) -> list[str]:
    ref = closed[::-1].index(block) + 1
    return written_refs((ref,)) if ref > 1 else []


def _known_at(
    parts: Sequence[Part], i: int, tokens: Sequence[tuple[str, ...]], closed: Sequence[tuple[int, ...]]
) -> tuple[int, ...]:
    """The longest closed block that the instructions from the i-th on spell, where that saves tokens."""
    best: tuple[int, ...] = ()
    for block in closed:
        if len(block) > len(best) and tuple(parts[i : i + len(block)]) == block:
            length = sum(len(tokens[number]) for number in block)
            if length > 1 + len(_refs(closed, block)):
                best = block
    return best
