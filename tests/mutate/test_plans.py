"""Plans: what an edit does, as data that is read, printed, stored, applied to other weights of the same network, and undone."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import nn

import netloom as nl
from netloom.errors import EditError, FormatError, VersionError
from netloom.mutate import Edit, Plan
from tests.mutate.edit_checks import check_edit, distance, equal, outputs, prepared, same_state, state


def several(net: nl.Network) -> Edit:
    """Sizes, structure and kernels of the residual model in several stages."""
    edit = nl.edit(net)
    edit["stem"].drop([1, 5])
    edit["c1"].resize(out=+3)
    edit.insert_after("relu", [nl.op.conv2d(9, kernel=3, padding=1), nl.op.relu()])
    edit.change("c2", kernel=5)
    edit.connect("stem", "c2", merge="cat")
    edit["stem"].resize(out=+2)
    return edit


# -- reading ---------------------------------------------------------------------------------------------------------------
def test_a_plan_is_printed() -> None:
    net, _ = prepared("mlp")
    edit = nl.edit(net)
    edit["0"].resize(out=-2)
    edit["2"].resize(out=+1)
    edit.insert_after("3", nl.op.relu())
    edit.remove("1")
    assert str(edit.plan).splitlines() == [
        "node  operator  before  after  weights",
        "0     linear    8       6      6 of 8 kept",
        "1     relu      8              removed",
        "2     linear    10      11     weight: 10 kept, 1 new, 6 of 8 kept (axis 1); bias: 10 kept, 1 new",
        "3     tanh      10      11",
        "4     linear    10 in   11 in  weight: 10 kept, 1 new (axis 1)",
        "relu  relu              11     inserted",
        f"parameters {net.graph.num_params:,} → {edit.graph.num_params:,}, FLOPs {net.graph.flops:,} → {edit.graph.flops:,}",
        "not preserving: '0' loses 2 of 8 indices",
        "not preserving: what is inserted after '3' is no identity: relu 'relu' changes negative values",
        "not preserving: '1' is removed",
    ]
    assert repr(edit.plan) == "<Plan: '0' = 6, '2' = 11, insert after 3, remove 1>"


def test_a_plan_that_preserves_says_so() -> None:
    net, _ = prepared("mlp")
    edit = nl.edit(net)
    edit["0"].resize(out=+2)
    assert str(edit.plan).splitlines()[-1] == "preserving: in evaluation mode the network computes what it did"
    assert edit.plan.preserving and edit.plan.reasons == ()


def test_indices_compose_over_stages() -> None:
    net, inputs = prepared("mlp")
    edit = nl.edit(net, value={"0": list(range(8)), "2": list(range(10))})
    edit["0"].drop([0, 7])
    edit.insert_after("3", nl.op.relu())
    edit["0"].resize(out=+2)
    edit.insert_after("3", nl.op.relu())
    edit["0"].drop([2, 6])
    assert edit.plan.indices("0.weight") == edit.plan.indices("2.weight", 1) == [1, 2, 4, 5, 6, -1]
    assert edit.plan.indices("2.weight") == list(range(10))
    check_edit(edit, inputs)


def test_indices_of_copies_are_new() -> None:
    """Copies are marked by the index that they copy: -2 is a copy of 0, -3 of 1."""
    net, _ = prepared("mlp")
    edit = nl.edit(net, new="copy")
    edit["0"].resize(out=+8)
    assert edit.plan.indices("0.weight") == [*range(8), *(-(i + 2) for i in range(8))]


def test_indices_of_each_axis_of_fused_tensors() -> None:
    net, inputs = prepared("attention_fused")
    edit = nl.edit(net)
    edit["qkv:2"].drop([0])
    rows = [part * 8 + head * 4 + place for part in range(2) for head in range(2) for place in (1, 2, 3)]
    assert edit.plan.indices("qkv.weight") == [*rows, *range(16, 24)], "of queries and keys; values have their own"
    assert edit.plan.indices("o.weight", 1) == list(range(8))
    check_edit(edit, inputs)


def test_a_tensor_that_is_made_anew_comes_from_nowhere() -> None:
    net, _ = prepared("mlp")
    edit = nl.edit(net)
    edit.replace("2", nl.op.linear(10))
    assert edit.plan.indices("linear.weight") == [-1] * 10 == edit.plan.indices("linear.bias")
    with pytest.raises(EditError, match="no tensor '2.weight'"):
        edit.plan.indices("2.weight")


def test_indices_give_the_weights_of_the_result() -> None:
    net, inputs = prepared("residual")
    edit = several(net)
    old, new = net.state_dict(), edit.result.state_dict()
    compared = 0
    for key in [key for key in old if old[key].dim() == 1]:
        for place, row in enumerate(edit.plan.indices(key)):
            if row >= 0:
                assert new[key][place] == old[key][row], key
                compared += 1
    assert compared == 6 + 4 * 6 + 5 * 6 + 3, "stem and c2 with b2 kept 6 of 8, b1 all 6, fc all 3"
    check_edit(edit, inputs)


# -- data ------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("new", ["zero", "copy", "split"])
@pytest.mark.parametrize("name", ["residual", "attention_sliced", "tied_rms", "layer_scale", "group_norms", "lstm_deep"])
def test_a_plan_survives_json(name: str, new: str) -> None:
    net, inputs = prepared(name)
    for atom in nl.edit(net).dims().free:
        edit = nl.edit(net, new=new, seed=5)
        edit.ask(atom.id, atom.id, None, 2 * atom.size, False)
        again = Plan.from_json(edit.plan.to_json())
        assert again.to_json() == edit.plan.to_json() and again.seed == 5
        assert [stage.moves for stage in again.stages] == [stage.moves for stage in edit.plan.stages]
        assert str(again) == str(edit.plan)
        fresh = nl.edit(net, seed=9)
        fresh.adopt(again)
        assert fresh.graph == edit.graph and equal(outputs(fresh.result, inputs), outputs(edit.result, inputs))


def test_runs_of_indices_are_short() -> None:
    x = nl.input(4)
    graph = nl.Graph(x, nl.linear(nl.relu(nl.linear(x, 5000, name="wide")), 2))
    edit = nl.edit(graph)
    edit["wide"].drop([2500])
    (move,) = (move for key, move in json.loads(edit.plan.to_json())["stages"][0]["moves"].items() if key == "wide.bias")
    assert move["axes"] == [[[0, 2500], [2501, 2499]]]


DAMAGE: dict[str, Any] = {
    "another format": lambda d: d.update(format="netloom-graph"),
    "no stages": lambda d: d.pop("stages"),
    "no graph": lambda d: d["stages"][0].pop("graph"),
    "too few indices": lambda d: d["stages"][0]["moves"]["0.bias"]["axes"][0].pop(),
    "a huge run": lambda d: d["stages"][0]["moves"]["0.bias"]["axes"].__setitem__(0, [[0, 10**12]]),
    "too few axes": lambda d: d["stages"][0]["moves"]["0.weight"]["axes"].pop(),
    "an unknown filling": lambda d: d["stages"][0]["moves"]["0.weight"].update(fill=["magic", ""]),
    "an unknown sharing": lambda d: d["stages"][0]["moves"]["0.weight"].update(shared=["some", ""]),
    "a tensor from nowhere": lambda d: d["stages"][0]["moves"].pop("0.weight"),
    "an index that is no number": lambda d: d["stages"][0]["moves"]["0.bias"]["axes"].__setitem__(0, ["a"] * 9),
    "an index beyond": lambda d: d["stages"][0]["moves"]["0.bias"]["axes"].__setitem__(0, [99] * 9),
    "an index far below": lambda d: d["stages"][0]["moves"]["0.bias"]["axes"].__setitem__(0, [-99] * 9),
    "a seed that is no number": lambda d: d.update(seed="x"),
    "a list": lambda d: d.update(stages=[[]]),
}


def document() -> Any:
    edit = nl.edit(prepared("mlp")[0])
    edit["0"].resize(out=+1)
    return json.loads(edit.plan.to_json())


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_documents_are_refused(damage: str) -> None:
    data = document()
    Plan.from_json(json.dumps(data))
    DAMAGE[damage](data)
    with pytest.raises(FormatError):
        Plan.from_json(json.dumps(data))


def test_documents_of_later_versions_are_refused() -> None:
    with pytest.raises(VersionError, match="plan version '2' is unknown; this netloom reads version 1"):
        Plan.from_json(json.dumps({**document(), "version": 2}))


# -- applying --------------------------------------------------------------------------------------------------------------
def test_a_plan_is_applied_to_other_weights_of_the_network() -> None:
    """To those of a training that went on, and of another seed."""
    net, inputs = prepared("residual")
    plan = several(net).plan
    other = nl.build(net.graph, seed=8).double().eval()
    edit = nl.edit(other)
    edit.adopt(plan)
    result = nl.build(plan.graph, weights=plan.apply(state(other))).double().eval()
    assert equal(outputs(result, inputs), outputs(edit.result, inputs))
    check_edit(edit, inputs)


def test_applying_changes_nothing_that_is_given() -> None:
    net, _ = prepared("residual")
    plan, old = several(net).plan, state(net)
    given = {key: tensor.clone() for key, tensor in old.items()}
    first, again = plan.apply(given), plan.apply(given)
    assert same_state(first, again) and same_state(given, old)


def test_a_plan_is_adopted_by_a_fresh_edit_alone() -> None:
    net, _ = prepared("residual")
    plan = several(net).plan
    edit = nl.edit(net)
    edit.adopt(plan)
    edit["c1"].resize(out=-1)
    assert len(edit.plan.stages) == len(plan.stages) + 1, "and goes on from there"
    with pytest.raises(EditError, match="can only be adopted by a fresh edit"):
        edit.adopt(plan)


def test_half_precision_weights() -> None:
    net, _ = prepared("residual")
    plan = several(net).plan
    half = plan.apply({key: value.half() if value.is_floating_point() else value for key, value in state(net).items()})
    assert {value.dtype for value in half.values() if value.is_floating_point()} == {torch.float16}


# -- undoing ---------------------------------------------------------------------------------------------------------------
def test_what_was_learned_is_put_back() -> None:
    """After an edit and a training, undo gives the old network with what survived as it is now."""
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).double()
    x = torch.randn(2, 4, dtype=torch.float64)
    edit = nl.edit(model, x)
    edit["0"].drop([1, 6])
    edit.insert_after("1", nl.op.linear(6))
    trained = {key: value + 1 for key, value in state(edit.result).items()}
    old = state(model)
    back = edit.plan.undo(trained, old)
    assert back.keys() == old.keys()
    kept = [0, 2, 3, 4, 5, 7]
    assert torch.equal(back["0.weight"][kept], old["0.weight"][kept] + 1)
    assert torch.equal(back["0.weight"][[1, 6]], old["0.weight"][[1, 6]]), "what was dropped comes back as it was"
    assert torch.equal(back["2.weight"][:, kept], old["2.weight"][:, kept] + 1)
    assert torch.equal(back["2.bias"], old["2.bias"] + 1)


@pytest.mark.parametrize("new", ["zero", "copy", "split"])
@pytest.mark.parametrize("name", ["mlp", "residual", "tied_rms", "layer_scale", "attention_fused", "gru"])
def test_growth_undone_computes_what_it_did(name: str, new: str) -> None:
    """Also where copies share weights, and norms make up for zeros by a factor."""
    net, inputs = prepared(name)
    expected = outputs(net, inputs)
    for atom in nl.edit(net).dims().free:
        edit = nl.edit(net, new=new)
        edit.ask(atom.id, atom.id, None, 2 * atom.size, False)
        back = edit.plan.undo(edit.plan.apply(state(net)), state(net))
        again = nl.build(net.graph, weights=back).double().eval()
        assert distance(outputs(again, inputs), expected) < 1e-12


def test_undo_of_several_stages() -> None:
    net, inputs = prepared("residual")
    edit = several(net)
    back = edit.plan.undo(edit.plan.apply(state(net)), state(net))
    assert equal(outputs(nl.build(net.graph, weights=back).double().eval(), inputs), outputs(net, inputs))
