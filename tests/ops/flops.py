"""FLOPs of a builder call beside what torch's own counter finds when the same function runs on the meta device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

import netloom as nl
from netloom.graph.builder import Value


def counted(function: Callable[..., Any], *shapes: tuple[int, ...]) -> int:
    """What torch counts for ``function`` of tensors of these shapes."""
    with FlopCounterMode(display=False) as counter:
        function(*(torch.empty(shape, device="meta") for shape in shapes))
    return int(counter.get_total_flops())


def stated(value: Value) -> int:
    """What the operator that made ``value`` states."""
    return int(nl.ops.operator(value.draft.op).flops(value.draft.types, value.draft.outputs))


def values(*shapes: tuple[int, ...]) -> list[Value]:
    """Inputs of these whole shapes, without a free batch."""
    return [nl.input(*shape, batch=False) for shape in shapes]
