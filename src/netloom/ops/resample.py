"""Images at another resolution: interpolation, and sampling on a grid."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from ..errors import ShapeError
from .arguments import attr, boolean, choice, ints, number, optional, tensor
from .dims import Dims, couple, names
from .dtypes import is_float
from .operator import Operator, TensorType, pretty
from .size import Size
from .view import plain_sizes

#: Mode → numbers of axes that it takes.
_RANKS = {
    "nearest": (3, 4, 5), "nearest-exact": (3, 4, 5), "area": (3, 4, 5), "linear": (3,), "bilinear": (4,), "bicubic": (4,),
    "trilinear": (5,),
}  # fmt: skip
_ALIGNING = ("linear", "bilinear", "bicubic", "trilinear")


def _factors(value: Any) -> Any:
    """Scale factors: one number for all directions, or one for each."""
    one = number(0)
    if isinstance(value, tuple | list):
        return tuple(float(one(v)) for v in value)
    return float(one(value))


class Interpolate(Operator):
    """x (N, C, …) at spatial ``size``, or larger by ``scale_factor``; one of the two is given.

    >>> import netloom as nl
    >>> nl.interpolate(nl.input(3, 8, 8), scale_factor=2).shape
    (Size('N'), 3, 16, 16)
    """

    name = "interpolate"
    zero_terms = ("x",)
    params = (
        tensor("x"),
        attr("size", optional(ints(low=1)), None),
        attr("scale_factor", optional(_factors), None),
        attr("mode", choice(*_RANKS), "nearest"),
        attr("align_corners", optional(boolean), None),
        attr("antialias", boolean, False),
    )
    code = "F.interpolate({x}, {size}, {scale_factor}, {mode}, {align_corners}, antialias={antialias})"
    calls = {
        "F.interpolate": (
            "x:input, size=None, scale_factor=None, mode='nearest', align_corners=None, recompute_scale_factor=None, "
            "antialias=False"
        ),
        "F.upsample": "x:input, size=None, scale_factor=None, mode='nearest', align_corners=None",
        "F.upsample_nearest": "x:input, size=None, scale_factor=None",
    }

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        recompute = call.pop("recompute_scale_factor", None)
        if call["size"] is not None and plain_sizes(call["size"]) is None:
            return None
        scale = call["scale_factor"]
        if any(type_of(s) is not None for s in (scale if type(scale) is tuple else (scale,)) if s is not None):
            return None
        if recompute and scale is not None:
            shape = type_of(call["x"]).shape[2:]
            call |= {"size": _scaled(shape, _factors(scale)), "scale_factor": None}
        return call

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        found: dict[str, Any] = {}
        count = a.x.rank - 2
        if a.size is not None and len(a.size) == 1:
            found["size"] = a.size * count
        if isinstance(a.scale_factor, float):
            found["scale_factor"] = (a.scale_factor,) * count
        if a.mode in _ALIGNING and a.align_corners is None:
            found["align_corners"] = False
        return found

    def infer(self, a: SimpleNamespace) -> TensorType:
        self._check(a)
        spatial = a.x.shape[2:]
        given = a.scale_factor if a.size is None else a.size
        if len(given) != len(spatial):
            raise ShapeError(f"{given} has {len(given)} entries for the {len(spatial)} spatial axes of {pretty(a.x.shape)}")
        out = a.size if a.size is not None else _scaled(spatial, a.scale_factor)
        if any(size <= 0 for size in (*out, *spatial, *a.x.shape[1:2])):
            raise ShapeError(f"{pretty(a.x.shape)} to {pretty(out)}: channels, sizes before and after must be at least 1")
        return TensorType(a.x.dtype, (*a.x.shape[:2], *out))

    def _check(self, a: SimpleNamespace) -> None:
        if (a.size is None) == (a.scale_factor is None):
            raise ShapeError("give either size or scale_factor")
        if a.x.rank not in _RANKS[a.mode]:
            ranks = " or ".join(str(r) for r in _RANKS[a.mode])
            raise ShapeError(f"mode {a.mode!r} takes {ranks} axes, not {pretty(a.x.shape)}; choose another mode")
        if a.align_corners is not None and a.mode not in _ALIGNING:
            raise ShapeError(f"align_corners goes with {', '.join(_ALIGNING)}, not with {a.mode}; leave it out")
        if a.antialias and a.mode not in ("bilinear", "bicubic"):
            raise ShapeError(f"antialias goes with bilinear and bicubic, not with {a.mode}")
        if not is_float(a.x.dtype) and a.x.dtype != "uint8":
            raise ShapeError(f"interpolation takes floating point numbers, not {a.x.dtype}; convert x first")

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        before, after = names("i", a.x.rank - 2), names("o", a.x.rank - 2)
        attrs = {"size": after} if a.size is not None else {}
        return Dims({"x": ("n", "c", *before)}, (("n", "c", *after),), attrs=attrs, fixed=frozenset((*before, *after)))


def _scaled(shape: tuple[Any, ...], factors: Any) -> tuple[Any, ...]:
    """Sizes multiplied by scale factors, rounded down."""
    rates = factors if isinstance(factors, tuple) else (factors,) * len(shape)
    found = []
    for size, rate in zip(shape, rates):
        if isinstance(size, Size):
            if rate != int(rate):
                raise ShapeError(f"the free size {size} times {rate} is no size; use a whole factor or state size")
            found.append(size * int(rate))
        else:
            found.append(math.floor(float(size) * rate))
    return tuple(found)


class GridSample(Operator):
    """Values of x (N, C, H, W) or (N, C, D, H, W) at the places of ``grid`` (N, …, 2) or (N, …, 3), in [-1, 1]."""

    name = "grid_sample"
    zero_terms = ("x",)
    params = (
        tensor("x"), tensor("grid"), attr("mode", choice("bilinear", "nearest", "bicubic"), "bilinear"),
        attr("padding_mode", choice("zeros", "border", "reflection"), "zeros"), attr("align_corners", boolean, False),
    )  # fmt: skip
    code = "F.grid_sample({x}, {grid}, {mode}, {padding_mode}, {align_corners})"
    calls = {"F.grid_sample": "x:input, grid, mode='bilinear', padding_mode='zeros', align_corners=None"}

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        return call | {"align_corners": bool(call["align_corners"])}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.x.rank not in (4, 5) or a.grid.rank != a.x.rank:
            raise ShapeError(f"x {pretty(a.x.shape)} and grid {pretty(a.grid.shape)} must both have four or five axes")
        if a.x.shape[0] != a.grid.shape[0]:
            raise ShapeError(f"x has {a.x.shape[0]} samples, grid {a.grid.shape[0]}; they must be equal")
        if a.grid.shape[-1] != a.x.rank - 2:
            raise ShapeError(f"the last axis of grid {pretty(a.grid.shape)} must have {a.x.rank - 2} coordinates")
        if a.x.dtype != a.grid.dtype or not is_float(a.x.dtype):
            raise ShapeError(f"x and grid must have one floating point dtype, not {a.x.dtype} and {a.grid.dtype}")
        if any(size == 0 for size in a.x.shape[2:]) or (a.mode == "bicubic" and a.x.rank == 5):
            raise ShapeError(
                f"{a.mode} sampling of {pretty(a.x.shape)} is not possible; sizes must be ≥ 1, bicubic takes images"
            )
        return TensorType(a.x.dtype, (*a.x.shape[:2], *a.grid.shape[1:-1]))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        before, after = names("i", a.x.rank - 2), names("o", a.x.rank - 2)
        operands = {"x": ("n", "c", *before), "grid": ("n", *after, "xy")}
        return Dims(operands, (("n", "c", *after),), fixed=frozenset({*before, "xy"}))


class AffineGrid(Operator):
    """The grid for `GridSample` that affine maps ``theta`` (N, 2, 3) or (N, 3, 4) make for an output of ``size``."""

    name = "affine_grid"
    zero_terms = ("theta",)
    params = (tensor("theta"), attr("size", ints(low=1)), attr("align_corners", boolean, False))
    code = "F.affine_grid({theta}, {size}, {align_corners})"
    calls = {"F.affine_grid": "theta, size, align_corners=None"}

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        return None if plain_sizes(call["size"]) is None else call | {"align_corners": bool(call["align_corners"])}

    def infer(self, a: SimpleNamespace) -> TensorType:
        count = len(a.size) - 2
        if count not in (2, 3) or a.theta.shape != (a.size[0], count, count + 1):
            raise ShapeError(
                f"theta {pretty(a.theta.shape)} does not fit size {a.size}: (N, 2, 3) for N×C×H×W, (N, 3, 4) for volumes"
            )
        if not is_float(a.theta.dtype):
            raise ShapeError(f"theta must be floating point, not {a.theta.dtype}")
        return TensorType(a.theta.dtype, (a.size[0], *a.size[2:], count))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        out = names("o", len(a.size) - 2)
        attrs = {"size": ("n", a.size[1], *out)}
        fixed = frozenset({"row", "column", "xy"})
        return couple(Dims({"theta": ("n", "row", "column")}, (("n", *out, "xy"),), attrs=attrs, fixed=fixed), out, "other")
