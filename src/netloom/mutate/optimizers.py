"""Optimisers that follow an edit: moments of a weight that survives stay with it."""

from __future__ import annotations

from typing import Any

import torch

from ..errors import EditError
from .atoms import NEW
from .plan import Plan
from .resizing import edge_repeated


def moved_optimizer(optimizer: torch.optim.Optimizer, old: Any, plan: Plan, new: torch.nn.Module) -> torch.optim.Optimizer:
    """An optimiser of the same class, groups and settings for the parameters of the edited network.

    What it holds for each element of a parameter (momenta, second moments) goes where the element goes, and is zero for new
    elements; what it holds once for a parameter (a step count) is kept. Parameters that are new join the first group.

    `EditError` where the optimiser is not one of the model's.
    """
    if old is None:
        raise EditError("a Graph has no optimiser; edit a model")
    names = {id(parameter): name for name, parameter in old.named_parameters()}
    targets = {plan.graph.tensors[n].alias_of or n: p for n, p in new.named_parameters() if n in plan.graph.tensors}
    groups: list[dict[str, Any]] = []
    states: list[dict[str, Any]] = []
    used: set[str] = set()
    for group in optimizer.param_groups:
        parameters = []
        for parameter in group["params"]:
            name = names.get(id(parameter))
            if name is None:
                raise EditError("the optimiser has a parameter that the edited model has not; give the one that trained it")
            target = targets.get(name)
            if target is None or name in used or plan.codes.get(name) is None:
                continue
            used.add(name)
            parameters.append(target)
            states.append(_moved(optimizer.state.get(parameter, {}), parameter, plan.codes[name] or ()))
        groups.append({**{key: value for key, value in group.items() if key != "params"}, "params": parameters})
    fresh = [parameter for name, parameter in targets.items() if name not in used and parameter.requires_grad]
    groups[0]["params"] += fresh
    made = type(optimizer)(groups, **_defaults(optimizer))
    for parameter, state in zip((p for i, group in enumerate(groups) for p in _old_part(group, fresh, i)), states):
        if state:
            made.state[parameter] = state
    return made


def _old_part(group: dict[str, Any], fresh: list[Any], number: int) -> list[Any]:
    return group["params"][: len(group["params"]) - len(fresh)] if number == 0 else group["params"]  # type: ignore[no-any-return]


def _defaults(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The settings that the constructor takes."""
    import inspect

    taken = inspect.signature(type(optimizer).__init__).parameters
    return {key: value for key, value in optimizer.defaults.items() if key in taken}


def _moved(state: dict[str, Any], parameter: torch.Tensor, axes: tuple[Any, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in state.items():
        if isinstance(value, torch.Tensor) and value.shape == parameter.shape and value.dim():
            found[key] = _rows(value, axes)
        else:
            found[key] = value.clone() if isinstance(value, torch.Tensor) else value
    return found


def _rows(tensor: torch.Tensor, axes: tuple[Any, ...]) -> torch.Tensor:
    for axis, codes in enumerate(axes):
        if codes is not None:
            index = torch.from_numpy(edge_repeated(codes, tensor.shape[axis])).to(tensor.device)
            tensor = tensor.index_select(axis, index)
            places = torch.from_numpy((codes == NEW).nonzero()[0]).to(tensor.device)
            if len(places):
                tensor = tensor.index_fill_(axis, places, 0)
    return tensor.clone()
