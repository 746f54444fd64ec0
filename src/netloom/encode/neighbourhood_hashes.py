"""Neighbourhoods of the calls of many graphs, as numbers: what `wl` counts, by hashes instead of by names, for predictors.

A neighbourhood of radius r + 1 is the neighbourhoods of radius r of a call, of all that it reads and of all that reads it
(Weisfeiler and Lehman). Sums of mixed numbers stand for the multisets. The numbers are the same in every process.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Any

import numpy as np

from .hash_mixing import mixed
from .vocabulary import LABELS

Array = np.ndarray[Any, Any]
RADIUS = 2
_READ, _READ_BY = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1B54A32D192ED03)


@lru_cache(maxsize=100_000)
def _label_hash(kind: int, name: str, reach: int) -> int:
    return int.from_bytes(blake2b(f"{name} {reach}".encode(), digest_size=8).digest(), "little")


def label_hashes(labels: Array) -> Array:
    """A number of 64 bits for every label (C,)."""
    table = np.zeros(len(LABELS), dtype=np.uint64)
    for label in np.flatnonzero(np.bincount(labels)).tolist():
        table[label] = _label_hash(*LABELS[label])
    return table[labels]


def neighbourhood_hashes(labels: Array, target: Array, source: Array) -> list[Array]:
    """For each radius from 0 to `RADIUS` a number of 64 bits for every call (C,).

    ``target`` and ``source`` (E,) are the calls that edges lead to and come from, in the order of ``target``.
    """
    found = [label_hashes(labels)]
    starts = np.flatnonzero(np.diff(target, prepend=-1))
    for _ in range(RADIUS):
        own = found[-1]
        around = mixed(own)
        if len(starts):
            around[target[starts]] += mixed(np.add.reduceat(mixed(own[source] ^ _READ), starts))
            read_by = np.zeros(len(own), dtype=np.uint64)
            np.add.at(read_by, source, mixed(own[target] ^ _READ_BY))
            around += mixed(read_by)
        found.append(mixed(around))
    return found
