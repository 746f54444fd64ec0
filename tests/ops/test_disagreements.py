"""Calls on which a rule and torch once disagreed: whether they are calls at all, and of which type the results are."""

from __future__ import annotations

from typing import Any

import pytest

from netloom.ops import DType, Slice, Weight
from netloom.ops.arguments import MODULE
from netloom.testing import Call, check_rule
from netloom.testing.operators import Operand, typed


def t(dtype: str, *shape: int) -> Operand:
    return typed(dtype, shape)


def f(*shape: int) -> Operand:
    return t("float32", *shape)


def double(*shape: int) -> Operand:
    return t("float64", *shape)


def half(*shape: int) -> Operand:
    return t("float16", *shape)


def int64(*shape: int) -> Operand:
    return typed("int64", shape, 0, 1)


def cell(name: str, gates: int, x: Operand, **more: Any) -> Call:
    dtype, rows = x.type.dtype, gates * 2
    return Call(name, {"x": x, "hidden": 2, "weight_ih": t(dtype, rows, 3), "weight_hh": t(dtype, rows, 2), **more})


W, B = Weight("weight"), Weight("bias")
CONV = {"out": 1, "weight": W, "bias": None}

#: Valid ones, then ones that torch refuses.
TAKEN = [
    Call("batch_norm", {"x": half(4, 3), "running_mean": f(3), "running_var": f(3), "training": False}),
    Call("batch_norm", {"x": f(4, 3), "running_mean": f(3), "running_var": f(3), "weight": f(3), "training": True}),
    Call("layer_norm", {"x": t("bfloat16", 4, 3), "weight": f(3), "bias": f(3)}),
    Call("group_norm", {"x": half(4, 3, 2), "groups": 1, "weight": f(3), "bias": f(3)}),
    Call("local_response_norm", {"x": int64(2, 3, 4), "size": 2}),
    Call("avg_pool1d", {"x": int64(1, 4), "kernel": 2}),
    Call("avg_pool2d", {"x": int64(1, 4, 4), "kernel": 2}),
    Call("lp_pool2d", {"x": int64(1, 4, 4), "kernel": 2, "norm_type": 1.0}),
    Call("lp_pool1d", {"x": t("bool", 1, 4), "kernel": 2}),
    *(Call(name, {"x": t(dtype, 2, 3, 4), "p": p, "training": training})
      for name in ("dropout", "alpha_dropout", "dropout1d", "feature_dropout", "feature_alpha_dropout")
      for dtype in ("int64", "bool") for p, training in ((0.0, True), (1.0, True), (0.5, False), (0.5, MODULE))),
    Call("dropout2d", {"x": f(), "p": 1.0, "training": True}),
    Call("arange", {"start": -2, "end": 7.25, "step": 3, "dtype": DType("int64")}),
    Call("arange", {"start": 0.9, "end": 5.9, "step": 1.9, "dtype": DType("int64")}),
    Call("fftn", {"x": f()}),
    Call("ifftn", {"x": f(), "dim": (), "s": ()}),
    Call("fftn", {"x": f(2, 3), "dim": ()}),
    Call("softmin", {"x": int64(2, 3), "dim": 0, "dtype": DType("float32")}),
    Call("add", {"x": t("uint16", 2), "y": f(2)}),
    Call("nansum", {"x": t("complex64", 2, 3)}),
    Call("norm", {"x": f(2), "dim": ()}),
]  # fmt: skip
REFUSED = [
    Call("batch_norm", {"x": double(4, 3), "running_mean": f(3), "running_var": f(3), "training": False}),
    Call("batch_norm", {"x": f(4, 3), "running_mean": f(3), "running_var": f(3), "bias": half(3), "training": True}),
    Call("batch_norm", {"x": half(4, 3), "running_mean": f(3), "running_var": f(3), "bias": half(3), "training": True}),
    Call("batch_norm", {"x": f(4, 3), "running_mean": f(3), "running_var": f(3), "eps": -1.0, "training": False}),
    Call("batch_norm", {"x": f(1, 0), "training": True}),
    Call("instance_norm", {"x": f(2, 3, 4), "weight": half(3), "training": True}),
    Call("layer_norm", {"x": f(4, 3), "bias": half(3)}),
    Call("layer_norm", {"x": half(4, 3), "weight": f(3), "bias": half(3)}),
    Call("group_norm", {"x": double(4, 3, 2), "groups": 1, "bias": f(3)}),
    Call("avg_pool3d", {"x": f(1, 4, 4, 4), "kernel": 5, "ceil_mode": True}),
    Call("avg_pool3d", {"x": f(1, 2, 4, 4), "kernel": 3, "padding": 1}),
    Call("max_pool2d", {"x": f(2, 0, 4, 4), "kernel": 2}),
    Call("max_pool1d", {"x": f(0, 4), "kernel": 2}),
    Call("adaptive_avg_pool3d", {"x": f(2, 0, 2, 2, 2), "output_size": 1}),
    Call("lp_pool1d", {"x": f(1, 4), "kernel": 2, "norm_type": 0.0}),
    Call("lp_pool2d", {"x": f(1, 4, 4), "kernel": 2, "norm_type": 0.0}),
    Call("conv2d", {"x": f(1, 2, 0, 3), "kernel": 1, "padding": 1, **CONV}),
    Call("conv_transpose1d", {"x": f(1, 2, 0), "kernel": 3, **CONV}),
    *(Call(name, {"x": int64(2, 3, 4), "p": 0.5, "training": True})
      for name in ("dropout", "alpha_dropout", "dropout1d", "feature_dropout", "feature_alpha_dropout")),
    Call("arange", {"start": 0, "end": 5, "step": 0.5, "dtype": DType("int64")}),
    Call("arange", {"start": 0, "end": 5, "dtype": DType("bool")}),
    Call("arange", {"start": 0, "end": float("inf")}),
    Call("fftn", {"x": f(), "dim": (0,)}),
    Call("rfftn", {"x": f()}),
    Call("irfftn", {"x": f(), "dim": (0,)}),
    Call("rfftn", {"x": f(), "dim": (0,)}),
    Call("fftshift", {"x": f()}),
    Call("ifftshift", {"x": f(), "dim": (0,)}),
    Call("roll", {"x": f(), "shifts": (1,), "dims": (0,)}),
    Call("exponential_like", {"x": t("complex64", 2)}),
    Call("exponential_like", {"x": f(2), "rate": 0}),
    Call("normal", {"mean": f(2), "std": -2.0}),
    Call("randint_like", {"x": t("complex64", 2), "low": 0, "high": 3}),
    Call("multinomial", {"x": f(0), "num_samples": 1, "replacement": True}),
    Call("softmin", {"x": t("bool", 2), "dim": 0, "dtype": DType("float32")}),
    Call("vector_norm", {"x": double(2), "dtype": DType("float32")}),
    Call("vector_norm", {"x": t("complex64", 2), "dtype": DType("float32")}),
    Call("norm", {"x": f(2), "dtype": DType("bool")}),
    Call("matrix_norm", {"x": f(2, 2), "dtype": DType("float16")}),
    Call("index_add", {"x": f(), "dim": 0, "index": int64(1), "source": f(1)}),
    Call("addcmul", {"x": t("int8", 2), "tensor1": t("int8", 2), "tensor2": t("int8", 2), "value": 300}),
    Call("setitem", {"x": f(3), "index": (Slice(0, 2),), "value": 1j}),
    Call("bilinear", {"x1": f(0), "x2": f(1), "out": 1, "weight": W, "bias": None}),
    Call("cat", {"tensors": (f(0, 3), f(5, 4, 1, 0), f(5, 4, 1, 1)), "dim": 3}),
    Call("add", {"x": t("uint16", 2), "y": int64(2)}),
    Call("mul", {"x": t("float8_e5m2", 2), "y": f(2)}),
    cell("lstm_cell", 4, int64(4, 3)), cell("gru_cell", 3, int64(4, 3)), cell("rnn_tanh_cell", 1, t("bool", 4, 3)),
    cell("gru_cell", 3, f(4, 3), bias_ih=f(6), bias_hh=None),
    Call("lstm", {"x": int64(2, 3, 4), "hidden": 3, "proj_size": 2, "bias": False, "weights": tuple(
        Weight(f"weight_{role}_l0") for role in ("ih", "hh", "hr"))}),
    Call("cumsum", {"x": f(2, 3), "dim": 2**64}),
    Call("add", {"x": int64(2), "y": int64(2), "alpha": 2**63}),
    Call("normal", {"mean": 0.5, "std": t("complex64", 2)}),
    Call("rrelu", {"x": f(2), "lower": float("-inf")}),
    Call("searchsorted", {"x": f(4), "values": t("float8_e5m2", 4)}),
    Call("bucketize", {"x": t("uint16", 4), "boundaries": int64(4)}),
    Call("setitem", {"x": f(), "index": (), "value": 2**63}),
    Call("multi_dot", {"tensors": (f(2, 3), f(3), f(3, 2))}),
    Call("lstm", {"x": f(2, 3, 4), "hidden": 3, "num_layers": 10**9, "weights": (W,)}),
]  # fmt: skip


@pytest.mark.parametrize("call", TAKEN, ids=repr)
def test_taken(call: Call) -> None:
    assert check_rule(call)


@pytest.mark.parametrize("call", REFUSED, ids=repr)
def test_refused(call: Call) -> None:
    assert not check_rule(call)
