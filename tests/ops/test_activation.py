"""Activations, gates, softmax and dropout against torch; normal forms and refusals."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import netloom as nl
from netloom.ops import operator
from tests.ops.replay import evaluated, refused, replay

X = torch.randn(3, 4, 6)
WHOLE = torch.arange(-4, 8).reshape(3, 4)

SAME_AS_TORCH: list[tuple[Any, ...]] = [
    ("relu", "F.relu", X),
    ("relu", "Tensor.relu", WHOLE),
    ("relu6", "F.relu6", 9 * X),
    ("relu6", "F.hardtanh", 9 * X, 0.0, 6.0),
    ("leaky_relu", "F.leaky_relu", X, 0.2),
    ("prelu", "F.prelu", X, torch.tensor([0.3])),
    ("prelu", "Tensor.prelu", X, torch.rand(4)),
    ("rrelu", "F.rrelu", X, 0.1, 0.3, False),
    ("elu", "F.elu", X, 0.5),
    ("celu", "torch.celu", X, 2.0),
    ("selu", "torch.selu", X),
    ("gelu", "F.gelu", X),
    ("silu", "F.silu", X),
    ("mish", "F.mish", X),
    ("sigmoid", "Tensor.sigmoid", WHOLE),
    ("sigmoid", "torch.special.expit", X),
    ("tanh", "torch.tanh", X),
    ("hardtanh", "F.hardtanh", X, -0.5, 0.25),
    ("hardsigmoid", "F.hardsigmoid", X),
    ("hardswish", "F.hardswish", 4 * X),
    ("hardshrink", "F.hardshrink", X),
    ("softshrink", "F.softshrink", X, 0.1),
    ("tanhshrink", "F.tanhshrink", X),
    ("softplus", "F.softplus", X, 2.0, 1.0),
    ("softsign", "F.softsign", X),
    ("logsigmoid", "F.logsigmoid", X),
    ("threshold", "F.threshold", X, 0.1, -3.0),
    ("glu", "F.glu", X),
    ("glu", "F.glu", X, 1),
    ("softmax", "F.softmax", X, 1),
    ("softmax", "Tensor.softmax", X, -1, torch.float64),
    ("softmax", "torch.softmax", WHOLE, 0, torch.float32),
    ("log_softmax", "F.log_softmax", X, -2),
    ("softmin", "F.softmin", X, 0),
    ("dropout", "F.dropout", X, 0.4, False),
    ("feature_alpha_dropout", "F.feature_alpha_dropout", X),
]


@pytest.mark.parametrize("case", SAME_AS_TORCH, ids=lambda case: f"{case[1]}-{len(case)}")
def test_same_as_torch(case: tuple[Any, ...]) -> None:
    replay(*case)


def test_gelu_has_two_forms() -> None:
    assert replay("gelu", "F.gelu", X, approximate="tanh")["approximate"] == "tanh"
    with pytest.raises(nl.NetloomError, match="approximate = 'erf'; expected one of 'none', 'tanh'"):
        nl.gelu(nl.input(3), approximate="erf")


def test_clipped_relu_has_one_name() -> None:
    # nn.ReLU6 calls hardtanh, F.relu6 does not.
    assert evaluated("relu6", "F.hardtanh", (X,), {"min_val": -1.0, "max_val": 1.0}) is None
    assert evaluated("relu6", "F.hardtanh", (X, 0.0, 6.0), {})[1].args == evaluated("relu6", "F.relu6", (X,), {})[1].args  # type: ignore[index]


def test_softmax_has_one_normal_form() -> None:
    plain = replay("softmax", "F.softmax", X, 2)
    assert replay("softmax", "torch.softmax", X, -1) == plain
    assert replay("softmax", "F.softmax", X, -1, dtype=torch.float32) == plain
    assert replay("softmax", "F.softmax", X, dim=2, _stacklevel=5, dtype=None) == plain


@pytest.mark.parametrize(("rank", "dim"), [(1, 0), (2, 1), (3, 0), (4, 1)])
def test_softmax_without_axis_takes_the_one_torch_takes(rank: int, dim: int) -> None:
    made = evaluated("softmax", "F.softmax", (torch.randn((2,) * rank),), {})
    assert made is not None and made[1].args["dim"] == dim


@pytest.mark.parametrize("name", ["dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "rrelu"])
def test_random_layers_say_so_and_follow_the_modules_flag(name: str) -> None:
    made = nl.op.__getattr__(name)()(nl.input(3, 8))
    assert operator(name).effect == "random" and made.draft.args["training"] == "module"


@pytest.mark.parametrize(
    ("message", "op", "path", "args"),
    [
        ("the operand cannot be bool; convert it to an integer or float dtype first", "relu", "F.relu", (X > 0,)),
        ("axis 1 of 3×5 cannot be halved; its size must be even", "glu", "F.glu", (torch.randn(3, 5),)),
        ("use num_parameters=1 or 4", "prelu", "F.prelu", (X, torch.rand(3))),
        ("p = 1.5; expected a number in [0, 1]", "dropout", "F.dropout", (X, 1.5)),
        ("lower 0.5 exceeds upper 0.1; swap them", "rrelu", "F.rrelu", (X, 0.5, 0.1)),
        ("dim 3 is out of range for 3 axes", "softmax", "F.softmax", (X, 3)),
        ("value -1.0 does not fit uint8, which holds 0 to 255", "threshold", "F.threshold", (WHOLE.byte(), 1.0, -1.0)),
        ("4 axes where 2 or 3 are expected", "dropout1d", "F.dropout1d", (X[None],)),
    ],
)
def test_refusals_name_value_expectation_and_mend(message: str, op: str, path: str, args: tuple[Any, ...]) -> None:
    assert message in refused(op, path, *args)
