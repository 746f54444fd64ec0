"""Scaled dot-product attention. Vaswani et al. 2017."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from ..errors import ShapeError
from .arguments import MODULE, attr, boolean, flag, number, optional, tensor
from .dims import Axes, Axis, Dims, Product, names
from .dtypes import is_float
from .operator import Operator, TensorType, broadcast, pretty
from .view import replaced


class ScaledDotProductAttention(Operator):
    """softmax(q kᵀ · scale + mask) v: q (…, L, E), k (…, S, E), v (…, S, F) → (…, L, F).

    Leading axes broadcast. ``mask`` is bool (true takes part) or added; ``is_causal`` lets query i see keys up to i. The
    scale is 1/√E unless given, and a stored value: it stays when E is resized. With ``enable_gqa`` the third axis from the
    end of k and v (heads) divides that of q. Dropout acts where ``training``.

    >>> import netloom as nl
    >>> q, k = nl.input(8, 5, 32), nl.input(8, 7, 32)
    >>> nl.scaled_dot_product_attention(q, k, k).shape
    (Size('N'), 8, 5, 32)
    """

    name = "scaled_dot_product_attention"
    zero_terms = ("v",)
    params = (
        tensor("q"), tensor("k"), tensor("v"), tensor("mask", None),
        attr("dropout_p", number(0, 1), 0.0), attr("is_causal", boolean, False), attr("scale", optional(number()), None),
        attr("enable_gqa", boolean, False), attr("training", flag, MODULE),
    )  # fmt: skip
    effect = "random"
    calls = {
        "F.scaled_dot_product_attention": (
            "q:query, k:key, v:value, mask:attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False"
        )
    }

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        return call | {"training": True}

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        found: dict[str, Any] = {"dropout_p": float(a.dropout_p)}
        if a.dropout_p == 0:
            found["training"] = False
        if a.q.rank and isinstance(a.q.shape[-1], int) and a.q.shape[-1] > 0:
            found["scale"] = 1.0 / math.sqrt(a.q.shape[-1]) if a.scale is None else float(a.scale)
        return found

    def join_modes(self, evaluation: Mapping[str, Any], training: Mapping[str, Any]) -> dict[str, Any] | None:
        differing = {name for name in training if training[name] != evaluation[name]}
        if differing <= {"dropout_p", "training"} and evaluation["dropout_p"] == 0:
            return {**training, "training": MODULE}
        return None

    def template(self, a: SimpleNamespace) -> str:
        rate = {True: "{dropout_p}", False: "0.0"}.get(a.training, "({dropout_p} if {training} else 0.0)")
        heads = ", enable_gqa=True" if a.enable_gqa else ""
        return f"F.scaled_dot_product_attention({{q}}, {{k}}, {{v}}, {{mask}}, {rate}, {{is_causal}}, scale={{scale}}{heads})"

    def infer(self, a: SimpleNamespace) -> TensorType:
        self._check_types(a)
        k, v = a.k.shape, a.v.shape
        if a.enable_gqa:
            k, v = self._repeated(a, k), self._repeated(a, v)
        if a.q.shape[-1] != k[-1]:
            raise ShapeError(f"q {pretty(a.q.shape)} and k {pretty(a.k.shape)} must have the same features in their last axis")
        if k[-2] != v[-2]:
            raise ShapeError(f"k {pretty(a.k.shape)} and v {pretty(a.v.shape)} must have the same number of positions")
        lead = broadcast(broadcast(a.q.shape[:-2], k[:-2]), v[:-2])
        if a.mask is not None:
            scores = (*broadcast(a.q.shape[:-2], k[:-2]), a.q.shape[-2], k[-2])
            if broadcast(a.mask.shape, scores) != scores:
                raise ShapeError(f"the mask {pretty(a.mask.shape)} does not broadcast to the scores {pretty(scores)}")
        return TensorType(a.q.dtype, (*lead, a.q.shape[-2], v[-1]))

    def _check_types(self, a: SimpleNamespace) -> None:
        if not a.q.dtype == a.k.dtype == a.v.dtype or not is_float(a.q.dtype):
            raise ShapeError(f"q, k and v must have one floating point dtype, not {a.q.dtype}, {a.k.dtype}, {a.v.dtype}")
        if min(a.q.rank, a.k.rank, a.v.rank) < 2:
            raise ShapeError("q, k and v need at least two axes: positions and features")
        if a.mask is not None:
            if a.is_causal:
                raise ShapeError("is_causal goes without a mask; put both into one mask")
            if a.mask.dtype not in ("bool", a.q.dtype):
                raise ShapeError(f"the mask must be bool or {a.q.dtype}, not {a.mask.dtype}")

    def _repeated(self, a: SimpleNamespace, shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """k's or v's shape with as many heads as q has."""
        if a.q.rank < 3 or len(shape) < 3:
            raise ShapeError("enable_gqa needs an axis of heads before positions and features")
        heads, have = a.q.shape[-3], shape[-3]
        if have == 0 or heads % have:
            raise ShapeError(f"{heads} heads of q are not a multiple of {have} heads of k and v")
        return replaced(shape, len(shape) - 3, heads)

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        lead = outputs[0].shape[:-2]
        labels: list[Axis] = list(names("n", len(lead)))
        fixed: set[str] = set()
        heads: Axis | None = None
        if a.enable_gqa and a.k.shape[-3] == a.v.shape[-3] != lead[-1]:
            labels[-1], heads = Product(("g", "r")), "g"

        def row(prefix: str, t: TensorType, shared: bool, *last: Axis) -> tuple[Axis, ...]:
            found: list[Axis] = []
            offset = len(lead) - (t.rank - 2)
            for i, size in enumerate(t.shape[:-2]):
                if shared and heads is not None and offset + i == len(lead) - 1:
                    found.append(heads)
                elif size == lead[offset + i]:
                    found.append(labels[offset + i])
                else:
                    found.append(f"{prefix}{i}")
                    fixed.add(f"{prefix}{i}")
            return (*found, *last)

        operands: dict[str, Any] = {
            "q": row("q", a.q, False, "l", "e"), "k": row("k", a.k, True, "s", "e"), "v": row("v", a.v, True, "s", "f"),
        }  # fmt: skip
        if a.mask is not None:
            operands["mask"] = self._mask_row(a.mask, (*lead, a.q.shape[-2], a.k.shape[-2]), (*labels, "l", "s"), fixed)
        # Keys are weighed against each other; a causal query counts positions.
        coupled = {"l": "other", "s": "other"} if a.is_causal else {"s": "average"}
        return Dims(operands, ((*labels, "l", "f"),), fixed=frozenset(fixed), coupled=coupled)

    def _mask_row(self, mask: TensorType, shape: tuple[Any, ...], labels: Axes, fixed: set[str]) -> Axes:
        found: list[Axis] = []
        offset = len(shape) - mask.rank
        for i, size in enumerate(mask.shape):
            if size == shape[offset + i]:
                found.append(labels[offset + i])
            else:
                found.append(f"m{i}")
                fixed.add(f"m{i}")
        return tuple(found)

    def flops(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Any:
        out = outputs[0].shape
        return 2 * math.prod(out[:-1]) * a.k.shape[-2] * (a.q.shape[-1] + out[-1])
