"""Proxies that ask whether an untrained network tells samples apart: jacov, epe, nwot."""

from __future__ import annotations

import numpy as np
import torch

from .probe import Undefined
from .signals import Signals

#: Added before logarithms and divisions, in both papers.
_K = 1e-5
#: With more classes than this, `epe` compares classes instead of adding them up.
_MOST_CLASSES_ADDED = 100


def jacov(signals: Signals) -> float:
    """−Σ log(λ + k) + 1/(λ + k) over the eigenvalues λ of the correlations between the samples' Jacobians, k = 10⁻⁵.

    Mellor et al., "Neural Architecture Search without Training", version of June 2020.
    """
    correlations = _correlations(_rows(signals))
    found = np.linalg.eigvalsh(correlations).clip(min=0) + _K
    return -float(np.sum(np.log(found) + 1 / found))


def epe(signals: Signals) -> float:
    """Correlations of the samples' Jacobians within each class.

    e_c = Σ log(|ρ| + k) over the entries ρ of the correlations of class c, divided by its number of samples where there are
    more than 100 classes; the score is Σ |e_c|, or with more than 100 classes the mean over c of Σ |e_c − e_d|. Lopes et al.,
    "EPE-NAS: Efficient Performance Estimation Without Training for Neural Architecture Search", ICANN 2021.
    """
    targets = signals.targets
    if targets is None or targets.is_floating_point() or targets.ndim != 1:
        raise Undefined("epe needs the class of every sample, whole numbers of shape (N,)")
    rows, labels = _rows(signals), targets.cpu().numpy()
    if len(rows) != len(labels):
        raise Undefined(f"there are {len(rows)} Jacobians for {len(labels)} classes")
    many = max(int(labels.max()) + 1, _classes(signals)) > _MOST_CLASSES_ADDED
    scores = []
    for label in np.unique(labels):
        entries = np.log(np.abs(_correlations(rows[labels == label])) + _K)
        scores.append(entries.sum() / (len(entries) if many else 1))
    e = np.array(scores)
    return float(np.abs(e[:, None] - e).sum() / len(e)) if many else float(np.abs(e).sum())


def nwot(signals: Signals) -> float:
    """log |det K|, K_ij the number of neurons whose activation is on, or off, for both of samples i and j.

    Mellor et al., "Neural Architecture Search without Training", ICML 2021. A neuron is on where what its activation takes is
    above zero, which for a ReLU is its linear piece. Every value that some activation takes counts once for each of them.
    """
    if not signals.switched:
        raise Undefined("the network has no activation")
    kernels: list[torch.Tensor] = []
    for edge, value in zip(signals.switched, signals.values(signals.switched)):
        code = (value.detach().movedim(signals.sample_axis(edge), 0).flatten(1) > 0).double()
        # Both on, or both off: at 0 and 1 a product is an "and".
        kernels.append(code @ code.T + (1 - code) @ (1 - code).T)
    sizes = sorted({len(kernel) for kernel in kernels})
    if len(sizes) > 1:
        raise Undefined(f"activations take {' and '.join(map(str, sizes))} samples; expected as many everywhere")
    return float(np.linalg.slogdet(torch.stack(kernels).sum(0).cpu().numpy())[1])


def _rows(signals: Signals) -> np.ndarray:
    rows = signals.jacobian.numpy()
    if len(rows) < 2 or rows.shape[1] < 2:
        raise Undefined(f"Jacobians of shape {rows.shape} have no correlations; give at least two samples of two numbers")
    return rows


def _correlations(rows: np.ndarray) -> np.ndarray:
    """Pearson's correlations of rows (N, D): (N, N)."""
    centred = rows - rows.mean(1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    if not lengths.all():
        raise Undefined("the outputs do not depend on the input of some sample")
    centred = centred / lengths
    return centred @ centred.T


def _classes(signals: Signals) -> int:
    outputs = [output for output in signals.passed.outputs if output.ndim == 2]
    return int(outputs[0].shape[1]) if outputs else 0
