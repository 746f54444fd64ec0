"""Losses and scores of many networks at once: what each would have alone, their gradients written down."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

    from ..tasks.task import Task

#: Batches are counted together when so many are kept, or so many numbers: a step then costs two calls more, not ten.
MOST_KEPT, MOST_NUMBERS = 64, 1 << 20


class Moments(NamedTuple):
    """The variance of each network's targets, float64 (M, targets), and where there is none to explain (None: nowhere)."""

    variance: Tensor
    constant: Tensor | None


class Losses(ABC):
    """Means of the losses and scores of M networks over batches, since the last `read`.

    Over the batches that are learned from, the mean is that of the batches' means; over others (``by_sample``) that of all
    samples: as in `NetworkLearner` and `evaluate`.
    """

    def __init__(self, networks: int, label_smoothing: float = 0.0, *, by_sample: bool = False) -> None:
        self.networks, self.label_smoothing, self.by_sample = networks, label_smoothing, by_sample
        #: Samples since the last `read`.
        self.samples = 0
        self._kept: list[tuple[Tensor, Tensor]] = []
        self._numbers = 0
        self._total: Any = 0.0
        self._weight = 0.0
        self._sums: Any = 0.0

    # -- batches ---------------------------------------------------------------------------------------------------
    def learn(self, outputs: Tensor, y: Tensor, grad: Tensor) -> float:
        """Take a batch in, and write the gradient of every network's mean loss with respect to ``outputs`` to ``grad``.

        Gives a number that is finite only where all losses are; `last` says which. Outputs are (M, outputs, n), targets
        (M, outputs or 1, n), or (1, …, n) where they are the same for all.
        """
        kept = self._differences(outputs, y)
        self._gradient(kept, y, grad)
        self._keep(kept, y)
        return self._check(kept)

    def add(self, outputs: Tensor, y: Tensor) -> None:
        """Take a batch in that nothing is learned from."""
        self._keep(self._differences(outputs, y), y)

    def last(self) -> Tensor:
        """The losses (M,) in the batch that was taken in last."""
        kept, y = self._kept[-1]
        return self._summary(kept.unsqueeze(0), y.unsqueeze(0))[0][0]

    def _keep(self, kept: Tensor, y: Tensor) -> None:
        if len(self._kept) >= MOST_KEPT or self._numbers > MOST_NUMBERS:
            self._count()
        self._kept.append((kept, y))
        self._numbers += kept.numel()
        self.samples += kept.shape[-1]

    def _count(self) -> None:
        import torch

        by_size: dict[int, list[tuple[Tensor, Tensor]]] = {}
        for kept, y in self._kept:
            by_size.setdefault(kept.shape[-1], []).append((kept, y))
        self._kept, self._numbers = [], 0
        for samples, found in by_size.items():
            kept, y = (torch.stack(t) if len(t) > 1 else t[0].unsqueeze(0) for t in zip(*found))
            weight = samples if self.by_sample else 1
            means, sums = self._summary(kept, y)
            self._total = self._total + weight * means.sum(0, dtype=torch.float64)
            self._weight += weight * len(found)
            self._sums = self._sums + sums

    def read(self, moments: Callable[[int], Moments]) -> tuple[Tensor, Tensor]:
        """Losses and scores (M,) in float64, of all batches since the last call; nan where there are none.

        ``moments(samples)`` says how the targets of so many samples vary.
        """
        import torch

        self._count()
        if not self._weight:
            return torch.full((self.networks,), torch.nan), torch.full((self.networks,), torch.nan)
        found = (self._total / self._weight).cpu(), self._score(self._sums, moments).cpu()
        self._total = self._weight = self._sums = 0.0
        self.samples = 0
        return found

    def state_dict(self) -> dict[str, Any]:
        """What was taken in since the last `read`."""
        self._count()
        return {"total": self._total, "weight": self._weight, "sums": self._sums, "samples": self.samples}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self._kept, self._numbers = [], 0
        self._total, self._weight, self._sums, self.samples = (state[key] for key in ("total", "weight", "sums", "samples"))

    # -- what kinds of loss differ in ------------------------------------------------------------------------------
    @abstractmethod
    def _differences(self, outputs: Tensor, y: Tensor) -> Tensor:
        """A new tensor (M, outputs, n) that loss, score and gradient follow from."""

    @abstractmethod
    def _gradient(self, kept: Tensor, y: Tensor, grad: Tensor) -> None: ...

    @abstractmethod
    def _check(self, kept: Tensor) -> float: ...

    @abstractmethod
    def _summary(self, kept: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Mean losses (B, M) of B batches (B, M, outputs, n), and sums over all of them that the score follows from."""

    @abstractmethod
    def _score(self, sums: Tensor, moments: Callable[[int], Moments]) -> Tensor: ...


class SquaredErrors(Losses):
    """Mean squared error, and R²: the share of variance explained, the mean over targets."""

    def _differences(self, outputs: Tensor, y: Tensor) -> Tensor:
        return outputs - y

    def _gradient(self, kept: Tensor, y: Tensor, grad: Tensor) -> None:
        import torch

        torch.mul(kept, 2 / kept[0].numel(), out=grad)

    def _check(self, kept: Tensor) -> float:
        import torch

        flat = kept.view(-1)
        return float(torch.dot(flat, flat))

    def _summary(self, kept: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        import torch

        squares = kept.square().sum(3)
        return squares.mean(2) / kept.shape[3], squares.sum(0, dtype=torch.float64)

    def _score(self, sums: Tensor, moments: Callable[[int], Moments]) -> Tensor:
        variance, constant = moments(self.samples)
        explained = 1 - sums / (variance * self.samples)
        if constant is not None:
            explained = explained.where(~constant, (sums == 0).double())
        return explained.mean(1)


class CrossEntropies(Losses):
    """Mean cross-entropy (nats), labels smoothed, and accuracy."""

    def _differences(self, outputs: Tensor, y: Tensor) -> Tensor:
        return outputs.log_softmax(1)

    def _gradient(self, kept: Tensor, y: Tensor, grad: Tensor) -> None:
        import torch

        classes, samples = kept.shape[1:]
        torch.exp(kept, out=grad)
        grad.scatter_add_(1, y.expand(len(kept), 1, samples), self._ones(kept, samples).mul(self.label_smoothing - 1))
        if self.label_smoothing:
            grad.sub_(self.label_smoothing / classes)
        grad.div_(samples)

    def _ones(self, kept: Tensor, samples: int) -> Tensor:
        return kept.new_ones(()).expand(len(kept), 1, samples)

    def _check(self, kept: Tensor) -> float:
        return float(kept.sum())

    def _summary(self, kept: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        chosen = kept.gather(2, y.expand(*kept.shape[:2], 1, kept.shape[3]))
        loss = -chosen.mean((2, 3))
        if self.label_smoothing:
            loss = (1 - self.label_smoothing) * loss - self.label_smoothing * kept.mean((2, 3))
        correct = kept.argmax(2) == y.squeeze(2)
        return loss, correct.sum((0, 2)).double()

    def _score(self, sums: Tensor, moments: Callable[[int], Moments]) -> Tensor:
        return sums / self.samples


def losses_for(task: Task, networks: int, label_smoothing: float = 0.0, *, by_sample: bool = False) -> Losses:
    """The losses that a task is learned by."""
    kind = CrossEntropies if task.num_classes else SquaredErrors
    return kind(networks, label_smoothing, by_sample=by_sample)
