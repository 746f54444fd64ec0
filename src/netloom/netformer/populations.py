"""`Population`: trained perceptrons as padded tensors, and back to networks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..errors import NetformerError
from ..graph.graph import Graph
from .computing import Layer, hidden_values
from .config import Family
from .structures import Outline, Structures, outline_of

if TYPE_CHECKING:
    from ..building.network import Network
    from ..zoo import Zoo

#: Networks that are computed at once.
_CHUNK = 512
#: Weights of hidden layers beyond this are those of a training that went wrong.
_LARGEST = 1e4


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """M trained networks of a family, padded with zeros to its largest sizes.

    ``weights`` (M, in, W) and ``biases`` (M, 1, W) of each of the L hidden layers, ``head`` (M, W, K) and ``head_bias``
    (M, 1, K). ``tasks`` (M,) are numbers of what they learned, ``scores`` (M,) how well, ``meta`` (M, 37) meta-features of
    their data, NaN where they are not known; ``numbers`` (M,) those in the zoo.
    """

    structures: Structures
    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]
    head: Tensor
    head_bias: Tensor
    tasks: Tensor
    scores: Tensor
    meta: Tensor
    numbers: Tensor

    def __len__(self) -> int:
        return len(self.structures)

    def __getitem__(self, places: Any) -> Population:
        return Population(
            self.structures[places],
            tuple(weight[places] for weight in self.weights),
            tuple(bias[places] for bias in self.biases),
            *(getattr(self, name)[places] for name in ("head", "head_bias", "tasks", "scores", "meta", "numbers")),
        )

    def layers(self, depth: int) -> list[Layer]:
        """Weights and biases of the first ``depth`` hidden layers."""
        return list(zip(self.weights[:depth], self.biases[:depth]))

    def is_finite(self) -> bool:
        """Whether all weights are."""
        return all(bool(t.isfinite().all()) for t in (*self.weights, *self.biases, self.head, self.head_bias))

    def digest(self) -> str:
        """A hash of what is learned from: all weights, tasks, scores and meta-features."""
        found = hashlib.sha256()
        parts = (*self.weights, *self.biases, self.head, self.head_bias, self.tasks, self.scores, self.meta, self.numbers)
        for tensor in parts:
            found.update(tensor.contiguous().numpy().tobytes())
        return found.hexdigest()

    def by_depth(self) -> list[tuple[int, Tensor]]:
        """Each depth that occurs, and the places of the networks that have it."""
        depths = self.structures.depth
        return [(int(depth), (depths == depth).nonzero().flatten()) for depth in depths.unique()]

    def outputs(self, x: Tensor, family: Family) -> Tensor:
        """What each network gives for ``x`` (n, max_inputs), or its own (M, n, max_inputs): (M, n, K)."""
        n = x.shape[-2]
        found = torch.zeros(len(self), n, family.max_outputs)
        for depth, places in self.by_depth():
            for chunk in places.split(_CHUNK):
                part = self[chunk]
                own = x.expand(len(chunk), -1, -1) if x.dim() == 2 else x[chunk]
                values = hidden_values(part.layers(depth), part.structures.activations, family.activations, own)
                found[chunk] = torch.baddbmm(part.head_bias, values[-1][1], part.head)
        return found

    # -- from and to networks ------------------------------------------------------------------------------------------
    def state(self, place: int) -> list[Tensor]:
        """Weight (out, in) and bias (out,) of every linear layer of one network, padding left out."""
        structure = self.structures
        sizes = [int(structure.inputs[place]), *structure.widths[place, : int(structure.depth[place])].tolist()]
        found: list[Tensor] = []
        for (weight, bias), fan_in, out in zip(self.layers(len(sizes) - 1), sizes, sizes[1:]):
            found += [weight[place, :fan_in, :out].T.contiguous(), bias[place, 0, :out].clone()]
        count = int(structure.outputs[place])
        return [*found, self.head[place, : sizes[-1], :count].T.contiguous(), self.head_bias[place, 0, :count].clone()]

    def networks(self, family: Family, graphs: Sequence[Graph | None] | None = None) -> list[Network]:
        """The networks: of ``graphs`` where they are given, else with layers ``hidden.0.linear`` … and ``head``."""
        from ..building.network import build

        found = []
        for place in range(len(self)):
            graph = (graphs[place] if graphs is not None else None) or self.structures.graph(place, family)
            keys = [key for pair in outline_of(graph, family, any_ends=True).keys for key in pair]
            found.append(build(graph, weights={k: v for k, v in zip(keys, self.state(place)) if k}).eval())
        return found


def of_networks(networks: Iterable[Any], family: Family, meta: Any = None) -> Population:
    """The population of given networks (nl.Network, or modules of torch that are traced); `NetformerError` names what is none.

    ``meta``: meta-features of each one's data, (M, 37) or mappings.
    """
    rows = []
    for place, network in enumerate(networks):
        try:
            graph, state = _read(network)
            rows.append(_row(outline_of(graph, family), state))
        except NetformerError as error:
            raise NetformerError(f"network {place}: {error}") from None
    if not rows:
        raise NetformerError("there is no network to read")
    found = _assembled(rows, family)
    return found if meta is None else replace(found, meta=meta_tensor(meta, len(found)))


def _read(network: Any) -> tuple[Graph, Any]:
    from ..zoo import ZooNetwork

    network = network.network if isinstance(network, ZooNetwork) else network
    graph = getattr(network, "graph", None)
    if isinstance(graph, Graph):
        return graph, network.state_dict()
    if not isinstance(network, torch.nn.Module):
        raise NetformerError(f"a {type(network).__name__} is no trained network; give nl.Network objects, or modules of torch")
    from ..errors import NetloomError
    from ..tracing.trace import trace

    others = {type(m).__name__ for m in network.modules() if m._parameters and not isinstance(m, torch.nn.Linear)}
    first = next((module for module in network.modules() if isinstance(module, torch.nn.Linear)), None)
    if first is None:
        raise NetformerError(f"{type(network).__name__} has no linear layer; a Netformer reads perceptrons")
    try:
        return trace(network, torch.zeros(2, first.in_features, dtype=first.weight.dtype)), network.state_dict()
    except NetloomError as error:
        if others:
            what = f"{type(network).__name__} has {', '.join(sorted(others))}"
            raise NetformerError(f"{what}; a Netformer reads perceptrons, of Linear and activations alone") from None
        raise NetformerError(f"{type(network).__name__} cannot be traced: {error}") from None


def _row(outline: Outline, state: Any) -> tuple[Outline, list[Tensor]]:
    """Outline and tensors of a network, checked."""
    tensors: list[Tensor] = []
    sizes = [*(width for width, _ in outline.hidden), outline.outputs]
    for (weight, bias), out in zip(outline.keys, sizes):
        tensors += [state[weight].detach().float(), state[bias].detach().float() if bias else torch.zeros(out)]
    for place, (key, tensor) in enumerate(zip([key for pair in outline.keys for key in pair], tensors)):
        if not tensor.isfinite().all():
            raise NetformerError(f"weights {key!r} are not finite; leave the network out, or train it again")
        # The last layer has the units of the targets, which may be large.
        if place < len(tensors) - 2 and tensor.abs().max() > _LARGEST:
            raise NetformerError(f"weights {key!r} reach {float(tensor.abs().max()):.3g}; its training went wrong")
    return outline, tensors


def _assembled(rows: Sequence[tuple[Outline, list[Tensor]]], family: Family) -> Population:
    count, wide = len(rows), family.max_width
    structures = Structures.of(
        [outline.hidden for outline, _ in rows], [o.inputs for o, _ in rows], [o.outputs for o, _ in rows], family
    )
    ins = [family.max_inputs, *[wide] * (family.max_layers - 1)]
    weights = [np.zeros((count, fan_in, wide), np.float32) for fan_in in ins]
    biases = [np.zeros((count, 1, wide), np.float32) for _ in ins]
    head, head_bias = (np.zeros((count, n, family.max_outputs), np.float32) for n in (wide, 1))
    for place, (_, tensors) in enumerate(rows):
        arrays = [tensor.numpy() for tensor in tensors]
        *pairs, (last, last_bias) = zip(arrays[::2], arrays[1::2])
        for layer, (weight, bias) in enumerate(pairs):
            weights[layer][place, : weight.shape[1], : weight.shape[0]] = weight.T
            biases[layer][place, 0, : len(bias)] = bias
        head[place, : last.shape[1], : last.shape[0]], head_bias[place, 0, : len(last_bias)] = last.T, last_bias
    nothing = torch.full((count, 37), torch.nan)
    return Population(
        structures, tuple(map(torch.from_numpy, weights)), tuple(map(torch.from_numpy, biases)), torch.from_numpy(head),
        torch.from_numpy(head_bias), torch.arange(count), torch.full((count,), torch.nan), nothing, torch.arange(count),
    )  # fmt: skip


def of_zoo(
    zoo: Zoo, family: Family, *, meta_tasks: int | None = None, tell: Callable[[int], object] = lambda count: None
) -> tuple[Population, dict[str, int]]:
    """The networks of a zoo that are of the family, and how many were left out for which reason.

    Meta-features are those of the first ``meta_tasks`` tasks (of all by default), unknown of others. Left out are trainings
    that did not end well, and weights that are not finite. `NetformerError` where nothing is left, or where a network is
    outside the family.
    """
    if not len(zoo):
        raise NetformerError("the zoo has no network; make one with nl.zoo.make, or loosen its filter")
    rows, tasks, scores, numbers = [], [], [], []
    left_out: dict[str, int] = {}
    outlines: dict[str, Outline] = {}
    for network in zoo:
        record = network.record
        tell(1)
        if record["status"] != "ok" or not record["has_weights"]:
            left_out[record["status"]] = left_out.get(record["status"], 0) + 1
            continue
        try:
            if record["graph_hash"] not in outlines:
                outlines[record["graph_hash"]] = outline_of(network.graph, family)
            rows.append(_row(outlines[record["graph_hash"]], network.weights))
        except NetformerError as error:
            if "are not finite" not in str(error) and "went wrong" not in str(error):
                raise NetformerError(f"network {network.number} of the zoo: {error}") from None
            left_out["diverged"] = left_out.get("diverged", 0) + 1
            continue
        tasks.append(record["task"])
        scores.append(record["score"])
        numbers.append(network.number)
    if not rows:
        raise NetformerError(f"none of the zoo's {len(zoo):,} networks can be learned from: {left_out}")
    found = replace(
        _assembled(rows, family), tasks=torch.tensor(tasks), scores=torch.tensor(scores, dtype=torch.float32),
        numbers=torch.tensor(numbers),
    )  # fmt: skip
    return replace(found, meta=_meta_of(zoo, found.tasks, meta_tasks)), left_out


def _meta_of(zoo: Zoo, tasks: Tensor, most: int | None) -> Tensor:
    """Meta-features of the train part of each network's task."""
    from ..tasks.metafeatures import get_meta_features, names

    rows: dict[int, Any] = {}
    for number in sorted({*tasks.tolist()})[:most]:
        part: Any = zoo.tasks[number].train
        rows[number] = list(get_meta_features(part.x, part.y).values())
    unknown = [float("nan")] * len(names())
    return torch.tensor([rows.get(number, unknown) for number in tasks.tolist()], dtype=torch.float32)


def meta_tensor(meta: Any, count: int) -> Tensor:
    """Meta-features of ``count`` networks, (count, 37): of mappings, an array, or one mapping for all."""
    from ..tasks.metafeatures import names

    wanted = names()
    if isinstance(meta, Mapping):
        meta = [meta] * count
    if isinstance(meta, Sequence) and meta and all(isinstance(one, Mapping) for one in meta):
        for one in meta:
            lacking = [name for name in wanted if name not in one]
            if lacking:
                raise NetformerError(f"meta-features lack {', '.join(lacking[:5])}; nl.get_meta_features(X, y) gives all 37")
        meta = [[one[name] for name in wanted] for one in meta]
    try:
        meta = meta.detach().cpu() if isinstance(meta, Tensor) else meta
        found = torch.as_tensor(np.asarray(meta, dtype=np.float32))
    except (TypeError, ValueError):
        raise NetformerError(f"meta-features are a {type(meta).__name__}; nl.get_meta_features(X, y) gives them") from None
    found = found.expand(count, -1) if found.dim() == 1 else found
    if found.shape != (count, len(wanted)):
        raise NetformerError(f"meta-features have shape {tuple(found.shape)}; expected ({count}, {len(wanted)})")
    return found
