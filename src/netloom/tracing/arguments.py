"""Arguments of torch calls as arguments of records: edges for tensors, weights for what comes straight from the module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from ..errors import ShapeError, TraceError
from ..ops import DType, Edge, Slice, Weight
from .aliasing import Handle
from .records import BufferNumber, CumulativeFactor, Foreign, Retry, where_in_model
from .state import dtype_name, type_of_tensor

if TYPE_CHECKING:
    from .recorder import Recorder


class Arguments:
    """Reads the arguments of the calls of one trace."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    def ir(self, value: Any) -> Any:
        """A torch-side argument as plain data, with a `Handle` for every tensor."""
        kind = type(value)
        if kind in (int, float, bool, str, complex) or value is None or value is Ellipsis:
            return value
        if isinstance(value, torch.Tensor):
            handle = self.recorder.aliases.handle(value)
            return handle if handle is not None else self.unknown_tensor(value)
        if kind is slice:
            return Slice(self.ir(value.start), self.ir(value.stop), self.ir(value.step))
        if isinstance(value, tuple | list):
            return tuple(self.ir(v) for v in value)
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

    def unknown_tensor(self, value: Any) -> Any:
        """A tensor that no recorded call made: one the model keeps outside its parameters and buffers."""
        original = self.recorder.cloner.origin.get(id(value))
        if original is not None:
            self.recorder.aliases.fresh(value, self.recorder.literal(original))
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

    def handle_type(self, ref: Any) -> Any:
        if type(ref) is Handle:
            return type_of_tensor(ref.tensor)
        if type(ref) is Edge or type(ref) is Weight:
            return self.recorder.type_of(ref)
        return None

    def edge_ref(self, value: Any) -> Any:
        kind = type(value)
        if kind is Handle:
            return self.recorder.aliases.read(value)
        if kind is tuple:
            return tuple(self.edge_ref(v) for v in value)
        if kind is Slice:
            return Slice(*(self.edge_ref(v) for v in value))
        if kind is Foreign:
            raise ShapeError(f"an argument of type {type(value.value).__name__}")
        if kind is CumulativeFactor:
            return None
        return value

    def weight_ref(self, value: Any) -> Any:
        """A weight of the call's own where the tensor comes straight from the module, else an edge."""
        if type(value) is tuple:
            return tuple(self.weight_ref(v) for v in value)
        if type(value) is Handle and value.key and not self.recorder.aliases.is_written(value):
            return Weight(self._key_here(value.key))
        return self.edge_ref(value)

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

    def count_batches(self, args: dict[str, Any]) -> None:
        """Give batch norm its counter: the increment beside it becomes part of the call."""
        mean = args.get("running_mean")
        here = self.recorder.place()[1]
        key = f"{here}.num_batches_tracked" if here else "num_batches_tracked"
        if type(mean) is not Weight or mean.key.rpartition(".")[0] != here or key not in self.recorder.entries:
            return
        root = self.recorder.aliases.root_of_key(key)
        if root is not None and root.version:
            record = self.recorder.records[root.edge.node]
            if record.op != "add" or record.scope != here:
                return
            self.recorder.aliases.forget_write(key)
        elif args.get("training") is True:
            return
        args["num_batches_tracked"] = Weight(key)
