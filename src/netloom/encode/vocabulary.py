"""What a call is to an encoding: its kind, its label, and whether it carries a signal.

Kinds are few and fixed, so that features have the same columns for all graphs; labels are as many as there are calls that
differ in operator, kernel, grouping or dilation. Sizes are in neither.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from ..graph.tree import edges

if TYPE_CHECKING:
    from ..graph.step import Step

#: Kinds that hold weights or mix values.
HEAVY = (
    "conv1", "conv3", "conv5", "conv7", "depthwise3", "depthwise5", "depthwise7", "grouped", "dilated", "transposed", "linear",
    "matmul", "attention", "recurrent", "embedding",
)  # fmt: skip
POOLS = ("avg_pool", "max_pool", "global_pool")
NONLINEAR = ("relu", "gelu", "silu", "tanh", "sigmoid", "leaky_relu", "softmax")
#: Kinds that paths are described by.
MAIN = (*HEAVY, *POOLS, "resize")
KINDS = (
    *MAIN, "batch_norm", "layer_norm", "group_norm", "relu", "gelu", "silu", "tanh", "sigmoid", "leaky_relu", "softmax",
    "dropout", "add", "cat", "mul", "other", "input",
)  # fmt: skip
NUMBER = {kind: number for number, kind in enumerate(KINDS)}


class Role(IntEnum):
    """What a call does to a signal: works on it, hands it on, joins several, stops it, or is where it begins."""

    WORK = 0
    HAND_ON = 1
    JOIN = 2
    STOP = 3
    BEGIN = 4


class Label(NamedTuple):
    """What calls with one label have in common. ``reach`` is how many values further than one an output sees."""

    kind: int
    name: str
    reach: int


class Call(NamedTuple):
    """A step as encodings read it: the number of its label, its role, and the names of the nodes it reads."""

    step: Step
    label: int
    role: Role
    reads: tuple[str, ...]


_FAMILIES: dict[str, tuple[str, ...]] = {
    "linear": ("linear", "bilinear", "addmm"),
    "matmul": ("matmul", "bmm", "einsum", "baddbmm", "addbmm", "mv", "dot", "outer", "tensordot", "grouped_mm", "multi_dot"),
    "attention": ("scaled_dot_product_attention",),
    "recurrent": ("lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"),
    "embedding": ("embedding",),
    "resize": ("interpolate", "pixel_shuffle", "pixel_unshuffle", "grid_sample"),
    "batch_norm": ("batch_norm",),
    "layer_norm": ("layer_norm", "rms_norm", "normalize"),
    "group_norm": ("group_norm", "instance_norm", "local_response_norm"),
    "relu": ("relu", "relu6", "hardtanh", "threshold", "clamp"),
    "gelu": ("gelu",),
    "silu": ("silu", "hardswish", "mish"),
    "tanh": ("tanh", "softsign", "tanhshrink", "sin", "cos"),
    "sigmoid": ("sigmoid", "hardsigmoid", "logsigmoid"),
    "leaky_relu": ("leaky_relu", "prelu", "rrelu", "elu", "celu", "selu", "softplus"),
    "softmax": ("softmax", "log_softmax", "softmin"),
    "dropout": ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_dropout", "feature_alpha_dropout"),
    "add": ("add", "sub"),
    "cat": ("cat", "stack", "column_stack", "dstack"),
    "mul": ("mul", "div"),
    "input": ("input",),
}
_KIND_OF = {op: kind for kind, ops in _FAMILIES.items() for op in ops}
#: Calls that change the form of a value and nothing else.
_HANDING_ON = frozenset({
    "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "permute", "transpose", "adjoint", "contiguous", "clone",
    "detach", "to", "expand", "real", "view_as_real", "view_as_complex", "broadcast_tensors",
})  # fmt: skip


def _classified(step: Step) -> Label:
    op, args = step.op, step.args
    if op.startswith("conv_transpose"):
        return Label(NUMBER["transposed"], f"{op}{_largest(args['kernel'])}", 0)
    if op.startswith("conv") and op[4:5].isdigit():
        return _convolution(op, args)
    if op.startswith("adaptive_") or op == "mean":
        return Label(NUMBER["global_pool"], op, 0)
    if "_pool" in op:
        kernel = _largest(args["kernel"])
        return Label(NUMBER["max_pool" if "max" in op else "avg_pool"], f"{op}{kernel}", kernel - 1)
    return Label(NUMBER[_KIND_OF.get(op, "other")], op, 0)


def _convolution(op: str, args: Any) -> Label:
    kernel, dilation, groups = _largest(args["kernel"]), _largest(args["dilation"]), args["groups"]
    size = 1 if kernel <= 1 else 3 if kernel <= 3 else 5 if kernel <= 5 else 7
    form = ""
    if groups > 1:
        form = "depthwise" if args["out"] % groups == 0 and args["out"] // groups <= 2 else "grouped"
    kind = f"conv{size}"
    if dilation > 1:
        kind = "dilated"
    elif form == "depthwise":
        kind = f"depthwise{max(size, 3)}"
    elif form:
        kind = form
    name = f"{form}{op}_{kernel}" + (f"_dilated{dilation}" if dilation > 1 else "")
    return Label(NUMBER[kind], name, (kernel - 1) * dilation)


def _largest(value: Any) -> int:
    return max(value) if isinstance(value, tuple | list) else int(value)


def _role(step: Step, label: Label) -> Role:
    if step.op == "input":
        return Role.BEGIN
    if step.op in _HANDING_ON:
        return Role.HAND_ON
    if KINDS[label.kind] == "mul" and any(type(value) in (int, float) and value == 0 for value in step.args.values()):
        return Role.STOP
    return Role.JOIN if KINDS[label.kind] in ("add", "cat", "mul") else Role.WORK


#: All labels met so far; a call's label is its place here.
LABELS: list[Label] = []
_PLACES: dict[Label, int] = {}
#: By the identity of the step, which the entry keeps alive: samples of a space share the same few thousand steps.
_CALLS: dict[int, Call] = {}
_MOST_CALLS = 400_000


def call_of(step: Step) -> Call:
    """The call that a step makes; worked out once for each step object."""
    found = _CALLS.get(id(step))
    if found is not None and found.step is step:
        return found
    label = _classified(step)
    place = place_of(label)
    reads = tuple([edge.node for edge in edges(tuple(step.args.values()))])
    if len(_CALLS) >= _MOST_CALLS:
        _CALLS.clear()
    made = _CALLS[id(step)] = Call(step, place, _role(step, label), reads)
    return made


def place_of(label: Label) -> int:
    """The number of a label, a new one where it has not been met."""
    place = _PLACES.get(label)
    if place is None:
        place = _PLACES[label] = len(LABELS)
        LABELS.append(label)
    return place


known_call: Callable[[int], Call | None] = _CALLS.get
