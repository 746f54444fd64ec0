"""Proxies of all kinds of networks and batches: what is defined, what is not, what is refused; and that nothing is changed."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
import torch
from torch import nn

import netloom as nl
from netloom.errors import MeasureError

ALL = list(nl.measure.PROXIES)


class Tokens(nn.Module):
    """An encoder with a table of rows, positions, attention and layer norms."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.positions = nn.Embedding(20, 16), nn.Parameter(torch.randn(1, 6, 16))
        self.encoder = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, activation="gelu", dropout=0.1)
        self.head = nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(self.table(x) + self.positions).mean(1))


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.Module]) -> None:
        super().__init__()
        self.cell, self.head = kind(5, 8, batch_first=False), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.cell(x.transpose(0, 1))[0][-1])


class Auxiliary(nn.Module):
    """Two results in training, one in evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.side, self.head = nn.Linear(5, 32), nn.Linear(32, 3), nn.Linear(32, 3)

    def forward(self, x: torch.Tensor) -> object:
        x = torch.relu(self.stem(x))
        return (self.head(x), self.side(x)) if self.training else self.head(x)


class Two(nn.Module):
    """Two inputs of different ranks by keyword, and a dict of results."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(5, 32), nn.Conv1d(2, 32, 3)

    def forward(self, flat: torch.Tensor, line: torch.Tensor) -> dict[str, torch.Tensor]:
        hidden = torch.relu(self.a(flat) + self.b(line).amax(2))
        return {"features": hidden.unsqueeze(-1), "logits": hidden[:, :3]}


def labels(count: int = 9, classes: int = 3) -> torch.Tensor:
    return torch.arange(count) % classes


@pytest.mark.parametrize(
    ("model", "x", "undefined"),
    [
        (Tokens(), torch.arange(54).reshape(9, 6) % 20, {"zen"}),
        (Recurrent(nn.LSTM), torch.randn(9, 4, 5), {"nwot"}),
        (Recurrent(nn.GRU), torch.randn(9, 4, 5), {"nwot"}),
        (Auxiliary(), torch.randn(9, 5), set()),
        (Two(), {"flat": torch.randn(9, 5), "line": torch.randn(9, 2, 6)}, set()),
        (nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), torch.randn(9, 3, 4), {"nwot"}),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.SiLU(), nn.Dropout2d(0.5), nn.MaxPool2d(2), nn.Flatten(),
                       nn.Linear(36, 3)), torch.randn(9, 3, 8, 8), set()),
    ],
    ids=["tokens", "lstm", "gru", "auxiliary", "two inputs", "linear", "group norm"],
)  # fmt: skip
def test_kinds_of_networks(model: nn.Module, x: object, undefined: set[str]) -> None:
    network = nl.build(nl.trace(model, x), weights=model)
    found = nl.measure.proxies(network, (x, labels()))
    assert list(found) == ALL
    assert {name for name, value in found.items() if math.isnan(value)} == undefined
    assert nl.measure.proxies(network, (x, labels())) == pytest.approx(found, nan_ok=True, rel=1e-6)
    assert nl.measure.proxies(model, (x, labels())) == pytest.approx(found, nan_ok=True, rel=1e-6)


def test_logits_of_every_position() -> None:
    """Class indices (N, H, W) with classes at axis 1, (N, T) with classes last."""
    images = nn.Conv2d(3, 4, 3, padding=1)
    x, y = torch.randn(5, 3, 6, 6), torch.randint(0, 4, (5, 6, 6))
    expected = torch.autograd.grad(nn.functional.cross_entropy(images(x), y), images.weight)[0].norm()
    assert nl.measure.proxies(images, (x, y), "grad_norm")["grad_norm"] == pytest.approx(float(expected), rel=1e-5)
    lines = nn.Linear(3, 4)
    x, y = torch.randn(5, 6, 3), torch.randint(0, 4, (5, 6))
    loss = nn.functional.cross_entropy(lines(x).flatten(0, 1), y.flatten())
    expected = torch.autograd.grad(loss, lines.weight)[0].norm()
    assert nl.measure.proxies(lines, (x, y), "grad_norm")["grad_norm"] == pytest.approx(float(expected), rel=1e-5)


def test_network_and_generator_come_back_unchanged() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3), nn.Flatten(), nn.Linear(64, 3))
    x = torch.randn(8, 3, 6, 6)
    network = nl.build(nl.trace(model, x), weights=model).eval()
    network.get_submodule("1").train()
    network.get_parameter("0.weight").requires_grad_(False)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    modes = {path: module.training for path, module in network.named_modules()}
    generator, given = torch.get_rng_state(), x.clone()
    nl.measure.proxies(network, (x, labels(8)))
    assert all(torch.equal(before[key], tensor) for key, tensor in network.state_dict().items())
    assert {path: module.training for path, module in network.named_modules()} == modes
    assert [p.requires_grad for p in network.parameters()] == [False, True, True, True, True, True]
    assert all(p.grad is None for p in network.parameters())
    assert torch.equal(torch.get_rng_state(), generator) and torch.equal(x, given) and not x.requires_grad


def test_graphs_draw_their_weights_from_the_seed() -> None:
    x = nl.input(5)
    graph, batch = nl.Graph(x, nl.linear(nl.relu(nl.linear(x, 8)), 3)), (torch.randn(9, 5), labels())
    first = nl.measure.proxies(graph, batch, seed=1)
    assert first == nl.measure.proxies(graph, batch, seed=1) == nl.measure.proxies(nl.build(graph, seed=1), batch, seed=1)
    assert first != nl.measure.proxies(graph, batch, seed=2)


def test_tied_weights_count_once() -> None:
    model = nn.Sequential(nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 5))
    model[2].weight = model[0].weight
    value = nl.measure.proxies(model, torch.randn(4, 5), "l2_norm")["l2_norm"]
    assert value == pytest.approx(float(model[0].weight.detach().norm()))


def test_a_network_that_passes_no_signal_has_no_numbers(caplog: pytest.LogCaptureFixture) -> None:
    cell = nl.spaces.NASBench201(C=4, N=1, input_shape=(3, 8, 8)).from_string("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    with caplog.at_level(logging.INFO, "netloom.measure"):
        found = nl.measure.proxies(cell, (torch.randn(8, 3, 8, 8), labels(8)))
    assert math.isnan(found["jacov"]) and math.isnan(found["nwot"]) and math.isnan(found["zen"])
    assert found["l2_norm"] > 0 and math.isfinite(found["snip"])
    assert "jacov" in caplog.text and "do not depend on the input" in caplog.text


# -- batches -----------------------------------------------------------------------------------------------------------
def test_without_targets_those_that_need_none() -> None:
    found = nl.measure.proxies(nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3)), torch.randn(9, 5))
    assert list(found) == ["synflow", "jacov", "nwot", "zen", "l2_norm"]


def test_batch_of_a_task() -> None:
    task = nl.tasks.load("digits")
    x = nl.input(1, 8, 8)
    graph = nl.Graph(x, nl.linear(nl.relu(nl.linear(nl.flatten(x), 16)), 10))
    found = nl.measure.proxies(graph, task, batch_size=16)
    assert found == nl.measure.proxies(graph, task.without_test(), batch_size=16) != nl.measure.proxies(graph, task)
    assert found["snip"] != nl.measure.proxies(graph, task, batch_size=16, seed=1)["snip"]
    assert task.test_reads == 0


def test_own_loss() -> None:
    model, x = nn.Linear(5, 2), torch.randn(9, 5)
    value = nl.measure.proxies(model, (x, labels()), "plain", loss=lambda outputs, y: outputs.sum())["plain"]
    assert value == pytest.approx(float((model.weight.detach() * x.sum(0)).sum()), rel=1e-4)


def test_many() -> None:
    space, rng = nl.spaces.Conv((1, 8, 8), 10, max_params=20_000), np.random.default_rng(0)
    graphs = [space.sample(rng) for _ in range(3)]
    x = nl.input(7)
    task = nl.tasks.load("digits")
    table = nl.measure.proxies_many([*graphs, nl.Graph(x, nl.linear(x, 10))], task, ["snip", "nwot"], batch_size=16)
    assert list(table.columns) == ["snip", "nwot", "error"] and len(table) == 4
    for i, graph in enumerate(graphs):
        assert dict(table.loc[i, ["snip", "nwot"]]) == nl.measure.proxies(graph, task, ["snip", "nwot"], batch_size=16)
    assert list(table["error"][:3]) == ["", "", ""] and "cannot be run on the batch" in table["error"][3]
    assert table.loc[3, ["snip", "nwot"]].isna().all()
    assert list(nl.measure.proxies_many([], task).columns) == [*ALL, "error"]


# -- bad input ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"names": ["snap"]}, "'snap'; did you mean 'snip'"),
        ({"batch": torch.zeros(4, 5), "names": ["synflow", "snip"]}, "snip need targets"),
        ({"batch": (torch.zeros(4, 7), labels(4))}, "cannot be run on the batch"),
        ({"batch": (torch.zeros(4, 5), [0, 1, 2, 0])}, "targets are a list"),
        ({"batch": "digits"}, "batch of str"),
        ({"network": 3}, "proxies of a int"),
    ],
)  # fmt: skip
def test_refused(given: dict[str, object], told: str) -> None:
    x = nl.input(5)
    usual = {"network": nl.Graph(x, nl.linear(x, 3)), "batch": (torch.zeros(4, 5), labels(4))}
    with pytest.raises(MeasureError, match=told):
        nl.measure.proxies(**{**usual, **given})
