"""The suite that holds an operator to its contract: every rule it declares, against torch.

Each function takes a generated `Call` and raises AssertionError, saying what torch does and what the rule says. They give
back whether the call was one that the rule applies to, so that a suite can tell that it tested something.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import NetloomError
from ..ops import Concat, Edge, Product, Size, Slice, TensorType, Weight
from ..ops.arguments import MODULE
from ..ops.dims import Dims, labels, size_of
from ..ops.dtypes import DTYPES
from ..ops.size import LARGE
from .capturing import show
from .execution import Attempt, Verdict, attempt, expected_weights, run, same_bits
from .operators import Call, Operand

#: Bounds between sizes that the language of dimension rules has no words for: operator → what the refusal names.
UNSPOKEN = {"lstm": "proj_size"}


#: What real tensors refuse because of the numbers in them, which is no matter of types.
OF_VALUES = re.compile("(?i)index|indices|out of .*bounds|ZeroDivision|Class values|elements of source|type int without")

#: Where a rule refuses what torch happens to take, by intent: operator → what the refusal says, and why.
STRICTER = {
    # A mean to size 1 along every axis is computed as a plain mean, which skips the checks of the pool.
    "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d": "axes where|cannot be complex",
    # A bias of another dtype passes only where the convolution happens to be computed without it.
    "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d": "bias is .* where x is|leaves nothing",
    "affine_grid": "an integer ≥ 1",
    "div floor_divide": "compute with plain numbers in Python",
    "fftshift ifftshift": "names one axis twice",
    # A GPU's kernels take both biases or none, and one dtype.
    "lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell": "^(h|c) is .*; expected|bias_ih and bias_hh go together",
    "max_unpool2d": "kernel = 0",
    # Over no axes every element is its own mode, also where there is no order.
    "mode": "needs an order",
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
        refusals = [v for v in (meta, real) if v.status == "refused"]
        assert not refusals, f"{call} is taken as {show(tried.outputs)}, but torch refuses: {refusals[0].message}"
        return True
    shown = " and ".join(f"{show(v.types)}" for v in verdicts)
    agreed = any(v.types == tried.outputs for v in verdicts)
    assert agreed, f"{call} gives {show(tried.outputs)} by the rule, {shown} in torch"
    if meta.status == "ok" and real.status == "refused" and not OF_VALUES.search(real.message):
        raise AssertionError(f"{call} is taken, and by meta tensors too, but real tensors refuse: {real.message}")
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


# -- free sizes --------------------------------------------------------------------------------------------------------
def check_free_sizes(call: Call) -> bool:
    """With a label's size free, types at N = b are those of the plain size b, for a few b."""
    tried = attempt(call)
    if tried.outputs is None:
        return False
    dims = tried.kind.dims(tried.types, tried.outputs)
    sizes = label_sizes(dims, tried)
    tested = False
    owned = {label for axes, _ in owned_axes(dims, tried) for label in labels(axes)}
    for label in sorted(set(_axis_labels(dims, tried)) - set(dims.multiples) - owned):
        if label in dims.fixed or label not in sizes:
            continue
        free = restated(tried, dims, {**sizes, label: Size.symbol("N")})
        symbolic = _outcome(free)
        for plain in (LARGE, 7, 2):
            concrete = _outcome(restated(tried, dims, {**sizes, label: plain}))
            if isinstance(symbolic, NetloomError):
                assert isinstance(concrete, NetloomError), (
                    f"{call} is refused with the size of {label} free ({symbolic}), but not at {plain}"
                )
                continue
            if isinstance(concrete, NetloomError):
                raise AssertionError(f"{call} is taken with the size of {label} free, but not at {plain}: {concrete}")
            at = tuple(TensorType(t.dtype, tuple(_at(s, plain) for s in t.shape)) for t in symbolic)
            assert at == concrete, f"{call} with {label} = N gives {show(symbolic)}, at N = {plain} {show(concrete)}"
            tested = True
    return tested


def _at(size: Any, value: int) -> int:
    return size.at({"N": value}) if isinstance(size, Size) else size


def _outcome(call: Call) -> tuple[TensorType, ...] | NetloomError:
    tried = attempt(call)
    if tried.error is not None:
        return tried.error
    assert tried.outputs is not None
    return tried.outputs


# -- dimension rules ---------------------------------------------------------------------------------------------------
def check_dims(call: Call, choose: Callable[[str, int], int]) -> bool:
    """The dimension rule covers every axis, agrees with the present sizes, and holds when all free labels change.

    ``choose(label, factor)`` gives the new size of a label, a multiple of ``factor``.
    """
    tried = attempt(call)
    if tried.outputs is None:
        return False
    dims = tried.kind.dims(tried.types, tried.outputs)
    _check_coverage(call, tried, dims)
    sizes = label_sizes(dims, tried)
    for place, axis, size in equations(dims, tried):
        if all(label in sizes for label in labels(axis)):
            given = size_of(axis, sizes)
            assert given == size, f"{call}: {place} has size {size}, its labels give {given}: {dims}"
    open_labels = {label for _, axis, _ in equations(dims, tried) for label in labels(axis)} - set(sizes)
    if any(size == 0 for _, _, size in equations(dims, tried)):
        return False
    assert not open_labels, f"{call}: no axis tells the sizes of {sorted(open_labels)}: {dims}"
    unknown = set(dims.multiples) - set(sizes)
    assert not unknown, f"{call}: {sorted(unknown)} must be multiples but are no labels: {dims}"
    for label, factor in dims.multiples.items():
        assert sizes[label] % factor == 0, f"{call}: {label} = {sizes[label]} is no multiple of {factor}"
    new = {
        label: size if label in dims.fixed else choose(label, dims.multiples.get(label, 1))
        for label, size in sorted(sizes.items())
    }
    changed = restated(tried, dims, new)
    after = attempt(changed)
    shown = {label: f"{sizes[label]}→{new[label]}" for label in sizes if sizes[label] != new[label]}
    if after.error is not None and UNSPOKEN.get(call.op, "\n") in str(after.error):
        return False
    assert after.error is None, f"{call} resized by {shown} to {changed} is refused: {after.error}"
    assert after.outputs is not None
    expected = tuple(tuple(size_of(axis, new) for axis in row) for row in dims.outputs)
    have = tuple(t.shape for t in after.outputs)
    assert have == expected, f"{call} resized by {shown} to {changed} gives {have}; its dims say {expected}: {dims}"
    for axes, own in owned_axes(dims, after):
        resized = tuple(size_of(axis, new) for axis in axes)
        assert own.shape == resized, f"{call} resized by {shown}: a weight {axes} is {own.shape}; its dims say {resized}"
    for (name, value), (_, fresh) in zip(tried.kind.typed(tried.types), after.kind.typed(after.types)):
        assert _dtypes(value) == _dtypes(fresh), f"{call}: the dtype of {name} changed on a resize"
    return True


def _check_coverage(call: Call, tried: Attempt, dims: Dims) -> None:
    assert tried.outputs is not None
    assert len(dims.outputs) == len(tried.outputs), f"{call}: dims has {len(dims.outputs)} outputs of {len(tried.outputs)}"
    for axes, output in zip(dims.outputs, tried.outputs):
        assert len(axes) == output.rank, f"{call}: dims has {len(axes)} axes for the output {output}: {dims}"
    for name, value in tried.kind.typed(tried.types):
        assert name in dims.operands, f"{call}: dims says nothing of {name}: {dims}"
        if type(value) is TensorType:
            assert len(dims.operands[name]) == value.rank, f"{call}: dims has {dims.operands[name]} for {name} {value}"
        else:
            rows = dims.operands[name]
            assert [len(row) for row in rows] == [t.rank for t in value], f"{call}: dims has {rows} for {name}"
    strangers = set(dims.operands) - {name for name, _ in tried.kind.typed(tried.types)}
    assert not strangers, f"{call}: dims speaks of {sorted(strangers)}, which are no tensors of the call"
    assert set(dims.attrs) <= set(tried.kind.by_name), f"{call}: dims restates {sorted(dims.attrs)}, not all are attributes"


def equations(dims: Dims, tried: Attempt) -> list[tuple[str, Any, Any]]:
    """(place, axis expression, size it has now) for every axis and every attribute that states a size."""
    found: list[tuple[str, Any, Any]] = []
    assert tried.outputs is not None
    for k, (axes, output) in enumerate(zip(dims.outputs, tried.outputs)):
        found += [(f"axis {i} of output {k}", axis, size) for i, (axis, size) in enumerate(zip(axes, output.shape))]
    for name, value in tried.kind.typed(tried.types):
        rows = [(dims.operands[name], value)] if isinstance(value, TensorType) else list(zip(dims.operands[name], value))
        for axes, given in rows:
            found += [(f"axis {i} of {name}", axis, size) for i, (axis, size) in enumerate(zip(axes, given.shape))]
    for name, stated in dims.attrs.items():
        _attr_equations(f"attribute {name}", stated, getattr(tried.types, name), found)
    return found


def _attr_equations(place: str, stated: Any, value: Any, found: list[tuple[str, Any, Any]]) -> None:
    if isinstance(stated, str | Product | Concat):
        found.append((place, stated, value))
    elif isinstance(stated, tuple | list):
        for i, (part, entry) in enumerate(zip(stated, value)):
            _attr_equations(f"{place}[{i}]", part, entry, found)


def label_sizes(dims: Dims, tried: Attempt) -> dict[str, Any]:
    """The size of every label that the axes determine: solved for one unknown label at a time."""
    sizes: dict[str, Any] = {}
    waiting = equations(dims, tried)
    progress = True
    while progress:
        progress = False
        for _, axis, size in waiting:
            missing = set(labels(axis)) - set(sizes)
            if len(missing) == 1:
                (label,) = missing
                found = _solve(axis, size, sizes, label)
                if found is not None:
                    sizes[label] = found
                    progress = True
    return sizes


def _solve(axis: Any, size: Any, sizes: Mapping[str, Any], label: str) -> Any:
    if isinstance(axis, str):
        return size
    if not isinstance(size, int):
        return None
    if isinstance(axis, Product) and any(size_of(part, {**sizes, label: 1}) == 0 for part in axis.parts):
        return None
    fits = [n for n in range(size + 1) if size_of(axis, {**sizes, label: n}) == size]
    return fits[0] if len(fits) == 1 else None


def restated(tried: Attempt, dims: Dims, sizes: Mapping[str, Any]) -> Call:
    """The call with operands and attributes as large as the labels now say."""
    args: dict[str, Any] = {}
    for name, value in tried.args.items():
        if name in dims.attrs:
            value = _restate(dims.attrs[name], value, sizes)
        if isinstance(value, Edge):
            value = _resized(tried.operands[value], dims.operands[name], sizes)
        elif type(value) is tuple and any(isinstance(part, Edge) for part in value):
            rows = iter(dims.operands[name])
            value = tuple(_resized(tried.operands[p], next(rows), sizes) if isinstance(p, Edge) else p for p in value)
        args[name] = value
    return Call(tried.kind.name, args)


def _resized(operand: Operand, axes: Any, sizes: Mapping[str, Any]) -> Operand:
    shape = tuple(size_of(axis, sizes) for axis in axes)
    return Operand(TensorType(operand.type.dtype, shape), operand.low, operand.high)


def _restate(stated: Any, value: Any, sizes: Mapping[str, Any]) -> Any:
    """``value`` with the sizes that ``stated`` puts in its places; None and plain data in ``stated`` leave it as it is."""
    if isinstance(stated, str | Product | Concat):
        return size_of(stated, sizes)
    if isinstance(stated, tuple | list) and isinstance(value, tuple) and not isinstance(value, Edge):
        parts = (_restate(part, entry, sizes) for part, entry in zip(stated, value))
        return type(value)(*parts) if isinstance(value, Slice) else tuple(parts)
    return value


def _axis_labels(dims: Dims, tried: Attempt) -> list[str]:
    found: list[str] = []
    for name, value in tried.args.items():
        if name in dims.operands and not _has_weight(value):
            found += labels(dims.operands[name])
    return found + labels(tuple(dims.attrs.values()))


def _has_weight(value: Any) -> bool:
    return any(isinstance(leaf, Weight) for leaf in (value if type(value) is tuple else (value,)))


def owned_axes(dims: Dims, tried: Attempt) -> list[tuple[Any, TensorType]]:
    """(axes, type) of every weight that the call owns."""
    found: list[tuple[Any, TensorType]] = []
    for name, value in tried.args.items():
        if isinstance(value, Weight):
            found.append((dims.operands[name], getattr(tried.types, name)))
        elif _has_weight(value):
            found += zip(dims.operands[name], getattr(tried.types, name))
    return found


def _dtypes(value: Any) -> Any:
    return value.dtype if isinstance(value, TensorType) else tuple(t.dtype for t in value)


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
