"""Latency: what is run, how often, on how many threads; that it tells slow from fast; that nothing is changed."""

from __future__ import annotations

import dataclasses
import gc
import json
import math
import pickle
import time

import pytest
import torch
from torch import nn

import netloom as nl
from netloom.errors import MeasureError
from netloom.measure.timing import margin_of


def chain(width: int, depth: int = 3) -> nl.Graph:
    value = x = nl.input(width)
    for _ in range(depth):
        value = nl.relu(nl.batch_norm(nl.linear(value, width)))
    return nl.Graph(x, value)


class Sleeping(nn.Module):
    """Takes a known time; every fifth call is disturbed."""

    def __init__(self, seconds: float, disturbed: float) -> None:
        super().__init__()
        self.seconds, self.disturbed, self.calls = seconds, disturbed, 0
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # The counter is a list of the class, as copies are what is run.
        COUNTS.append((self.training, torch.is_grad_enabled(), torch.get_num_threads(), gc.isenabled()))
        time.sleep(self.disturbed if len(COUNTS) % 5 == 0 else self.seconds)
        return x * self.weight


COUNTS: list[tuple[bool, bool, int, bool]] = []


def test_a_known_time_is_found_though_calls_are_disturbed() -> None:
    COUNTS.clear()
    found = nl.measure.latency(Sleeping(0.004, 0.04), inputs=torch.zeros(6, 3), repeats=25, warm_up=4)
    assert 0.004 <= found.fastest_seconds <= found.quartiles[0] <= found.seconds <= found.quartiles[1]
    # Sleeping takes no processor time.
    assert found.cpu_seconds < 0.003
    # Sleeping overshoots on a busy machine, but a disturbed call lasts ten times as long.
    assert found.seconds < 0.02
    assert (found.repeats, found.warm_up, found.batch) == (25, 4, 6)
    assert found.samples_per_second == 6 / found.seconds and float(found) == found.seconds
    # One call to see whether it can be called, the warm-up, and the repeats.
    assert len(COUNTS) == 1 + 4 + 25
    assert {call[:2] for call in COUNTS} == {(False, False)} and {call[3] for call in COUNTS[5:]} == {False}
    assert gc.isenabled()


def test_training_is_forward_and_backward_in_training_mode() -> None:
    COUNTS.clear()
    model = Sleeping(0.0, 0.0)
    found = nl.measure.latency(model, inputs=torch.zeros(2, 3), repeats=6, train=True)
    assert found.train and {call[:2] for call in COUNTS} == {(True, True)}
    assert model.weight.grad is None
    graph = chain(300)
    forward, both = (nl.measure.latency(graph, batch=64, repeats=15, train=train).cpu_seconds for train in (False, True))
    assert both > 1.5 * forward


def test_larger_networks_and_batches_take_longer() -> None:
    def fastest(width: int, batch: int) -> float:
        return nl.measure.latency(chain(width), batch=batch, repeats=30).fastest_seconds

    assert fastest(900, 1) > 3 * fastest(16, 1)
    assert fastest(300, 256) > 3 * fastest(300, 1)


def test_repeats_go_on_until_the_median_is_known_or_time_is_over() -> None:
    found = nl.measure.latency(chain(16))
    assert found.repeats >= 20 and (found.margin <= 0.02 or found.repeats == 2000 or found.seconds * found.repeats > 0.5)
    short = nl.measure.latency(Sleeping(0.01, 0.03), inputs=torch.zeros(1, 3), max_seconds=0.0)
    assert short.repeats == 20
    assert nl.measure.latency(chain(16), repeats=1).margin == math.inf


def test_margin_covers_the_median() -> None:
    """Of 400 samples of 41 values, the interval holds the true median in about 95 %, and is not far too wide."""
    draws = torch.distributions.LogNormal(0.0, 0.2)
    torch.manual_seed(0)
    covered, widths = 0, []
    for _ in range(400):
        values = sorted(draws.sample((41,)).tolist())
        margin = margin_of(values)
        covered += abs(values[20] - 1.0) <= margin * values[20] * 1.0001
        widths.append(margin)
    assert 0.90 < covered / 400 <= 1.0 and 0.04 < sum(widths) / 400 < 0.12


def test_threads_are_set_for_the_measurement_alone() -> None:
    before = torch.get_num_threads()
    COUNTS.clear()
    found = nl.measure.latency(Sleeping(0.0, 0.0), inputs=torch.zeros(1, 3), threads=2, repeats=3)
    assert found.threads == 2 and {call[2] for call in COUNTS[1:]} == {2}
    assert torch.get_num_threads() == before
    assert nl.measure.latency(chain(4), repeats=2).threads == before


def test_network_comes_back_unchanged() -> None:
    network = nl.build(chain(8), seed=0).train()
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    for train in (False, True):
        nl.measure.latency(network, repeats=3, train=train, batch=4)
        nl.measure.memory(network, train=train, batch=4)
    assert network.training and all(p.grad is None for p in network.parameters())
    assert all(torch.equal(before[key], tensor) for key, tensor in network.state_dict().items())


def test_value_is_data_and_reads_well() -> None:
    found = nl.measure.latency(chain(4), batch=3, threads=1, repeats=10)
    assert json.loads(json.dumps(dataclasses.asdict(found)))["batch"] == 3
    assert pickle.loads(pickle.dumps(found)) == found
    assert all(words in str(found) for words in ("median of 10", "batch 3, 1 thread, cpu", f"torch {torch.__version__}"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.seconds = 0.0  # type: ignore[misc]


def test_sequences_tokens_and_keywords() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.cell = nn.Embedding(9, 4), nn.LSTM(4, 5, batch_first=True)

        def forward(self, ids: torch.Tensor, scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            y, (h, _) = self.cell(self.table(ids) * scale)
            return y, h

    inputs = {"ids": torch.zeros(7, 6, dtype=torch.long), "scale": torch.ones(1)}
    traced = nl.build(nl.trace(Model(), inputs))
    assert nl.measure.latency(Model(), inputs=inputs, repeats=3).batch == 7
    for train in (False, True):
        assert nl.measure.latency(traced, batch=2, repeats=3, train=train).seconds > 0
        assert nl.measure.memory(traced, batch=2, train=train).peak_bytes > 2 * 6 * 5 * 4


# -- node by node ------------------------------------------------------------------------------------------------------
def test_by_node() -> None:
    x = nl.input(3, 24, 24)
    value = nl.relu(nl.conv2d(x, 64, kernel=5, name="large"), name="act")
    graph = nl.Graph(x, nl.linear(nl.flatten(nl.conv2d(value, 2, kernel=1, name="small")), 3, name="head"))
    table = nl.measure.latency_by_node(graph, threads=1, repeats=15)
    assert list(table["node"]) == ["large", "act", "small", "head"]
    assert list(table["kind"]) == ["conv2d k×k", "relu", "conv2d 1×1", "linear"]
    assert table["share"].sum() == pytest.approx(1) and table["seconds"].idxmax() == 0
    with pytest.raises(MeasureError, match="has no nodes"):
        nl.measure.latency_by_node(nn.Linear(2, 2))


# -- costs -------------------------------------------------------------------------------------------------------------
def test_costs_are_functions_of_graphs() -> None:
    small, large = chain(8), chain(800)
    cost = nl.measure.latency_cost(batch=2, repeats=15)
    assert cost(large) > cost(small) and cost(small) == cost(chain(8))
    copied = pickle.loads(pickle.dumps(cost))
    assert copied(small) > 0 and copied == cost and (cost.name, cost.unit) == ("latency", "seconds")
    assert nl.measure.memory_cost(batch=2)(large) == nl.measure.memory(large, batch=2).peak_bytes
    assert nl.measure.activation_cost(batch=2)(large) == nl.measure.activation_bytes(large, batch=2)


def test_prune_to_half_the_activations() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32 * 16, 5))
    cost = nl.measure.activation_cost()
    pruned = nl.prune(model, torch.randn(1, 3, 8, 8), cost=(cost, 0.5))
    assert 0.3 < cost(pruned.graph) / cost(pruned.before) <= 0.5


# -- bad input ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"batch": 0}, "batch = 0"), ({"threads": 0}, "threads = 0"), ({"repeats": -1}, "repeats = -1"),
        ({"repeats": 2.5}, "repeats = 2.5"), ({"warm_up": -1}, "warm_up = -1"), ({"batch": True}, "batch = True"),
        ({"device": "gpu7"}, "device = 'gpu7'"), ({"inputs": torch.zeros(2, 9)}, "cannot be run in evaluation mode"),
        ({"train": True}, "cannot be run in training mode"),
    ],
)  # fmt: skip
def test_refused(options: dict[str, object], told: str) -> None:
    # A batch of one has no statistics in training.
    with pytest.raises(MeasureError, match=told):
        nl.measure.latency(chain(4), **options)


def test_what_is_no_network_is_refused() -> None:
    for measure in (nl.measure.latency, nl.measure.memory):
        with pytest.raises(MeasureError, match="a str cannot be measured"):
            measure("resnet18")
        with pytest.raises(MeasureError, match="give inputs="):
            measure(nn.Linear(2, 2))
