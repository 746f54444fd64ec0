"""Bad input: every error says what is wrong, with which value, what was expected and what to do; nothing changes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import netloom as nl
from netloom.errors import EditError, FormatError, GraphError, NetloomError, ShapeError, TraceError
from netloom.mutate import Edit, Plan
from tests.mutate.edit_checks import same_state, state

Ask = Callable[[Edit], Any]


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))


def convolutions() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 12, 3, groups=4, padding=1), nn.ConvTranspose2d(12, 2, 2))


X, IMAGE = torch.randn(2, 4), torch.randn(1, 3, 8, 8)

#: What is asked of `net`, and what the error says.
REQUESTS: dict[str, tuple[Ask, str]] = {
    "change and size": (lambda e: e["0"].resize(out=1, out_to=7), "takes out= (a change) or out_to= (a size), not both"),
    # names
    "unknown name": (lambda e: e["00"], "no node is called '00'; did you mean '0'?"),
    "unknown in resize": (lambda e: e.resize({"3": 1}), "no node is called '3'"),
    "unknown in remove": (lambda e: e.remove("0", "11"), "no node is called '11'; did you mean '1'?"),
    "unknown source": (lambda e: e.connect("zero", "2"), "no node is called 'zero'"),
    "unknown target": (lambda e: e.connect("0", "two"), "no node is called 'two'"),
    "unknown in insert": (lambda e: e.insert_after("7", nl.op.relu()), "no node is called '7'"),
    "unknown in limit": (lambda e: e.limit("q", at_least=2), "no node is called 'q'"),
    "unknown in change": (lambda e: e.change("q", kernel=2), "no node is called 'q'"),
    "unknown in dims": (lambda e: e.dims("q"), "no node is called 'q'"),
    # sizes
    "below one": (lambda e: e["0"].resize(out=-6), "'0' has 6 features; 0 is no size: keep at least one"),
    "negative": (lambda e: e["0"].resize(out_to=-1), "-1 is no size: keep at least one"),
    "an output": (lambda e: e["2"].resize(out=-1), "the size of '2' may not change: axis 1 of an output; nl.edit(…, io=True)"),
    "an input": (lambda e: e["0"].resize(in_=1), "may not change: axis 1 of the result of input 'input'; nl.edit(…, io=True)"),
    "a fraction": (lambda e: e["0"].resize(out=1.5), "out = 1.5 for '0'; expected a whole number"),
    "a truth": (lambda e: e["0"].resize(out_to=True), "out_to = True for '0'; expected a whole number"),
    "a word": (lambda e: e["0"].resize(out="8"), "out = '8' for '0'; expected a whole number"),
    "nothing": (lambda e: e["0"].resize(), "resize of '0' needs out=, out_to=, in_= or in_to="),
    "too many inputs": (lambda e: e["2"].resize(in_=(1, 2)), "'2' reads 1 values; give a change for each of them, or None"),
    "the batch": (lambda e: e.ask("input", "the batch", None, 3, False), "is free (N); it is given by the data"),
    # indices
    "out of range": (lambda e: e["0"].drop([6]), "'0' has indices 0 to 5, not 6"),
    "far below": (lambda e: e["0"].drop([-7]), "'0' has indices 0 to 5, not -7"),
    "no whole index": (lambda e: e["0"].drop([1.5]), "1.5 is no index of '0'; expected whole numbers"),
    "no number": (lambda e: e["0"].drop(["a"]), "'a' is no index of '0'; expected whole numbers"),
    "no list": (lambda e: e["0"].drop(3), "3 is no list of indices of '0'; give [3]"),
    "all": (lambda e: e["0"].drop(range(6)), "nothing would be left"),
    "keep none": (lambda e: e["0"].keep([]), "'0' has indices 0 to 5; keep some of those"),
    "keep beyond": (lambda e: e["0"].keep([0, 9]), "'0' has indices 0 to 5; keep some of those, not [0, 9]"),
    "keep below": (lambda e: e["0"].keep([-1]), "'0' has indices 0 to 5; keep some of those, not [-1]"),
    "drop an output": (lambda e: e["2"].drop([0]), "indices of '2' may not go: the size of"),
    # limits
    "limit below one": (lambda e: e.limit("0", at_least=0), "at_least = 0 for '0'; expected 1 or more"),
    "limits crossed": (lambda e: e.limit("0", at_least=9, at_most=3), "at_most = 3 for '0'; expected"),
    "limit of an axis": (lambda e: e.limit("0", axis="up"), "axis = 'up'; expected 'in' or 'out'"),
    "a limit in the way": (
        lambda e: (e.limit("0", multiple_of=4), e["0"].resize(out=1)),
        "no sizes give '0' = 7: in the way is '0' must be a multiple of 4",
    ),
    # connections
    "a cycle": (lambda e: e.connect("2", "0"), "'0' would come before itself: '2' depends on it"),
    "itself": (lambda e: e.connect("0", "0"), "'0' would come before itself: '0' depends on it"),
    "a merge": (lambda e: e.connect("0", "2", merge="mul"), "merge = 'mul'; expected 'add' or 'cat'"),
    "an operand": (lambda e: e.connect("0", "2", operand=1), "linear '2' reads 1 values; there is no operand 1"),
    "an operand below": (lambda e: e.connect("0", "2", operand=-1), "there is no operand -1"),
    "no connection": (
        lambda e: e.disconnect("0", "2"),
        "'0' does not go into '2' by a sum, product or concatenation; nothing to disconnect",
    ),
    # insertion
    "a number": (lambda e: e.insert_after("0", 5), "5 cannot be inserted; give nl.op.NAME(…), a list of those, or a function"),
    "a module": (lambda e: e.insert_after("0", nn.ReLU()), "a ReLU cannot be inserted; give nl.op.NAME(…)"),
    "no layers": (lambda e: e.insert_after("0", []), "there is nothing in what is inserted; give nl.op.NAME(…)"),
    "no result": (lambda e: e.insert_after("0", lambda v: None), "what is inserted gives NoneType; expected one value"),
    "wrong rank": (lambda e: e.insert_after("0", nl.op.conv2d(6, kernel=3)), "conv2d: N×6 has 2 axes where"),
    "no reader": (lambda e: e.insert_after("0", nl.op.relu(), only=["2"]), "'2' does not read '0'; its readers are 1"),
    "no init": (lambda e: e.insert_after("0", nl.op.linear(6), init="zero"), "init = 'zero'; expected 'identity' or 'fresh'"),
    "no operand": (lambda e: e.insert_before("0", nl.op.relu(), operand=2), "'0' reads 1 values; there is no operand 2"),
    "operand below": (lambda e: e.insert_before("0", nl.op.relu(), operand=-5), "'0' reads 1 values; there is no operand -5"),
    # removal
    "remove none": (lambda e: e.remove(), "remove needs the name of a node"),
    "remove an input": (lambda e: e.remove("input"), "'input' is an input of the network; it stays"),
    "no way": (lambda e: e.remove("0", align="x"), "align = 'x'; expected some of 'grow', 'shrink', 'both'"),
    "replace an input": (lambda e: e.replace("input", nl.op.relu()), "'input' is an input of the network; it stays"),
    # attributes
    "no kernel": (lambda e: e.change("0", kernel=3), "linear '0' cannot change so: linear has no argument 'kernel'"),
    "no argument": (lambda e: e.change("0", foo=3), "linear has no argument 'foo'; it takes x, out, weight, bias"),
    "a size": (lambda e: e.change("0", out=3), "out of linear '0' is a size; use edit['0'].resize(…)"),
}


def refused(edit: Edit, ask: Ask, says: str) -> None:
    """The request is refused with those words; graph, plan and weights are as they were, and the edit goes on."""
    model = edit.subject.model
    before, graph, stages = state(model), edit.graph, edit.plan.stages
    with pytest.raises(NetloomError, match=re.escape(says)) as caught:
        ask(edit)
        edit.plan
    assert isinstance(caught.value, EditError | GraphError | ShapeError)
    assert edit.graph is graph and edit.plan.stages == stages
    assert same_state(state(model), before) and same_state(state(edit.result), before)


@pytest.mark.parametrize("case", REQUESTS)
def test_bad_requests(case: str) -> None:
    ask, says = REQUESTS[case]
    edit = nl.edit(net(), X)
    refused(edit, ask, says)
    edit._limits.clear()
    edit["0"].resize(out=+1)
    assert edit["0"].size == 7


#: What is asked of `convolutions`.
CONVOLUTIONS: dict[str, tuple[Ask, str]] = {
    "kernel of three": (lambda e: e.change("0", kernel=(1, 2, 3)), "kernel = (1, 2, 3) for conv2d '0'; expected 2 whole"),
    "kernel of none": (lambda e: e.change("0", kernel=0), "kernel = 0 for conv2d '0'; expected 2 whole numbers of at least 1"),
    "kernel of a half": (lambda e: e.change("0", kernel=(1.5, 1)), "kernel = (1.5, 1) for conv2d '0'; expected 2 whole"),
    "kernel transposed": (lambda e: e.change("2", kernel=3), "the kernel of conv_transpose2d '2' cannot change"),
    "stride": (lambda e: e.change("0", stride=0), "conv2d '0' cannot change so: "),
    "groups": (lambda e: e.change("1", groups=2), "groups of conv2d '1' is a size"),
    "part of a group": (lambda e: e["1"].drop([0]), "indices [0] of '1' cannot go by themselves: [1, 2] would go with them"),
    "no whole groups": (lambda e: (e.limit("1", at_most=12), e["1"].resize(out=+3)), "no sizes give '1' = 15"),
    "ranks": (lambda e: e.insert_after("0", nl.op.flatten()), "they cannot stand for one another"),
}


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_bad_requests_of_convolutions(case: str) -> None:
    ask, says = CONVOLUTIONS[case]
    refused(nl.edit(convolutions(), IMAGE), ask, says)


#: Ways to begin, the kind of error, and what it says.
BEGINNINGS: dict[str, tuple[Callable[[], Any], type[NetloomError], str]] = {
    "no model": (lambda: nl.edit(None, X), EditError, "edit takes an nn.Module, a Network or a Graph, not a NoneType"),
    "a function": (lambda: nl.edit(torch.relu, X), EditError, "edit takes an nn.Module, a Network or a Graph, not a builtin"),
    "no inputs": (lambda: nl.edit(net()), EditError, "to trace a Sequential, edit needs example_inputs"),
    "other inputs": (lambda: nl.edit(net(), torch.randn(2, 5)), TraceError, "cannot run on these example_inputs"),
    "no tensor": (lambda: nl.edit(net(), "abc"), TraceError, "example_inputs is a str; expected a tensor"),
    "a mode": (lambda: nl.edit(net(), X, new="x"), EditError, "new = 'x'; expected 'zero'"),
    "a value": (lambda: _shrunk("x"), EditError, "value 'x' is none of magnitude"),
    "scores that are too few": (lambda: _shrunk({"0": [1.0, 2.0]}), EditError, "'0'"),
    "scores of nothing": (lambda: _shrunk({"zero": [1.0]}), NetloomError, "'zero'"),
    "several devices": (
        lambda: nl.edit(nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 2, device="meta")), X),
        EditError,
        "the model's parameters are on several devices (cpu, meta); move it to one first",
    ),
    "a plan of another": (lambda: nl.edit(net(), X).adopt(nl.edit(convolutions(), IMAGE).plan), EditError, "fresh edit"),
    "no plan": (lambda: Plan.from_json("{}"), FormatError, "this document is no plan"),
    "no JSON": (lambda: Plan.from_json("nothing"), FormatError, "a plan is a JSON document"),
}


def _shrunk(value: Any) -> Any:
    edit = nl.edit(net(), X, value=value)
    edit["0"].resize(out=-1)
    return edit.plan


@pytest.mark.parametrize("case", BEGINNINGS)
def test_bad_beginnings(case: str) -> None:
    begin, kind, says = BEGINNINGS[case]
    with pytest.raises(kind, match=re.escape(says)):
        begin()


@pytest.mark.filterwarnings("ignore")
def test_quantised_models_are_refused() -> None:
    from torch.ao.quantization import quantize_dynamic

    with pytest.raises(EditError, match="'0' is a quantised Linear; edit the float model and quantise the result"):
        nl.edit(quantize_dynamic(net(), {nn.Linear}, dtype=torch.qint8), X)  # type: ignore[no-untyped-call]


def test_an_error_of_what_is_inserted_is_its_own() -> None:
    """A function that fails shows its own error; the edit is as it was."""
    edit = nl.edit(net(), X)
    with pytest.raises(ZeroDivisionError):
        edit.insert_after("0", lambda v: 1 / 0)
    assert edit.plan.stages == ()


def test_models_whose_weights_are_not_there() -> None:
    edit = nl.edit(net().to("meta"), X.to("meta"))
    edit["0"].resize(out=+2)
    assert edit.graph["0"].out_size == 8  # that needs no weights
    with pytest.raises(EditError, match="'0.weight' is on the meta device and holds no values"):
        edit.result
    edit["0"].resize(out=-3)
    with pytest.raises(EditError, match="is on the meta device"):
        edit.plan


def test_a_backward_pass_is_not_disturbed() -> None:
    model, said = net(), []

    def hook(gradient: torch.Tensor) -> None:
        for change in (lambda: nl.edit(model, X), lambda: ready.apply_to(model)):
            with pytest.raises(EditError, match="a backward pass is running") as error:
                change()
            said.append(error)

    ready = nl.edit(model, X)
    ready["0"].resize(out=-1)
    before = state(model)
    y = model(X)
    y.register_hook(hook)
    y.sum().backward()
    assert len(said) == 2 and same_state(state(model), before)
    ready.apply_to(model)
    assert model[0].out_features == 5


def test_values_are_looked_at_at_once() -> None:
    for value, says in (("magnitud", "did you mean 'magnitude'"), (3, "a mapping or a function, not a int")):
        with pytest.raises(EditError, match=says):
            nl.edit(net(), X, value=value)


def test_whole_numbers_of_others() -> None:
    import numpy as np

    edit = nl.edit(net(), X)
    edit["0"].resize(out=np.int64(-1))
    edit["2"].resize(in_=torch.tensor(-1))
    assert edit.graph["0"].out_size == 5


def test_states_and_optimisers_of_another_model() -> None:
    edit = nl.edit(net(), X)
    edit["0"].resize(out=-1)
    with pytest.raises(EditError, match="the state lacks '0.bias'"):
        edit.plan.apply({"0.weight": torch.zeros(6, 4)})
    says = re.escape("the state has '0.weight' of shape (5, 4) where the plan's network has (6, 4)")
    with pytest.raises(EditError, match=says):
        edit.plan.apply({**net().state_dict(), "0.weight": torch.zeros(5, 4)})
    with pytest.raises(EditError, match="the optimiser has a parameter that the edited model has not"):
        edit.optimizer(torch.optim.SGD(net().parameters(), lr=0.1))
    with pytest.raises(EditError, match="the edited network has no tensor '9.weight'"):
        edit.plan.indices("9.weight")


def test_after_an_error_earlier_changes_stand() -> None:
    """The request that fails is taken back, what was asked for before it is not."""
    edit = nl.edit(net(), X)
    edit.insert_after("1", nl.op.batch_norm())
    graph = edit.graph
    for ask, says in REQUESTS.values():
        with pytest.raises(NetloomError, match=re.escape(says)):
            ask(edit)
            edit.plan
        edit._limits.clear()
    assert edit.graph is graph and len(edit.plan.stages) == 1


def test_layers_where_values_are_whole_numbers() -> None:
    model = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 2))
    edit = nl.edit(model, torch.randint(0, 9, (2, 5)))
    with pytest.raises(EditError, match="is int64.*: layers with weights need values of a floating dtype"):
        edit.insert_before("0", nl.op.linear(5))
    assert edit.plan.stages == ()


class Noisy(nn.Module):
    """Adds noise in training."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.randn_like(x) if self.training else x


def test_a_choice_by_mode_stays() -> None:
    edit = nl.edit(nn.Sequential(nn.Linear(4, 6), Noisy(), nn.Linear(6, 2)), X)
    choice = next(node.name for node in edit.graph.nodes if node.op == "by_mode")
    with pytest.raises(EditError, match="exactly one can take its place"):
        edit.remove(choice)
    edit.remove("1")  # the module as a whole can go
    edit.graph.check()
    assert [node.op for node in edit.graph.nodes] == ["input", "linear", "linear"]


class Trained(nn.Module):
    """Has a second head in training."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head, self.second = nn.Linear(4, 6), nn.Linear(6, 2), nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> Any:
        x = torch.relu(self.body(x))
        return (self.head(x), self.second(x)) if self.training else self.head(x)


def test_what_one_mode_alone_computes() -> None:
    edit = nl.edit(Trained(), X)
    says = "'second' is computed in training mode only; nothing that both modes compute can read it"
    for change in (lambda: edit.insert_after("second", nl.op.relu()), lambda: edit.connect("second", "head")):
        with pytest.raises(EditError, match=says):
            change()
    edit["body"].resize(out=-2)
    assert edit.graph["second"].in_sizes == (4,)
