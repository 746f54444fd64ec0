"""What each network of a zoo is to be, as a function of the seed and its number: so that any part can be made again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..errors import VersionError, ZooError
from .config import ZooConfig

if TYPE_CHECKING:
    import numpy

#: Version of the files of a zoo.
FORMAT = 1
#: Streams of random numbers, kept apart: architectures, initial weights and order of samples, duplicates, epochs.
_ARCHITECTURE, _TRAINING, _DUPLICATE, _EPOCHS = range(4)
#: Random regressions of different seeds of a zoo are different.
_TASKS_PER_SEED = 1_000_003
_LARGEST_SEED = 2**53


@dataclass(frozen=True, slots=True)
class Plan:
    """A configuration with numbers: ``models`` architectures, ``tasks`` tasks, and the seed that all else is drawn from.

    >>> plan = Plan(ZooConfig(), models=6, tasks=4)
    >>> len(plan), [plan.task_of(i) for i in range(6)]
    (6, [0, 1, 2, 3, 0, 1])
    >>> crossed = Plan(ZooConfig(pairing="all"), models=6, tasks=4)
    >>> len(crossed), [(crossed.model_of(i), crossed.task_of(i)) for i in (0, 3, 4)]
    (24, [(0, 0), (0, 3), (1, 0)])
    """

    config: ZooConfig
    models: int
    tasks: int
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low in (("models", 1), ("tasks", 1), ("seed", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= _LARGEST_SEED:
                raise ZooError(f"zoo: {name} = {value!r}; expected a whole number ≥ {low}")
        named = len(self.config.task_specs)
        if named and self.tasks != named:
            raise ZooError(f"zoo: tasks = {self.tasks}, but {named} tasks are named; leave the number out")

    def __len__(self) -> int:
        """Number of networks."""
        return self.models * self.tasks if self.config.pairing == "all" else self.models

    @property
    def shards(self) -> int:
        """Number of files that the networks go to."""
        return -(-len(self) // self.config.shard_size)

    def shard(self, number: int) -> range:
        """The networks of a shard."""
        size = self.config.shard_size
        return range(number * size, min((number + 1) * size, len(self)))

    # -- each network ----------------------------------------------------------------------------------------------
    def model_of(self, network: int) -> int:
        """The model that a network is of."""
        return network // self.tasks if self.config.pairing == "all" else network

    def task_of(self, network: int) -> int:
        """The task that a network learns."""
        return network % self.tasks

    def source_of(self, model: int) -> int:
        """The model whose architecture and initial weights a model has: itself, or an earlier one that it duplicates."""
        while model:
            rng = self._rng(_DUPLICATE, model)
            if rng.random() >= self.config.duplicates:
                return model
            model = int(rng.integers(model))
        return model

    def architecture_rng(self, model: int) -> numpy.random.Generator:
        """What the space draws a model's architecture from."""
        return self._rng(_ARCHITECTURE, self.source_of(model))

    def seed_of(self, network: int) -> int:
        """The seed of a network's initial weights and of the order of its samples."""
        return int(self._rng(_TRAINING, self.source_of(self.model_of(network))).integers(2**62))

    def epochs_of(self, network: int) -> int:
        """The epochs that a network is trained for."""
        epochs = self.config.epochs
        return epochs[int(self._rng(_EPOCHS, network).integers(len(epochs)))] if len(epochs) > 1 else epochs[0]

    def _rng(self, stream: int, number: int) -> numpy.random.Generator:
        import numpy as np

        return np.random.default_rng([self.seed, stream, number])

    def task_spec(self, number: int) -> str:
        """The spec of a task."""
        from ..tasks.random_regression import RandomRegression

        if self.config.task_specs:
            return self.config.task_specs[number]
        return RandomRegression(self.seed * _TASKS_PER_SEED + number, self.config.regression).spec

    # -- as a file -------------------------------------------------------------------------------------------------
    def to_json(self) -> str:
        """The plan as ``zoo.json`` has it."""
        from .. import __version__

        document = {
            "netloom zoo": FORMAT, "networks": len(self), "models": self.models, "tasks": self.tasks, "seed": self.seed,
            "config": asdict(self.config), "netloom": __version__,
        }  # fmt: skip
        return json.dumps(document, indent=2) + "\n"

    @staticmethod
    def from_json(document: str | Mapping[str, Any], where: str = "zoo.json") -> Plan:
        """The plan of such a file; `VersionError` for one of a later version, `ZooError` for any other file."""
        try:
            found = json.loads(document) if isinstance(document, str) else document
            version = found["netloom zoo"]
            if version != FORMAT:
                raise VersionError(f"{where} is of version {version!r}; this netloom reads version {FORMAT}; use a newer one")
            return Plan(ZooConfig.from_json(found["config"]), found["models"], found["tasks"], found["seed"])
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(error, VersionError):
                raise
            raise ZooError(f"{where} does not describe a zoo ({type(error).__name__}: {error})") from None
