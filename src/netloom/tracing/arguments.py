"""Arguments of torch calls as arguments of records: edges for tensors, weights for what comes straight from the module."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from ..errors import ShapeError, TraceError
from ..ops import DType, Edge, Slice, Weight
from .plans import Place
from .records import BufferNumber, CumulativeFactor, Foreign, Retry, where_in_model
from .state import dtype_name

if TYPE_CHECKING:
    from .aliasing import Handle
    from .recorder import Recorder


_PLAIN = frozenset((int, float, bool, str, complex))
_WEIGHT = Weight("")
_TORCH_DATA = frozenset((torch.dtype, torch.memory_format, torch.device, torch.layout))


class Arguments:
    """Reads the arguments of the calls of one trace."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.handles = recorder.aliases.handles

    def keyed(self, value: Any, key: list[Any], handles: list[Handle]) -> bool:
        """Note what a record can depend on in the key of a call, and its tensors; False for values that fit no key."""
        kind = type(value)
        if kind in _PLAIN:
            key.append(kind)
            # 0.0 and -0.0 compare equal, and so do complex numbers made of them.
            key.append(str(value) if kind is complex or (kind is float and value == 0.0) else value)
            return True
        handle = self.handles.get(id(value))
        if handle is None:
            if value is None or value is Ellipsis or kind in _TORCH_DATA:
                key.append(value)
                return True
            if kind is slice or isinstance(value, tuple | list):
                parts = (value.start, value.stop, value.step) if kind is slice else value
                key.append(kind)
                key.append(len(parts))
                return all(self.keyed(part, key, handles) for part in parts)
            if not isinstance(value, torch.Tensor):
                return False
            handle = self.unknown_tensor(value)
        handles.append(handle)
        key.append(handle.known or handle.look())
        if handle.key and handle.is_own:
            key.append(Weight)
        return True

    def ir(self, value: Any, places: list[Place] | None = None) -> Any:
        """A torch-side argument as plain data, with a `Place` for every tensor, which is noted in ``places``."""
        kind = type(value)
        if kind in _PLAIN or value is None or value is Ellipsis:
            return value
        places = [] if places is None else places
        if isinstance(value, torch.Tensor):
            places.append(Place(self.handles.get(id(value)) or self.unknown_tensor(value), len(places)))
            return places[-1]
        if kind is slice:
            return Slice(*[self.ir(part, places) for part in (value.start, value.stop, value.step)])
        if isinstance(value, tuple | list):
            return tuple([self.ir(part, places) for part in value])
        if kind in _TORCH_DATA:
            if kind is torch.dtype:
                return DType(dtype_name(value))
            return str(value).removeprefix("torch.") if kind is torch.memory_format else None
        return self._unusual(value, kind)

    def _unusual(self, value: Any, kind: type) -> Any:
        if isinstance(value, CumulativeFactor):
            return value
        if isinstance(value, float | int):
            return value if isinstance(value, BufferNumber) else kind.__mro__[-2](value)
        if hasattr(value, "item") and hasattr(value, "dtype"):
            return value.item() if value.ndim == 0 else Foreign(value)
        return Foreign(value)

    def unknown_tensor(self, value: Any) -> Any:
        """A tensor that no recorded call made: one the model keeps outside its parameters and buffers."""
        original = self.recorder.cloner.origin.get(id(value))
        if original is not None:
            name = self.recorder.constant_names.get(id(value), "")
            self.recorder.aliases.fresh(value, self.recorder.literal(original, name))
            return self.recorder.aliases.handle(value)
        copied = self.recorder.cloner.memo.get(id(value))
        if copied is None and value.device.type == "meta" and self.recorder.meta:
            raise TraceError(
                f"a tensor {tuple(value.shape)} comes from a call that tracing does not see ({where_in_model()}), "
                "such as compiled or scripted code; replace that call by plain torch functions"
            )
        if copied is None and not self.recorder.meta:
            self.recorder.aliases.fresh(value, self.recorder.literal(value))
            return self.recorder.aliases.handle(value)
        self.recorder.stand_ins[id(value)] = self.recorder.bring_in(value.detach()) if copied is None else copied
        self.recorder.aliases.keep.append(value)
        raise Retry

    def type_of(self, ref: Any) -> Any:
        """The type of a tensor among the arguments; None for plain data."""
        return ref.handle.type if type(ref) is Place else None

    def edge_ref(self, value: Any) -> Any:
        """Plain data with the edge of its present value in place of every tensor."""
        return self._referred(value, self._edge)

    def edge_place(self, value: Any) -> Any:
        """Plain data with a placeholder in place of every tensor, as `Plan` takes it."""
        return self._referred(value, _placeholder)

    def weight_ref(self, value: Any) -> Any:
        """As `edge_ref`, but a `Weight` where the tensor comes straight from the module."""
        return self._referred(value, self._weight)

    def weight_place(self, value: Any) -> Any:
        """As `edge_place`, but a `Weight` where the tensor comes straight from the module."""
        return self._referred(value, _weight_placeholder)

    def _referred(self, value: Any, reference: Callable[[Place], Any]) -> Any:
        kind = type(value)
        if kind is Place:
            return reference(value)
        if kind is tuple:
            return tuple([self._referred(v, reference) for v in value])
        if kind is Slice:
            return Slice(*(self._referred(v, reference) for v in value))
        if kind is Foreign:
            raise ShapeError(f"an argument of type {type(value.value).__name__}")
        if kind is CumulativeFactor:
            return None
        return value

    def _edge(self, place: Place) -> Edge:
        return self.recorder.aliases.read(place.handle)

    def _weight(self, place: Place) -> Edge | Weight:
        return self.reference(_WEIGHT, place.handle)

    def reference(self, placeholder: Any, handle: Handle) -> Edge | Weight:
        """What a placeholder stands for: a `Weight` where that is asked for and the tensor comes straight from the module."""
        if type(placeholder) is not Weight:
            return self.recorder.aliases.read(handle)
        return Weight(self._key_here(handle.key)) if handle.is_own else self.recorder.aliases.read(handle)

    def _key_here(self, key: str) -> str:
        """Of all names of a tied tensor, the one under the module that is running."""
        names = self.recorder.owners.get(key)
        if names is None:
            return key
        here = self.recorder.place()[1]
        for name in names:
            if name.rpartition(".")[0] == here:
                return name
        return key

    # -- batch norm's count of batches --------------------------------------------------------------------------------
    def counted(self, edge: Edge) -> str | None:
        """The key of a buffer of which the value is the count after this step's increment, or the buffer itself."""
        record = self.recorder.records[edge.node]  # type: ignore[call-overload]
        if record.op == "add" and type(record.args["x"]) is Edge:
            record = self.recorder.records[record.args["x"].node]  # type: ignore[call-overload]
        if record.op == "parameter" and record.args["value"].key.endswith("num_batches_tracked"):
            return str(record.args["value"].key)
        return None

    def counter(self, call: dict[str, Any]) -> str | None:
        """The key of the counter that belongs to a batch norm, given its arguments; None where there is none."""
        mean = call.get("running_mean")
        if type(mean) is Place and mean.handle.is_own:
            mean = Weight(self._key_here(mean.handle.key))
        here = self.recorder.place()[1]
        key = f"{here}.num_batches_tracked" if here else "num_batches_tracked"
        if type(mean) is not Weight or mean.key.rpartition(".")[0] != here or key not in self.recorder.entries:
            return None
        root = self.recorder.aliases.root_of_key(key)
        if root is not None and root.version:
            record = self.recorder.records[root.edge.node]
            return key if record.op == "add" and record.scope == here else None
        return None if call.get("training") is True else key

    def count_batches(self, args: dict[str, Any]) -> None:
        """Give batch norm its counter: the increment beside it becomes part of the call."""
        key = self.counter(args)
        if key is not None:
            root = self.recorder.aliases.root_of_key(key)
            added = self.recorder.records[root.edge.node] if root is not None and root.version else None
            self.recorder.aliases.forget_write(key)
            before = added.args["x"] if added is not None else None
            if type(before) is Edge and before != self.recorder.parameters.get(key, before):
                self.recorder.assign(key, before)  # the model had written another count before the increment
            args["num_batches_tracked"] = Weight(key)

    def settle_statistics(self, args: Any, kwargs: Any) -> None:
        """Statistics that the model has written are put into their buffers before batch norm, which changes those in place."""
        for tensor in (*args[1:5], *kwargs.values()):
            handle = self.recorder.aliases.handle(tensor)
            root = handle.root if handle is not None else None
            if root is not None and root.version and root.key in self.recorder.buffers and not root.spoiled:
                value = root.edge
                self.recorder.aliases.settled(root)
                self.recorder.assign(root.key, value)


def _placeholder(place: Place) -> Edge:
    return Edge(-1 - place.number)  # type: ignore[arg-type]


def _weight_placeholder(place: Place) -> Edge | Weight:
    return Weight(-1 - place.number) if place.handle.is_own else _placeholder(place)  # type: ignore[arg-type]
