"""Graphs for the tests of encodings: one of each kind that matters, and the same graphs written otherwise."""

from __future__ import annotations

import numpy as np

import netloom as nl


def residual(width: int = 4, name: str = "a", swap: bool = False, dead: bool = False) -> nl.Graph:
    """A residual block with a pooled branch beside it; ``swap`` changes order and names, ``dead`` adds what nobody reads."""
    x = nl.input(3, 8, 8)
    y = nl.relu(nl.conv2d(x, width, kernel=3, padding=1, name=f"{name}_stem"))
    if swap:
        pooled = nl.avg_pool2d(y, 3, stride=1, padding=1)
        inner = nl.conv2d(y, width, kernel=1, name=f"{name}_inner")
        joined = nl.add(pooled, nl.add(inner, y))
    else:
        inner = nl.conv2d(y, width, kernel=1, name=f"{name}_inner")
        pooled = nl.avg_pool2d(y, 3, stride=1, padding=1)
        joined = nl.add(nl.add(y, inner), pooled)
    if dead:
        nothing = nl.mul(nl.relu(nl.conv2d(y, width, kernel=5, padding=2, name=f"{name}_dead")), 0.0)
        joined = nl.add(joined, nl.conv2d(nothing, width, kernel=1, bias=False, name=f"{name}_zero"))
    return nl.Graph(x, nl.linear(nl.flatten(joined), 2))


def stacked(cells: int, width: int = 4) -> nl.Graph:
    """Equal residual cells one after the other."""
    x = nl.input(3, 8, 8)
    y = nl.conv2d(x, width, kernel=3, padding=1)
    for _ in range(cells):
        y = nl.add(y, nl.conv2d(nl.relu(nl.conv2d(y, width, kernel=3, padding=1)), width, kernel=1))
    return nl.Graph(x, nl.linear(nl.flatten(y), 2))


def silent() -> nl.Graph:
    """A graph whose result no input reaches."""
    x = nl.input(8)
    return nl.Graph(x, nl.mul(nl.linear(x, 2), 0.0))


def sequence() -> nl.Graph:
    """Attention over a sequence, with two inputs."""
    x, bias = nl.input(5, 8), nl.input(5, 8, name="bias")
    q, k, v = nl.linear(x, 8), nl.linear(x, 8), nl.linear(nl.layer_norm(x, (8,)), 8)
    y = nl.add(nl.scaled_dot_product_attention(q, k, v), bias)
    return nl.Graph((x, bias), nl.linear(nl.gelu(nl.linear(y, 16)), 3))


def mixed() -> list[nl.Graph]:
    """Graphs of every kind."""
    space, cells = nl.spaces.Conv(), nl.spaces.NASBench201(C=4, N=2)
    return [
        residual(), stacked(3), silent(), sequence(),
        *[space.sample(np.random.default_rng([5, i])) for i in range(8)],
        *[cells.sample(np.random.default_rng([6, i])) for i in range(8)],
    ]  # fmt: skip
