"""Replays a torch call through the operator that stands for it, and holds every one of its rules against torch.

For one call: the operator binds it, its shape rule gives the types that torch gives, the code it writes computes the same
bits, and its dimension rule agrees with its shape rule when every label that may change size does.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F

from netloom.ops import REGISTRY, Concat, DType, Edge, Operator, Product, Slice, TensorType, Weight
from netloom.ops.code import argument_sources, expression
from netloom.ops.dims import labels, size_of
from netloom.ops.operator import Evaluated
from netloom.tracing.calls import Candidate, bind, slots


def type_of_tensor(tensor: torch.Tensor) -> TensorType:
    return TensorType(str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))


class Call:
    """The tensors of one call by name, and the call as an operator sees it."""

    def __init__(self) -> None:
        self.tensors: dict[str, torch.Tensor] = {}

    def plain(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            name = f"t{len(self.tensors)}"
            self.tensors[name] = value
            return Edge(name)
        if isinstance(value, slice):
            return Slice(self.plain(value.start), self.plain(value.stop), self.plain(value.step))
        if isinstance(value, tuple | list):
            return tuple(self.plain(v) for v in value)
        if isinstance(value, torch.dtype):
            return DType(str(value).removeprefix("torch."))
        if isinstance(value, torch.memory_format):
            return str(value).removeprefix("torch.")
        return value

    def type_of(self, ref: Any) -> TensorType | None:
        return type_of_tensor(self.tensors[ref.node]) if type(ref) is Edge else None


def evaluated(op: str, path: str, args: Any, kwargs: Mapping[str, Any]) -> tuple[Operator, Evaluated, Call] | None:
    """The node for a torch call, or None where the operator refuses it."""
    kind, call = REGISTRY[op], Call()
    plain_args, plain_kwargs = call.plain(tuple(args)), {k: call.plain(v) for k, v in kwargs.items()}
    bound = bind(Candidate(kind, slots(kind.calls[path])), plain_args, plain_kwargs)
    if bound is None:
        return None
    bound.pop("inplace", None)
    made = kind.from_call(bound, call.type_of)  # type: ignore[arg-type]
    if made is None:
        return None
    return kind, kind.evaluate(made, call.type_of), call


def function(path: str) -> Callable[..., Any]:
    owner, _, name = path.rpartition(".")
    found: Any = {"Tensor": torch.Tensor, "F": F}.get(owner)
    if found is None:
        found = torch
        for part in owner.split(".")[1:]:
            found = getattr(found, part)
    found = getattr(found, name)
    return found if callable(found) else found.__get__


def run(kind: Operator, made: Evaluated, tensors: Mapping[str, torch.Tensor]) -> Any:
    """What the operator's own code computes."""
    scope: dict[str, Any] = {"torch": torch, "F": F, "_setitem": setitem, **tensors}
    sources = argument_sources(made.args, kind, lambda ref: ref.node if type(ref) is Edge else ref, "True")
    before, source = expression(kind, made.types, sources | {"device": "'cpu'"})
    for statement in before:
        exec(statement, scope)
    return eval(source, scope)


def setitem(x: torch.Tensor, index: Any, value: Any) -> torch.Tensor:
    y = x.clone()
    y[index] = value
    return y


def flat(value: Any) -> list[torch.Tensor]:
    if isinstance(value, tuple | list):
        return [t for part in value for t in flat(part)]
    return [value]


def replay(op: str, path: str, *args: Any, expected: Any = None, strides: bool = True, **kwargs: Any) -> dict[str, Any]:
    """Check all rules of ``op`` on the call of ``path``; gives the node's arguments in normal form."""
    torch.manual_seed(0)
    wanted = flat(function(path)(*args, **kwargs)) if expected is None else flat(expected)
    found = evaluated(op, path, args, kwargs)
    assert found is not None, f"{op} refuses {path}"
    kind, made, call = found
    rule = [TensorType(t.dtype, tuple(t.shape)) for t in made.outputs]
    assert rule == [type_of_tensor(t) for t in wanted], (rule, [type_of_tensor(t) for t in wanted])
    torch.manual_seed(0)
    computed = flat(run(kind, made, call.tensors))
    assert len(computed) == len(wanted)
    for have, want in zip(computed, wanted):
        assert have.dtype == want.dtype and have.shape == want.shape, (have.dtype, have.shape)
        if "empty" not in op:
            assert torch.equal(bits(have), bits(want)), f"{op}: code differs from {path}"
        if strides and have.numel() > 1:
            assert have.stride() == want.stride(), (have.stride(), want.stride())
    again = kind.evaluate(made.args, call.type_of)
    assert again.args == made.args, ("the normal form is not normal", made.args, again.args)
    check_dims(kind, made, call)
    return made.args


def bits(t: torch.Tensor) -> torch.Tensor:
    if t.is_complex():
        t = torch.view_as_real(t.resolve_conj().contiguous())
    if t.dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        size = {2: torch.int16, 4: torch.int32, 8: torch.int64}[t.element_size()]
        return torch.where(t.isnan(), torch.full_like(t, float("nan")), t).contiguous().view(size)
    return t


# -- dimension rules -------------------------------------------------------------------------------------------------
def check_dims(kind: Operator, made: Evaluated, call: Call, draws: int = 4) -> None:
    """The dimension rule against the shape rule, under random sizes of the labels that may change."""
    dims = kind.dims(made.types, made.outputs)
    pairs = _pairs(kind, made, dims)
    sizes = solve(pairs)
    known = set(labels(tuple(a for a, _ in pairs)))
    assert known <= set(sizes), f"{kind.name}: sizes of {sorted(known - set(sizes))} do not follow from {pairs}"
    for axis, size in pairs:
        assert size_of(axis, sizes) == size, f"{kind.name}: {axis} should have {size}, has {size_of(axis, sizes)}: {dims}"
    unknown = dims.fixed - known
    assert not unknown, f"{kind.name}: fixed labels {unknown} are nowhere"
    rng = random.Random(0)
    for _ in range(draws):
        new = dict(sizes)
        for label, size in sizes.items():
            if label not in dims.fixed and size:
                changed = size + rng.choice((-1, 0, 1, 2)) * dims.multiples.get(label, 1)
                new[label] = changed if changed > 0 else size
        resized(kind, made, dims, new)


def _pairs(kind: Operator, made: Evaluated, dims: Any) -> list[tuple[Any, Any]]:
    found = []
    for name, value in kind.typed(made.types):
        axes = dims.operands[name]
        if isinstance(value, TensorType):
            assert len(axes) == value.rank, f"{kind.name}: {name} has {value.rank} axes, its rule {len(axes)}"
            found += list(zip(axes, value.shape))
        else:
            assert len(axes) == len(value)
            for row, t in zip(axes, value):
                assert len(row) == t.rank
                found += list(zip(row, t.shape))
    assert len(dims.outputs) == len(made.outputs)
    for row, t in zip(dims.outputs, made.outputs):
        assert len(row) == t.rank, f"{kind.name}: output has {t.rank} axes, its rule {len(row)}"
        found += list(zip(row, t.shape))
    for name, expr in dims.attrs.items():
        found += _attr_pairs(expr, made.args[name])
    return found


def _attr_pairs(expr: Any, value: Any) -> list[tuple[Any, Any]]:
    if isinstance(expr, str | Product | Concat):
        return [(expr, value)]
    if isinstance(expr, tuple):
        assert isinstance(value, tuple) and len(value) == len(expr), (expr, value)
        return [pair for e, v in zip(expr, value) for pair in _attr_pairs(e, v)]
    return []


def solve(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    sizes: dict[str, Any] = {}
    for _ in range(len(pairs) + 1):
        for axis, size in pairs:
            _solve_one(axis, size, sizes)
    return sizes


def _solve_one(axis: Any, size: Any, sizes: dict[str, Any]) -> None:
    if isinstance(axis, str):
        sizes.setdefault(axis, size)
        return
    open_parts = [p for p in axis.parts if not set(labels(p)) <= set(sizes)]
    if len(open_parts) != 1:
        return
    rest = [size_of(p, sizes) for p in axis.parts if p is not open_parts[0]]
    if isinstance(axis, Concat):
        left = size - sum(rest)
        count = sum(p == open_parts[0] for p in axis.parts)
        _solve_one(open_parts[0], left // count, sizes)
    else:
        whole = 1
        for r in rest:
            whole *= r
        _solve_one(open_parts[0], size // whole if whole else 0, sizes)


def restate(expr: Any, value: Any, sizes: Mapping[str, Any]) -> Any:
    """An attribute's value with the sizes in it computed anew."""
    if isinstance(expr, str | Product | Concat):
        return size_of(expr, sizes)
    if isinstance(expr, tuple):
        entries = (restate(e, v, sizes) for e, v in zip(expr, value))
        return type(value)(*entries) if hasattr(value, "_fields") else tuple(entries)
    return value


def resized(kind: Operator, made: Evaluated, dims: Any, sizes: Mapping[str, Any]) -> None:
    args = dict(made.args)
    for name, expr in dims.attrs.items():
        args[name] = restate(expr, args[name], sizes)
    types: dict[Any, TensorType] = {}

    def retyped(ref: Any, old: TensorType, row: Any) -> None:
        new = TensorType(old.dtype, tuple(size_of(a, sizes) for a in row))
        assert types.setdefault(ref, new) == new, f"{kind.name}: {ref} appears twice with different sizes"

    def refs(value: Any, old: Any, row: Any) -> None:
        if type(value) in (Edge, Weight):
            retyped(value, old, row)
        elif type(value) is tuple:
            for v, o, r in zip(value, old, row):
                refs(v, o, r)

    for name, old in kind.typed(made.types):
        given = args[name] if type(args[name]) is Edge or kind.by_name[name].kind == "tensors" else tuple(_edges(args[name]))
        refs(given, old, dims.operands[name])
    for name in args:
        for edge in _edges(args[name]):
            if edge not in types:  # inside an index: keeps its shape
                types[edge] = _inside(made, name, edge)
    again = kind.evaluate(args, types.get)
    wanted = [tuple(size_of(a, sizes) for a in row) for row in dims.outputs]
    assert [t.shape for t in again.outputs] == wanted, (
        f"{kind.name}: resized to {sizes}: {again.outputs} against {wanted}; {dims}"
    )


def _edges(value: Any) -> list[Edge]:
    if type(value) is Edge:
        return [value]
    return [e for v in value for e in _edges(v)] if isinstance(value, tuple) and type(value) is not Weight else []


def _inside(made: Evaluated, name: str, edge: Edge) -> Any:
    def search(value: Any, types: Any) -> Any:
        if value == edge and type(value) is Edge:
            return types
        if type(value) is tuple:
            for v, t in zip(value, types):
                found = search(v, t)
                if found is not None:
                    return found
        return None

    return search(made.args[name], getattr(made.types, name))


def refused(op: str, path: str, *args: Any, **kwargs: Any) -> str:
    """The message with which the operator refuses a call that torch refuses too."""
    from netloom.errors import NetloomError

    try:
        function(path)(*args, **kwargs)
    except (RuntimeError, IndexError, TypeError, ValueError, NotImplementedError):
        pass
    else:
        raise AssertionError(f"torch accepts this call of {path}")
    try:
        found = evaluated(op, path, args, kwargs)
    except NetloomError as error:
        return str(error)
    raise AssertionError(f"{op} accepts what torch refuses: {found}")
