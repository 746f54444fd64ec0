"""A network around predicted tensors, through which gradients lead back to the hypernetwork."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..building.initialising import fresh
from ..building.network import Network, build
from ..graph.graph import Graph


def assembled(
    graph: Graph,
    tensors: Mapping[str, Tensor],
    generator: torch.Generator,
    device: Any = "cpu",
    network: Network | None = None,
) -> Network:
    """The network of ``graph`` that computes with ``tensors`` themselves; what is missing is fresh. In training mode.

    ``network`` is one of the graph that may be used for it: making one takes about as long as running it once.
    """
    network = build(graph, device="meta") if network is None else network
    for key, entry in graph.tensors.items():
        name = entry.alias_of or key
        path, _, own = key.rpartition(".")
        owner = network.get_submodule(path) if path else network
        held = tensors.get(name)
        if entry.kind == "parameter":
            if held is None:
                held = torch.nn.Parameter(fresh(name, graph.tensors[name], generator, device), requires_grad=False)
            owner._parameters[own] = held  # type: ignore[assignment]
        else:
            owner._buffers[own] = fresh(name, graph.tensors[name], generator, device)
    return network.train()
