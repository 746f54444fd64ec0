"""Global alignment of two sequences with affine gaps.

Method: Needleman and Wunsch (1970) with the three states of Gotoh (1982), minimising cost, one anti-diagonal at a time so
that numpy does the work.
"""

from __future__ import annotations

from typing import Any

_PAIR, _GAP_B, _GAP_A = 0, 1, 2


def align(costs: Any, gap: float, opening: float) -> list[tuple[int, int]]:
    """The pairs (i, j), ascending in both, that cost least together with the gaps between them.

    ``costs`` is a float array (n, m); an element without partner costs ``gap``, a run of them ``opening`` once more.

    >>> import numpy
    >>> align(numpy.array([[0.0, 2.0, 2.0], [2.0, 2.0, 0.0]]), 1.0, 0.5)
    [(0, 0), (1, 2)]
    """
    import numpy as np

    n, m = costs.shape
    if not n or not m:
        return []
    # Anti-diagonal d holds the cells (i, d - i); arrays over i, from 0 to n.
    best = [np.full(n + 1, np.inf) for _ in range(3)]
    before = [np.full(n + 1, np.inf) for _ in range(3)]
    back = np.zeros((3, n + m + 1, n + 1), dtype=np.int8)
    best[_PAIR][0] = 0.0
    for d in range(1, n + m + 1):
        low, high = max(0, d - m), min(n, d)
        fresh = [np.full(n + 1, np.inf) for _ in range(3)]
        rows = np.arange(low, high + 1)
        # A pair comes from (i-1, j-1), on the anti-diagonal before the last.
        inner = rows[(rows >= 1) & (rows < d)]
        if inner.size:
            stacked = np.stack([state[inner - 1] for state in before])
            choice = stacked.argmin(0)
            fresh[_PAIR][inner] = stacked[choice, np.arange(inner.size)] + costs[inner - 1, d - inner - 1]
            back[_PAIR, d, inner] = choice
        for state, moved in ((_GAP_A, rows[rows >= 1]), (_GAP_B, rows[rows < d])):
            if not moved.size:
                continue
            source = moved - 1 if state == _GAP_A else moved
            stacked = np.stack([best[s][source] + (gap if s == state else gap + opening) for s in range(3)])
            choice = stacked.argmin(0)
            fresh[state][moved] = stacked[choice, np.arange(moved.size)]
            back[state, d, moved] = choice
        before, best = best, fresh
    state = min(range(3), key=lambda s: best[s][n])
    return _traced(back, state, n, m)


def _traced(back: Any, state: int, i: int, j: int) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    while i or j:
        came_from = int(back[state, i + j, i])
        if state == _PAIR:
            pairs.append((i - 1, j - 1))
            i, j = i - 1, j - 1
        elif state == _GAP_A:
            i -= 1
        else:
            j -= 1
        state = came_from
    return pairs[::-1]
