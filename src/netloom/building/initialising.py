"""Fresh values for the entries of a tensor table, by their rules."""

from __future__ import annotations

import math
from typing import Any

import torch

from ..errors import BuildError
from ..graph.table import Constant, TensorEntry


def fresh(key: str, entry: TensorEntry, generator: Any, device: Any) -> Any:
    """A new tensor for one entry: its constant's value, or drawn by its rule."""
    if entry.constant is not None:
        return value_of(key, entry.constant).to(device)
    dtype = getattr(torch, entry.type.dtype)
    tensor = torch.empty(entry.type.shape, dtype=dtype, device=device)
    rule, *numbers = entry.init
    with torch.no_grad():
        if rule == "constant":
            return tensor.fill_(numbers[0])
        if not (tensor.is_floating_point() or tensor.is_complex()):
            raise BuildError(f"tensor {key!r}: {rule} does not apply to {entry.type.dtype}; give weights, or a constant rule")
        if rule == "kaiming_uniform":
            bound = 1 / math.sqrt(numbers[0]) if numbers[0] else 0.0
            return tensor.uniform_(-bound, bound, generator=generator)
        if rule == "uniform":
            return tensor.uniform_(numbers[0], numbers[1], generator=generator)
        if rule == "normal":
            return tensor.normal_(numbers[0], numbers[1], generator=generator)
        if rule == "xavier_uniform":
            bound = math.sqrt(6 / sum(numbers))
            return tensor.uniform_(-bound, bound, generator=generator)
    raise BuildError(
        f"tensor {key!r}: unknown rule {rule!r}; expected kaiming_uniform, xavier_uniform, uniform, normal or constant"
    )


def value_of(key: str, constant: Constant) -> Any:
    """A constant as a tensor."""
    if constant.data is None:
        raise BuildError(
            f"the value of constant {key!r} ({constant.type}) is not at hand; read the graph with the folder of its artifacts, "
            "or give weights that hold it"
        )
    dtype = getattr(torch, constant.type.dtype)
    shape = constant.type.shape
    if not constant.data:
        return torch.empty(shape, dtype=dtype)
    if dtype is torch.bool:
        return torch.frombuffer(bytearray(constant.data), dtype=torch.uint8).to(torch.bool).reshape(shape)
    return torch.frombuffer(bytearray(constant.data), dtype=torch.uint8).view(dtype).reshape(shape)
