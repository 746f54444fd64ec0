"""Networks whose modules are in different modes compute what the model does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import netloom as nl


class Head(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn, self.drop, self.fc = nn.Conv2d(4, 6, 1), nn.BatchNorm2d(6), nn.Dropout(0.5), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.drop(torch.relu(self.bn(self.conv(x))).mean((2, 3))))  # type: ignore[no-any-return]


class Auxiliary(nn.Module):
    """Two heads that only training has, as GoogLeNet's."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm, self.head = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 3)
        self.aux, self.aux2 = Head(), Head()

    def forward(self, x: torch.Tensor) -> Any:
        x = torch.relu(self.norm(self.stem(x)))
        first = self.aux(x) if self.training else None
        x = torch.sigmoid(x)
        second = self.aux2(x) if self.training else None
        x = self.head(x.mean((2, 3)))
        return (x, first, second) if self.training else x


class Noisy(nn.Module):
    """A layer that one mode has, inside one that has a flag of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.extra, self.norm = nn.Linear(3, 3), nn.Linear(3, 3), nn.BatchNorm1d(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.fc(x.mean((2, 3)))
        return self.norm(self.extra(x)) + x if self.training else x


def frozen_norms(model: nn.Module) -> None:
    model.train()
    for path, _ in model.named_modules():
        if path.endswith(("norm", "bn")):
            model.get_submodule(path).eval()


def one_child(path: str, training: bool) -> Callable[[nn.Module], None]:
    def change(model: nn.Module) -> None:
        model.train(not training)
        model.get_submodule(path).train(training)

    return change


def flag_alone(training: bool) -> Callable[[nn.Module], None]:
    def change(model: nn.Module) -> None:
        model.train(not training)
        model.training = training

    return change


MODES = {
    "train": nn.Module.train, "eval": nn.Module.eval, "frozen norms": frozen_norms, "aux in eval": one_child("aux", False),
    "aux in train": one_child("aux", True), "model in train": flag_alone(True), "model in eval": flag_alone(False),
}  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", [Auxiliary, nn.Sequential], ids=["heads of the model", "layers of a block"])
def test_modules_in_different_modes(kind: Any, mode: str) -> None:
    torch.manual_seed(0)
    model = kind() if kind is Auxiliary else nn.Sequential()
    if kind is not Auxiliary:
        model.aux = Noisy()
    x = torch.randn(4, 3, 8, 8)
    network = nl.build(nl.trace(model, x), weights=model)
    for each in (model, network):
        MODES[mode](each)
    results = []
    for each in (model, network):
        torch.manual_seed(1)
        found = each(x)
        results.append(found if isinstance(found, tuple) else (found,))
    assert len(results[0]) == len(results[1])
    assert all(torch.equal(a, b) for a, b in zip(*results))
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in model.state_dict().items())
