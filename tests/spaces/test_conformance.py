"""Every space of netloom passes the suite that third parties test theirs with."""

from __future__ import annotations

from typing import Any

import pytest

import netloom as nl
from netloom.spaces import MLP, Conv, NASBench201, from_function
from netloom.testing import check_space
from tests.spaces import samplers

SPACES: dict[str, tuple[Any, dict[str, Any]]] = {
    "conv": (Conv(input_shape=(1, 8, 8)), {"distinct": 20}),
    "conv with caps": (Conv(input_shape=(1, 8, 8), max_params=2_000, max_flops=20_000), {"pickles": False}),
    "mlp": (MLP(16, 3), {"distinct": 15, "pickles": False}),
    "mlp with everything": (
        MLP(
            (1, 4, 4), 3, layers=range(5), widths=(4, 8, 12), activations=("relu", nl.op.leaky_relu(0.2), "prelu"),
            bias=(True, False), norm=(None, "batch", "layer"), skip=0.6, dropout=(0, 0.1), max_params=600, max_flops=1500,
        ),
        {"distinct": 10, "built": 5},
    ),
    "nasbench201": (NASBench201(), {"count": 2, "pickles": False}),
    "nasbench201, small": (NASBench201(num_classes=3, C=2, N=1, input_shape=(1, 8, 8)), {"count": 8, "distinct": 8}),
    "function": (from_function(samplers.perceptron), {"distinct": 10, "pickles": False}),
    "function with settings": (from_function(samplers.perceptron, features=5), {"distinct": 10}),
    "function without end": (from_function(samplers.with_dropout), {"distinct": 20, "pickles": False}),
    "function of modules": (from_function(samplers.module), {"count": 4, "pickles": False}),
}  # fmt: skip


@pytest.mark.parametrize("name", SPACES)
def test_space_keeps_the_contract(name: str) -> None:
    space, settings = SPACES[name]
    check_space(space, **settings)
