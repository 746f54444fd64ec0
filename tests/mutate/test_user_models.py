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


@pytest.mark.parametrize("what", [[nl.op.conv2d(6, kernel=3, padding=1), nl.op.batch_norm(), nl.op.relu()], block], ids=str)
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
