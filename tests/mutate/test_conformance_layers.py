"""Edits of convolutions, norms and recurrent layers, as the tests of NaiveNASflux have them; a new engine does as well."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

import netloom as nl
from netloom.errors import EditError, NetloomWarning
from tests.mutate.conformance import (
    NEW,
    add,
    cat,
    checked,
    edited,
    graph_of,
    inv,
    layer,
    network,
    new,
    preserved,
    refused,
    sizes,
    source,
)


def image(channels: int, size: int = 5) -> Any:
    return nl.input(channels, size, size, name="in")


def conv(x: Any, size: int, name: str, kernel: Any = 1, **attributes: Any) -> Any:
    return nl.conv2d(x, size, kernel=kernel, name=name, **attributes)


# -- convolutions in groups ----------------------------------------------------------------------------------------------
def depthwise(channels: int, out: int) -> nl.Graph:
    x = image(channels)
    return nl.Graph(x, conv(conv(x, out, "dw", 2, groups=channels), 2, "head"))


def weighed() -> nl.Network:
    """A depthwise convolution from 4 to 8 channels whose filters are worth 20, 40, 20, 40, 21, 41, 21, 41."""
    net = network(depthwise(4, 8))
    weight, bias = net.get_parameter("dw.weight"), net.get_parameter("dw.bias")
    with torch.no_grad():
        weight.copy_(torch.tensor([10.0, 20.0] * 4).reshape(8, 1, 1, 1).expand_as(weight))
        bias.copy_(torch.tensor([0.0] * 4 + [1.0] * 4))
    return net


def test_each_group_loses_the_filters_at_one_place() -> None:
    edit = edited(weighed(), "magnitude")
    edit["dw"].resize(out=-4)
    assert edit.plan.indices("dw.weight") == edit.plan.indices("dw.bias") == [1, 3, 5, 7]
    assert edit.plan.indices("head.weight", 1) == [1, 3, 5, 7] and edit.graph["dw"].attrs["groups"] == 4
    checked(edit)


def test_one_filter_per_group_becomes_two() -> None:
    edit = edited(depthwise(4, 4))
    edit["dw"].resize(out=+4)
    assert edit.plan.indices("dw.weight") == [0, NEW, 1, NEW, 2, NEW, 3, NEW]
    assert edit.plan.indices("head.weight", 1) == [0, NEW, 1, NEW, 2, NEW, 3, NEW]
    assert edit.graph["dw"].attrs["groups"] == 4
    preserved(edit)
    refused(edited(depthwise(4, 4)), lambda edit: edit["dw"].resize(out=+3), "ask for 4 or 8")


def stem_and_depthwise(beside: str = "") -> nl.Graph:
    image_in = image(3)
    x = conv(image_in, 4, "stem")
    y = conv(x, 4, "dw", 3, groups=4, padding=1)
    if beside:
        y = add(y, x, "sum") if beside == "stem" else add(conv(y, 4, "dw2", groups=4), y, "sum")
    return nl.Graph(image_in, conv(y, 2, "head"))


def test_one_filter_per_group_stays_where_no_more_are_asked_for() -> None:
    edit = edited(stem_and_depthwise())
    edit["dw"].resize(out=+4)
    assert sizes(edit, "stem", "dw") == (8, 8) and edit.graph["dw"].attrs["groups"] == 8
    preserved(edit)


@pytest.mark.parametrize("beside", ["", "dw"])
@pytest.mark.parametrize(("stem", "dw"), [(4, 8), (5, 10), (3, 6)])
def test_groups_and_filters_per_group_at_once(beside: str, stem: int, dw: int) -> None:
    edit = edited(stem_and_depthwise(beside))
    edit.resize(out_to={"stem": stem, "dw": dw})
    assert sizes(edit, "stem", "dw") == (stem, dw) and edit.graph["dw"].attrs["groups"] == stem
    if stem >= 4:
        preserved(edit)
    else:
        checked(edit)


def test_one_filter_per_group_stays_beside_what_it_reads() -> None:
    refused(edited(stem_and_depthwise("stem")), lambda edit: edit.resize(out_to={"stem": 4, "dw": 8}), "no sizes give")


def test_each_group_gains_as_many_filters() -> None:
    edit = edited(depthwise(2, 6))
    edit["dw"].resize(out=-2)
    assert edit.plan.indices("dw.weight") == [1, 2, 4, 5]
    checked(edit)
    edit = edited(edit.result)
    edit["dw"].resize(out=+4)
    assert edit.plan.indices("dw.weight") == edit.plan.indices("head.weight", 1) == [0, 1, NEW, NEW, 2, 3, NEW, NEW]
    preserved(edit)


def test_one_group_is_an_ordinary_convolution() -> None:
    edit = edited(depthwise(1, 5))
    edit["dw"].resize(out=-2)
    assert edit.plan.indices("dw.weight") == [2, 3, 4]
    checked(edit)


def test_a_depthwise_convolution_behind_another() -> None:
    x = image(4)
    graph = nl.Graph(x, conv(conv(conv(x, 8, "d1", 2, groups=4), 8, "d2", 2, groups=8), 3, "head"))
    refused(edited(graph), lambda edit: edit["d2"].resize(in_=+2), "4 times the size of 'd1'; ask for 8 or 12")
    edit = edited(graph, relax=True)
    edit["d2"].resize(in_=+2)
    with pytest.warns(NetloomWarning, match="cannot have 10 features; it has 12"):
        assert sizes(edit, "d1", "d2") == (12, 12)
    pattern = [0, 1, NEW, 2, 3, NEW, 4, 5, NEW, 6, 7, NEW]
    assert edit.plan.indices("d1.weight") == edit.plan.indices("d2.weight") == pattern
    assert (edit.graph["d1"].attrs["groups"], edit.graph["d2"].attrs["groups"]) == (4, 12)
    preserved(edit)
    edit = edited(edit.result, relax=True)
    edit["d2"].resize(in_=-2)
    with pytest.warns(NetloomWarning, match="cannot have 10 features; it has 8"):
        assert sizes(edit, "d1", "d2") == (8, 8)
    checked(edit)


def test_more_groups() -> None:
    x = image(4)
    edit = edited(nl.Graph(x, conv(conv(conv(x, 3, "c", 2), 6, "d", 2, groups=3), 3, "head")))
    edit.resize(out={"c": +1, "d": +2})
    assert sizes(edit, "c", "d") == (4, 8) and edit.graph["d"].attrs["groups"] == 4
    assert edit.plan.indices("d.weight") == edit.plan.indices("head.weight", 1) == new(range(6), 8)
    assert edit.plan.indices("c.weight") == new(range(3), 4)
    preserved(edit)


# -- kernels -------------------------------------------------------------------------------------------------------------
def test_a_kernel_grows_around_its_middle() -> None:
    x = image(3, 9)
    edit = edited(nl.Graph(x, conv(x, 4, "c", 5, padding=2)))
    edit.change("c", kernel=7)
    for axis in (2, 3):
        assert edit.plan.indices("c.weight", axis) == [NEW, 0, 1, 2, 3, 4, NEW]
    assert edit.graph["c"].attrs["padding"] == (3, 3) and edit.graph["c"].shape[2:] == (9, 9)
    net = preserved(edit)  # new cells are zero, where the reference's are small random numbers
    assert (net.get_parameter("c.weight")[:, :, 0] == 0).all()


def test_a_kernel_keeps_its_weightiest_part() -> None:
    x = image(3, 9)
    net = network(nl.Graph(x, conv(x, 2, "c", (4, 3))))
    weight = net.get_parameter("c.weight")
    with torch.no_grad():
        weight.copy_(torch.arange(1.0, 5.0).reshape(1, 1, 4, 1).expand_as(weight))
    edit = edited(net)
    edit["c"].change(kernel=(3, 3))
    assert edit.plan.indices("c.weight", 2) == [1, 2, 3] and edit.graph["c"].shape == edit.plan.before["c"].shape
    checked(edit)


def test_a_kernel_and_channels_at_once() -> None:
    x = image(3, 9)
    edit = edited(nl.Graph(x, conv(conv(x, 4, "c", 5, padding=2), 2, "head")))
    edit["c"].resize(out=-2)
    edit["c"].change(kernel=(3, 1))
    assert edit.plan.indices("c.weight") == [2, 3]
    assert (edit.plan.indices("c.weight", 2), edit.plan.indices("c.weight", 3)) == ([1, 2, 3], [2])
    assert edit.graph["c"].shape[2:] == (9, 9)
    checked(edit)


def test_a_layer_without_kernel() -> None:
    x = source()
    refused(edited(graph_of(x, layer(x, 4, "v1"))), lambda edit: edit["v1"].change(kernel=3), "kernel")


# -- norms and residual blocks -------------------------------------------------------------------------------------------
def test_worthless_neurons_of_a_layer() -> None:
    x = source(4)
    edit = edited(nl.Graph(x, layer(layer(x, 5, "v1"), 3, "v2")), value={"v1": [0.5, 0.5, -0.5, 0.5, 0.5]})
    edit.prune_worthless()
    assert edit.plan.indices("v1.weight") == edit.plan.indices("v2.weight", 1) == [0, 1, 3, 4]
    checked(edit)


@pytest.mark.parametrize("nothing", [float("nan"), float("inf")])
def test_a_value_that_is_no_number_is_the_lowest(nothing: float) -> None:
    x = source(4)
    edit = edited(nl.Graph(x, layer(layer(x, 5, "v1"), 3, "v2")), value={"v1": [1, 2, nothing, -3, 4]})
    edit["v1"].resize(out=-1)
    assert edit.plan.indices("v1.weight") == [0, 1, 3, 4]
    checked(edit)


def test_a_norm_follows_its_convolution() -> None:
    x = image(2)
    graph = nl.Graph(x, conv(nl.batch_norm(conv(x, 4, "c"), name="bn"), 2, "head"))
    edit = edited(graph)
    edit["bn"].resize(in_=-1)
    assert sizes(edit, "c", "bn") == (3, 3)
    assert all(edit.plan.indices(f"bn.{key}") == [1, 2, 3] for key in ("weight", "bias", "running_mean", "running_var"))
    checked(edit)


def test_new_channels_of_a_norm_are_neutral() -> None:
    x = image(2)
    edit = edited(nl.Graph(x, conv(nl.batch_norm(conv(x, 3, "c"), name="bn"), 2, "head")))
    edit["bn"].keep([1])
    edit["bn"].resize(out_to=3)
    assert edit.plan.indices("bn.weight") == [1, NEW, NEW]
    state = checked(edit).state_dict()
    for key, neutral in (("weight", 1), ("bias", 0), ("running_mean", 0), ("running_var", 1)):
        assert state[f"bn.{key}"][1:].tolist() == [neutral, neutral]


def test_a_residual_block() -> None:
    x = image(3, 8)
    first = nl.batch_norm(conv(x, 5, "conv1", 3, padding=1), name="bn1")
    second = nl.batch_norm(conv(first, 5, "conv2", 3, padding=1), name="bn2")
    edit = edited(nl.Graph(x, conv(nl.max_pool2d(add(first, second, "sum"), 2), 4, "out", 3)))
    edit["out"].resize(in_=-1)
    assert sizes(edit, "conv1", "bn1", "conv2", "bn2", "sum") == (4,) * 5
    assert edit.graph["out"].shape == edit.plan.before["out"].shape
    checked(edit)


def test_a_fork_beside_a_residual() -> None:
    x = source()
    trunk = layer(x, 5, "trunk")
    graph = graph_of(x, add(trunk, cat(layer(trunk, 3, "a"), layer(trunk, 2, "b"), name="join"), "sum"))
    edit = edited(graph)
    edit["head"].resize(in_=-1)
    assert sizes(edit, "trunk", "a", "b") == (4, 2, 2)
    assert edit.plan.indices("trunk.weight") == edit.plan.indices("head.weight", 1) == [1, 2, 3, 4]
    checked(edit)


def test_whole_groups_of_a_norm() -> None:
    x = image(2)
    edit = edited(nl.Graph(x, conv(nl.group_norm(conv(x, 6, "c"), 3, name="gn"), 2, "head")))
    edit["gn"].keep([0, 1, 4, 5])
    assert edit.plan.indices("gn.weight") == edit.plan.indices("c.weight") == [0, 1, 4, 5]
    assert edit.graph["gn"].attrs["groups"] == 2  # each with the channels it had
    checked(edit)


def grouped_norm(channels: int, groups: int) -> nl.Graph:
    x = image(2)
    return nl.Graph(x, conv(nl.group_norm(conv(x, channels, "c"), groups, name="gn"), 2, "head"))


@pytest.mark.parametrize(
    ("before", "after", "groups"), [((8, 4), 9, 3), ((8, 4), 7, 7), ((8, 4), 5, 5), ((12, 4), 13, 13), ((12, 3), 10, 2)]
)
def test_a_group_norm_takes_the_nearest_number_of_groups(before: tuple[int, int], after: int, groups: int) -> None:
    edit = edited(grouped_norm(*before))
    edit["gn"].resize(out_to=after)
    kept = [*range(before[0]), *[NEW] * after][:after] if after > before[0] else list(range(before[0] - after, before[0]))
    assert edit.plan.indices("gn.weight") == edit.plan.indices("c.weight") == edit.plan.indices("head.weight", 1) == kept
    assert edit.graph["gn"].attrs["groups"] == groups
    assert f"group_norm 'gn' has groups = {groups} where it had {before[1]}" in edit.plan.reasons
    assert not edit.plan.preserving
    net = checked(edit)
    x = torch.randn(2, 2, 5, 5, dtype=torch.float64)
    state = net.state_dict()
    hidden = torch.conv2d(x, state["c.weight"], state["c.bias"])
    hidden = torch.group_norm(hidden, groups, state["gn.weight"], state["gn.bias"])
    expected = torch.conv2d(hidden, state["head.weight"], state["head.bias"])
    torch.testing.assert_close(net(x), expected)


def test_whole_groups_come_first() -> None:
    """Sizes that whole groups, or as many channels of each, can give change nothing of the others' statistics."""
    edit = edited(grouped_norm(8, 4))
    edit["gn"].resize(out=+2)
    assert edit.graph["gn"].attrs["groups"] == 5 and edit.plan.indices("gn.weight") == new(range(8), 10)
    preserved(edit)
    edit = edited(grouped_norm(8, 4))
    edit["gn"].resize(out=+1, relax=True)  # a wish is met by what is near
    assert sizes(edit, "c", "gn") == (10, 10)
    preserved(edit)


def test_any_channels_of_a_group_norm_may_go() -> None:
    edit = edited(grouped_norm(6, 3))
    edit["c"].drop([0, 3, 4])
    assert edit.plan.indices("gn.weight") == [1, 2, 5] and edit.graph["gn"].attrs["groups"] == 3
    checked(edit)


def test_removal_makes_a_group_norm_take_other_groups() -> None:
    x = image(5)
    graph = nl.Graph(x, conv(nl.group_norm(conv(x, 8, "c"), 4, name="gn"), 2, "head"))
    edit = edited(graph)
    edit.remove("c")
    assert edit.graph["gn"].out_size == edit.graph["gn"].attrs["groups"] == 5
    assert edit.plan.indices("head.weight", 1) == [3, 4, 5, 6, 7]
    edit.result(torch.randn(2, 5, 5, 5, dtype=torch.float64))


# -- rows and columns ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["linear", "conv2d"])
def test_rows_and_columns_at_once(kind: str) -> None:
    if kind == "linear":
        x = source()
        graph = nl.Graph(x, layer(layer(layer(x, 3, "v1"), 4, "v2"), 2, "v3"))
    else:
        x = image(2)
        graph = nl.Graph(x, conv(conv(conv(x, 3, "v1"), 4, "v2", (1, 2)), 2, "v3"))
    edit = edited(graph)
    edit["v1"].keep([0, 2])
    edit["v2"].drop([2])
    old, net = edit.subject.model, checked(edit)
    assert torch.equal(net.get_parameter("v2.weight"), old.get_parameter("v2.weight")[[0, 1, 3]][:, [0, 2]])
    assert torch.equal(net.get_parameter("v2.bias"), old.get_parameter("v2.bias")[[0, 1, 3]])


class Recurrent(nn.Module):
    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.rnn, self.out = kind(4, 5, batch_first=True), nn.Linear(5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.out(self.rnn(x)[0])
        return out


@pytest.mark.parametrize("kind, gates", [(nn.RNN, 1), (nn.LSTM, 4), (nn.GRU, 3)])
def test_recurrent_layers_gate_by_gate(kind: Any, gates: int) -> None:
    torch.manual_seed(0)
    model, x = Recurrent(kind).double().eval(), torch.randn(2, 3, 4, dtype=torch.float64)
    edit = nl.edit(model, x)
    edit["out"].resize(in_=+1)
    assert torch.allclose(edit.result(x), model(x), rtol=1e-9, atol=1e-12)
    after = nl.edit(edit.result, x)
    after["rnn"].resize(out=-2)
    assert after.graph["out"].in_sizes == (4,) and after.result(x).shape == (2, 3, 2)
    edit = nl.edit(model, x)
    edit["rnn"].keep([0, 1])
    edit["rnn"].resize(out_to=3)
    rows = [code for gate in range(gates) for code in (5 * gate, 5 * gate + 1, NEW)]
    for key in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
        assert edit.plan.indices(f"rnn.{key}") == rows
    assert edit.plan.indices("rnn.weight_hh_l0", 1) == edit.plan.indices("out.weight", 1) == [0, 1, NEW]
    state, old = edit.result.state_dict(), model.state_dict()
    kept = [i for i, code in enumerate(rows) if code != NEW]
    assert torch.equal(state["rnn.weight_ih_l0"][kept], old["rnn.weight_ih_l0"][[rows[i] for i in kept]])
    assert torch.equal(state["rnn.weight_hh_l0"][kept][:, :2], old["rnn.weight_hh_l0"][[rows[i] for i in kept]][:, :2])


# -- what else holds -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("norm", [False, True])
def test_growth_changes_nothing_and_all_of_it_learns(norm: bool) -> None:
    x = image(3)
    middle = conv(x, 4, "first", 3)
    graph = nl.Graph(x, conv(conv(nl.batch_norm(middle, name="bn") if norm else middle, 5, "second", 3), 2, "head"))
    edit = edited(graph)
    edit.resize(out={"first": +3, "second": +2})
    net = preserved(edit)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    for _ in range(2 if norm else 1):  # shifts of the norm start at zero, and what reads them must move first
        optimizer.zero_grad()
        net(torch.randn(4, 3, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))).square().mean().backward()
        optimizer.step()
    for name, parameter in net.named_parameters():
        assert (parameter != 0).all(), name


def test_a_copy_is_independent() -> None:
    x = source()
    net = network(graph_of(x, inv(layer(x, 5, "v1"), "v2")))
    twin = copy.deepcopy(net)
    edit = edited(twin)
    edit["v1"].resize(out=-2)
    with torch.no_grad():
        for parameter in edit.result.parameters():
            parameter.zero_()
    assert twin.graph == net.graph and net.graph["v1"].out_size == 5
    assert all(torch.equal(one, other) for one, other in zip(net.state_dict().values(), twin.state_dict().values()))


class Projected(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.out = nn.LSTM(4, 5, proj_size=3, batch_first=True), nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.out(self.rnn(x)[0])
        return out


def test_a_projection_stays_smaller_than_its_state() -> None:
    torch.manual_seed(0)
    model, x = Projected().double().eval(), torch.randn(2, 3, 4, dtype=torch.float64)
    state = nl.edit(model, x).graph["rnn"]
    assert (state.attrs["hidden"], state.attrs["proj_size"]) == (5, 3)
    edit = nl.edit(model, x)
    edit["rnn"].resize(out_to=7)
    grown = edit.graph["rnn"].attrs
    assert grown["proj_size"] == 7 and grown["hidden"] == 8 and edit.plan.preserving
    assert torch.allclose(edit.result(x), model(x), rtol=1e-9, atol=1e-12)
    edit = nl.edit(model, x)
    edit["rnn:2"].drop([0, 4, 1])  # the state
    smaller = edit.graph["rnn"].attrs
    assert smaller["hidden"] == 2 and smaller["proj_size"] == 1 and edit.result(x).shape == (2, 3, 2)
    edit = nl.edit(model, x)
    with pytest.raises(EditError, match="'rnn' gives beside its state must stay smaller"):
        edit["rnn"].resize(out_to=5)
        edit["rnn:2"].resize(out_to=5)
        edit.graph
    for keep in (0.5, 0.3, 0.01):
        pruned = nl.prune(model, x, keep=keep).graph["rnn"].attrs
        assert 0 < pruned["proj_size"] < pruned["hidden"]
