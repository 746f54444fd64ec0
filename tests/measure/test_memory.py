"""Memory: against what is known in closed form, against the allocator's own record, and against the graph's estimate."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import netloom as nl
from netloom.errors import MeasureError
from netloom.graph.graph import Graph
from netloom.measure.peaks import Memory, StorageWatch

KB = 1024


def test_closed_form_of_a_chain() -> None:
    """x → a → b: a and b are alive together, then b and c."""
    x = nl.input(256)
    graph = nl.Graph(x, nl.linear(nl.linear(nl.linear(x, 1024, bias=False), 512, bias=False), 64, bias=False))
    found = nl.measure.memory(graph, batch=4)
    assert found.peak_bytes == found.bytes == 4 * 4 * (1024 + 512)
    assert found.output_bytes == 4 * 4 * 64 and found.input_bytes == 4 * 4 * 256 and found.buffer_bytes == 0
    assert found.parameter_bytes == 4 * (256 * 1024 + 1024 * 512 + 512 * 64)
    assert found.total_bytes == found.peak_bytes + found.parameter_bytes + found.input_bytes
    # In training a and b are kept, and at the end every gradient of a weight is there.
    train = nl.measure.memory(graph, batch=4, train=True)
    assert train.peak_bytes >= found.parameter_bytes + 4 * 4 * (1024 + 512) // 2


def test_views_and_in_place_calls_take_nothing() -> None:
    class Model(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x * 2
            y += 1
            return y.view(-1).reshape(x.shape).transpose(0, 1)

    assert nl.measure.memory(Model(), inputs=torch.zeros(8, KB)).peak_bytes == 4 * 8 * KB


def test_inputs_handed_on_are_not_the_calls_own() -> None:
    found = nl.measure.memory(nn.Identity(), inputs=torch.zeros(8, KB))
    assert found.peak_bytes == found.output_bytes == 0 and found.batch == 8


def test_memory_that_goes_is_counted_down() -> None:
    with StorageWatch() as watch:
        a = torch.zeros(KB)
        b = a + 1
        del a
        assert watch.bytes == 4 * KB and watch.peak_bytes == 8 * KB
        c = b.view(32, 32)
        del b
        assert watch.bytes == 4 * KB
        del c
        assert watch.bytes == 0 and watch.peak_bytes == 8 * KB


def allocator_peak(call: object) -> int:
    """The most that torch's allocator had given out, by its own record."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        kept = call()  # type: ignore[operator]
    del kept
    now = most = 0
    for event in record.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now)
    return most


@pytest.mark.parametrize("train", [False, True])
def test_agrees_with_the_allocator(train: bool) -> None:
    """Networks without kernels that need scratch space; the allocator may round up a little."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(200, 300), nn.LayerNorm(300), nn.GELU(), nn.Linear(300, 300), nn.Softmax(1), nn.Linear(300, 9)
    )  # fmt: skip
    x = torch.randn(64, 200)

    def step() -> object:
        with torch.enable_grad() if train else torch.inference_mode():
            y = model(x)
            if train:
                y.sum().backward()
            return y

    step()
    model.zero_grad(set_to_none=True)
    expected = allocator_peak(step)
    model.zero_grad(set_to_none=True)
    assert nl.measure.memory(model, inputs=x, train=train).peak_bytes == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("space", [nl.spaces.Conv((3, 16, 16), 10, max_params=50_000), nl.spaces.MLP()], ids=["conv", "mlp"])
def test_activations_of_the_graph_are_what_is_measured(space: object) -> None:
    rng = np.random.default_rng(0)
    for _ in range(8):
        graph: Graph = space.sample(rng)  # type: ignore[attr-defined]
        for batch in (1, 3):
            measured = nl.measure.memory(graph, batch=batch)
            assert nl.measure.activation_bytes(graph, batch=batch) == measured.peak_bytes


def test_activations_in_training_are_what_is_kept() -> None:
    """Measured between forward and backward: what the loss holds."""
    x = nl.input(3, 16, 16)
    value = nl.relu(nl.batch_norm(nl.conv2d(x, 8, kernel=3, padding=1)))
    value = value + nl.relu(nl.batch_norm(nl.conv2d(value, 8, kernel=3, padding=1)))
    graph = nl.Graph(x, nl.linear(nl.flatten(value), 10))
    network, given = nl.build(graph, seed=0), torch.rand(5, 3, 16, 16)
    with StorageWatch() as watch:
        outputs = network(given)
        held = watch.bytes
    del outputs
    # Statistics of the batch norms and a scratch value more.
    assert nl.measure.activation_bytes(graph, batch=5, train=True) == pytest.approx(held, rel=0.05)


def test_refused_and_shown() -> None:
    x = nl.input(4)
    graph = nl.Graph(x, nl.linear(x, 4))
    with pytest.raises(MeasureError, match="batch = 0"):
        nl.measure.memory(graph, batch=0)
    with pytest.raises(MeasureError, match="batch = -1"):
        nl.measure.activation_bytes(graph, batch=-1)
    found = nl.measure.memory(graph, batch=64)
    assert isinstance(found, Memory) and "1.00 KiB at the peak of forward, batch 64" in str(found)


def test_what_nothing_reads_is_let_go_of_at_once() -> None:
    space = nl.spaces.NASBench201(C=4, N=1)
    dead = space.from_string("|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|none~1|none~2|")
    live = space.from_string("|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")
    peaks = [nl.measure.memory(nl.build(graph, seed=0).eval()).peak_bytes for graph in (dead, live)]
    assert peaks[0] <= 1.4 * peaks[1]
