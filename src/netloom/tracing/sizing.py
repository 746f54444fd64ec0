"""Long division by the prime that stands for the batch."""

from __future__ import annotations

from typing import Any

from ..ops import Size

#: Sizes are a multiple of the batch plus at most this much.
_REST = 4096


def from_prime(value: int, prime: int, symbol: Size) -> Any:
    """The size that ``value`` stands for when ``symbol`` is ``prime``; plain where the prime does not go into it."""
    if -prime < 2 * value < prime:
        return value
    quotient = (value + prime // 2) // prime
    rest = value - quotient * prime
    if abs(rest) > _REST:
        return value
    return from_prime(quotient, prime, symbol) * symbol + rest
