"""Muon's update: the nearest orthogonal matrix, by a few matrix products.

Source: K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024. The matrices of a network are
taken in batches of equal shapes, so that a deep network costs few calls.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

#: Coefficients of the quintic that drives all singular values towards 1, and how often it is applied.
_A, _B, _C = 3.4445, -4.7750, 2.0315
_ITERATIONS = 5
_SMALLEST = 1e-7
#: Root mean square of an update, as AdamW's is: one learning rate serves both.
_RMS = 0.2


def orthogonal(updates: Sequence[Tensor]) -> list[Tensor]:
    """Each update, (out, …) seen as a matrix (out, rest), with its singular values near 1, scaled to a root mean square of 0.2.

    >>> (move,) = orthogonal([torch.diag(torch.tensor([3.0, 0.5]))])
    >>> [round(s.item()) for s in torch.linalg.svdvals(move / (0.2 * 2**0.5))]
    [1, 1]
    """
    shapes: dict[tuple[int, int], list[int]] = {}
    matrices = [update.reshape(update.shape[0], -1) for update in updates]
    for i, matrix in enumerate(matrices):
        shapes.setdefault(tuple(matrix.shape), []).append(i)
    moves: list[Tensor] = list(matrices)
    for (rows, columns), members in shapes.items():
        scale = _RMS * max(rows, columns) ** 0.5
        for i, move in zip(members, newton_schulz(torch.stack([matrices[i] for i in members]))):
            moves[i] = (move * scale).to(updates[i].dtype).view(updates[i].shape)
    return moves


def newton_schulz(x: Tensor) -> Tensor:
    """(batch, m, n) → matrices of the same singular vectors whose singular values lie near 1."""
    rows, columns = x.shape[1:]
    x = x.float()
    if rows > columns:
        x = x.mT
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp_(min=_SMALLEST)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=_B, alpha=_C)
        x = torch.baddbmm(x, polynomial, x, beta=_A)
    return x.mT if rows > columns else x
