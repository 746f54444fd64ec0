"""Long division by the prime that stands for the batch."""

from __future__ import annotations

from typing import Any

from ..ops import Size

#: Sizes are a multiple of the batch plus at most this much.
_REST = 4096
#: Divisors of the batch that are recognised.
_SHARES = 65
#: Floats beyond are whole, whatever they are made of: the smallest float32, which masks are made of.
_WHOLE = 2.0**53


def from_prime(value: int, prime: int, symbol: Size) -> Any:
    """The size that ``value`` stands for when ``symbol`` is ``prime``; plain where the prime does not go into it."""
    if -prime < 2 * value < prime:
        return _share(value, prime, symbol)
    quotient = (value + prime // 2) // prime
    rest = value - quotient * prime
    if abs(rest) > _REST:
        return _share(value, prime, symbol)
    return from_prime(quotient, prime, symbol) * symbol + rest


def _share(value: int, prime: int, symbol: Size) -> Any:
    """A multiple of the batch divided by a small number (``len(x) // 2``), where ``value`` is one."""
    if value > prime // _SHARES:
        for divisor in range(2, _SHARES):
            share = prime // divisor
            if value % share == 0:
                return (symbol // divisor) * (value // share)
            if (prime - value) % share == 0:
                return symbol - (symbol // divisor) * ((prime - value) // share)
    return value


def follows(value: float, prime: int) -> bool:
    """Whether a float looks like a multiple, a share or a reciprocal of the prime that stands for the batch.

    >>> follows(2.5 * 1_000_003, 1_000_003), follows(0.125, 1_000_003), follows(-3.4028234663852886e38, 1_000_003)
    (True, False, False)
    """
    size = abs(value)
    if size > _WHOLE:
        return False
    if size * _SHARES > prime:
        ratio = size / prime
    elif 0 < size * prime < _REST:
        ratio = size * prime
    else:
        return False
    return any(abs(ratio * k - round(ratio * k)) < 1e-9 * ratio * k and round(ratio * k) for k in range(1, _SHARES))
