"""What is new has a way to learn, or the layer stays; what shrinks trades no trained neuron for a new one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import netloom as nl
from netloom.errors import EditError
from netloom.mutate import Resize, mutated


class Read(nn.Module):
    """A norm whose result a matrix reads that is a parameter of its own: four ways to write it."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.p, self.n = how, nn.Linear(5, 6), nn.RMSNorm(6)
        self.w, self.e = nn.Parameter(torch.randn(6, 3)), nn.Parameter(torch.randn(2, 6, 3))

    def forward(self, x: Tensor) -> Tensor:
        u = self.n(self.p(x))
        if self.how == "product":
            return u @ self.w
        return F.linear(u, self.w.t()) if self.how == "transposed" else torch.einsum("bi,eio->beo", u, self.e)


class Slimmable(nn.Module):
    """One set of weights, read at two widths, or in halves."""

    def __init__(self, parts: list[slice]) -> None:
        super().__init__()
        self.a, self.b, self.parts = nn.Linear(4, 12), nn.Linear(12, 3), parts

    def forward(self, x: Tensor) -> Tensor:
        found = self.b(self.a(x).relu())
        for part in self.parts:
            hidden = F.linear(x, self.a.weight[part], self.a.bias[part]).relu()
            found = found + F.linear(hidden, self.b.weight[:, part])
        return found


class Factors(nn.Module):
    """A bottleneck that is read as a product of matrices, too."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 6, bias=False), nn.Linear(6, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.a(x).relu()) + x @ (self.b.weight @ self.a.weight).T


def steps(network: nn.Module, x: Tensor) -> None:
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    for seed in range(20):
        optimizer.zero_grad()
        data = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
        network(data).sub(1).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("how", ["product", "transposed", "experts"])
def test_matrices_behind_a_norm(how: str) -> None:
    torch.manual_seed(0)
    model, x = Read(how).eval(), torch.randn(8, 5)
    grown = nl.grow(model, x, by=0.5)
    torch.testing.assert_close(grown.network(x), model(x))
    steps(grown.network, x)
    state = grown.network.state_dict()
    new = state["e"][:, 6:] if how == "experts" else state["w"][6:]
    assert grown.plan.preserving and bool(state["p.weight"][6:].any(1).all()) and new.abs().max() > 0


@pytest.mark.parametrize("parts", [[slice(0, 4)], [slice(0, 6), slice(6, 12)]], ids=["narrow", "halves"])
def test_weights_that_are_read_in_slices(parts: list[slice]) -> None:
    torch.manual_seed(0)
    model, x = Slimmable(parts).eval(), torch.randn(8, 4)
    check_learning(model, x)


def test_weights_that_are_read_as_a_product() -> None:
    torch.manual_seed(0)
    check_learning(Factors().eval(), torch.randn(8, 4))


def check_learning(model: nn.Module, x: Tensor) -> None:
    grown = nl.grow(model, x, by=1.0)
    torch.testing.assert_close(grown.network(x), model(x))
    new = [i for i, j in enumerate(grown.plan.indices("a.weight")) if j < 0]
    steps(grown.network, x)
    state = grown.network.state_dict()
    assert grown.plan.preserving and new and state["b.weight"][:, new].abs().max() > 0


class Towers(nn.Module):
    """Two inputs through one tower, and what is asked of the two results."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.a, self.w = how, nn.Linear(4, 8), nn.Parameter(torch.randn(5, 8))

    def forward(self, x: Tensor, y: Tensor) -> Any:
        u, v = self.a(x), self.a(y)
        return {
            "dot": lambda: (u * v).sum(-1), "cdist": lambda: torch.cdist(u, v), "cosine": lambda: F.cosine_similarity(u, v),
            "classifier": lambda: F.linear(F.normalize(u), F.normalize(self.w)), "norm": lambda: u.norm(dim=-1),
            "self": lambda: (u.unsqueeze(-2) @ u.unsqueeze(-1)).flatten(),
        }[self.how]()  # fmt: skip


@pytest.mark.parametrize("how", ["dot", "cdist", "cosine", "classifier", "norm", "self"])
def test_what_could_never_learn_stays(how: str) -> None:
    """Both operands zero: the network would compute the same, and no gradient would ever come."""
    model, data = Towers(how).eval(), (torch.randn(4, 4), torch.randn(4, 4))
    with pytest.raises(EditError, match="no layer of this network can grow without changing"):
        nl.grow(model, data, by=0.5)
    grown = nl.grow(model, data, by=0.5, preserve=False)
    assert not grown.plan.preserving and grown.plan.reasons
    grown.network(*data).sum().backward()
    gradient = grown.network.state_dict(keep_vars=True)["a.weight"].grad
    assert gradient is not None and bool(gradient[8:].any(1).all())


class NormedHeads(nn.Module):
    """Attention with norms of queries and keys, which are parts of one projection."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.o, self.q, self.k = nn.Linear(8, 24), nn.Linear(8, 8), nn.RMSNorm(4), nn.RMSNorm(4)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).view(*x.shape[:2], 3, 2, -1).permute(2, 0, 3, 1, 4).unbind(0)
        weights = (self.q(q) @ self.k(k).transpose(-1, -2)).softmax(-1)
        return self.o((weights @ v).transpose(1, 2).reshape(*x.shape[:2], -1))


def test_queries_and_keys_that_would_both_be_zero_keep_their_width() -> None:
    torch.manual_seed(0)
    model, x = NormedHeads().eval(), torch.randn(2, 4, 8)
    grown = nl.grow(model, x, by=0.5, heads=False, preserve=False)
    assert not grown.plan.preserving and any("never learn" in reason for reason in grown.plan.reasons)
    new = [i for i, j in enumerate(grown.plan.indices("qkv.weight")) if j < 0]
    before = grown.network.state_dict()["qkv.weight"].clone()
    steps(grown.network, x)
    after = grown.network.state_dict()["qkv.weight"]
    assert new and bool((after[new] != before[new]).any(1).all())
    with pytest.raises(EditError, match="no layer of this network can grow"):
        nl.grow(model, x, by=0.5, heads=False)


@pytest.mark.parametrize("new", ["copy", "split"])
def test_uneven_copies_are_not_called_preserving(new: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)).eval()
    x = torch.randn(2, 4)
    grown = nl.grow(model, x, by=0.25, new=new)
    assert (grown.graph["0"].out_size, grown.graph["2"].out_size) == (8, 10)
    torch.testing.assert_close(grown.network(x), model(x))
    twice = nl.grow(model, x, by=1.0, new=new)
    assert twice.plan.preserving and twice.graph["0"].out_size == 16
    torch.testing.assert_close(twice.network(x), model(x))


class Registers(nn.Module):
    """A token that attention sees and the result leaves out."""

    def __init__(self) -> None:
        super().__init__()
        self.token, self.q, self.o = nn.Parameter(torch.randn(1, 1, 8)), nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.cat([self.token.expand(len(x), -1, -1), x], 1)
        return self.o(F.scaled_dot_product_attention(self.q(h), h, h)[:, 1:])


def test_two_of_a_register_weigh_more_than_one() -> None:
    """Copies of all that a softmax sees change nothing; copies of one part of it do."""
    torch.manual_seed(0)
    model, x = Registers().eval(), torch.randn(3, 4, 8)
    with nl.edit(model, x) as edit:
        (atom,) = [atom for atom in edit.dims().free if atom.size == 1]
        edit.ask(atom.id, repr(atom.id), None, 2, False)
    assert not edit.plan.preserving and "mixes the indices" in edit.plan.reasons[0]
    assert (edit.result(x) - model(x)).abs().max() > 1e-4


# -- shrinking -------------------------------------------------------------------------------------------------------------
class Half(nn.Module):
    """The first two channels are rectified, the others are not: one axis of two atoms."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.o = nn.Linear(3, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        return self.o(torch.cat([h[:, :2].relu(), h[:, 2:]], 1))


class Appended(nn.Module):
    """A constant is appended to the features, and the sum of both widths is read."""

    def __init__(self) -> None:
        super().__init__()
        self.i, self.f, self.o = nn.Linear(3, 8), nn.Linear(9, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.i(x)
        return self.o(h + self.f(torch.cat([h, torch.full_like(h[:, :1], 0.5)], 1)))


@pytest.mark.parametrize("model, node", [(Half(), "a"), (Appended(), "i")], ids=["half", "appended"])
@pytest.mark.parametrize("by", [-1, -2, -3, -4])
def test_shrinking_keeps_what_it_does_not_take(model: nn.Module, node: str, by: int) -> None:
    with nl.edit(model, torch.randn(4, 3)) as edit:
        edit[node].resize(out=by)
    kept = edit.plan.indices(f"{node}.weight")
    assert len(kept) == 8 + by and kept == sorted(set(kept)) and kept[0] >= 0


@pytest.mark.parametrize("seed", range(6))
def test_random_shrinking_draws_nothing_new(seed: int) -> None:
    edit = mutated(Appended(), Resize(-0.4, -0.1, probability=1), seed, torch.randn(4, 3))
    assert min(edit.plan.indices("i.weight")) >= 0


# -- constants by position ---------------------------------------------------------------------------------------------------
class Ramp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.o = nn.Linear(3, 8), nn.Linear(8, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.o(self.b(self.a(x) * torch.linspace(0, 1, 8)).relu())


class Identity(nn.Module):
    """A learned transform beside the identity, as of a PointNet."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.t, self.b, self.o = nn.Linear(3, 8), nn.Linear(3, 64), nn.Linear(8, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        transform = self.t(x).view(-1, 8, 8) + torch.eye(8)
        return self.o(self.b((transform @ self.a(x).unsqueeze(-1)).squeeze(-1)).relu())


@pytest.mark.parametrize("kind", [Ramp, Identity])
def test_numbers_that_follow_from_positions_stay(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    model, x = kind().eval(), torch.randn(4, 3)
    pruned = nl.prune(model, x, keep=0.5)
    kept = pruned.plan.indices("b.weight")
    assert pruned.graph["a"].out_size == 8 and len(kept) == 3
    masked = torch.zeros(6)
    masked[list(kept)] = 1
    hook = model.b.register_forward_hook(lambda module, given, result: result * masked)
    torch.testing.assert_close(pruned.network(x), model(x))
    hook.remove()
