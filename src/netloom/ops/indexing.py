"""``x[index]`` and ``x[index] = value``: basic and advanced indexing with torch's rules.

An index is a tuple of `Slice`, int, None (a new axis), Ellipsis, a tuple of ints (their positions), and edges: integer
tensors, whose shapes broadcast together. Its normal form has no Ellipsis, no negative number, explicit bounds for every
slice that is not full, and no full slices at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

from ..errors import ShapeError
from .arguments import Edge, Slice, attr, operand, tensor
from .dims import Axis, Concat, Dims, labels, names
from .dtypes import is_complex, is_integer, number_dtype
from .operator import Evaluated, Operator, TensorType, axis, broadcast, pretty
from .size import Size

FULL = Slice(None, None, None)


def as_index(value: Any) -> tuple[Any, ...]:
    """An index as plain data: a tuple whose slices are `Slice`."""
    entries = value if type(value) is tuple else (value,)
    return tuple(_entry(entry) for entry in entries)


def _entry(entry: Any) -> Any:
    if isinstance(entry, slice):
        return Slice(entry.start, entry.stop, entry.step)
    if isinstance(entry, list):
        entry = tuple(entry)
    if type(entry) is tuple:
        if entry and all(isinstance(i, int) and not isinstance(i, bool) for i in entry):
            return entry
    elif entry is None or entry is Ellipsis or isinstance(entry, Slice | Edge):
        return entry
    elif isinstance(entry, int | Size) and not isinstance(entry, bool):
        return entry
    raise ValueError("an index of ints, slices, None, ..., integer tensors or lists of ints")


# -- normal form -----------------------------------------------------------------------------------------------------
def canonical(index: tuple[Any, ...], shape: tuple[Any, ...], type_of: Callable[[Any], Any]) -> tuple[Any, ...]:
    """The normal form of an index into a tensor of ``shape``; `ShapeError` where it does not fit."""
    used = sum(_consumes(entry, type_of) for entry in index)
    if used > len(shape):
        raise ShapeError(f"an index of {used} axes for {pretty(shape)}, which has {len(shape)}; give at most that many")
    if sum(entry is Ellipsis for entry in index) > 1:
        raise ShapeError("an index may contain one Ellipsis only")
    found: list[Any] = []
    position = 0
    for entry in index:
        if entry is Ellipsis:
            found += [FULL] * (len(shape) - used)
            position += len(shape) - used
            continue
        found.append(_canonical_entry(entry, shape, position, type_of))
        position += _consumes(entry, type_of)
    while found and found[-1] == FULL and type(found[-1]) is Slice:
        found.pop()
    return tuple(found)


def _consumes(entry: Any, type_of: Callable[[Any], Any]) -> int:
    """How many axes of the tensor an entry of the index is for."""
    if entry is None or entry is Ellipsis:
        return 0
    if type(entry) is Edge:
        kind = type_of(entry)
        return int(kind.rank) if kind.dtype == "bool" else 1
    return 1


def _canonical_entry(entry: Any, shape: tuple[Any, ...], position: int, type_of: Callable[[Any], Any]) -> Any:
    if type(entry) is Slice:
        return canonical_slice(entry, shape[position])
    if type(entry) is Edge:
        _check_tensor(type_of(entry), shape, position)
        return entry
    if type(entry) is tuple:
        return tuple(_position(i, shape[position], position) for i in entry)
    return None if entry is None else _position(entry, shape[position], position)


def _position(value: Any, size: Any, axis: int) -> Any:
    if not -size <= value < size:
        raise ShapeError(f"index {value} is out of range for axis {axis} of size {size}; use one in [-{size}, {size}-1]")
    return value + size if value < 0 else value


def _check_tensor(kind: TensorType, shape: tuple[Any, ...], position: int) -> None:
    if kind.dtype == "bool":
        if kind.shape != shape[position : position + kind.rank]:
            raise ShapeError(f"the mask {pretty(kind.shape)} does not fit {pretty(shape)} from axis {position} on")
    elif not is_integer(kind.dtype) or kind.dtype == "uint8":
        raise ShapeError(f"a tensor of {kind.dtype} is no index; use int64 or bool")


def canonical_slice(entry: Slice, size: Any) -> Slice:
    """A slice of an axis with bounds that are explicit, non-negative and inside it; full slices as they are written.

    >>> canonical_slice(Slice(None, -1), 8), canonical_slice(Slice(0, 99), 8)
    (Slice(start=0, stop=7, step=None), Slice(start=None, stop=None, step=None))
    """
    start, stop, step = entry
    for value in entry:
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | Size)):
            raise ShapeError("the bounds of a slice must be numbers, not tensors; use index_select or gather")
    step = 1 if step is None else step
    if step < 1:
        raise ShapeError(f"a slice of step {step}; torch takes steps ≥ 1, use flip to go backwards")
    start = _bound(0 if start is None else start, size)
    stop = size if stop is None else _bound(stop, size)
    if stop < start:
        stop = start
    if start == 0 and stop == size and step == 1:
        return FULL
    return Slice(start, stop, None if step == 1 else step)


def _bound(value: Any, size: Any) -> Any:
    if value < 0:
        value = value + size
        return 0 if value < 0 else value
    if isinstance(value, Size) and not isinstance(size, Size):
        # A free size that cuts an axis of known size (a table of positions) is meant to fit in it.
        return value
    return size if value > size else value


def slice_length(entry: Slice, size: Any) -> Any:
    """How many indices a slice in normal form takes."""
    if entry == FULL:
        return size
    return -(-(entry.stop - entry.start) // (entry.step or 1))


# -- what an index in normal form does ---------------------------------------------------------------------------------
class Part(NamedTuple):
    """One entry at work: ``kind`` is slice, int, new, tensor, list or mask; ``axis`` the (first) axis of x it is for."""

    kind: str
    entry: Any
    axis: int


def parts(index: tuple[Any, ...], rank: int) -> list[Part]:
    """The entries of a normal index (types in place of edges), then full slices for the axes it leaves out."""
    found = []
    position = 0
    for entry in index:
        if entry is None:
            found.append(Part("new", entry, position))
            continue
        if type(entry) is TensorType:
            if entry.dtype == "bool":
                found.append(Part("mask", entry, position))
                position += entry.rank
                continue
            kind = "tensor" if entry.rank else "int"
        else:
            kind = "slice" if type(entry) is Slice else "list" if type(entry) is tuple else "int"
        found.append(Part(kind, entry, position))
        position += 1
    return found + [Part("slice", FULL, i) for i in range(position, rank)]


def arranged(found: list[Part], basic: Callable[[Part], Any], advanced: tuple[Any, ...]) -> tuple[Any, ...]:
    """Entries of the result: those of slices and new axes in place, those of tensors together.

    ``basic`` gives the entry of a slice or new axis; ``advanced`` are those of the broadcast tensors. They stand where
    the first tensor stands if all tensors are neighbours, else at the front.
    """
    kept = [part for part in found if part.kind != "int"]
    places = [i for i, part in enumerate(kept) if part.kind in ("tensor", "list", "mask")]
    row = [basic(part) for part in kept if part.kind in ("slice", "new")]
    if not places:
        return tuple(row)
    together = places[-1] - places[0] + 1 == len(places)
    at = places[0] if together else 0
    return (*row[:at], *advanced, *row[at:])


def indexed_shape(shape: tuple[Any, ...], index: tuple[Any, ...]) -> tuple[Any, ...]:
    """The shape of ``x[index]``."""
    found = parts(index, len(shape))
    if any(part.kind == "mask" for part in found):
        raise ShapeError("the number of elements that a mask selects depends on data; use where or masked_fill")
    advanced = [_advanced_shape(part) for part in found if part.kind in ("tensor", "list")]
    whole = broadcast(*advanced) if advanced else ()
    return arranged(found, lambda p: 1 if p.kind == "new" else slice_length(p.entry, shape[p.axis]), whole)


def _advanced_shape(part: Part) -> tuple[Any, ...]:
    return part.entry.shape if part.kind == "tensor" else (len(part.entry),)


class _Ties:
    """Labels of x and of ``x[index]``, and how the bounds of slices follow them."""

    def __init__(self, shape: tuple[Any, ...], index: tuple[Any, ...], result: tuple[Any, ...]) -> None:
        self.rows: list[Axis] = list(names("d", len(shape)))
        self.fixed: set[str] = set()
        self.bounds: dict[int, Slice] = {}
        self.found = parts(index, len(shape))
        self.shape = shape
        count = 0
        inner: dict[int, Axis] = {}
        for i, part in enumerate(self.found):
            if part.kind == "new":
                inner[id(part)] = f"new{i}"
                self.fixed.add(f"new{i}")
            elif part.kind == "slice":
                inner[id(part)] = self._slice(i, part)
            else:
                width = part.entry.rank if part.kind == "mask" else 1
                self.fixed.update(f"d{part.axis + k}" for k in range(width))
        shapes = [_advanced_shape(part) for part in self.found if part.kind in ("tensor", "list")]
        self.whole = broadcast(*shapes) if shapes else ()
        self.advanced = names("a", len(self.whole))
        self.result: tuple[Axis, ...] = ()
        if all(part.kind != "mask" for part in self.found):
            self.result = arranged(self.found, lambda part: inner[id(part)], self.advanced)
        self.tensors = tuple(self._tensor_row(count + k, part) for k, part in enumerate(self.found))
        self.operands = tuple(row for row, part in zip(self.tensors, self.found) if type(part.entry) is TensorType)

    def _slice(self, i: int, part: Part) -> Axis:
        label, entry, size = f"d{part.axis}", part.entry, self.shape[part.axis]
        if entry == FULL:
            return label
        length = slice_length(entry, size)
        if entry.step is None and length == 0 and isinstance(size, int) and entry.start == size:
            # Nothing after the end (what a partial rotation leaves of a head): it starts where x ends.
            self.fixed.add(f"cut{i}")
            self.bounds[i] = Slice(label, label, None)
            return f"cut{i}"
        if entry.step is not None or length == 0 or entry.stop > size:
            self.fixed.update((label, f"cut{i}"))
            return f"cut{i}"
        before: list[Axis] = [f"{label}<"] if entry.start != 0 else []
        after: list[Axis] = [f"{label}>"] if entry.stop != size else []
        self.rows[part.axis] = Concat((*before, label, *after))
        self.bounds[i] = Slice(before[0] if before else 0, Concat((*before, label)), None)
        return label

    def _tensor_row(self, k: int, part: Part) -> tuple[Axis, ...]:
        if part.kind == "list":
            row: tuple[Axis, ...] = ()
            if self.whole[-1] == len(part.entry):
                self.fixed.add(self.advanced[-1])
            return row
        if type(part.entry) is not TensorType:
            return ()
        if part.kind == "mask":
            return tuple(f"d{part.axis + j}" for j in range(part.entry.rank))
        offset = len(self.whole) - part.entry.rank
        found: list[Axis] = []
        for j, size in enumerate(part.entry.shape):
            if size == self.whole[offset + j]:
                found.append(self.advanced[offset + j])
            else:
                found.append(f"i{k}_{j}")
                self.fixed.add(f"i{k}_{j}")
        return tuple(found)

    def attrs(self, index: tuple[Any, ...]) -> dict[str, Any]:
        """``Dims.attrs`` for the index: the bounds of its slices as axes, None for entries that stay."""
        return {"index": tuple(self.bounds.get(i) for i in range(len(index)))} if self.bounds else {}


class _Indexed(Operator):
    """Base of `GetItem` and `SetItem`."""

    def evaluate(self, args: Mapping[str, Any], type_of: Callable[[Any], TensorType | None]) -> Evaluated:
        full = self.check(args)
        x = type_of(full["x"]) if type(full["x"]) is Edge else None
        if x is not None:
            full["index"] = canonical(full["index"], x.shape, type_of)
        return super().evaluate(full, type_of)

    def typed(self, a: SimpleNamespace) -> list[tuple[str, Any]]:
        inside = tuple(entry for entry in a.index if type(entry) is TensorType)
        found: list[tuple[str, Any]] = [("x", a.x)]
        if inside:
            found.append(("index", inside))
        if isinstance(getattr(a, "value", None), TensorType):
            found.append(("value", a.value))
        return found


class GetItem(_Indexed):
    """``x[index]``.

    >>> import netloom as nl
    >>> x = nl.input(8, 6)
    >>> x[:, 0, ::2].shape, x[..., None, 1:].shape
    ((Size('N'), 3), (Size('N'), 8, 1, 5))
    """

    name = "getitem"
    zero_terms = ("x",)
    params = (tensor("x"), attr("index", as_index))
    code = "{x}[{index}]"
    view = True
    calls = {
        "Tensor.__getitem__": "x, index",
        "torch.select": "x:input, dim, place:index",
        "Tensor.select": "x, dim, place:index",
        "torch.narrow": "x:input, dim, start, length",
        "Tensor.narrow": "x, dim, start, length",
    }

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        if "index" in call:
            return call
        shape, places = type_of(call["x"]).shape, [v for name, v in call.items() if name not in ("x", "dim")]
        if not shape or not all(isinstance(v, int | Size) for v in places):
            return None
        dim = axis(call["dim"], len(shape), "dim")
        if "place" in call:
            return {"x": call["x"], "index": (*(FULL,) * dim, call["place"])}
        start, size = call["start"], shape[dim]
        start = start + size if start < 0 else start
        if not 0 <= start <= start + call["length"] <= size:
            raise ShapeError(f"start {call['start']} and length {call['length']} leave axis {dim} of {pretty(shape)}")
        return {"x": call["x"], "index": (*(FULL,) * dim, Slice(start, start + call["length"], None))}

    def infer(self, a: SimpleNamespace) -> TensorType:
        return TensorType(a.x.dtype, indexed_shape(a.x.shape, a.index))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        ties = _Ties(a.x.shape, a.index, outputs[0].shape)
        operands: dict[str, Any] = {"x": tuple(ties.rows)}
        if ties.operands:
            operands["index"] = ties.operands
        return Dims(operands, (ties.result,), attrs=ties.attrs(a.index), fixed=frozenset(ties.fixed))


class SetItem(_Indexed):
    """A copy of x in which ``x[index] = value``; the value broadcasts to the shape of ``x[index]``."""

    name = "setitem"
    zero_terms = ("x", "value")
    params = (tensor("x"), attr("index", as_index), operand("value"))
    code = "_setitem({x}, {index}, {value})"
    calls = {
        "Tensor.__setitem__": "x, index, value",
        "netloom.ops.functions.setitem": "x, index, value",
        "torch.index_put": "x:input, indices, value:values, accumulate=False",
        "Tensor.index_put": "x, indices, value:values, accumulate=False",
    }

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        if call.pop("accumulate", False):
            return None
        if "indices" in call:
            call["index"] = tuple(FULL if entry is None else entry for entry in call.pop("indices"))
        return call

    def infer(self, a: SimpleNamespace) -> TensorType:
        value = a.value.shape if isinstance(a.value, TensorType) else ()
        if not isinstance(a.value, TensorType):
            number_dtype(a.value)
        if isinstance(a.value, complex) and not is_complex(a.x.dtype):
            raise ShapeError(f"value {a.value} cannot be written into {a.x.dtype}; convert x to complex64 first")
        if any(part.kind == "mask" for part in parts(a.index, a.x.rank)):
            if any(size != 1 for size in value):
                raise ShapeError(f"a value {pretty(value)} for the elements that a mask selects depends on data; use where")
            return a.x
        target = indexed_shape(a.x.shape, a.index)
        while len(value) > len(target) and value[0] == 1:
            value = value[1:]
        fits = len(value) <= len(target) and broadcast(value, target) == target
        if not fits:
            raise ShapeError(f"a value {pretty(value)} does not broadcast to {pretty(target)}, the shape of x[index]")
        return a.x

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        ties = _Ties(a.x.shape, a.index, outputs[0].shape)
        rows = tuple(ties.rows)
        operands: dict[str, Any] = {"x": rows}
        fixed = set(ties.fixed)
        if ties.operands:
            operands["index"] = ties.operands
        if isinstance(a.value, TensorType):
            row: list[Axis] = []
            target = indexed_shape(a.x.shape, a.index) if ties.result else ()
            offset = len(target) - a.value.rank
            for i, size in enumerate(a.value.shape):
                tied = offset + i >= 0 and offset + i < len(target) and target[offset + i] == size
                row.append(ties.result[offset + i] if tied else f"v{i}")
                if not tied:
                    fixed.add(f"v{i}")
            operands["value"] = tuple(row)
        used = frozenset(labels(tuple(operands.values())))
        # An index of zero is a place like any other.
        written = {label: "other" for label in ties.advanced if label in used}
        return Dims(operands, (rows,), attrs=ties.attrs(a.index), fixed=used & fixed, coupled=written)
