"""What a network's outputs say: its answer, the loss, and the score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss

from ..errors import TrainingError

#: With at least so many classes, being among the first five says something too.
CLASSES_FOR_TOP5 = 20


def outputs_of(given: Any) -> list[Any]:
    """The tensors that a network returned, in order: the first is its answer, others are those of auxiliary heads."""
    if isinstance(given, torch.Tensor):
        return [given]
    if isinstance(given, Mapping):
        given = list(given.values())
    found = [leaf for part in given for leaf in outputs_of(part)] if isinstance(given, tuple | list) else []
    return found if found else [] if given is None or isinstance(given, tuple | list) else [given]


def check_outputs(outputs: Any, y: Tensor, classes: int = 0) -> Tensor:
    """The outputs as float32 (N, classes) or (N, targets), as ``y`` asks for; `TrainingError` says what came instead."""
    shape = getattr(outputs, "shape", None)
    if y.is_floating_point():
        if shape is not None and y.shape == (len(y), 1) and shape == (len(y),):
            return outputs.float().unsqueeze(1)
        fits = shape == y.shape
    else:
        fits = shape is not None and len(shape) == 2 and shape[0] == len(y) and (not classes or shape[1] == classes)
    if not fits:
        _refuse(shape, outputs, y, classes)
    return outputs.float() if outputs.dtype.itemsize < 4 else outputs


def _refuse(shape: Any, outputs: Any, y: Tensor, classes: int) -> None:
    """`TrainingError` with what should have come; apart, as its text would cost every step of a small network."""
    came = f"shape {tuple(shape)}" if shape is not None else f"a {type(outputs).__name__}"
    if y.is_floating_point():
        raise TrainingError(f"a regressor must return values of shape {tuple(y.shape)}, not {came}")
    raise TrainingError(f"a classifier must return logits of shape ({len(y)}, {classes or 'classes'}), not {came}")


def loss_of(outputs: Tensor, y: Tensor, *, reduction: str = "mean", label_smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of logits (N, classes) with class indices, or squared error of values with targets (N, targets)."""
    if y.is_floating_point():
        return mse_loss(outputs, y, reduction=reduction)
    return cross_entropy(outputs, y, reduction=reduction, label_smoothing=label_smoothing)


# -- scores --------------------------------------------------------------------------------------------------------
class Meter:
    """Accumulates accuracy or R² over batches. Outputs are kept until there are many, so that a step costs nothing."""

    #: Numbers that are kept at most before they are counted.
    MOST_KEPT = 1 << 20

    def __init__(self) -> None:
        self._kept: list[tuple[Tensor, Tensor]] = []
        self._numbers = 0
        self._sums: Any = None

    def add(self, outputs: Tensor, y: Tensor) -> None:
        """Outputs (N, …) of a batch and their targets."""
        self._kept.append((outputs, y))
        self._numbers += outputs.numel()
        if self._numbers > self.MOST_KEPT:
            self._count()

    def _count(self) -> None:
        if not self._kept:
            return
        outputs, y = torch.cat([o for o, _ in self._kept]), torch.cat([y for _, y in self._kept])
        self._kept, self._numbers = [], 0
        sums = _regression_sums(outputs, y) if y.is_floating_point() else _classification_sums(outputs, y)
        self._sums = sums if self._sums is None else self._sums + sums

    def read(self) -> tuple[float, float | None]:
        """Score and top-5 share of all that was added since the last call; nan where that is nothing."""
        self._count()
        sums, self._sums = self._sums, None
        if sums is None:
            return float("nan"), None
        if sums.ndim == 1:
            samples, correct, among_five, classes = sums.tolist()
            return correct / samples, among_five / samples if classes / samples >= CLASSES_FOR_TOP5 else None
        samples, total, squares, errors = sums
        variance = squares - total * total / samples
        explained = (1 - errors / variance).where(variance > 1e-12 * squares, (errors == 0).double())
        return float(explained.mean()), None

    def state_dict(self) -> dict[str, Any]:
        """What was added so far."""
        self._count()
        return {"sums": self._sums}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self._kept, self._numbers, self._sums = [], 0, state["sums"]


def _classification_sums(outputs: Tensor, y: Tensor) -> Tensor:
    """Samples, correct ones, ones among the first five, and classes times samples."""
    samples, classes = outputs.shape
    correct = (outputs.argmax(1) == y).sum()
    among_five = correct
    if classes >= CLASSES_FOR_TOP5:
        among_five = (outputs.topk(5, 1).indices == y[:, None]).sum()
    counted = torch.stack([correct, among_five]).double()
    return torch.cat([counted.new_tensor([samples]), counted, counted.new_tensor([samples * classes])])


def _regression_sums(outputs: Tensor, y: Tensor) -> Tensor:
    """Per target (4, targets): samples, sum, sum of squares, squared errors, in float64."""
    outputs, y = outputs.double().flatten(1), y.double().flatten(1)
    samples = torch.full_like(y[0], len(y))
    return torch.stack([samples, y.sum(0), (y * y).sum(0), (outputs - y).square().sum(0)])
