"""Random edits as values: what NaiveGAflux's tests say they do, and that they leave sound networks of whatever comes."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import netloom as nl
from netloom.errors import EditError, GraphError, ShapeError
from netloom.mutate import Edit
from netloom.mutate.combinators import Chain, OneOf
from netloom.mutate.edge_mutations import AddEdge, RemoveEdge
from netloom.mutate.mutations import (
    Activation,
    AddNode,
    Kernel,
    Mutation,
    Pooling,
    RemoveNode,
    Replace,
    Resize,
    attempt,
    mutated,
)
from netloom.mutate.samplers import AnyLayer, ConvLayer, LinearLayer, ResidualBlock
from netloom.testing.graphs import graphs
from tests.mutate.mutating import Draws, chain, checked, conv, network, sizes

MORE = 10 if os.environ.get("NETLOOM_SLOW") == "1" else 1


# -- sizes ---------------------------------------------------------------------------------------------------------------
def test_shares_are_rounded_away_from_zero() -> None:
    for share, size in ((0.1, 110), (-0.1, 90)):
        edit = nl.edit(network(chain(3, 100)))
        assert Resize(share, share, 1)(edit, Draws()) and sizes(edit) == [size]
        checked(edit)


def test_half_of_a_range_one_after_another() -> None:
    edit, found = nl.edit(chain(3, 11)), []
    for low, high in ((0, 0.4), (0, -0.4), (0, -0.001), (0, 0.001), (-0.1, 0.3)):
        assert Resize(low, high, 1)(edit, Draws())
        found += sizes(edit)
    assert found == [14, 11, 10, 11, 13]


def test_a_layer_that_would_vanish_stays() -> None:
    edit = nl.edit(chain(3, 1))
    assert not Resize(-0.8, -1, 1)(edit, Draws())
    assert sizes(edit) == [1] and not edit.plan.stages


def test_a_concatenation_of_two_single_neurons_stays() -> None:
    x = nl.input(3)
    both = nl.cat([nl.linear(x, 1, name="a"), nl.linear(x, 1, name="b")], 1, name="both")
    edit = nl.edit(nl.Graph(x, nl.linear(both, 2)))
    assert not Resize(-1, -1).at(edit, Draws(), "both") and sizes(edit) == [1, 1, 2]


def test_several_layers_are_one_wish() -> None:
    edit = nl.edit(network(chain(4, 5, 6, 7)))
    assert Resize(0, 0.8).at(edit, Draws(), "v1", "v2")
    assert [node.out_size for node in edit.graph] == [4, 7, 9, 7, 2] and len(edit.plan.stages) == 1
    checked(edit)


def test_inputs_outputs_and_what_is_tied_to_them_are_not_resized() -> None:
    x = nl.input(4, name="in")
    edit = nl.edit(nl.Graph(x, nl.relu(nl.linear(nl.add(nl.linear(x, 4, name="tied"), x), 3, name="last"))))
    assert Resize(0.5, 0.5, 1).candidates(edit) == () and not Resize(0.5, 0.5, 1)(edit, Draws())
    assert not Resize(0.5, 0.5).at(edit, Draws(), "in") and not edit.plan.stages


def test_layers_that_share_an_axis_are_drawn_once() -> None:
    x = nl.input(3, 8, 8)
    y = nl.add(nl.batch_norm(conv(x, 8, "a"), name="n"), conv(x, 8, "b"), name="s")
    edit = nl.edit(network(nl.Graph(x, nl.linear(nl.mean(y, (2, 3)), 2))))
    assert Resize(0.5, 0.5, 1).candidates(edit) == ("a",)
    assert Resize(0.5, 0.5, 1)(edit, Draws()) and {edit.graph[n].out_size for n in "anbs"} == {12}
    checked(edit)


# -- layers --------------------------------------------------------------------------------------------------------------
def test_a_layer_added_after_the_input_is_the_identity() -> None:
    edit = nl.edit(network(chain(3, 5)))
    assert AddNode(lambda v, rng: nl.linear(v, 3, name="new")).at(edit, Draws(), "in")
    assert edit.result.new.weight.tolist() == torch.eye(3).tolist() and edit.plan.preserving
    given = torch.arange(1.0, 4.0, dtype=torch.float64)[None]
    assert torch.equal(edit.result(given), edit.subject.model(given))


def test_only_some_readers_read_what_is_added() -> None:
    x = nl.input(3, name="in")
    a = nl.linear(x, 4, name="a")
    graph = nl.Graph(x, nl.add(nl.linear(a, 2, name="b"), nl.linear(a, 2, name="c")))
    edit = nl.edit(network(graph))
    # No reader is taken by its chance; one is drawn, the second.
    assert AddNode(lambda v, rng: nl.linear(v, 4, name="new"), readers=0.1).at(edit, Draws(place=1), "a")
    assert [edge.node for name in "bc" for edge in edit.graph[name].operands] == ["a", "new"]
    checked(edit)


def test_space_may_shrink_where_all_that_follows_takes_it() -> None:
    x = nl.input(3, 16, 16)
    body = nl.relu(conv(nl.relu(conv(x, 8, "a")), 8, "b"))
    halve = AddNode(lambda v, rng: nl.conv2d(v, v.shape[1] + 2, kernel=3, padding=1, stride=2, name="down"))
    edit = nl.edit(network(nl.Graph(x, nl.linear(nl.mean(body, (2, 3)), 10))))
    assert halve.at(edit, Draws(), "a") and edit.graph["b"].shape[2:] == (8, 8) and edit.graph["b"].in_sizes == (10,)
    checked(edit)
    assert RemoveNode().at(edit, Draws(), "down") and edit.graph["b"].shape[2:] == (16, 16)
    checked(edit)
    for end in (nl.linear(nl.flatten(body), 10), nl.add(body, nl.conv2d(x, 8, kernel=1)), body):  # weights, a sum, an output
        edit = nl.edit(network(nl.Graph(x, end)))
        assert not halve.at(edit, Draws(), "a") and not edit.plan.stages


def test_removing_aligns_what_is_left() -> None:
    edit = nl.edit(network(chain(3, 5, 3)))
    assert RemoveNode().at(edit, Draws(), "v1")
    assert edit.graph["v2"].in_sizes == (3,) and sizes(edit) == [3]
    checked(edit)


def test_a_cycle_of_sizes_is_refused() -> None:
    """A layer of which one branch would take the place: n = n + 2."""
    x = nl.input(3)
    v1 = nl.linear(x, 4, name="v1")
    branches = nl.cat([nl.linear(v1, 2, name="a"), nl.linear(v1, 2, name="b")], 1)
    graph = nl.Graph(x, nl.linear(nl.add(v1, branches), 2))
    edit = nl.edit(network(graph))
    assert not RemoveNode().at(edit, Draws(), "a") and edit.graph is graph


def test_a_layer_is_replaced_with_fresh_weights() -> None:
    edit = nl.edit(network(chain(4, 6, 5)))
    assert Replace(lambda v, rng: nl.tanh(nl.linear(v, 9, name="new"))).at(edit, Draws(), "v2")
    assert "v2" not in edit.graph and edit.graph["head"].in_sizes == (9,)
    checked(edit)


@pytest.mark.parametrize("sampler", [AnyLayer(), LinearLayer(("",)), ResidualBlock(), ResidualBlock(last=LinearLayer(("",)))])
def test_samplers_keep_the_shape(sampler: Any) -> None:
    rng = np.random.default_rng(0)
    for shape in ((5,), (7, 5), (5, 4, 5), (2, 4, 4, 5)):
        x = nl.input(*shape)
        result = sampler(x, rng)
        assert result.shape == x.shape and nl.Graph(x, result).num_params


def test_convolutions_are_drawn_with_odd_kernels_and_for_every_rank() -> None:
    rng = np.random.default_rng(0)
    for axes in (1, 2, 3):
        x = nl.input(4, *(8,) * axes)
        kernels = {nl.Graph(x, ConvLayer((3, 5))(x, rng))[f"conv{axes}d"].attrs["kernel"] for _ in range(20)}
        assert kernels == {(3,) * axes, (5,) * axes}
    with pytest.raises(EditError, match="expected odd numbers"):
        ConvLayer((2,))
    with pytest.raises(EditError, match=r"wider than 4096; LinearLayer\(widest=…\) allows more"):
        LinearLayer()(nl.input(5000), rng)


def test_a_residual_block_is_an_identity_anywhere_and_learns() -> None:
    x = nl.input(3, 8, 8)
    graph = nl.Graph(x, nl.linear(nl.mean(conv(x, 6, "a"), (2, 3)), 2, name="head"))
    edit = nl.edit(network(graph))
    assert AddNode(ResidualBlock())(edit, np.random.default_rng(0)) and edit.plan.preserving
    net = checked(edit).train()
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for _ in range(2):
        optimizer.zero_grad()
        net(torch.randn(4, 3, 8, 8, dtype=torch.float64)).square().sum().backward()
        optimizer.step()
    assert all(parameter.grad.abs().sum() > 0 for name, parameter in net.named_parameters() if name.endswith("weight"))


def test_weights_along_the_batch_are_refused() -> None:
    x = nl.input(3, 4)
    y = nl.linear(x, 5, name="a")
    edit = nl.edit(network(nl.Graph(x, nl.relu(y, name="end"))))
    assert not AddNode(lambda v, rng: nl.linear(nl.permute(v, (1, 2, 0)), 5)).at(edit, Draws(), "a")
    with pytest.raises(ShapeError, match="weight would be .*, but a weight has no free sizes"):
        edit.insert_after("a", lambda v: nl.permute(nl.batch_norm(nl.permute(v, (2, 0, 1))), (1, 2, 0)))


# -- attributes ----------------------------------------------------------------------------------------------------------
def test_kernels_change_within_bounds_and_keep_the_size_of_the_result() -> None:
    x = nl.input(2, 9, 9)
    graph = nl.Graph(x, nl.linear(nl.flatten(nl.conv2d(x, 3, kernel=(3, 5), padding=(1, 2), name="c")), 2))
    edit = nl.edit(network(graph))
    for mutation, kernel in ((Kernel(-4, 4, step=1), (1, 2)), (Kernel(4, 4, largest=(4, 10)), (4, 6))):
        # The second of the changes -4, -3, …, or the only one.
        assert mutation.at(edit, Draws(place=1), "c")
        assert edit.graph.tensors["c.weight"].type.shape[2:] == kernel and edit.graph["c"].shape == graph["c"].shape
    checked(edit)


def test_kernels_of_given_sizes() -> None:
    x = nl.input(2, 9, 9)
    edit = nl.edit(network(nl.Graph(x, nl.linear(nl.flatten(conv(x, 3, "c")), 2))))
    assert not Kernel(sizes=(3,))(edit, Draws())
    assert Kernel(sizes=(3, (1, 5), 9), largest=7)(edit, Draws(place=5))
    assert edit.graph.tensors["c.weight"].type.shape[2:] == (1, 5)
    checked(edit)


def test_activations_become_others_and_gates_stay() -> None:
    x = nl.input(4)
    y = nl.mul(nl.relu(nl.linear(x, 4)), nl.sigmoid(nl.linear(x, 4)))
    edit = nl.edit(network(nl.Graph(x, nl.linear(y, 2))))
    assert Activation(("relu", "gelu"), probability=1)(edit, Draws())
    assert [n.op for n in edit.graph if n.op in ("relu", "gelu", "sigmoid")] == ["gelu", "sigmoid"]
    assert not Activation(("gelu",))(edit, Draws())
    checked(edit)


def test_pools_change_their_kind() -> None:
    x = nl.input(2, 8, 8)
    y = nl.adaptive_avg_pool2d(nl.max_pool2d(conv(x, 4, "c"), 3, 2, 1, name="pool"), 2)
    edit = nl.edit(network(nl.Graph(x, nl.linear(nl.flatten(y), 2))))
    assert Pooling(probability=1)(edit, Draws())
    pool, last = (n for n in edit.graph if "pool" in n.op)
    assert (pool.op, last.op) == ("avg_pool2d", "adaptive_max_pool2d")
    assert [pool.attrs[name] for name in ("kernel", "stride", "padding")] == [(3, 3), (2, 2), (1, 1)]
    checked(edit)


# -- as values -----------------------------------------------------------------------------------------------------------
def test_equal_values_are_equal_and_seeds_reproduce() -> None:
    assert AddEdge(0.5, "cat") == AddEdge(0.5, "cat") and hash(Resize()) == hash(Resize())
    graph = nl.spaces.NASBench201(num_classes=10, N=1, C=4, input_shape=(3, 8, 8)).sample(np.random.default_rng(3))
    found = [mutated(network(graph), Chain(*[EVERYTHING] * 5), 7) for _ in range(2)]
    assert found[0].graph == found[1].graph and found[0].plan.stages
    states = [edit.result.state_dict() for edit in found]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert mutated(graph, Chain(*[EVERYTHING] * 5), 8).graph != found[0].graph


def test_what_fails_leaves_the_edit_as_it_was_with_all_that_was_asked_for() -> None:
    edit = nl.edit(network(chain(4, 6, 5)))
    edit["v1"].resize(out=+2)

    def impossible() -> None:
        edit["v2"].resize(out=+1)
        edit.remove("v1")
        edit["head"].resize(out=+1)

    assert not attempt(edit, impossible)
    assert sizes(edit) == [8, 5] and len(edit.plan.stages) == 1


def test_mistakes_are_errors_not_changes_that_failed() -> None:
    edit = nl.edit(chain(3, 4))
    with pytest.raises(GraphError, match="did you mean 'v1'"):
        RemoveNode().at(edit, Draws(), "v11")
    with pytest.raises(EditError, match="Resize: probability = 2; expected a probability between 0 and 1"):
        Resize(probability=2)
    with pytest.raises(EditError, match="merge = 'mul'; expected 'add', 'cat' or None"):
        AddEdge(merge="mul")
    with pytest.raises(NameError):
        AddNode(lambda v, rng: undefined)(edit, Draws())  # type: ignore[name-defined]  # noqa: F821


# -- whatever comes ------------------------------------------------------------------------------------------------------
EVERYTHING: Mutation = OneOf(
    Resize(-0.5, 0.5, 0.3), AddNode(), AddNode(ResidualBlock()), AddNode(readers=0.5), RemoveNode(), Replace(), AddEdge(),
    RemoveEdge(), Kernel(), Kernel(step=1), Activation(), Pooling(),
)  # fmt: skip
SPACES = {
    "conv": nl.spaces.Conv(input_shape=(3, 16, 16), num_classes=10),
    "mlp": nl.spaces.MLP(input_shape=(8,), num_classes=3),
    "nasbench201": nl.spaces.NASBench201(num_classes=10, N=1, C=4, input_shape=(3, 8, 8)),
}


def ten_mutations(graph: nl.Graph, seed: int) -> Edit:
    rng, edit = np.random.default_rng(seed), nl.edit(network(graph), seed=seed)
    for _ in range(10):
        EVERYTHING(edit, rng)
    return edit


@pytest.mark.parametrize("space", SPACES)
def test_ten_mutations_of_samples(space: str) -> None:
    changed = 0
    for seed in range(7 * MORE):
        edit = ten_mutations(SPACES[space].sample(np.random.default_rng(seed)), seed)
        checked(edit)
        changed += len(edit.plan.stages)
    assert changed > 30 * MORE


@settings(max_examples=20 * MORE)
@given(graphs(min_size=3), st.integers(0, 1000))
def test_ten_mutations_of_any_graph(graph: nl.Graph, seed: int) -> None:
    edit = ten_mutations(graph, seed)
    # Where a network lost all parameters, nothing says that those which come after are of double precision.
    assume(all(parameter.dtype == torch.float64 for parameter in edit.result.parameters()))
    checked(edit)
