"""A model that asks what requires gradients hears in a trace what it hears when it runs with gradients on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import netloom as nl

#: What the model, and every copy of it that is traced, has heard.
HEARD: list[list[bool]] = []


class Asking(nn.Module):
    """Notes the flags of parameters, of values behind them, of detached ones, of whole numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen, self.fc = nn.Linear(6, 6).requires_grad_(False), nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        y, z = self.fc(x), self.frozen(x)
        with torch.no_grad():
            still = self.fc(x) + 1
        written = torch.zeros(1, 6)
        flags = [written.requires_grad]
        written += y.sum(0)
        asked = [*self.parameters(), x, y, z, still, written, y.detach(), y > 0, y.argmax(1), y.round(), y[0]]
        asked += [torch.zeros_like(y), torch.rand_like(y), torch.cat([still, y]), *y.max(1), *torch.split(z, 3, 1)]
        HEARD.append(flags + [t.requires_grad for t in asked])
        return y + z + written


def test_flags_are_those_of_a_run_with_gradients() -> None:
    for requires_grad in (False, True):
        HEARD.clear()
        model, x = Asking(), torch.randn(2, 6, requires_grad=requires_grad)
        model(x)
        nl.trace(model, x)
        expected, *found = HEARD
        assert len(found) >= 2 and all(flags == expected for flags in found)
        assert any(expected) and not all(expected)


class Doubling(nn.Module):
    """Computes something else without gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        y = self.fc(x)
        return y * 2 if y.requires_grad else y


def test_a_decision_on_gradients_is_taken_as_with_them_and_noted() -> None:
    model, x = Doubling(), torch.randn(3, 6)
    graph = nl.trace(model, x)
    assert torch.equal(nl.build(graph, weights=model)(x), model(x))
    assert any("requires_grad" in note and "y * 2 if" in note for note in graph.notes), graph.notes
    assert not nl.trace(model.requires_grad_(False), x).notes
