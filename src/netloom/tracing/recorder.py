"""The recorder: a TorchFunctionMode under which a model's calls become records.

A record is a pure call: in-place calls and writes through views are turned into pure ones by `aliasing`. Sizes are plain
ints here; `freeing` finds the free symbols in them afterwards.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from ..graph.step import ENABLED
from ..graph.tree import edges
from ..ops import DType, Edge, Operator, TensorType, Weight, operator
from .aliasing import Aliases
from .arguments import Arguments
from .calling import Calling
from .calls import Resolved, resolve
from .cloning import Cloner
from .differentiating import Gradients
from .evaluating import Values
from .records import BufferNumber, DataDependence, NeedsRealTensors, Record, Recording, Retry, autocast_now, where_in_model
from .state import State, constant_of, type_of_tensor

#: Calls after which a run on a large prime batch is taken for a loop over it.
MAX_CALLS = 10_000


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
        self.buffers: dict[str, Any] = {}
        self.constant_names: dict[int, str] = {}
        self.trainable: set[str] = set()
        self.differentiated: set[int] = set()
        self.gradients = Gradients(self)
        self.real: dict[int, Any] = {}
        self.owners: dict[str, list[str]] = {}
        self.inputs: dict[str, Edge] = {}
        self.guards: list[str] = []
        self.shaped_by_data = ""
        self.transforming = ""
        self.enabled = False
        self.stand_ins: dict[int, Any] = {}
        self.entering: list[Any] = []
        self.generated: list[Any] = []
        self.arguments = Arguments(self)
        self.calling = Calling(self)

    # -- beginning and end -------------------------------------------------------------------------------------------
    def take_state(self, state: State) -> None:
        """The parameters and buffers of the model's copy, and the paths of its modules."""
        self.state = state
        self.entries, self.owners, self.trainable, self.buffers = state.types, state.owners, state.trainable, state.buffers
        self.paths = {id(module): path for path, module in state.modules.items()}
        handles = self.aliases.handles
        for entry in state.entries:
            if entry.key in state.constants:
                self.constant_names[id(entry.tensor)] = entry.key
            elif id(entry.tensor) not in handles:
                self.aliases.entry(entry.tensor, entry.key)

    def input(self, path: str, tensor: Any, requires_grad: bool) -> None:
        """A tensor that the caller gives."""
        kind = type_of_tensor(tensor)
        record = self.add("input", {"dtype": DType(kind.dtype), "shape": kind.shape}, (kind,), constant=0)
        record.name = path
        self.inputs[path] = Edge(record.number)  # type: ignore[arg-type]
        if requires_grad:
            self.differentiated.add(record.number)
        self.aliases.fresh(tensor, self.inputs[path])

    def finish(self, result: Any) -> Recording:
        """What the run gave: edges of its result, and of every entry of the state that it changed."""
        from .containers import plain_tree

        tree = plain_tree(result, self.result_edge, self.guards)
        written: dict[str, tuple[Edge, bool]] = {}
        for entry in self.state.entries:
            now = entry.owner._buffers.get(entry.key.rpartition(".")[2]) if entry.kind == "buffer" else None
            if now is not None and now is not entry.tensor:
                handle = self.aliases.handle(now)
                if handle is not None:
                    written[entry.key] = (self.aliases.read(handle), True)
        for key, root in self.aliases.roots.items():
            if root.version and key not in written:
                edge = self.aliases.root_edge(root)
                written[key] = (edge if root.plain is None else root.plain, root.grad)
        self._release()
        return Recording(self.records, tree, written, self.guards)

    def _release(self) -> None:
        """Break the circles of references, so that the memory of the run is free at once."""
        self.aliases.handles.clear()
        self.aliases.keep.clear()
        self.values.cache.clear()
        for part in (self.aliases, self.values, self.arguments, self.calling, self.gradients):
            del part.recorder

    def result_edge(self, tensor: Any) -> Edge:
        handle = self.aliases.handle(tensor)
        if handle is None:
            tensor = self.arguments.unknown_tensor(tensor)
            return self.aliases.read(tensor)
        return self.aliases.read(handle)

    # -- adding records ----------------------------------------------------------------------------------------------
    def type_of(self, ref: Any) -> TensorType | None:
        if type(ref) is Edge:
            return self.records[ref.node].types[ref.index]  # type: ignore[call-overload,no-any-return]
        return self.entries.get(ref.key)

    def add(
        self,
        op: str,
        args: dict[str, Any],
        types: tuple[TensorType, ...],
        constant: int | None = None,
        autocast: str | None = None,
    ) -> Record:
        number = len(self.records)
        if self.prime and number > MAX_CALLS:
            raise NeedsRealTensors(f"more than {MAX_CALLS} calls: a Python loop over the batch")
        if autocast is None:
            autocast = autocast_now()
        if autocast and self.meta:
            raise NeedsRealTensors("autocast regions do not act on meta tensors")
        if constant is None:
            constant = self.constancy(operator(op), args, types)
        name, scope = self.place()
        record = Record(number, op, args, types, scope, self.grad_now(), autocast, constant, name)
        self.records.append(record)
        return record

    def grad_now(self) -> bool | str:
        """Whether gradients are on, and whether it was the model that turned them on."""
        return (ENABLED if self.enabled else True) if torch.is_grad_enabled() else False

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

    def assign(self, key: str, value: Edge) -> None:
        """Write a value into a buffer now, where a call that follows reads or changes the buffer itself."""
        kind = self.entries[key]
        self.add("assign", {"target": Weight(key), "value": value, "dtype": DType(kind.dtype), "shape": kind.shape}, (kind,))

    def forget_last(self, value: Edge) -> None:
        """Take back the call that gave a value, and the reading of its operand, where nothing came after them."""
        if value.node != len(self.records) - 1:
            return
        source = next((each for each in self.records.pop().args.values() if type(each) is Edge), None)
        last = self.records[-1] if self.records else None
        if last is not None and source is not None and source.node == last.number and last.op == "parameter":
            del self.parameters[self.records.pop().args["value"].key]
        self.gradients.known.clear()
        self.values.cache.clear()

    def rewind(self, number: int) -> None:
        """Take back all records from a number on: what they were made for is tried again in another way."""
        del self.records[number:]
        self.parameters = {key: edge for key, edge in self.parameters.items() if edge.node < number}  # type: ignore[operator]
        self.gradients.known.clear()
        self.values.cache.clear()

    def private(self, value: Edge) -> Edge:
        """A copy of a value for a call that changes it: a new one, unless it is a copy already that no call has read."""
        later = self.records[value.node :]  # type: ignore[index, misc]
        if later[0].op == "clone" and not any(value in edges(tuple(record.args.values())) for record in later):
            return value
        return self.emit("clone", x=value)

    def constancy(self, kind: Operator, args: dict[str, Any], types: tuple[TensorType, ...]) -> int:
        if kind.effect:
            return 0
        if kind.family == "create":
            return min(self.level(t.shape) for t in types)
        return self.level(tuple(args.values()))

    def level(self, value: Any) -> int:
        kind = type(value)
        if kind is Edge:
            return self.records[value.node].constant if value.node >= 0 else 2
        if kind is Weight:
            return 0
        if kind is int:
            return 1 if self.is_free(value) else 2
        if isinstance(value, tuple):
            return min((self.level(v) for v in value), default=2)
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

    def literal(self, tensor: Any, name: str = "") -> Edge:
        """A tensor from outside the trace, by value; ``name`` is what a network that is traced calls it."""
        kind = type_of_tensor(tensor)
        args = {"value": constant_of(tensor), "dtype": DType(kind.dtype), "shape": kind.shape}
        record = self.add("constant", args, (kind,), constant=2)
        record.name = name or record.name
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
            args, kwargs = self.substituted(args), self.substituted(kwargs)
        if kwargs.get("requires_grad") is True:  # torch.zeros(…, requires_grad=True)
            made = self.__torch_function__(func, types, args, {**kwargs, "requires_grad": False})
            self.gradients.require(made)
            return made
        while True:
            try:
                if known.kind == "call":
                    return self.calling.call(known, func, args, kwargs)
                if known.kind == "shape":
                    return self.data_shape(known, func, args, kwargs)
                return self.calling.other(known, func, args, kwargs)
            except Retry:
                args, kwargs = self.substituted(args), self.substituted(kwargs)

    def _read(self, known: Resolved, func: Any, args: Any, kwargs: Any) -> Any:
        if known.path == "Tensor.requires_grad":
            return self._requires_grad(args[0])
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

    def _requires_grad(self, tensor: Any) -> bool:
        """As with gradients on; noted where a value answers yes that would answer no without."""
        required = self.gradients.required(tensor)
        handle = self.aliases.handle(tensor)
        if required and handle is not None and not handle.is_own:
            note = f"requires_grad is read as it is with gradients on, at {where_in_model()}"
            self.guards += [note] if note not in self.guards else []
        return required

    def _data(self, known: Resolved, func: Any, args: Any, kwargs: Any) -> Any:
        handles = [self.aliases.handle(a) for a in args if isinstance(a, torch.Tensor)]
        edges = [self.aliases.read(h) for h in handles if h is not None]
        name = known.path.rpartition(".")[2]
        if name == "__float__" and edges and type(edges[0]) is Edge:
            key = self.arguments.counted(edges[0])
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

    def data_shape(self, known: Resolved, func: Any, args: Any, kwargs: Any) -> Any:
        handle = self.aliases.handle(args[0]) if args and isinstance(args[0], torch.Tensor) else None
        real = self.values.of(self.aliases.read(handle)) if handle is not None else None
        if real is None:
            raise DataDependence(
                f"the shape of {known.path.rpartition('.')[2]}'s result depends on the numbers in its operand "
                f"({where_in_model()}); use masks of fixed shape instead"
            )
        others = self.real_values(args[1:])
        result = func(real, *others, **self.real_values(kwargs))
        return self.outside(result)

    def real_values(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            handle = self.aliases.handle(value)
            return self.values.of(self.aliases.read(handle)) if handle else value
        if isinstance(value, tuple | list):
            return type(value)(self.real_values(v) for v in value)
        if isinstance(value, dict):
            return {k: self.real_values(v) for k, v in value.items()}
        return value

    def outside(self, result: Any) -> Any:
        """Real tensors computed aside, brought into the trace as constants."""
        if isinstance(result, torch.Tensor):
            return self.bring_in(result)
        if isinstance(result, tuple | list):
            return type(result)(self.outside(r) for r in result)
        return result

    def bring_in(self, real: Any) -> Any:
        """The tensor of the trace that stands for a real tensor: a constant by value."""
        edge = self.literal(real)
        stand_in = real.clone()
        if self.meta:
            stand_in = torch.empty_strided(real.shape, real.stride(), dtype=real.dtype, device="meta")
        self.aliases.fresh(stand_in, edge)
        return stand_in

    def substituted(self, value: Any) -> Any:
        """Tensors that the model holds outside its module tree, replaced by what stands for them in the trace."""
        if isinstance(value, torch.Tensor):
            found = self.stand_ins.get(id(value))
            return value if found is None else found
        if type(value) in (tuple, list):
            return type(value)(self.substituted(v) for v in value)
        if type(value) is dict:
            return {k: self.substituted(v) for k, v in value.items()}
        return value
