"""The networks that a hypernetwork learns from: drawn for every step, or taken from a pool that is drawn once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..building.network import Network, build
from ..graph.graph import Graph
from .config import Config
from .prediction import view_of
from .viewing import HyperGraph

#: Keeps the architectures of a pool apart from those that steps draw, and from those that are watched.
_POOL = 0x706F6F6C


@dataclass(frozen=True, slots=True)
class Subject:
    """A network to learn from: its graph, its view, and where it is met again, the module that its tensors are put into."""

    graph: Graph
    view: HyperGraph
    network: Network | None = None


class Pool:
    """``size`` networks, each drawn and prepared when it is first taken: what a step costs is then learning alone.

    Network ``i`` follows from the seed and ``i``, whatever was taken before. With ``size`` 0 nothing is kept.
    """

    def __init__(self, draw: Callable[[np.random.Generator], Graph], config: Config, size: int, seed: int) -> None:
        self._draw, self._config, self.size, self._seed = draw, config, size, seed
        self._kept: dict[int, Subject] = {}

    def take(self, rng: np.random.Generator) -> Subject:
        """A new network, or one of the pool at random."""
        if not self.size:
            return Subject(*view_of(self._draw(rng), None, self._config))
        number = int(rng.integers(self.size))
        if number not in self._kept:
            graph = self._draw(np.random.default_rng((_POOL, self._seed, number)))
            self._kept[number] = Subject(*view_of(graph, None, self._config), build(graph, device="meta"))
        return self._kept[number]
