"""The recorder: a TorchFunctionMode under which a model's calls become records.

A record is a pure call: in-place calls and writes through views are turned into pure ones by `aliasing`. Sizes are plain
ints here; `freeing` finds the free symbols in them afterwards.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from ..errors import NetloomError, ShapeError, TraceError
from ..ops import DType, Edge, Operator, Slice, TensorType, Weight, operator
from ..ops.operator import MODULE, Evaluated
from .aliasing import Aliases, Handle
from .calls import Resolved, bind, entered, resolve
from .cloning import Cloner
from .evaluating import Values
from .opaque import hooked, inplace, opaque
from .state import Held, constant_of, dtype_name, type_of_tensor

#: Families whose results are fresh contiguous tensors when all operands are: their shape rules stand in for meta kernels.
_QUICK = set(
    "conv linear norm activation arithmetic dropout pool matmul elementary logic masking create draw reduce extremes "
    "statistics join padding resample diagonal recurrent".split()
)
_FACTORIES = set(
    "zeros ones full empty arange range linspace logspace eye rand randn randint randperm tensor as_tensor scalar_tensor "
    "tril_indices triu_indices empty_strided zeros_like ones_like full_like empty_like rand_like randn_like randint_like "
    "new_zeros new_ones new_full new_empty new_tensor normal hann_window hamming_window bartlett_window blackman_window "
    "kaiser_window asarray fftfreq rfftfreq complex polar sparse_coo_tensor".split()
)
_LITERAL = {torch.tensor, torch.as_tensor, torch.asarray, torch.Tensor.new_tensor}
_CASTS = {torch.Tensor.to, torch.Tensor.cpu, torch.Tensor.cuda}
_INDEXED = {torch.Tensor.__getitem__, torch.Tensor.__setitem__}
_DROPPED = ("device", "layout", "pin_memory", "requires_grad", "non_blocking", "generator", "_stacklevel")


@dataclass(slots=True, eq=False)
class Record:
    """One pure call. ``args`` hold `Edge`\\ s whose ``node`` is a record's number.

    ``constant``: 2 where the result depends on no input, parameter, mutable buffer or free size; 1 where it depends on a
    free size alone; else 0.
    """

    number: int
    op: str
    args: dict[str, Any]
    types: tuple[TensorType, ...]
    scope: str
    grad: bool
    autocast: str
    constant: int
    name: str = ""
    mode: str = ""
    where: Any = None


@dataclass(slots=True)
class Recording:
    """All that one run of a model gave."""

    records: list[Record]
    result: Any
    written: dict[str, tuple[Edge, bool]]
    guards: list[str]


class DataDependence(TraceError):
    """The model asks for numbers inside a tensor that only running it on data can tell."""


class NeedsRealTensors(Exception):
    """The model does something that meta tensors do not support; trace it on small real tensors."""


class BufferNumber(float):
    """A Python float read from a buffer: batch norm's count of batches, for its cumulative average."""

    key: str = ""

    def __rtruediv__(self, other: Any) -> float:
        factor = CumulativeFactor(1.0)
        factor.key = self.key
        return factor if other == 1.0 else NotImplemented


class CumulativeFactor(float):
    """``1 / count``: the averaging factor of batch norm with ``momentum=None``."""

    key: str = ""


class Recorder(TorchFunctionMode):
    """Runs under ``with recorder:``; `call_module` keeps the stack of module paths."""

    def __init__(self, prime: int, meta: bool, device: Any, specialize: bool, cloner: Cloner) -> None:
        super().__init__()
        self.prime, self.meta, self.device, self.specialize, self.cloner = prime, meta, device, specialize, cloner
        self.records: list[Record] = []
        self.aliases = Aliases(self)
        self.values = Values(self)
        self.paths: dict[int, str] = {}
        self.stack: list[str] = [""]
        self.parameters: dict[str, Edge] = {}
        self.entries: dict[str, TensorType] = {}
        self.constant_buffers: dict[str, Any] = {}
        self.real: dict[int, Any] = {}
        self.owners: dict[str, list[str]] = {}
        self.inputs: dict[str, Edge] = {}
        self.guards: list[str] = []
        self.stand_ins: dict[int, Any] = {}
        self.entering: list[Any] = []
        self.generated: list[Any] = []

    # -- beginning and end -------------------------------------------------------------------------------------------
    def take_state(self, originals: list[Held], copies: list[Held], module: Any) -> None:
        """The model's parameters and buffers, and the paths of its modules."""
        canonical: dict[int, str] = {}
        for original, copied in zip(originals, copies):
            key = canonical.setdefault(id(copied.tensor), copied.key)
            self.owners.setdefault(key, []).append(copied.key)
            self.entries[copied.key] = type_of_tensor(copied.tensor)
            if key == copied.key:
                self.aliases.entry(copied.tensor, key)
                if copied.kind == "buffer" and original.tensor.device.type != "meta":
                    self.constant_buffers[key] = original.tensor
        self.owners = {key: names for key, names in self.owners.items() if len(names) > 1}
        for path, child in module.named_modules():
            self.paths[id(child)] = path

    def input(self, path: str, tensor: Any) -> None:
        """A tensor that the caller gives."""
        kind = type_of_tensor(tensor)
        record = self.add("input", {"dtype": DType(kind.dtype), "shape": kind.shape}, (kind,), constant=0)
        record.name = path
        self.inputs[path] = Edge(record.number)  # type: ignore[arg-type]
        self.aliases.fresh(tensor, self.inputs[path])

    def finish(self, result: Any, module: Any, copies: list[Held]) -> Recording:
        """What the run gave: edges of its result, and of every entry of the state that it changed."""
        from .containers import plain_tree

        tree = plain_tree(result, self.result_edge)
        written: dict[str, tuple[Edge, bool]] = {}
        for item in copies:
            owner = module.get_submodule(item.key.rpartition(".")[0])
            now = owner._buffers.get(item.key.rpartition(".")[2]) if item.kind == "buffer" else None
            if now is not None and now is not item.tensor:
                handle = self.aliases.handle(now)
                if handle is not None and type_of_tensor(now) == type_of_tensor(item.tensor):
                    written[item.key] = (self.aliases.read(handle), True)
        for key, root in self.aliases.roots.items():
            if root.version and key not in written:
                written[key] = (root.edge, root.grad)
        return Recording(self.records, tree, written, self.guards)

    def result_edge(self, tensor: Any) -> Edge:
        handle = self.aliases.handle(tensor)
        if handle is None:
            tensor = self._unknown_tensor(tensor)
            return self.aliases.read(tensor)
        return self.aliases.read(handle)

    # -- adding records ----------------------------------------------------------------------------------------------
    def type_of(self, ref: Any) -> TensorType | None:
        if type(ref) is Edge:
            return self.records[ref.node].types[ref.index]  # type: ignore[call-overload,no-any-return]
        return self.entries.get(ref.key)

    def add(self, op: str, args: dict[str, Any], types: tuple[TensorType, ...], constant: int | None = None) -> Record:
        number = len(self.records)
        if constant is None:
            constant = self._constancy(operator(op), args, types)
        name, scope = self.place()
        record = Record(number, op, args, types, scope, torch.is_grad_enabled(), _autocast(), constant, name)
        self.records.append(record)
        return record

    def place(self) -> tuple[str, str]:
        """Name (where it is known) and owner of the call being made: of a network's node, or by the running module."""
        path = self.stack[-1]
        if not self.generated or self.generated[-1] is None:
            return "", path
        code, origins = self.generated[-1]
        frame = sys._getframe(2)
        while frame is not None and frame.f_code is not code:
            frame = frame.f_back  # type: ignore[assignment]
        name, scope = origins.get(frame.f_lineno, ("", "")) if frame is not None else ("", "")
        if path:
            name, scope = f"{path}.{name}" if name else "", f"{path}.{scope}" if scope else path
        return name, scope

    def emit(self, op: str, **args: Any) -> Edge:
        """Add a call that netloom itself needs (undoing a view, casting a written value)."""
        made = operator(op).evaluate(args, self.type_of)
        return Edge(self.add(op, made.args, made.outputs).number)  # type: ignore[arg-type]

    def _constancy(self, kind: Operator, args: dict[str, Any], types: tuple[TensorType, ...]) -> int:
        if kind.effect:
            return 0
        if kind.family == "create":
            return min(self._level(t.shape) for t in types)
        return self._level(tuple(args.values()))

    def _level(self, value: Any) -> int:
        kind = type(value)
        if kind is Edge:
            return self.records[value.node].constant
        if kind is Weight:
            return 0
        if kind is int:
            return 1 if self.is_free(value) else 2
        if isinstance(value, tuple):
            return min((self._level(v) for v in value), default=2)
        return 2

    def is_free(self, value: int) -> bool:
        """Whether an int looks like a size that the batch goes into."""
        return self.prime > 0 and value * 2 > self.prime

    def parameter(self, key: str) -> Edge:
        """The value of a tensor-table entry, outside the call that owns it."""
        edge = self.parameters.get(key)
        if edge is None:
            kind = self.entries[key]
            args = {"value": Weight(key), "dtype": DType(kind.dtype), "shape": kind.shape}
            edge = Edge(self.add("parameter", args, (kind,), constant=0).number)  # type: ignore[arg-type]
            self.parameters[key] = edge
        return edge

    def literal(self, tensor: Any) -> Edge:
        """A tensor from outside the trace, by value."""
        kind = type_of_tensor(tensor)
        args = {"value": constant_of(tensor), "dtype": DType(kind.dtype), "shape": kind.shape}
        record = self.add("constant", args, (kind,), constant=2)
        self.real[record.number] = tensor.detach()
        return Edge(record.number)  # type: ignore[arg-type]

    # -- the mode ----------------------------------------------------------------------------------------------------
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        known = resolve(func)
        if known.kind == "read":
            return self._read(known, func, args, kwargs)
        if known.kind == "data":
            return self._data(known, func, args, kwargs)
        if self.stand_ins:
            args, kwargs = self._substituted(args), self._substituted(kwargs)
        while True:
            try:
                if known.kind == "call":
                    return self._call(known, func, args, kwargs)
                if known.kind == "shape":
                    return self._data_shape(known, func, args, kwargs)
                return self._other(known, func, args, kwargs)
            except _Retry:
                args, kwargs = self._substituted(args), self._substituted(kwargs)

    def _read(self, known: Resolved, func: Any, args: Any, kwargs: Any) -> Any:
        if self.meta:
            if known.path == "Tensor.device":
                return self.device
            if known.path == "Tensor.is_meta":
                return False
            if known.path == "Tensor.is_cpu":
                return self.device.type == "cpu"
            if known.path == "Tensor.is_cuda":
                return self.device.type == "cuda"
            if known.path == "Tensor.get_device":
                return self.device.index if self.device.index is not None else -1
        return func(*args, **kwargs)

    def _data(self, known: Resolved, func: Any, args: Any, kwargs: Any) -> Any:
        handles = [self.aliases.handle(a) for a in args if isinstance(a, torch.Tensor)]
        edges = [self.aliases.read(h) for h in handles if h is not None]
        name = known.path.rpartition(".")[2]
        if name == "__float__" and edges and type(edges[0]) is Edge:
            key = self._counted(edges[0])
            if key is not None:
                number = BufferNumber(1.0)
                number.key = key
                return number
        rows = [self.values.over_sizes(edge) for edge in edges]
        if not all(rows) or len(rows) != len([a for a in args if isinstance(a, torch.Tensor)]):
            if self.specialize and not self.meta:
                self.guards.append(f"{known.path} gave one value at {where_in_model()}")
                return func(*args, **kwargs)
            if self.specialize:
                raise NeedsRealTensors(known.path)
            raise DataDependence(
                f"{name} of a tensor that depends on the input or a parameter makes the computation depend on data "
                f"({where_in_model()}); use torch.where or masks instead, or trace with specialize=True to freeze this value"
            )
        results = []
        for row in zip(*rows):
            position = iter(row)
            results.append(func(*[next(position) if isinstance(a, torch.Tensor) else a for a in args], **kwargs))
        if any(repr(r) != repr(results[0]) for r in results[1:]):
            raise DataDependence(
                f"{name} of a tensor that follows the batch size makes the computation depend on it ({where_in_model()}); "
                "it gave " + ", ".join(repr(r)[:40] for r in results)
            )
        return results[0]

    def _data_shape(self, known: Resolved, func: Any, args: Any, kwargs: Any) -> Any:
        handle = self.aliases.handle(args[0]) if args and isinstance(args[0], torch.Tensor) else None
        real = self.values.of(self.aliases.read(handle)) if handle is not None else None
        if real is None:
            raise DataDependence(
                f"the shape of {known.path.rpartition('.')[2]}'s result depends on the numbers in its operand ({where_in_model()}); "
                "use masks of fixed shape instead"
            )
        others = self._real(args[1:])
        result = func(real, *others, **self._real(kwargs))
        return self._outside(result)

    def _real(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            handle = self.aliases.handle(value)
            return self.values.of(self.aliases.read(handle)) if handle else value
        if isinstance(value, tuple | list):
            return type(value)(self._real(v) for v in value)
        if isinstance(value, dict):
            return {k: self._real(v) for k, v in value.items()}
        return value

    def _outside(self, result: Any) -> Any:
        """Real tensors computed aside, brought into the trace as constants."""
        if isinstance(result, torch.Tensor):
            return self.bring_in(result)
        if isinstance(result, tuple | list):
            return type(result)(self._outside(r) for r in result)
        return result

    def bring_in(self, real: Any) -> Any:
        """The tensor of the trace that stands for a real tensor: a constant by value."""
        edge = self.literal(real)
        stand_in = torch.empty_strided(real.shape, real.stride(), dtype=real.dtype, device="meta") if self.meta else real.clone()
        self.aliases.fresh(stand_in, edge)
        return stand_in

    def _substituted(self, value: Any) -> Any:
        """Tensors that the model holds outside its module tree, replaced by what stands for them in the trace."""
        if isinstance(value, torch.Tensor):
            found = self.stand_ins.get(id(value))
            return value if found is None else found
        if type(value) in (tuple, list):
            return type(value)(self._substituted(v) for v in value)
        if type(value) is dict:
            return {k: self._substituted(v) for k, v in value.items()}
        return value

    def _call(self, known: Resolved, func: Any, args: Any, kwargs: Any) -> Any:
        if func in _LITERAL:
            made = self._literal_call(func, args, kwargs)
            if made is not NotImplemented:
                return made
        if func in _INDEXED and isinstance(args[1], list | tuple | range):
            args = (args[0], self._index(args[1]), *args[2:])
        out = kwargs.get("out")
        plain = {k: v for k, v in kwargs.items() if k not in _DROPPED and k != "out" and not (k == "inplace")}
        inplace = known.inplace or bool(kwargs.get("inplace", False))
        ir_args, ir_kwargs = self._ir(args), {k: self._ir(v) for k, v in plain.items()}
        for candidate in known.candidates:
            bound = bind(candidate, ir_args, ir_kwargs)
            if bound is None:
                continue
            inplace = bool(bound.pop("inplace", False)) or inplace
            kind = candidate.operator
            try:
                made = self._made(kind, bound)
            except NetloomError as error:
                self.refused = (known.path, error)
                continue
            if made is None:
                continue
            return self._run(kind, made, func, args, kwargs, inplace, out)
        return self._other(known, func, args, kwargs)

    def _made(self, kind: Operator, bound: dict[str, Any]) -> Evaluated | None:
        args: dict[str, Any] = {}
        bound = kind.from_call(bound, self._handle_type)  # type: ignore[assignment]
        if bound is None:
            return None
        for name, value in bound.items():
            param = kind.by_name.get(name)
            if param is None:
                return None
            if param.kind == "weight" or (param.kind == "tensors" and kind.family == "recurrent"):
                args[name] = self._weight_ref(value)
            else:
                args[name] = self._edge_ref(value)
            if param.kind == "tensor" and value is not None and type(args[name]) is not Edge:
                return None
            if param.kind == "operand" and not isinstance(args[name], Edge | int | float | complex | bool | type(None)):
                return None
        if kind.name == "batch_norm":
            self._count_batches(args)
        made = kind.evaluate(args, self.type_of)
        return made

    def _run(self, kind: Operator, made: Evaluated, func: Any, args: Any, kwargs: Any, inplace: bool, out: Any) -> Any:
        tensors = [a for a in _flat(args) + _flat(kwargs) if isinstance(a, torch.Tensor)]
        quick = (
            self.meta
            and not inplace
            and out is None
            and kind.family in _QUICK
            and not kind.view
            and kind.name != "meshgrid"
            and (len(made.outputs) == 1 or kind.family in ("recurrent", "pool"))
            and all(t.is_contiguous() for t in tensors)
        )
        if quick:
            result: Any = tuple(_blank(t) for t in made.outputs)
            if made.args.get("batch_first") and result[0].ndim == 3:
                result = (_blank_batch_second(made.outputs[0]), *result[1:])
            record = self.add(kind.name, made.args, made.outputs)
            for index, tensor in enumerate(result):
                self.aliases.fresh(tensor, Edge(record.number, index))  # type: ignore[arg-type]
            return _nested(kind, result)
        actual = self._execute(func, args, kwargs)
        results = _results(actual)
        if kind.family == "cast" and not inplace and len(results) == 1 and any(results[0] is t for t in tensors):
            return actual
        if kind.name == "contiguous" and results and results[0] is args[0]:
            return actual
        if not inplace and out is None:
            types = tuple(type_of_tensor(t) for t in results)
            if not _agree(types, made.outputs) and not _autocast():
                return self._opaque_result(func, args, kwargs, actual, results, f"rule gave {made.outputs}, torch {types}")
            record = self.add(kind.name, made.args, types if _autocast() else made.outputs)
            for index, tensor in enumerate(results):
                edge = Edge(record.number, index)  # type: ignore[arg-type]
                if kind.view and self.aliases.is_view(tensor, args):
                    self.aliases.view(tensor, edge, record, index, args)
                elif any(tensor is t for t in tensors):
                    tensor = tensor.view_as(tensor)
                    self.aliases.fresh(tensor, edge)
                    actual = tensor if not isinstance(actual, tuple | list) else actual
                else:
                    self.aliases.fresh(tensor, edge)
            return actual
        if kind.family == "draw":
            self._skip_blank(made.args)
        record = self.add(kind.name, made.args, made.outputs)
        targets = _flat(out) if out is not None else [args[0] if args else next(iter(kwargs.values()))]
        for index, target in enumerate(targets):
            self.aliases.write(target, Edge(record.number, index))  # type: ignore[arg-type]
        return actual

    def _skip_blank(self, args: dict[str, Any]) -> None:
        """A random fill needs the layout of its operand alone: of ``empty_like(x)`` it may as well take x's."""
        source = args.get("x")
        if type(source) is Edge:
            record = self.records[source.node]  # type: ignore[call-overload]
            if record.op == "empty_like" and self.type_of(record.args["x"]) == record.types[0]:
                args["x"] = record.args["x"]

    def _execute(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Run the call itself on the tensors of the trace."""
        if self.meta:
            args, kwargs = self._on_meta(func, args, kwargs)
        try:
            return func(*args, **kwargs)
        except NotImplementedError as error:
            if self.meta:
                raise NeedsRealTensors(str(error)) from error
            raise
        except RuntimeError as error:
            if self.meta and "meta" in str(error).lower():
                raise NeedsRealTensors(str(error)) from error
            raise

    def _on_meta(self, func: Any, args: Any, kwargs: Any) -> Any:
        kwargs = dict(kwargs)
        if "device" in kwargs or getattr(func, "__name__", "") in _FACTORIES:
            if "device" in kwargs or not getattr(func, "__name__", "").startswith("new_"):
                kwargs["device"] = "meta"
        if func in _CASTS and "device" in kwargs:
            kwargs["device"] = "meta"
        meta = torch.device("meta")
        args = tuple(meta if isinstance(a, torch.device) else a for a in args)
        if func is torch.Tensor.to and len(args) > 1 and isinstance(args[1], str):
            args = (args[0], meta, *args[2:])
        kwargs.pop("generator", None)
        kwargs.pop("pin_memory", None)
        return args, kwargs

    def _index(self, index: Any) -> Any:
        """An index whose lists of numbers are tensors, as torch reads them."""
        if isinstance(index, list | range):
            if any(isinstance(v, torch.Tensor | slice) or v is None or v is Ellipsis for v in index):
                return tuple(index)
            return self.bring_in(torch.tensor(list(index)))
        return tuple(self._index(v) if isinstance(v, list | range) else v for v in index)

    def _literal_call(self, func: Any, args: Any, kwargs: Any) -> Any:
        """``torch.tensor([...])`` and its kin: data written in the model's code, by value."""
        data = args[1] if func is torch.Tensor.new_tensor else args[0] if args else kwargs.get("data", kwargs.get("obj"))
        if isinstance(data, torch.Tensor):
            return NotImplemented
        if any(isinstance(v, torch.Tensor) for v in _flat(data)):
            return NotImplemented
        numbers = [v for v in _flat(data) if isinstance(v, int) and not isinstance(v, bool)]
        if any(self.is_free(v) for v in numbers):
            return NotImplemented
        kwargs = {k: v for k, v in kwargs.items() if k not in ("device", "requires_grad", "pin_memory")}
        if func is torch.Tensor.new_tensor:
            kwargs.setdefault("dtype", args[0].dtype)
            real = torch.tensor(data, **kwargs)
        else:
            real = func(*args, **kwargs)
        return self.bring_in(real)

    # -- calls without an operator -------------------------------------------------------------------------------------
    def _other(self, known: Resolved, func: Any, args: Any, kwargs: Any) -> Any:
        name = getattr(func, "__name__", "")
        if name in ("_set_grad_enabled", "set_grad_enabled", "__set__", "__delete__") or known.path.endswith("_set_grad_enabled"):
            return func(*args, **kwargs)
        if name in ("requires_grad_", "retain_grad", "record_stream", "share_memory_"):
            return args[0] if name == "requires_grad_" else None
        if name == "register_hook":
            return hooked(self, *args)
        if name == "copy_":
            source = self._edge_ref(self._ir(args[1]))
            self._execute(func, args, {})
            self.aliases.write(args[0], source)
            return args[0]
        if name in ("cpu", "cuda") and known.path.startswith("Tensor."):
            return args[0]
        if known.kind == "python" and not known.path.startswith("torch.nn.init"):
            from types import FunctionType

            if isinstance(func, FunctionType) and func not in self.entering:
                self.entering.append(func)
                known_records = len(self.records)
                try:
                    with self:
                        return entered(func)(*args, **kwargs)
                except DataDependence:
                    if not known.path.startswith("torch.nn.functional"):
                        raise
                    del self.records[known_records:]  # a check of its own looks at data: the call stays whole
                finally:
                    self.entering.pop()
        if name.endswith("_") and not name.endswith("__") and args and isinstance(args[0], torch.Tensor):
            return inplace(self, func, args, kwargs)
        actual = self._execute(func, args, kwargs)
        results = [t for t in _flat(actual) if isinstance(t, torch.Tensor)]
        if not results:
            return actual
        return self._opaque_result(func, args, kwargs, actual, results, known.path)

    def _opaque_result(self, func: Any, args: Any, kwargs: Any, actual: Any, results: Any, path: str) -> Any:
        return opaque(self, func, args, kwargs, actual, results)

    # -- arguments ---------------------------------------------------------------------------------------------------
    def _ir(self, value: Any) -> Any:
        """A torch-side argument as plain data, with a `Handle` for every tensor."""
        kind = type(value)
        if kind in (int, float, bool, str, complex) or value is None or value is Ellipsis:
            return value
        if isinstance(value, torch.Tensor):
            handle = self.aliases.handle(value)
            return handle if handle is not None else self._unknown_tensor(value)
        if kind is slice:
            return Slice(self._ir(value.start), self._ir(value.stop), self._ir(value.step))
        if isinstance(value, tuple | list):
            return tuple(self._ir(v) for v in value)
        if kind is torch.dtype:
            return DType(dtype_name(value))
        if kind is torch.memory_format:
            return str(value).removeprefix("torch.")
        if kind is torch.device or kind is torch.layout:
            return None
        if isinstance(value, CumulativeFactor):
            return value
        if isinstance(value, float | int):
            return value if isinstance(value, BufferNumber) else kind.__mro__[-2](value)
        if hasattr(value, "item") and hasattr(value, "dtype"):
            return value.item() if value.ndim == 0 else Foreign(value)
        return Foreign(value)

    def _unknown_tensor(self, value: Any) -> Any:
        """A tensor that no recorded call made: one the model keeps outside its parameters and buffers."""
        original = self.cloner.origin.get(id(value))
        if original is not None:
            self.aliases.fresh(value, self.literal(original))
            return self.aliases.handle(value)
        copied = self.cloner.memo.get(id(value))
        if copied is None and value.device.type == "meta" and self.meta:
            raise TraceError(
                f"a tensor {tuple(value.shape)} comes from a call that tracing does not see ({where_in_model()}), such as compiled "
                "or scripted code; replace that call by plain torch functions"
            )
        if copied is None and not self.meta:
            self.aliases.fresh(value, self.literal(value))
            return self.aliases.handle(value)
        self.stand_ins[id(value)] = self.bring_in(value.detach()) if copied is None else copied
        self.aliases.keep.append(value)
        raise _Retry

    def _handle_type(self, ref: Any) -> TensorType | None:
        if type(ref) is Handle:
            return type_of_tensor(ref.tensor)
        if type(ref) is Edge or type(ref) is Weight:
            return self.type_of(ref)
        return None

    def _edge_ref(self, value: Any) -> Any:
        kind = type(value)
        if kind is Handle:
            return self.aliases.read(value)
        if kind is tuple:
            return tuple(self._edge_ref(v) for v in value)
        if kind is Slice:
            return Slice(*(self._edge_ref(v) for v in value))
        if kind is Foreign:
            raise ShapeError(f"an argument of type {type(value.value).__name__}")
        if kind is CumulativeFactor:
            return None
        return value

    def _weight_ref(self, value: Any) -> Any:
        """A weight of the call's own where the tensor comes straight from the module, else an edge."""
        if type(value) is tuple:
            return tuple(self._weight_ref(v) for v in value)
        if type(value) is Handle and value.key and not self.aliases.is_written(value):
            return Weight(self._key_here(value.key))
        return self._edge_ref(value)

    def _key_here(self, key: str) -> str:
        """Of all names of a tied tensor, the one under the module that is running."""
        names = self.owners.get(key)
        if names is None:
            return key
        here = self.place()[1]
        for name in names:
            if name.rpartition(".")[0] == here:
                return name
        return key

    # -- batch norm's count of batches --------------------------------------------------------------------------------
    def _counted(self, edge: Edge) -> str | None:
        """The key of a buffer of which the value is the count after this step's increment, or the buffer itself."""
        record = self.records[edge.node]  # type: ignore[call-overload]
        if record.op == "add" and type(record.args["x"]) is Edge:
            record = self.records[record.args["x"].node]
        if record.op == "parameter" and record.args["value"].key.endswith("num_batches_tracked"):
            return str(record.args["value"].key)
        return None

    def _count_batches(self, args: dict[str, Any]) -> None:
        """Give batch norm its counter: the increment beside it becomes part of the call."""
        mean = args.get("running_mean")
        here = self.place()[1]
        key = f"{here}.num_batches_tracked" if here else "num_batches_tracked"
        if type(mean) is not Weight or mean.key.rpartition(".")[0] != here or key not in self.entries:
            return
        root = self.aliases.root_of_key(key)
        if root is not None and root.version:
            record = self.records[root.edge.node]
            if record.op != "add" or record.scope != here:
                return
            self.aliases.forget_write(key)
        elif args.get("training") is True:
            return
        args["num_batches_tracked"] = Weight(key)


class Foreign:
    """An argument that no graph can hold."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class _Retry(Exception):
    """A tensor from outside has just got its stand-in: make the call again with it."""


def _autocast() -> str:
    if torch.is_autocast_enabled("cpu"):
        return f"cpu:{dtype_name(torch.get_autocast_dtype('cpu'))}"
    return ""


def _blank(kind: TensorType) -> Any:
    return torch.empty(kind.shape, dtype=getattr(torch, kind.dtype), device="meta")


def _blank_batch_second(kind: TensorType) -> Any:
    """What a recurrent layer gives with the batch first: laid out in memory with time first."""
    batch, steps, features = kind.shape
    return torch.empty((steps, batch, features), dtype=getattr(torch, kind.dtype), device="meta").transpose(0, 1)


def _nested(kind: Operator, results: tuple[Any, ...]) -> Any:
    """The results in the containers that the torch call returns."""
    return results[0] if len(results) == 1 and not kind.unpack else results


def _results(actual: Any) -> list[Any]:
    return [t for t in _flat(actual) if isinstance(t, torch.Tensor)]


def _agree(actual: tuple[TensorType, ...], rule: tuple[TensorType, ...]) -> bool:
    return actual == rule


def _flat(value: Any) -> list[Any]:
    if isinstance(value, tuple | list):
        return [leaf for part in value for leaf in _flat(part)]
    if isinstance(value, dict):
        return [leaf for part in value.values() for leaf in _flat(part)]
    if isinstance(value, slice):
        return [value.start, value.stop, value.step]
    return [value]


def where_in_model() -> str:
    """File, line and source of the innermost frame that belongs to neither torch nor netloom."""
    import linecache

    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if not (name.startswith("netloom.") or name == "torch" or name.startswith("torch.")):
            line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
            return f"{frame.f_code.co_filename}:{frame.f_lineno}: {line}"
        frame = frame.f_back  # type: ignore[assignment]
    return "in torch's own code"
