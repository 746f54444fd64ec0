"""Checks of attributes that several families share, beyond the general ones of `arguments`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .arguments import choice, either, ints, number
from .size import Size


def real(low: float | None = None, high: float | None = None) -> Callable[[Any], Any]:
    """A number within [low, high] whose int and float forms mean the same: kept as a float.

    >>> real(0)(1)
    1.0
    """
    checked = number(low, high)

    def check(value: Any) -> Any:
        value = checked(value)
        return value if isinstance(value, Size) else float(value)

    return check


def extents(n: int) -> Callable[[Any], Any]:
    """Output sizes of an adaptive pool: n sizes, each a size ≥ 0 or None for "as the input".

    >>> extents(2)(7), extents(2)((1, None))
    ((7, 7), (1, None))
    """
    one = ints(1, low=0)

    def check(value: Any) -> Any:
        row = tuple(value) if isinstance(value, tuple | list) else (value,)
        if len(row) not in (1, n):
            raise ValueError(f"{n} sizes ≥ 0 or None" if n > 1 else "a size ≥ 0 or None")
        row = row * n if len(row) == 1 else row
        return tuple(None if size is None else one(size)[0] for size in row)

    return check


def steps(n: int) -> Callable[[Any], Any]:
    """Strides of a pool: n integers ≥ 1; None or () stands for the kernel."""
    checked = ints(n, low=1)

    def check(value: Any) -> Any:
        return None if value is None or value == () or value == [] else checked(value)

    return check


def padding(n: int) -> Callable[[Any], Any]:
    """Padding of a convolution: n integers ≥ 0, ``"same"`` or ``"valid"``."""
    return either(ints(n, low=0), choice("same", "valid"))
