"""Which rows go to which part: shares or numbers, by class, drawn from a seed."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import TaskError

if TYPE_CHECKING:
    import numpy

#: Strata of a regression: parts get their share of every tenth of the sorted targets, where there are enough rows.
_MAX_STRATA, _ROWS_PER_STRATUM = 10, 20


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large the parts are: each a share of all samples (a float between 0 and 1) or a number of them (an int).

    ``train`` takes so many of what is left (None: everything). A ``test`` of 0 leaves the task without a test part.

    >>> Sizes(valid=0.25, test=10).counts(100)
    Counts(train=65, valid=25, test=10)
    """

    valid: float | int = 0.2
    test: float | int = 0.2
    train: float | int | None = None

    def __post_init__(self) -> None:
        _check("valid", self.valid, zero=False)
        _check("test", self.test, zero=True)
        if self.train is not None:
            _check("train", self.train, zero=False)

    def counts(self, n: int, ready: Collection[str] = ()) -> Counts:
        """Of ``n`` samples, ``ready`` parts taken from elsewhere. Raises `TaskError` where nothing is left to train on."""
        valid = 0 if "valid" in ready else _count(self.valid, n)
        test = 0 if "test" in ready else _count(self.test, n)
        rest = n - valid - test
        train = rest if self.train is None else _count(self.train, n)
        if rest < 1 or train > rest:
            given = {"valid": self.valid, "test": self.test, "train": self.train}
            asked = " and ".join(f"{part} = {size}" for part, size in given.items() if part not in ready and size is not None)
            raise TaskError(
                f"{asked} of {n} samples leave {max(rest, 0)} to train on; "
                "give shares that add up to less than 1, or smaller numbers"
            )
        return Counts(train, valid, test)


class Counts(NamedTuple):
    """Samples of each part."""

    train: int
    valid: int
    test: int


def _check(name: str, size: float | int, *, zero: bool) -> None:
    whole = _is_whole(size) and (size >= 1 or (zero and size == 0))
    share = isinstance(size, float) and (0 < size < 1 or (zero and size == 0))
    if not whole and not share:
        none = ", or 0 for none" if zero else ""
        raise TaskError(
            f"{name} = {size!r}; expected a share of the samples above 0 and below 1, or a number of them such as 1024{none}"
        )


def _is_whole(size: Any) -> bool:
    """Python's and numpy's integers; True and False are none."""
    return isinstance(size, Integral) and not isinstance(size, bool)


def _count(size: float | int, n: int) -> int:
    return int(size) if _is_whole(size) else math.ceil(round(size * n, 6))


def partition(strata: numpy.ndarray, sizes: Counts, seed: int) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    """Row numbers of train, valid and test, each with the strata (N,) in the proportions of the whole."""
    import numpy as np

    check_seed(seed)
    rng = np.random.default_rng([seed, 0x5711])
    order = rng.permutation(len(strata))
    # Sorting a random order by class puts each class's rows next to each other, shuffled; taking every part at even
    # distances through that list gives it the same proportions to within one sample.
    by_class = order[np.argsort(strata[order], kind="stable")]
    part = np.full(len(strata), 3, dtype=np.int8)
    for number, count in ((2, sizes.test), (1, sizes.valid), (0, sizes.train)):
        rest = np.flatnonzero(part == 3)
        part[_evenly(rest, count)] = number
    train, valid, test = (rng.permutation(by_class[part == number]) for number in range(3))
    return train, valid, test


def _evenly(rows: numpy.ndarray, count: int) -> numpy.ndarray:
    import numpy as np

    positions = np.floor((np.arange(count) + 0.5) * len(rows) / max(count, 1)).astype(int)
    return np.asarray(rows[positions])


def strata_of(targets: numpy.ndarray, *, classes: bool) -> numpy.ndarray:
    """What a split keeps in proportion: the classes (N,), or tenths of the first column of targets (N, targets)."""
    import numpy as np

    if classes:
        return targets
    values = targets.reshape(len(targets), -1)[:, 0]
    count = max(1, min(_MAX_STRATA, len(values) // _ROWS_PER_STRATUM))
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return ranks * count // max(len(values), 1)


def check_seed(seed: int) -> None:
    """`TaskError` unless a seed is a whole number in [0, 2**63)."""
    if not _is_whole(seed) or not 0 <= seed < 2**63:
        raise TaskError(f"seed = {seed!r}; expected a whole number in [0, 2**63)")
