"""What tracing remembers of earlier calls never changes what it records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn

import netloom as nl
from netloom.testing.exactness import compare_eval, compare_train
from netloom.tracing import plans


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    plans.forget()
    yield
    plans.forget()


class Calls(nn.Module):
    """A module made of one function of its input."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(x)


def attributes(function: Callable[[Any], Any], x: Any) -> list[Any]:
    graph = nl.trace(Calls(function), x, mode="eval")
    return [value for node in graph.nodes if node.op == "mul" for value in node.attrs.values()]


def test_numbers_that_compare_equal_are_different_calls() -> None:
    found = attributes(lambda x: (x * 1, x * 1.0, x * True, x * -0.0, x * 0.0), torch.ones(2, 3))
    assert [(type(v), str(v)) for v in found if v is not None] == [
        (int, "1"), (float, "1.0"), (bool, "True"), (float, "-0.0"), (float, "0.0"),
    ]  # fmt: skip


def test_one_tensor_twice_is_not_two_tensors() -> None:
    def function(x: Any) -> Any:
        a, b = x.sin(), x.cos()
        return a * a, a * b, b * b

    graph = nl.trace(Calls(function), torch.ones(2, 3), mode="eval")
    operands = [tuple(map(str, node.operands)) for node in graph.nodes if node.op == "mul"]
    assert [a == b for a, b in operands] == [True, False, True]


def test_layouts_are_told_apart() -> None:
    """The same call on a contiguous tensor is a view, on a transposed one a copy: writes through it differ."""

    def function(x: Any) -> Any:
        first, second = torch.zeros(3, 4), torch.zeros(4, 3).t()
        first.reshape(12)[0] = 1.0
        second.reshape(12)[0] = 1.0
        return x + first, x + second

    model, x = Calls(function), torch.ones(2, 3, 4)
    for _ in range(2):
        made = nl.build(nl.trace(model, x), weights=model)(x)
        assert [t[0, 0, 0].item() for t in made] == [2.0, 1.0]


def test_a_tensor_that_changes_shape_in_place_is_looked_at_again() -> None:
    def function(x: Any) -> Any:
        y = x.clone()
        a = y.relu()
        y.t_()
        return a, y.relu()

    graph = nl.trace(Calls(function), torch.ones(2, 3), mode="eval")
    assert [tuple(map(str, node.shape)) for node in graph.nodes if node.op == "relu"] == [("N", "3"), ("3", "N")]


def test_the_default_dtype_is_part_of_what_is_known() -> None:
    model = Calls(lambda x: x + torch.zeros(3))
    assert nl.trace(model, torch.ones(2, 3), mode="eval").outputs[0].dtype == "float32"
    torch.set_default_dtype(torch.float64)
    try:
        assert nl.trace(model, torch.ones(2, 3, dtype=torch.float32), mode="eval").outputs[0].dtype == "float64"
    finally:
        torch.set_default_dtype(torch.float32)


def test_weights_follow_their_own_call() -> None:
    """Equal calls of one plan keep their own weights, counters and training flags."""
    block = [nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.3)) for _ in range(3)]
    model = nn.Sequential(*block)
    block[1].eval()
    x = torch.randn(5, 4)
    graph = nl.trace(model, x)
    keys = [tuple(node.weights.values()) for node in graph.nodes if node.op == "batch_norm"]
    assert keys == [tuple(f"{i}.1.{name}" for name in
                    ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")) for i in range(3)]  # fmt: skip
    network = nl.build(graph, weights=model)
    assert compare_eval(model, network, x) == []
    assert compare_train(model, network, x) == []


def test_what_is_remembered_changes_nothing() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 5))
    x = torch.randn(2, 3, 8, 8)
    first = nl.trace(model, x)
    assert nl.trace(model, x) == first
    plans.forget()
    assert nl.trace(model, x) == first


def test_modes_that_make_like_calls_leave_one_call_each() -> None:
    """A counter of batches, and a rate of zero in evaluation: no reason for two calls, or for one more."""

    class Rate(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.dropout(x, 0.3 if self.training else 0.0, self.training)

    graph = nl.trace(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), Rate()), torch.randn(3, 4))
    assert [(node.op, node.step.mode) for node in graph.nodes] == [
        ("input", ""), ("linear", ""), ("batch_norm", ""), ("dropout", ""),
    ]  # fmt: skip
    assert graph["2"].attrs["p"] == 0.3


def test_modules_are_watched_only_while_they_are_traced() -> None:
    model, called = nn.Sequential(nn.Linear(4, 4), nn.ReLU()), nn.Module.__call__

    def fail(module: nn.Module, args: Any) -> None:
        assert nn.Module.__call__ is called and "_call_impl" in module.__dict__
        raise RuntimeError("stop")

    handle = model[1].register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="stop"):
        nl.trace(model, torch.randn(3, 4))
    handle.remove()
    assert not any("_call_impl" in module.__dict__ for module in model.modules())
    assert len(nl.trace(model, torch.randn(3, 4))) == 3


def test_a_compiled_module_is_traced_as_what_it_was() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    model[0].compile(backend="eager")
    assert [node.name for node in nl.trace(model, torch.randn(3, 4)).nodes][1:] == ["0", "1"]


def test_a_loop_over_the_first_axis_ends() -> None:
    """A recurrent layer over part of the features, time first: no kernel may walk through a million steps."""

    class Partial(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.GRU(3, 4)

        def forward(self, x: Any) -> Any:
            return self.rnn(x[:, :, :3])[0]

    model, x = Partial(), torch.randn(5, 2, 6)
    network = nl.build(nl.trace(model, x), weights=model)
    assert compare_eval(model, network, x) == []
    assert torch.equal(network(torch.ones(7, 2, 6)), model(torch.ones(7, 2, 6)))
