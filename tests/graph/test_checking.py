"""`Graph.check`: every way to break a graph is named."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import netloom as nl
from netloom.errors import AttributeValueError, GraphError, NetloomError, ShapeError
from netloom.graph.graph import Argument, Graph, Step
from netloom.graph.table import Constant, TensorEntry
from netloom.ops import DType, Edge, Size, TensorType, Weight
from tests.graph.graph_variants import disguised, random_graph, rewired
from tests.graph.hashed_graphs import GRAPHS

FLOAT = DType("float32")
N = Size.symbol("N")


@pytest.mark.parametrize("name", GRAPHS)
def test_whole_graphs_pass(name: str) -> None:
    GRAPHS[name]().check()


@given(st.integers(0, 10**6))
def test_random_graphs_and_their_variants_pass(seed: int) -> None:
    rng = random.Random(seed)
    graph = random_graph(rng, 8)
    for variant in (graph, disguised(graph, rng)):
        variant.check()
    other = rewired(graph, rng)
    Graph.make(other.steps, other.tensors, other.arguments, other.result, symbols={"N": 1}).check()


def example() -> Graph:
    x = nl.input(4, name="x")
    return nl.Graph(x, nl.relu(nl.linear(x, 3, name="body.fc"), name="body.act"))


def broken(
    changes: dict[str, dict[str, Any]] | None = None, steps: list[Step] | None = None, **parts: Any
) -> Graph:  # fmt: skip
    """The example with fields of steps, or whole parts, replaced; nothing of it is verified on the way."""
    graph = example()
    changed = [replace(step, **(changes or {}).get(step.name, {})) for step in (steps or graph.steps)]
    types = {step.name: graph.types(step.name) if step.name in graph else (TensorType("float32", (N, 3)),) for step in changed}
    parts = {
        "tensors": graph.tensors, "arguments": graph.arguments, "result": graph.result, "symbols": graph.symbols,
        "types": types, **parts,
    }  # fmt: skip
    tensors, arguments, result = (parts.pop(name) for name in ("tensors", "arguments", "result"))
    return Graph.make(changed, tensors, arguments, result, **parts)


def args(name: str, **change: Any) -> dict[str, Any]:
    return {name: {"args": {**example()[name].step.args, **change}}}


def entry(**change: Any) -> dict[str, TensorEntry]:
    tensors = dict(example().tensors)
    return tensors | {"body.fc.bias": replace(tensors["body.fc.bias"], **change)}


CASES: dict[str, tuple[Any, str]] = {
    "empty name": (lambda: broken({"body.act": {"name": ""}}, result=Edge("body.fc")), "'' is no name for a node"),
    "illegal name": (lambda: broken({"body.act": {"name": "a..b"}}, result=Edge("body.fc")), "'a..b' is no name for a node"),
    "illegal scope": (lambda: broken({"body.act": {"scope": ".a"}}), "'.a' is no name"),
    "mode": (lambda: broken({"body.act": {"mode": "test"}}), "relu 'body.act' has mode 'test'; expected 'train', 'eval'"),
    "grad": (lambda: broken({"body.act": {"grad": 1}}), "grad = 1; expected true or false"),
    "autocast": (lambda: broken({"body.act": {"autocast": "cpu"}}), "autocast 'cpu'; expected a device and a dtype"),
    "unknown node": (lambda: broken(args("body.act", x=Edge("nowhere"))), "'body.act' uses 'nowhere', which does not exist"),
    "itself": (lambda: broken(args("body.act", x=Edge("body.act"))), "does not come before it: a cycle"),
    "later node": (lambda: broken(steps=[example().steps[i] for i in (0, 2, 1)]), "uses 'body.fc', which does not come before"),
    "output": (lambda: broken(args("body.act", x=Edge("body.fc", 1))), "uses output 1 of 'body.fc', which has 1"),
    "negative output": (lambda: broken(args("body.act", x=Edge("body.fc", -1))), "uses output -1 of 'body.fc'"),
    "not data": (lambda: broken(args("body.fc", out=[object])), "out holds <class 'object'> .*; expected plain data"),
    "unknown tensor": (lambda: broken(args("body.fc", bias=Weight("b"))), "'body.fc' uses the tensor 'b', which the table"),
    "normal form": (lambda: broken(args("x", shape=[N, 4])), "input 'x': shape = .* is not in normal form; expected"),
    "kind": (lambda: broken(tensors=entry(kind="state")), "'body.fc.bias' is of kind 'state'"),
    "key": (lambda: broken(tensors={**example().tensors, "": TensorEntry(TensorType("float32", ()))}), "'' is no key"),
    "tensor's dtype": (lambda: broken(tensors=entry(type=TensorType("float", (3,)))), "type float.3.; expected a known dtype"),
    "tensor's shape": (lambda: broken(tensors=entry(type=TensorType("float32", (N,)))), "expected a known dtype and sizes"),
    "alias of nothing": (lambda: broken(tensors=entry(alias_of="b")), "alias of 'b', which the table does not have"),
    "alias of itself": (lambda: broken(tensors=entry(alias_of="body.fc.bias")), "itself an alias"),
    "alias of another type": (lambda: broken(tensors=entry(alias_of="body.fc.weight")), "they must agree"),
    "value of another type": (
        lambda: broken(tensors=entry(constant=Constant.of(TensorType("uint8", (3,)), b"abc"))), "but its value is uint8",
    ),
    "too few bytes": (
        lambda: broken(tensors=entry(constant=Constant(TensorType("float32", (3,)), b"abc", ""))), "has 3 bytes; .* takes 12",
    ),
    "wrong digest": (
        lambda: broken(tensors=entry(constant=Constant(TensorType("float32", (3,)), bytes(12), "00"))), "have the SHA-256 00",
    ),
    "argument's name": (lambda: broken(arguments=[Argument("my x", Edge("x"))]), "'my x' is no name for an argument"),
    "two of a name": (lambda: broken(arguments=[Argument("x", Edge("x")), Argument("x", None)]), "arguments are called 'x'"),
    "given twice": (lambda: broken(arguments=[Argument("x", (Edge("x"), Edge("x")))]), "'x' stands twice among the arguments"),
    "not given": (lambda: broken(arguments=[]), "the input 'x' stands in no argument"),
    "no input": (lambda: broken(arguments=[Argument("x", Edge("body.fc"))]), "argument 'x' holds body.fc, which is no input"),
    "result": (lambda: broken(result=(Edge("body.act"), Edge("body.act", -1))), "returns body.act:-1, which no node produces"),
    "result of one mode": (lambda: broken({"body.act": {"mode": "train"}}), "body.act, which is made in train mode only"),
    "operand of one mode": (
        lambda: broken({"body.fc": {"mode": "eval"}}), "relu 'body.act' reads 'body.fc', which runs in eval mode only",
    ),
    "result no data": (lambda: broken(result=(Edge("body.act"), object())), "<object .*; expected values and plain data"),
    "example size": (lambda: broken(symbols={"N": 0}), "symbol 'N' has the example size 0"),
    "no example": (lambda: broken(symbols={}), "free size 'N', which has no example"),
    "note": (lambda: broken(notes=(1,)), "notes must be strings"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_broken_graphs_are_refused(case: str) -> None:
    make, message = CASES[case]
    with pytest.raises(GraphError, match=message):
        make().check()


def test_stored_types_must_be_those_worked_out() -> None:
    types = {step.name: example().types(step.name) for step in example().steps}
    wrong = {**types, "body.act": (TensorType("float32", (N, 5)),)}
    with pytest.raises(GraphError, match=r"relu 'body.act' is stored as giving float32\[N, 5\]; it gives float32\[N, 3\]"):
        broken(types=wrong).check()


def test_symbols_need_an_input() -> None:
    graph = example()
    steps = [replace(graph.steps[0], args={"dtype": FLOAT, "shape": (2, 4)}), *graph.steps[1:]]
    with pytest.raises(GraphError, match=r"input 'x' is stored as giving float32\[N, 4\]; it gives float32\[2, 4\]"):
        broken(steps=steps).check()


def test_missing_arguments_are_named() -> None:
    short = {key: value for key, value in example()["body.fc"].step.args.items() if key != "bias"}
    with pytest.raises(GraphError, match="linear 'body.fc' lacks the argument 'bias'"):
        broken({"body.fc": {"args": short}}).check()


def test_rules_of_operators_are_applied_anew() -> None:
    with pytest.raises(ShapeError, match="linear 'body.fc'.*'body.fc.bias' is 7"):
        broken(tensors=entry(type=TensorType("float32", (7,)))).check()
    with pytest.raises(AttributeValueError, match="linear 'body.fc': out = -1; expected an integer"):
        broken(args("body.fc", out=-1)).check()


ALLOWED = [("body.fc", "bias", None), ("body.fc", "bias", Weight("body.fc.bias")), ("body.fc", "x", Edge("x"))]


@pytest.mark.parametrize("value", [None, "x", 2.5, (), Edge("x"), Weight("body.fc.bias"), True, {"a": 1}, float("nan")])
def test_arguments_of_any_kind_are_refused_with_our_own_errors(value: Any) -> None:
    for name in ("x", "body.fc", "body.act"):
        for argument in example()[name].step.args:
            graph = broken(args(name, **{argument: value}))
            if (name, argument, value) in ALLOWED:
                graph.check()
            else:
                with pytest.raises(NetloomError):
                    graph.check()
