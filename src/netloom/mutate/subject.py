"""What is edited: a model with its graph, its weights and the values of its neurons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import EditError
from ..graph.graph import Graph
from .analysis import Dimensions, analyse
from .atoms import NEW, atoms_of, sources
from .plan import Plan

if TYPE_CHECKING:
    import numpy as np
    import torch

    from ..building.network import Network

_QUANTISED = ("torch.ao.nn.quantized", "torch.nn.quantized", "torch.ao.nn.intrinsic.quantized")


class Subject:
    """A model (an nn.Module, a Network, or a Graph without weights), traced once.

    `EditError` for models that no edit can be made of: quantised, on several devices, in the middle of a backward pass.
    """

    def __init__(self, model: Any, example_inputs: Any, value: Any, seed: int, free: Any = None) -> None:
        import numpy as np

        from .values import refuse_no_value

        refuse_no_value(value)
        self.value, self.seed, self.free, self.example_inputs = value, seed, free, example_inputs
        self.rng = np.random.default_rng(seed)
        self.model: Any = None
        self._first: tuple[Dimensions, Mapping[str, Any]] | None = None
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

        self._refuse_meta()
        return full_state(self.model)

    def _refuse_meta(self) -> None:
        empty = next((key for key, parameter in self.model.named_parameters() if parameter.is_meta), None)
        if empty is not None:
            raise EditError(f"{empty!r} is on the meta device and holds no values; load weights, or edit the graph")

    def state_of(self, plan: Plan) -> Mapping[str, torch.Tensor] | None:
        """The weights after a plan; None where there are none."""
        return None if self.model is None else plan.apply(self.state)

    def network(self, plan: Plan) -> Network:
        """The network after a plan, with weights of its own."""
        from ..building.network import holding

        before = self.state

        def own_state() -> dict[str, torch.Tensor]:
            old = {tensor.data_ptr() for tensor in before.values()}
            state = plan.apply(before)
            return {key: tensor.clone() if tensor.data_ptr() in old else tensor for key, tensor in state.items()}

        return holding(plan.graph, own_state, self.model)

    def scores(self, plan: Plan, dims: Dimensions) -> Mapping[str, Any]:
        """Atom → the value of each of its indices, higher is better; empty for a graph without weights.

        Values are those of the model as it was given: in a later stage, and in a graph that is cut, they are where their
        indices have gone. New indices are worth next to nothing.
        """
        if self.model is None and not isinstance(self.value, Mapping):
            return {}
        from .values import atom_scores

        if self.model is not None:
            self._refuse_meta()
        if dims.graph is self.graph:
            return atom_scores(self.value, self.model, self.graph, dims, self.rng)
        if self._first is None:
            before = analyse(self.graph, [node.name for node in self.graph.inputs], True)
            self._first = (before, atom_scores(self.value, self.model, self.graph, before, self.rng))
        return self._followed(plan, dims, *self._first)

    def _followed(self, plan: Plan, dims: Dimensions, before: Dimensions, values: Mapping[str, Any]) -> dict[str, Any]:
        from .places import fold, unfold

        found: dict[str, Any] = {}
        for key, axis in _axes_by_plainness(dims):
            axes = plan.codes.get(key)
            if axes is None or not before.of(key):
                continue
            along = _moved(unfold(before.of(key)[axis], before.sizes, values), axes[axis])
            for atom, scores in fold(dims.of(key)[axis], dims.sizes, along).items():
                found.setdefault(atom, scores)
        return found


def _axes_by_plainness(dims: Dimensions) -> list[tuple[str, int]]:
    """(key, axis) of all tensors whose axes have free atoms: those that are one atom first, rows before columns."""
    free = {atom.id for atom in dims.free}
    places = [
        (not isinstance(how, str), not made, key, axis)
        for key, entry in dims.graph.tensors.items()
        if entry.alias_of is None
        for axis, (how, made) in enumerate(zip(dims.of(key), dims.produces(key)))
        if free.intersection(atoms_of(how))
    ]
    return [(key, axis) for _, _, key, axis in sorted(places, key=lambda place: place[:2])]


def _moved(scores: np.ndarray, codes: np.ndarray | None) -> np.ndarray:
    import numpy as np

    if codes is None:
        return scores
    return np.where(codes == NEW, np.finfo(np.float32).eps, scores[np.where(codes == NEW, 0, sources(codes))])


def refuse_in_backward() -> None:
    import torch

    if torch._C._current_graph_task_id() != -1:
        raise EditError("a backward pass is running, which needs the model as it is; edit the model when backward() is over")


def _refuse_odd(model: torch.nn.Module) -> None:
    refuse_in_backward()
    devices: set[torch.device] = set()
    for module in model.modules():
        if type(module).__module__.startswith(_QUANTISED):
            name = next(path for path, each in model.named_modules() if each is module)
            raise EditError(f"{name!r} is a quantised {type(module).__name__}; edit the float model and quantise the result")
        for parameter in module._parameters.values():
            if parameter is not None:
                devices.add(parameter.device)
                if parameter.is_quantized:
                    name = next(key for key, each in model.named_parameters() if each is parameter)
                    raise EditError(f"{name!r} is a quantised tensor; edit the float model and quantise the result")
    if len(devices) > 1:
        names = ", ".join(sorted(map(str, devices)))
        raise EditError(f"the model's parameters are on several devices ({names}); move it to one first")
