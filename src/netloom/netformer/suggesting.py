"""A network for new data: a surrogate answers the probes, the encoder reads the answers, the decoder writes the network.

    X ─ whitened ─┐
                  ├─ surrogate ─ answers at the probes ─ encoder ─ latents ─ decoder ─ network ─ in the units of X and y
    y ─ targets ──┘
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..errors import NetformerError
from ..tasks.targets import decide_kind
from .computing import Layer, hidden_values
from .config import expect, expect_seed, expect_steps
from .structures import Outline, Structures, graph_of, outline_of
from .surrogates import SURROGATES, Surrogate, fitted

if TYPE_CHECKING:
    from ..building.network import Network
    from ..graph.graph import Graph
    from .latent_space import Latent
    from .model import Netformer

Array = np.ndarray[Any, Any]
#: Directions of the data with less variance than this share of the largest are not blown up.
_FLOOR = 0.02
#: Numbers above are not handled: their squares, and networks of 32 bits, end soon after.
_LARGEST = 1e35
#: Structures that are tried where none is asked for.
_TRIED = 24
#: Penalties of output weights, by which leaving one out is compared. None is small: training goes on from here, and large
#: output weights that cancel each other would keep it from moving.
_RIDGES = np.logspace(-2, 1, 7)
_LEARNING_RATE = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """Samples in coordinates that are about standard normal, ``z`` (n, inputs) = (x − mean) @ ``into``, and targets (n, K).

    Targets of a regression have mean 0 and variance 1 (``level``, ``spread`` undo it); those of classes are ±1.
    """

    x: Array
    z: Array
    mean: Array
    into: Array
    targets: Array
    labels: Array | None
    level: Array
    spread: Array


def suggest(
    former: Netformer, x: Any, y: Any, graph: Graph | None, *, surrogate: str, refine: int, fit_readout: bool, seed: int
) -> Network:
    """See `Netformer.suggest`."""
    expect(surrogate in SURROGATES, "surrogate", surrogate, f"one of {', '.join(SURROGATES)}")
    expect_steps(refine)
    expect_seed(seed)
    data = prepared(x, y, former.family.max_inputs)
    outline = None if graph is None else _outline(former, graph, data)
    model = fitted(surrogate, data.z, data.targets)
    structures = _structures(former, outline, data, seed)
    function = _latents(former, model, structures)
    hidden, place = _best(former, function, structures, data)
    if refine:
        function = _refined(former, function[place], hidden.structure, data, refine)
        hidden, _ = _best(former, function, hidden.structure, data)
    return _network(former, graph, hidden, _head(former, hidden, model, data, fit_readout), data)


# -- data ----------------------------------------------------------------------------------------------------------------
def prepared(x: Any, y: Any, max_inputs: int) -> Data:
    """Data as a Netformer's networks see them; `NetformerError` for what nothing can be learned from."""
    samples = _numbers("X", x)
    samples = samples.reshape(len(samples), -1)
    targets = _targets(y)
    if len(samples) < 4 or len(targets) != len(samples):
        raise NetformerError(f"X has {len(samples)} rows and y {len(targets)}; give as many targets as samples, four or more")
    labels = None
    squeezed = targets[:, 0] if targets.ndim == 2 and targets.shape[1] == 1 else targets
    if squeezed.ndim == 1 and decide_kind(squeezed) == "classification":
        classes, labels = np.unique(squeezed.astype(str) if squeezed.dtype.kind == "O" else squeezed, return_inverse=True)
        if len(classes) < 2:
            raise NetformerError("y has one class only; there is nothing to tell apart")
        wanted = 2.0 * np.eye(len(classes))[labels.reshape(-1)] - 1
        level, spread = np.zeros(len(classes)), np.ones(len(classes))
    else:
        wanted = _numbers("y", targets).reshape(len(targets), -1)
        level, spread = wanted.mean(0), wanted.std(0)
        if (spread <= 1e-12 * np.abs(level)).any() or not spread.all():
            raise NetformerError("y is the same for all samples; there is nothing to learn")
        wanted = (wanted - level) / spread
    mean, into = _whitening(samples, wanted, max_inputs)
    return Data(samples, (samples - mean) @ into, mean, into, wanted, labels, level, spread)


def _targets(y: Any) -> Array:
    """Targets as an array: of numbers where they are numbers, whatever holds them."""
    found = np.asarray(y.detach().cpu() if hasattr(y, "detach") else y)
    if found.ndim < 1:
        raise NetformerError(f"y is {y!r:.40}; give a target for each sample")
    if found.dtype.kind in "mM":
        raise NetformerError(f"y holds values of {found.dtype}; give times as numbers, such as days since the first")
    if found.dtype.kind == "O" and all(isinstance(value, Real) and not isinstance(value, bool) for value in found.flat):
        exact = all(isinstance(value, Integral) for value in found.flat)
        return found.astype(np.int64 if exact else np.float64)
    return found


def _numbers(name: str, given: Any) -> Array:
    try:
        given = np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)
        found: Array = given.astype(np.float64, casting="same_kind" if given.dtype.kind == "c" else "unsafe")
    except (TypeError, ValueError):
        mend = "encode them first, as nl.tasks.from_frame does"
        raise NetformerError(f"{name} holds other things than numbers; {mend}") from None
    if found.ndim < 1 or not found.size:
        raise NetformerError(f"{name} has shape {found.shape}; expected samples in rows")
    odd = int((~np.isfinite(found)).sum())
    if odd:
        raise NetformerError(f"{name} has {odd} cells that are missing or infinite; fill or drop them first")
    if np.abs(found).max() > _LARGEST:
        raise NetformerError(f"{name} reaches {np.abs(found).max():.3g}, too large for networks of 32 bits; scale it first")
    return found


def _whitening(samples: Array, targets: Array, most: int) -> tuple[Array, Array]:
    """Mean (d,) and map (d, k) to at most ``most`` coordinates of variance 1, as near to the columns as can be.

    Where there are more columns, the principal directions of the scaled columns that are kept are those that tell most of the
    targets.
    """
    mean, spread = samples.mean(0), samples.std(0)
    scale = np.where(spread > 1e-12, 1 / np.maximum(spread, 1e-12), 0.0)
    scaled = (samples - mean) * scale
    variance, directions = np.linalg.eigh(scaled.T @ scaled / len(scaled))
    variance = np.maximum(variance, _FLOOR * max(variance.max(), 1e-12))
    if samples.shape[1] <= most:
        return mean, scale[:, None] * (directions / np.sqrt(variance) @ directions.T)
    parts = scaled @ directions / np.sqrt(variance)
    told = ((parts.T @ targets / len(parts)) ** 2).sum(1) + 1e-3 * variance / variance.max()
    kept = np.argsort(-told, kind="stable")[:most]
    return mean, scale[:, None] * directions[:, kept] / np.sqrt(variance[kept])


def _outline(former: Netformer, graph: Graph, data: Data) -> Outline:
    outline = outline_of(graph, former.family, any_ends=True)
    wanted = (data.x.shape[1], data.targets.shape[1])
    if (outline.inputs, outline.outputs) != wanted:
        raise NetformerError(
            f"the graph takes {outline.inputs} inputs and gives {outline.outputs}; the data have {wanted[0]} and {wanted[1]}"
        )
    if not all(bias for _, bias in outline.keys):
        raise NetformerError("the graph has a linear layer without bias; a Netformer writes networks with biases")
    return outline


# -- latents ---------------------------------------------------------------------------------------------------------------
def _structures(former: Netformer, outline: Outline | None, data: Data, seed: int) -> Structures:
    """The structure asked for, or several to choose from, wide ones of each activation among them."""
    family, coder = former.family, former.core.structure
    inputs, outputs = data.z.shape[1], min(data.targets.shape[1], family.max_outputs)
    if outline is not None:
        return Structures.of([outline.hidden], [inputs], [outputs], family)
    wide = [[(family.max_width, kind)] * min(2, family.max_layers) for kind in range(len(family.activations))]
    drawn = coder.draw(_TRIED - len(wide), torch.Generator().manual_seed(seed))
    chosen = [
        list(zip(w[:d], a[:d])) for d, w, a in zip(drawn.depth.tolist(), drawn.widths.tolist(), drawn.activations.tolist())
    ]
    layers: Any = wide + chosen
    return Structures.of(layers, [inputs] * len(layers), [outputs] * len(layers), family)


def _latents(former: Netformer, model: Surrogate, structures: Structures) -> Tensor:
    """Function latents of the network that would answer as the surrogate does, one row for each structure."""
    core, family = former.core, former.family
    inputs, outputs = int(structures.inputs[0]), int(structures.outputs[0])
    told = model(core.probes_for(1)[0][:, :inputs].double().numpy())
    if told.shape[1] > outputs:
        # More outputs than the encoder reads: those directions in which they differ most.
        _, _, directions = np.linalg.svd(told - told.mean(0), full_matrices=False)
        told = (told - told.mean(0)) @ directions[:outputs].T
    answers = torch.zeros(len(structures), len(told), family.max_outputs)
    answers[:, :, :outputs] = torch.from_numpy(told).float()
    unknown = torch.full((len(structures), 37), torch.nan)
    with torch.no_grad():
        return core.parts(core.encode_answers(answers, structures, unknown))[0]


def _layers(former: Netformer, function: Tensor, structures: Structures) -> list[list[Layer]]:
    """The hidden layers of each structure, padding left in."""
    found: list[list[Layer]] = [[] for _ in range(len(structures))]
    for depth in structures.depth.unique().tolist():
        places = (structures.depth == depth).nonzero().flatten()
        layers = former.core.decoder(function[places], structures[places], depth).layers
        for row, place in enumerate(places.tolist()):
            found[place] = [(w[row : row + 1], b[row : row + 1]) for w, b in layers]
    return found


def _values(former: Netformer, layers: list[Layer], structure: Structures, z: Tensor) -> Tensor:
    """What the last hidden layer gives for samples in whitened coordinates (n, k): (n, width)."""
    family = former.family
    x = torch.nn.functional.pad(z, (0, family.max_inputs - z.shape[1]))[None]
    values = hidden_values(layers, structure.activations, family.activations, x)[-1][1][0]
    return values[:, : int(structure.widths[0, len(layers) - 1])]


@dataclass(frozen=True, slots=True, eq=False)
class Hidden:
    """Decoded hidden layers, padding left in, with their structure and their values (n, width) on the data."""

    layers: list[Layer]
    structure: Structures
    values: Array


def _best(former: Netformer, function: Tensor, structures: Structures, data: Data) -> tuple[Hidden, int]:
    """The hidden layers, of those of every structure, that fit the data best when one sample is left out; and their place."""
    z = torch.from_numpy(data.z).float()
    with torch.no_grad():
        found = []
        for place, layers in enumerate(_layers(former, function, structures)):
            values = _values(former, layers, structures[[place]], z).double().numpy()
            found.append(Hidden(layers, structures[[place]], values))
    best = int(np.argmin([ridge_readout(hidden.values, data.targets)[2] for hidden in found]))
    return found[best], best


def ridge_readout(values: Array, targets: Array) -> tuple[Array, Array, float]:
    """Weights (width, K), biases (K,) and squared error of leaving one out, the penalty chosen by it."""
    mean, centre = values.mean(0), targets.mean(0)
    u, s, vt = np.linalg.svd(values - mean, full_matrices=False)
    projected = u.T @ (targets - centre)
    best: tuple[float, Any] = (np.inf, None)
    for penalty in _RIDGES * len(values):
        shrunk = s**2 / (s**2 + penalty)
        residual = targets - centre - u @ (shrunk[:, None] * projected)
        leverage = (u**2 @ shrunk) + 1 / len(values)
        error = float(((residual / np.maximum(1 - leverage, 1e-3)[:, None]) ** 2).mean())
        if error < best[0]:
            best = error, vt.T @ ((s / (s**2 + penalty))[:, None] * projected)
    weight = best[1] if best[1] is not None else np.zeros((values.shape[1], targets.shape[1]))
    return weight, centre - mean @ weight, best[0]


def _refined(former: Netformer, function: Tensor, structure: Structures, data: Data, steps: int) -> Tensor:
    """Function latents after gradient steps on the data, output weights solved in each; they stay near the prior."""
    start = function[None].detach()
    latents = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([latents], _LEARNING_RATE)
    z, targets = torch.from_numpy(data.z).float(), torch.from_numpy(data.targets).float()
    for _ in range(steps):
        values = _values(former, _layers(former, latents, structure)[0], structure, z)
        design = torch.cat([values, torch.ones(len(values), 1)], 1)
        gram = design.T @ design / len(z) + 1e-3 * torch.eye(design.shape[1])
        fit = design @ torch.linalg.solve(gram, design.T @ targets / len(z))
        loss = ((fit - targets) ** 2).mean() + 1e-3 * ((latents - start) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return latents.detach()


# -- the network -----------------------------------------------------------------------------------------------------------
def _head(former: Netformer, hidden: Hidden, model: Surrogate, data: Data, fit_readout: bool) -> tuple[Array, Array]:
    """Output weights (width, K) and biases (K,), for targets as they came."""
    if not fit_readout:
        probes = former.core.probes_for(1)[0][:, : data.z.shape[1]]
        with torch.no_grad():
            values = _values(former, hidden.layers, hidden.structure, probes).double().numpy()
        weight, bias, _ = ridge_readout(values, model(probes.double().numpy()))
    elif data.labels is not None:
        return logistic_readout(hidden.values, data.labels)
    else:
        weight, bias, _ = ridge_readout(hidden.values, data.targets)
    return weight * data.spread, bias * data.spread + data.level


def logistic_readout(values: Array, labels: Array) -> tuple[Array, Array]:
    """Weights (width, classes) and biases of logits, by logistic regression on standardised values."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    mean, scale = values.mean(0), np.maximum(values.std(0), 1e-6)
    with warnings.catch_warnings():
        # Training goes on from here: nearly converged will do.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", UserWarning)  # of many classes, which were asked for
        fit = LogisticRegression(max_iter=300).fit((values - mean) / scale, labels)
    weight = fit.coef_.T / scale[:, None]
    bias = fit.intercept_ - mean @ weight
    if weight.shape[1] == 1:  # two classes have one column of logits there
        return np.concatenate([-weight, weight], 1) / 2, np.concatenate([-bias, bias]) / 2
    return weight, bias


def _network(former: Netformer, graph: Graph | None, hidden: Hidden, head: tuple[Array, Array], data: Data) -> Network:
    """The network, whitening of inputs and units of targets in its first and last layer."""
    from ..building.network import build

    structure, family = hidden.structure, former.family
    depth = len(hidden.layers)
    widths, kinds = (values[0, :depth].tolist() for values in (structure.widths, structure.activations))
    made = graph or graph_of(list(zip(widths, kinds)), data.x.shape[1], data.targets.shape[1], family)
    sizes = [int(structure.inputs[0]), *widths]
    pairs = [
        (weight[0, :fan_in, :out].detach().double().numpy(), bias[0, 0, :out].detach().double().numpy())
        for (weight, bias), fan_in, out in zip(hidden.layers, sizes, widths)
    ]
    first, offset = pairs[0]
    pairs[0] = (data.into @ first, offset - data.mean @ data.into @ first)
    state: dict[str, Tensor] = {}
    for (weight_key, bias_key), (weight, bias) in zip(outline_of(made, family, any_ends=True).keys, [*pairs, head]):
        kind = torch.float64 if made.tensors[weight_key].type.dtype == "float64" else torch.float32
        state[weight_key], state[bias_key] = torch.from_numpy(weight.T.copy()).to(kind), torch.from_numpy(bias.copy()).to(kind)
    return build(made, weights=state).eval()


def best_in_latents(space: Latent, x: Any, y: Any, **search: Any) -> Network:
    """The network of a search in the latents that does best on data: `Latent.evolve` with ``search``, started at `suggest`.

    The fitness is minus the error of leaving one sample out, of the readout that fits a network's hidden layers to the data.
    """
    former = space.former
    data = prepared(x, y, former.family.max_inputs)
    outline = None if space.graph is None else _outline(former, space.graph, data)
    model = fitted("auto", data.z, data.targets)
    structures = _structures(former, outline, data, 0)
    function = _latents(former, model, structures)
    first, place = _best(former, function, structures, data)
    core = former.core
    with torch.no_grad():
        level = torch.zeros(1, core.level_latents)
        start = torch.cat([function[[place]], level, core.structure.encode(first.structure)[0]], 1)

    def hidden_of(vectors: Tensor) -> list[Hidden]:
        lacking = core.size - vectors.shape[1]
        of_function, _, of_structure = core.parts(torch.nn.functional.pad(vectors, (0, lacking)))
        with torch.no_grad():
            decoded = first.structure.repeated(len(vectors)) if space.graph else core.structure.decode(of_structure)
            decoded.inputs.fill_(data.z.shape[1])
            decoded.outputs.fill_(int(structures.outputs[0]))
            z = torch.from_numpy(data.z).float()
            layers = _layers(former, of_function, decoded)
            return [
                Hidden(own, decoded[[i]], _values(former, own, decoded[[i]], z).double().numpy())
                for i, own in enumerate(layers)
            ]

    found = space.evolve_vectors(
        lambda vectors: [-ridge_readout(h.values, data.targets)[2] for h in hidden_of(torch.from_numpy(vectors))],
        start=start.numpy(), **search,
    )  # fmt: skip
    (best,) = hidden_of(torch.from_numpy(found.latents[[found.best]]))
    return _network(former, space.graph, best, _head(former, best, model, data, True), data)
