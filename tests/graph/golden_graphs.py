"""The fixed graphs behind ``tests/golden``; ``python tests/graph/golden_graphs.py NAME`` writes the files of a new one.

Files of a released version are never written again: what an old netloom wrote must read for ever.
"""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import netloom as nl
from netloom.graph.graph import Argument, Graph, Step
from netloom.graph.table import Constant, TensorEntry
from netloom.ops import DType, Edge, Size, Slice, TensorType, Weight

FOLDER = Path(__file__).parents[1] / "golden" / "v1"


def mlp() -> Graph:
    x = nl.input(16)
    y = nl.relu(nl.linear(x, 32, name="fc1"))
    return nl.Graph(x, nl.softmax(nl.linear(y, 10, bias=False, name="fc2"), -1))


def residual() -> Graph:
    """A residual block with a projection, names as a trace gives them."""
    x = nl.input(3, 32, 32)
    y = nl.conv2d(x, 16, kernel=3, padding=1, bias=False, name="stem.0")
    y = nl.relu(nl.batch_norm(y, name="stem.1"), name="stem.2")
    z = nl.conv2d(y, 32, kernel=3, stride=2, padding=1, bias=False, name="layer1.0.conv1")
    z = nl.relu(nl.batch_norm(z, name="layer1.0.bn1"), name="layer1.0.relu")
    skip = nl.conv2d(y, 32, kernel=1, stride=2, name="layer1.0.downsample")
    z = nl.relu(nl.add(z, skip, name="layer1.0.add"), name="layer1.0.relu@2")
    z = nl.flatten(nl.adaptive_avg_pool2d(z, 1), 1)
    return nl.Graph(x, nl.linear(nl.dropout(z, 0.2), 10, name="head"))


def attention() -> Graph:
    """Named inputs, a position table, a tied weight, outputs in a dict."""
    ids = nl.input(8, dtype="int64")
    mask = nl.input(8, 8)
    x = nl.add(nl.embedding(ids, 100, 12, name="embed"), nl.parameter(8, 12, name="position"))
    q, k, v = (nl.linear(x, 12, name=f"block.{role}") for role in "qkv")
    scores = nl.mul(nl.matmul(q, nl.transpose(k, 1, 2)), 12**-0.5)
    mixed = nl.matmul(nl.softmax(nl.add(scores, mask), -1), v)
    hidden = nl.layer_norm(nl.add(x, nl.linear(mixed, 12, name="block.o")), (12,), eps=1e-6, name="norm")
    graph = nl.Graph({"input_ids": ids, "mask": mask}, {"logits": nl.linear(hidden, 100, bias=False, name="lm_head"),
                                                       "hidden": [hidden, (q, None)]})  # fmt: skip
    tensors = dict(graph.tensors)
    tensors["lm_head.weight"] = replace(tensors["lm_head.weight"], alias_of="embed.weight", init=("normal", 0.0, 1.0))
    return changed(graph, tensors=tensors, symbols={"N": 2})


def branches() -> Graph:
    """Several results, shared weights, indices, free sizes in attributes."""
    x = nl.input(6, 4)
    first, second = nl.split(x, (2, 4), dim=1)
    shared = nl.linear(first, 5, name="shared")
    again = nl.linear(second, 5, like=shared, name="shared@2")
    joined = nl.cat(shared, again, dim=1)
    flat = nl.reshape(joined, (30 * Size.symbol("N"),))
    picked = joined[:, ::2, None, ..., -1]
    return nl.Graph(x, (flat, [picked, nl.sub(1, again)], {"parts": nl.unbind(first, dim=-1)[2]}))


def marked() -> Graph:
    """Everything about a call and a tensor that is not as usual."""
    shape = (Size.symbol("T"), 4)
    size = 2 * (Size.symbol("T") // 2) + 3
    mask = Constant.of(TensorType("bool", (2, 2)), bytes((1, 0, 1, 1)))
    steps = [
        Step("x", "input", {"dtype": DType("float32"), "shape": shape}),
        Step("fc", "linear", {"x": Edge("x"), "out": 4, "weight": Weight("w.original"), "bias": Weight("fc.bias")}, "fc"),
        Step("drop", "dropout", {"x": Edge("fc"), "p": 0.5, "training": True}, "a b", "train", False, "cpu:bfloat16"),
        Step("mask", "parameter", {"value": Weight("mask"), "dtype": DType("bool"), "shape": (2, 2)}, "mask", "eval"),
        Step("call", "opaque", opaque_args(size), "", "odd\n"),
    ]  # fmt: skip
    tensors = {
        "mask": TensorEntry(mask.type, "buffer", requires_grad=False, persistent=False, constant=mask),
        "unused": TensorEntry(TensorType("float64", ()), "parameter", ("uniform", -1.0, 1)),
        "w.original": TensorEntry(TensorType("float32", (4, 4)), "parameter", ("normal", 0.0, 1e-30), requires_grad=False),
        "fc.bias": TensorEntry(TensorType("float32", (4,)), "parameter", ("uniform", -0.5, 0.5)),
        "big": TensorEntry(TensorType("uint8", (3,)), "buffer", requires_grad=False,
                           constant=Constant(TensorType("uint8", (3,)), None, "ab" * 32)),
    }  # fmt: skip
    return Graph.make(
        steps, tensors, [Argument("data", [Edge("x"), None]), Argument("flag", True, keyword=True)], (Edge("fc"), "é\u2028"),
        train_result={"a key": Edge("call", 1), "b": Edge("drop")}, symbols={"T": 16}, notes=("one # note", 'two\n"lines"'),
    )  # fmt: skip


def opaque_args(size: Any) -> dict[str, Any]:
    """Every kind of plain data."""
    values = (
        Edge("x"), (Edge("drop"), (Weight("mask"),)), DType("float32"), DType("odd"), Slice(None, None, None),
        Slice(1, size, -2), Slice(Slice(), None, 2), Size.symbol("T"), size,
        Size.symbol("unseen"), ..., None, True, False, 0, -7, 10**40,
        1.0, -0.0, 1e-5, 0.1, math.inf, -math.inf, math.nan, complex(0.0, -0.0), complex(math.inf, 1.5),
        "", "a\\\"`\n\t\x00é\ud800",
        (), ((),), ((((1,),),),),
    )  # fmt: skip
    types = (("float32", (size, 2)), ("int64", ()))
    return {"target": "torch.rot90", "args": values, "kwargs": (("k", Edge("fc")),), "types": types, "nested": None}


def hostile() -> Graph:
    """Names that are numbers, words of the notation, code, or no words at all."""
    names = ["N", "inf", "float32", "return", "0", "1.5", "a-b", "", "x y", "`", '"', "\n", "\\", "# no", "é",
             "__import__('os')", "a..b", "size", "@a", "layer.0@2", "..", "\ud800", "true"]  # fmt: skip
    steps = [Step(names[0], "input", {"dtype": DType("float32"), "shape": (Size.symbol("N"), 2)})]
    for previous, name in zip(names, names[1:]):
        steps.append(Step(name, "add", {"x": Edge(previous), "y": Edge(names[0]), "alpha": 1}, previous))
    return Graph.make(
        steps, {}, [Argument("a b", Edge("N"))], {name: Edge(name) for name in names}, symbols={"N": 1}
    )  # fmt: skip


def changed(graph: Graph, **parts: Any) -> Graph:
    """The graph with some of its parts replaced."""
    given = {
        "steps": graph.steps, "tensors": graph.tensors, "arguments": graph.arguments, "result": graph.result,
        "train_result": graph.train_result, "symbols": graph.symbols, "notes": graph.notes,
    } | parts  # fmt: skip
    return Graph.make(**given)


GRAPHS = {make.__name__: make for make in (mlp, residual, attention, branches, marked, hostile)}

if __name__ == "__main__":
    for name in sys.argv[1:]:
        graph = GRAPHS[name]()
        (FOLDER / f"{name}.txt").write_bytes(graph.to_text().encode())
        (FOLDER / f"{name}.json").write_bytes(graph.to_json(indent=1).encode() + b"\n")
