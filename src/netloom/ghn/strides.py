"""Which values lie contiguously in memory, for a batch of one: what decides whether torch copies when it reshapes."""

from __future__ import annotations

from math import prod

#: Strides of a value; None where it is contiguous.
Strides = tuple[int, ...] | None


def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of a contiguous value.

    >>> contiguous((2, 3, 4))
    (12, 4, 1)
    """
    found = [1]
    for size in reversed(shape[1:]):
        found.append(found[-1] * max(1, size))
    return tuple(reversed(found))[: len(shape)] if shape else ()


def settled(shape: tuple[int, ...], strides: tuple[int, ...]) -> Strides:
    """None for strides of a contiguous value; axes of size one may have any."""
    plain = contiguous(shape)
    return None if all(size == 1 or a == b for size, a, b in zip(shape, strides, plain)) else strides


def viewed(shape: tuple[int, ...], strides: Strides, target: tuple[int, ...]) -> bool:
    """Whether a value may be seen in another shape without being copied.

    >>> viewed((4, 6), (1, 4), (24,)), viewed((4, 6), (1, 4), (4, 2, 3))
    (False, True)
    """
    if strides is None or prod(shape) == 0:
        return True
    runs = _runs(shape, strides)
    wanted = [size for size in target if size != 1]
    for size, _ in runs:
        held = 1
        while held < size and wanted:
            held *= wanted.pop(0)
        if held != size:
            return False
    return not wanted


def _runs(shape: tuple[int, ...], strides: tuple[int, ...]) -> list[tuple[int, int]]:
    """(elements, stride of the last) of each group of axes that lie in memory as one."""
    runs: list[tuple[int, int]] = []
    for size, stride in zip(shape, strides):
        if size == 1:
            continue
        if runs and runs[-1][1] == size * stride:
            runs[-1] = (runs[-1][0] * size, stride)
        else:
            runs.append((size, stride))
    return runs
