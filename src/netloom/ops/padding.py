"""Padding: zeros or other constants, reflections, the nearest element, and the other end."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from ..errors import ShapeError
from .arguments import attr, choice, ints, number, optional, tensor
from .dims import Axis, Concat, Dims, labels, names
from .operator import Operator, TensorType, pretty
from .view import plain_sizes


class Pad(Operator):
    """x with elements put before and after its last axes.

    ``padding`` pairs (before, after) start with the last axis, as in ``F.pad``; negative numbers crop. ``mode`` constant
    (``value``, default 0) pads any axes; reflect, replicate and circular the last one to three of a tensor with one or
    two more.

    >>> import netloom as nl
    >>> nl.pad(nl.input(3, 8, 8), (1, 2)).shape
    (Size('N'), 3, 8, 11)
    """

    name = "pad"
    zero_terms = ("x", "value")
    params = (
        tensor("x"),
        attr("padding", ints()),
        attr("mode", choice("constant", "reflect", "replicate", "circular"), "constant"),
        attr("value", optional(number()), 0.0),
    )
    calls = {"F.pad": 'x:input, padding:pad, mode="constant", value=None'}

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        if plain_sizes(call["padding"]) is None:
            return None
        value = call["value"]
        return call | {"value": 0.0 if value is None else float(value) if isinstance(value, bool) else value}

    def template(self, a: SimpleNamespace) -> str:
        if a.mode == "constant":
            return "F.pad({x}, {padding}, {mode}, {value})"
        return "F.pad({x}, {padding}, {mode})"

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        if a.mode != "constant" or a.value is None:
            return {"value": 0.0}
        return {"value": float(a.value)} if isinstance(a.value, int) else {}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if len(a.padding) % 2 or len(a.padding) > 2 * a.x.rank:
            raise ShapeError(f"padding {a.padding} must be pairs (before, after), at most {a.x.rank} for {pretty(a.x.shape)}")
        if a.mode != "constant":
            self._check_mode(a)
        sizes = list(a.x.shape)
        for i, (before, after) in enumerate(self._pairs(a)):
            new = sizes[i] + before + after
            if new < 0 or (new == 0 and a.mode != "constant"):
                raise ShapeError(f"padding {a.padding} leaves {new} of the {sizes[i]} elements of axis {i}; crop less")
            sizes[i] = new
        return TensorType(a.x.dtype, tuple(sizes))

    def _pairs(self, a: SimpleNamespace) -> list[tuple[Any, Any]]:
        """(before, after) for every axis, first axis first."""
        given = [(a.padding[i], a.padding[i + 1]) for i in range(0, len(a.padding), 2)]
        return [(0, 0)] * (a.x.rank - len(given)) + given[::-1]

    def _check_mode(self, a: SimpleNamespace) -> None:
        count = len(a.padding) // 2
        if not 1 <= count <= 3 or a.x.rank not in (count + 1, count + 2):
            raise ShapeError(
                f"{a.mode} padding takes pairs for the last one, two or three axes of a tensor with one or two more, "
                f"not {a.padding} for {pretty(a.x.shape)}"
            )
        if a.mode == "replicate":
            return
        for i, (before, after) in enumerate(self._pairs(a)):
            limit = a.x.shape[i] - 1 if a.mode == "reflect" else a.x.shape[i]
            if before > limit or after > limit:
                raise ShapeError(f"{a.mode} padding {before}, {after} exceeds {limit} for axis {i} of {pretty(a.x.shape)}")

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows = names("d", a.x.rank)
        out: list[Axis] = []
        fixed: set[str] = set()
        stated: list[Any] = list(a.padding)
        for i, (before, after) in enumerate(self._pairs(a)):
            place = 2 * (a.x.rank - 1 - i)
            if (before, after) == (0, 0):
                out.append(rows[i])
            elif a.mode == "constant" and before >= 0 and after >= 0:
                parts: list[Axis] = [rows[i]]
                if before:
                    parts.insert(0, f"before{i}")
                    stated[place] = f"before{i}"
                if after:
                    parts.append(f"after{i}")
                    stated[place + 1] = f"after{i}"
                out.append(Concat(tuple(parts)))
            else:
                out.append(f"out{i}")
                fixed.update((rows[i], f"out{i}"))
        return Dims({"x": rows}, (tuple(out),), attrs={"padding": tuple(stated)}, fixed=frozenset(fixed))

    def terms(self, a: SimpleNamespace, label: str, dims: Dims) -> tuple[str, ...]:
        return ("value",) if label not in labels(dims.operands["x"]) else self.zero_terms
