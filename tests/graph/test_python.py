"""Graphs as Python: the module that comes out computes what the graph computes, and reads as one would write it."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import netloom as nl
from netloom.building.example import example_inputs
from netloom.errors import BuildError, NetloomError
from netloom.testing import exactness
from netloom.testing.graphs import graphs


def written(graph: nl.Graph, name: str = "Model") -> nn.Module:
    """The module that the source of ``graph`` defines, run in a namespace of its own."""
    scope: dict[str, Any] = {"__name__": "written"}
    exec(compile(graph.to_python(name), "<written>", "exec"), scope)
    made = scope[name]()
    assert isinstance(made, nn.Module)
    return made


def differences(graph: nl.Graph, model: nn.Module, example: Any) -> list[str]:
    """How the written module differs from ``model``, in both modes."""
    network = written(graph)
    network.load_state_dict(model.state_dict(), strict=True)
    # Training comes last: it moves the buffers of the written module, and those of a copy of the model.
    found = exactness.compare_state(model, network)
    outputs = []
    for module in (model.eval(), network.eval()):
        torch.manual_seed(0)
        outputs.append(exactness.run(module, example))
    found += exactness.compare_values(*outputs)
    return found + exactness.compare_train(model, network, example)


def check(model: nn.Module, example: Any, same_hash: bool = True) -> str:
    """The source of ``model``'s graph, which must be exact, formatted, and trace to the same hash."""
    torch.manual_seed(0)
    exactness.stir(model.eval())
    graph = nl.trace(model, example)
    for batch in (1, 3):
        assert not differences(graph, model, exactness.resize_batch(example, batch))
    if same_hash:
        assert nl.trace(written(graph).eval(), example).hash == graph.hash
    source = graph.to_python()
    assert not style(source)
    return source


def style(source: str) -> str:
    """What ruff would change."""
    ruff = [sys.executable, "-m", "ruff"]
    form = [*ruff, "format", "--diff", "--isolated", "--line-length", "100", "-"]
    lint = [*ruff, "check", "--isolated", "--select", "E,F,W,I,UP,B", "--ignore", "E501,B905", "-q", "-"]
    done = [subprocess.run(command, input=source, capture_output=True, text=True) for command in (form, lint)]
    return "".join(process.stdout for process in done if process.returncode)


# -- any graph ---------------------------------------------------------------------------------------------------------
@settings(max_examples=25, deadline=None)
@given(graph=graphs(), seed=st.integers(0, 3))
def test_any_graph(graph: nl.Graph, seed: int) -> None:
    torch.manual_seed(seed)
    network = exactness.stir(nl.build(graph, seed=seed))
    example = example_inputs(graph, batch=3)
    assert not differences(graph, network, example)


@pytest.mark.parametrize("seed", range(4))
def test_sampled_networks(seed: int) -> None:
    graph = nl.spaces.Conv(input_shape=(3, 8, 8), num_classes=4).sample(np.random.default_rng(seed))
    network = exactness.stir(nl.build(graph, seed=seed))
    example = example_inputs(graph, batch=3)
    assert not differences(graph, network, example)
    assert nl.trace(written(graph).eval(), example).hash == graph.hash


# -- names nobody should execute -----------------------------------------------------------------------------------------
HOSTILE = (
    "0", "class", "weight-1", 'a"b', "a'b", "a\\", "forward", "training", "__class__", "self", "x y", "é", "type", "_x",
    "register_buffer", '"""', "\n", "import os; os.abort()", "{x}", "\ue0000\ue001", "",
)  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_never_code(name: str) -> None:
    graph = _graph_of(f"{name}m", name)
    module = written(graph)
    assert list(module.state_dict()) == list(nl.build(graph).state_dict())
    x = torch.randn(2, 3)
    network = nl.build(graph, seed=0)
    module.load_state_dict(network.state_dict())
    assert torch.equal(module(x), network(x))


def _graph_of(*path: str) -> nl.Graph:
    """A graph of a linear layer and a parameter under hostile keys."""
    x = nl.input(3)
    y = nl.linear(x, 3, name="linear") * nl.parameter(3, name="scale")
    plain = nl.Graph(x, nl.relu(y))
    old = {"linear.weight": ".".join([*path, "weight"]), "linear.bias": ".".join([*path, "bias"])}
    old["scale"] = f"{path[0]}.{path[-1]}s" if path[-1] else f"{path[0]}.s"
    return _renamed(plain, old)


def _renamed(graph: nl.Graph, keys: dict[str, str]) -> nl.Graph:
    from dataclasses import replace

    from netloom.ops import Weight

    def moved(value: Any) -> Any:
        return Weight(keys[value.key]) if type(value) is Weight else value

    steps = [replace(step, args={n: moved(v) for n, v in step.args.items()}) for step in graph.steps]
    tensors = {keys[key]: entry for key, entry in graph.tensors.items()}
    return nl.Graph.make(steps, tensors, graph.arguments, graph.result, symbols=graph.symbols)


# -- what good engineers write -------------------------------------------------------------------------------------------
class Block(nn.Module):
    def __init__(self, width: int, rate: float) -> None:
        super().__init__()
        self.norm, self.drop = nn.LayerNorm(width), nn.Dropout(rate)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        return x + self.drop(self.mlp(self.norm(x))) * scale


class Stack(nn.Module):
    """Equal blocks in a list, given one more value than what they hand on."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(8, 0.1) for _ in range(5)])
        self.scale = nn.Parameter(torch.ones(8))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x, self.scale)
        return x


def test_repeated_blocks_become_one_class_and_a_loop() -> None:
    source = check(Stack(), torch.randn(2, 3, 8))
    assert source.count("class ") == 2 and source.count("nn.Linear(") == 2
    assert "nn.ModuleList([*(Block() for _ in range(5))])" in source
    assert "for block in self.blocks:\n            x = block(x, self.scale)\n" in source


def test_sizes_that_differ_become_parameters() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 1), Residual(8), nn.Conv2d(8, 16, 1), Residual(16), Residual(16))
    source = check(model, torch.randn(2, 3, 4, 4))
    assert "class Model(nn.Sequential):" in source and "Block(8)," in source
    assert "def __init__(self, in_channels: int) -> None:" in source
    assert "nn.Conv2d(in_channels, in_channels, 3, padding=1, bias=False)" in source


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.norm(self.conv(x)))


class Tied(nn.Module):
    """A decoder that shares the table of the encoder, and a frozen layer."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(12, 6), nn.Linear(6, 12, bias=False)
        self.head.weight = self.table.weight
        self.middle = nn.Linear(6, 6).requires_grad_(False)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(torch.tanh(self.middle(self.table(ids))))


def test_ties_and_frozen_parameters() -> None:
    model = Tied()
    source = check(model, torch.randint(0, 12, (2, 5)))
    assert "self.head.weight = self.table.weight" in source and "self.middle.requires_grad_(False)" in source
    made = written(nl.trace(model, torch.randint(0, 12, (2, 5))))
    assert made.get_parameter("head.weight") is made.get_parameter("table.weight")


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(5, 7, 2, batch_first=True, dropout=0.2)
        self.gru = nn.GRU(7, 4, bidirectional=True, batch_first=True)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x, (h, c) = self.lstm(x)
        y, _ = self.gru(x)
        return x, h, c, y


def test_recurrent_layers() -> None:
    source = check(Recurrent(), torch.randn(2, 6, 5))
    assert "nn.LSTM(5, 7, num_layers=2, batch_first=True, dropout=0.2)" in source
    assert "x, (h, c) = self.lstm(x)" in source and "zeros" not in source


class Modes(nn.Module):
    """Stochastic depth, a flag that two parts of the forward ask for, and an auxiliary result."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.aux, self.drop = nn.Linear(4, 4), nn.Linear(4, 2), Depth()

    def forward(self, x: Tensor) -> Any:
        x = x + self.drop(self.body(x))
        return (x, self.aux(x)) if self.training else x


class Depth(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        keep = x.new_empty(x.shape[0], 1).bernoulli_(0.8)
        return x * keep / 0.8


def test_calls_of_one_mode() -> None:
    source = check(Modes(), torch.randn(3, 4))
    assert "if self.training:" in source and "class Drop(nn.Module):" in source


class Regions(nn.Module):
    """No gradients in one part, a lower precision in another, and a write into a tensor made here."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.register_buffer("table", torch.arange(300.0).sin().reshape(75, 4))
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            y = self.first(x) + self.table[3]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            z = self.second(x)
        mask = torch.zeros(4)
        mask[1:3] = 1
        if self.training:
            self.seen.add_(1)
        return y + z.float() * mask


def test_regions_constants_and_writes() -> None:
    source = check(Regions(), torch.randn(3, 4))
    assert "with torch.no_grad():" in source and 'with torch.autocast("cpu", dtype=torch.bfloat16):' in source
    assert "zeros[1:3] = 1" in source and "packed(" in source and "self.seen.copy_(" in source


class Slope(nn.Module):
    """Gradients turned on inside, and taken; a Jacobian beside."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        jacobian = torch.vmap(torch.func.jacrev(self.net))(x)
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            slope = torch.autograd.grad(self.net(x).sum(), x, create_graph=True)[0]
        return slope, jacobian


def test_derivatives() -> None:
    source = check(Slope(), torch.randn(3, 3))
    assert "with torch.enable_grad():" in source and "torch.autograd.grad((" in source
    assert "torch.ops.aten.tanh_backward.default(" in source


class Teacher(nn.Module):
    """In training alone weights are made that a module then takes, which runs in both modes."""

    def __init__(self) -> None:
        super().__init__()
        self.student = nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.ReLU(), nn.Linear(5, 4))
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            if self.training:
                for own, other in zip(self.teacher.parameters(), self.student.parameters()):
                    own.lerp_(other, 0.1)
            target = self.teacher(x)
        return self.student(x), target


def test_what_a_module_takes_in_one_mode_alone() -> None:
    check(Teacher(), torch.randn(3, 6), same_hash=False)


class Twice(nn.Module):
    """A shared block, called in two places, and again and again in a third."""

    def __init__(self) -> None:
        super().__init__()
        self.block, self.head = Residual(3), nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        x = self.head(self.block(x))
        for _ in range(3):
            y = self.block(y)
        return x, y


def test_shared_modules() -> None:
    source = check(Twice(), (torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)))
    assert source.count("class ") == 2 and "for _ in range(3):" in source and source.count("nn.BatchNorm2d") == 1


# -- what has no source ------------------------------------------------------------------------------------------------
def test_a_function_nobody_allowed_is_refused_by_name() -> None:
    call = 'bad = opaque("os:system", args=(x,), types=(("float32", (N, 3)),))'
    text = f"netloom 1\nx = input float32[N, 3]\n{call}\nreturn bad\n"
    graph = nl.Graph.from_text(text)
    with pytest.raises(NetloomError, match="os:system"):
        graph.to_python()


@pytest.mark.parametrize("name", ["1st", "class", "a b", "Tensor", "x; y"])
def test_the_name_of_the_class_is_checked(name: str) -> None:
    x = nl.input(3)
    with pytest.raises(BuildError, match="expected a Python identifier"):
        nl.Graph(x, nl.relu(x)).to_python(name)


def test_lines_break_as_ruff_breaks_them() -> None:
    from netloom.graph.python.formatting import layout

    statements = [
        "self.branch = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.Tanh())",
        "result = function(first_argument[0:3], {'key': [1, 2, 3]}, second_argument=another(1, 2), third_argument='a, (b')",
        f"self.blocks = nn.Sequential(*(Block(dim, rate) for rate in {tuple(n / 100 for n in range(20))}))",
    ]
    for statement in statements:
        source = "\n".join(layout(statement.replace("'", '"'), 0)) + "\n"
        assert max(map(len, source.splitlines())) <= 100 and not re.search(r"^[+-]", _formatted(source), re.M)


def _formatted(source: str) -> str:
    ruff = [sys.executable, "-m", "ruff", "format", "--diff", "--isolated", "--line-length", "100", "-"]
    return subprocess.run(ruff, input=source, capture_output=True, text=True).stdout


def test_equal_graphs_have_equal_sources() -> None:
    make: Callable[[], nl.Graph] = lambda: nl.trace(Stack().eval(), torch.randn(2, 3, 8))  # noqa: E731
    torch.manual_seed(0)
    first = make()
    again = [nl.Graph.from_json(first.to_json()), nl.Graph.from_text(first.to_text())]
    assert {graph.to_python() for graph in again} == {first.to_python()}
