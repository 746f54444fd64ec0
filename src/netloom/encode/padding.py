"""Arrays of different lengths as one batch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import FormatError

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Padded(NamedTuple):
    """A batch (N, L, …) filled up with zeros, and which places of it hold something, bool (N, L)."""

    array: NDArray[Any]
    mask: NDArray[np.bool_]


def padded(arrays: Iterable[NDArray[Any]]) -> Padded:
    """Arrays (L_i, …) that differ in their first axis alone, one after the other in a batch (N, L, …); L is the largest L_i.

    >>> array, mask = padded([np.ones((2, 3)), np.ones((1, 3))])
    >>> array.shape, mask.tolist()
    ((2, 2, 3), [[True, True], [True, False]])
    """
    parts = [np.asarray(array) for array in arrays]
    if not parts:
        return Padded(np.zeros((0, 0)), np.zeros((0, 0), dtype=bool))
    shapes = {part.shape[1:] for part in parts}
    if len(shapes) > 1 or any(part.ndim == 0 for part in parts):
        raise FormatError(f"cannot make one batch of arrays with entries of {sorted(shapes)}; they must differ in length alone")
    lengths = np.array([len(part) for part in parts])
    mask = np.arange(lengths.max()) < lengths[:, None]
    array = np.zeros((*mask.shape, *shapes.pop()), dtype=np.result_type(*{part.dtype for part in parts}))
    array[mask] = np.concatenate(parts)
    return Padded(array, mask)
