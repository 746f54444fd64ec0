"""Normalisation layers: over the batch, a layer, groups of channels or an instance."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from math import prod
from types import SimpleNamespace
from typing import Any, ClassVar

from ..errors import AttributeValueError, ShapeError
from .arguments import MODULE, attr, flag, integer, ints, optional, tensor, weight
from .checks import real
from .dims import Dims, Product, couple, labels, names
from .dtypes import to_float
from .operator import Operator, TensorType, pretty
from .pointwise import require_kind

#: What torch takes for an eps of None; of half precision, versions of torch differ.
_EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23}
_SCALE = (weight("weight", optional=True), weight("bias", optional=True))
_RUNNING = (weight("running_mean", optional=True), weight("running_var", optional=True))


class _Normalisation(Operator):
    """Base of norms that own a scale and a shift."""

    def init(self, role: str, a: SimpleNamespace) -> tuple[Any, ...]:
        return ("constant", 1.0 if role in ("weight", "running_var") else 0.0)

    def check_weights(self, a: SimpleNamespace) -> None:
        """Refuse weights whose shape does not fit, wherever they come from."""
        for role, expected in self.weights(a).items():
            have = getattr(a, role, None)
            if have is not None and have.shape != expected.shape:
                fitting = pretty(expected.shape)
                raise ShapeError(f"{role} {pretty(have.shape)} does not fit {pretty(a.x.shape)}; it must be {fitting}")

    def check_dtypes(self, a: SimpleNamespace) -> None:
        """Refuse weights of another dtype than x, but for float32 ones beside a half-precision x."""
        have = {role: getattr(a, role) for role in ("weight", "bias", "running_mean", "running_var") if role in self.by_name}
        given = {role: kind.dtype for role, kind in have.items() if kind is not None}
        half = a.x.dtype in ("float16", "bfloat16") and set(given.values()) == {"float32"}
        for role, dtype in given.items():
            if dtype != a.x.dtype and not half:
                raise ShapeError(f"{role} is {dtype} where x is {a.x.dtype}; convert one of them")


class _ChannelNorm(_Normalisation):
    """Base of norms with one scale and shift per channel (axis 1)."""

    def weights(self, a: SimpleNamespace) -> dict[str, TensorType]:
        if a.x.rank < 2:
            raise ShapeError(f"{pretty(a.x.shape)} has no channels; (N, C, …) is expected")
        found = {role: TensorType(a.x.dtype, (a.x.shape[1],)) for role in ("weight", "bias", "running_mean", "running_var")}
        found["num_batches_tracked"] = TensorType("int64", ())
        return {role: type for role, type in found.items() if role in self.by_name}

    def check_running(self, a: SimpleNamespace) -> None:
        """Refuse half of the running statistics, and evaluation without them."""
        if (a.running_mean is None) != (a.running_var is None):
            raise AttributeValueError("running_mean and running_var belong together; give both or neither")
        if a.running_mean is None and a.training is False:
            raise AttributeValueError("training=False needs running_mean and running_var; add them or use training=True")

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        axes = names("d", a.x.rank)
        roles = [param.name for param in self.params if param.kind == "weight" and getattr(a, param.name) is not None]
        operands: dict[str, Any] = {role: (axes[1],) for role in roles if role != "num_batches_tracked"}
        if "num_batches_tracked" in roles:
            operands["num_batches_tracked"] = ()
        gone = self.averaged(a)
        return couple(Dims({"x": axes, **operands}, (axes,)), (axes[i] for i in range(a.x.rank) if i in gone), "average")

    def terms(self, a: SimpleNamespace, label: str, dims: Dims) -> tuple[str, ...]:
        if label in dims.coupled:
            return ("? weight", "bias")
        # A mean of zeros is zero; running ones are what they are.
        running = ("running_mean weight",) if getattr(a, "running_mean", None) is not None and not self.averaged(a) else ()
        return ("x weight", *running, "bias")

    def averaged(self, a: SimpleNamespace) -> Collection[int]:
        """Axes whose statistics are taken from x itself; a norm that follows its module counts as in evaluation."""
        raise NotImplementedError


class BatchNorm(_ChannelNorm):
    """Each channel to mean 0 and variance 1 over the batch, scaled and shifted: (N, C, …) → (N, C, …).

    In training with the batch's own statistics, which move the running ones by ``momentum`` (None: their plain average);
    otherwise with the running statistics. (Ioffe and Szegedy 2015)

    >>> import netloom as nl
    >>> graph = nl.Graph(x := nl.input(16, 8, 8), nl.batch_norm(x, name="bn"))
    >>> sorted(graph.tensors)
    ['bn.bias', 'bn.num_batches_tracked', 'bn.running_mean', 'bn.running_var', 'bn.weight']
    """

    name = "batch_norm"
    saves_output = False
    params = (
        tensor("x"), attr("eps", real(), 1e-5), attr("momentum", optional(real()), 0.1), attr("training", flag, MODULE),
        *_SCALE, *_RUNNING, weight("num_batches_tracked", optional=True),
    )  # fmt: skip
    effect = "write"
    calls = {
        "F.batch_norm": "x:input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-05",
        "torch.batch_norm": "x:input, weight, bias, running_mean, running_var, training, momentum, eps, cudnn_enabled=True",
    }

    def from_call(self, call: dict[str, Any], type_of: Any) -> dict[str, Any] | None:
        call.pop("cudnn_enabled", None)
        return call

    def buffers(self) -> frozenset[str]:
        return frozenset({"running_mean", "running_var", "num_batches_tracked"})

    def averaged(self, a: SimpleNamespace) -> Collection[int]:
        return {*range(a.x.rank)} - {1} if a.training is True or a.running_mean is None else ()

    def template(self, a: SimpleNamespace) -> str:
        momentum = "{momentum}"
        if a.momentum is None:
            momentum = "1.0 / float({num_batches_tracked}) if {training} else 0.0"
        tensors = "{x}, {running_mean}, {running_var}, {weight}, {bias}"
        return f"F.batch_norm({tensors}, {{training}}, {momentum}, {{eps}})"

    def statements(self, a: SimpleNamespace) -> list[str]:
        return [] if a.num_batches_tracked is None else ["if {training}: {num_batches_tracked}.add_(1)"]

    def join_modes(self, evaluation: Mapping[str, Any], training: Mapping[str, Any]) -> dict[str, Any] | None:
        # A module with momentum=None hands on 0.0 in evaluation, where it does not matter, and 1 / count in training.
        differing = {name for name in training if training[name] != evaluation[name]}
        modes = (evaluation["training"], training["training"])
        if differing == {"momentum", "training"} and modes == (False, True) and training["momentum"] is None:
            return {**training, "training": MODULE}
        return None

    def infer(self, a: SimpleNamespace) -> TensorType:
        require_kind(a.x.dtype, "f")
        self.check_weights(a)
        self.check_dtypes(a)
        self.check_running(a)
        if a.eps < 0:
            raise AttributeValueError(f"eps {a.eps} must not be negative; 1e-5 is usual")
        if a.momentum is None and a.running_mean is not None and a.num_batches_tracked is None:
            raise AttributeValueError("momentum=None averages over all batches; it needs num_batches_tracked, or give a number")
        if a.training is True and not a.eps > 0:
            raise AttributeValueError(f"eps {a.eps} must be positive in training; 1e-5 is usual")
        if a.training is True and prod((a.x.shape[0], *a.x.shape[2:])) == 1:
            raise ShapeError(f"one value per channel in {pretty(a.x.shape)} has no variance to train with; use a larger batch")
        return a.x


class InstanceNorm(_ChannelNorm):
    """Each channel of each sample to mean 0 and variance 1: (N, C, …) → (N, C, …). (Ulyanov et al. 2016)

    ``training=False`` uses the running statistics, where there are any.
    """

    name = "instance_norm"
    params = (
        tensor("x"), attr("eps", real(), 1e-5), attr("momentum", real(), 0.1), attr("training", flag, MODULE),
        *_SCALE, *_RUNNING,
    )  # fmt: skip
    code = "F.instance_norm({x}, {running_mean}, {running_var}, {weight}, {bias}, {training}, {momentum}, {eps})"
    effect = "write"
    calls = {
        "F.instance_norm": (
            "x:input, running_mean=None, running_var=None, weight=None, bias=None, training:use_input_stats=True, "
            "momentum=0.1, eps=1e-05"
        )
    }

    def buffers(self) -> frozenset[str]:
        return frozenset({"running_mean", "running_var"})

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        return {"training": True} if a.training == MODULE and a.running_mean is None else {}

    def averaged(self, a: SimpleNamespace) -> Collection[int]:
        return range(2, a.x.rank) if a.training is True or a.running_mean is None else ()

    def infer(self, a: SimpleNamespace) -> TensorType:
        require_kind(a.x.dtype, "f")
        self.check_weights(a)
        self.check_dtypes(a)
        self.check_running(a)
        if a.training is True and a.x.numel == a.x.shape[0] * a.x.shape[1]:
            raise ShapeError(f"one value per channel and sample in {pretty(a.x.shape)} has no variance; use larger maps")
        return a.x


class GroupNorm(_ChannelNorm):
    """Each group of channels of each sample to mean 0 and variance 1: (N, C, …) → (N, C, …). (Wu and He 2018)"""

    name = "group_norm"
    saves_output = False
    params = (tensor("x"), attr("groups", integer(1)), attr("eps", real(), 1e-5), *_SCALE)
    code = "F.group_norm({x}, {groups}, {weight}, {bias}, {eps})"
    calls = {
        "F.group_norm": "x:input, groups:num_groups, weight=None, bias=None, eps=1e-05",
        "torch.group_norm": "x:input, groups:num_groups, weight=None, bias=None, eps=1e-05, cudnn_enabled=True",
    }

    def from_call(self, call: dict[str, Any], type_of: Any) -> dict[str, Any] | None:
        call.pop("cudnn_enabled", None)
        return call

    def infer(self, a: SimpleNamespace) -> TensorType:
        require_kind(a.x.dtype, "f")
        self.check_weights(a)
        self.check_dtypes(a)
        if a.x.shape[1] % a.groups != 0:
            raise ShapeError(f"groups {a.groups} does not divide the {a.x.shape[1]} channels; use a divisor of {a.x.shape[1]}")
        if a.x.numel // a.groups == 1:
            raise ShapeError(f"one value per group in {pretty(a.x.shape)} has no variance; use fewer groups than {a.groups}")
        return a.x

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        axes: tuple[Any, ...] = names("d", a.x.rank)
        channels = Product(("g", "c"))
        axes = (axes[0], channels, *axes[2:])
        operands: dict[str, Any] = {role: (channels,) for role in ("weight", "bias") if getattr(a, role) is not None}
        return couple(Dims({"x": axes, **operands}, (axes,), attrs={"groups": "g"}), ("c", *labels(axes[2:])), "average")

    def loose_dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims | None:
        """With other channels together in groups."""
        axes = names("d", a.x.rank)
        operands = {role: axes[1:2] for role in ("weight", "bias") if getattr(a, role) is not None}
        return couple(Dims({"x": axes, **operands}, (axes,)), axes[1:], "other") if a.groups > 1 else None

    def refitted(self, a: SimpleNamespace, shape: tuple[Any, ...]) -> dict[str, Any]:
        """The number of groups above one that is nearest and possible, the smaller of two."""
        channels, positions = shape[1], prod(shape[2:]) * shape[0]
        possible = [n for n in range(2, channels + 1) if channels % n == 0 and (n < channels or positions != 1)]
        return {"groups": min(possible, key=lambda n: abs(n - a.groups), default=1)}


class _LastAxesNorm(_Normalisation):
    """Base of norms over the last axes, with a scale (and shift) for each of their elements."""

    coupled: ClassVar[str] = "average"

    def terms(self, a: SimpleNamespace, label: str, dims: Dims) -> tuple[str, ...]:
        return ("? weight" if label in dims.coupled else "x weight", "bias")

    def shape_of(self, a: SimpleNamespace) -> tuple[Any, ...]:
        """The shape it normalises over: the last axis unless given."""
        if a.normalized_shape is None and not a.x.rank:
            raise ShapeError("a tensor without axes has nothing to normalise over")
        return a.x.shape[-1:] if a.normalized_shape is None else a.normalized_shape

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        return {"normalized_shape": self.shape_of(a)} if a.normalized_shape is None else {}

    def weights(self, a: SimpleNamespace) -> dict[str, TensorType]:
        found = TensorType(a.x.dtype, self.shape_of(a))
        return {role: found for role in ("weight", "bias") if role in self.by_name}

    def infer(self, a: SimpleNamespace) -> TensorType:
        require_kind(a.x.dtype, "f")
        shape = a.normalized_shape
        if not shape or a.x.shape[-len(shape) :] != shape:
            raise ShapeError(f"normalized_shape {pretty(shape)} is not the end of {pretty(a.x.shape)}; give its last sizes")
        self.check_weights(a)
        return a.x

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        axes = names("d", a.x.rank)
        last = axes[-len(a.normalized_shape) :]
        operands = {role: last for role in ("weight", "bias") if getattr(a, role, None) is not None}
        return couple(Dims({"x": axes, **operands}, (axes,), attrs={"normalized_shape": last}), last, self.coupled)


class LayerNorm(_LastAxesNorm):
    """The last axes to mean 0 and variance 1, scaled and shifted; the last one unless normalized_shape says more.

    (Ba et al. 2016)

    >>> import netloom as nl
    >>> nl.Graph(x := nl.input(10, 64), nl.layer_norm(x)).num_params
    128
    """

    name = "layer_norm"
    saves_output = False
    params = (tensor("x"), attr("normalized_shape", optional(ints()), None), attr("eps", real(), 1e-5), *_SCALE)
    code = "F.layer_norm({x}, {normalized_shape}, {weight}, {bias}, {eps})"
    calls = {
        "F.layer_norm": "x:input, normalized_shape, weight=None, bias=None, eps=1e-05",
        "torch.layer_norm": "x:input, normalized_shape, weight=None, bias=None, eps=1e-05, cudnn_enable=True",
    }

    def from_call(self, call: dict[str, Any], type_of: Any) -> dict[str, Any] | None:
        call.pop("cudnn_enable", None)
        return call

    def infer(self, a: SimpleNamespace) -> TensorType:
        self.check_dtypes(a)
        return super().infer(a)


class RMSNorm(_LastAxesNorm):
    """The last axes divided by their root mean square, scaled; eps None is a machine epsilon.

    (Zhang and Sennrich 2019)
    """

    name = "rms_norm"
    coupled = "rms"
    params = (
        tensor("x"), attr("normalized_shape", optional(ints()), None), attr("eps", optional(real()), None), _SCALE[0],
    )  # fmt: skip
    code = "F.rms_norm({x}, {normalized_shape}, {weight}, {eps})"
    calls = dict.fromkeys(("F.rms_norm", "torch.rms_norm"), "x:input, normalized_shape, weight=None, eps=None")

    def terms(self, a: SimpleNamespace, label: str, dims: Dims) -> tuple[str, ...]:
        return ("x weight",)

    def padded(self, a: SimpleNamespace, label: str, old: int, new: int) -> dict[str, Any] | None:
        # x / √(Σx² / old + eps) · w, and zeros leave the sum as it is: put the ratio of sizes into w and eps.
        eps = _EPSILON.get(a.x.dtype) if a.eps is None else a.eps
        if a.weight is None or eps is None or label not in names("d", a.x.rank)[-len(a.normalized_shape) :]:
            return None
        return {"scale": {"weight": math.sqrt(old / new)}, "attrs": {"eps": eps * old / new}}


class LocalResponseNorm(Operator):
    """Each value over a power of the mean square of ``size`` neighbouring channels. (Krizhevsky et al. 2012)"""

    name = "local_response_norm"
    params = (
        tensor("x"), attr("size", integer(1)), attr("alpha", real(), 1e-4), attr("beta", real(), 0.75), attr("k", real(), 1.0),
    )  # fmt: skip
    code = "F.local_response_norm({x}, {size}, {alpha}, {beta}, {k})"
    calls = {"F.local_response_norm": "x:input, size, alpha=0.0001, beta=0.75, k=1.0"}

    def infer(self, a: SimpleNamespace) -> TensorType:
        require_kind(a.x.dtype, "if")
        if a.x.rank < 3:
            raise ShapeError(f"{pretty(a.x.shape)} has {a.x.rank} axes where (N, C, …) with at least 3 is expected")
        return TensorType(to_float(a.x.dtype), a.x.shape)

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        axes = names("d", a.x.rank)
        return Dims({"x": axes}, (axes,), coupled={axes[1]: "other"})

    def terms(self, a: SimpleNamespace, label: str, dims: Dims) -> tuple[str, ...]:
        return ("x",)
