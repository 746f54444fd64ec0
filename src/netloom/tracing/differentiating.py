"""Whether a tensor of a trace would require gradients: answered from its records, for nothing in a trace does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import TraceError
from ..graph.tree import edges, weights
from ..ops import Edge, operator
from ..ops.functions import gradient
from .opaque import opaque
from .records import where_in_model

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

    def require(self, tensor: Any) -> None:
        """``tensor.requires_grad_()``: the same tensor object stands for a value that requires gradients from here on."""
        handle = self.recorder.aliases.handle(tensor)
        if handle is not None and handle.is_own:
            return
        made = self.recorder.emit("requires_grad", x=self.recorder.result_edge(tensor))
        self.recorder.aliases.fresh(tensor, made)

    def reach(self, edge: Edge) -> bool:
        """Whether gradients go through a value."""
        record = self.recorder.records[edge.node]  # type: ignore[call-overload]
        return record.types[edge.index].dtype.startswith(_DIFFERENTIABLE) and self._record(edge.node)  # type: ignore[arg-type]

    def depends(self, outputs: Sequence[Edge], tensor: Any) -> bool:
        """Whether gradients of any of these values reach a tensor."""
        handle, target = self.recorder.aliases.handle(tensor), self.recorder.result_edge(tensor)
        key = handle.key if handle is not None and handle.is_own else None
        pending, seen = list(outputs), set()
        while pending:
            edge = pending.pop()
            if edge == target:
                return True
            record = self.recorder.records[edge.node]  # type: ignore[call-overload]
            if record.number in seen or _is_cut(record):
                continue
            seen.add(record.number)
            if key is not None and any(weight.key == key for weight in weights(tuple(record.args.values()))):
                return True
            pending += edges(tuple(record.args.values()))
        return False

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
                or record.op == "requires_grad"
                or any(weight.key in self.recorder.trainable for weight in held)
                or any(self.reach(edge) for edge in sources)
            )
        return self.known[number]


def _is_cut(record: Any) -> bool:
    """Whether gradients end at a call, whatever its operands."""
    if record.op == "parameter":
        return False
    return not record.grad or record.op == "detach" or operator(record.op).family == "create" or record.op.endswith("_like")


def differentiated(
    recorder: Recorder, alone: bool, outputs: Any, inputs: Any, grad_outputs: Any = None, retain_graph: bool | None = None,
    create_graph: bool = False, only_inputs: bool = True, allow_unused: bool | None = None, is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> Any:  # fmt: skip
    """``torch.autograd.grad`` in a forward, as one call that reads outputs and inputs; ``alone``: one gradient comes bare."""
    import torch

    if is_grads_batched:
        raise TraceError(f"torch.autograd.grad of batched gradients ({where_in_model()}): no graph can say it; use torch.func")
    outs, ins = (value if isinstance(value, tuple | list) else (value,) for value in (outputs, inputs))
    weights_out = grad_outputs if isinstance(grad_outputs, tuple | list) or grad_outputs is None else (grad_outputs,)
    found = [recorder.result_edge(tensor) for tensor in outs]
    reached = [recorder.gradients.depends(found, t) and recorder.gradients.required(t) for t in ins]
    if not all(reached) and not (allow_unused or materialize_grads):
        raise TraceError(
            f"torch.autograd.grad ({where_in_model()}) of a tensor that requires no gradient, or that the outputs do not "
            "depend on: say x.requires_grad_() in forward before they are computed, or give an example that requires gradients"
        )
    used = [tensor for tensor, there in zip(ins, reached) if there]
    results: Any = [torch.zeros_like(tensor) for tensor in used]
    options = {"retain_graph": retain_graph, "create_graph": create_graph}
    kwargs: dict[str, Any] = {name: value for name, value in options.items() if value}
    if retain_graph is False:
        kwargs["retain_graph"] = False
    if used:
        given = (tuple(outs), tuple(used), *(() if weights_out is None else (tuple(weights_out),)))
        results = opaque(recorder, gradient, given, kwargs, tuple(results), results)
    position = iter(results)
    everything = tuple(
        next(position)
        if there
        else recorder.__torch_function__(torch.zeros_like, (), (tensor,))
        if materialize_grads
        else None
        for tensor, there in zip(ins, reached)
    )
    return everything[0] if alone and len(everything) == 1 else everything
