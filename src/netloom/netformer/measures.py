"""How near decoded networks are to the originals: functions, structures, edges, weights, values inside."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from .computing import hidden_values
from .config import Family, expect, expect_seed
from .populations import Population
from .structures import Structures


def functional_r2(found: Tensor, given: Tensor) -> Tensor:
    """1 − Σ (f̂ − f)² / Σ (f − mean f)² for each network, outputs together: (M,) of outputs (M, n, K).

    >>> f = torch.tensor([[[0.0], [2.0]]])
    >>> functional_r2(f, f), functional_r2(torch.ones(1, 2, 1), f)
    (tensor([1.]), tensor([0.]))
    """
    error = ((found - given) ** 2).sum((1, 2))
    return 1 - error / ((given - given.mean(1, keepdim=True)) ** 2).sum((1, 2)).clamp(min=1e-12)


@dataclass(frozen=True, slots=True)
class Report:
    """Measures of decoded networks against the originals.

    Functional R² on fresh standard normal inputs: ``median``, ``pooled`` (errors and variances added up before they are
    divided), ``p10`` and ``share`` of networks with 0.9 or more. Structure: ``edge_iou``, edges in both over edges in either;
    ``depth``, ``width``, ``activation`` and ``recovery`` (all of it) as shares that are right. ``edge_accuracy``: the share of
    the original's edges that are in the decoded network with the same sign, neurons matched. Cosines between originals
    and decoded networks: ``weights``, and ``activations`` of the last hidden layer before the outputs, averaged over inputs
    and networks, neurons in their own order and (``matched``) in the order that fits best.
    """

    median: float
    pooled: float
    p10: float
    share: float
    edge_iou: float
    depth: float
    width: float
    activation: float
    recovery: float
    edge_accuracy: float
    weights: float
    activations: float
    activations_matched: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def compare(found: Population, given: Population, family: Family, *, inputs: int = 256, seed: int = 0) -> Report:
    """The report of decoded networks ``found`` against ``given``, asked at ``inputs`` inputs drawn with ``seed``."""
    expect(type(inputs) is int and inputs >= 2, "inputs", inputs, "a whole number ≥ 2")
    expect_seed(seed)
    x = torch.randn(inputs, family.max_inputs, generator=torch.Generator().manual_seed(seed + 1_000_003))
    mine, theirs = found.outputs(x, family), given.outputs(x, family)
    r2 = functional_r2(mine, theirs)
    error, variance = ((mine - theirs) ** 2).sum((1, 2)), ((theirs - theirs.mean(1, keepdim=True)) ** 2).sum((1, 2))
    pairs = [_pair(found, given, place, family, x) for place in range(min(len(given), 500))]
    edge, weights, plain, matched = (_mean([pair[k] for pair in pairs]) for k in range(4))
    a, b = found.structures, given.structures
    live, same = b.widths > 0, a.depth == b.depth
    right = same & (a.widths == b.widths).all(1) & (a.activations == b.activations).all(1)
    return Report(
        float(r2.median()), float(1 - error.sum() / variance.sum()), float(r2.quantile(0.1)),
        float((r2 >= 0.9).float().mean()), float(edge_iou(a, b, family).mean()), float(same.float().mean()),
        float((a.widths == b.widths)[live].float().mean()), float((a.activations == b.activations)[live].float().mean()),
        float((right & (a.inputs == b.inputs) & (a.outputs == b.outputs)).float().mean()), edge, weights, plain, matched,
    )  # fmt: skip


def _mean(values: list[float]) -> float:
    """The mean of those that are known; nan where none is."""
    known = [value for value in values if value == value]
    return sum(known) / len(known) if known else float("nan")


def edge_iou(a: Structures, b: Structures, family: Family) -> Tensor:
    """Edges in both over edges in either, (M,): weights between neurons that are there, at their padded places."""
    both, either = torch.zeros(len(a)), torch.zeros(len(a))
    for of_a, of_b in zip(_borders(a, family), _borders(b, family)):
        common = [torch.minimum(x, y) for x, y in zip(of_a, of_b)]
        shared = common[0] * common[1]
        both += shared
        either += of_a[0] * of_a[1] + of_b[0] * of_b[1] - shared
    return both / either


def _borders(structures: Structures, family: Family) -> list[tuple[Tensor, Tensor]]:
    """Neurons on both sides of each place where a layer's weights may be, (M,) each; 0 where there is no such layer."""
    layers = [structures.inputs, *structures.widths.unbind(1)]
    found = [(below.float(), above.float()) for below, above in zip(layers, layers[1:])]
    last = structures.widths.gather(1, structures.depth[:, None] - 1)[:, 0]
    return [*found, (last.float(), structures.outputs.float())]


def _pair(found: Population, given: Population, place: int, family: Family, x: Tensor) -> tuple[float, float, float, float]:
    """Edge accuracy, cosine of weights, cosines of the last hidden layer's values; nan where sizes differ."""
    a, b = found.structures, given.structures
    depth, width = int(b.depth[place]), int(b.widths[place, int(b.depth[place]) - 1])
    ends = [(int(s.inputs[place]), int(s.outputs[place])) for s in (a, b)]
    if int(a.depth[place]) != depth or not torch.equal(a.widths[place], b.widths[place]) or ends[0] != ends[1]:
        return 0.0, np.nan, np.nan, np.nan
    alone = [population[place : place + 1] for population in (found, given)]
    values = [hidden_values(p.layers(depth), p.structures.activations, family.activations, x[None]) for p in alone]
    orders = [_matched(values[0][layer][1][0], values[1][layer][1][0], int(b.widths[place, layer])) for layer in range(depth)]
    mine, theirs = (value[-1][1][0][:, :width] for value in values)
    signs, flat = _edges(found.state(place), given.state(place), orders)
    plain, matched = (_cosine(v, theirs) for v in (mine, mine[:, orders[-1]]))
    return signs, flat, plain, matched


def _cosine(a: Tensor, b: Tensor) -> float:
    """Mean cosine between rows; rows that are zero in both are alike."""
    silent = (a == 0).all(1) & (b == 0).all(1)
    return float(torch.where(silent, 1.0, cosine_similarity(a, b, dim=1)).mean())


def _matched(mine: Tensor, theirs: Tensor, width: int) -> Tensor:
    """For each neuron of the original the decoded one whose values agree most with its own."""
    from scipy.optimize import linear_sum_assignment

    unit = [v[:, :width] / v[:, :width].norm(dim=0).clamp(min=1e-9) for v in (mine, theirs)]
    _, order = linear_sum_assignment(-(unit[1].T @ unit[0]).numpy())
    return torch.from_numpy(order)


def _edges(mine: list[Tensor], theirs: list[Tensor], orders: list[Tensor]) -> tuple[float, float]:
    """Share of weights with the right sign, and the cosine of all weights, neurons matched layer by layer."""
    agreed, count, found, given = 0.0, 0, [], []
    for layer, (weight, other) in enumerate(zip(mine[::2], theirs[::2])):
        weight = weight if layer == 0 else weight[:, orders[layer - 1]]
        weight = weight if layer == len(orders) else weight[orders[layer]]
        agreed += float((weight.sign() == other.sign()).sum())
        count += other.numel()
        found.append(weight.flatten())
        given.append(other.flatten())
    return agreed / count, float(cosine_similarity(torch.cat(found), torch.cat(given), dim=0))


def sensitivities(population: Population, family: Family, samples: int = 128, seed: int = 0) -> Tensor:
    """SeReNe of every hidden neuron: mean |∂y_k/∂z| over normal inputs and outputs, (M, L, W).

    The same numbers as `netloom.encode.sensitivity`, for thousands of networks at once.
    """
    found = torch.zeros(len(population), family.max_layers, family.max_width)
    x = torch.randn(samples, family.max_inputs, generator=torch.Generator().manual_seed(seed))
    for depth, places in population.by_depth():
        for chunk in places.split(256):
            part = population[chunk]
            layers = [(w.clone().requires_grad_(), b) for w, b in part.layers(depth)]
            inputs = x.expand(len(chunk), -1, -1)
            values = hidden_values(layers, part.structures.activations, family.activations, inputs)
            outputs = torch.baddbmm(part.head_bias, values[-1][1], part.head)
            for k in range(family.max_outputs):
                grads = torch.autograd.grad(outputs[..., k].sum(), [z for z, _ in values], retain_graph=True)
                for layer, grad in enumerate(grads):
                    found[chunk, layer] += grad.abs().mean(1)
    return found * population.structures.mask(family.max_width) / population.structures.outputs[:, None, None]


def of_mean_one(values: Tensor, structures: Structures, max_width: int) -> Tensor:
    """Sensitivities (M, L, W) divided by each network's mean over its neurons."""
    neurons = structures.mask(max_width).sum((1, 2))
    return values / (values.sum((1, 2)) / neurons).clamp(min=1e-9)[:, None, None]
