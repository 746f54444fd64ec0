"""What is edited: a model with its graph, its weights and the values of its neurons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import EditError
from ..graph.graph import Graph
from .analysis import Dimensions
from .plan import Plan

if TYPE_CHECKING:
    import torch

    from ..building.network import Network


class Subject:
    """A model (an nn.Module, a Network, or a Graph without weights), traced once.

    `EditError` for models that no edit can be made of: quantised, on several devices.
    """

    def __init__(self, model: Any, example_inputs: Any, value: Any, seed: int, free: Any = None) -> None:
        import numpy as np

        self.value, self.seed, self.free, self.example_inputs = value, seed, free, example_inputs
        self.rng = np.random.default_rng(seed)
        self.model: Any = None
        if isinstance(model, Graph):
            self.graph = model
            return
        import torch

        from ..building.network import Network

        if not isinstance(model, torch.nn.Module):
            raise EditError(f"edit takes an nn.Module, a Network or a Graph, not a {type(model).__name__}")
        _refuse_odd(model)
        self.model = model
        if isinstance(model, Network) and free is None:
            self.graph = model.graph
        elif example_inputs is None:
            raise EditError(f"to trace a {type(model).__name__}, edit needs example_inputs: one batch as the model takes it")
        else:
            from ..tracing.trace import trace

            self.graph = trace(model, example_inputs, free=free) if free else trace(model, example_inputs)

    @property
    def state(self) -> dict[str, torch.Tensor]:
        if self.model is None:
            raise EditError("a Graph has no weights to edit; give a Network (nl.build(graph)) or a model, or read edit.graph")
        from ..building.network import full_state

        return full_state(self.model)

    def state_of(self, plan: Plan) -> Mapping[str, torch.Tensor] | None:
        """The weights after a plan; None where there are none."""
        return None if self.model is None else plan.apply(self.state)

    def network(self, plan: Plan) -> Network:
        """The network after a plan, with weights of its own."""
        from ..building.network import holding

        old = {tensor.data_ptr() for tensor in self.state.values()}
        state = plan.apply(self.state)
        own = {key: tensor.clone() if tensor.data_ptr() in old else tensor for key, tensor in state.items()}
        return holding(plan.graph, own, self.model)

    def scores(self, plan: Plan, dims: Dimensions) -> Mapping[str, Any]:
        """Atom → the value of each of its indices, higher is better; empty for a graph without weights."""
        if self.model is None and not isinstance(self.value, Mapping):
            return {}
        from .values import atom_scores

        return atom_scores(self.value, self._present(plan, dims), dims.graph, dims, self.rng)

    def _present(self, plan: Plan, dims: Dimensions) -> Any:
        """The model as it is at this point of a plan: itself before the first stage."""
        if not plan.stages or self.model is None:
            return self.model
        from ..building.network import holding

        graph = dims.graph
        return holding(graph, {k: v for k, v in plan.apply(self.state).items() if k in graph.tensors}, None)


def _refuse_odd(model: torch.nn.Module) -> None:
    devices = {str(parameter.device) for parameter in model.parameters()}
    if len(devices) > 1:
        raise EditError(f"the model's parameters are on several devices ({', '.join(sorted(devices))}); move it to one first")
    for name, module in model.named_modules():
        kind = type(module)
        if kind.__module__.startswith(("torch.ao.nn.quantized", "torch.nn.quantized", "torch.ao.nn.intrinsic.quantized")):
            raise EditError(f"{name!r} is a quantised {kind.__name__}; edit the float model and quantise the result")
    for name, parameter in model.named_parameters():
        if parameter.is_quantized:
            raise EditError(f"{name!r} is a quantised tensor; edit the float model and quantise the result")
