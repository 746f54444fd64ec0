"""A small zoo and a Netformer that learned it for a moment: enough to test everything but how good it gets."""

from __future__ import annotations

from pathlib import Path

import pytest

import netloom as nl
from netloom.netformer import Netformer

#: Small parts, so that a training takes seconds.
SMALL = {"latents": 24, "structure_latents": 8, "probes": 128, "width": 16, "heads": 2, "trunk": 64}


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> nl.zoo.Zoo:
    folder: Path = tmp_path_factory.mktemp("zoos") / "mlps"
    return nl.zoo.make(folder, models=240, tasks=120, epochs=25, seed=3)


@pytest.fixture(scope="session")
def former(zoo: nl.zoo.Zoo) -> Netformer:
    return Netformer(**SMALL).fit(zoo, steps=150, batch_size=32)


@pytest.fixture(scope="session")
def networks(zoo: nl.zoo.Zoo) -> list[nl.Network]:
    return [zoo[place].network for place in range(12)]
