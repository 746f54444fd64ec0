"""Equality of graphs: every stored detail counts, the type of a number too, and a graph read again equals itself."""

from __future__ import annotations

import copy
import math
import pickle
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import netloom as nl
from netloom.errors import GraphError, ShapeError
from netloom.graph.graph import Argument, Graph, Step
from netloom.graph.table import TensorEntry
from netloom.graph.tree import edges, same, weights
from netloom.ops import DType, Edge, Size, Slice, TensorType, Weight, operator
from netloom.ops.operator import resolve_types
from tests.graph.golden_graphs import GRAPHS, changed

numbers = st.sampled_from([0, 1, -1, 0.0, -0.0, 1.0, True, False, math.nan, math.inf, 1 + 0j, complex(0, -0.0), None, "1", ""])
data = st.recursive(numbers, lambda part: st.lists(part, max_size=3).map(tuple), max_leaves=6)


def holding(value: Any, init: Any = ("constant", 0.0)) -> Graph:
    """A graph with ``value`` as an attribute and as a literal it returns, and a tensor of the initialisation ``init``."""
    x, y = Edge("x"), Edge("y")
    steps = [
        Step("x", "input", {"dtype": DType("float32"), "shape": (Size.symbol("N"), 3)}),
        Step("y", "opaque", {"target": "torch.special.entr", "args": (x, value), "types": (("float32", (3,)),)}),
    ]
    table = {"w": TensorEntry(TensorType("float32", (2,)), init=init), "v": TensorEntry(TensorType("float32", (1,)))}
    return Graph.make(steps, table, [Argument("x", x)], {"y": y, "value": value}, symbols={"N": 1})


def forms(graph: Graph) -> list[Graph]:
    return [Graph.from_text(graph.to_text()), Graph.from_json(graph.to_json()), pickle.loads(pickle.dumps(graph))]


@given(data)
def test_a_graph_read_again_is_equal(value: Any) -> None:
    graph = holding(value)
    for again in forms(graph):
        assert again == graph == again
        assert hash(again) == hash(graph)
        assert again["y"] == graph["y"]
        assert again.steps == graph.steps


@given(data, data)
def test_equal_exactly_where_the_data_read_alike(a: Any, b: Any) -> None:
    """As data print differently for every difference that counts, so do graphs differ."""
    one, other = holding(a), holding(b)
    assert (one == other) is (repr(a) == repr(b))
    assert (one.hash == other.hash) is (repr(a) == repr(b)), "the hash tells apart what equality does"


@pytest.mark.parametrize("values", [(1, 1.0, True), (0.0, -0.0, 0, False), (1 + 0j, 1.0), ((1, 2), (1, 2.0))])
def test_numbers_of_different_types_differ(values: tuple[Any, ...]) -> None:
    for place in ({"value": v} for v in values):
        alike = [v for v in values if holding(v) == holding(place["value"])]
        assert len(alike) == 1


def test_initialisation_counts_with_its_types_and_may_be_nan() -> None:
    assert holding(1, ("constant", math.nan)) == holding(1, ("constant", float("nan")))
    assert holding(1, ("constant", 0.0)) != holding(1, ("constant", -0.0))
    assert holding(1, ("constant", 0.0)) != holding(1, ("constant", 0))
    for again in forms(holding(1, ("normal", math.nan, 1.0))):
        assert again == holding(1, ("normal", math.nan, 1.0))


def test_references_are_not_the_tuples_they_are_made_of() -> None:
    assert not same(Edge("x"), ("x", 0))
    assert not same(Weight("x"), DType("x"))
    assert same(Edge("x"), Edge("x", 0))


@pytest.mark.parametrize("name", GRAPHS)
def test_golden_graphs_equal_themselves_and_no_other(name: str) -> None:
    graph = GRAPHS[name]()
    assert all(again == graph for again in forms(graph))
    assert copy.deepcopy(graph) == graph
    assert [other for other in GRAPHS if GRAPHS[other]() == graph] == [name]
    assert changed(graph, notes=(*graph.notes, "another")) != graph


def test_order_of_the_state_counts_and_order_of_symbols_does_not() -> None:
    graph = GRAPHS["mlp"]()
    assert changed(graph, tensors=dict(reversed(graph.tensors.items()))) != graph
    two = changed(graph, symbols={**graph.symbols, "T": 3})
    assert changed(two, symbols=dict(reversed(two.symbols.items()))) == two


def test_arguments_in_another_type_are_brought_to_normal_form() -> None:
    """A step whose numbers are equal but of another type than the normal form is not left as it is."""
    x = nl.input(4, name="x")
    graph = nl.Graph(x, nl.dropout(x, 1.0, name="y"))
    steps = [step if step.name == "x" else replace(step, args={**step.args, "p": 1}) for step in graph.steps]
    made = Graph.make(steps, graph.tensors, graph.arguments, graph.result, symbols=graph.symbols)
    made.check()
    assert made == graph


# -- inside slices -----------------------------------------------------------------------------------------------------
def test_what_stands_in_a_slice_is_found() -> None:
    bounds = (Slice(Edge("a"), None, None), {"w": Weight("k")}, [Slice(None, Weight("j"))])
    assert edges(bounds) == [Edge("a")]
    assert weights(bounds) == [Weight("k"), Weight("j")]
    kind = TensorType("int64", ())
    assert resolve_types(bounds[0], lambda ref: kind) == Slice(kind, None, None)


def sliced() -> Graph:
    """``x[:, :t]`` with a computed bound, as tracing holds it: a call without operator."""
    return nl.trace(Sliced(), (torch.randn(2, 4), torch.tensor(2)))


class Sliced(torch.nn.Module):
    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return x[:, : t + 1]


def test_a_computed_bound_is_an_operand_like_any_other() -> None:
    graph = sliced()
    graph.check()
    node = graph.outputs[0]
    assert node.op == "opaque"
    assert [read.op for read in node.inputs] == ["input", "add"]
    assert graph.consumers["add"] == (node.name,)
    for again in forms(graph):
        assert again == graph
        assert again.hash == graph.hash
    net = nl.build(graph)
    x = torch.randn(2, 4)
    for bound in (1, 2):
        assert torch.equal(net(x, torch.tensor(bound)), x[:, : bound + 1])


def test_a_hole_in_a_bound_is_found() -> None:
    """`Graph.make` sees a dangling operand inside a slice, and one that comes too late."""
    with pytest.raises(GraphError, match="nobody"):
        holding((Slice(None, Edge("nobody"), None),))
    with pytest.raises(GraphError, match="comes after it"):
        holding((Slice(None, Edge("y"), None),))


def test_getitem_itself_takes_plain_bounds_only() -> None:
    kinds = {"x": TensorType("float32", (2, 4)), "t": TensorType("int64", ())}
    index = (Slice(None, None, None), Slice(None, Edge("t"), None))
    with pytest.raises(ShapeError, match="bounds of a slice must be numbers"):
        operator("getitem").evaluate({"x": Edge("x"), "index": index}, lambda ref: kinds[ref.node])
