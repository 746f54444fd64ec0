"""Graphs whose hashes are kept in tests/golden/hashes.json, and builders of symmetric ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import networkx

import netloom as nl
from netloom.graph.builder import call
from netloom.graph.graph import Argument, Graph, Step
from netloom.graph.table import TensorEntry
from netloom.ops import DType, Edge, Size, TensorType, Weight

GRAPHS: dict[str, Callable[[], Graph]] = {}


def golden(function: Callable[[], Graph]) -> Callable[[], Graph]:
    GRAPHS[function.__name__] = function
    return function


@golden
def identity() -> Graph:
    x = nl.input(4)
    return nl.Graph(x, x)


@golden
def perceptron() -> Graph:
    x = nl.input(8)
    return nl.Graph(x, nl.linear(nl.relu(nl.linear(x, 16, name="hidden")), 10, bias=False))


@golden
def convolutions() -> Graph:
    x = y = nl.input(3, 32, 32)
    for channels in (8, 16):
        y = nl.max_pool2d(nl.relu(nl.batch_norm(nl.conv2d(y, channels, kernel=3, padding=1))), 2)
    return nl.Graph(x, nl.linear(nl.flatten(nl.dropout(y, 0.5)), 10))


@golden
def residual() -> Graph:
    x = y = nl.input(4)
    for _ in range(3):
        y = nl.add(nl.relu(nl.linear(y, 4)), y)
    return nl.Graph(x, {"logits": y, "hidden": [x, None]})


@golden
def twins() -> Graph:
    """Needs more than digests of what nodes are computed from."""
    x = y = nl.input(4)
    for _ in range(3):
        a, b = nl.linear(y, 4), nl.linear(y, 4)
        y = nl.add(nl.sub(a, b), nl.sub(b, a))
    return nl.Graph(x, y)


@golden
def tied() -> Graph:
    x = nl.input(4, name="x")
    first = nl.linear(x, 4)
    return nl.Graph({"x": x}, call("linear", nl.relu(first), 4, like=first))


@golden
def positions() -> Graph:
    x = nl.input(6, 4)
    return nl.Graph(x, nl.layer_norm(nl.add(x, nl.parameter(1, 6, 4)), (4,)))


def line_up(op: str, x: Any, *arguments: Any) -> Graph:
    return nl.Graph(x, call(op, x, *arguments))


def undirected(graph: networkx.Graph) -> Graph:
    """An undirected graph as a network without any order: each edge is a sum of its ends, written to a buffer of its own.

    The sum goes through a batch norm, whose running statistics are what is written; nothing of it is returned.
    """
    shape = (Size.symbol("N"), 4)
    steps = [Step("x", "input", {"dtype": DType("float32"), "shape": shape})]
    steps += [Step(f"v{i}", "relu", {"x": Edge("x")}) for i in range(len(graph))]
    number = {vertex: i for i, vertex in enumerate(graph)}
    tensors: dict[str, TensorEntry] = {}
    for i, (a, b) in enumerate(graph.edges):
        steps.append(Step(f"e{i}", "add", {"x": Edge(f"v{number[a]}"), "y": Edge(f"v{number[b]}"), "alpha": 1}))
        args: dict[str, Any] = {"x": Edge(f"e{i}")}
        for role in ("running_mean", "running_var"):
            args[role] = Weight(f"w{i}.{role}")
            tensors[f"w{i}.{role}"] = TensorEntry(TensorType("float32", (4,)), "buffer")
        steps.append(Step(f"w{i}", "batch_norm", args))
    return Graph.make(steps, tensors, [Argument("x", Edge("x"))], Edge("x"), symbols={"N": 1})
