"""How large a network is, where: widths, extents, parameters and multiply–adds by resolution.

The *extent* of a value is its number of positions in space (or in a sequence); the *resolution* of a call is the extent of its
result over that of the input, in octaves per axis: 0 at full size, 1 where every axis is halved.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ..ops import Size, Weight
from .signal_flow import Signal
from .vocabulary import HEAVY, LABELS, NUMBER

if TYPE_CHECKING:
    from ..graph.graph import Graph
    from ..graph.table import TensorEntry
    from ..ops import TensorType

LEVELS = 4
NAMES = (
    "params.log", "flops.log", "width.first", "width.last", "width.largest", "width.smallest", "width.mean", "extent.last",
    "extent.mean", "reach.input", "linear.log_inputs", "params.linear_share",
    *(f"{what}.octave{level}" for what in ("heavy", "params", "flops") for level in range(LEVELS)),
)  # fmt: skip
_NUM_HEAVY = len(HEAVY)
_LINEAR = NUMBER["linear"]
_LOG2 = math.log(2.0)

#: By the identity of the types of a call, kept alive by the entry: logarithms of width and extent, and number of axes in space.
_FORMS: dict[int, tuple[Any, float, float, int]] = {}
#: By the identity of the entry of a tensor table.
_ELEMENTS: dict[int, tuple[Any, float]] = {}
_MOST = 200_000


def _form(types: tuple[TensorType, ...], linear: bool) -> tuple[Any, float, float, int]:
    found = _FORMS.get(id(types))
    if found is not None and found[0] is types:
        return found
    shape = [size if isinstance(size, int) else 1 for size in types[0].shape]
    width, space = (shape[-1], shape[1:-1]) if linear or len(shape) == 3 else (shape[1] if len(shape) > 1 else 1, shape[2:])
    if len(_FORMS) >= _MOST:
        _FORMS.clear()
    made = _FORMS[id(types)] = (types, math.log(max(width, 1)), math.log(max(math.prod(space), 1)), max(len(space), 1))
    return made


def _elements(entry: TensorEntry) -> float:
    found = _ELEMENTS.get(id(entry))
    if found is not None and found[0] is entry:
        return found[1]
    numel = entry.type.numel
    if len(_ELEMENTS) >= _MOST:
        _ELEMENTS.clear()
    made = _ELEMENTS[id(entry)] = (entry, float(numel) if not isinstance(numel, Size) else 1.0)
    return made[1]


def sizes(graph: Graph, signal: Signal) -> list[float]:
    """One number for each of `NAMES`; logarithms are natural, of one more than what they are of."""
    steps, types, tensors = graph.steps, graph.all_types, graph.tensors
    calls = [call for segment in signal.segments for call in segment]
    widths: list[float] = []
    extents: list[float] = []
    by_level = [[0.0] * LEVELS for _ in range(3)]
    linear_inputs = linear_params = all_params = reach = 0.0
    whole: float | None = None
    extent = whole
    for (label, *_), position in zip(calls, signal.live):
        kind, _, further = LABELS[label]
        if kind >= _NUM_HEAVY and not further and whole is not None:
            continue
        step = steps[position]
        _, width, extent, axes = _form(types[step.name], kind == _LINEAR)
        if whole is None:
            whole = extent
        octave = (whole - extent) / axes / _LOG2
        if further:
            reach += further * 2.0 ** max(octave, 0.0)
        if kind >= _NUM_HEAVY:
            continue
        widths.append(width)
        extents.append(extent)
        weight = step.args.get("weight")
        elements = _elements(tensors[weight.key]) if type(weight) is Weight else 0.0
        level = min(max(int(octave + 0.5), 0), LEVELS - 1)
        by_level[0][level] += 1
        by_level[1][level] += elements
        by_level[2][level] += elements * math.exp(extent)
        all_params += elements
        if kind == _LINEAR:
            linear_params += elements
            linear_inputs = linear_inputs or math.log(elements + 1) - width
    return [
        math.log(graph.num_params + 1), math.log(graph.flops + 1),
        *((widths[0], widths[-1], max(widths), min(widths), sum(widths) / len(widths)) if widths else (0.0,) * 5),
        *((extents[-1], sum(extents) / len(extents)) if extents else (0.0,) * 2),
        math.log(reach + 1), linear_inputs, linear_params / all_params if all_params else 0.0,
        *by_level[0], *(math.log(value + 1) for value in by_level[1]), *(math.log(value + 1) for value in by_level[2]),
    ]  # fmt: skip
