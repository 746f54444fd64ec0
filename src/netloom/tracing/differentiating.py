"""Whether a tensor of a trace would require gradients: answered from its records, for nothing in a trace does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..graph.tree import edges, weights
from ..ops import Edge, operator

if TYPE_CHECKING:
    from .recorder import Recorder

_DIFFERENTIABLE = ("float", "bfloat", "complex")


class Gradients:
    """Follows gradients from the parameters and inputs that require them through the calls of one trace."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.known: dict[int, bool] = {}

    def required(self, tensor: Any) -> bool:
        """``tensor.requires_grad`` as the model would read it, were it run with gradients on."""
        handle = self.recorder.aliases.handle(tensor)
        if handle is None:
            return bool(self.recorder.cloner.origin.get(id(tensor), tensor).requires_grad)
        if handle.is_own:
            return handle.key in self.recorder.trainable
        return self.reach(self.recorder.aliases.read(handle))

    def reach(self, edge: Edge) -> bool:
        """Whether gradients go through a value."""
        record = self.recorder.records[edge.node]  # type: ignore[call-overload]
        return record.types[edge.index].dtype.startswith(_DIFFERENTIABLE) and self._record(edge.node)  # type: ignore[arg-type]

    def _record(self, number: int) -> bool:
        """Whether a call passes gradients on to anything; calls far behind come first, so that no chain is too deep."""
        pending = [number]
        while pending:
            current = pending[-1]
            if current in self.known:
                pending.pop()
                continue
            record = self.recorder.records[current]
            sources = [] if _is_cut(record) else edges(tuple(record.args.values()))
            unknown = [edge.node for edge in sources if edge.node not in self.known]
            if unknown:
                pending += unknown  # type: ignore[arg-type]
                continue
            held = [] if _is_cut(record) else weights(tuple(record.args.values()))
            self.known[current] = (
                current in self.recorder.differentiated
                or any(weight.key in self.recorder.trainable for weight in held)
                or any(self.reach(edge) for edge in sources)
            )
        return self.known[number]


def _is_cut(record: Any) -> bool:
    """Whether gradients end at a call, whatever its operands."""
    if record.op == "parameter":
        return False
    return not record.grad or record.op == "detach" or operator(record.op).family == "create" or record.op.endswith("_like")
