"""Putting predicted tensors into a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..errors import HypernetworkError
from ..graph.graph import Graph
from .prediction import Prediction, predict

if TYPE_CHECKING:
    from .hypernetwork import Hypernetwork


def fill(
    ghn: Hypernetwork,
    model_or_graph: Any,
    example: Any,
    *,
    class_layers: bool,
    batch_statistics: bool | None,
    keep_grads: bool,
    seed: int,
) -> nn.Module:
    """See `Hypernetwork.forward`."""
    with torch.set_grad_enabled(keep_grads and torch.is_grad_enabled()):
        prediction = predict(ghn, [model_or_graph], [example], class_layers=class_layers, seed=seed)[0]
    model: Any = model_or_graph[0] if isinstance(model_or_graph, tuple) else model_or_graph
    if isinstance(model, Graph):
        from ..building.network import build

        model = build(model, seed=seed, device=ghn.embed.weight.device)
    if not isinstance(model, nn.Module):
        raise HypernetworkError(f"a {type(model).__name__} cannot be filled; give a module, a Network or a Graph")
    bare = [name for name, parameter in model.named_parameters() if parameter.is_meta]
    if bare and not keep_grads:
        more = f" and {len(bare) - 1} more" if len(bare) > 1 else ""
        raise HypernetworkError(f"{bare[0]}{more} hold no values (device meta); call model.to_empty(device='cpu') first")
    put(model, prediction, keep_grads)
    if batch_statistics if batch_statistics is not None else ghn.uses_batch_statistics and not keep_grads:
        use_batch_statistics(model, prediction.graph)
    return model


def put(model: nn.Module, prediction: Prediction, keep_grads: bool) -> None:
    """The predicted tensors in place of the parameters of ``model``, or copied into them."""
    aliases: dict[str, list[str]] = {}
    for key, entry in prediction.graph.tensors.items():
        aliases.setdefault(entry.alias_of or key, []).append(key)
    for name, tensor in prediction.tensors.items():
        for key in aliases.get(prediction.graph.tensors[name].alias_of or name, [name]):
            _put_one(model, key, tensor, keep_grads)


def _put_one(model: nn.Module, key: str, tensor: Tensor, keep_grads: bool) -> None:
    path, _, name = key.rpartition(".")
    owner = model.get_submodule(path) if path else model
    old = owner._parameters.get(name)
    if old is None:
        raise HypernetworkError(f"the model has no parameter {key!r}, which its graph has; trace it anew")
    if keep_grads:
        owner._parameters[name] = tensor.to(old)  # type: ignore[assignment]
    elif isinstance(old, nn.Parameter):
        with torch.no_grad():
            old.copy_(tensor)
    else:  # what an earlier call in training mode put there
        owner._parameters[name] = nn.Parameter(tensor.detach().clone())


def use_batch_statistics(model: nn.Module, graph: Graph) -> None:
    """Let every batch norm use the statistics of the batch it is given, until the model is put into another mode."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.track_running_stats, module.training = False, True
    if getattr(model, "graph", None) is graph:
        for step in graph.steps:
            if step.op == "batch_norm" and step.args.get("training") == "module":
                model.get_submodule(step.scope).training = True
