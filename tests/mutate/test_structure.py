"""Edits of structure: what is inserted as an identity changes no bit, what survives is bit-equal, effects keep their order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import netloom as nl
from netloom.errors import EditError, ShapeError
from netloom.mutate import Edit
from netloom.ops import Edge
from tests.mutate.edit_checks import BOUND, check_edit, distance, equal, network, outputs, prepared, state
from tests.mutate.small_models import Function, small, stir


def reads(edit: Edit, name: str) -> tuple[str, ...]:
    return tuple(node.name for node in edit.graph[name].inputs)


def nodes(net: nl.Network) -> list[str]:
    return [node.name for node in net.graph.nodes if node.op != "input"]


#: Models in which every node is tried, and others that take longer.
QUICK = ["residual", "two_inputs", "tied"]
SLOW = ["mlp", "unet", "lstm", "shared", "conv", "mbconv", "grouped", "attention_fused", "layer_scale", "expert_list", "audio"]
SLOW += ["vit", "encoder", "einsum"]
EACH = [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]


def tried(name: str, ask: Callable[[Edit, str], Any], places: list[str] | None = None) -> Counter[str]:
    """Ask it of every node; what is not refused is held to `check_edit`. How often it was refused, done, and preserving."""
    net, inputs = prepared(name)
    counts: Counter[str] = Counter()
    for place in nodes(net) if places is None else places:
        edit = nl.edit(net)
        try:
            ask(edit, place)
            edit.plan
        except (EditError, ShapeError):
            counts["refused"] += 1
            assert edit.plan.stages == () and edit.graph is net.graph
            continue
        check_edit(edit, inputs)
        counts["done"] += 1
        counts["preserving"] += edit.plan.preserving
    return counts


# -- insertion -------------------------------------------------------------------------------------------------------------
def identities(graph: nl.Graph, node: str) -> list[Any]:
    """Layers that can stand after a node as an identity."""
    shape = graph.type_of(Edge(node)).shape
    if not graph.type_of(Edge(node)).dtype.startswith("float") or not all(isinstance(size, int) for size in shape[1:]):
        return []
    found: list[Any] = [nl.op.linear(shape[-1])] if len(shape) > 1 else []
    if len(shape) == 4:
        found.append(nl.op.conv2d(shape[1], kernel=3, padding=1))
        found.append([nl.op.conv2d(shape[1], kernel=1, groups=shape[1]), nl.op.batch_norm()])
    return found


@pytest.mark.parametrize("name", EACH)
def test_an_identity_changes_no_bit(name: str) -> None:
    """After every node, for all of its readers."""
    net, inputs = prepared(name)
    expected, count = outputs(net, inputs), 0
    for node in nodes(net):
        for layers in identities(net.graph, node):
            edit = nl.edit(net)
            new = edit.insert_after(node, layers)
            found = check_edit(edit, inputs)
            # A norm by running statistics divides by √1; a transposed weight is multiplied in another order.
            nearly = isinstance(layers, list) or name == "tied"
            assert distance(found, expected) < 1e-12 if nearly else equal(found, expected), (node, layers)
            assert edit.plan.preserving and all(each in edit.graph for each in new)
            count += 1
    assert count >= len(nodes(net)) / 2


def test_an_identity_learns() -> None:
    net, inputs = prepared("residual")
    edit = nl.edit(net)
    conv, norm = edit.insert_after("stem", [nl.op.conv2d(8, kernel=3, padding=1), nl.op.batch_norm()])
    result = edit.result
    result(*inputs).square().sum().backward()
    for key in (f"{conv}.weight", f"{conv}.bias", f"{norm}.weight", f"{norm}.bias"):
        assert (result.get_parameter(key).grad != 0).all(), key


def test_a_rectifier_is_an_identity_after_a_rectifier_alone() -> None:
    net, _ = prepared("mlp")
    edit = nl.edit(net)
    edit.insert_after("1", nl.op.relu())
    assert edit.plan.preserving
    edit = nl.edit(net)
    edit.insert_after("0", nl.op.relu())  # a rectifier reads it
    assert edit.plan.preserving
    edit = nl.edit(net)
    edit.insert_before("0", nl.op.relu())
    (reason,) = edit.plan.reasons
    assert reason.endswith("is no identity: relu 'relu' changes negative values")


def test_a_residual_branch_starts_at_zero_and_learns() -> None:
    net, inputs = prepared("residual")
    edit = nl.edit(net)
    new = edit.insert_before("c1", lambda v: nl.add(v, nl.conv2d(nl.relu(nl.conv2d(v, 5, kernel=1)), 8, kernel=3, padding=1)))
    assert [edit.graph[name].op for name in new] == ["conv2d", "relu", "conv2d", "add"]
    assert equal(check_edit(edit, inputs), outputs(net, inputs)) and edit.plan.preserving
    assert reads(edit, "c1") == (new[-1],) and reads(edit, "add")[0] == "stem", "c1 alone reads the branch"
    result = edit.result
    result(*inputs).square().sum().backward()
    assert (result.get_parameter(f"{new[2]}.weight").grad != 0).any()


def test_only_some_readers() -> None:
    net, inputs = prepared("residual")
    edit = nl.edit(net)
    (new,) = edit.insert_after("stem", nl.op.tanh(), only=["add"])
    assert reads(edit, "c1") == ("stem",) and new in reads(edit, "add")
    by_hand = Function(_with_tanh, **dict(small("residual")[0].named_children())).eval()
    assert distance(outputs(edit.result.eval(), inputs), outputs(by_hand, inputs)) < BOUND


def _with_tanh(net: Any, x: Tensor) -> Any:
    x = net.stem(x)
    y = net.c2(F.relu(net.b1(net.c1(x))))
    return net.fc(F.relu(torch.tanh(x) + net.b2(y)).mean((2, 3)))


def test_fresh_layers_are_drawn_and_follow_the_seed() -> None:
    net, inputs = prepared("mlp")
    first, again, other = (nl.edit(net, seed=seed) for seed in (1, 1, 2))
    for edit in (first, again, other):
        edit.insert_after("1", nl.op.linear(8), init="fresh")
    weights = [edit.result.state_dict()["linear.weight"] for edit in (first, again, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    assert not torch.equal(weights[0], torch.eye(8, dtype=torch.float64))
    assert first.plan.indices("linear.weight") == [-1] * 8
    check_edit(first, inputs)


@pytest.mark.parametrize("name", EACH)
def test_layers_of_another_width(name: str) -> None:
    """What reads them adapts, or the request is refused."""

    def ask(edit: Edit, node: str) -> None:
        type_ = edit.graph.type_of(Edge(node))
        if type_.rank == 4:
            edit.insert_after(node, [nl.op.conv2d(type_.shape[1] + 3, kernel=3, padding=1), nl.op.relu()], init="fresh")
        elif type_.rank > 1 and type_.dtype.startswith("float") and isinstance(type_.shape[-1], int):
            edit.insert_after(node, [nl.op.linear(type_.shape[-1] + 3), nl.op.relu()], init="fresh")
        else:
            raise EditError("nothing fits there")

    assert tried(name, ask)["done"] >= 1


def test_a_wider_layer_between_others() -> None:
    net, inputs = prepared("mlp")
    edit = nl.edit(net)
    edit.insert_after("1", [nl.op.linear(13), nl.op.relu()])
    assert edit.graph["2"].in_sizes == (13,) and edit.graph["linear"].in_sizes == (8,)
    assert edit.plan.indices("2.weight", 1) == [*range(8), *[-1] * 5]
    check_edit(edit, inputs)


# -- removal and replacement -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", EACH)
def test_every_node_is_removed_or_refused(name: str) -> None:
    counts = tried(name, lambda edit, node: edit.remove(node))
    assert counts["done"] >= 1


@pytest.mark.parametrize("name", EACH)
def test_every_node_is_replaced_or_refused(name: str) -> None:
    counts = tried(name, lambda edit, node: edit.replace(node, nl.op.linear(5)))
    assert counts["done"] >= 1 and not counts["preserving"]


def test_what_read_a_removed_layer_reads_what_it_read() -> None:
    net, inputs = prepared("residual")
    edit = nl.edit(net)
    edit.remove("c2")
    assert reads(edit, "b2") == ("relu",) and "c2.weight" not in edit.result.state_dict()
    assert edit.graph["c1"].out_size == edit.graph["stem"].out_size == 8, "the smaller side grows"
    check_edit(edit, inputs)
    smaller = nl.edit(net)
    smaller.remove("c2", align="shrink")
    assert smaller.graph["c1"].out_size == smaller.graph["stem"].out_size == 6
    check_edit(smaller, inputs)


def test_pixels_that_nobody_can_make() -> None:
    """What differs in height and width cannot be aligned by channels."""
    edit = nl.edit(prepared("conv")[0])
    with pytest.raises(EditError, match="in the way is the fixed size of axis 2 of the result of max_pool2d '3'"):
        edit.remove("4", align="shrink")


def test_dropout_and_views_go_unnoticed() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.Dropout(0.5), nn.Identity(), nn.Linear(6, 2)).double().eval()
    x = torch.randn(3, 4, dtype=torch.float64)
    edit = nl.edit(model, x)
    edit.remove("1")
    assert edit.plan.preserving and equal(check_edit(edit, (x,)), outputs(model, (x,)))


def test_a_module_of_several_nodes_goes_as_one() -> None:
    net, inputs = prepared("mbconv")
    edit = nl.edit(net)
    edit.remove("7")
    assert not any(name.startswith("7.") for name in nodes(edit.result))
    assert reads(edit, "8") == ("6",)
    check_edit(edit, inputs)


def test_a_layer_in_place_of_another() -> None:
    net, inputs = prepared("residual")
    edit = nl.edit(net)
    new = edit.replace("c1", [nl.op.conv2d(4, kernel=1), nl.op.conv2d(9, kernel=3, padding=1)])
    assert "c1" not in edit.graph and reads(edit, "b1") == (new[-1],) and edit.graph["b1"].out_size == 9
    assert edit.plan.reasons[0] == "'c1' is replaced"
    check_edit(edit, inputs)


# -- connections -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("merge", ["add", "cat"])
@pytest.mark.parametrize("name", EACH)
def test_connections_of_all_pairs(name: str, merge: str) -> None:
    """Of every node to some later one, and where it is possible, taken back."""
    net, inputs = prepared(name)
    order = nodes(net)
    done = 0
    for i, source in enumerate(order):
        for target in order[i + 1 :: 3]:
            edit = nl.edit(net)
            try:
                edit.connect(source, target, merge=merge)
            except EditError:
                assert edit.graph is net.graph
                continue
            found = check_edit(edit, inputs)
            if edit.plan.preserving:
                assert distance(found, outputs(net, inputs)) < BOUND
            done += 1
    assert done >= 1 or (name, merge) == ("tied", "cat")


def test_a_sum_is_made() -> None:
    net, inputs = prepared("mlp")
    edit = nl.edit(net)
    edit.connect("1", "4")
    assert reads(edit, "4") == ("add",) and set(reads(edit, "add")) == {"1", "3"}
    assert edit.graph["2"].out_size == edit.graph["0"].out_size == 10
    assert edit.plan.reasons[0] == "'1' is added to what '4' reads"
    check_edit(edit, inputs)


def test_a_concatenation_is_made_and_nobody_notices() -> None:
    """What reads it has zeros for what is new."""
    net, inputs = prepared("mlp")
    edit = nl.edit(net)
    edit.connect("1", "4", merge="cat")
    assert reads(edit, "4") == ("cat",) and edit.graph["4"].in_sizes == (18,)
    assert edit.plan.indices("4.weight", 1) == [*range(10), *[-1] * 8]
    assert edit.plan.preserving and equal(check_edit(edit, inputs), outputs(net, inputs))


def test_a_concatenation_gets_one_more_part_and_loses_it() -> None:
    net, inputs = prepared("unet")
    edit = nl.edit(net)
    edit.connect("relu", "cat")
    assert reads(edit, "cat") == ("relu", "up", "relu") and edit.graph["d"].in_sizes == (12,)
    assert edit.plan.indices("d.weight", 1) == [*range(8), *[-1] * 4] and edit.plan.preserving
    check_edit(edit, inputs)
    edit.disconnect("relu", "cat", number=1)
    assert reads(edit, "cat") == ("relu", "up") and edit.plan.indices("d.weight", 1) == list(range(8))
    assert equal(check_edit(edit, inputs), outputs(net, inputs))


def test_a_part_of_a_concatenation_goes_with_its_weights() -> None:
    net, inputs = prepared("unet")
    edit = nl.edit(net)
    edit.disconnect("relu", "cat")
    assert reads(edit, "d") == ("up",) and edit.plan.indices("d.weight", 1) == [4, 5, 6, 7]
    assert "cat" not in edit.graph and reads(edit, "e2") == ("relu",)
    check_edit(edit, inputs)


def test_a_skip_is_taken_out() -> None:
    net, inputs = prepared("residual")
    edit = nl.edit(net)
    edit.disconnect("stem", "add")
    assert "add" not in edit.graph and reads(edit, "relu_1") == ("b2",)
    check_edit(edit, inputs)
    other = nl.edit(net)
    other.disconnect("b2", "add")
    assert reads(other, "relu_1") == ("stem",)
    check_edit(other, inputs)


# -- kernels ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kernel", [1, 2, 4, 5, 7])
@pytest.mark.parametrize("name", ["residual", "unet", "conv", "grouped", "audio"])
def test_kernels(name: str, kernel: int) -> None:
    """Larger kernels compute what the smaller did, and all sizes stay."""
    net, inputs = prepared(name)
    for node in net.graph.nodes:
        if node.op in ("conv1d", "conv2d"):
            edit = nl.edit(net)
            edit.change(node.name, kernel=kernel)
            found = check_edit(edit, inputs)
            old = node.attrs["kernel"]
            assert edit.graph[node.name].attrs["kernel"] == (kernel,) * len(old)
            assert [each.shape for each in found] == [each.shape for each in outputs(net, inputs)]
            if all(kernel >= k for k in old):
                assert edit.plan.preserving
            middle = edit.graph[node.name].shape
            assert middle == node.shape


def test_a_kernel_grows_around_what_it_was() -> None:
    net, _ = prepared("residual")
    edit = nl.edit(net)
    edit["c1"].change(kernel=5)
    new = edit.result.state_dict()["c1.weight"]
    assert torch.equal(new[..., 1:4, 1:4], net.state_dict()["c1.weight"]) and edit.graph["c1"].attrs["padding"] == (2, 2)
    assert (F.pad(new[..., 1:4, 1:4], (1, 1, 1, 1)) == new).all()


def test_a_kernel_shrinks_to_its_weightiest_part() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 5, padding=2), nn.ReLU(), nn.Conv2d(2, 1, 1)).double().eval()
    with torch.no_grad():
        model[0].weight[..., 2:, 1:4] += 5  # type: ignore[operator, index, union-attr]
    x = torch.randn(1, 1, 8, 8, dtype=torch.float64)
    edit = nl.edit(model, x)
    edit.change("0", kernel=3)
    assert edit.plan.indices("0.weight", 3) == [1, 2, 3]
    assert edit.plan.reasons == ("the kernel of '0' loses cells",)
    check_edit(edit, (x,))


def test_strides() -> None:
    net, inputs = prepared("residual")
    edit = nl.edit(net)
    edit.change("stem", stride=2)
    assert edit.graph["c2"].shape[2:] == (3, 3)
    check_edit(edit, inputs)


# -- effects ---------------------------------------------------------------------------------------------------------------
def noisy() -> tuple[nl.Network, tuple[Tensor]]:
    """Random draws and buffers that are updated, in a row."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(6, 8), nn.Dropout(0.3), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 8), nn.Dropout(0.5), nn.BatchNorm1d(8),
        nn.Linear(8, 3), nn.AlphaDropout(0.2),
    ).double()  # fmt: skip
    stir(model)
    x = torch.randn(5, 6, dtype=torch.float64)
    return network(model, x).train(), (x,)


def test_random_draws_keep_their_order() -> None:
    """With layers that change nothing put everywhere, the training mode draws and updates what it did."""
    net, inputs = noisy()
    edit = nl.edit(net)
    for node in [*nodes(net)][::-1]:
        edit.insert_after(node, nl.op.linear(edit.graph[node].out_size))
    torch.manual_seed(7)
    expected = net(*inputs)
    buffers = {key: value.clone() for key, value in net.named_buffers()}
    net2, _ = noisy()
    edit = nl.edit(net2)
    for node in [*nodes(net2)][::-1]:
        edit.insert_after(node, nl.op.linear(edit.graph[node].out_size))
    result = edit.result.train()
    torch.manual_seed(7)
    assert torch.equal(result(*inputs), expected)
    after = dict(result.named_buffers())
    assert all(torch.equal(after[key], value) for key, value in buffers.items())


def test_effects_of_the_graph_keep_their_order() -> None:
    net, _ = noisy()
    order = [node.name for node in net.graph.nodes]
    edit = nl.edit(net)
    edit.insert_after("0", nl.op.relu())
    edit.connect("3", "7")
    edit["4"].resize(out=+2)
    edit.remove("5")
    left = [node.name for node in edit.graph.nodes if node.name in order]
    assert left == [name for name in order if name != "5"]


def test_several_results_and_inputs_stay() -> None:
    net, inputs = prepared("two_inputs")
    edit = nl.edit(net)
    edit.insert_after("sub", nl.op.linear(5))
    edit.connect("relu", "bilinear", operand=1)
    found = check_edit(edit, inputs)
    assert len(found) == 2 and [each.name for each in edit.graph.inputs] == [each.name for each in net.graph.inputs]


def test_a_chain_of_changes() -> None:
    net, inputs = prepared("residual")
    edit = nl.edit(net)
    first = edit.insert_after("relu", [nl.op.conv2d(6, kernel=3, padding=1), nl.op.batch_norm(), nl.op.relu()])
    edit["c1"].resize(out=+4)
    edit.connect("stem", first[2], merge="cat")
    edit.change("c2", kernel=5)
    edit["stem"].drop([0, 3])
    edit.remove("b1")
    edit.disconnect("stem", "add")
    check_edit(edit, inputs)
    assert len(edit.plan.stages) == 7
    before = state(net)
    for _ in range(7):
        edit.undo()
    assert edit.graph is net.graph and all(torch.equal(before[key], value) for key, value in state(edit.result).items())
