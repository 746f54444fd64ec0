"""Batches for networks that are stacked: of their own tasks, each in the order that it would have alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .batches import order_of_rows
from .many_losses import Moments
from .recipes import batches_per_epoch

if TYPE_CHECKING:
    from torch import Tensor

    from ..tasks.task import Task

#: What is gathered ahead of the steps that use it: little enough to stay in a cache.
WINDOW_BYTES = 2 << 20
#: Samples that are measured at a time, however many features they have.
FEWEST_MEASURED = 64


class Batch(NamedTuple):
    """Inputs (M, features, n), or (features, n) where all networks see the same; targets.

    Targets are class indices int64 (M, 1, n), or values (M, targets, n). Those of networks that see the same are (1, …, n).
    """

    x: Tensor
    y: Tensor


class StackedData:
    """The train and valid parts of the tasks of M networks: for each its ``tasks[m]``, drawn by its ``seeds[m]``.

    Tasks must have as many samples as each other, and outputs of one kind; samples are flattened, and padded with zeros to
    ``features``. Inputs are float, as the networks compute.
    """

    def __init__(self, tasks: Sequence[Task], seeds: Sequence[int], features: int, dtype: Any, device: Any) -> None:
        import torch

        unique = list({id(task): task for task in tasks}.values())
        places = {id(task): place for place, task in enumerate(unique)}
        self._place = torch.tensor([places[id(task)] for task in tasks], device=device)
        self._seeds, self._device = list(seeds), device
        self._tasks, self._features, self._dtype = unique, features, dtype
        self._valid: tuple[Tensor, Tensor] | None = None
        self._valid_batches: list[Batch] = []
        self._moments: dict[str, Moments] = {}
        #: Whether every network sees the same batches, so that they need not be copied for each.
        self.alike = len(unique) == 1 and len({*seeds}) == 1
        self.num_train, self.num_valid = len(unique[0].train), len(unique[0].valid)
        self._train = self._part("train")

    def _part(self, name: str) -> tuple[Tensor, Tensor]:
        """Inputs (T · N, features) and targets (T · N, outputs or 1) of all tasks, one below the other."""
        import torch

        xs, ys = [], []
        for task in self._tasks:
            part: Any = getattr(task, name)
            x = part.x.reshape(len(part), -1).to(self._device, self._dtype)
            missing = self._features - x.shape[1]
            xs.append(torch.nn.functional.pad(x, (0, missing)) if missing else x)
            y = part.y.to(self._device)
            ys.append(y.to(self._dtype) if y.is_floating_point() else y.unsqueeze(1))
        return (xs[0], ys[0]) if len(xs) == 1 else (torch.cat(xs), torch.cat(ys))

    # -- training --------------------------------------------------------------------------------------------------
    def batches(self, epoch: int, size: int, first: int = 0) -> Iterator[Batch]:
        """The batches of an epoch (from 0) from the one numbered ``first`` on; a last one of a single sample is left out."""
        rows = self._rows(epoch)
        count = batches_per_epoch(self.num_train, size)
        together = max(1, WINDOW_BYTES // max(1, len(rows) * size * self._features * self._dtype.itemsize))
        for start in range(first, count, together):
            stop = min(start + together, count)
            yield from self._gather(self._train, rows[:, start * size : stop * size], size)

    def _rows(self, epoch: int) -> Tensor:
        """Rows of the stacked train parts in the order of each network: (M, N), or (1, N) where all are alike."""
        import torch

        seeds = self._seeds[:1] if self.alike else self._seeds
        orders = {seed: order_of_rows(self.num_train, seed, epoch) for seed in dict.fromkeys(seeds)}
        rows = torch.stack([orders[seed] for seed in seeds]).to(self._device)
        return rows if self.alike else rows + (self._place * self.num_train).unsqueeze(1)

    def _gather(self, part: tuple[Tensor, Tensor], rows: Tensor, size: int) -> Iterator[Batch]:
        networks, samples = rows.shape
        flat = rows.reshape(-1)
        # A vector is gathered several times faster than a column.
        x, y = (values.squeeze(1) if values.shape[1] == 1 else values for values in part)
        xs = x.index_select(0, flat).view(networks, samples, -1).split(size, 1)
        ys = y.index_select(0, flat).view(networks, samples, -1).split(size, 1)
        for chosen, targets in zip(xs, ys):
            yield Batch(chosen[0].mT if self.alike else chosen.mT, targets.mT)

    # -- measuring -------------------------------------------------------------------------------------------------
    def valid_batches(self) -> Iterator[Batch]:
        """All samples of the valid parts, in batches whose size is the same every time."""
        if self._valid is None:
            self._valid = self._part("valid")
        copies = 1 if self.alike else len(self._place)
        size = max(FEWEST_MEASURED, WINDOW_BYTES // (copies * self._features * self._dtype.itemsize))
        if size < self.num_valid:
            yield from self._measuring(self._valid, size)
            return
        if not self._valid_batches:
            self._valid_batches = list(self._measuring(self._valid, size))
        yield from self._valid_batches

    def _measuring(self, part: tuple[Tensor, Tensor], size: int) -> Iterator[Batch]:
        import torch

        places = self._place[:1] if self.alike else self._place
        for start in range(0, self.num_valid, size):
            columns = torch.arange(start, min(start + size, self.num_valid), device=self._device)
            yield from self._gather(part, places.unsqueeze(1) * self.num_valid + columns, size)

    # -- targets ---------------------------------------------------------------------------------------------------
    def valid_moments(self, samples: int) -> Moments:
        """How the targets of the valid parts vary; all ``samples`` of them count."""
        if self._valid is None:
            self._valid = self._part("valid")
        return self._moments_of_all("valid", self._valid, self.num_valid)

    def train_moments(self, epoch: int, samples: int) -> Moments:
        """How the targets of the first ``samples`` of an epoch vary."""
        if samples == self.num_train:
            return self._moments_of_all("train", self._train, samples)
        rows = self._rows(epoch)[:, :samples]
        return _moments(self._train[1].index_select(0, rows.reshape(-1)).view(*rows.shape, -1))

    def _moments_of_all(self, name: str, part: tuple[Tensor, Tensor], samples: int) -> Moments:
        if name not in self._moments:
            variance, constant = _moments(part[1].view(len(self._tasks), samples, -1))
            self._moments[name] = Moments(variance[self._place], None if constant is None else constant[self._place])
        return self._moments[name]


def _moments(y: Tensor) -> Moments:
    """Of targets (T, samples, targets), (T, targets)."""
    wide = y.double()
    variance = wide.var(1, correction=0)
    constant = variance <= 1e-12 * wide.square().mean(1)
    return Moments(variance, constant if bool(constant.any()) else None)
