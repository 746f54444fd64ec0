"""What netloom and torch each make of a generated call: accepted, with which types and values, or refused.

Templates become code exactly as a built network's do (`netloom.ops.code`), and run on meta tensors or on small real ones.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from ..errors import NetloomError
from ..ops import Edge, Operator, Size, TensorType, Weight, operator
from ..ops.arguments import REQUIRED
from ..ops.code import argument_sources, expression
from ..ops.dtypes import is_float
from ..ops.operator import resolve_types
from .operators import Call, Operand

#: Real tensors are made only up to this many elements in all.
MAX_ELEMENTS = 200_000


@dataclass(frozen=True, slots=True)
class Attempt:
    """A call as netloom takes it: outputs, or the error; ``args`` and ``types`` as far as they could be worked out."""

    kind: Operator
    args: dict[str, Any]
    types: SimpleNamespace
    outputs: tuple[TensorType, ...] | None
    error: NetloomError | None
    operands: dict[Any, Operand]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What torch makes of a call: ``status`` is ok, refused, unsupported (no kernel for dtype or device) or unknown."""

    status: str
    types: tuple[TensorType, ...] = ()
    values: tuple[Any, ...] = ()
    message: str = ""


def attempt(call: Call) -> Attempt:
    """Let netloom evaluate a call; errors that are not netloom's own pass through, for they are defects."""
    kind = operator(call.op)
    operands: dict[Any, Operand] = {}

    def edge_of(value: Any) -> Any:
        if isinstance(value, Operand):
            edge = Edge(f"t{len(operands)}")
            operands[edge] = value
            return edge
        if type(value) is tuple:
            return tuple(edge_of(v) for v in value)
        return value

    args = {name: edge_of(value) for name, value in call.args.items()}

    def type_of(ref: Any) -> TensorType | None:
        return operands[ref].type if ref in operands else None

    try:
        made = kind.evaluate(args, type_of)
    except NetloomError as error:
        raw = {p.name: args.get(p.name, None if p.default is REQUIRED else p.default) for p in kind.params}
        types = SimpleNamespace(**{name: resolve_types(value, type_of) for name, value in raw.items()})
        tried = Attempt(kind, raw, types, None, error, operands)
        for name, expected in expected_weights(tried).items():
            if isinstance(raw.get(name), Weight):
                setattr(types, name, expected)
        return tried
    return Attempt(kind, made.args, made.types, made.outputs, None, operands)


def expected_weights(tried: Attempt) -> dict[str, TensorType]:
    """Types of the operator's own weights as its attributes state them; empty where they cannot be worked out."""
    kind = tried.kind
    try:
        attrs = {name: value for name, value in kind.check(tried.args).items() if kind.by_name[name].kind == "attr"}
        return kind.weights(SimpleNamespace(**{**vars(tried.types), **attrs}))
    except Exception:  # (a refused call need not have any)
        return {}


def bindings(tried: Attempt, training: bool = True) -> tuple[dict[str, Any], dict[str, Operand]] | None:
    """Sources of the arguments, and the operand behind each variable; None where a weight's type is not known."""
    variables: dict[str, Operand] = {}
    types: dict[Any, Operand] = dict(tried.operands)
    for name, value in tried.args.items():
        resolved = getattr(tried.types, name, None)
        pairs = zip(value, resolved) if type(value) is tuple and type(resolved) is tuple else [(value, resolved)]
        for ref, known in pairs:
            if isinstance(ref, Weight):
                if not isinstance(known, TensorType):
                    return None
                types[ref] = Operand(known, 0.25, 1.25) if is_float(known.dtype) else Operand(known)

    def name_of(ref: Any) -> str:
        variable = ref.node if isinstance(ref, Edge) else "w_" + ref.key.replace(".", "_")
        variables[variable] = types[ref]
        return variable

    sources = argument_sources(tried.args, tried.kind, name_of, str(training))
    return sources, variables


def with_computed_weights(call: Call) -> Call:
    """The same call with its own weights given by edges, as where a model computes them; unchanged where it is refused."""
    tried = attempt(call)
    if tried.error is not None:
        return call
    own = {name: getattr(tried.types, name) for name, value in call.args.items() if isinstance(value, Weight)}
    return call.with_args(**{name: Operand(t, 0.25, 1.25) if is_float(t.dtype) else Operand(t) for name, t in own.items()})


def run(tried: Attempt, device: str, tensors: dict[str, Any] | None = None, training: bool = True) -> Verdict:
    """The template of a call, run by torch on ``device``; ``tensors`` may give the real ones by variable.

    ``training`` is the flag of the module that the call would belong to.
    """
    import torch
    import torch.nn.functional as F

    try:
        bound = bindings(tried, training)
        if bound is None:
            return Verdict("unknown", message="the type of a weight is not known")
        sources, variables = bound
        sources["device"] = repr(device)
        statements, source = expression(tried.kind, tried.types, sources)
    except Exception as error:
        if tried.error is None:
            raise
        return Verdict("unknown", message=f"no code for refused arguments: {error}")
    elements = sum(_elements(o.type) for o in variables.values()) + sum(_elements(t) for t in tried.outputs or ())
    if device != "meta" and elements > MAX_ELEMENTS:
        return Verdict("unknown", message="too large for real tensors")
    scope: dict[str, Any] = {"torch": torch, "F": F, **helpers()}
    given = tensors or {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # rare dtypes are announced as experimental
            for i, (name, operand) in enumerate(variables.items()):
                scope[name] = given[name] if name in given else make_tensor(operand, device, i)
    except (RuntimeError, TypeError) as error:
        return Verdict("unknown", message=str(error))
    before = {name: scope[name] for name in variables}
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.default_generator.manual_seed(0)  # torch.manual_seed takes a stack trace per device
            for statement in statements:
                exec(statement, scope)
            if tried.kind.unpack:
                values = _unpacked(tried.kind.unpack, source, scope)
            else:
                result = eval(source, scope)
                values = (result,) if isinstance(result, torch.Tensor) else tuple(result)
    except Exception as error:  # (whatever torch raises is its verdict)
        return Verdict(_classify(error), message=f"{type(error).__name__}: {error}")
    scope.update(before)
    return Verdict("ok", tuple(tensor_type(v) for v in values), values)


def _unpacked(pattern: str, source: str, scope: dict[str, Any]) -> tuple[Any, ...]:
    import string

    fields = [int(field) for _, field, _, _ in string.Formatter().parse(pattern) if field is not None]
    names = [f"_out{i}" for i in range(max(fields) + 1)]
    exec(f"{pattern.format(*names)} = {source}", scope)
    return tuple(scope[name] for name in names)


def helpers() -> dict[str, Any]:
    """Functions that templates may call beside torch's: those that built networks have in scope."""
    from ..ops.functions import setitem

    return {"_setitem": setitem}


#: How torch says that it lacks a kernel for a dtype on a device.
_LACKING = ("not implemented", "MKL FFT", "on CPU does not support", "Unsupported dtype")


def _classify(error: Exception) -> str:
    message = str(error)
    # Kernels that a device lacks say nothing about the call; other devices have them.
    lacking = isinstance(error, NotImplementedError) or any(words in message for words in _LACKING)
    return "unsupported" if lacking or ("meta" in message and "not support" in message) else "refused"


def _elements(of: TensorType) -> int:
    numel = of.numel
    return MAX_ELEMENTS + 1 if isinstance(numel, Size) else int(numel)


def tensor_type(value: Any) -> TensorType:
    return TensorType(str(value.dtype).removeprefix("torch."), tuple(int(s) for s in value.shape))


def make_tensor(operand: Operand, device: str, seed: int) -> Any:
    """A tensor of the operand's type; the same seed gives the same values."""
    import torch

    dtype = getattr(torch, operand.type.dtype)
    shape = tuple(operand.type.shape)
    if device == "meta":
        return torch.empty(shape, dtype=dtype, device="meta")
    generator = torch.Generator().manual_seed(seed)
    low, high = operand.low, operand.high
    if dtype.is_floating_point:
        if low is None or high is None:
            return torch.randn(shape, generator=generator).to(dtype)
        return (torch.rand(shape, generator=generator) * (high - low) + low).to(dtype)
    if dtype.is_complex:
        return torch.complex(torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)).to(dtype)
    if dtype is torch.bool:
        return torch.rand(shape, generator=generator) < 0.5
    bottom = 0 if low is None else int(low)
    return torch.randint(bottom, max(4 if high is None else int(high), bottom + 1), shape, generator=generator).to(dtype)


def same_bits(a: Any, b: Any) -> bool:
    """Equal dtype, shape and every bit (NaN equal to NaN)."""
    import torch

    if tensor_type(a) != tensor_type(b):
        return False
    if a.numel() == 0:
        return True
    plain = (torch.resolve_conj(torch.resolve_neg(t.detach())).reshape(-1) for t in (a, b))
    left, right = (t.clone(memory_format=torch.contiguous_format).view(torch.uint8) for t in plain)
    if torch.equal(left, right):
        return True
    # NaNs of one kernel may differ in sign or payload between calls.
    if a.dtype.is_floating_point or a.dtype.is_complex:
        return bool(torch.equal(torch.isnan(a), torch.isnan(b)) and torch.equal(torch.nan_to_num(a), torch.nan_to_num(b)))
    return False
