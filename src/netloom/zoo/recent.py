"""`Recent`: values that are made when they are asked for, of which the last few are kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """A cache of ``most`` values that ``make`` makes of their keys; the one asked for longest ago goes first.

    >>> made = []
    >>> squares = Recent(2, lambda n: made.append(n) or n * n)
    >>> [squares[n] for n in (1, 2, 1, 3, 2)], made
    ([1, 4, 1, 9, 4], [1, 2, 3, 2])
    """

    def __init__(self, most: int, make: Callable[[Key], Value]) -> None:
        self._most, self._make = most, make
        self._held: OrderedDict[Key, Value] = OrderedDict()

    def __getitem__(self, key: Key) -> Value:
        if key not in self._held:
            self._held[key] = self._make(key)
            if len(self._held) > self._most:
                self._held.popitem(last=False)
        self._held.move_to_end(key)
        return self._held[key]
