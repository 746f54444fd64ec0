"""Repetition: expand (without copying), repeat, repeat_interleave."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from ..errors import ShapeError
from .arguments import attr, either, integer, ints, optional, tensor, tensors
from .dims import Axis, Dims, Product, names
from .operator import Operator, TensorType, broadcast, pretty
from .view import plain_sizes, replaced


class Expand(Operator):
    """x stretched to ``shape`` along its axes of size 1, without copying; -1 keeps an axis.

    >>> import netloom as nl
    >>> nl.expand(nl.parameter(1, 1, 8), (4, -1, -1)).shape
    (4, 1, 8)
    """

    name = "expand"
    zero_terms = ("x",)
    params = (tensor("x"), attr("shape", ints(low=-1)))
    code = "{x}.expand({shape})"
    view = True
    calls = {
        "Tensor.expand": "x, *shape:size, implicit=False",
        "torch.broadcast_to": "x:input, shape:size",
        "Tensor.broadcast_to": "x, shape:size",
        "Tensor.expand_as": "x, other",
    }

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        if "other" in call:
            return {"x": call["x"], "shape": type_of(call["other"]).shape}
        shape = plain_sizes(call["shape"])
        return None if shape is None else {"x": call["x"], "shape": shape}

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        new = len(a.shape) - a.x.rank
        if new < 0:
            raise ShapeError(f"{pretty(a.x.shape)} has more axes than the shape {pretty(a.shape)} that it is to expand to")
        sizes = []
        for i, size in enumerate(a.shape):
            have = a.x.shape[i - new] if i >= new else 1
            if size == -1 and i < new:
                raise ShapeError(f"-1 at axis {i} of {pretty(a.shape)} keeps nothing: {pretty(a.x.shape)} has no such axis")
            if size != -1 and have != 1 and have != size:
                raise ShapeError(f"axis {i - new} of {pretty(a.x.shape)} has size {have}; only size 1 expands, not to {size}")
            sizes.append(have if size == -1 else size)
        return {"shape": tuple(sizes)}

    def infer(self, a: SimpleNamespace) -> TensorType:
        return TensorType(a.x.dtype, a.shape)

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows, out = names("d", a.x.rank), list(names("e", len(a.shape)))
        new = len(out) - len(rows)
        stretched = set()
        for i, row in enumerate(rows):
            if a.x.shape[i] == a.shape[new + i]:
                out[new + i] = row
            else:
                stretched.add(row)
        return Dims({"x": rows}, (tuple(out),), attrs={"shape": tuple(out)}, fixed=frozenset(stretched))


class BroadcastTensors(Operator):
    """All tensors expanded to the shape that they broadcast to."""

    name = "broadcast_tensors"
    zero_terms = ("tensors",)
    params = (tensors("tensors"),)
    code = "torch.broadcast_tensors(*{tensors})"
    view = True
    calls = {"torch.broadcast_tensors": "*tensors"}

    def template(self, a: SimpleNamespace) -> str:
        return self.code if len(a.tensors) > 1 else f"{self.code}[0]"

    def infer(self, a: SimpleNamespace) -> tuple[TensorType, ...]:
        shape = broadcast(*(t.shape for t in a.tensors))
        return tuple(TensorType(t.dtype, shape) for t in a.tensors)

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        out = names("d", outputs[0].rank)
        fixed: set[str] = set()
        rows = []
        for k, t in enumerate(a.tensors):
            offset = len(out) - t.rank
            row = [out[offset + i] if size == outputs[0].shape[offset + i] else f"t{k}_{i}" for i, size in enumerate(t.shape)]
            fixed.update(label for label in row if label not in out)
            rows.append(tuple(row))
        return Dims({"tensors": tuple(rows)}, (out,) * len(rows), fixed=frozenset(fixed))


class Repeat(Operator):
    """x laid side by side ``repeats[i]`` times along axis i; missing axes of x come first."""

    name = "repeat"
    zero_terms = ("x",)
    params = (tensor("x"), attr("repeats", ints(low=0)))
    code = "{x}.repeat({repeats})"
    calls = {
        "Tensor.repeat": "x, *repeats",
        "torch.tile": "x:input, tiles:dims",
        "Tensor.tile": "x, *tiles:dims",
    }

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        repeats = plain_sizes(call["tiles"] if "tiles" in call else call["repeats"])
        if repeats is None:
            return None
        if "tiles" in call:
            repeats = (1,) * (type_of(call["x"]).rank - len(repeats)) + repeats
        return {"x": call["x"], "repeats": repeats}

    def infer(self, a: SimpleNamespace) -> TensorType:
        new = len(a.repeats) - a.x.rank
        if new < 0:
            raise ShapeError(f"{len(a.repeats)} repeats for {a.x.rank} axes; give at least one for each axis")
        sizes = (1,) * new + a.x.shape
        return TensorType(a.x.dtype, tuple(size * times for size, times in zip(sizes, a.repeats)))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows, times = names("d", a.x.rank), names("r", len(a.repeats))
        new = len(times) - len(rows)
        out: list[Axis] = list(times[:new])
        stated: list[Any] = list(times)
        for i, row in enumerate(rows, new):
            once = a.repeats[i] == 1
            out.append(row if once else Product((times[i], row)))
            if once:
                stated[i] = 1
        fixed = frozenset(label for label in times if label in stated and a.repeats[times.index(label)] == 0)
        if fixed:
            return super().dims(a, outputs)
        return Dims({"x": rows}, (tuple(out),), attrs={"repeats": tuple(stated)})


class RepeatInterleave(Operator):
    """Every index along ``dim`` repeated in place: (a, b) → (a, a, b, b); over the flat tensor without ``dim``.

    ``repeats`` is a number, or one number for each index.
    """

    name = "repeat_interleave"
    zero_terms = ("x",)
    params = (
        tensor("x"),
        attr("repeats", either(integer(0), ints(low=0))),
        attr("dim", optional(integer()), None, axis_of="x"),
    )
    code = "torch.repeat_interleave({x}, {repeats}, {dim})"
    calls = {
        "torch.repeat_interleave": "x:input, repeats, dim=None, output_size=None",
        "Tensor.repeat_interleave": "x, repeats, dim=None, output_size=None",
    }

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        repeats = plain_sizes(call["repeats"])
        if repeats is None or type(call["repeats"]) is tuple:
            return None
        return {"x": call["x"], "repeats": repeats[0], "dim": call["dim"]}

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        if type(a.repeats) is tuple:
            if len(a.repeats) != 1:
                raise ShapeError(f"repeats {a.repeats} must be one number; for different ones use index_select")
            return {"repeats": a.repeats[0]}
        return {}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.dim is None:
            return TensorType(a.x.dtype, (a.x.numel * a.repeats,))
        if not a.x.shape:
            raise ShapeError("a tensor without axes repeats only without dim")
        return TensorType(a.x.dtype, replaced(a.x.shape, a.dim, a.x.shape[a.dim] * a.repeats))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows = names("d", a.x.rank)
        if a.repeats == 0 or not rows:
            return super().dims(a, outputs)
        if a.dim is None:
            return Dims({"x": rows}, ((Product((*rows, "r")),),), attrs={"repeats": "r"})
        return Dims({"x": rows}, (replaced(rows, a.dim, Product((rows[a.dim], "r"))),), attrs={"repeats": "r"})
