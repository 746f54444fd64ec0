"""Edits of models as people write them, against outputs and weights worked out by hand."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

import netloom as nl


class Residual(nn.Module):
    """A stem, a block with a shortcut, a head; norms with statistics of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.bn = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.c1, self.b1 = nn.Conv2d(6, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.c2, self.b2 = nn.Conv2d(8, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.fc = nn.Linear(6, 4)
        for norm in (self.bn, self.b1, self.b2):
            norm.running_mean.normal_()  # type: ignore[union-attr, operator]
            norm.running_var.uniform_(0.5, 2)  # type: ignore[union-attr, operator]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.bn(self.stem(x)))
        x = F.relu(x + self.b2(self.c2(F.relu(self.b1(self.c1(x))))))
        return self.fc(x.mean((2, 3)))  # type: ignore[no-any-return]


class Twice(nn.Module):
    """A convolution that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.c, self.o = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.o(F.relu(self.c(torch.tanh(self.c(x)))))  # type: ignore[no-any-return]


class Small(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.AdaptiveAvgPool2d(2),
            nn.Flatten(), nn.Linear(16, 3),
        )  # fmt: skip


def made(kind: Any, *shape: int) -> tuple[Any, torch.Tensor]:
    torch.manual_seed(0)
    return kind().double().eval(), torch.randn(*shape, dtype=torch.float64)


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-9, atol=1e-12)


# -- sizes -----------------------------------------------------------------------------------------------------------------
def test_a_residual_stream_loses_channels() -> None:
    model, x = made(Residual, 2, 3, 6, 6)
    with nl.edit(model, x) as edit:
        edit["stem"].resize(out=-2)
    kept = edit.plan.indices("stem.weight")
    assert len(kept) == 4
    assert all(edit.plan.indices(key) == kept for key in ("bn.weight", "bn.running_mean", "b2.running_var", "c2.bias"))
    assert edit.plan.indices("fc.weight", 1) == edit.plan.indices("c1.weight", 1) == kept
    mask = torch.zeros(6, 1, 1, dtype=torch.float64)
    mask[kept] = 1
    h = F.relu(model.bn(model.stem(x))) * mask
    h = F.relu(h + model.b2(model.c2(F.relu(model.b1(model.c1(h)))))) * mask
    assert same(edit.result(x), model.fc(h.mean((2, 3))))


# -- layers that are inserted ------------------------------------------------------------------------------------------------
def block(v: Any) -> Any:
    inner = nl.relu(nl.conv2d(v, 10, kernel=3, padding=1))
    return nl.relu(nl.add(v, nl.batch_norm(nl.conv2d(inner, 6, kernel=1))))


LAYERS = [nl.op.conv2d(6, kernel=3, padding=1), nl.op.batch_norm(), nl.op.relu()]


@pytest.mark.parametrize("what", [LAYERS, block], ids=["layers", "function"])
def test_a_rectifier_before_a_rectifier_changes_nothing(what: Any) -> None:
    """Behind the norm values are negative; what reads them is a ReLU, which does not care whether one came before it."""
    model, x = made(Residual, 2, 3, 6, 6)
    with nl.edit(model, x) as edit:
        edit.insert_after("bn", what)
    assert edit.plan.preserving and torch.equal(edit.result(x), model(x))
    net = edit.result.train()
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for _ in range(2):  # of a block whose last norm is zero the others learn from the second step on
        optimizer.zero_grad()
        net(x).square().sum().backward()
        optimizer.step()
    assert all(parameter.grad.abs().sum() > 0 for parameter in net.parameters())  # type: ignore[union-attr]
    with nl.edit(model, x) as edit:
        edit.insert_after("stem", nl.op.relu())  # a norm reads that
    assert "changes negative values" in edit.plan.reasons[0]


WIDER = {
    "1": [nl.op.conv2d(9, kernel=1)],  # in front of a rectifier
    "2": [nl.op.conv2d(9, kernel=3, padding=1), nl.op.batch_norm(), nl.op.relu(), nl.op.conv2d(7, kernel=1)],
    "4": [nl.op.conv2d(7, kernel=1)],  # what is flattened behind it has 28 features in place of 16
    "5": [nl.op.linear(20), nl.op.linear(16)],
}


@pytest.mark.parametrize("at", WIDER)
def test_identities_that_are_wider(at: str) -> None:
    """Features beyond those that come in are fresh, and nothing reads them at first."""
    model, x = made(Small, 2, 3, 8, 8)
    with nl.edit(model, x) as edit:
        edit.insert_after(at, WIDER[at])
    assert edit.plan.preserving, edit.plan.reasons
    assert same(edit.result(x), model(x))
    again = nl.mutate.Plan.from_json(edit.plan.to_json()).apply(model.state_dict())
    assert all(torch.equal(again[key], value) for key, value in edit.result.state_dict().items())
    with nl.edit(model, x) as edit:
        edit.insert_after("2", nl.op.conv2d(5, kernel=1))
    assert edit.plan.reasons[0].endswith("conv2d 'conv2d' gives N×5×8×8 for N×6×8×8")


# -- kernels ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kernel", [4, 5, (3, 7)])
def test_the_kernel_of_a_convolution_that_is_called_twice(kernel: Any) -> None:
    model, x = made(Twice, 2, 3, 6, 6)
    with nl.edit(model, x) as edit:
        edit.change("c", kernel=kernel)
    assert edit.plan.preserving and same(edit.result(x), model(x))
    assert edit.graph["c"].attrs["kernel"] == edit.graph["c@2"].attrs["kernel"]
    written = copy.deepcopy(model)
    if kernel != 4:  # the padding of an even kernel is a call of its own
        edit.apply_to(written)
        assert same(written(x), model(x)) and written.c.kernel_size == edit.graph["c"].attrs["kernel"]


def test_padding_follows_dilation() -> None:
    model, x = made(Twice, 2, 3, 6, 6)
    with nl.edit(model, x) as edit:
        edit.change("c@2", dilation=2)
    h = torch.tanh(model.c(x))
    h = F.relu(F.conv2d(h, model.c.weight, model.c.bias, 1, 2, 2))
    assert same(edit.result(x), model.o(h)) and edit.plan.reasons == ("dilation of 'c@2' changes",)
    with nl.edit(model, x) as edit:
        edit.change("c", kernel=5, padding=1)  # what is said counts, for that call
    assert [edit.graph[name].attrs["padding"] for name in ("c", "c@2")] == [(1, 1), (2, 2)]
    assert edit.result(x).shape == (2, 2, 4, 4)


# -- roles of weights --------------------------------------------------------------------------------------------------------
class Decoder(nn.Module):
    """Cross-attention takes its projections out of one weight, which is read by itself for that."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.memory, self.out = nn.Linear(5, 8), nn.Linear(6, 8), nn.Linear(8, 3)
        self.layer = nn.TransformerDecoderLayer(8, 2, 12, batch_first=True, dropout=0.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.layer(self.inside(x[..., :5]), self.memory(x)))  # type: ignore[no-any-return]


class GroupedUp(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2),
            nn.ReLU(), nn.Conv2d(6, 2, 1),
        )  # fmt: skip


@pytest.mark.parametrize("new", ["zero", "copy"])
def test_growth_through_a_weight_that_is_taken_apart(new: str) -> None:
    model, x = made(Decoder, 2, 4, 6)
    with nl.edit(model, x, new=new) as edit:
        edit["inside"].resize(out_to=16)  # layer norms take whole copies
    assert edit.plan.preserving, edit.plan.reasons
    assert same(edit.result(x), model(x))
    weight = edit.result.state_dict()["layer.multihead_attn.in_proj_weight"]
    old = model.layer.multihead_attn.in_proj_weight
    assert weight.shape == (24, 16) and same(weight[:, :8] + weight[:, 8:], old)


@pytest.mark.parametrize("new", ["zero", "copy"])
def test_growth_of_the_channels_in_a_group_of_a_transposed_convolution(new: str) -> None:
    model, x = made(GroupedUp, 2, 3, 4, 4)
    with nl.edit(model, x, new=new) as edit:
        edit.resize(out_to={"0": 6, "3": 6})
    assert edit.graph["3"].attrs["groups"] == 2 and edit.plan.indices("3.weight")[0:2] == [0, 1]
    assert edit.plan.preserving and same(edit.result(x), model(x))


class LowRank(nn.Module):
    """A weight with an addition of low rank, made in one of several ways."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.randn(4, 3)), nn.Parameter(torch.randn(3, 5))
        self.w, self.out, self.way = nn.Parameter(torch.randn(4, 5)), nn.Linear(5, 2), way

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.way == "after":
            return self.out(torch.relu(x @ self.w + (x @ self.a) @ self.b))  # type: ignore[no-any-return]
        product = torch.einsum("ir,ro->io", self.a, self.b) if self.way == "einsum" else self.a @ self.b
        if self.way == "linear":
            return self.out(torch.relu(F.linear(x, (self.w + product).T)))  # type: ignore[no-any-return]
        return self.out(torch.relu(x @ (self.w + product)))  # type: ignore[no-any-return]


@pytest.mark.parametrize("new", ["zero", "copy", "split"])
@pytest.mark.parametrize("way", ["before", "after", "linear", "einsum"])
def test_parameters_that_are_multiplied_with_each_other(way: str, new: str) -> None:
    """One of them makes what the other sums over, so that growth preserves, and what is new learns."""
    model, x = made(lambda: LowRank(way), 6, 4)
    with nl.edit(model, x, new=new) as edit:
        edit["a"].resize(out_to=5)
    assert edit.plan.preserving and same(edit.result(x), model(x))
    net = edit.result
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for _ in range(2):
        optimizer.zero_grad()
        net(x).square().sum().backward()
        optimizer.step()
    assert all((value != 0).all() for value in net.state_dict().values())


@pytest.mark.parametrize("new", ["zero", "copy", "split"])
def test_wider_identities_are_no_copies(new: str) -> None:
    """Also where layers grow by copies: behind a layer norm that would take whole ones, the plan says what changes."""
    model, x = made(lambda: nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)), 5, 4)
    with nl.edit(model, x, new=new) as edit:
        edit.insert_after("1", nl.op.linear(9))
    assert edit.plan.preserving and same(edit.result(x), model(x))
    model, x = made(lambda: nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.LayerNorm(6), nn.Linear(6, 3)), 5, 4)
    with nl.edit(model, x, new=new) as edit:
        edit.insert_after("1", nl.op.linear(12))
    assert "layer_norm '2' mixes the indices of" in str(edit.plan.reasons)
    model, x = made(Small, 2, 3, 8, 8)
    with nl.edit(model, x, new=new) as edit:
        edit.insert_after("2", nl.op.linear(9))  # along the width of an image
    assert "gives N×6×8×9 for N×6×8×8" in edit.plan.reasons[0]


class Bag(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.out = nn.EmbeddingBag(9, 6), nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(F.relu(self.embed(x)))  # type: ignore[no-any-return]


def test_sizes_do_not_pass_through_what_has_no_rule() -> None:
    """Also where a call takes other things beside tensors."""
    model, x = Bag(), torch.randint(0, 9, (3, 4))
    edit = nl.edit(model, x)
    assert not edit.dims().free and any(node.op == "opaque" for node in edit.graph.nodes)
    with pytest.raises(nl.NetloomError, match="of opaque 'embed"):
        edit["out"].resize(in_=-1)


class Positions(nn.Module):
    """More positions than the inputs have."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.up, self.out = nn.Parameter(torch.randn(12, 4)), nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.relu(self.up(x + self.table[: x.shape[1]])))  # type: ignore[no-any-return]


def test_pruning_leaves_positions_for_longer_inputs() -> None:
    model, x = made(Positions, 2, 5, 4)
    pruned = nl.prune(model, x, keep=0.5)
    assert pruned.network.state_dict()["table"].shape == (12, 4) and pruned.graph["up"].out_size == 4


# -- weights read in two ways, and axes whose indices are numbers elsewhere -------------------------------------------------
class BothWays(nn.Module):
    """A square matrix read as rows by a layer, as columns by a product."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.square, self.last = nn.Linear(5, 6), nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.first(x)
        return self.last(self.square(h) + h @ self.square.weight)  # type: ignore[no-any-return]


def test_growth_of_a_matrix_that_is_read_both_ways_preserves() -> None:
    model, x = made(BothWays, 4, 5)
    grown = nl.grow(model, x, by=0.5)
    assert grown.plan.preserving and grown.graph["square"].out_size == 9
    assert same(grown.network.eval()(x), model(x))
    grown.network.train()(x).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in grown.network.parameters())


class Routed(nn.Module):
    """Each sample goes to the expert that its router likes best: which one that is, is a number."""

    def __init__(self) -> None:
        super().__init__()
        self.router, self.experts, self.out = nn.Linear(5, 4), nn.Parameter(torch.randn(4, 5, 6)), nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate, expert = self.router(x).softmax(-1).max(-1)
        chosen = F.one_hot(expert, 4).to(x.dtype) * gate[:, None]
        return self.out(torch.einsum("ne,ni,eij->nj", chosen, x, self.experts))  # type: ignore[no-any-return]


def test_experts_that_are_chosen_by_number_stay() -> None:
    model, x = made(Routed, 8, 5)
    dims = nl.edit(model, x).dims()
    (experts,) = (atom for atom in dims.atoms if atom.size == 4 and "router" in str(atom.members))
    assert "axis 1 of the x of max_along 'max_along', whose indices are read as numbers" == experts.frozen
    pruned = nl.prune(model, x, keep=0.5)
    assert pruned.graph["router"].out_size == 4 and pruned.graph["out"].in_sizes == (3,)
    with pytest.raises(nl.errors.EditError, match="read as numbers"):
        with nl.edit(model, x) as edit:
            edit["router"].resize(out=-1)


class Peak(nn.Module):
    """The largest value alone: which index it has, nobody asks."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(5, 6), nn.Linear(1, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(F.relu(self.first(x)).max(-1, keepdim=True).values)  # type: ignore[no-any-return]


def test_the_largest_value_of_fewer() -> None:
    model, x = made(Peak, 4, 5)
    assert nl.prune(model, x, keep=0.5).graph["first"].out_size == 3


class Projected(nn.Module):
    """An LSTM whose state is longer than what it gives, which is the output."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(5, 6, proj_size=3, bidirectional=True, bias=False, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.lstm(x)[0].amax(1)  # type: ignore[no-any-return]


def test_a_projected_state_stays_longer_than_its_projection() -> None:
    model, x = made(Projected, 2, 7, 5)
    pruned = nl.prune(model, x, keep=0.5)
    assert pruned.network.state_dict()["lstm.weight_hr_l0"].shape == (3, 4)
    assert pruned.network(x).shape == (2, 6)


# -- layers whose weights are computed ---------------------------------------------------------------------------------------
class Parametrised(nn.Module):
    """A layer under spectral norm, one under weight norm, a recurrent one with a state of zeros."""

    def __init__(self) -> None:
        super().__init__()
        norms = nn.utils.parametrizations
        self.spectral, self.weighted = norms.spectral_norm(nn.Linear(5, 6)), norms.weight_norm(nn.Linear(6, 6))
        self.lstm, self.last = nn.LSTM(6, 6, batch_first=True), nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.relu(self.weighted(F.relu(self.spectral(x))))
        return self.last(self.lstm(h)[0])  # type: ignore[no-any-return]


@pytest.mark.parametrize("layer", ["spectral", "weighted", "lstm"])
def test_a_layer_goes_with_what_its_weights_are_computed_of(layer: str) -> None:
    model, x = made(Parametrised, 2, 4, 5)
    with nl.edit(model, x) as edit:
        edit.remove(layer)
    assert not [key for key in edit.result.state_dict() if key.startswith(layer)]
    assert not [node.name for node in edit.graph.nodes if node.name.startswith(layer)]
    assert edit.result.train()(x).shape == (2, 4, 2)


class OfWeights(nn.Module):
    """A layer reads what is computed of a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.first, self.last = nn.Parameter(torch.randn(5, 5)), nn.Linear(5, 5), nn.Linear(5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(x @ self.first(torch.sigmoid(self.scale)))  # type: ignore[no-any-return]


def test_a_layer_on_what_is_computed_of_weights_goes_without_it() -> None:
    model, x = made(OfWeights, 2, 5)
    with nl.edit(model, x) as edit:
        edit.remove("first")
    assert same(edit.result(x), model.last(x @ torch.sigmoid(model.scale)))


def test_spectral_norms_are_pruned() -> None:
    model, x = made(Parametrised, 2, 4, 5)
    pruned = nl.prune(model, x, keep=0.5)
    shapes = {key: tuple(value.shape) for key, value in pruned.network.state_dict().items()}
    prefix = "spectral.parametrizations.weight"
    assert [shapes[f"{prefix}.{name}"] for name in ("original", "0._u", "0._v")] == [(3, 5), (3,), (5,)]


class Field(nn.Module):
    """A potential and its slope, in a region that turns gradients on."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(3, 6), nn.Linear(6, 1)

    @torch.enable_grad()
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = x.detach().requires_grad_()
        energy = self.last(torch.tanh(self.first(x)))
        return energy, torch.autograd.grad(energy.sum(), x, create_graph=self.training)[0]


def test_edits_inside_of_what_is_differentiated() -> None:
    model, x = made(Field, 4, 3)
    with nl.edit(model, x) as edit:
        edit.insert_after("first", nl.op.linear(6))
        edit["first"].resize(out=+2)
    with torch.no_grad():
        found, expected = edit.result.eval()(x), model.eval()(x)
    assert edit.plan.preserving and all(map(same, found, expected))
    assert nl.prune(model, x, keep=0.5).network(x)[1].shape == x.shape
