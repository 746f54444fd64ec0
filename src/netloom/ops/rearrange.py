"""The same elements in other places: roll, flip, rot90, pixel and channel shuffles, sliding windows."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from ..errors import ShapeError
from .arguments import attr, integer, ints, tensor
from .dims import Axis, Dims, Product, names
from .operator import Operator, TensorType, axes, pretty
from .view import plain_sizes, replaced


class Roll(Operator):
    """x shifted by ``shifts`` along ``dims``, what leaves at one end coming in at the other; flat without ``dims``."""

    name = "roll"
    zero_terms = ("x",)
    params = (tensor("x"), attr("shifts", ints()), attr("dims", ints(), (), axis_of="x"))
    code = "torch.roll({x}, {shifts}, {dims})"
    calls = {"torch.roll": "x:input, shifts, dims=()", "Tensor.roll": "x, shifts, dims=()"}

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        return None if plain_sizes(call["shifts"]) is None else call | {"dims": () if call["dims"] is None else call["dims"]}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if len(a.shifts) != (len(a.dims) or 1):
            raise ShapeError(f"{len(a.shifts)} shifts for {len(a.dims) or 'no'} dims; give one shift for each")
        if a.dims and not a.x.rank:
            raise ShapeError(f"dims {a.dims} of a tensor without axes; leave them out")
        return a.x

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows = names("d", a.x.rank)
        moved = a.dims or range(a.x.rank)
        return Dims({"x": rows}, (rows,), fixed=frozenset(rows[i] for i in moved))


class Flip(Operator):
    """x with the order of its indices reversed along ``dims``."""

    name = "flip"
    zero_terms = ("x",)
    params = (tensor("x"), attr("dims", ints(), axis_of="x"))
    code = "torch.flip({x}, {dims})"
    calls = {
        "torch.flip": "x:input, dims", "Tensor.flip": "x, *dims",
        "torch.fliplr": "x:input, dims=(1,)", "Tensor.fliplr": "x, dims=(1,)",
        "torch.flipud": "x:input, dims=(0,)", "Tensor.flipud": "x, dims=(0,)",
    }  # fmt: skip

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        return {"dims": tuple(sorted(a.dims))}

    def infer(self, a: SimpleNamespace) -> TensorType:
        return a.x

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows = names("d", a.x.rank)
        return Dims({"x": rows}, (rows,), fixed=frozenset(rows[i] for i in a.dims if rows))


class Rot90(Operator):
    """x turned ``k`` quarter turns in the plane of ``dims``."""

    name = "rot90"
    zero_terms = ("x",)
    params = (tensor("x"), attr("k", integer(), 1), attr("dims", ints(2), (0, 1)))
    code = "torch.rot90({x}, {k}, {dims})"
    calls = {"torch.rot90": "x:input, k=1, dims=(0, 1)", "Tensor.rot90": "x, k=1, dims=(0, 1)"}

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        return {"k": a.k % 4, "dims": axes(a.dims, a.x.rank, "dims")}

    def infer(self, a: SimpleNamespace) -> TensorType:
        shape = list(a.x.shape)
        if a.k % 2:
            i, j = a.dims
            shape[i], shape[j] = shape[j], shape[i]
        return TensorType(a.x.dtype, tuple(shape))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows = names("d", a.x.rank)
        i, j = a.dims
        out = replaced(replaced(rows, i, rows[j]), j, rows[i]) if a.k % 2 else rows
        return Dims({"x": rows}, (out,), fixed=frozenset({rows[i], rows[j]}))


class PixelShuffle(Operator):
    """Channels to pixels: (…, C·r², H, W) → (…, C, H·r, W·r) with r = ``factor``. Shi et al. 2016."""

    name = "pixel_shuffle"
    zero_terms = ("x",)
    params = (tensor("x"), attr("factor", integer(1)))
    code = "F.pixel_shuffle({x}, {factor})"
    calls = {"F.pixel_shuffle": "x:input, factor:upscale_factor"}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.x.rank < 3:
            raise ShapeError(f"{pretty(a.x.shape)} needs at least three axes: channels, height, width")
        *lead, channels, height, width = a.x.shape
        if channels % a.factor**2 != 0:
            raise ShapeError(
                f"{channels} channels are not a multiple of {a.factor}² = {a.factor**2}; change factor or channels"
            )
        return TensorType(a.x.dtype, (*lead, channels // a.factor**2, height * a.factor, width * a.factor))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        lead = names("n", a.x.rank - 3)
        wide: tuple[Axis, ...] = (Product(("h", "rh")), Product(("w", "rw")))
        fixed = frozenset({"rh", "rw"})
        return Dims({"x": (*lead, Product(("c", "rh", "rw")), "h", "w")}, ((*lead, "c", *wide),), fixed=fixed)


class PixelUnshuffle(Operator):
    """Pixels to channels: (…, C, H·r, W·r) → (…, C·r², H, W) with r = ``factor``."""

    name = "pixel_unshuffle"
    zero_terms = ("x",)
    params = (tensor("x"), attr("factor", integer(1)))
    code = "F.pixel_unshuffle({x}, {factor})"
    calls = {"F.pixel_unshuffle": "x:input, factor:downscale_factor"}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.x.rank < 3:
            raise ShapeError(f"{pretty(a.x.shape)} needs at least three axes: channels, height, width")
        *lead, channels, height, width = a.x.shape
        for size in (height, width):
            if size % a.factor != 0:
                raise ShapeError(f"{height}×{width} is not a multiple of factor {a.factor} in both directions; pad it first")
        return TensorType(a.x.dtype, (*lead, channels * a.factor**2, height // a.factor, width // a.factor))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        lead = names("n", a.x.rank - 3)
        wide: tuple[Axis, ...] = (Product(("h", "rh")), Product(("w", "rw")))
        fixed = frozenset({"rh", "rw"})
        return Dims({"x": (*lead, "c", *wide)}, ((*lead, Product(("c", "rh", "rw")), "h", "w"),), fixed=fixed)


class ChannelShuffle(Operator):
    """Channels dealt out over ``groups``: axis 1 as (g, c) becomes (c, g). Zhang et al. 2018."""

    name = "channel_shuffle"
    zero_terms = ("x",)
    params = (tensor("x"), attr("groups", integer(1)))
    code = "torch.channel_shuffle({x}, {groups})"
    calls = {"F.channel_shuffle": "x:input, groups", "torch.channel_shuffle": "x:input, groups"}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.x.rank < 3:
            raise ShapeError(f"{pretty(a.x.shape)} needs at least three axes: batch, channels, positions")
        if a.x.shape[1] % a.groups != 0:
            raise ShapeError(f"{a.x.shape[1]} channels are not a multiple of {a.groups} groups")
        return a.x

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows = names("d", a.x.rank)
        dealt = replaced(rows, 1, Product(("g", "c"))), replaced(rows, 1, Product(("c", "g")))
        return Dims({"x": dealt[0]}, (dealt[1],), attrs={"groups": "g"})


class Unfold(Operator):
    """Windows of ``size`` every ``step`` along ``dim``, as a view; the window is the last axis of the result."""

    name = "sliding_windows"
    zero_terms = ("x",)
    params = (tensor("x"), attr("dim", integer(), axis_of="x"), attr("size", integer(0)), attr("step", integer(1)))
    code = "{x}.unfold({dim}, {size}, {step})"
    view = True
    calls = {"Tensor.unfold": "x, dim:dimension, size, step"}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if not a.x.shape:
            if a.size > 1:
                raise ShapeError(f"a window of {a.size} does not fit a tensor without axes")
            return TensorType(a.x.dtype, (a.size,))
        have = a.x.shape[a.dim]
        if a.size > have:
            raise ShapeError(
                f"a window of {a.size} does not fit axis {a.dim} of {pretty(a.x.shape)}; pad it or use a smaller one"
            )
        return TensorType(a.x.dtype, (*replaced(a.x.shape, a.dim, (have - a.size) // a.step + 1), a.size))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows = names("d", a.x.rank)
        if not rows:
            return Dims({"x": ()}, (("size",),), attrs={"size": "size"}, fixed=frozenset({"size"}))
        out = (*replaced(rows, a.dim, "count"), "size")
        return Dims({"x": rows}, (out,), attrs={"size": "size"}, fixed=frozenset({rows[a.dim], "count", "size"}))
