"""Samplers that tests make spaces of, and a space; in a module of little weight, so that other processes can import them."""

from __future__ import annotations

from typing import Any

import netloom as nl


def perceptron(choose: Any, features: int = 16) -> nl.Graph:
    """A depth, a width for each layer, perhaps a norm: choices that depend on choices."""
    x = value = nl.input(features)
    for i in range(choose.integer("depth", 1, 3)):
        value = nl.linear(value, choose(f"width{i}", [8, 16, 32]))
        if choose(f"norm{i}", [False, True], probabilities=[3, 1]):
            value = nl.layer_norm(value, (value.shape[-1],))
        value = nl.relu(value)
    return nl.Graph(x, nl.linear(value, 10))


def with_dropout(choose: Any) -> nl.Graph:
    """A choice without end."""
    x = nl.input(4)
    rate = choose.uniform("rate", 0.01, 0.5, log=True)
    return nl.Graph(x, nl.linear(nl.dropout(x, p=rate), choose.integer("width", 1, 1000, log=True)))


def module(choose: Any) -> Any:
    """A torch module with its example inputs."""
    import torch

    width = choose("width", (4, 8))
    layers = torch.nn.Sequential(torch.nn.Linear(6, width), choose("activation", (torch.nn.ReLU, torch.nn.Tanh))())
    return torch.nn.Sequential(layers, torch.nn.Linear(width, 2)), torch.zeros(2, 6)


class Hashing:
    """What it draws depends on the order of a set of strings, which is another in every process."""

    spec = ""

    def sample(self, rng: Any) -> nl.Graph:
        widths = [len(name) for name in {"a" * i for i in range(1, 90)}]
        x = nl.input(4)
        return nl.Graph(x, nl.linear(x, widths[int(rng.integers(0, 10))]))

    def contains(self, graph: nl.Graph) -> bool:
        return "abs" not in [node.op for node in graph]
