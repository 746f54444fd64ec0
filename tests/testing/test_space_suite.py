"""The suite for spaces finds what it is there to find: spaces that break one promise each fail it."""

from __future__ import annotations

import random
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

import netloom as nl
from netloom.spaces import Conv
from netloom.testing import check_space
from netloom.testing.spaces import drawn, renamed, with_one_more_step
from tests.spaces import samplers


def net(width: int, name: str | None = None) -> nl.Graph:
    x = nl.input(4)
    return nl.Graph(x, nl.linear(nl.relu(nl.linear(x, width, name=name)), 2))


@lru_cache
def hashes(end: int = 100) -> set[str]:
    return {net(width).hash for width in range(1, end)}


class Sound:
    """One hidden layer of 1 to 99 neurons."""

    spec = ""

    def sample(self, rng: np.random.Generator) -> nl.Graph:
        return net(int(rng.integers(1, 100)))

    def contains(self, graph: nl.Graph) -> bool:
        return graph.hash in hashes()


class Unseeded(Sound):
    def sample(self, rng: np.random.Generator) -> nl.Graph:
        return net(random.randrange(1, 100))


class FromGlobalState(Sound):
    def sample(self, rng: np.random.Generator) -> nl.Graph:
        return net(1 + int(np.random.get_state()[2]) % 97)


class Remembering(Sound):
    def __init__(self) -> None:
        self.count = 0

    def sample(self, rng: np.random.Generator) -> nl.Graph:
        self.count += 1
        return net(self.count)


class Forgetful(Sound):
    def contains(self, graph: nl.Graph) -> bool:
        return graph.hash in hashes(50)


class ByName(Sound):
    def contains(self, graph: nl.Graph) -> bool:
        return "linear_1" in graph


class Everything(Sound):
    def contains(self, graph: nl.Graph) -> bool:
        return True


class Capped(Sound):
    max_params = 100


class Single(Sound):
    def sample(self, rng: np.random.Generator) -> nl.Graph:
        return net(7)


class Text(Sound):
    def sample(self, rng: np.random.Generator) -> Any:
        return net(int(rng.integers(1, 100))).to_text()


class WrongSpec(Sound):
    spec = "conv"


class Broken(Sound):
    """Its graphs say other types than their operators give."""

    def sample(self, rng: np.random.Generator) -> nl.Graph:
        graph = net(int(rng.integers(1, 100)))
        types = {step.name: graph.types(step.name) for step in graph.steps}
        types["relu"] = types["x"]
        steps, tensors = graph.steps, graph.tensors
        return nl.Graph.make(steps, tensors, graph.arguments, graph.result, symbols=graph.symbols, types=types)


def test_a_sound_space_passes() -> None:
    assert len(check_space(Sound(), count=5, pickles=False)) == 5


@pytest.mark.parametrize(
    ("space", "reason"),
    [
        (Unseeded(), "moves the global generator"),
        (FromGlobalState(), "another network the second time"),
        (Remembering(), "another network the second time"),
        (Forgetful(), "does not contain its sample"),
        (ByName(), "under other names"),
        (Everything(), "contains a graph that it never draws"),
        (Capped(), "above max_params = 100"),
        (Single(), "1 different networks in 10 samples"),
        (Text(), "is a str; expected a Graph"),
        (WrongSpec(), "its spec is 'conv"),
        (Broken(), "breaks an invariant"),
        (object(), "is no Space"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_a_broken_promise_is_found(space: Any, reason: str) -> None:
    with pytest.raises(AssertionError, match=reason):
        check_space(space, count=10, pickles=False)


def test_what_other_processes_would_draw_is_compared() -> None:
    with pytest.raises(AssertionError, match="another network in another process"):
        check_space(samplers.Hashing(), count=6)


def test_a_space_that_cannot_be_pickled_is_found() -> None:
    class Local(Sound):
        pass

    with pytest.raises(AssertionError, match="cannot be pickled"):
        check_space(Local(), count=3)


def test_graphs_made_of_samples() -> None:
    graph = drawn(Conv(input_shape=(1, 8, 8)), 0)
    assert renamed(graph).hash == graph.hash and renamed(graph) != graph
    assert with_one_more_step(graph).hash != graph.hash
