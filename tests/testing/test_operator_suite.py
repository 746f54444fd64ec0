"""The conformance suite finds what it is there to find: rules spoiled on purpose fail it."""

from __future__ import annotations

from typing import Any

import pytest

from netloom.errors import ShapeError
from netloom.ops import REGISTRY, TensorType, Weight
from netloom.ops.dims import Dims
from netloom.testing import (
    Call,
    Operand,
    check_calls,
    check_cost,
    check_dims,
    check_free_sizes,
    check_rule,
    check_template,
    check_written,
)

X = Operand(TensorType("float32", (2, 3)))
RELU = Call("relu", {"x": X})
LINEAR = Call("linear", {"x": X, "out": 4, "weight": Weight("weight"), "bias": None})


def twice(label: str, factor: int) -> int:
    return 2 * factor


def spoil(monkeypatch: pytest.MonkeyPatch, op: str, attribute: str, value: Any) -> None:
    monkeypatch.setattr(type(REGISTRY[op]), attribute, value)


def test_sound_operators_pass() -> None:
    for call in (RELU, LINEAR):
        assert all(check(call) for check in (check_rule, check_template, check_free_sizes, check_cost)), call
        assert check_dims(call, twice)
    assert check_calls(RELU) >= {"torch.relu", "Tensor.relu"}
    assert not check_rule(Call("relu", {"x": Operand(TensorType("bool", (2,)))}))


def test_wrong_type_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, "relu", "infer", lambda self, a: TensorType("float64", a.x.shape))
    with pytest.raises(AssertionError, match=r"float64\[2, 3\] by the rule, float32\[2, 3\]"):
        check_rule(RELU)


def test_needless_refusal_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Any, a: Any) -> TensorType:
        raise ShapeError(f"no {a.x.dtype}")

    spoil(monkeypatch, "relu", "infer", refuse)
    with pytest.raises(AssertionError, match="is refused"):
        check_rule(RELU)


def test_missing_refusal_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, "relu", "infer", lambda self, a: a.x)
    with pytest.raises(AssertionError, match="real tensors refuse"):
        check_rule(Call("relu", {"x": Operand(TensorType("bool", (2,)))}))


@pytest.mark.parametrize(
    ("dims", "reason"),
    [
        (Dims({}, (("a", "b"),)), "says nothing of x"),
        (Dims({"x": ("a",)}, (("a", "b"),)), "for x"),
        (Dims({"x": ("a", "b")}, (("b", "a"),)), "labels give"),
        (Dims({"x": ("a", "b")}, (("a", "c"),)), "its dims say"),
    ],
)
def test_wrong_dimension_rule_is_found(monkeypatch: pytest.MonkeyPatch, dims: Dims, reason: str) -> None:
    spoil(monkeypatch, "relu", "dims", lambda self, a, outputs: dims)
    sizes = iter((5, 6, 7))
    with pytest.raises(AssertionError, match=reason):
        check_dims(RELU, lambda label, factor: next(sizes))


def test_frozen_size_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def infer(self: Any, a: Any) -> TensorType:
        return TensorType("float32", tuple(size if isinstance(size, int) else 7 for size in a.x.shape))

    spoil(monkeypatch, "relu", "infer", infer)
    with pytest.raises(AssertionError, match=r"d0 = N gives float32\[7, 3\], at N = 1000003"):
        check_free_sizes(RELU)


def test_wrong_cost_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, "linear", "flops", lambda self, a, outputs: 1)
    with pytest.raises(AssertionError, match="1 FLOPs by the rule, 48 by torch"):
        check_cost(LINEAR)


def test_wrong_template_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, "relu", "code", "F.relu({x} + 1)")
    with pytest.raises(AssertionError, match="other bits"):
        check_calls(RELU)
    with pytest.raises(AssertionError, match="other bits"):
        check_written("torch.relu(x)")


def test_unbound_call_is_found() -> None:
    with pytest.raises(AssertionError, match="binds to no operator"):
        check_written("torch.special.bessel_j0(x)")
