"""Pooling: the maximum, mean or p-norm of sliding windows, and the adaptive forms that fix the output size."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

from ..errors import ShapeError
from .arguments import Param, attr, boolean, integer, ints, optional, tensor
from .checks import extents, real, steps
from .dims import Axes, Dims, names
from .dtypes import to_float
from .operator import Operator, TensorType, pretty
from .pointwise import require_kind
from .windows import split_axes, window_shape


class _Pool(Operator):
    """Base of pools over the last n axes, each channel by itself; ``two`` outputs where indices are returned."""

    spatial: ClassVar[int]
    takes: ClassVar[str] = "f"
    without_channels: ClassVar[bool] = False
    zero_terms = ("x",)

    def terms(self, a: SimpleNamespace, label: str, dims: Dims) -> tuple[str, ...]:
        return () if getattr(a, "return_indices", False) else super().terms(a, label, dims)

    def out_spatial(self, a: SimpleNamespace, spatial: tuple[Any, ...]) -> tuple[Any, ...]:
        """Spatial sizes of the output."""
        raise NotImplementedError

    def infer(self, a: SimpleNamespace) -> TensorType | tuple[TensorType, ...]:
        require_kind(a.x.dtype, self.takes)
        lead, channels, spatial = split_axes(a.x, self.spatial)
        if channels == 0 and not self.without_channels:
            raise ShapeError(f"{pretty(a.x.shape)} has 0 channels; {self.name} needs at least one")
        values = TensorType(a.x.dtype, (*lead, channels, *self.out_spatial(a, spatial)))
        return (values, TensorType("int64", values.shape)) if getattr(a, "return_indices", False) else values

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        lead = ("n", "c") if a.x.rank == self.spatial + 2 else ("c",)
        before, after = names("s", self.spatial), names("t", self.spatial)
        operands: dict[str, Axes] = {name: (*lead, *before) for name, _ in self.typed(a)}
        return Dims(operands, ((*lead, *after),) * len(outputs), fixed=frozenset((*before, *after)))


class _WindowPool(_Pool):
    """Base of pools with kernel, stride (the kernel unless given), padding and perhaps dilation."""

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        return {"stride": a.kernel} if a.stride is None else {}

    def out_spatial(self, a: SimpleNamespace, spatial: tuple[Any, ...]) -> tuple[Any, ...]:
        n = self.spatial
        padding, dilation = getattr(a, "padding", (0,) * n), getattr(a, "dilation", (1,) * n)
        for p, k in zip(padding, a.kernel):
            if p > k // 2:
                raise ShapeError(f"padding {p} exceeds half of the kernel {k}; use padding ≤ {k // 2} or pad first")
        return window_shape(spatial, a.kernel, a.stride, padding, dilation, a.ceil_mode)


def _window(n: int, *more: Param, padded: bool = True) -> tuple[Param, ...]:
    return (
        tensor("x"),
        attr("kernel", ints(n, low=1)),
        attr("stride", steps(n), None),
        *((attr("padding", ints(n, low=0), (0,) * n),) if padded else ()),
        *more,
        attr("ceil_mode", boolean, False),
    )


# -- maximum ---------------------------------------------------------------------------------------------------------
class _MaxPool(_WindowPool):
    """Base of max pools; ``return_indices`` adds the flat position of each maximum as a second output (int64)."""

    takes = "if"

    def from_call(self, call: dict[str, Any], type_of: Any) -> dict[str, Any] | None:
        # The callables that always return indices name their switch "indices" in the signatures below.
        if "indices" in call:
            del call["indices"]
            call["return_indices"] = True
        return call


def _max_params(n: int) -> tuple[Param, ...]:
    return (*_window(n, attr("dilation", ints(n, low=1), (1,) * n)), attr("return_indices", boolean, False))


def _max_code(n: int) -> str:
    return f"F.max_pool{n}d({{x}}, {{kernel}}, {{stride}}, {{padding}}, {{dilation}}, {{ceil_mode}}, {{return_indices}})"


def _max_calls(n: int) -> dict[str, str]:
    plain = "x:input, kernel:kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False"
    return {
        f"F.max_pool{n}d": f"{plain}, return_indices=False",
        f"F.max_pool{n}d_with_indices": f"{plain}, indices:return_indices=True",
        f"torch.max_pool{n}d": plain,
    } | ({"torch.max_pool1d_with_indices": f"{plain}, indices=True"} if n == 1 else {})


class MaxPool1d(_MaxPool):
    """Maximum over windows: (N, C, L) → (N, C, L')."""

    name = "max_pool1d"
    spatial = 1
    params = _max_params(1)
    code = _max_code(1)
    calls = _max_calls(1)


class MaxPool2d(_MaxPool):
    """Maximum over windows: (N, C, H, W) → (N, C, H', W').

    >>> import netloom as nl
    >>> nl.max_pool2d(nl.input(3, 32, 32), 3, stride=2, padding=1).shape
    (Size('N'), 3, 16, 16)
    """

    name = "max_pool2d"
    spatial = 2
    params = _max_params(2)
    code = _max_code(2)
    calls = _max_calls(2)


class MaxPool3d(_MaxPool):
    """Maximum over windows: (N, C, D, H, W) → (N, C, D', H', W')."""

    name = "max_pool3d"
    spatial = 3
    params = _max_params(3)
    code = _max_code(3)
    calls = _max_calls(3)


class MaxUnpool2d(_Pool):
    """Puts pooled values back at the indices a max pool returned, zeros elsewhere: (N, C, H, W) → (N, C, *output_size)."""

    name = "max_unpool2d"
    spatial = 2
    params = (
        tensor("x"), tensor("indices"), *_window(2)[1:4], attr("output_size", optional(ints(2, low=1)), None),
    )  # fmt: skip
    code = "F.max_unpool2d({x}, {indices}, {kernel}, {stride}, {padding}, {output_size})"
    calls = {"F.max_unpool2d": "x:input, indices, kernel:kernel_size, stride=None, padding=0, output_size=None"}

    def from_call(self, call: dict[str, Any], type_of: Any) -> dict[str, Any] | None:
        size = call["output_size"]
        return call | {"output_size": None if size is None else tuple(size)[-2:]}

    def usual_size(self, a: SimpleNamespace, stride: tuple[int, ...]) -> tuple[Any, ...]:
        """The size of the input that windows without remainder pool to x."""
        _, _, spatial = split_axes(a.x, 2)
        return tuple((size - 1) * s + k - 2 * p for size, s, k, p in zip(spatial, stride, a.kernel, a.padding))

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        stride = a.kernel if a.stride is None else a.stride
        return {"stride": stride, "output_size": self.usual_size(a, stride) if a.output_size is None else a.output_size}

    def out_spatial(self, a: SimpleNamespace, spatial: tuple[Any, ...]) -> tuple[Any, ...]:
        if a.indices.shape != a.x.shape or a.indices.dtype != "int64":
            raise ShapeError(f"indices are {a.indices} where int64[{', '.join(map(str, a.x.shape))}] is expected")
        for size, usual, stride in zip(a.output_size, self.usual_size(a, a.stride), a.stride):
            if size != usual and not usual - stride < size < usual + stride:
                raise ShapeError(f"output_size {size} must lie strictly between {usual - stride} and {usual + stride}")
        return a.output_size


# -- mean ------------------------------------------------------------------------------------------------------------
_AVG = "x:input, kernel:kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True"


class AvgPool1d(_WindowPool):
    """Mean over windows: (N, C, L) → (N, C, L')."""

    name = "avg_pool1d"
    spatial = 1
    takes = "if"
    params = (*_window(1), attr("count_include_pad", boolean, True))
    code = "F.avg_pool1d({x}, {kernel}, {stride}, {padding}, {ceil_mode}, {count_include_pad})"
    calls = {"F.avg_pool1d": _AVG, "torch.avg_pool1d": _AVG}


_AVG_PARAMS = (attr("count_include_pad", boolean, True), attr("divisor_override", optional(integer()), None))
_AVG_CODE = "({x}, {kernel}, {stride}, {padding}, {ceil_mode}, {count_include_pad}, {divisor_override})"


class _DividedPool(_WindowPool):
    """Base of mean pools with ``divisor_override``."""

    takes = "if"

    def infer(self, a: SimpleNamespace) -> TensorType | tuple[TensorType, ...]:
        if a.divisor_override == 0:
            raise ShapeError("divisor_override 0 divides by zero; use another number or None")
        return super().infer(a)


class AvgPool2d(_DividedPool):
    """Mean over windows: (N, C, H, W) → (N, C, H', W')."""

    name = "avg_pool2d"
    spatial = 2
    params = (*_window(2), *_AVG_PARAMS)
    code = "F.avg_pool2d" + _AVG_CODE
    calls = {"F.avg_pool2d": _AVG + ", divisor_override=None"}


class AvgPool3d(_DividedPool):
    """Mean over windows: (N, C, D, H, W) → (N, C, D', H', W')."""

    name = "avg_pool3d"
    spatial = 3
    params = (*_window(3), *_AVG_PARAMS)
    code = "F.avg_pool3d" + _AVG_CODE
    calls = {"F.avg_pool3d": _AVG + ", divisor_override=None"}

    def out_spatial(self, a: SimpleNamespace, spatial: tuple[Any, ...]) -> tuple[Any, ...]:
        if any(size < k for size, k in zip(spatial, a.kernel)):
            # Of all pools, torch lets this one's windows hang over neither padding nor the end.
            raise ShapeError(f"kernel {pretty(a.kernel)} exceeds the input {pretty(spatial)}; use a smaller one")
        return super().out_spatial(a, spatial)


# -- p-norm ----------------------------------------------------------------------------------------------------------
class _LpPool(_WindowPool):
    """Base of p-norm pools."""

    takes = "bif"

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.norm_type == 0:
            raise ShapeError("norm_type 0 divides by zero; use another number")
        found: Any = super().infer(a)
        return TensorType(to_float(a.x.dtype), found.shape)


class LpPool1d(_LpPool):
    """p-norm over windows: (N, C, L) → (N, C, L')."""

    name = "lp_pool1d"
    spatial = 1
    params = (*_window(1, padded=False), attr("norm_type", real(), 2.0))
    code = "F.lp_pool1d({x}, {norm_type}, {kernel}, {stride}, {ceil_mode})"
    calls = {"F.lp_pool1d": "x:input, norm_type, kernel:kernel_size, stride=None, ceil_mode=False"}

    def template(self, a: SimpleNamespace) -> str:
        return self.code.replace("{kernel}", str(a.kernel[0])).replace("{stride}", str(a.stride[0]))


class LpPool2d(_LpPool):
    """p-norm over windows: (N, C, H, W) → (N, C, H', W')."""

    name = "lp_pool2d"
    spatial = 2
    params = (*_window(2, padded=False), attr("norm_type", real(), 2.0))
    code = "F.lp_pool2d({x}, {norm_type}, {kernel}, {stride}, {ceil_mode})"
    calls = {"F.lp_pool2d": "x:input, norm_type, kernel:kernel_size, stride=None, ceil_mode=False"}


# -- adaptive --------------------------------------------------------------------------------------------------------
class _AdaptivePool(_Pool):
    """Base of pools whose windows follow from ``output_size``; None along an axis keeps its size."""

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        _, _, spatial = split_axes(a.x, self.spatial)
        return {"output_size": self.out_spatial(a, spatial)}

    def out_spatial(self, a: SimpleNamespace, spatial: tuple[Any, ...]) -> tuple[Any, ...]:
        if any(size == 0 for size in spatial):
            raise ShapeError(f"an axis of {pretty(spatial)} is empty; adaptive pools need at least one element along each")
        return tuple(size if target is None else target for size, target in zip(spatial, a.output_size))


class AdaptiveAvgPool1d(_AdaptivePool):
    """Mean over windows to a given size: (N, C, L) → (N, C, output_size)."""

    name = "adaptive_avg_pool1d"
    spatial = 1
    without_channels = True
    params = (tensor("x"), attr("output_size", extents(1)))
    code = "F.adaptive_avg_pool1d({x}, {output_size})"
    calls = dict.fromkeys(("F.adaptive_avg_pool1d", "torch.adaptive_avg_pool1d"), "x:input, output_size")


class AdaptiveAvgPool2d(_AdaptivePool):
    """Mean over windows to a given size: (N, C, H, W) → (N, C, *output_size).

    >>> import netloom as nl
    >>> nl.adaptive_avg_pool2d(nl.input(64, 7, 7), (1, None)).shape
    (Size('N'), 64, 1, 7)
    """

    name = "adaptive_avg_pool2d"
    spatial = 2
    without_channels = True
    params = (tensor("x"), attr("output_size", extents(2)))
    code = "F.adaptive_avg_pool2d({x}, {output_size})"
    calls = {"F.adaptive_avg_pool2d": "x:input, output_size"}


class AdaptiveAvgPool3d(_AdaptivePool):
    """Mean over windows to a given size: (N, C, D, H, W) → (N, C, *output_size)."""

    name = "adaptive_avg_pool3d"
    spatial = 3
    params = (tensor("x"), attr("output_size", extents(3)))
    code = "F.adaptive_avg_pool3d({x}, {output_size})"
    calls = {"F.adaptive_avg_pool3d": "x:input, output_size"}


class _AdaptiveMaxPool(_AdaptivePool):
    """Base of adaptive max pools; ``return_indices`` as in the other max pools."""

    from_call = _MaxPool.from_call


def _adaptive_max_calls(n: int) -> dict[str, str]:
    return {
        f"F.adaptive_max_pool{n}d": "x:input, output_size, return_indices=False",
        f"F.adaptive_max_pool{n}d_with_indices": "x:input, output_size, indices:return_indices=True",
    } | ({"torch.adaptive_max_pool1d": "x:input, output_size, indices=True"} if n == 1 else {})


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """Maximum over windows to a given size: (N, C, L) → (N, C, output_size)."""

    name = "adaptive_max_pool1d"
    spatial = 1
    params = (tensor("x"), attr("output_size", extents(1)), attr("return_indices", boolean, False))
    code = "F.adaptive_max_pool1d({x}, {output_size}, {return_indices})"
    calls = _adaptive_max_calls(1)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """Maximum over windows to a given size: (N, C, H, W) → (N, C, *output_size)."""

    name = "adaptive_max_pool2d"
    spatial = 2
    params = (tensor("x"), attr("output_size", extents(2)), attr("return_indices", boolean, False))
    code = "F.adaptive_max_pool2d({x}, {output_size}, {return_indices})"
    calls = _adaptive_max_calls(2)


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """Maximum over windows to a given size: (N, C, D, H, W) → (N, C, *output_size)."""

    name = "adaptive_max_pool3d"
    spatial = 3
    params = (tensor("x"), attr("output_size", extents(3)), attr("return_indices", boolean, False))
    code = "F.adaptive_max_pool3d({x}, {output_size}, {return_indices})"
    calls = _adaptive_max_calls(3)
