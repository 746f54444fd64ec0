"""Affine maps: linear, bilinear, embedding."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ..errors import ShapeError
from .arguments import attr, boolean, integer, number, optional, tensor, weight
from .dims import Dims, names
from .operator import Operator, TensorType, pretty


def require_same_dtype(x: TensorType, **others: TensorType | None) -> None:
    """Refuse operands of another dtype than x; products do not promote."""
    for name, other in others.items():
        if other is not None and other.dtype != x.dtype:
            raise ShapeError(f"{name} is {other.dtype} where x is {x.dtype}; convert one of them")


class Linear(Operator):
    """``y = x Wᵀ + b`` over the last axis: (…, in) → (…, out); weight (out, in), bias (out)."""

    name = "linear"
    zero_terms = ("x weight", "bias")
    saves_output = False
    params = (tensor("x"), attr("out", integer(0)), weight("weight"), weight("bias", optional=True))
    code = "F.linear({x}, {weight}, {bias})"
    calls = {"torch.nn.functional.linear": "x:input, weight, bias=None"}

    def from_call(self, call: dict[str, Any], type_of: Any) -> dict[str, Any] | None:
        shape = type_of(call["weight"]).shape
        return call | {"out": shape[0]} if len(shape) == 2 else None

    def weights(self, a: SimpleNamespace) -> dict[str, TensorType]:
        if not a.x.shape:
            raise ShapeError("a tensor without axes has no features; it needs at least one axis")
        return {"weight": TensorType(a.x.dtype, (a.out, a.x.shape[-1])), "bias": TensorType(a.x.dtype, (a.out,))}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.weight.rank != 2 or a.weight.shape[0] != a.out:
            raise ShapeError(f"weight {pretty(a.weight.shape)} must be ({a.out}, features) for {a.out} outputs")
        if a.weight.rank != 2:
            raise ShapeError(f"the weight {pretty(a.weight.shape)} must have two axes (out, in)")
        if a.x.rank == 0 or a.x.shape[-1] != a.weight.shape[1]:
            raise ShapeError(
                f"the last axis of {pretty(a.x.shape)} does not have the {a.weight.shape[1]} features that the weight "
                f"{pretty(a.weight.shape)} takes; flatten or permute first"
            )
        if a.bias is not None and a.bias.shape not in ((a.out,), (1,), ()):
            raise ShapeError(f"bias {pretty(a.bias.shape)} does not fit {a.out} outputs")
        require_same_dtype(a.x, weight=a.weight, bias=a.bias)
        return TensorType(a.x.dtype, (*a.x.shape[:-1], a.out))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        lead = names("n", a.x.rank - 1)
        operands: dict[str, Any] = {"x": (*lead, "i"), "weight": ("o", "i")}
        fixed: set[str] = set()
        if a.bias is not None:
            operands["bias"] = ("o",) if a.bias.shape == (a.out,) else names("b", a.bias.rank)
            if a.bias.shape != (a.out,):
                fixed.update(operands["bias"])
        return Dims(operands, ((*lead, "o"),), attrs={"out": "o"}, fixed=frozenset(fixed))

    def flops(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Any:
        return 2 * outputs[0].numel * a.x.shape[-1]

    def init(self, role: str, a: SimpleNamespace) -> tuple[Any, ...]:
        fan_in = a.x.shape[-1]
        if role == "weight":
            return ("kaiming_uniform", fan_in)
        return ("uniform", -(fan_in**-0.5), fan_in**-0.5) if fan_in else ("constant", 0.0)


class Embedding(Operator):
    """Rows of a table by index: integers (…) → (…, features); weight (num_embeddings, features)."""

    name = "embedding"
    zero_terms = ("weight",)
    params = (
        tensor("x"),
        attr("num_embeddings", integer(0)),
        attr("features", integer(0)),
        weight("weight"),
        attr("padding_idx", optional(integer()), None),
        attr("max_norm", optional(number(0)), None),
        attr("norm_type", number(), 2.0),
        attr("scale_grad_by_freq", boolean, False),
        attr("sparse", boolean, False),
    )
    code = "F.embedding({x}, {weight}, {padding_idx}, {max_norm}, {norm_type}, {scale_grad_by_freq}, {sparse})"
    calls = {
        "torch.nn.functional.embedding": (
            "x:input, weight, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, sparse=False"
        )
    }

    def from_call(self, call: dict[str, Any], type_of: Any) -> dict[str, Any] | None:
        shape = type_of(call["weight"]).shape
        return call | {"num_embeddings": shape[0], "features": shape[1]} if len(shape) == 2 else None

    def weights(self, a: SimpleNamespace) -> dict[str, TensorType]:
        return {"weight": TensorType("float32", (a.num_embeddings, a.features))}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.x.dtype not in ("int32", "int64"):
            raise ShapeError(f"indices must be int32 or int64, not {a.x.dtype}; convert them with to(dtype=int64)")
        if a.weight.shape != (a.num_embeddings, a.features):
            raise ShapeError(f"the weight {pretty(a.weight.shape)} must be {a.num_embeddings}×{a.features}, as is stated")
        if a.padding_idx is not None and not -a.num_embeddings <= a.padding_idx < a.num_embeddings:
            raise ShapeError(f"padding_idx {a.padding_idx} is outside the {a.num_embeddings} embeddings")
        return TensorType(a.weight.dtype, (*a.x.shape, a.features))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        lead = names("n", a.x.rank)
        # The indices are data: a table with fewer rows, or with others, is not what they mean.
        return Dims(
            {"x": lead, "weight": ("v", "f")}, ((*lead, "f"),), attrs={"num_embeddings": "v", "features": "f"},
            fixed=frozenset({"v"}),
        )  # fmt: skip

    def init(self, role: str, a: SimpleNamespace) -> tuple[Any, ...]:
        return ("normal", 0.0, 1.0)


class Bilinear(Operator):
    """``y_o = x1 W_o x2 + b_o``: (…, in1), (…, in2) → (…, out); weight (out, in1, in2), bias (out)."""

    name = "bilinear"
    zero_terms = ("x1 x2 weight", "bias")
    params = (
        tensor("x1"), tensor("x2"), attr("out", integer(1)), weight("weight"), weight("bias", optional=True),
    )  # fmt: skip
    code = "F.bilinear({x1}, {x2}, {weight}, {bias})"
    calls = {"torch.nn.functional.bilinear": "x1:input1, x2:input2, weight, bias=None"}

    def from_call(self, call: dict[str, Any], type_of: Any) -> dict[str, Any] | None:
        return call | {"out": type_of(call["weight"]).shape[0]}

    def weights(self, a: SimpleNamespace) -> dict[str, TensorType]:
        if not a.x1.rank or not a.x2.rank:
            raise ShapeError("both operands need at least one axis")
        weight = TensorType(a.x1.dtype, (a.out, a.x1.shape[-1], a.x2.shape[-1]))
        return {"weight": weight, "bias": TensorType(a.x1.dtype, (a.out,))}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if not a.x1.rank or not a.x2.rank:
            raise ShapeError("both operands need at least one axis")
        if a.x1.shape[:-1] != a.x2.shape[:-1]:
            raise ShapeError(f"{pretty(a.x1.shape)} and {pretty(a.x2.shape)} must agree on every axis but the last")
        if a.weight.shape != (a.out, a.x1.shape[-1], a.x2.shape[-1]):
            raise ShapeError(f"features {a.x1.shape[-1]}, {a.x2.shape[-1]} do not fit the weight {pretty(a.weight.shape)}")
        if 0 in a.weight.shape:
            raise ShapeError(f"features {a.x1.shape[-1]}, {a.x2.shape[-1]}; expected at least one of each")
        if a.bias is not None and a.bias.shape != (a.out,):
            raise ShapeError(f"bias {pretty(a.bias.shape)} does not fit {a.out} outputs")
        require_same_dtype(a.x1, x2=a.x2, weight=a.weight, bias=a.bias)
        return TensorType(a.x1.dtype, (*a.x1.shape[:-1], a.out))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        lead = names("n", a.x1.rank - 1)
        operands: dict[str, Any] = {"x1": (*lead, "i"), "x2": (*lead, "j"), "weight": ("o", "i", "j")}
        if a.bias is not None:
            operands["bias"] = ("o",)
        return Dims(operands, ((*lead, "o"),), attrs={"out": "o"})

    def init(self, role: str, a: SimpleNamespace) -> tuple[Any, ...]:
        bound = a.x1.shape[-1] ** -0.5
        return ("uniform", -bound, bound)
