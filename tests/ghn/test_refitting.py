"""A hypernetwork that goes on learning from networks that were found."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import netloom as nl
from netloom.errors import HypernetworkError
from netloom.ghn import evaluate, load
from netloom.ghn.refitting import refitted


def chain(widths: list[int]) -> nl.Graph:
    x = value = nl.input(1, 8, 8)
    for width in widths:
        value = nl.relu(nl.batch_norm(nl.conv2d(value, width, 3, padding=1)))
    return nl.Graph(x, nl.linear(nl.flatten(nl.adaptive_avg_pool2d(value, 1)), 10))


def chains(count: int, seed: int = 0) -> list[nl.Graph]:
    rng = np.random.default_rng(seed)
    return [chain([int(w) for w in rng.integers(4, 17, size=int(rng.integers(1, 4)))]) for _ in range(count)]


@pytest.fixture(scope="module")
def digits() -> nl.tasks.Task:
    torch.set_num_threads(1)
    return nl.tasks.load("digits")


def test_it_learns_and_leaves_the_given_one_as_it_was(digits: nl.tasks.Task) -> None:
    ghn, graphs = load("digits"), chains(24)
    with torch.no_grad():  # as if it had unlearned much of what it knew
        for weight in ghn.parameters():
            weight.add_(0.3 * weight.std(correction=0) * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)))
    before = {name: value.clone() for name, value in ghn.state_dict().items()}
    found = refitted(ghn, graphs, digits, steps=40, learning_rate=2e-3)
    assert all(torch.equal(value, before[name]) for name, value in ghn.state_dict().items())
    assert found is not None
    unseen = chains(8, seed=1)
    assert evaluate(found, unseen, digits).mean > evaluate(ghn, unseen, digits).mean + 0.05


def test_what_did_not_get_better_is_not_taken(digits: nl.tasks.Task) -> None:
    assert refitted(load("digits"), chains(12), digits, steps=2, learning_rate=10.0) is None


def test_it_needs_networks_that_it_can_predict(digits: nl.tasks.Task) -> None:
    x = nl.input(1, 8, 8)
    other = nl.Graph(x, nl.linear(nl.flatten(x), 7))
    with pytest.raises(HypernetworkError, match="3 of 4 networks can be predicted; a refit needs 8"):
        refitted(load("digits"), [*chains(3), other], digits, steps=2)
