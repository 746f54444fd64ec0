"""Smaller graphs of any network: valid, with the weights that stay, and with the output of the masked original."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import netloom as nl
from netloom.building.example import example_inputs
from netloom.errors import EditError, GraphError
from netloom.mutate import analyse, gather, shrink
from netloom.ops import operator
from netloom.testing.graphs import graphs
from tests.mutate.mask_oracle import check_removal, comparable


def removal(data: Any, dims: Any) -> dict[str, list[int]]:
    """Random indices to keep of some free atoms, at least one of each."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    return {
        atom.id: sorted(map(int, rng.choice(atom.size, int(rng.integers(1, atom.size + 1)), replace=False)))
        for atom in dims.free
        if atom.size and rng.integers(4)
    }


@settings(max_examples=25)
@given(st.data())
def test_networks_of_the_convolutional_space(data: Any) -> None:
    space = nl.spaces.Conv(input_shape=(2, 8, 8), num_classes=3, max_params=20_000)
    graph = space.sample(np.random.default_rng(data.draw(st.integers(0, 10_000))))
    dims = analyse(graph)
    dims.check()
    kept = removal(data, dims)
    x = torch.randn(2, 2, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    if not check_removal(graph, kept, [x], dims):
        assert check_removal(graph, comparable(dims, kept), [x], dims)


@settings(max_examples=40)
@given(graphs(), st.data())
def test_any_graph(graph: nl.Graph, data: Any) -> None:
    dims = analyse(graph)
    dims.check()
    kept = removal(data, dims)
    smaller, left = shrink(graph, kept, dims)
    smaller.check()
    analyse(smaller).check()
    if not any(operator(step.op).effect == "random" for step in graph.steps):
        check_removal(graph, comparable(dims, kept), example_inputs(graph), dims, torch.float32)
    assert nl.build(smaller, seed=0).state_dict().keys() == nl.build(graph, seed=0).state_dict().keys()
    for key, axes in left.items():
        assert smaller.tensors[key].type.shape == tuple(
            size if kept is None else len(kept) for size, kept in zip(graph.tensors[key].type.shape, axes)
        )


def small() -> nl.Graph:
    x = nl.input(4)
    return nl.Graph(x, nl.linear(nl.relu(nl.linear(x, 8, name="hidden")), 2, name="head"))


def test_nothing_removed_is_the_same_graph() -> None:
    graph = small()
    assert shrink(graph, {}) == (graph, {})
    assert shrink(graph, {"hidden": range(8)})[0] == graph


def test_fresh_weights_follow_the_new_sizes() -> None:
    smaller, _ = shrink(small(), {"hidden": [1, 2]})
    x = nl.input(4)
    assert smaller == nl.Graph(x, nl.linear(nl.relu(nl.linear(x, 2, name="hidden")), 2, name="head"))


def test_constants_lose_their_rows() -> None:
    class Scaled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = torch.nn.Linear(3, 4), torch.nn.Linear(4, 2)
            self.register_buffer("scale", torch.arange(4.0))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(self.a(x) * self.scale)

    graph = nl.trace(Scaled().eval(), torch.randn(2, 3))
    assert check_removal(graph, {"a": [1, 3]}, [torch.randn(2, 3, dtype=torch.float64)])


def test_gather_leaves_other_entries_as_they_are() -> None:
    graph = small()
    _, left = shrink(graph, {"hidden": [0, 7]})
    state = {key: np.arange(float(entry.type.numel)).reshape(entry.type.shape) for key, entry in graph.tensors.items()}
    found = gather(state, left)
    assert found["head.weight"].tolist() == [[0.0, 7.0], [8.0, 15.0]] and found["head.bias"] is state["head.bias"]


@pytest.mark.parametrize(
    "kept, message",
    [
        ({"hiden": [0]}, "no atom is called 'hiden'; the free ones are hidden"),
        ({"hidden": [0, 8]}, "'hidden' has indices 0 to 7, not 8"),
        ({"hidden": []}, "nothing would be left of axis 0 of the tensor 'hidden.weight'; keep at least one index"),
        ({"head": [0]}, "the size of 'head' may not change: axis 1 of an output"),
    ],
)
def test_what_cannot_be_removed(kept: dict[str, list[int]], message: str) -> None:
    with pytest.raises(EditError) as error:
        shrink(small(), kept)
    assert str(error.value) == message


def test_explanations_name_layers_and_the_way_there() -> None:
    x = nl.input(3, 6, 6)
    a = nl.conv2d(x, 8, kernel=3, padding=1, bias=False, name="a")
    b = nl.conv2d(nl.relu(a, name="act"), 8, kernel=3, padding=1, bias=False, name="b")
    text = analyse(nl.Graph(x, nl.conv2d(nl.add(a, b, name="sum"), 2, kernel=1, bias=False, name="c"))).explain("a")
    assert "a: 8 indices, free, which are" in text
    assert "b.weight: axis 0; b.weight: axis 1" in text and "c.weight: axis 1   (through sum)" in text
    assert "3: axis 1 of the result of input 'x'" in text
    with pytest.raises(GraphError, match="no node is called 'aa'; did you mean 'a'"):
        analyse(nl.Graph(x, a)).explain("aa")
