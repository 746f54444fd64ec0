"""Networks that are built from graphs."""

from __future__ import annotations

import pytest
import torch

import netloom as nl
from netloom.errors import ShapeError


def test_a_fixed_batch_is_refused_at_other_sizes() -> None:
    """Numbers that follow from the batch would be wrong there, without a sign."""

    class Mean(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.sum(0, keepdim=True) * (1 / len(x))

    network = nl.build(nl.trace(Mean(), torch.rand(4, 3)))
    assert torch.equal(network(x := torch.rand(4, 3)), Mean()(x))
    with pytest.raises(ShapeError, match="5 rows.*made for 4.*graph.notes"):
        network(torch.rand(5, 3))
