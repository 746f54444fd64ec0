"""From views to tensors: states of nodes are computed for a batch of networks, and decoded in groups of one shape."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..errors import HypernetworkError, NetloomWarning
from ..graph.graph import Graph
from .assignment import CLASS_WEIGHT, TABLE, VECTOR, Assignment, Target, assigned, core
from .config import TRANSFORMER, Config
from .shape_encoding import four_sizes
from .tiling import fan_in_scale, squashed, stretched, tiled
from .viewing import HyperGraph, as_graph, hyper_graph

if TYPE_CHECKING:
    from .hypernetwork import Hypernetwork


@dataclass(slots=True)
class Prediction:
    """Predicted tensors by name, with the view they come from; ``left`` says of the other parameters why.

    ``tiled`` names tensors larger than the hypernetwork's max_shape, made by repeating; ``mapped`` those of operators that
    were taken for others, as name → (operator, type).
    """

    tensors: dict[str, Tensor]
    view: HyperGraph
    graph: Graph
    embeddings: Tensor
    left: dict[str, str] = field(default_factory=dict)
    mapped: dict[str, tuple[str, str]] = field(default_factory=dict)
    tiled: tuple[str, ...] = ()
    #: Name → classes of class layers that have others than the hypernetwork.
    other_classes: dict[str, int] = field(default_factory=dict)

    @property
    def num_params(self) -> int:
        """Number of predicted parameters."""
        return sum(tensor.numel() for tensor in self.tensors.values())

    def summary(self) -> str:
        """What was predicted, and what was not, in a few words.

        ``161 of 161 tensors predicted, 25,557,032 parameters; 97 of them larger than the largest that is decoded, and tiled``
        """
        total = len(self.tensors) + len(self.left)
        parts = [f"{len(self.tensors)} of {total} tensors predicted, {self.num_params:,} parameters"]
        if self.tiled:
            parts.append(f"{len(self.tiled)} of them larger than the largest that is decoded, and tiled")
        return "; ".join(parts + self.remarks())

    def remarks(self) -> list[str]:
        """What a user must know before trusting the prediction."""
        found = []
        unused = [name for name, why in self.left.items() if why == "not used"]
        kept = {name: why for name, why in self.left.items() if why != "not used" and not why.startswith("a class layer")}
        if kept:
            found.append(f"{len(kept)} left at their values: {_grouped(kept)}")
        if self.mapped:
            kinds = {name: f"{op} as {kind}" for name, (op, kind) in self.mapped.items()}
            found.append(f"{len(kinds)} of operators that no hypernetwork was trained on: {_grouped(kinds)}")
        if self.other_classes:
            found.append(
                "class layers: " + ", ".join(f"{name} has {size} classes" for name, size in self.other_classes.items())
            )
        if unused:
            found.append(f"{len(unused)} not used by the network")
        return found


def _grouped(reasons: Mapping[str, str]) -> str:
    groups: dict[str, list[str]] = defaultdict(list)
    for name, why in reasons.items():
        groups[why].append(name)
    return "; ".join(
        f"{why} ({', '.join(names[:2])}{f' and {len(names) - 2} more' if len(names) > 2 else ''})"
        for why, names in groups.items()
    )


def view_of(model_or_graph: Any, example: Any, config: Config) -> tuple[Graph, HyperGraph]:
    """Graph and view of a model as a hypernetwork of this configuration sees it; of a pair of both, itself."""
    if isinstance(model_or_graph, tuple) and len(model_or_graph) == 2 and isinstance(model_or_graph[1], HyperGraph):
        return model_or_graph
    if isinstance(model_or_graph, HyperGraph):
        raise HypernetworkError("a HyperGraph does not say where parameters go; give (graph, view), or the model")
    graph = as_graph(model_or_graph, example)
    style = "ghn3" if config.hypernet == TRANSFORMER else "ppuda"
    return graph, hyper_graph(graph, virtual_edges=config.virtual_edges, style=style)


def predict(
    ghn: Hypernetwork,
    models: Sequence[Any],
    examples: Sequence[Any] | None = None,
    *,
    class_layers: bool = True,
    seed: int = 0,
    warn: bool = True,
) -> list[Prediction]:
    """The predicted tensors of several networks, which are gone over together.

    Each is a `Graph`, a `Network`, a module with its example, or a pair (graph, view) where the view is at hand.
    ``class_layers`` includes the
    last layers. ``seed`` draws class tokens. One `NetloomWarning` for each network says what was not predicted as trained for;
    ``warn=False`` leaves it in ``remarks()``.
    """
    given = zip(models, examples or [None] * len(models))
    pairs = [view_of(model, example, ghn.config) for model, example in given]
    if not pairs:
        return []
    batch = ghn.union([view for _, view in pairs])
    states = ghn.states(batch)
    plans = [assigned(view, graph, offset, class_layers) for (graph, view), offset in zip(pairs, batch.offsets)]
    owned = [(number, target) for number, plan in enumerate(plans) for target in plan.targets]
    decoded = decode(ghn, states, [target for _, target in owned], seed)
    found = []
    for number, ((graph, view), plan) in enumerate(zip(pairs, plans)):
        tensors = {target.name: tensor for (owner, target), tensor in zip(owned, decoded) if owner == number}
        rows = states[batch.offsets[number] : batch.offsets[number + 1]]
        found.append(_finished(ghn, tensors, view, graph, rows, plan))
    if warn:
        for prediction in found:
            warn_of(prediction, ghn)
    return found


def _finished(
    ghn: Hypernetwork, tensors: dict[str, Tensor], view: HyperGraph, graph: Graph, rows: Tensor, plan: Assignment
) -> Prediction:  # fmt: skip
    most, classes = ghn.config.max_shape, ghn.config.num_classes
    large = tuple(target.name for target in plan.targets if _is_larger(target, most))
    others = {t.name: t.shape[0] for t in plan.targets if t.kind == CLASS_WEIGHT and t.shape[0] != classes}
    return Prediction(tensors, view, graph, rows, plan.left, plan.mapped, large, others)


def _is_larger(target: Target, most: tuple[int, int, int, int]) -> bool:
    """Whether a tensor is made by repeating what is decoded."""
    if target.kind == VECTOR:
        return not target.is_class and bool(target.shape) and target.shape[0] > most[0]
    if target.kind == CLASS_WEIGHT:
        return target.shape[1] > most[1]
    return any(size > limit for size, limit in zip(four_sizes(target.shape), most))


def warn_of(prediction: Prediction, ghn: Hypernetwork) -> None:
    """One warning with all remarks, if there are any."""
    remarks = prediction.remarks()
    if prediction.other_classes:
        remarks.append(
            f"the hypernetwork was made for {ghn.config.num_classes} classes, so that their predictions mean nothing"
        )
    if remarks:
        warnings.warn(f"{type(ghn).__name__}: {'; '.join(remarks)}", NetloomWarning, stacklevel=5)


# -- decoding ----------------------------------------------------------------------------------------------------------
def decode(ghn: Hypernetwork, states: Tensor, targets: Sequence[Target], seed: int = 0) -> list[Tensor]:
    """The tensor of every target, decoded together with those of its likes."""
    found: list[Tensor | None] = [None] * len(targets)
    groups: dict[Any, list[int]] = defaultdict(list)
    for number, target in enumerate(targets):
        groups[target.kind if target.kind in (VECTOR, CLASS_WEIGHT) else core(target, ghn.config.max_shape)[2:]].append(number)
    for key, numbers in groups.items():
        chosen = [targets[number] for number in numbers]
        nodes = states.index_select(0, torch.tensor([target.node for target in chosen], device=states.device))
        if key == VECTOR:
            tensors = _vectors(ghn, nodes, chosen)
        elif key == CLASS_WEIGHT:
            tensors = _class_weights(ghn, nodes, chosen)
        else:
            tensors = _weights(ghn, nodes, chosen, key, seed)
        for number, tensor in zip(numbers, tensors):
            found[number] = tensor.t() if targets[number].is_turned else tensor
    return found  # type: ignore[return-value]


def _vectors(ghn: Hypernetwork, nodes: Tensor, targets: list[Target]) -> list[Tensor]:
    rows = ghn.decoder_1d(nodes).view(len(nodes), 2, -1)
    classes = [number for number, target in enumerate(targets) if target.is_class]
    biases = ghn.bias_class(rows[classes, 1]) if classes else rows
    if ghn.config.weight_norm:
        rows, biases = squashed(rows), torch.tanh(0.2 * biases)
    of_class = dict(zip(classes, biases))
    vectors = rows.flatten(0, 1).unbind()
    found = []
    for number, target in enumerate(targets):
        vector = of_class[number] if target.is_class else vectors[2 * number + target.row]
        found.append(tiled(vector, (prod(target.shape),)).view(target.shape))
    return found


def _class_weights(ghn: Hypernetwork, nodes: Tensor, targets: list[Target]) -> list[Tensor]:
    most = max(min(target.shape[1], ghn.config.max_shape[1]) for target in targets)
    made = ghn.decoder.class_weights(nodes, most)
    return [
        tiled(_scaled(ghn, tensor[:, : target.shape[1]], target.shape), target.shape) for tensor, target in zip(made, targets)
    ]


def _weights(ghn: Hypernetwork, nodes: Tensor, targets: list[Target], kernel: Any, seed: int) -> list[Tensor]:
    """Weights of one size of kernel; those of the same channels are decoded together."""
    features = ghn.decoder.hidden(nodes, kernel)
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, target in enumerate(targets):
        groups[core(target, ghn.config.max_shape)[:2]].append(number)
    found: list[Tensor | None] = [None] * len(targets)
    for (num_out, num_in), numbers in groups.items():
        part = features if len(numbers) == len(targets) else features[numbers]
        for number, tensor in zip(numbers, ghn.decoder.weights(part, num_out, num_in)):
            found[number] = _shaped(ghn, tensor, targets[number], seed)
    return found  # type: ignore[return-value]


def _shaped(ghn: Hypernetwork, tensor: Tensor, target: Target, seed: int) -> Tensor:
    """(out, in, h, w) → the shape of the target: tiled, or for kernels that GHN-3 enlarges, stretched."""
    shape = target.shape
    if target.kind == TABLE:
        return _table(tensor, shape, seed)
    four = (*shape, 1, 1, 1)[:4] if len(shape) <= 4 else (*shape[:2], *shape[-2:])
    if ghn.config.hypernet == TRANSFORMER and min(four[2:]) > min(tensor.shape[2:]):
        tensor = stretched(tensor[None], (four[2], four[3]))[0]
    tensor = tiled(_scaled(ghn, tensor, shape), four)
    if len(shape) > 4:  # the depth of a three-dimensional kernel is repeated
        tensor = tensor.view(*four[:2], *(1,) * (len(shape) - 4), *four[2:]).expand(shape)
    return tensor.reshape(shape)


def _table(tensor: Tensor, shape: tuple[int, ...], seed: int) -> Tensor:
    """A table of positions (1, n, c) from an image (1, c', s, s); rows for tokens in front of the places are drawn."""
    rows = tiled(tensor.flatten(2).transpose(1, 2), (1, tensor.shape[2] * tensor.shape[3], shape[2]))
    missing = shape[1] - rows.shape[1]
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn((1, max(0, missing), shape[2]), generator=generator).mul_(0.02).to(rows)
    return torch.cat((tokens, rows), dim=1)[:, : shape[1]]


def _scaled(ghn: Hypernetwork, tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Before it is tiled: what is repeated is scaled once."""
    return tensor * fan_in_scale(shape) if ghn.config.weight_norm else tensor
