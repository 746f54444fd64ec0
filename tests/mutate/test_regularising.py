"""Penalties on neurons: their value and gradients against the formula, and what training with them leads to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import netloom as nl
from netloom.errors import EditError
from netloom.mutate import analyse
from netloom.mutate.regularising import GroupLasso, GrowingRegularization, ScaleLasso


class Small(nn.Module):
    """Atoms: conv (6, with its norm and the tied second branch), heads and their width inside qkv, hidden (5)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.branch = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Conv2d(6, 6, 1, bias=False)
        self.qkv, self.hidden, self.head = nn.Linear(6, 24), nn.Linear(8, 5), nn.Linear(5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.conv(x)))
        x = (x + self.branch(x)).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(x).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.head(torch.relu(self.hidden(y))).mean(1)


X = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(0))


def small() -> tuple[Small, nl.Graph]:
    torch.manual_seed(0)
    model = Small()
    return model, nl.trace(model, X)


def groups(model: Small) -> list[torch.Tensor]:
    """Every group of weights as one vector, written out by hand."""
    found = []
    for i in range(6):
        parts = [model.conv.weight[i], model.conv.bias[i], model.norm.weight[i], model.norm.bias[i], model.branch.weight[i]]
        found.append(torch.cat([part.flatten() for part in parts]))
    qkv = torch.cat([model.qkv.weight, model.qkv.bias[:, None]], 1).unflatten(0, (3, 2, 4))
    found += [qkv[:, head].flatten() for head in range(2)]
    found += [qkv[:, :, width].flatten() for width in range(4)]
    found += [torch.cat([model.hidden.weight[i], model.hidden.bias[i : i + 1]]) for i in range(5)]
    return found


def written_out(name: str, model: Small) -> torch.Tensor:
    if name == "scale":
        return 0.3 * model.norm.weight.abs().sum()
    if name == "group":
        return 0.3 * torch.stack([group.square().sum().sqrt() for group in groups(model)]).sum()
    return 0.15 * torch.stack([group.square().sum() for group in groups(model)]).sum()


PENALTIES: dict[str, Callable[..., Any]] = {
    "group": lambda source: GroupLasso(source, strength=0.3),
    "scale": lambda source: ScaleLasso(source, strength=0.3),
    "growing": lambda source: GrowingRegularization(source, start=0.3),
}


def gradients(model: nn.Module) -> dict[str, torch.Tensor]:
    return {key: p.grad.clone() for key, p in model.named_parameters() if p.grad is not None}


def assert_close(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    for key in {*found, *expected}:
        zero = torch.zeros(())
        assert torch.allclose(found.get(key, zero), expected.get(key, zero), rtol=1e-4, atol=1e-6), key


@pytest.mark.parametrize("name", PENALTIES)
def test_value_and_gradients_are_those_of_the_formula(name: str) -> None:
    model, graph = small()
    nn.init.normal_(model.norm.weight)
    penalty = PENALTIES[name](analyse(graph))
    expected = written_out(name, model)
    expected.backward()
    wanted = gradients(model)
    model.zero_grad()
    found = penalty(model)
    found.backward()
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    assert_close(gradients(model), wanted)
    model.zero_grad()
    penalty.add_gradients(model)
    assert_close(gradients(model), wanted)


@pytest.mark.parametrize("name", PENALTIES)
def test_gradients_are_added_to_those_of_the_loss(name: str) -> None:
    model, graph = small()
    penalty = PENALTIES[name](graph)
    (model(X).square().mean() + penalty(model)).backward()
    expected = gradients(model)
    model.zero_grad()
    model(X).square().mean().backward()
    penalty.add_gradients(model)
    assert_close(gradients(model), expected)


@pytest.mark.parametrize("name", PENALTIES)
def test_groups_of_zeros_rest(name: str) -> None:
    model, graph = small()
    penalty = PENALTIES[name](graph)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    penalty(model).backward()
    penalty.add_gradients(model)
    assert all(not grad.any() for grad in gradients(model).values())


@pytest.mark.parametrize("name", PENALTIES)
def test_frozen_parameters_get_no_gradient(name: str) -> None:
    model, graph = small()
    model.norm.requires_grad_(False)
    penalty = PENALTIES[name](graph)
    assert penalty(model).requires_grad is (name != "scale")
    penalty.add_gradients(model)
    assert model.norm.weight.grad is None
    assert (model.conv.weight.grad is None) is (name == "scale")


def test_a_network_or_a_model_with_an_example_is_enough() -> None:
    model, graph = small()
    values = [GroupLasso(*source)(model).item() for source in ((graph,), (nl.build(graph),), (model, X))]
    assert values[0] == values[1] == values[2]


def test_a_half_precision_model() -> None:
    model, graph = small()
    penalty = GroupLasso(graph, strength=0.3)
    expected = penalty(model).item()
    assert penalty(model.to(torch.bfloat16)).item() == pytest.approx(expected, rel=1e-2)
    penalty.add_gradients(model)
    assert model.conv.weight.grad.dtype == torch.bfloat16 and model.conv.weight.grad.any()


def trained(model: Small, penalise: Callable[[Small], Any] = lambda model: None, steps: int = 150) -> None:
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        F.mse_loss(model(X), X.mean((2, 3))[:, :2]).backward()
        penalise(model)
        optimizer.step()


def test_group_lasso_presses_whole_neurons_to_zero() -> None:
    (model, graph), (plain, _) = small(), small()
    penalty = GroupLasso(graph, strength=0.2)
    trained(model, penalty.add_gradients)
    trained(plain)
    small_groups, plain_groups = (torch.cat(list(penalty.group_norms(m).values())) for m in (model, plain))
    assert (small_groups < 0.05).sum() >= 8
    assert (plain_groups < 0.05).sum() == 0


def test_scale_lasso_presses_scales_to_zero() -> None:
    (model, graph), (plain, _) = small(), small()
    trained(model, ScaleLasso(graph, strength=0.2).add_gradients)
    trained(plain)
    assert (model.norm.weight.abs() < 0.05).sum() >= 4
    assert (plain.norm.weight.abs() < 0.05).sum() == 0


def test_growing_regularization_empties_the_weakest_share() -> None:
    model, graph = small()
    penalty = GrowingRegularization(graph, step=0.05, drop=0.4, limit=2.0)
    weakest = {atom: norms.argsort()[: round(0.4 * len(norms))] for atom, norms in penalty.group_norms(model).items()}

    def step(model: Small) -> None:
        penalty.grow(model)
        penalty.add_gradients(model)

    before = penalty.group_norms(model)
    trained(model, step, steps=300)
    after = penalty.group_norms(model)
    for atom in ("conv", "hidden"):
        gone = torch.zeros(len(after[atom]), dtype=torch.bool)
        gone[weakest[atom]] = True
        assert (after[atom][gone] < 0.05 * before[atom][gone]).all(), atom
        assert (after[atom][~gone] > 0.5 * before[atom][~gone]).all(), atom
        assert torch.equal(penalty.strengths[atom], torch.where(gone, 2.0, 0.0))


def test_strengths_are_what_the_caller_makes_them() -> None:
    model, graph = small()
    penalty = GrowingRegularization(graph)
    penalty.strengths["hidden"][2] = 4.0
    assert penalty(model).item() == pytest.approx(2 * penalty.group_norms(model)["hidden"][2].item() ** 2, rel=1e-5)


@pytest.mark.parametrize("make, says", [
    (lambda g: GroupLasso(g, strength=-1), "strength=-1"), (lambda g: GrowingRegularization(g, drop=0), "drop=0"),
    (lambda g: GrowingRegularization(g, step=0), "step=0"), (lambda g: GroupLasso(Small()), "give example_inputs"),
])  # fmt: skip
def test_bad_options(make: Callable[[nl.Graph], Any], says: str) -> None:
    with pytest.raises(EditError, match=says):
        make(small()[1])


def test_nothing_to_press() -> None:
    x = nl.input(3)
    fixed = nl.Graph(x, nl.linear(x, 2))
    with pytest.raises(EditError, match="GroupLasso finds no weights to press: no size of the network is free"):
        GroupLasso(fixed)
    plain = nl.Graph(x, nl.linear(nl.relu(nl.linear(x, 4)), 2))
    with pytest.raises(EditError, match="no norm has a scale along an axis that is free"):
        ScaleLasso(plain)
    with pytest.raises(EditError, match="is .* instead of .*; trace the model again"):
        GroupLasso(plain)(nl.build(nl.Graph(x, nl.linear(nl.relu(nl.linear(x, 6)), 2))))
