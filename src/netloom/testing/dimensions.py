"""Dimension rules: that they cover every axis, hold when sizes change, and say the truth about what is tied."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import NetloomError
from ..ops import Concat, Edge, Product, Size, Slice, TensorType, Weight
from ..ops.dims import Dims, labels, size_of
from ..ops.size import LARGE
from .capturing import show
from .execution import Attempt, attempt, run
from .operators import Call, Operand

#: Bounds between sizes that the language of dimension rules has no words for: operator → what the refusal names.
UNSPOKEN = {"lstm": "proj_size"}


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
    check_coverage(call, tried, dims)
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


#: Ties that torch does not insist on, by intent: rows of an index that line up with those of a tensor of the same size are
#: meant to, though torch lets the tensor have more.
MEANT = frozenset({"gather", "scatter", "scatter_add", "scatter_reduce"})
#: Where an axis needs more than one element: a variance, a projection. Such bounds the language has no words for.
BOUNDS = ("no variance", "more than 1", "proj_size", "element size change", "cast to the desired")


def check_ties(call: Call) -> bool:
    """Every label may grow by itself; and where two operands share one, growing it in one of them alone is refused."""
    tried = attempt(call)
    if tried.outputs is None:
        return False
    dims = tried.kind.dims(tried.types, tried.outputs)
    if any(size == 0 for _, _, size in equations(dims, tried)):
        return False
    sizes = label_sizes(dims, tried)
    loose = sorted(set(sizes) - dims.fixed)
    for label in loose:
        new = {**sizes, label: 2 * sizes[label]}
        error, outputs = _verdict(restated(tried, dims, new))
        if any(words in error for words in BOUNDS):
            continue
        shown = f"{call} with {label} {sizes[label]}→{new[label]} alone"
        assert not error, f"{shown} is refused, though its dims tie it to nothing else: {error}: {dims}"
        expected = tuple(tuple(size_of(axis, new) for axis in row) for row in dims.outputs)
        assert tuple(t.shape for t in outputs) == expected, f"{shown} gives {show(outputs)}; its dims say {expected}: {dims}"
        # In a product the other factor may take up what one operand lacks.
        factors = {part for _, axis, _ in equations(dims, tried) if isinstance(axis, Product) for part in labels(axis)}
        if call.op not in MEANT and sizes[label] > 1 and label not in factors:
            _check_insists(call, tried, dims, sizes, label)
    return bool(loose)


def _check_insists(call: Call, tried: Attempt, dims: Dims, sizes: Mapping[str, Any], label: str) -> None:
    """Torch refuses the call when one of several operands that share a label has another size of it."""
    grown = restated(tried, dims, {**sizes, label: 2 * sizes[label]})
    now = restated(tried, dims, sizes)
    changed = []
    for name, value in now.args.items():
        if isinstance(value, Operand) and value != grown.args[name]:
            changed.append((name, grown.args[name]))
        elif type(value) is tuple and any(isinstance(part, Operand) for part in value):
            rows = zip(value, grown.args[name])
            changed += [
                (name, (*value[:k], other, *value[k + 1 :]))
                for k, (part, other) in enumerate(rows)
                if isinstance(part, Operand) and part != other
            ]
    stated = {name: grown.args[name] for name in dims.attrs}
    for name, value in changed if len(changed) > 1 else ():
        for attrs in ({}, {key: other for key, other in stated.items() if key != name}):
            error, outputs = _verdict(now.with_args(**{**attrs, name: value}))
            assert error, f"{call}: {label} ties {name} to others, but {name} alone may grow, giving {show(outputs)}: {dims}"


def _verdict(call: Call) -> tuple[str, tuple[TensorType, ...]]:
    """Why a call is refused, by the rule or by torch ("" where both take it), and the types of its results."""
    tried = attempt(call)
    if tried.error is not None or tried.outputs is None:
        return str(tried.error), ()
    verdicts = [run(tried, device) for device in ("meta", "cpu")]
    if any(verdict.status in ("ok", "unsupported", "unknown") for verdict in verdicts):
        return "", tried.outputs
    return verdicts[0].message, ()


def check_coverage(call: Call, tried: Attempt, dims: Dims) -> None:
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
