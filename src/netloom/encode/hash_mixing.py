"""Numbers of 64 bits that look random, from numbers that do not: what hashes of many things at once are made of."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def mixed(x: Array) -> Array:
    """The finaliser of splitmix64 (Steele, Lea and Flood, 2014), of numbers of 64 bits without a sign."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x ^= x >> np.uint64(30)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return x
