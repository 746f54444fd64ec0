"""How a call of the running model becomes a record: bind it, work out its types, run it, and note what it gives."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any

import torch

from ..errors import NetloomError, TraceError
from ..graph.autocast import type_under
from ..ops import DType, Edge, Operator, TensorType
from ..ops.functions import gradient
from ..ops.operator import Evaluated
from .aliasing import Handle
from .calls import Resolved, bind, entered
from .differentiating import differentiated
from .opaque import hooked, inplace, opaque
from .plans import COUNT, Layout, Place, Plan, known_plans, placed_type
from .records import DROPPED, DataDependence, NeedsRealTensors, Record, autocast_now, flat, where_in_model
from .state import dtype_name, type_of_tensor

if TYPE_CHECKING:
    from .recorder import Recorder

#: Families whose results are fresh contiguous tensors when all operands are: their shape rules stand in for meta kernels.
_QUICK = set(
    "conv linear norm activation arithmetic dropout pool matmul elementary logic masking create draw reduce extremes "
    "statistics join padding resample diagonal recurrent attention".split()
)
_ELEMENTWISE = frozenset({"activation", "arithmetic", "elementary", "logic"})
_FACTORIES = set(
    "zeros ones full empty arange range linspace logspace eye rand randn randint randperm tensor as_tensor scalar_tensor "
    "tril_indices triu_indices empty_strided zeros_like ones_like full_like empty_like rand_like randn_like randint_like "
    "new_zeros new_ones new_full new_empty new_tensor normal hann_window hamming_window bartlett_window blackman_window "
    "kaiser_window asarray fftfreq rfftfreq complex polar sparse_coo_tensor".split()
)
_LITERAL = {torch.tensor, torch.as_tensor, torch.asarray, torch.Tensor.new_tensor}
_CASTS = {torch.Tensor.to, torch.Tensor.cpu, torch.Tensor.cuda}
_BATCH_NORMS = {torch.nn.functional.batch_norm, torch.batch_norm}
_INDEXED = {torch.Tensor.__getitem__, torch.Tensor.__setitem__}


#: Results of one call above which it is taken for a loop over the batch.
MAX_PARTS = 20_000


class Calling:
    """Makes the calls of one trace."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder, self.arguments = recorder, recorder.arguments
        self.plans = known_plans(recorder.prime, recorder.meta)

    def call(self, known: Resolved, func: Any, args: Any, kwargs: Any) -> Any:
        if func in _LITERAL:
            made = self._literal_call(func, args, kwargs)
            if made is not NotImplemented:
                return made
        if func in _BATCH_NORMS:
            self.arguments.settle_statistics(args, kwargs)
        if func in _INDEXED and isinstance(args[1], list | tuple | range):
            args = (args[0], self._index(args[1]), *args[2:])
        keyed, key, fits = self.arguments.keyed, [func], "out" not in kwargs
        handles: list[Handle] = []
        for value in args:
            fits = keyed(value, key, handles) and fits
        for name, value in kwargs.items():
            if name not in DROPPED and name != "out":
                key.append(name)
                fits = keyed(value, key, handles) and fits
        autocast = autocast_now()
        known_key = tuple(key) if fits and not autocast else None
        plan = None if known_key is None else self.plans.get(known_key)
        if plan is None:
            plan, handles = self._planned(known, args, kwargs, autocast)
            if plan is None:
                if func is torch.where and len(args) == 1:
                    return self.recorder.data_shape(known, func, args, kwargs)
                return self.other(known, func, args, kwargs)
            if known_key is not None:
                self.plans[known_key] = plan
        return self._made(plan, func, args, kwargs, handles, autocast)

    # -- the first call of its kind ------------------------------------------------------------------------------------
    def _planned(self, known: Resolved, args: Any, kwargs: Any, autocast: str) -> tuple[Plan | None, list[Handle]]:
        """The plan of the first operator that takes these arguments, None where none does; and the tensors among them."""
        places: list[Place] = []
        args = tuple([self.arguments.ir(value, places) for value in args])
        kwargs = {
            name: self.arguments.ir(value, places) for name, value in kwargs.items() if name not in DROPPED and name != "out"
        }
        handles = [place.handle for place in places]
        inplace = known.inplace or bool(kwargs.pop("inplace", False))
        refusal: NetloomError | None = None
        for candidate in known.candidates:
            bound = bind(candidate, args, kwargs)
            if bound is None:
                continue
            inplace = bool(bound.pop("inplace", False)) or inplace
            kind = candidate.operator
            try:
                made = self._evaluated(kind, bound, handles, autocast)
            except NetloomError as error:
                refusal = error
                continue
            if made is not None:
                plan = Plan(kind, made, inplace, self.recorder.constancy(kind, made.args, made.outputs))
                plan.layout = self._ruled_layout(plan, handles)
                return plan, handles
        if refusal is not None and self.recorder.meta and not (known.path == "torch.where" and len(args) == 1):
            raise NeedsRealTensors(f"{known.path}: {refusal}")  # meta kernels let pass what real ones may refuse, too
        return None, handles

    def _evaluated(self, kind: Operator, bound: dict[str, Any], handles: list[Handle], autocast: str) -> Evaluated | None:
        arguments = self.arguments
        args: dict[str, Any] = {}
        own = kind.from_call(bound, arguments.type_of)
        if own is None:
            return None
        for name, value in own.items():
            param = kind.by_name.get(name)
            if param is None:
                return None
            if param.kind == "weight" or (param.kind == "tensors" and kind.family == "recurrent"):
                args[name] = arguments.weight_place(value)
            else:
                args[name] = arguments.edge_place(value)
            if param.kind == "tensor" and value is not None and type(args[name]) is not Edge:
                return None
            if param.kind == "operand" and not isinstance(args[name], Edge | int | float | complex | bool | type(None)):
                return None
        counts = kind.name == "batch_norm" and args.get("momentum") is None and arguments.counter(own) is not None
        if counts:
            args["num_batches_tracked"] = COUNT
        made = kind.evaluate(args, type_under(autocast, kind.name, placed_type(handles)))
        if counts:
            made.args["num_batches_tracked"] = None  # which one differs from call to call
        default = dtype_name(torch.get_default_dtype())
        if default != "float32" and not handles and "dtype" in kind.by_name and args.get("dtype") is None:
            if made.outputs[0].dtype in ("float32", "complex64"):  # what rules take for the default
                wide = default if made.outputs[0].dtype == "float32" else "complex128"
                made = kind.evaluate({**args, "dtype": DType(wide)}, placed_type(handles))
        return made

    def _ruled_layout(self, plan: Plan, handles: list[Handle]) -> Layout | None:
        """The layout of fresh results where rules tell it without a meta kernel: contiguous, or laid out as the operands."""
        kind = plan.kind
        if not self.recorder.meta or plan.inplace or kind.view or kind.family not in _QUICK or kind.name == "meshgrid":
            return None
        if len(plan.types) > 1 and kind.family not in ("recurrent", "pool"):
            return None
        # Results of these are laid out the same whatever the operands'; and a kernel that loops over a prime never ends.
        always = kind.family == "recurrent" or kind.name == "scaled_dot_product_attention"
        if torch.get_default_dtype() != torch.float32 and not always:
            return None  # rules assume the usual default; the kernel knows better
        made: Any = [_blank(t) for t in plan.types]
        if not always and not all(handle.tensor.is_contiguous() for handle in handles):
            strides = _shared_strides(plan, handles) if kind.family in _ELEMENTWISE else None
            if strides is None:
                return None
            made[0] = torch.empty_strided(made[0].shape, strides, dtype=made[0].dtype, device="meta")
        if plan.args.get("batch_first") and made[0].ndim == 3:
            made[0] = _blank_batch_second(plan.types[0])
        return Layout.of(made[0] if len(made) == 1 and not kind.unpack else tuple(made), made)

    # -- every call ----------------------------------------------------------------------------------------------------
    def _made(self, plan: Plan, func: Any, args: Any, kwargs: Any, handles: list[Handle], autocast: str) -> Any:
        """Record one call with this plan and give its results."""
        recorder, kind, layout = self.recorder, plan.kind, plan.layout
        out = kwargs.get("out")
        filled = plan.filled(handles, self.arguments.reference)
        if kind.name == "batch_norm":
            self.arguments.count_batches(filled)
        if layout is not None and out is None:
            return layout.make(recorder.aliases, self._record(plan, filled, autocast).number)
        if recorder.prime and len(plan.types) > MAX_PARTS:
            raise NeedsRealTensors(f"{kind.name} into {len(plan.types)} parts: a Python loop over the batch")
        if plan.inplace and self._keeps_look(plan, handles, out):
            actual = handles[0].tensor
            torch.autograd.graph.increment_version(actual)
        else:
            actual = self.execute(func, args, kwargs)
        if plan.viewed:
            number = self._record(plan, filled, autocast).number
            for index, tensor in enumerate((actual,) if isinstance(actual, torch.Tensor) else actual):
                recorder.aliases.view_of(handles[0], tensor, number, index)
            return actual
        if not plan.inplace and out is None:
            return self._results(plan, filled, func, args, kwargs, handles, autocast, actual)
        if kind.family == "draw":
            self._skip_blank(filled)
        record = self._record(plan, filled, autocast)
        targets = flat(out) if out is not None else [args[0] if args else next(iter(kwargs.values()))]
        for index, target in enumerate(targets):
            recorder.aliases.write(target, Edge(record.number, index))  # type: ignore[arg-type]
        return actual

    def _keeps_look(self, plan: Plan, handles: list[Handle], out: Any) -> bool:
        """Whether an in-place call changes the numbers of its only tensor alone: on meta there is nothing to do then."""
        if not self.recorder.meta or out is not None or len(handles) != 1 or plan.kind.family not in _ELEMENTWISE:
            return False
        return plan.types[0] == handles[0].look().type

    def _record(self, plan: Plan, args: dict[str, Any], autocast: str, types: Any = None) -> Record:
        recorder = self.recorder
        constant = plan.constant
        if constant:
            if plan.nested:
                constant = recorder.constancy(plan.kind, args, plan.types)
            else:
                for name, _ in plan.direct:
                    ref = args[name]
                    constant = min(constant, recorder.level(ref))
        record = recorder.add(plan.kind.name, args, types or plan.types, constant, autocast)
        record.plan = plan
        return record

    def _results(
        self, plan: Plan, filled: dict[str, Any], func: Any, args: Any, kwargs: Any, handles: list[Handle], autocast: str,
        actual: Any,
    ) -> Any:  # fmt: skip
        """Record a call that was made: what it gave is new, a view of an argument, or an argument itself."""
        recorder, kind = self.recorder, plan.kind
        aliases = recorder.aliases
        results = [t for t in flat(actual) if isinstance(t, torch.Tensor)]
        given = [handle.tensor for handle in handles]
        if kind.family == "cast" and len(results) == 1 and any(results[0] is t for t in given):
            return actual
        types = tuple([type_of_tensor(t) for t in results])
        if types != plan.types and not autocast:
            return self._opaque_result(func, args, kwargs, actual, results)
        record = self._record(plan, filled, autocast, types if autocast else None)
        fresh, views = 0, 0
        for index, tensor in enumerate(results):
            edge = Edge(record.number, index)  # type: ignore[arg-type]
            if kind.view and given and aliases.is_view(tensor, given[0]):
                aliases.view_of(handles[0], tensor, record.number, index)
                views += 1
            elif any(tensor is t for t in given):
                tensor = tensor.view_as(tensor)
                if kind.name == "contiguous":  # kept: meta kernels do not always lay results out as real ones do
                    aliases.view_of(handles[0], tensor, record.number, index)
                    return tensor
                aliases.fresh(tensor, edge)
                actual = tensor if not isinstance(actual, tuple | list) else actual
            else:
                aliases.fresh(tensor, edge)
                fresh += not any(aliases.is_view(tensor, other) for other in given)
        if recorder.meta and fresh == len(results):
            plan.layout = Layout.of(actual, results)
        plan.viewed = views == len(results) and (isinstance(actual, torch.Tensor) or len(actual) == views)
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
        if not kwargs and getattr(func, "__name__", "") not in _FACTORIES and func not in _CASTS:
            return args, kwargs
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
            self.recorder.aliases.write(args[0], value, unseen=True)
            return None
        if name == "requires_grad_" or (name == "__set__" and getattr(func.__self__, "__name__", "") == "requires_grad"):
            if kwargs.get("requires_grad", args[1] if len(args) > 1 else True):
                self.recorder.gradients.require(args[0])
            return args[0]
        if name in ("_set_grad_enabled", "set_grad_enabled", "__set__", "__delete__"):
            return func(*args, **kwargs)
        if name in ("retain_grad", "record_stream", "share_memory_"):
            return None
        if func is torch.autograd.grad or func is gradient:
            return differentiated(self.recorder, func is gradient, *args, **kwargs)
        if func in (torch.Tensor.backward, torch.autograd.backward):
            raise TraceError(
                f"backward() in forward ({where_in_model()}) writes to .grad, which no graph holds; ask for the gradient "
                "by torch.autograd.grad, or take the step outside of forward"
            )
        if name == "register_hook":
            return hooked(self.recorder, *args)
        if name == "copy_":
            source = self.recorder.arguments.edge_ref(self.recorder.arguments.ir(args[1]))
            held = self.recorder.aliases.handle(args[1])
            if held is not None and held.is_own:  # what it holds now, not what it will hold when the pass has ended
                source = self.recorder.emit("clone", x=source)
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
        written = known.inplace or name == "__setitem__" or (name.endswith("_") and not name.endswith("__"))
        if written and args and isinstance(args[0], torch.Tensor):
            return inplace(self.recorder, func, args, kwargs)
        if func is torch.Tensor.__getitem__ and any(self._is_mask_of_data(index) for index in flat(args[1:])):
            self.recorder.shaped_by_data = where_in_model()
        versions = [(t, t._version) for t in (*flat(args), *flat(kwargs)) if isinstance(t, torch.Tensor)]
        actual = self.execute(func, args, kwargs)
        if any(tensor._version != version for tensor, version in versions):
            raise TraceError(f"{known.path} changes an argument in a way that tracing cannot follow ({where_in_model()})")
        results = [t for t in flat(actual) if isinstance(t, torch.Tensor)]
        if not results:
            return actual
        return self._opaque_result(func, args, kwargs, actual, results)

    def _is_mask_of_data(self, index: Any) -> bool:
        recorder = self.recorder
        if not isinstance(index, torch.Tensor) or index.dtype is not torch.bool:
            return False
        return not recorder.values.over_sizes(recorder.result_edge(index))

    def _opaque_result(self, func: Any, args: Any, kwargs: Any, actual: Any, results: Any) -> Any:
        return opaque(self.recorder, func, args, kwargs, actual, results)


def _blank(kind: TensorType) -> Any:
    return torch.empty(kind.shape, dtype=getattr(torch, kind.dtype), device="meta")


def _blank_batch_second(kind: TensorType) -> Any:
    """What a recurrent layer gives with the batch first: laid out in memory with time first."""
    batch, steps, features = kind.shape
    return torch.empty((steps, batch, features), dtype=getattr(torch, kind.dtype), device="meta").transpose(0, 1)


def _shared_strides(plan: Plan, handles: list[Handle]) -> tuple[int, ...] | None:
    """The strides of all operands, where they and the result have one shape and those strides leave no gaps."""
    shape = plan.types[0].shape
    looks = [handle.look() for handle in handles]
    strides = looks[0].strides
    if any(look.strides != strides or look.type.shape != shape for look in looks):
        return None
    expected = 1
    for stride, size in sorted(zip(strides, shape)):
        if stride != expected or size < 2:
            return None
        expected *= size
    return strides
