"""Measuring a trained classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import TrainingError

if TYPE_CHECKING:
    from ..tasks import Split


class Evaluation(NamedTuple):
    """Mean cross-entropy (nats) and share of samples classified correctly."""

    loss: float
    accuracy: float


def evaluate(network: Any, split: Split, batch_size: int = 512) -> Evaluation:
    """Loss and accuracy of ``network`` (an nn.Module giving logits (N, classes)) on one part of a task.

    Runs in evaluation mode and leaves every module in the mode it was in.
    """
    import torch
    from torch.nn.functional import cross_entropy

    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    loss, correct, total = 0.0, 0, len(split)
    try:
        with torch.inference_mode():
            for start in range(0, total, batch_size):
                x, y = split.x[start : start + batch_size], split.y[start : start + batch_size]
                logits = check_logits(network(x), len(y))
                loss += float(cross_entropy(logits, y, reduction="sum"))
                correct += int((logits.argmax(1) == y).sum())
    finally:
        for module, mode in modes:
            module.training = mode
    return Evaluation(loss / total, correct / total)


def check_logits(logits: Any, samples: int) -> Any:
    """``logits`` if they are a tensor (samples, classes); `TrainingError` says what came instead."""
    shape = getattr(logits, "shape", None)
    if shape is None or len(shape) != 2 or shape[0] != samples:
        came = f"shape {tuple(shape)}" if shape is not None else f"a {type(logits).__name__}"
        raise TrainingError(f"a classifier must return logits of shape ({samples}, classes), not {came}")
    return logits
