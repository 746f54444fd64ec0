"""How a call of the running model becomes a record: bind it, work out its types, run it, and note what it gives."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any

import torch

from ..errors import NetloomError
from ..graph.autocast import type_under
from ..ops import Edge, Operator, TensorType
from ..ops.operator import Evaluated
from .calls import Resolved, bind, entered
from .opaque import hooked, inplace, opaque
from .records import DROPPED, DataDependence, NeedsRealTensors, autocast_now, flat
from .state import type_of_tensor

if TYPE_CHECKING:
    from .recorder import Recorder

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


#: Results of one call above which it is taken for a loop over the batch.
MAX_PARTS = 20_000


class Calling:
    """Makes the calls of one trace."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    def call(self, known: Resolved, func: Any, args: Any, kwargs: Any) -> Any:
        if func in _LITERAL:
            made = self._literal_call(func, args, kwargs)
            if made is not NotImplemented:
                return made
        if func in _INDEXED and isinstance(args[1], list | tuple | range):
            args = (args[0], self._index(args[1]), *args[2:])
        out = kwargs.get("out")
        plain = {k: v for k, v in kwargs.items() if k not in DROPPED and k != "out" and not (k == "inplace")}
        inplace = known.inplace or bool(kwargs.get("inplace", False))
        ir_args, ir_kwargs = self.recorder.arguments.ir(args), {k: self.recorder.arguments.ir(v) for k, v in plain.items()}
        refusal: NetloomError | None = None
        for candidate in known.candidates:
            bound = bind(candidate, ir_args, ir_kwargs)
            if bound is None:
                continue
            inplace = bool(bound.pop("inplace", False)) or inplace
            kind = candidate.operator
            try:
                made = self._made(kind, bound)
            except NetloomError as error:
                refusal = error
                continue
            if made is None:
                continue
            return self._run(kind, made, func, args, kwargs, inplace, out)
        if func is torch.where and len(args) == 1:
            return self.recorder.data_shape(known, func, args, kwargs)
        if refusal is not None and self.recorder.meta:
            raise NeedsRealTensors(f"{known.path}: {refusal}")  # meta kernels let pass what real ones may refuse, too
        return self.other(known, func, args, kwargs)

    def _made(self, kind: Operator, bound: dict[str, Any]) -> Evaluated | None:
        args: dict[str, Any] = {}
        own = kind.from_call(bound, self.recorder.arguments.handle_type)
        if own is None:
            return None
        for name, value in own.items():
            param = kind.by_name.get(name)
            if param is None:
                return None
            if param.kind == "weight" or (param.kind == "tensors" and kind.family == "recurrent"):
                args[name] = self.recorder.arguments.weight_ref(value)
            else:
                args[name] = self.recorder.arguments.edge_ref(value)
            if param.kind == "tensor" and value is not None and type(args[name]) is not Edge:
                return None
            if param.kind == "operand" and not isinstance(args[name], Edge | int | float | complex | bool | type(None)):
                return None
        if kind.name == "batch_norm":
            self.recorder.arguments.count_batches(args)
        return kind.evaluate(args, type_under(autocast_now(), kind.name, self.recorder.type_of))

    def _run(self, kind: Operator, made: Evaluated, func: Any, args: Any, kwargs: Any, inplace: bool, out: Any) -> Any:
        tensors = [a for a in flat(args) + flat(kwargs) if isinstance(a, torch.Tensor)]
        quick = (
            self.recorder.meta
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
            record = self.recorder.add(kind.name, made.args, made.outputs)
            for index, tensor in enumerate(result):
                self.recorder.aliases.fresh(tensor, Edge(record.number, index))  # type: ignore[arg-type]
            return _nested(kind, result)
        if self.recorder.prime and len(made.outputs) > MAX_PARTS:
            raise NeedsRealTensors(f"{kind.name} into {len(made.outputs)} parts: a Python loop over the batch")
        actual = self.execute(func, args, kwargs)
        results = _results(actual)
        if kind.family == "cast" and not inplace and len(results) == 1 and any(results[0] is t for t in tensors):
            return actual
        if not inplace and out is None:
            types = tuple(type_of_tensor(t) for t in results)
            if not _agree(types, made.outputs) and not autocast_now():
                return self._opaque_result(func, args, kwargs, actual, results)
            record = self.recorder.add(kind.name, made.args, types if autocast_now() else made.outputs)
            for index, tensor in enumerate(results):
                edge = Edge(record.number, index)  # type: ignore[arg-type]
                if kind.view and self.recorder.aliases.is_view(tensor, args):
                    self.recorder.aliases.view(tensor, edge, record, index, args)
                elif any(tensor is t for t in tensors):
                    tensor = tensor.view_as(tensor)
                    if kind.name == "contiguous":  # kept: meta kernels do not always lay results out as real ones do
                        self.recorder.aliases.view(tensor, edge, record, index, args)
                        return tensor
                    self.recorder.aliases.fresh(tensor, edge)
                    actual = tensor if not isinstance(actual, tuple | list) else actual
                else:
                    self.recorder.aliases.fresh(tensor, edge)
            return actual
        if kind.family == "draw":
            self._skip_blank(made.args)
        record = self.recorder.add(kind.name, made.args, made.outputs)
        targets = flat(out) if out is not None else [args[0] if args else next(iter(kwargs.values()))]
        for index, target in enumerate(targets):
            self.recorder.aliases.write(target, Edge(record.number, index))  # type: ignore[arg-type]
        return actual

    def _skip_blank(self, args: dict[str, Any]) -> None:
        """A random fill needs the layout of its operand alone: of ``empty_like(x)`` it may as well take x's."""
        source = args.get("x")
        if type(source) is Edge:
            record = self.recorder.records[source.node]  # type: ignore[call-overload]
            if record.op == "empty_like" and self.recorder.type_of(record.args["x"]) == record.types[0]:
                args["x"] = record.args["x"]

    def execute(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Run the call itself on the tensors of the trace."""
        if self.recorder.meta:
            args, kwargs = self._on_meta(func, args, kwargs)
        try:
            return func(*args, **kwargs)
        except NotImplementedError as error:
            if self.recorder.meta:
                raise NeedsRealTensors(str(error)) from error
            raise
        except RuntimeError as error:
            if self.recorder.meta and "meta" in str(error).lower():
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
            return self.recorder.bring_in(torch.tensor(list(index)))
        return tuple(self._index(v) if isinstance(v, list | range) else v for v in index)

    def _literal_call(self, func: Any, args: Any, kwargs: Any) -> Any:
        """``torch.tensor([...])`` and its kin: data written in the model's code, by value."""
        data = args[1] if func is torch.Tensor.new_tensor else args[0] if args else kwargs.get("data", kwargs.get("obj"))
        if isinstance(data, torch.Tensor):
            return NotImplemented
        if any(isinstance(v, torch.Tensor) for v in flat(data)):
            return NotImplemented
        numbers = [v for v in flat(data) if isinstance(v, int) and not isinstance(v, bool)]
        if any(self.recorder.is_free(v) for v in numbers):
            return NotImplemented
        kwargs = {k: v for k, v in kwargs.items() if k not in ("device", "requires_grad", "pin_memory")}
        if func is torch.Tensor.new_tensor:
            kwargs.setdefault("dtype", args[0].dtype)
            real = torch.tensor(data, **kwargs)
        else:
            real = func(*args, **kwargs)
        return self.recorder.bring_in(real)

    # -- calls without an operator -------------------------------------------------------------------------------------
    def other(self, known: Resolved, func: Any, args: Any, kwargs: Any) -> Any:
        name = getattr(func, "__name__", "")
        if name == "__set__" and getattr(func.__self__, "__name__", "") == "data":
            value = self.recorder.arguments.edge_ref(self.recorder.arguments.ir(args[1]))
            func(*args)
            self.recorder.aliases.write(args[0], value)
            return None
        if name in ("_set_grad_enabled", "set_grad_enabled", "__set__", "__delete__"):
            return func(*args, **kwargs)
        if name in ("requires_grad_", "retain_grad", "record_stream", "share_memory_"):
            return args[0] if name == "requires_grad_" else None
        if name == "register_hook":
            return hooked(self.recorder, *args)
        if name == "copy_":
            source = self.recorder.arguments.edge_ref(self.recorder.arguments.ir(args[1]))
            self.execute(func, args, {})
            self.recorder.aliases.write(args[0], source)
            return args[0]
        if name in ("cpu", "cuda") and known.path.startswith("Tensor."):
            return args[0]
        if known.kind == "python" and not known.path.startswith("torch.nn.init"):
            if isinstance(func, FunctionType) and func not in self.recorder.entering:
                self.recorder.entering.append(func)
                known_records = len(self.recorder.records)
                try:
                    with self.recorder:
                        return entered(func)(*args, **kwargs)
                except DataDependence:
                    if not known.path.startswith("torch.nn.functional"):
                        raise
                    del self.recorder.records[known_records:]  # a check of its own looks at data: the call stays whole
                finally:
                    self.recorder.entering.pop()
        if name.endswith("_") and not name.endswith("__") and args and isinstance(args[0], torch.Tensor):
            return inplace(self.recorder, func, args, kwargs)
        actual = self.execute(func, args, kwargs)
        results = [t for t in flat(actual) if isinstance(t, torch.Tensor)]
        if not results:
            return actual
        return self._opaque_result(func, args, kwargs, actual, results)

    def _opaque_result(self, func: Any, args: Any, kwargs: Any, actual: Any, results: Any) -> Any:
        return opaque(self.recorder, func, args, kwargs, actual, results)


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
    return [t for t in flat(actual) if isinstance(t, torch.Tensor)]


def _agree(actual: tuple[TensorType, ...], rule: tuple[TensorType, ...]) -> bool:
    return actual == rule
