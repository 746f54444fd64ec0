"""`nl.edit`: sizes that are asked for, indices that go, what stays of the model; removals are held to a masked network."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import netloom as nl
from netloom.errors import EditError, NetloomWarning
from netloom.mutate import Edit, analyse
from tests.mutate.edit_checks import BOUND, check_edit, distance, equal, outputs, prepared, same_state, state
from tests.mutate.mask_oracle import is_exact, masked
from tests.mutate.small_models import MODELS, small


def sizes(edit: Edit, *names: str) -> list[int]:
    return [edit.graph[name].out_size for name in names]


# -- removal ---------------------------------------------------------------------------------------------------------------
def check_removal(edit: Edit, inputs: Any, kept: dict[str, list[int]]) -> bool:
    """Hold an edit that removes to the network whose removed indices are zeroed; True where outputs could be compared."""
    net = edit.subject.model
    found = check_edit(edit, inputs)
    before = analyse(net.graph)
    if not is_exact(before, kept):
        return False
    zeroed = nl.build(masked(before, kept)).double().eval()
    weights = state(net)
    for key, axes in edit.plan.codes.items():
        for axis, codes in enumerate(axes or ()):
            if codes is not None:  # Inside a recurrent call no mask reaches.
                gone = sorted(set(range(weights[key].shape[axis])) - set(codes.tolist()))
                weights[key].index_fill_(axis, torch.tensor(gone, dtype=torch.int64), 0)
    zeroed.load_state_dict({key: weights[key] for key in net.state_dict()}, strict=False)
    assert distance(found, outputs(zeroed, inputs)) < BOUND
    return True


#: Models in which nothing can be removed by the index without something that mixes indices seeing it.
ALL_MIXED = {"distances", "group_norms", "weight_standard", "weight_norm", "rectified_rms", "written_rms"}


@pytest.mark.parametrize("name", MODELS)
def test_dropped_indices_are_as_good_as_zeros(name: str) -> None:
    """Some indices of every size go, each size alone and then all at once."""
    net, inputs = prepared(name)
    compared = 0
    everything = nl.edit(net)
    kept: dict[str, list[int]] = {}
    for atom in everything.dims().free:
        left = [i for i in range(atom.size) if (i * 7 + 3) % 4 < 2] or [0]
        if len(left) == atom.size:
            continue
        gone = [i for i in range(atom.size) if i not in left]
        if (name, atom.id) == ("lstm_projected", "r:2"):
            continue  # A state of 2 has no projection to 3; see test_a_projection_stays_smaller_than_its_state.
        edit = nl.edit(net)
        edit.drop(atom.id, gone, repr(atom.id))
        compared += check_removal(edit, inputs, {atom.id: left})
        if is_exact(analyse(net.graph), {atom.id: left}):
            everything.drop(atom.id, gone, repr(atom.id))
            kept[atom.id] = left
    if kept:
        compared += check_removal(everything, inputs, kept)
    assert compared or name in ALL_MIXED


@pytest.mark.parametrize("how", ["drop", "keep", "resize", "negative"])
def test_ways_to_remove(how: str) -> None:
    net, inputs = prepared("residual")
    scores = {"stem": torch.tensor([5.0, 1, 7, 2, 8, 0, 3, 6])}
    edit = nl.edit(net, value=scores)
    if how == "drop":
        edit["stem"].drop([1, 5])
    elif how == "negative":
        edit["stem"].drop([-3, -7])
    elif how == "keep":
        edit["stem"].keep([0, 2, 3, 4, 6, 7])
    else:
        edit["stem"].resize(out=-2)
    kept = [0, 2, 3, 4, 6, 7]
    for key, axis in [("stem.weight", 0), ("c2.bias", 0), ("b2.running_mean", 0), ("c1.weight", 1), ("fc.weight", 1)]:
        assert edit.plan.indices(key, axis) == kept, key
    assert check_removal(edit, inputs, {"stem": kept})
    assert edit.plan.reasons == ("'stem' loses 2 of 8 indices",)


@pytest.mark.parametrize("value", ["magnitude", "random"])
@pytest.mark.parametrize("name", ["mlp", "conv", "residual", "mbconv", "lstm", "gated", "shared"])
def test_what_is_worth_least_goes(name: str, value: str) -> None:
    """A size that shrinks by value gives what the removal of the same indices by hand gives."""
    net, inputs = prepared(name)
    before = analyse(net.graph)
    for atom in before.free:
        places = [(key, axis) for key in net.state_dict() for axis, how in enumerate(before.of(key)) if how == atom.id]
        edit = nl.edit(net, value=value)
        edit.ask(atom.id, atom.id, None, atom.size // 2, False)
        kept = edit.plan.indices(*places[0])
        assert len(kept) == atom.size // 2 and all(edit.plan.indices(*place) == kept for place in places)
        by_hand = nl.edit(net)
        by_hand.drop(atom.id, [i for i in range(atom.size) if i not in kept], atom.id)
        assert same_state(state(by_hand.result), state(edit.result)) and by_hand.graph == edit.graph
        assert check_removal(edit, inputs, {atom.id: kept})


def test_the_worthless_go() -> None:
    net, inputs = prepared("mlp")
    values = {"0": [1.0, -1, 2, -2, 3, 4, -1, 5], "2": [-float(i + 1) for i in range(10)]}
    edit = nl.edit(net, value=values)
    edit.prune_worthless()
    assert edit.plan.indices("0.weight") == [0, 2, 4, 5, 7]
    assert edit.plan.indices("2.weight") == [0], "of a layer that is worth nothing, one stays: the best"
    assert check_removal(edit, inputs, {"0": [0, 2, 4, 5, 7], "2": [0]})


# -- what is asked for -----------------------------------------------------------------------------------------------------
def test_sizes_relative_and_absolute() -> None:
    net, inputs = prepared("mlp")
    edit = nl.edit(net)
    edit["0"].resize(out=-3)
    edit["2"].resize(out_to=12)
    assert sizes(edit, "0", "2") == [5, 12]
    check_edit(edit, inputs)
    edit["2"].resize(in_to=8)
    edit["4"].resize(in_=-1)
    assert sizes(edit, "0", "2") == [8, 11]
    check_edit(edit, inputs)


def test_changes_of_one_size_add_up_and_sizes_replace() -> None:
    edit = nl.edit(prepared("mlp")[0])
    edit["0"].resize(out=+2)
    edit["0"].resize(out=+3)
    assert edit["0"].size == 13
    edit["0"].resize(out_to=4)
    edit["0"].resize(out_to=6)
    edit["0"].resize(out=-1)
    assert edit["0"].size == 5


def test_requests_at_once() -> None:
    net, inputs = prepared("unet")
    edit = nl.edit(net)
    edit.resize({"e1": +2, "mid": -1}, {"up": 5})
    assert sizes(edit, "e1", "mid", "up") == [6, 7, 5] and edit.graph["cat"].out_size == 11
    assert len(edit.plan.stages) == 1, "sizes are settled together"
    check_edit(edit, inputs)


def test_of_several_sizes_none_is_asked_for_where_one_cannot_be_had() -> None:
    net, _ = prepared("unet")
    edit = nl.edit(net)
    edit["mid"].resize(out=+1)
    with pytest.raises(EditError, match="the size of 'out' may not change"):
        edit.resize({"e1": +2, "out": +1})
    with pytest.raises(EditError, match="keep at least one"):
        edit["cat"].resize(in_=(+1, -4))
    assert sizes(edit, "e1", "up", "mid") == [4, 4, 9]


def test_each_input_of_a_node() -> None:
    net, inputs = prepared("unet")
    edit = nl.edit(net)
    edit["cat"].resize(in_=(None, +3))
    assert sizes(edit, "e1", "up", "cat") == [4, 7, 11]
    edit["cat"].resize(in_to=(3, 6))
    assert sizes(edit, "e1", "up", "cat") == [3, 6, 9]
    check_edit(edit, inputs)


def test_a_size_inside_a_node_by_the_name_of_the_atom() -> None:
    net, inputs = prepared("attention_apart")
    edit = nl.edit(net)
    heads, width = (next(atom for atom in edit.dims().free if atom.id == name) for name in ("q", "q:2"))
    assert (heads.size, width.size) == (2, 4)
    edit["q:2"].resize(out_to=6)
    assert sizes(edit, "q", "k") == [12, 12] and edit["q:2"].size == 6
    assert equal(outputs(edit.result, inputs), check_edit(edit, inputs))


def test_a_module_stands_for_its_layer_with_weights() -> None:
    net, inputs = prepared("mbconv")
    edit = nl.edit(net)
    edit["7"].resize(out=-2)
    assert edit.graph["7.b"].out_size == 6, "7 squeezes and excites by 7.a and 7.b"
    check_edit(edit, inputs)


def test_wishes_give_way() -> None:
    net, inputs = prepared("grouped")
    edit = nl.edit(net)
    edit.limit("1", multiple_of=4)
    edit["1"].resize(out_to=15, relax=True)
    assert edit["1"].size == 16
    check_edit(edit, inputs)
    edit = nl.edit(net, relax=True)
    edit.limit("1", multiple_of=4)
    with pytest.warns(NetloomWarning, match="'1' cannot have 15 features; it has 16"):
        edit["1"].resize(out_to=15)
        edit.plan


def test_limits_hold_for_what_follows() -> None:
    net, inputs = prepared("residual")
    edit = nl.edit(net)
    edit.limit("stem", at_least=6, at_most=10, multiple_of=2)
    for wanted, found in ((3, 6), (7, 6), (12, 10), (9, 10)):
        edit["stem"].resize(out_to=wanted, relax=True)
        assert abs(edit["stem"].size - found) in (0, 2) and edit["stem"].size in (6, 8, 10)
    check_edit(edit, inputs)
    edit.limit("c1", step=3)
    edit["c1"].resize(out_to=10, relax=True)
    assert edit["c1"].size == 9, "6, changed by a multiple of 3"


def test_inputs_and_outputs_change_when_they_may() -> None:
    net, _ = prepared("mlp")
    edit = nl.edit(net, io=True)
    edit["0"].resize(in_=+2)
    edit["4"].resize(out=+1)
    x = torch.randn(2, 8, dtype=torch.float64)
    found = edit.result(x)
    assert found.shape == (2, 4)
    torch.testing.assert_close(found[:, :3], net(x[:, :6]), rtol=1e-12, atol=1e-12)


def test_a_graph_alone() -> None:
    x = nl.input(3, 8, 8)
    y = nl.relu(nl.conv2d(x, 16, kernel=3, name="conv"))
    graph = nl.Graph(x, nl.linear(nl.flatten(y), 10, name="head"))
    edit = nl.edit(graph, value={"conv": list(range(16))})
    edit["conv"].resize(out=-12)
    assert edit.graph["head"].in_sizes == (4 * 36,)
    assert edit.plan.indices("conv.weight") == [12, 13, 14, 15]
    assert edit.plan.indices("head.weight", 1) == list(range(12 * 36, 16 * 36))
    with pytest.raises(EditError, match="a Graph has no weights to edit"):
        edit.result
    nl.build(edit.graph)(torch.randn(2, 3, 8, 8))


# -- what an edit leaves alone ---------------------------------------------------------------------------------------------
def test_a_model_is_never_changed() -> None:
    model, inputs = small("residual")
    model.train()
    loss = model(*inputs).sum()
    before = state(model)
    edit = nl.edit(model, inputs)
    edit["stem"].resize(out=-3)
    edit.insert_after("b1", nl.op.relu())
    edit.remove("b2")
    result = edit.result
    with torch.no_grad():
        for tensor in result.state_dict().values():
            tensor.zero_()
    assert same_state(state(model), before) and model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_a_result_has_weights_of_its_own_that_are_leaves() -> None:
    model, inputs = small("tied_rms")
    edit = nl.edit(model, inputs)
    result = edit.result
    mine = {tensor.data_ptr() for tensor in state(model).values()}
    own = dict(result.named_parameters())
    assert all(parameter.is_leaf and parameter.data_ptr() not in mine for parameter in own.values())
    edit["a"].resize(out=-2)
    larger = edit.result
    assert larger.get_parameter("o.weight") is larger.get_parameter("e.weight"), "ties stay ties"


def test_nothing_asked_for_is_nothing_done() -> None:
    net, inputs = prepared("residual")
    edit = nl.edit(net)
    edit["stem"].resize(out=0)
    edit["c1"].keep(range(6))
    edit["c1"].drop([])
    assert edit.plan.stages == () and str(edit.plan) == "nothing changes" and edit.graph is net.graph
    assert equal(outputs(edit.result, inputs), outputs(net, inputs))


def test_the_state_of_a_model_as_it_is_now_is_edited() -> None:
    """Weights are read when the result is made, not when the edit begins."""
    model, inputs = small("mlp")
    edit = nl.edit(model, inputs)
    edit["0"].resize(out=+1)
    with torch.no_grad():
        model[4].bias.fill_(7)  # type: ignore[index, union-attr, operator]
    assert edit.result.state_dict()["4.bias"].tolist() == [7, 7, 7]


def test_half_precision_stays_half() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).bfloat16()
    edit = nl.edit(model, torch.randn(2, 4).bfloat16())
    edit["0"].resize(out=+3)
    edit.insert_after("1", nl.op.linear(11))
    assert {tensor.dtype for tensor in edit.result.state_dict().values()} == {torch.bfloat16}


def test_what_takes_the_place_of_all_weights_has_their_dtype() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU()).double()
    edit = nl.edit(model, torch.randn(2, 4).double())
    edit.remove("0")
    edit.insert_before("1", nl.op.linear(4))
    assert {tensor.dtype for tensor in edit.result.state_dict().values()} == {torch.float64}


# -- one after another -----------------------------------------------------------------------------------------------------
def test_undo_takes_back_one_thing_at_a_time() -> None:
    net, inputs = prepared("residual")
    edit = nl.edit(net)
    graphs, states = [edit.graph], [state(edit.result)]

    def did() -> None:
        graphs.append(edit.graph)
        states.append(state(edit.result))

    edit["stem"].resize(out=+2)
    did()
    edit.insert_after("relu", nl.op.batch_norm())
    did()
    edit["c1"].drop([0])
    did()
    edit.change("c1", kernel=1)
    did()
    edit["stem"].resize(out=+5)
    for graph, weights in zip(reversed(graphs), reversed(states)):
        edit.undo()
        assert edit.graph == graph and same_state(state(edit.result), weights)
    edit.undo()
    assert edit.plan.stages == ()


def test_a_with_block_settles_what_was_asked_for_or_forgets_it() -> None:
    net, _ = prepared("mlp")
    with nl.edit(net) as edit:
        edit["0"].resize(out=-1)
    assert edit["0"].size == 7
    with pytest.raises(KeyError), nl.edit(net) as edit:
        edit["0"].resize(out=-1)
        raise KeyError
    assert edit["0"].size == 8
    with pytest.raises(EditError, match="in the way is"), nl.edit(net) as edit:
        edit.limit("0", multiple_of=4)
        edit["0"].resize(out=-1)


def test_values_follow_their_neurons() -> None:
    """In a later stage the neurons that are worth least by the model's own measure go, new ones first."""
    net, inputs = prepared("mlp")
    edit = nl.edit(net, value={"0": [float(8 - i) for i in range(8)], "2": [1.0] * 10})
    edit["0"].drop([0, 1])
    edit.insert_after("2", nl.op.relu())
    edit["0"].resize(out=+2)
    edit.insert_after("2", nl.op.relu())
    edit["0"].resize(out=-4)
    assert edit.plan.indices("0.weight") == [2, 3, 4, 5], "6 and 7 and the new ones are worth less"
    check_edit(edit, inputs)


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW])
def test_an_optimizer_follows(kind: Any) -> None:
    """A step of the edited network with the moved optimiser is the model's step, for what survives."""
    model, inputs = small("mlp")
    options = {"momentum": 0.9} if kind is torch.optim.SGD else {}
    optimizer = kind(model.parameters(), lr=0.01, **options)

    def step(net: nn.Module, optimizer: Any) -> None:
        optimizer.zero_grad()
        net(*inputs).square().sum().backward()
        optimizer.step()

    step(model, optimizer)
    edit = nl.edit(model, inputs)
    edit["0"].resize(out=+3)
    moved, result = edit.optimizer(optimizer), edit.result
    assert type(moved) is kind and moved.param_groups[0]["lr"] == 0.01
    step(result, moved)
    step(model, optimizer)
    for key, tensor in model.state_dict().items():
        new = result.state_dict()[key]
        for axis in range(new.dim()):
            indices = torch.tensor(edit.plan.indices(key, axis))
            new = new.index_select(axis, (indices >= 0).nonzero()[:, 0])
        torch.testing.assert_close(new, tensor, rtol=1e-9, atol=1e-12)
