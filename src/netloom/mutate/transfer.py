"""The last and dumb step: tensors of the old network taken, row by row, to those of the new one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import torch

from ..building.initialising import fresh
from ..building.network import caches_of
from ..errors import EditError
from ..graph.graph import Graph
from ..graph.table import TensorEntry
from ..ops import TensorType
from .atoms import NEW, sources
from .growing import INIT, UNDER, ZERO
from .plan import Move, Plan, Stage
from .resizing import edge_repeated

#: Elements of the parts by which a tensor is gathered.
_PART = 2**17


def apply_plan(plan: Plan, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """See `Plan.apply`."""
    return _states(plan, state)[-1]


def _states(plan: Plan, state: Mapping[str, torch.Tensor]) -> list[dict[str, torch.Tensor]]:
    """The state before the first stage and after each."""
    found = [_canonical(plan, state)]
    cast = _cast(plan.before, found[0])
    for number, stage in enumerate(plan.stages):
        found.append(apply_stage(stage, found[-1], f"{plan.seed}/{number}", cast))
    return found


def _cast(graph: Graph, state: Mapping[str, torch.Tensor]) -> tuple[torch.device, dict[str, torch.dtype]]:
    """Where a model is, and what its dtypes have become: it may have been cast since it was traced."""
    device = next((tensor.device for tensor in state.values()), torch.device("cpu"))
    return device, {entry.type.dtype: state[key].dtype for key, entry in graph.tensors.items() if key in state}


def apply_stage(
    stage: Stage, state: Mapping[str, torch.Tensor], seed: str = "0", cast: tuple[Any, Mapping[str, Any]] | None = None
) -> dict[str, torch.Tensor]:
    """The state after one stage; tensors that do not change are shared with the old state.

    What is new is on the device and of the dtypes in ``cast``, without it on those of the other tensors.
    """
    device, dtypes = cast or _cast(stage.graph, state)
    gatherer = _Gatherer()
    found: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        for key, entry in stage.graph.tensors.items():
            if entry.alias_of is not None:
                continue
            if key in stage.fresh:
                found[key] = _made(key, entry, stage.fresh[key], seed).to(device, dtypes.get(entry.type.dtype))
            elif key in stage.moves:
                move = stage.moves[key]
                generator = _generator(seed, key) if gatherer.grow(move) else None
                found[key] = _moved(state[key].detach(), move, entry, gatherer, generator)
            elif key in state:
                found[key] = state[key].detach()
    return found


class _Gatherer:
    """What gathering many tensors has in common: indices of the codes that they share, and room for what is on its way.

    Room that is taken and freed between tensors that stay would leave holes of its size, which add up to another network.
    """

    def __init__(self) -> None:
        self.known: dict[tuple[int, int, torch.device], torch.Tensor] = {}
        self.growing: dict[int, bool] = {}
        self.rooms: dict[tuple[torch.dtype, torch.device], torch.Tensor] = {}

    def of(self, codes: Any, size: int, device: torch.device) -> torch.Tensor:
        key = (id(codes), size, device)
        if key not in self.known:
            self.known[key] = torch.from_numpy(edge_repeated(codes, size)).to(device)
        return self.known[key]

    def room(self, shape: Sequence[int], like: torch.Tensor) -> torch.Tensor:
        """A tensor of a shape, until the next is asked for."""
        size, key = prod(shape), (like.dtype, like.device)
        if key not in self.rooms or self.rooms[key].numel() < size:
            self.rooms[key] = like.new_empty(max(size, _PART))
        return self.rooms[key].narrow(0, 0, size).view(shape)

    def grow(self, move: Move) -> bool:
        """Whether a move has new indices."""
        for codes in move.axes:
            if codes is not None and id(codes) not in self.growing:
                self.growing[id(codes)] = bool((codes < 0).any())
        return any(codes is not None and self.growing[id(codes)] for codes in move.axes)


def _moved(
    tensor: torch.Tensor, move: Move, entry: TensorEntry, gatherer: _Gatherer, generator: torch.Generator | None
) -> torch.Tensor:
    """The tensor with its axes gathered and its new indices filled; growing ones need a generator."""
    tensor = _gathered(tensor, move, gatherer)
    if move.scale != 1.0:
        tensor = tensor * move.scale
    if generator is None:
        return tensor
    for how in (UNDER, ZERO, INIT):
        for axis, codes in enumerate(move.axes):
            if codes is None or move.fill[axis] != how:
                continue
            places = torch.from_numpy((codes == NEW).nonzero()[0]).to(tensor.device)
            if len(places):
                block = 0 if how == ZERO else _block(tensor, axis, len(places), entry, generator)
                tensor = tensor.index_fill_(axis, places, 0) if how == ZERO else tensor.index_copy_(axis, places, block)
    for axis, places in enumerate(move.blank):
        if places is not None:
            tensor.index_fill_(axis, torch.from_numpy(places).to(tensor.device), 0)
    for axis, codes in enumerate(move.axes):
        if codes is not None and move.shared[axis]:
            tensor *= _shares(codes, tensor, axis, None if move.shared[axis] == "even" else generator)
    return tensor


def _gathered(tensor: torch.Tensor, move: Move, gatherer: _Gatherer) -> torch.Tensor:
    """The tensor with its axes gathered; along two of them by parts, so that what lies between stays in the cache."""
    shape, device = tensor.shape, tensor.device
    changed = [(i, gatherer.of(codes, shape[i], device)) for i, codes in enumerate(move.axes) if codes is not None]
    if len(changed) != 2 or changed[0][0] != 0 or not tensor.numel():
        for axis, index in changed:
            tensor = tensor.index_select(axis, index)
        return tensor
    (_, rows), (axis, index) = changed
    found = tensor.new_empty((len(rows), *shape[1:axis], len(index), *shape[axis + 1 :]))
    step = max(1, _PART * shape[0] // tensor.numel())
    for start in range(0, len(rows), step):
        size = min(step, len(rows) - start)
        part = gatherer.room((size, *shape[1:]), tensor)
        torch.index_select(tensor, 0, rows.narrow(0, start, size), out=part)
        torch.index_select(part, axis, index, out=found.narrow(0, start, size))
    return found


def _block(tensor: torch.Tensor, axis: int, size: int, entry: TensorEntry, generator: torch.Generator) -> torch.Tensor:
    """Fresh values for ``size`` indices of an axis."""
    shape = (*tensor.shape[:axis], size, *tensor.shape[axis + 1 :])
    kind = replace(entry, type=TensorType(entry.type.dtype, shape), constant=None)
    return fresh("new indices", kind, generator, "cpu").to(tensor)


def _shares(codes: Any, tensor: torch.Tensor, axis: int, generator: torch.Generator | None) -> torch.Tensor:
    """The part of its original's value that each index gets: those of one original come to 1.

    Equal parts without a generator; drawn with one, so that copies get different gradients and part.
    """
    origin = torch.from_numpy(sources(codes) * (codes != NEW))
    drawn = torch.ones(len(codes), dtype=torch.float64)
    if generator is not None:
        drawn = 0.5 + torch.rand(len(codes), generator=generator, dtype=torch.float64)
    new = torch.from_numpy(codes == NEW)
    drawn[new] = 0
    total = torch.zeros(int(origin.max()) + 1, dtype=torch.float64).index_add_(0, origin, drawn)
    share = torch.where(new, torch.ones_like(drawn), drawn / total[origin])
    return share.to(tensor).reshape(-1, *(1,) * (tensor.dim() - axis - 1))


def _made(key: str, entry: TensorEntry, rule: tuple[Any, ...], seed: str) -> torch.Tensor:
    """A tensor that nothing stood for: by its table rule, or as an identity."""
    if rule[0] == "identity":
        made = _identity(entry.type, rule[1])
        if len(rule) > 2:  # rows beyond those of what it takes are fresh, and nothing reads them yet
            more = fresh(key, replace(entry, init=tuple(rule[3:])), _generator(seed, key), "cpu")
            made[rule[2] :] = more[rule[2] :]
        return made
    return fresh(key, replace(entry, init=rule) if entry.constant is None else entry, _generator(seed, key), "cpu")


def _identity(type_: TensorType, groups: int = 1) -> torch.Tensor:
    """The weight of a linear layer or convolution that gives what it takes: (out, in / groups, kernel …)."""
    tensor = torch.zeros(type_.shape, dtype=getattr(torch, type_.dtype))
    middle = tuple(size // 2 for size in type_.shape[2:])
    for i in range(min(type_.shape[:2]) if groups == 1 else type_.shape[0]):
        tensor[(i, i % (type_.shape[0] // groups), *middle)] = 1
    return tensor


def _generator(seed: str, key: str) -> torch.Generator:
    """Randomness of a tensor's own, so that what else is edited does not change it."""
    digest = hashlib.sha256(f"{seed}/{key}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))


def _canonical(plan: Plan, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The state by the keys that hold tensors, aliases left out; `EditError` where it is not that of the plan's network."""
    found: dict[str, torch.Tensor] = {}
    caches = caches_of(plan.before)
    for key, entry in plan.before.tensors.items():
        head = entry.alias_of or key
        if key in state:
            if tuple(state[key].shape) != tuple(entry.type.shape):
                if key in caches:
                    found[head] = fresh(key, entry, None, "cpu")
                    continue
                raise EditError(
                    f"the state has {key!r} of shape {tuple(state[key].shape)} where the plan's network has "
                    f"{tuple(entry.type.shape)}; a plan fits the network it was made for"
                )
            found.setdefault(head, state[key])
    for key, entry in plan.before.tensors.items():
        if entry.alias_of is None and key not in found:
            if entry.persistent and entry.constant is None:
                raise EditError(f"the state lacks {key!r}; a plan fits the network it was made for")
            if entry.constant is not None:
                found[key] = fresh(key, entry, None, "cpu")
    return found


def undo_plan(plan: Plan, state: Mapping[str, torch.Tensor], old: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """See `Plan.undo`."""
    states = _states(plan, old)
    current = {key: tensor.detach() for key, tensor in state.items()}
    for stage, before in zip(reversed(plan.stages), reversed(states[:-1])):
        restored = {}
        for key, tensor in before.items():
            stays = key in current and key in stage.graph.tensors and key not in stage.fresh
            if stays and key in stage.moves:
                restored[key] = _taken_back(current[key], stage.moves[key], tensor)
            else:
                restored[key] = current[key] if stays else tensor
        current = restored
    return {key: tensor.detach().clone() for key, tensor in current.items()}


def _taken_back(tensor: torch.Tensor, move: Move, before: torch.Tensor) -> torch.Tensor:
    """What stands in ``before``, with what has survived of it in its place."""
    places = [torch.arange(size) for size in before.shape]
    tensor = tensor / move.scale if move.scale != 1.0 else tensor
    for axis, codes in enumerate(move.axes):
        if codes is None:
            continue
        if move.shared[axis]:
            there = torch.from_numpy((codes != NEW).nonzero()[0])
            origin = torch.from_numpy(sources(codes)[codes != NEW])
            shape = (*tensor.shape[:axis], before.shape[axis], *tensor.shape[axis + 1 :])
            summed = torch.zeros(shape, dtype=tensor.dtype, device=tensor.device)
            summed.index_add_(axis, origin.to(tensor.device), tensor.index_select(axis, there.to(tensor.device)))
            places[axis] = origin.unique()
            tensor = summed.index_select(axis, places[axis].to(tensor.device))
        else:
            stay = torch.from_numpy((codes >= 0).nonzero()[0])
            tensor, places[axis] = tensor.index_select(axis, stay.to(tensor.device)), torch.from_numpy(codes[codes >= 0])
    if tensor.dim() == 0:
        return tensor
    found = before.clone()
    found[torch.meshgrid(*places, indexing="ij")] = tensor
    return found
