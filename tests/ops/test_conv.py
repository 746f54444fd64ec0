"""Convolutions, their transposes and patches against torch, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

import netloom as nl
from netloom.errors import AttributeValueError, ShapeError
from tests.ops.flops import counted, stated, values
from tests.ops.replay import replay

IMAGE = torch.randn(2, 4, 9, 8)
ONE = torch.randn(4, 9, 8)
SIGNAL = torch.randn(2, 4, 9)
VOLUME = torch.randn(1, 2, 5, 6, 4)
FULL = torch.randn(6, 4, 3, 2)
GROUPED = torch.randn(6, 2, 3, 3)
DEPTHWISE = torch.randn(8, 1, 3, 3)
BIAS = torch.randn(6)

SAME_AS_TORCH: list[tuple[Any, ...]] = [
    ("conv2d", "F.conv2d", IMAGE, FULL, BIAS),
    ("conv2d", "torch.conv2d", IMAGE, FULL, None, 2, 1),
    ("conv2d", "F.conv2d", ONE, FULL, BIAS, (2, 1), (1, 2), (2, 3)),
    ("conv2d", "F.conv2d", IMAGE, FULL, BIAS, 1, "same"),
    ("conv2d", "F.conv2d", IMAGE, FULL, BIAS, 2, "valid"),
    ("conv2d", "F.conv2d", IMAGE, GROUPED, BIAS, 1, 1, 1, 2),
    ("conv2d", "F.conv2d", IMAGE, DEPTHWISE, None, 1, "same", 2, 4),
    ("conv1d", "F.conv1d", SIGNAL, torch.randn(6, 2, 3), BIAS, (2,), (1,), (1,), 2),
    ("conv3d", "F.conv3d", VOLUME, torch.randn(3, 2, 2, 3, 1), None, (1, 2, 1), "valid"),
    ("conv_transpose1d", "F.conv_transpose1d", SIGNAL, torch.randn(4, 3, 2), None, 2, 0, 1),
    ("conv_transpose2d", "F.conv_transpose2d", IMAGE, torch.randn(4, 3, 3, 3), BIAS, 2, 1, (1, 0), 2),
    ("conv_transpose2d", "torch.conv_transpose2d", ONE, torch.randn(4, 3, 3, 3), None, 1, 0, 0, 1, 2),
    ("conv_transpose3d", "F.conv_transpose3d", VOLUME, torch.randn(2, 3, 2, 2, 2), None, 2),
    ("unfold2d", "F.unfold", IMAGE, (3, 2), 1, 1, 2),
    ("unfold2d", "F.unfold", ONE, 2),
    ("fold", "F.fold", torch.randn(2, 12, 56), (9, 8), 2),
    ("fold", "F.fold", torch.randn(2, 24, 25), (9, 8), (3, 2), 1, 1, 2),
]


@pytest.mark.filterwarnings("ignore:Using padding=.same. with even kernel")
@pytest.mark.parametrize("case", SAME_AS_TORCH, ids=lambda case: f"{case[0]}-{tuple(case[2].shape)}")
def test_same_as_torch(case: tuple[Any, ...]) -> None:
    replay(*case)


@pytest.mark.filterwarnings("ignore:Using padding=.same. with even kernel")
def test_equal_paddings_have_one_normal_form() -> None:
    assert replay("conv2d", "F.conv2d", IMAGE, GROUPED, None, 1, "same", 1, 2)["padding"] == (1, 1)
    assert replay("conv2d", "F.conv2d", IMAGE, FULL, None, 1, "valid")["padding"] == (0, 0)
    # A kernel of even size is padded unevenly, which no numbers say.
    assert replay("conv2d", "F.conv2d", IMAGE, FULL, None, 1, "same")["padding"] == "same"


@pytest.mark.parametrize(
    ("groups", "stride", "padding", "shape"),
    [(1, 1, 0, (2, 4, 9, 8)), (2, 2, 1, (2, 4, 9, 8)), (4, 1, 2, (3, 4, 7, 7)), (1, 3, 0, (4, 9, 8))],
)
def test_flops_are_those_torch_counts(groups: int, stride: int, padding: int, shape: tuple[int, ...]) -> None:
    (x,) = values(shape)
    made = nl.conv2d(x, 8, 3, stride, padding, groups=groups)
    assert stated(made) == counted(lambda x, w: F.conv2d(x, w, None, stride, padding, 1, groups), shape, (8, 4 // groups, 3, 3))
    made = nl.conv_transpose2d(x, 8, 3, stride, padding, groups=groups)
    assert stated(made) == counted(
        lambda x, w: F.conv_transpose2d(x, w, None, stride, padding, 0, groups), shape, (4, 8 // groups, 3, 3)
    )


def test_fresh_weights_have_the_spread_of_torchs_own() -> None:
    x = nl.input(4, 9, 9)
    for made, layer in (
        (nl.conv2d(x, 6, 3, groups=2), torch.nn.Conv2d(4, 6, 3, groups=2)),
        (nl.conv_transpose2d(x, 6, 3, groups=2), torch.nn.ConvTranspose2d(4, 6, 3, groups=2)),
    ):
        kind = nl.ops.operator(made.draft.op)
        types = kind.weights(made.draft.types)
        assert {role: type.shape for role, type in types.items()} == {n: tuple(p.shape) for n, p in layer.named_parameters()}
        name, fan_in = kind.init("weight", made.draft.types)
        assert name == "kaiming_uniform" and layer.weight.abs().max() <= fan_in**-0.5 < 1.2 * layer.weight.abs().max()
        assert layer.bias is not None and layer.bias.abs().max() <= kind.init("bias", made.draft.types)[2]


def test_a_free_spatial_axis_stays_symbolic() -> None:
    width = nl.Size.symbol("W")
    x = nl.input(3, 8, width)
    assert str(nl.conv2d(x, 4, 3, padding=1).shape[-1]) == "W"
    assert nl.conv2d(x, 4, 3, stride=2, padding=1).shape[-1].at({"W": 9}) == 5
    assert str(nl.conv_transpose2d(x, 4, 2, stride=2).shape[-1]) == "2*W"


REFUSED = [
    (lambda x: nl.conv2d(x, 8, 11, name="stem"), ShapeError, "conv2d 'stem': kernel 11×11 exceeds the input 9×8 with "
     "padding 0×0; use padding ≥ 2 or a smaller kernel"),
    (lambda x: nl.conv2d(x, 8, 5, dilation=3), ShapeError, "dilated to 13×13"),
    (lambda x: nl.conv2d(x, 8, 3, groups=3), ShapeError, "groups 3 does not divide the 4 input channels; use a divisor of 4"),
    (lambda x: nl.conv2d(x, 6, 3, groups=4), ShapeError, "groups 4 does not divide the 6 output channels"),
    (lambda x: nl.conv2d(x, 8, 3, stride=2, padding="same"), ShapeError, "padding 'same' needs stride 1, not 2×2"),
    (lambda x: nl.conv2d(x, 8, 3, padding="full"), AttributeValueError, "padding = 'full'; expected 2 integers ≥ 0 or one of"),
    (lambda x: nl.conv2d(x, 8, (3, 3, 3)), AttributeValueError, "kernel = (3, 3, 3); expected 2 integers ≥ 1"),
    (lambda x: nl.conv1d(x, 8, 3), ShapeError, "has 4 axes where (N, C, L) or (C, L) is expected"),
    (lambda x: nl.conv2d(nl.input(3, 32), 8, 3), ShapeError, "free size N for channels"),
    (lambda x: nl.conv_transpose2d(x, 8, 3, output_padding=1), ShapeError, "output_padding 1 must be smaller than stride 1"),
    (lambda x: nl.conv_transpose2d(x, 8, 1, padding=5), ShapeError, "padding 5×5 leaves nothing of 9×8"),
    (lambda x: nl.fold(nl.input(8, 9), (4, 4), 3), ShapeError, "multiple of the kernel's 9 positions"),
    (lambda x: nl.fold(nl.input(8, 8), (4, 4), 2), ShapeError, "8 columns where kernel 2×2 has 9 places"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "error", "message"), REFUSED, ids=lambda value: value if isinstance(value, str) else "")
def test_refusals_name_value_expectation_and_mend(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        make(nl.input(4, 9, 8))
    assert message in str(caught.value)


def test_a_computed_weight_must_fit_too() -> None:
    with pytest.raises(ShapeError, match="weight 8×4×3×3 does not fit; it must be 8×4×5×5"):
        nl.conv2d(nl.input(4, 9, 8), 8, 5, weight=nl.parameter(8, 4, 3, 3))
