"""Where calls stand in a graph: depth from inputs and outputs, eigenvectors of the Laplacian, random orthonormal vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def topological(num_calls: int, edges: NDArray[np.intp]) -> NDArray[np.float32]:
    """Longest ways from an input to each call, and from each call to an output, as shares of the longest of all: (n, 2).

    >>> topological(3, np.array([[0, 1], [1, 2]])).tolist()
    [[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]]
    """
    depth, height = [0] * num_calls, [0] * num_calls
    pairs = edges.tolist()
    for source, target in pairs:
        if depth[source] >= depth[target]:
            depth[target] = depth[source] + 1
    for source, target in reversed(pairs):
        if height[target] >= height[source]:
            height[source] = height[target] + 1
    longest = max(depth, default=0) or 1
    return np.array([depth, height], dtype=np.float32).T / np.float32(longest)


def laplacian(adjacency: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Eigenvectors of the normalised Laplacians of graphs, as columns, smallest eigenvalues first; (…, n, n) from (…, n, n).

    Edges count in both directions. L = I − D^−½ A D^−½; the vectors of all eigenvalues are orthonormal, and each has the sign
    that makes the entry of the largest magnitude, the first of several, positive. (Dwivedi and Bresson 2021)
    """
    both = (adjacency | adjacency.swapaxes(-1, -2)).astype(np.float64)
    degree = both.sum(-1)
    scale = np.where(degree > 0, 1 / np.sqrt(np.maximum(degree, 1)), 0.0)
    matrix = np.eye(both.shape[-1]) - scale[..., :, None] * both * scale[..., None, :]
    vectors: NDArray[np.float64] = np.linalg.eigh(matrix)[1]
    magnitude = np.abs(vectors)
    # Rounding must not decide between entries of equal magnitude.
    first = (magnitude > magnitude.max(-2, keepdims=True) - 1e-9).argmax(-2)
    sign = np.sign(np.take_along_axis(vectors, first[..., None, :], -2))
    return vectors * np.where(sign == 0, 1.0, sign)


def laplacians(sizes: Sequence[int], edges: Sequence[NDArray[np.intp]]) -> list[NDArray[np.float64]]:
    """The eigenvectors (n_i, n_i) of many graphs of n_i calls, those of one size worked out together."""
    found: list[NDArray[np.float64]] = [np.zeros((0, 0))] * len(sizes)
    by_size: dict[int, list[int]] = {}
    for i, size in enumerate(sizes):
        by_size.setdefault(size, []).append(i)
    for size, members in by_size.items():
        if not size:
            continue
        at_once = max(1, _MOST_ENTRIES // (size * size))
        for begin in range(0, len(members), at_once):
            part = members[begin : begin + at_once]
            stacked = np.zeros((len(part), size, size), dtype=bool)
            for matrix, i in zip(stacked, part):
                matrix[edges[i][:, 0], edges[i][:, 1]] = True
            for i, vectors in zip(part, laplacian(stacked)):
                found[i] = vectors
    return found


#: Entries of matrices that are worked on at once.
_MOST_ENTRIES = 4_000_000


def orthonormal(num_calls: int, width: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Random vectors (num_calls, width) of length 1, orthogonal to each other where ``num_calls`` ≤ ``width``.

    Rows of an orthogonal matrix drawn evenly (Mezzadri 2007). Where there are more of them than fit, the rows of a larger
    matrix are cut to ``width`` and scaled to length 1: as close to orthogonal as so many vectors may expect to be.
    """
    size = max(num_calls, width)
    if not size:
        return np.zeros((num_calls, width))
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    rows = (q * np.sign(np.diag(r)))[:num_calls, :width]
    if num_calls > width:
        rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    found: NDArray[np.float64] = rows
    return found
