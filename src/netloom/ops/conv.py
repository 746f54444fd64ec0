"""Convolutions, transposed convolutions, and the patches they slide over."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from types import SimpleNamespace
from typing import Any, ClassVar

from ..errors import ShapeError
from .arguments import Param, attr, integer, ints, tensor, weight
from .checks import padding
from .dims import Axis, Dims, Product, names
from .operator import Operator, TensorType, pretty
from .size import Size
from .windows import split_axes, window_shape

_CONV = "x:input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1"
_TRANSPOSED = "x:input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1"


def _params(n: int, transposed: bool = False) -> tuple[Param, ...]:
    zeros, ones = (0,) * n, (1,) * n
    return (
        tensor("x"),
        attr("out", integer(1)),
        attr("kernel", ints(n, low=1)),
        attr("stride", ints(n, low=1), ones),
        attr("padding", ints(n, low=0) if transposed else padding(n), zeros),
        *((attr("output_padding", ints(n, low=0), zeros),) if transposed else ()),
        attr("dilation", ints(n, low=1), ones),
        attr("groups", integer(1), 1),
        weight("weight"),
        weight("bias", optional=True),
    )


class _AnyConv(Operator):
    """What convolutions over n spatial axes share with their transposes."""

    spatial: ClassVar[int]
    zero_terms = ("x weight", "bias")

    def infer(self, a: SimpleNamespace) -> TensorType:
        lead, _, spatial = split_axes(a.x, self.spatial)
        expected = self.weights(a)
        for role in ("weight", "bias"):
            have = getattr(a, role)
            if have is None:
                continue
            if have.shape != expected[role].shape:
                raise ShapeError(f"{role} {pretty(have.shape)} does not fit; it must be {pretty(expected[role].shape)}")
            if have.dtype != a.x.dtype:
                raise ShapeError(f"{role} is {have.dtype} where x is {a.x.dtype}; convert one of them")
        return TensorType(a.x.dtype, (*lead, a.out, *self.out_spatial(a, spatial)))

    def out_spatial(self, a: SimpleNamespace, spatial: tuple[Any, ...]) -> tuple[Any, ...]:
        """Spatial sizes of the output."""
        raise NotImplementedError

    def channels(self, a: SimpleNamespace) -> Any:
        """Input channels, after checking that the groups divide them and the output channels."""
        _, channels, spatial = split_axes(a.x, self.spatial)
        if isinstance(channels, Size) and not isinstance(a.groups, Size):
            raise ShapeError(
                f"{pretty(a.x.shape)} has the free size {channels} for channels; give it {self.spatial + 2} axes, batch first"
            )
        if channels == 0:
            raise ShapeError(f"{pretty(a.x.shape)} has 0 channels; at least one is needed")
        if 0 in spatial:
            raise ShapeError(f"an axis of {pretty(spatial)} is empty; a convolution needs at least one element along each")
        for what, size in (("input", channels), ("output", a.out)):
            if size % a.groups != 0:
                raise ShapeError(f"groups {a.groups} does not divide the {size} {what} channels; use a divisor of {size}")
        return channels

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        n = self.spatial
        before, after, kernel = names("s", n), names("t", n), names("k", n)
        lead: tuple[Axis, ...] = ("n",) if a.x.rank == n + 2 else ()
        inside, outside = self.channel_axes(a)
        operands: dict[str, Any] = {"x": (*lead, inside, *before), "weight": (*self.weight_axes(inside, outside), *kernel)}
        if a.bias is not None:
            operands["bias"] = (outside,)
        attrs: dict[str, Any] = {"out": outside} | ({"groups": "g"} if a.groups > 1 else {})
        return Dims(operands, ((*lead, outside, *after),), attrs=attrs, fixed=frozenset((*before, *after, *kernel)))

    def loose_dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims | None:
        """With several filters per group where there is one."""
        return replace(self.dims(a, outputs), growing=frozenset("o")) if a.out == a.groups > 1 else None

    def channel_axes(self, a: SimpleNamespace) -> tuple[Axis, Axis]:
        """Axes of the input and output channels: group by group where there are several."""
        return (Product(("g", "i")), Product(("g", "o"))) if a.groups > 1 else ("i", "o")

    def weight_axes(self, inside: Axis, outside: Axis) -> tuple[Axis, Axis]:
        """The first two axes of the weight."""
        return outside, "i"

    def init(self, role: str, a: SimpleNamespace) -> tuple[Any, ...]:
        fan_in = prod(self.weights(a)["weight"].shape[1:])
        if role == "weight":
            return ("kaiming_uniform", fan_in)
        return ("uniform", -(fan_in**-0.5), fan_in**-0.5) if fan_in else ("constant", 0.0)


class _Conv(_AnyConv):
    """Cross-correlation over n spatial axes."""

    saves_output = False

    def from_call(self, call: dict[str, Any], type_of: Any) -> dict[str, Any] | None:
        shape = type_of(call["weight"]).shape
        return call | {"out": shape[0], "kernel": shape[2:]} if len(shape) == self.spatial + 2 else None

    def weights(self, a: SimpleNamespace) -> dict[str, TensorType]:
        shape = (a.out, self.channels(a) // a.groups, *a.kernel)
        return {"weight": TensorType(a.x.dtype, shape), "bias": TensorType(a.x.dtype, (a.out,))}

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        if a.padding == "valid":
            return {"padding": (0,) * self.spatial}
        if a.padding == "same":
            around = [d * (k - 1) for k, d in zip(a.kernel, a.dilation)]
            if all(total % 2 == 0 for total in around) and set(a.stride) == {1}:
                return {"padding": tuple(total // 2 for total in around)}
        return {}

    def out_spatial(self, a: SimpleNamespace, spatial: tuple[Any, ...]) -> tuple[Any, ...]:
        if a.padding == "same":
            if set(a.stride) != {1}:
                raise ShapeError(f"padding 'same' needs stride 1, not {pretty(a.stride)}; give the padding as numbers")
            return spatial
        return window_shape(spatial, a.kernel, a.stride, a.padding, a.dilation)

    def flops(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Any:
        return 2 * outputs[0].numel * prod(a.weight.shape[1:])


class _ConvTranspose(_AnyConv):
    """The gradient of a convolution with respect to its input, as a layer."""

    saves_output = False

    def from_call(self, call: dict[str, Any], type_of: Any) -> dict[str, Any] | None:
        shape = type_of(call["weight"]).shape
        return call | {"out": shape[1] * call["groups"], "kernel": shape[2:]} if len(shape) == self.spatial + 2 else None

    def weights(self, a: SimpleNamespace) -> dict[str, TensorType]:
        shape = (self.channels(a), a.out // a.groups, *a.kernel)
        return {"weight": TensorType(a.x.dtype, shape), "bias": TensorType(a.x.dtype, (a.out,))}

    def weight_axes(self, inside: Axis, outside: Axis) -> tuple[Axis, Axis]:
        return inside, "o"

    def out_spatial(self, a: SimpleNamespace, spatial: tuple[Any, ...]) -> tuple[Any, ...]:
        for extra, stride, dilation in zip(a.output_padding, a.stride, a.dilation):
            if extra >= max(stride, dilation):
                raise ShapeError(
                    f"output_padding {extra} must be smaller than stride {stride} or dilation {dilation}; lower it"
                )
        sizes = tuple(
            (size - 1) * s - 2 * p + d * (k - 1) + extra + 1
            for size, k, s, p, extra, d in zip(spatial, a.kernel, a.stride, a.padding, a.output_padding, a.dilation)
        )
        if any(size < 1 for size in sizes):
            raise ShapeError(f"padding {pretty(a.padding)} leaves nothing of {pretty(spatial)}: {pretty(sizes)}; lower it")
        return sizes

    def flops(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Any:
        return 2 * a.x.numel * prod(a.weight.shape[1:])


class Conv1d(_Conv):
    """Convolution: (N, C, L) → (N, out, L'); weight (out, C/groups, kernel), bias (out)."""

    name = "conv1d"
    spatial = 1
    params = _params(1)
    code = "F.conv1d({x}, {weight}, {bias}, {stride}, {padding}, {dilation}, {groups})"
    calls = {"F.conv1d": _CONV, "torch.conv1d": _CONV}


class Conv2d(_Conv):
    """Convolution: (N, C, H, W) → (N, out, H', W'); weight (out, C/groups, *kernel), bias (out).

    >>> import netloom as nl
    >>> nl.conv2d(nl.input(3, 32, 32), 16, kernel=3, stride=2, padding=1).shape
    (Size('N'), 16, 16, 16)
    """

    name = "conv2d"
    spatial = 2
    params = _params(2)
    code = "F.conv2d({x}, {weight}, {bias}, {stride}, {padding}, {dilation}, {groups})"
    calls = {"F.conv2d": _CONV, "torch.conv2d": _CONV}


class Conv3d(_Conv):
    """Convolution: (N, C, D, H, W) → (N, out, D', H', W'); weight (out, C/groups, *kernel), bias (out)."""

    name = "conv3d"
    spatial = 3
    params = _params(3)
    code = "F.conv3d({x}, {weight}, {bias}, {stride}, {padding}, {dilation}, {groups})"
    calls = {"F.conv3d": _CONV, "torch.conv3d": _CONV}


def _transposed_code(n: int) -> str:
    attributes = "{stride}, {padding}, {output_padding}, {groups}, {dilation}"
    return f"F.conv_transpose{n}d({{x}}, {{weight}}, {{bias}}, {attributes})"


class ConvTranspose1d(_ConvTranspose):
    """Transposed convolution: (N, C, L) → (N, out, L'); weight (C, out/groups, kernel), bias (out)."""

    name = "conv_transpose1d"
    spatial = 1
    params = _params(1, transposed=True)
    code = _transposed_code(1)
    calls = {"F.conv_transpose1d": _TRANSPOSED, "torch.conv_transpose1d": _TRANSPOSED}


class ConvTranspose2d(_ConvTranspose):
    """Transposed convolution: (N, C, H, W) → (N, out, H', W'); weight (C, out/groups, *kernel), bias (out).

    >>> import netloom as nl
    >>> nl.conv_transpose2d(nl.input(16, 8, 8), 4, kernel=2, stride=2).shape
    (Size('N'), 4, 16, 16)
    """

    name = "conv_transpose2d"
    spatial = 2
    params = _params(2, transposed=True)
    code = _transposed_code(2)
    calls = {"F.conv_transpose2d": _TRANSPOSED, "torch.conv_transpose2d": _TRANSPOSED}


class ConvTranspose3d(_ConvTranspose):
    """Transposed convolution: (N, C, D, H, W) → (N, out, D', H', W'); weight (C, out/groups, *kernel), bias (out)."""

    name = "conv_transpose3d"
    spatial = 3
    params = _params(3, transposed=True)
    code = _transposed_code(3)
    calls = {"F.conv_transpose3d": _TRANSPOSED, "torch.conv_transpose3d": _TRANSPOSED}


_PATCHES = (
    attr("kernel", ints(2, low=1)),
    attr("stride", ints(2, low=1), (1, 1)),
    attr("padding", ints(2, low=0), (0, 0)),
    attr("dilation", ints(2, low=1), (1, 1)),
)


class Unfold2d(Operator):
    """The patches a convolution sees, as columns (im2col): (N, C, H, W) → (N, C·kh·kw, L) for L positions.

    >>> import netloom as nl
    >>> nl.unfold2d(nl.input(3, 8, 8), kernel=2, stride=2).shape
    (Size('N'), 12, 16)
    """

    name = "unfold2d"
    zero_terms = ("x",)
    params = (tensor("x"), *_PATCHES)
    code = "F.unfold({x}, {kernel}, {dilation}, {padding}, {stride})"
    calls = {"F.unfold": "x:input, kernel:kernel_size, dilation=1, padding=0, stride=1"}

    def infer(self, a: SimpleNamespace) -> TensorType:
        lead, channels, spatial = split_axes(a.x, 2)
        places = window_shape(spatial, a.kernel, a.stride, a.padding, a.dilation)
        return TensorType(a.x.dtype, (*lead, channels * prod(a.kernel), prod(places)))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        lead = ("n",) if a.x.rank == 4 else ()
        patch = Product(("c", "kh", "kw"))
        return Dims(
            {"x": (*lead, "c", "h", "w")}, ((*lead, patch, "l"),), attrs={"kernel": ("kh", "kw")},
            fixed=frozenset(("h", "w", "l", "kh", "kw")),
        )  # fmt: skip


class Fold(Operator):
    """Sums overlapping columns of patches into an image (col2im): (N, C·kh·kw, L) → (N, C, *output_size)."""

    name = "fold"
    zero_terms = ("x",)
    params = (tensor("x"), attr("output_size", ints(2, low=1)), *_PATCHES)
    code = "F.fold({x}, {output_size}, {kernel}, {dilation}, {padding}, {stride})"
    calls = {"F.fold": "x:input, output_size, kernel:kernel_size, dilation=1, padding=0, stride=1"}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.x.rank not in (2, 3):
            raise ShapeError(f"{pretty(a.x.shape)} has {a.x.rank} axes where (N, C·kh·kw, L) is expected")
        columns, area = a.x.shape[-2], prod(a.kernel)
        if columns % area != 0:
            raise ShapeError(f"axis {a.x.rank - 2} of {pretty(a.x.shape)} must be a multiple of the kernel's {area} positions")
        places = prod(window_shape(a.output_size, a.kernel, a.stride, a.padding, a.dilation))
        if a.x.shape[-1] != places:
            raise ShapeError(
                f"{pretty(a.x.shape)} has {a.x.shape[-1]} columns where kernel {pretty(a.kernel)} has {places} places "
                f"on {pretty(a.output_size)}; give the output_size that was unfolded"
            )
        return TensorType(a.x.dtype, (*a.x.shape[:-2], columns // area, *a.output_size))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        lead = ("n",) if a.x.rank == 3 else ()
        patch = Product(("c", "kh", "kw"))
        return Dims(
            {"x": (*lead, patch, "l")}, ((*lead, "c", "h", "w"),),
            attrs={"kernel": ("kh", "kw"), "output_size": ("h", "w")}, fixed=frozenset(("h", "w", "l", "kh", "kw")),
        )  # fmt: skip
