"""Measuring a network: its loss and score on one part of a task."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import TrainingError

if TYPE_CHECKING:
    from ..tasks.parts import Part


#: Version of the code that trains and scores, part of the key of every evaluation: scores of one are no scores of another.
EVALUATOR = 2


class Evaluation(NamedTuple):
    """Loss and score over all samples.

    ``loss`` is the mean cross-entropy (nats) or squared error; ``score`` the accuracy (share of samples classified correctly)
    or R² (share of variance explained, the mean over targets; 1 − SSE ÷ SST); ``top5`` the share of samples whose class is
    among the five highest logits, where there are at least 20 classes.
    """

    loss: float
    score: float
    top5: float | None = None
    samples: int = 0

    @property
    def accuracy(self) -> float:
        """The score, as it is called for classifiers."""
        return self.score


def evaluate(
    network: Any, part: Part, batch_size: int = 512, *, precision: str = "float32", channels_last: bool | None = None
) -> Evaluation:
    """Loss and score of ``network``, an nn.Module giving logits (N, classes) or values (N, targets), on one part of a task.

    Runs in evaluation mode, without gradients, and leaves every module in the mode it was in. Of several outputs the first
    counts. ``precision`` and ``channels_last`` are as in a `Recipe`. Raises `TrainingError` where outputs do not fit.

    >>> import netloom as nl, torch
    >>> task = nl.tasks.load("digits")
    >>> network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    >>> evaluate(network, task.valid).samples
    360
    """
    import torch

    from ..measure.kept_memory import keep_freed
    from ..tasks.parts import Split
    from .losses import Meter, check_outputs, loss_of, outputs_of
    from .precision import autocast, better_channels_last, laid_out

    keep_freed()
    if channels_last is None:
        channels_last = better_channels_last(network, getattr(part, "device", "cpu"))
    if isinstance(part, Split):
        part = part.prepared(channels_last=channels_last)
    meter = Meter()
    loss: Any = 0.0
    samples = 0
    with evaluating(network), torch.inference_mode():
        for x, y in part.batches(_without_single_rest(len(part), batch_size)):
            with autocast(precision, x.device):
                given = network(laid_out(x, channels_last))
            outputs = check_outputs(outputs_of(given)[0], y)
            loss = loss + loss_of(outputs, y, reduction="sum").double()
            meter.add(outputs, y)
            samples += len(y)
    if y.is_floating_point():
        samples *= y[0].numel()
    score, top5 = meter.read()
    return Evaluation(float(loss) / samples, score, top5, len(part))


def _without_single_rest(samples: int, batch_size: int) -> int:
    """A batch size that leaves no last batch of one sample, which some networks cannot run."""
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise TrainingError(f"batch_size = {batch_size!r}; expected an integer ≥ 1")
    while batch_size > 2 and samples % batch_size == 1:
        batch_size -= 1
    return batch_size


@contextmanager
def evaluating(network: Any) -> Iterator[None]:
    """Inside, every module of the network is in evaluation mode; afterwards in the mode it was in."""
    training = [module for module in network.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True
