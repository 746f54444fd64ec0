"""Parts of two networks exchanged: what NaiveGAflux's tests say of it, and that children are sound and of their parents."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
import torch

import netloom as nl
from netloom.building.example import example_inputs
from netloom.errors import EditError, GraphError
from netloom.mutate.crossover import Crossed, Crossover, crossing_points, pairing, swapped
from netloom.mutate.transplanting import parts_before
from tests.mutate.mutating import network, outputs

MORE = 10 if os.environ.get("NETLOOM_SLOW") == "1" else 1


def chain(*sizes: int) -> nl.Graph:
    """A chain of layers v1, v2, …; the last is the output."""
    x = value = nl.input(sizes[0])
    for i, size in enumerate(sizes[1:], 1):
        value = nl.linear(value, size, name=f"v{i}")
    return nl.Graph(x, value)


def merged(kind: str, sizes: tuple[int, ...], out: int) -> nl.Graph:
    """Layers of one input, joined, and a layer that reads that."""
    x = nl.input(3)
    values = [nl.linear(x, size, name=f"v{i}") for i, size in enumerate(sizes, 1)]
    both = nl.cat(values, 1, name="both") if kind == "cat" else values[0]
    for i, value in enumerate(values[1:] if kind == "add" else (), 2):
        both = nl.add(both, value, name="both" if i == len(values) else f"sum{i}")
    return nl.Graph(x, nl.linear(both, out, name="head"))


def sizes(child: Crossed) -> list[int]:
    """Sizes of all nodes; of a sum of several values once."""
    inner = {edge.node for node in child.graph if node.op == "add" for edge in node.operands}
    return [node.out_size for node in child.graph if not (node.op == "add" and node.name in inner)]


def checked(child: Crossed, parents: tuple[nl.Network, ...] = ()) -> Crossed:
    """A child that is sound, runs, and has at every index that survives the weights of the ``parents``, after one exchange."""
    child.graph.check()
    assert all(torch.isfinite(value).all() for value in outputs(child.result))
    state = child.result.state_dict()
    assert set(child.origins) == {key for key, entry in child.graph.tensors.items() if entry.alias_of is None}
    for key, (number, theirs) in child.origins.items() if parents else ():
        was, now = parents[number].state_dict()[theirs], state[key]
        move = child.stages[0].moves.get(key) if child.stages else None
        for axis, codes in enumerate(move.axes if move else ()):
            if codes is not None:
                stay = codes >= 0
                now = now.index_select(axis, torch.from_numpy(stay.nonzero()[0]))
                was = was.index_select(axis, torch.from_numpy(codes[stay]))
        assert torch.equal(now, was), key
    return child


def exchanged(a: nl.Graph, names: Any, b: nl.Graph, others: Any) -> tuple[list[int], list[int]]:
    """The sizes of both children, which are sound, and whose parents are as they were."""
    parents = network(a, seed=1), network(b, seed=2)
    before = [{key: tensor.clone() for key, tensor in net.state_dict().items()} for net in parents]
    one, other = swapped(parents[0], names, parents[1], others)
    for child in (one, other):
        checked(child, parents)
    for net, graph, state in zip(parents, (a, b), before):
        assert net.graph is graph and all(torch.equal(tensor, state[key]) for key, tensor in net.state_dict().items())
    assert [sizes(child) for child in swapped(a, names, b, others)] == [sizes(one), sizes(other)]
    return sizes(one), sizes(other)


# -- what changes places ---------------------------------------------------------------------------------------------------
def test_middle_layers() -> None:
    assert exchanged(chain(3, 4, 5, 6), "v2", chain(3, 1, 2, 3), "v2") == ([3, 4, 2, 6], [3, 1, 5, 3])


def test_paths_of_different_length() -> None:
    a, b = chain(3, 4, 5, 6, 7, 8), chain(3, 1, 2, 3, 4, 5)
    assert exchanged(a, ["v1", "v2", "v3", "v4"], b, ["v2", "v3"]) == ([3, 2, 3, 8], [3, 1, 4, 5, 6, 7, 4, 5])


def test_a_concatenation_for_a_sum() -> None:
    """The sum makes all sizes one, and the smaller ones grow; the concatenation is as wide as what goes into it."""
    a, b = merged("cat", (3, 4, 5, 6), 7), merged("add", (3, 3, 3), 3)
    assert exchanged(a, "both", b, ["sum2", "both"]) == ([3, 6, 6, 6, 6, 6, 7], [3, 3, 3, 3, 9, 3])


def test_a_concatenation_for_a_layer_stays_to_join_what_the_layer_reads() -> None:
    a, b = merged("cat", (2, 3, 4), 5), chain(3, 4, 5, 6)
    assert exchanged(a, "both", b, "v2") == ([3, 2, 3, 4, 9, 5, 5], [3, 4, 6])


def test_swapping_the_same_part_of_equal_networks_changes_no_bit() -> None:
    graph = nl.spaces.NASBench201(num_classes=10, N=1, C=4, input_shape=(3, 8, 8)).sample(np.random.default_rng(5))
    net = network(graph)
    for part in ("cells.0", "cells.1"):
        for child in swapped(net, part, network(graph), part):
            assert child.stages and child.graph.hash == graph.hash
            assert all(torch.equal(one, other) for one, other in zip(outputs(child.result), outputs(net)))


def test_modules_of_a_users_own_classes() -> None:
    def model(width: int) -> torch.nn.Module:
        block = torch.nn.Sequential(torch.nn.Conv2d(width, width, 3, padding=1), torch.nn.BatchNorm2d(width), torch.nn.ReLU())
        return torch.nn.Sequential(
            torch.nn.Conv2d(3, width, 3), block, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(width, 2)
        ).eval()

    images = torch.randn(2, 3, 8, 8)
    parents = model(4), model(6)
    expected = [parent(images) for parent in parents]
    one, other = swapped(parents[0], "1", parents[1], "1", images)
    assert [child.graph["1.0"].out_size for child in (one, other)] == [6, 4]
    assert torch.equal(one.result.state_dict()["1.0.bias"], parents[1].state_dict()["1.0.bias"])
    assert one.origins["1.0.bias"] == (1, "1.0.bias") and one.origins["0.bias"] == (0, "0.bias")
    for child, parent, was in zip((one, other), parents, expected):
        assert child.result(images).shape == (2, 2) and not any(part.training for part in child.result.modules())
        assert torch.equal(parent(images), was)


def test_space_must_change_in_the_same_way() -> None:
    def net(size: int, stride: int, kernel: int = 3) -> nl.Graph:
        x = nl.input(3, size, size)
        y = nl.conv2d(nl.conv2d(x, 4, kernel=1, name="a"), 5, kernel=kernel, padding=kernel // 2, stride=stride, name="b")
        return nl.Graph(x, nl.linear(nl.flatten(y), 2, name="head"))

    assert exchanged(net(8, 2), "b", net(16, 2, 5), "b") == ([3, 4, 5, 80, 2], [3, 4, 5, 320, 2])
    with pytest.raises(EditError, match="b is .* where .* is read: axis 2 differs"):
        swapped(net(8, 2), "b", net(8, 1), "b")


# -- which parts there are ------------------------------------------------------------------------------------------------
def test_parts_end_where_something_else_is_read() -> None:
    x = nl.input(4, name="x")
    a = nl.linear(x, 4, name="a")
    b = nl.relu(nl.linear(a, 4, name="b"), name="c")
    graph = nl.Graph(x, nl.linear(nl.add(b, a, name="d"), 2))
    found = {name: [sorted(part.nodes) for part in parts_before(graph, name)] for name in "abcd"}
    assert found == {
        "a": [["a"]], "b": [["b"]], "c": [["c"], ["b", "c"]], "d": [["d"], ["b", "c", "d"], ["a", "b", "c", "d"]],
    }  # fmt: skip


def test_shared_weights_do_not_leave_a_part_of_them_behind() -> None:
    class Twice(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shared, self.between, self.head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.shared(torch.relu(self.between(self.shared(x)))))

    model, other = Twice().eval(), network(chain(4, 5, 6)).float()
    with pytest.raises(EditError, match="'shared@2' cannot be moved to another network: it shares weights with what stays"):
        swapped(model, "shared@2", other, "v1", torch.randn(2, 4))
    child, giver = swapped(model, ["shared", "relu", "between", "shared@2"], other, "v1", torch.randn(2, 4))
    assert [node.op for node in child.graph] == ["input", "linear", "linear"]
    assert [node.op for node in giver.graph] == ["input", "linear", "linear", "relu", "linear", "linear"]
    assert sum(key.endswith("weight") for key in giver.origins) == 3  # twice the same one
    assert giver.result(torch.randn(2, 4)).shape == (2, 6)


# -- pairs ---------------------------------------------------------------------------------------------------------------
def test_pairs_are_nearest_by_relative_position_and_of_one_kind() -> None:
    def net(convolutions: int, layers: int) -> nl.Graph:
        x = value = nl.input(3, 8, 8)
        for _ in range(convolutions):
            value = nl.conv2d(value, 4, kernel=3, padding=1)
        value = nl.mean(value, (2, 3))
        for _ in range(layers):
            value = nl.linear(value, 4)
        return nl.Graph(x, value)

    a, b = net(2, 2), net(6, 1)
    points = crossing_points(b)
    assert [points.index(other) + 1 for other in pairing(a, b).values() if other] == [2, 3, 7, 8, 8]
    assert list(pairing(a, b, outputs=False).values()) == [*pairing(a, b).values()][:3] + [None]
    assert [*pairing(net(1, 1), chain(3, 4, 4)).values()] == [None, None, "v2"]


def test_noise_makes_other_pairs() -> None:
    a, b = chain(3, *[4] * 10), chain(3, *[4] * 10)
    assert all(one == other for one, other in pairing(a, b, np.random.default_rng(0), 0.0).items())
    noisy = pairing(a, b, np.random.default_rng(0), 0.2)
    assert sum(one != other for one, other in noisy.items()) >= 3


# -- at random -----------------------------------------------------------------------------------------------------------
SPACES = {
    "conv": nl.spaces.Conv(input_shape=(3, 16, 16), num_classes=10),
    "mlp": nl.spaces.MLP(input_shape=(8,), num_classes=3),
    "nasbench201": nl.spaces.NASBench201(num_classes=10, N=1, C=4, input_shape=(3, 8, 8)),
}


@pytest.mark.parametrize("space", SPACES)
def test_children_of_samples(space: str) -> None:
    done = 0
    for seed in range(5 * MORE):
        rng = np.random.default_rng(seed)
        parents = tuple(network(SPACES[space].sample(rng), seed=k) for k in range(2))
        before = [outputs(parent) for parent in parents]
        for probability in (None, 0.15):
            one, other = Crossover(probability)(*parents, rng)
            for child in (one, other):
                checked(child, parents if probability is None else ())
            done += len(one.stages) + len(other.stages)
            assert all(torch.equal(a, b) for p, was in zip(parents, before) for a, b in zip(outputs(p), was))
    assert done >= 9 * MORE


def test_seeds_reproduce_and_outputs_keep_their_shape() -> None:
    space = SPACES["nasbench201"]
    a, b = (network(space.sample(np.random.default_rng(seed)), seed) for seed in range(2))
    pairs = [Crossover(0.3)(a, b, np.random.default_rng(4)) for _ in range(2)]
    for first, second in zip(*pairs):
        assert first.graph == second.graph and first.stages
        assert all(torch.equal(x, y) for x, y in zip(first.result.state_dict().values(), second.result.state_dict().values()))
        assert outputs(first.result)[0].shape == (2, 10)


def test_nothing_happens_with_probability_zero_or_without_pairs() -> None:
    a, b = network(chain(3, 4, 5)), network(nl.spaces.MLP(input_shape=(3,), num_classes=2).sample(np.random.default_rng(0)))
    for child, parent in zip(Crossover(0)(a, b, np.random.default_rng(0)), (a, b)):
        assert child.graph is parent.graph and not child.stages
        assert all(torch.equal(x, y) for x, y in zip(outputs(child.result), outputs(parent)))
    x = nl.input(3, 8, 8)
    images = nl.Graph(x, nl.conv2d(nl.conv2d(x, 4, kernel=3), 2, kernel=3))
    assert not any(child.stages for child in Crossover(None)(a.graph, images, np.random.default_rng(0)))


def test_children_learn_and_may_be_edited_on() -> None:
    a, b = (network(merged(kind, (4, 4), 3)).train() for kind in ("cat", "add"))
    child, _ = Crossover(None)(a, b, np.random.default_rng(1))
    net = child.result
    assert net.training and child.stages
    net(*(value.double() for value in example_inputs(net.graph))).square().sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    edit = nl.edit(net)
    edit[edit.dims().free[0].id].resize(out=+1)
    assert edit.result.graph.num_params > net.graph.num_params


def test_mistakes_are_named() -> None:
    a, b = chain(3, 4, 5), chain(3, 2, 5)
    with pytest.raises(EditError, match="two models or two Graphs"):
        Crossover()(a, network(b), np.random.default_rng(0))
    with pytest.raises(EditError, match="a Graph has no weights to exchange"):
        _ = swapped(a, "v1", b, "v1")[0].result
    with pytest.raises(GraphError, match="did you mean 'v1'"):
        swapped(a, "v11", b, "v1")
    with pytest.raises(EditError, match="deviation = -1; expected 0 or more"):
        Crossover(deviation=-1)
    with pytest.raises(EditError, match="is an input of the network; it stays"):
        swapped(a, "x", b, "v1")
    x = nl.input(3)
    y = nl.linear(x, 4, name="a")
    forked = nl.Graph(x, nl.linear(nl.add(nl.relu(y, name="b"), nl.tanh(y, name="c")), 2))
    with pytest.raises(EditError, match="2 values come out of"):
        swapped(forked, ["a", "b"], b, "v1")
