"""The torch callables that an operator claims, called for real: what is recorded must bind back to the same computation."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from ..errors import NetloomError
from ..ops import Edge, Slice, TensorType, Weight
from ..ops.arguments import MODULE, DType
from .execution import Attempt, attempt, bindings, make_tensor, run, same_bits, tensor_type
from .expressions import environment
from .operators import Call, Operand

#: Keywords that say where or how a result is stored, not what it is: the tracer drops them too.
STORAGE_KEYWORDS = ("device", "layout", "pin_memory", "requires_grad", "non_blocking", "generator", "_stacklevel", "inplace")

#: The last reason where an operator said that a call is not its own: it stays opaque, by intent.
DECLINED = "declined"


def check_calls(call: Call) -> set[str]:
    """Each callable that the operator claims, called with these arguments, gives a node that computes the same bits.

    Gives the paths of the callables that took the arguments and were recorded.
    """
    import torch

    tried = attempt(call)
    if tried.error is not None:
        return set()
    exercised: set[str] = set()
    for path, signature in tried.kind.calls.items():
        for args, kwargs in arguments(tried, call, signature):
            if path.startswith("Tensor.") and not (args and isinstance(args[0], torch.Tensor)):
                continue
            if check_recorded(path, args, kwargs, f"{call}") == call.op:
                exercised.add(path)
    return exercised


def check_written(source: str) -> set[tuple[str, Any]]:
    """Every torch call that a written expression makes binds to a node that computes the same bits.

    Gives pairs (operator, torch callable) of those calls.
    """
    import torch

    from ..tracing.calls import resolve

    seen: list[tuple[Any, Any, Any, Any]] = []
    scope = environment()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.default_generator.manual_seed(0)
        with recording(seen):
            eval(source, scope)
    found: set[tuple[str, Any]] = set()
    for function, args, kwargs, result in seen:
        if resolve(function).kind != "read":
            shown = f"{source!r}: {getattr(function, '__name__', function)}"
            tried = check_bound(function, args, kwargs, result, shown, "written")
            found.add((tried.kind.name, function))
    return found


def check_recorded(path: str, args: tuple[Any, ...], kwargs: dict[str, Any], what: str) -> str:
    """Call ``path`` under a recording mode, bind what was recorded, compare bits.

    Gives the operator's name, or "" where torch refuses or lacks a kernel.
    """
    import torch

    function = resolve_path(path)
    assert function is not None, f"torch has no {path}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seen = recorded(function, *_clones((args, kwargs)))
        if seen is None:
            return ""
        torch.default_generator.manual_seed(0)
        try:
            actual = _clones((args, kwargs))
            result = function(*actual[0], **actual[1])
            expected = actual[0][0] if result is None and actual[0] else result
        except Exception:  # (what the mode let pass may lack a kernel without it)
            return ""
    first, first_args, first_kwargs = seen
    shown = f"{path}{_brief(args)}{_brief(kwargs) if kwargs else ''}"
    if not flat_tensors(expected):
        return ""
    if bound(first, first_args, first_kwargs)[1][-1:] == [DECLINED]:
        return ""
    if first != function:
        shown += f" (recorded as {getattr(first, '__name__', first)})"
    return check_bound(first, first_args, first_kwargs, expected, shown, what).kind.name


def check_bound(function: Any, args: Any, kwargs: Any, expected: Any, shown: str, what: str) -> Attempt:
    """The node that a recorded call binds to computes ``expected`` bit for bit."""
    candidate, reasons = bound(function, args, kwargs)
    assert candidate is not None, f"{shown} binds to no operator ({'; '.join(reasons)}) ({what})"
    tried, tensors = candidate
    verdict = run(tried, "cpu", tensors)
    assert verdict.status == "ok", f"{shown} binds to {tried.kind.name} {tried.args}, which torch refuses: {verdict.message}"
    results = flat_tensors(expected)
    assert len(results) == len(verdict.values), f"{shown} gives {len(results)} tensors, its node {len(verdict.values)}"
    types = tuple(map(tensor_type, results))
    assert tried.outputs == types, f"{shown} gives {show(types)}, its node {tried.kind.name} {show(tried.outputs)}"
    if not tried.kind.name.startswith(("empty", "new_empty")):
        for have, want in zip(verdict.values, results):
            assert same_bits(have, want), f"{shown} binds to {tried.kind.name} {tried.args}, whose template gives other bits"
    return tried


def bound(function: Any, args: Any, kwargs: Any) -> tuple[Any, list[str]]:
    """(the node a recorded call binds to, its tensors by variable), or None; and the reasons why candidates did not fit."""
    from ..tracing.calls import bind, resolve

    known = resolve(function)
    declined = False
    reasons = [f"{known.kind} {known.path}"]
    for candidate in known.candidates:
        plain = Plain()
        kept = {k: v for k, v in kwargs.items() if k not in STORAGE_KEYWORDS and not (k == "out" and v is None)}
        given = bind(candidate, plain(args), {k: plain(v) for k, v in kept.items()})
        kind = candidate.operator
        if given is None:
            reasons.append(f"{kind.name}: arguments do not fit the signature")
            continue
        given.pop("inplace", None)
        fitting = kind.from_call(dict(given), plain.type_of)
        if fitting is None or not set(fitting) <= set(kind.by_name):
            declined = declined or fitting is None
            why = "refused by from_call" if fitting is None else f"left over {set(fitting) - set(kind.by_name)}"
            reasons.append(f"{kind.name}: {why}")
            continue
        if any(kind.by_name[n].kind == "tensor" and v is not None and type(v) is not Edge for n, v in fitting.items()):
            reasons.append(f"{kind.name}: a number where a tensor is needed")
            continue
        try:
            made = kind.evaluate(fitting, plain.type_of)
        except NetloomError as error:
            reasons.append(f"{kind.name}: {error}")
            continue
        operands = {edge: Operand(plain.type_of(edge)) for edge in plain.tensors}
        tried = Attempt(kind, made.args, made.types, made.outputs, None, operands)
        return (tried, {edge.node: tensor for edge, tensor in plain.tensors.items()}), reasons
    return None, [*reasons, *([DECLINED] if declined else [])]


class Plain:
    """Turns the arguments of a torch call into the plain data of a node, with an edge for each tensor."""

    def __init__(self) -> None:
        self.tensors: dict[Edge, Any] = {}

    def type_of(self, ref: Any) -> Any:
        """The type of an edge; None of plain data."""
        return tensor_type(self.tensors[ref]) if type(ref) is Edge else None

    def __call__(self, value: Any) -> Any:
        import torch

        if isinstance(value, torch.Tensor):
            for edge, tensor in self.tensors.items():
                if tensor is value:
                    return edge
            edge = Edge(f"t{len(self.tensors)}")
            self.tensors[edge] = value
            return edge
        if isinstance(value, torch.dtype):
            return DType(str(value).removeprefix("torch."))
        if isinstance(value, torch.memory_format):
            return str(value).removeprefix("torch.")
        if isinstance(value, slice):
            return Slice(self(value.start), self(value.stop), self(value.step))
        if isinstance(value, tuple | list):
            return tuple(self(v) for v in value)
        return value


def recorded(function: Any, args: Any, kwargs: Any) -> tuple[Any, Any, Any] | None:
    """The first call that a TorchFunctionMode sees while ``function`` runs; None where torch refuses the call."""
    import torch

    seen: list[tuple[Any, Any, Any, Any]] = []
    try:
        torch.default_generator.manual_seed(0)
        with recording(seen):
            function(*args, **kwargs)
    except Exception:  # (arguments that this callable does not take)
        return None
    return seen[0][:3] if seen else None


def recording(seen: list[tuple[Any, Any, Any, Any]]) -> Any:
    """A mode that adds (function, copies of its arguments, its result) of every outermost torch call to ``seen``."""
    from torch.overrides import TorchFunctionMode

    class Recording(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            copies = _clones((args, kwargs or {}))
            result = func(*args, **(kwargs or {}))
            # A call that returns nothing has written into its first argument.
            seen.append((func, *copies, _clones(args[0] if result is None and args else result)))
            return result

    return Recording()


def resolve_path(path: str) -> Any:
    """What the tracer is given for ``"torch.relu"``, ``"F.relu"``, ``"Tensor.relu"``, the property ``"Tensor.T"``, or a
    function of netloom's own by its full name; None where there is none."""
    import torch

    if path.startswith("netloom."):
        module, _, name = path.rpartition(".")
        return getattr(import_module(module), name, None)
    prefix, _, rest = path.partition(".")
    owner: Any = {"torch": torch, "F": torch.nn.functional, "Tensor": torch.Tensor}.get(prefix)
    for part in rest.split("."):
        owner = getattr(owner, part, None)
    if owner is not None and not callable(owner) and hasattr(owner, "__get__"):
        return owner.__get__
    return owner


def arguments(tried: Attempt, call: Call, signature: str) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Ways to pass a call's arguments to a torch callable: as given and in normal form, by position and by keyword."""
    from ..tracing.calls import REQUIRED, slots

    found = bindings(tried)
    if found is None:
        return
    tensors = {name: make_tensor(operand, "cpu", i) for i, (name, operand) in enumerate(found[1].items())}
    normal = {name: _real(value, tensors) for name, value in tried.args.items()}
    given = {n: v for n, v in _given(tried, call, tensors).items() if n in call.args}
    # Slots that are no arguments of the operator mark one of several callables; their default is their only value.
    row = [slot for slot in slots(signature) if slot.name in tried.kind.by_name or slot.default is REQUIRED]
    for values in (normal, {**normal, **given}):
        if any(slot.name not in values and slot.default is REQUIRED for slot in row):
            continue
        positional: list[Any] = []
        for slot in row:
            value = values.get(slot.name, slot.default)
            positional += list(value) if slot.rest and isinstance(value, tuple) else [value]
        yield tuple(positional), {}
        required = [slot for slot in row if slot.default is REQUIRED]
        if not any(slot.rest for slot in row):
            keywords = {s.keyword: values[s.name] for s in row if s.default is not REQUIRED and s.name in values}
            yield tuple(values[slot.name] for slot in required), keywords


def _given(tried: Attempt, call: Call, tensors: dict[str, Any]) -> dict[str, Any]:
    """Arguments as the call states them, before they were brought to normal form."""
    edges = iter(tried.operands)

    def edge_of(value: Any) -> Any:
        if isinstance(value, Operand):
            return next(edges)
        return tuple(edge_of(v) for v in value) if type(value) is tuple else value

    return {name: _real(edge_of(value), tensors) for name, value in call.args.items()}


def _real(value: Any, tensors: dict[str, Any]) -> Any:
    import torch

    if isinstance(value, Edge):
        return tensors.get(value.node)
    if isinstance(value, Weight):
        return tensors.get("w_" + value.key.replace(".", "_"))
    if isinstance(value, DType):
        return getattr(torch, value.name)
    if isinstance(value, Slice):
        return slice(*(_real(v, tensors) for v in value))
    if type(value) is str and value == MODULE:
        return True
    if type(value) is tuple:
        return tuple(_real(v, tensors) for v in value)
    if type(value) is str and value.endswith("_format"):
        return getattr(torch, value)
    return value


def _clones(value: Any) -> Any:
    """Copies of all tensors, so that in-place calls cannot change what is compared; one copy per tensor."""
    import torch

    copies: dict[int, Any] = {}

    def clone(part: Any) -> Any:
        if isinstance(part, torch.Tensor):
            return copies.setdefault(id(part), part.detach().clone())
        if type(part) in (tuple, list):
            return type(part)(clone(v) for v in part)
        return {k: clone(v) for k, v in part.items()} if type(part) is dict else part

    return clone(value)


def show(types: tuple[TensorType, ...] | None) -> str:
    """Types as messages write them."""
    return ", ".join(map(str, types or ()))


def flat_tensors(value: Any) -> list[Any]:
    import torch

    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = tuple(value.values())
    return [t for part in value for t in flat_tensors(part)] if isinstance(value, tuple | list) else []


def _brief(values: Any) -> str:
    import torch

    def one(value: Any) -> str:
        if isinstance(value, torch.Tensor):
            return str(tensor_type(value))
        if isinstance(value, tuple | list):
            return f"({', '.join(map(one, value))})"
        return repr(value)

    if isinstance(values, dict):
        return f" with {', '.join(f'{k}={one(v)}' for k, v in values.items())}"
    return one(values)
