"""Networks that are built from graphs."""

from __future__ import annotations

import pytest
import torch

import netloom as nl
from netloom.errors import ShapeError


def test_a_fixed_batch_is_refused_at_other_sizes() -> None:
    """Numbers that follow from the batch would be wrong there, without a sign."""

    class Mean(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.sum(0, keepdim=True) * (1 / len(x))

    network = nl.build(nl.trace(Mean(), torch.rand(4, 3)))
    assert torch.equal(network(x := torch.rand(4, 3)), Mean()(x))
    with pytest.raises(ShapeError, match="5 rows.*made for 4.*graph.notes"):
        network(torch.rand(5, 3))


def test_a_batch_that_is_no_multiple_is_refused() -> None:
    """The model traces at even batches alone; at an odd one the network would leave out the last row."""

    class Halves(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            half = len(x) // 2
            return x[:half] + x[half:]

    network = nl.build(nl.trace(Halves(), torch.rand(2, 3)))
    for size in (2, 4, 6):
        assert torch.equal(network(x := torch.rand(size, 3)), Halves()(x))
    with pytest.raises(ShapeError, match=r"5 rows.*made for 2 times a whole number.*graph.notes"):
        network(torch.rand(5, 3))


def test_a_network_within_a_model_keeps_its_constants() -> None:
    """They are constants of the whole, under the path of the network, and stay so when that is built and traced again."""

    class Shift(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.linear(x, torch.tensor([[1.0, 2.0, 3.0]])) + torch.tensor([0.5])

    whole = torch.nn.Sequential(torch.nn.Linear(3, 3), nl.build(nl.trace(Shift(), torch.rand(2, 3))))
    graph = nl.trace(whole, x := torch.rand(2, 3))
    assert sorted(node.name for node in graph.nodes if node.op == "constant") == ["1.constant", "1.constant_1"]
    again = nl.build(graph, weights=whole)
    assert torch.equal(again(x), whole(x)) and nl.trace(again, x).hash == graph.hash
    assert list(again.state_dict()) == list(whole.state_dict())


@pytest.mark.parametrize("batch", [1, 2])
def test_shapes_that_follow_data_fix_the_batch(batch: int) -> None:
    """Also where rows are probed that repeat the example's: of those a mask selects so many times as many values."""

    class Selected(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            chosen = x[x > 0.5]
            return x / len(chosen)

    graph = nl.trace(Selected(), torch.linspace(0, 1, 6 * batch).reshape(batch, 6))
    assert not graph.symbols
    assert any("a mask selects" in note and "x[x > 0.5]" in note for note in graph.notes), graph.notes
