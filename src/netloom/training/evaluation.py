"""Measuring a network: its loss and score on one part of a task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import TrainingError

if TYPE_CHECKING:
    from torch import Tensor

    from ..tasks.parts import Part

#: With at least so many classes, being among the first five says something too.
CLASSES_FOR_TOP5 = 20


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
    network: Any, part: Part, batch_size: int = 512, *, precision: str = "float32", channels_last: bool = False
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

    from .precision import autocast, laid_out

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


# -- outputs and losses --------------------------------------------------------------------------------------------
def outputs_of(given: Any) -> list[Any]:
    """The tensors that a network returned, in order: the first is its answer, others are those of auxiliary heads."""
    import torch

    if isinstance(given, torch.Tensor):
        return [given]
    if isinstance(given, Mapping):
        given = list(given.values())
    found = [leaf for part in given for leaf in outputs_of(part)] if isinstance(given, tuple | list) else []
    return found if found else [] if given is None or isinstance(given, tuple | list) else [given]


def check_outputs(outputs: Any, y: Tensor, classes: int = 0) -> Tensor:
    """The outputs as float32 (N, classes) or (N, targets), as ``y`` asks for; `TrainingError` says what came instead."""
    shape = getattr(outputs, "shape", None)
    samples = len(y)
    if y.is_floating_point():
        wanted, what = tuple(y.shape), f"a regressor must return values of shape {tuple(y.shape)}"
        if shape is not None and tuple(shape) == (samples,) and wanted == (samples, 1):
            return outputs.float().unsqueeze(1)
        fits = shape is not None and tuple(shape) == wanted
    else:
        what = f"a classifier must return logits of shape ({samples}, {classes or 'classes'})"
        fits = shape is not None and len(shape) == 2 and shape[0] == samples and (not classes or shape[1] == classes)
    if not fits:
        came = f"shape {tuple(shape)}" if shape is not None else f"a {type(outputs).__name__}"
        raise TrainingError(f"{what}, not {came}")
    return outputs.float() if outputs.dtype.itemsize < 4 else outputs


def loss_of(outputs: Tensor, y: Tensor, *, reduction: str = "mean", label_smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of logits (N, classes) with class indices, or squared error of values with targets (N, targets)."""
    from torch.nn.functional import cross_entropy, mse_loss

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
        import torch

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
    import torch

    samples, classes = outputs.shape
    correct = (outputs.argmax(1) == y).sum()
    among_five = correct
    if classes >= CLASSES_FOR_TOP5:
        among_five = (outputs.topk(5, 1).indices == y[:, None]).sum()
    counted = torch.stack([correct, among_five]).double()
    return torch.cat([counted.new_tensor([samples]), counted, counted.new_tensor([samples * classes])])


def _regression_sums(outputs: Tensor, y: Tensor) -> Tensor:
    """Per target (4, targets): samples, sum, sum of squares, squared errors, in float64."""
    import torch

    outputs, y = outputs.double().flatten(1), y.double().flatten(1)
    samples = torch.full_like(y[0], len(y))
    return torch.stack([samples, y.sum(0), (y * y).sum(0), (outputs - y).square().sum(0)])
