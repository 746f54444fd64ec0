"""What may be measured: a graph, a network or any module; each becomes a private copy and inputs to call it with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import MeasureError
from ..graph.graph import Graph

if TYPE_CHECKING:
    import torch


def module_of(subject: Any, *, seed: int = 0) -> torch.nn.Module:
    """A module to run: the network of a graph with fresh weights, or a copy of a module with its modes.

    `MeasureError` for anything else.
    """
    import copy

    import torch

    from ..building.network import build

    if isinstance(subject, Graph):
        return build(subject, seed=seed)
    if isinstance(subject, torch.nn.Module):
        return copy.deepcopy(subject)
    raise MeasureError(
        f"a {type(subject).__name__} cannot be measured; give a Graph, a Network, or another torch.nn.Module with inputs="
    )


def graph_of(subject: Any) -> Graph | None:
    """The graph of a graph or network; None of any other module."""
    from ..building.network import Network

    if isinstance(subject, Graph):
        return subject
    return subject.graph if isinstance(subject, Network) else None


def inputs_for(subject: Any, inputs: Any, batch: int, device: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments and keywords of a call: made up for ``batch`` samples where ``inputs`` is None.

    ``inputs`` is a tensor, a tuple of arguments, or a dict of keywords, as `nl.trace` takes them.
    """
    if inputs is None:
        from ..building.example import example_inputs

        graph = graph_of(subject)
        if graph is None:
            raise MeasureError(f"a {type(subject).__name__} does not say what its inputs are; give inputs=, as to nl.trace")
        inputs = example_inputs(graph, batch)
    inputs = on_device(inputs, device)
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    return (tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)), {}


def on_device(tree: Any, device: Any) -> Any:
    """A tree of tensors on a device, apart from the graph of any earlier computation."""
    import torch

    if isinstance(tree, torch.Tensor):
        return tree.detach().to(device)
    if isinstance(tree, Mapping):
        return {name: on_device(value, device) for name, value in tree.items()}
    if isinstance(tree, tuple | list):
        return type(tree)(on_device(value, device) for value in tree)
    return tree


def tensors_of(tree: Any) -> list[torch.Tensor]:
    """The tensors of a nest, in order."""
    import torch

    if isinstance(tree, torch.Tensor):
        return [tree]
    if isinstance(tree, Mapping):
        tree = list(tree.values())
    if isinstance(tree, tuple | list):
        return [leaf for part in tree for leaf in tensors_of(part)]
    return []


def device_of(module: torch.nn.Module, device: Any) -> torch.device:
    """``device``, or where a module's tensors are; the processor for a module without any."""
    import torch

    if device is not None:
        try:
            return torch.device(device)
        except (RuntimeError, TypeError) as error:
            raise MeasureError(f"device = {device!r} is none: {str(error).splitlines()[0]}") from None
    first = next((tensor for held in (module.parameters(), module.buffers()) for tensor in held), None)
    return torch.device("cpu") if first is None else first.device


def whole_number(name: str, value: Any, least: int = 1) -> int:
    """A count as an int; `MeasureError` for anything else."""
    from numbers import Integral

    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise MeasureError(f"{name} = {value!r}; expected a whole number ≥ {least}")
    return int(value)
