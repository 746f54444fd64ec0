"""A model's state as a tensor table: every parameter and buffer under every name it has."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import torch

from ..errors import TraceError
from ..graph.table import Constant
from ..ops import TensorType


class Held(NamedTuple):
    """One entry of a model's state: the tensor object and what kind of entry it is."""

    key: str
    tensor: Any
    kind: str
    persistent: bool


def held(module: Any, prefix: str = "") -> list[Held]:
    """All entries in the order of ``state_dict``, aliases and non-persistent buffers included."""
    found = []
    for name, tensor in module._parameters.items():
        if tensor is not None:
            found.append(Held(prefix + name, tensor, "parameter", True))
    for name, tensor in module._buffers.items():
        if tensor is not None:
            found.append(Held(prefix + name, tensor, "buffer", name not in module._non_persistent_buffers_set))
    for name, child in module._modules.items():
        if child is not None:
            found += held(child, f"{prefix}{name}.")
    return found


def refuse_unfit(entries: list[Held]) -> None:
    """`TraceError` for state that no graph can describe."""
    for entry in entries:
        tensor = entry.tensor
        if torch.nn.parameter.is_lazy(tensor):
            raise TraceError(f"{entry.kind} {entry.key!r} is lazy and has no shape yet; run the model once before tracing it")
        if tensor.layout != torch.strided or tensor.is_quantized:
            raise TraceError(f"{entry.kind} {entry.key!r} is quantised or sparse; netloom takes dense tensors only")


def constant_of(tensor: Any) -> Constant:
    """The tensor by value (without data where it lies on the meta device)."""
    kind = type_of_tensor(tensor)
    if tensor.device.type == "meta":
        return Constant(kind, None, "")
    dense = tensor.detach().cpu().contiguous()
    if dense.numel() == 0:
        return Constant.of(kind, b"")
    raw = dense.reshape(-1).view(torch.uint8) if dense.dtype != torch.bool else dense.reshape(-1).to(torch.uint8)
    return Constant.of(kind, raw.numpy().tobytes())


def observed_init(tensor: Any) -> tuple[Any, ...]:
    """An initialisation rule with the statistics a tensor has now: constant, or normal with its mean and deviation."""
    if tensor.device.type == "meta" or tensor.numel() == 0:
        return ("normal", 0.0, 0.02) if tensor.is_floating_point() else ("constant", 0)
    flat = tensor.detach().reshape(-1)
    if tensor.dtype == torch.bool or not tensor.is_floating_point():
        return ("constant", flat[0].item() if tensor.dtype != torch.bool else bool(flat[0]))
    wide = flat.double()
    std = float(wide.std(correction=0))
    if std == 0.0 or not std < float("inf"):
        return ("constant", float(wide[0]))
    return ("normal", float(wide.mean()), std)


def type_of_tensor(tensor: Any) -> TensorType:
    """dtype and shape of a tensor."""
    return TensorType(dtype_name(tensor.dtype), tuple(tensor.shape))


@cache
def dtype_name(dtype: Any) -> str:
    """``"float32"`` for ``torch.float32``."""
    return str(dtype).removeprefix("torch.")
