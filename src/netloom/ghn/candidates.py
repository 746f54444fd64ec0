"""The networks that a hypernetwork is asked about: of a split of DeepNets-1M, or drawn from any space, made for a task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import HypernetworkError
from ..graph.graph import Graph

if TYPE_CHECKING:
    from ..tasks import Task


@dataclass(frozen=True, slots=True)
class Candidates:
    """Networks by number, made when they are asked for: those of ``split``, or draws from ``space`` by ``seed``.

    All have the inputs and classes of ``task``; ``channels`` replaces those of the split. ``len`` is that of the split.

    >>> import netloom as nl
    >>> found = Candidates(nl.tasks.load("digits"), "search", channels=8)
    >>> found.name(3), found[3].outputs[0].shape[1]
    ('deepnets1m:search/3?channels=8', 10)
    """

    task: Task
    split: str = "test"
    space: Any = None
    channels: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if type(self.seed) is not int or self.seed < 0:
            raise HypernetworkError(f"seed = {self.seed!r}; expected a whole number from 0")
        if self.space is not None and self.channels is not None:
            raise HypernetworkError("channels are those of a split of DeepNets-1M; a space says itself what its networks have")
        if isinstance(self.space, str):
            from ..spaces.loading import load

            shape, classes = self.task.train.shape, self.task.num_classes
            object.__setattr__(self, "space", load(self.space, input_shape=shape, num_classes=classes))

    def __len__(self) -> int:
        return 2**31 if self.space is not None else len(self._split())

    def __getitem__(self, number: int) -> Graph:
        if self.space is not None:
            drawn: Graph = self.space.sample(np.random.default_rng((self.seed, number)))
            return drawn
        split = self._split()
        if not 0 <= number < len(split):
            raise HypernetworkError(f"the split {self.split} has networks 0 to {len(split) - 1}, not {number}")
        made: Graph = split[number]
        return made

    def name(self, number: int) -> str:
        """What other commands know the network by; of a space, what draws it again."""
        if self.space is not None:
            return f"{getattr(self.space, 'spec', type(self.space).__name__)} seed {self.seed} number {number}"
        return f"deepnets1m:{self.split}/{number}" + (f"?channels={self.channels}" if self.channels else "")

    def among(self, numbers: Sequence[int]) -> Iterator[Graph]:
        """The networks of these numbers, one after the other."""
        return (self[number] for number in numbers)

    def _split(self) -> Any:
        from ..spaces.deepnets import DeepNets1M

        shape: Any = self.task.train.shape
        return DeepNets1M(self.split, self.task.num_classes, shape, self.channels)
