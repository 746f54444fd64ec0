"""Several views as one: a disjoint union of graphs, whose nodes are put in order of how far they are from the ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .viewing import HyperGraph


@dataclass(slots=True, eq=False)
class Sweep:
    """One direction of a sweep: nodes in order of their level, and what each level says to the later ones.

    ``order`` (N,) gives the nodes by level, ``back`` (N,) where each node is in it, ``bounds`` the first of every level and N.
    ``pushes`` hold for each level but the last how it is heard: a matrix (later nodes, what the level says).
    """

    order: Tensor
    back: Tensor
    bounds: list[int]
    pushes: list[Tensor]


@dataclass(slots=True, eq=False)
class Union:
    """A disjoint union of B views with N nodes in all."""

    graphs: tuple[HyperGraph, ...]
    types: Tensor
    offsets: list[int]
    forward: Sweep | None = None
    backward: Sweep | None = None

    def __len__(self) -> int:
        return self.offsets[-1]


def union(graphs: Sequence[HyperGraph], *, sweeps: bool, virtual: bool, device: Any = "cpu") -> Union:
    """The union of ``graphs``; with what a gated network needs to sweep over it where ``sweeps`` says so."""
    offsets = [0, *np.cumsum([len(graph) for graph in graphs]).tolist()]
    types = torch.from_numpy(np.concatenate([graph.type_indices for graph in graphs])).to(device)
    made = Union(tuple(graphs), types, offsets)
    if sweeps:
        made.forward = _sweep(graphs, offsets, virtual, False, device)
        made.backward = _sweep(graphs, offsets, virtual, True, device)
    return made


def levels(graph: HyperGraph, reverse: bool = False) -> Any:
    """(N,) length of the longest way from a node that nothing comes before (with ``reverse``: to one that nothing comes
    after)."""
    found = np.zeros(len(graph), dtype=np.int64)
    if reverse:
        for a, b in reversed(graph.edges):  # sorted by their first node
            found[a] = max(found[a], found[b] + 1)
    else:
        for a, b in graph.edges:
            found[b] = max(found[b], found[a] + 1)
    return found


def _sweep(graphs: Sequence[HyperGraph], offsets: list[int], virtual: bool, reverse: bool, device: Any) -> Sweep:
    level = np.concatenate([levels(graph, reverse) for graph in graphs])
    order = np.argsort(level, kind="stable")
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    bounds = [0, *(np.flatnonzero(np.diff(level[order])) + 1).tolist(), len(order)]
    near, far = _weights(graphs, offsets, back, virtual, reverse)
    pushes = [_push(near, far, start, stop) for start, stop in zip(bounds, bounds[1:-1])]
    tensors = [torch.from_numpy(push).to(device) for push in pushes]
    return Sweep(torch.from_numpy(order).to(device), torch.from_numpy(back).to(device), bounds, tensors)


def _weights(graphs: Sequence[HyperGraph], offsets: list[int], back: Any, virtual: bool, reverse: bool) -> tuple[Any, Any]:
    """(N, N) of who hears whom, in order of levels: along edges, and along virtual edges by the inverse of their length."""
    total = len(back)
    near = np.zeros((total, total), dtype=np.float32)
    far = np.zeros((total, total), dtype=np.float32) if virtual else None
    for graph, offset in zip(graphs, offsets):
        distances = graph.distances if reverse else graph.distances.T  # rows hear columns
        places = back[offset : offset + len(graph)]
        spot = np.ix_(places, places)
        near[spot] = distances == 1
        if far is not None:
            with np.errstate(divide="ignore"):
                far[spot] = np.where(distances > 0, np.float32(1) / distances, np.float32(0))
    return near, far


def _push(near: Any, far: Any, start: int, stop: int) -> Any:
    """(later nodes, k or 2k): how the k nodes of a level are heard by those after them, along the two kinds of edges by
    turns."""
    if far is None:
        return np.ascontiguousarray(near[stop:, start:stop])
    return np.stack((near[stop:, start:stop], far[stop:, start:stop]), axis=2).reshape(len(near) - stop, -1)
