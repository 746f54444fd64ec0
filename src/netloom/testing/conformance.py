"""The suite that holds an operator to its contract: every rule it declares, against torch.

Each function takes a generated `Call` and raises AssertionError, saying what torch does and what the rule says. They give
back whether the call was one that the rule applies to, so that a suite can tell that it tested something.
"""

from __future__ import annotations

import re
from typing import Any

from ..ops import operator
from ..ops.arguments import MODULE
from ..ops.dtypes import DTYPES
from .capturing import show
from .dimensions import check_coverage
from .execution import MAX_ELEMENTS, Attempt, Verdict, attempt, expected_weights, run, same_bits
from .operators import Call, Operand

#: What real tensors refuse because of the numbers in them, which is no matter of types.
OF_VALUES = re.compile("(?i)index|indices|out of .*bounds|ZeroDivision|Class values|elements of source|without overflow")
#: What depends on how a tensor lies in memory.
OF_LAYOUT = re.compile("multiple of 16 bytes")
#: Results of more elements than this are too large for torch to describe, whatever their type.
MAX_NUMEL = 2**56

#: Where a rule refuses what torch happens to take, by intent: operator → what the refusal says, and why.
STRICTER = {
    # A mean to size 1 along every axis is computed as a plain mean, which skips the checks of the pool.
    "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d": "axes where|cannot be complex",
    # A bias of another dtype passes only where the convolution happens to be computed without it.
    "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d": "bias is .* where x is|leaves nothing",
    "clamp": "x cannot be bool",
    "affine_grid": "an integer ≥ 1",
    "add sub mul div floor_divide remainder pow eq": "compute with plain numbers in Python",
    "fftshift ifftshift roll": "names one axis twice",
    # A GPU's kernels take both biases or none, and one dtype.
    "lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell": (
        "^(h|c) is .*; expected|bias_ih and bias_hh go together|x cannot be"
    ),
    "max_unpool2d": "kernel = 0",
    # A tensor without axes has its one element in every place of the order, also where there is no order.
    "mode kthvalue median_along": "needs an order",
    "stft": "signals are float32 or float64",
    # torch broadcasts lengths of any shape; a weight norm has one length for each index of its axis.
    "weight_norm": "lengths .* do not fit",
}
_STRICTER = {name: re.compile(words) for names, words in STRICTER.items() for name in names.split()}


def check_rule(call: Call) -> bool:
    """Types as torch has them; refused exactly where torch refuses. Gives whether the call is valid.

    Where meta tensors take what real ones refuse, real ones count; where torch merely lacks a kernel, either is right.
    """
    tried = attempt(call)
    if tried.kind.name in ("input", "opaque"):
        return tried.error is None
    # What follows the module's flag must be taken where either mode takes it.
    training = tried.args.get("training") != MODULE or run(tried, "meta").status == "ok" == run(tried, "cpu").status
    meta = run(tried, "meta", training=training)
    if tried.error is not None:
        _check_refusal(call, tried, meta)
        return False
    real = run(tried, "cpu", training=training)
    verdicts = [v for v in (meta, real) if v.status == "ok"]
    if not verdicts:
        refusals = [v for v in (meta, real) if v.status == "refused" and not OF_LAYOUT.search(v.message)]
        assert not refusals, f"{call} is taken as {show(tried.outputs)}, but torch refuses: {refusals[0].message}"
        return True
    shown = " and ".join(f"{show(v.types)}" for v in verdicts)
    agreed = any(v.types == tried.outputs for v in verdicts)
    assert agreed, f"{call} gives {show(tried.outputs)} by the rule, {shown} in torch"
    if meta.status == "ok" and real.status == "refused" and not OF_VALUES.search(real.message):
        raise AssertionError(f"{call} is taken, and by meta tensors too, but real tensors refuse: {real.message}")
    return True


def check_strange(call: Call) -> bool:
    """Arguments of any kind and size are refused by an error of netloom's own, or torch takes them as the rule does.

    Of what an attribute's own check refuses, torch may take more (1.0 for an integer); netloom need not.
    """
    tried = attempt(call)
    if tried.error is not None and not _well_formed(call):
        return False
    if tried.outputs is not None:
        for output in tried.outputs:
            sound = output.dtype in DTYPES and all(type(size) is int and size >= 0 for size in output.shape)
            assert sound, f"{call} gives {output}, which no tensor has"
        check_coverage(call, tried, tried.kind.dims(tried.types, tried.outputs))
        if any(output.numel > MAX_NUMEL for output in tried.outputs):
            return False
    return check_rule(call)


def _well_formed(call: Call) -> bool:
    """Whether every attribute passes its own check."""
    for param in operator(call.op).params:
        if param.kind == "attr" and param.name in call.args and param.check is not None:
            try:
                param.check(call.args[param.name])
            except (ValueError, TypeError):
                return False
    return True


def _check_refusal(call: Call, tried: Attempt, meta: Verdict) -> None:
    message = str(tried.error)
    assert names_a_value(message, call), f"{call}: the message names no value of the call: {message!r}"
    if meta.status not in ("ok", "unsupported"):
        return
    if tried.kind.family == "source":
        return
    expected = expected_weights(tried)
    if any(name in expected and known.shape != expected[name].shape for name, known in tried.kind.typed(tried.types)):
        # A weight of another size than the attributes state: torch never sees what they state.
        return
    if call.op in _STRICTER and _STRICTER[call.op].search(message):
        return
    if any(0 in leaf.type.shape for leaf in tried.operands.values()):
        # Over no elements at all, torch skips checks that hold everywhere else; to refuse is right too.
        return
    if sum(output.numel for output in meta.types) > MAX_ELEMENTS:
        return
    real = run(tried, "cpu")
    assert real.status != "ok", f"{call} is refused ({message}), but torch gives {show(real.types)}"


def names_a_value(message: str, call: Call) -> bool:
    """Whether an error's message quotes something of the call: a size, a dtype, an attribute's value or name."""
    words = set(re.findall(r"[\w.]+", message))
    if words & {"axis", "axes", "number", "numbers", *DTYPES}:
        return True
    for name, value in call.args.items():
        if name in words:
            return True
        for leaf in _leaves(value):
            if isinstance(leaf, Operand):
                if leaf.type.dtype in message or any(str(size) in words for size in leaf.type.shape):
                    return True
            elif str(leaf) in message or type(leaf).__name__ in words:
                return True
    return False


def _leaves(value: Any) -> list[Any]:
    return [leaf for part in value for leaf in _leaves(part)] if type(value) is tuple else [value]


def check_template(call: Call) -> bool:
    """The template gives the same bits again, its views are declared as such, and its operands are left as they were."""
    tried = attempt(call)
    if tried.error is not None or tried.kind.name in ("input", "opaque"):
        return False
    first, second = run(tried, "cpu"), run(tried, "cpu")
    if first.status != "ok" or second.status != "ok":
        return False
    if not tried.kind.name.startswith(("empty", "new_empty")):
        for one, other in zip(first.values, second.values):
            assert same_bits(one, other), f"{call} gives other bits when it runs again with the same seed"
    return True


# -- cost --------------------------------------------------------------------------------------------------------------
def check_cost(call: Call) -> bool:
    """FLOPs are those that torch.utils.flop_counter counts on meta tensors (recurrent cells apart: it does not see them)."""
    from torch.utils.flop_counter import FlopCounterMode

    tried = attempt(call)
    if tried.outputs is None or tried.kind.family == "recurrent" or tried.kind.name in ("input", "opaque"):
        return False
    short = any(size in (0, 1) for operand in tried.operands.values() for size in operand.type.shape)
    if short and tried.kind.family in ("matmul", "einsum"):
        # torch takes shortcuts over axes of size 1, which change what it counts.
        return False
    counter = FlopCounterMode(display=False)
    with counter:
        verdict = run(tried, "meta")
    if verdict.status != "ok":
        return False
    flops = tried.kind.flops(tried.types, tried.outputs)
    counted = counter.get_total_flops()
    assert flops == counted, f"{call} costs {flops} FLOPs by the rule, {counted} by torch's counter"
    return True
