"""Mutated and random documents: a short form of ``benchmarks/fuzz.py``; and graphs with hostile names, built and run."""

from __future__ import annotations

import builtins
import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import netloom as nl
from benchmarks.fuzz import attempt, case, run
from netloom.errors import TextError
from netloom.graph.graph import Argument, Graph, Step
from netloom.ops import DType, Edge, Size
from tests.graph.golden_graphs import GRAPHS

CODE = "__import__('os').system('true')"


def test_only_our_own_errors() -> None:
    ends, broken = run(0, 2500, report=lambda line: None)
    assert broken == []
    assert ends["text: read"] > 60
    assert ends["json: read"] > 30
    assert ends["text: TextError"] > 500
    assert ends["json: FormatError"] > 500


@pytest.mark.slow
def test_only_our_own_errors_at_length() -> None:
    _, broken = run(4000, 100_000)
    assert broken == []


def test_a_case_follows_from_its_number() -> None:
    assert [case(n) for n in range(50)] == [case(n) for n in range(50)]


@given(st.text())
@settings(max_examples=200)
def test_any_text(text: str) -> None:
    for document in (text, "netloom 1\n" + text, "netloom 1\nx = input float32[N]\n" + text):
        attempt("text", document)
        attempt("json", document)


KEYS = st.sampled_from(["netloom", "steps", "tensors", "arguments", "result", "edge", "size", "dict"]) | st.text(max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
@settings(max_examples=100)
def test_any_json(document: Any) -> None:
    attempt("json", document)
    if isinstance(document, dict):
        attempt("json", {"netloom": 1, "steps": [], "tensors": [], "arguments": [], "result": None} | document)


@pytest.mark.parametrize("line", [
    "y = unbind(dim=1)", "y = split(1, dim=1)", "y = tril_indices(1000000000, col=1000000000)",
    "y = triu_indices(9223372036854775807, col=2)",
])  # fmt: skip
def test_calls_that_would_take_all_memory_end_at_once(line: str) -> None:
    text = f"netloom 1\nx = input float32[N, 9999999999]\n{line}\nreturn y"
    try:
        Graph.from_text(text)
    except TextError as error:
        assert error.line == 3


HEAD, MANY = "netloom 1\nx = input float32[N]\n", 500_000


@pytest.mark.parametrize("text", [
    "a" * MANY, "netloom 1\n" + "(" * MANY, "netloom 1\nx = input float32[" + "N*" * MANY + "N]\nreturn x",
    HEAD + "return " + "-" * MANY, 'netloom 1\nnote "' + "\\" * (MANY + 1), "netloom 1\n`" + "a" * MANY,
    HEAD + "y = " + "a" * MANY, HEAD + "return (" + "x, " * MANY, HEAD + "return " + "x." * MANY,
    HEAD + "return (" + "x[0], " * (MANY // 5), "netloom 1\n" + " " * MANY + "x", "netloom 1\n" + "\n" * MANY,
])  # fmt: skip
def test_long_texts_take_time_in_proportion(text: str) -> None:
    with pytest.raises(TextError) as caught:
        Graph.from_text(text)
    assert len(str(caught.value)) < 2000


# -- nothing of a name is executed -----------------------------------------------------------------------------------------
HOSTILE = [
    "a'); " + CODE + " #", 'a"""\n' + CODE, "{" + CODE + "}", "{0.__class__}", "import os", "def", "self", "\\",
    "x\n    " + CODE, "", "0", "forward",
]  # fmt: skip


def forbidden(*args: Any, **kwargs: Any) -> Any:
    raise AssertionError("something of a document was executed")


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_never_executed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    steps = [
        Step("x" + name, "input", {"dtype": DType("float32"), "shape": (Size.symbol("N"), 2)}),
        Step(name, "mul", {"x": Edge("x" + name), "y": 3}, name),
        Step("out", "relu", {"x": Edge(name)}, "", "", True),
    ]
    graph = Graph.make(steps, {}, [Argument(name, Edge("x" + name))], {name: Edge("out")}, symbols={"N": 1}, notes=(name,))
    graph = Graph.from_json(Graph.from_text(graph.to_text()).to_json())
    monkeypatch.setattr(os, "system", forbidden)
    try:
        net = nl.build(graph)
    except nl.NetloomError:
        return
    assert torch.equal(net(torch.ones(1, 2))[name], torch.full((1, 2), 3.0))


def test_hostile_golden_graph_builds_or_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(os, "system", forbidden)
    monkeypatch.setattr(builtins, "input", forbidden)
    try:
        net = nl.build(GRAPHS["hostile"]())
    except nl.NetloomError:
        return
    found = net(torch.ones(1, 2))
    assert found["__import__('os')"].shape == (1, 2)


def test_a_call_that_nobody_allowed_is_not_built() -> None:
    text = (
        'netloom 1\nx = input float32[N]\ny = opaque("os.system", args=("true",), types=(("float32", ()),))\nreturn (x, y)\n'
    )
    graph = Graph.from_text(text)
    assert graph.to_text().count("os.system") == 1
    with pytest.raises(nl.NetloomError):
        nl.build(graph)(__import__("torch").ones(1))
