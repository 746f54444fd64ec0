"""Values of neurons: which indices of an atom are worth keeping.

A value gives scores at *places*: the rows of a layer's weights, the scales of a norm, the features of a node's result. The
score of an index of an atom is the sum over all places that are tied to it (see `atom_scores`).
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import EditError
from ..graph.graph import Graph
from ..ops import Edge, operator
from .analysis import Dimensions
from .places import WeightPlace, feature_axis, fold, tensor_of, weight_places

if TYPE_CHECKING:
    import torch

#: Atom → a score for each of its indices.
Scores = dict[str, "np.ndarray"]
#: What a value says of the atoms at the weights or the result of one node; several of one node add up.
Found = tuple[str, Scores]

#: Elements of the parts by which columns are summed.
_PART = 2**16

#: The score of an index whose score is no number (NaN, infinite): below all others.
LOWEST = -100.0


def atom_scores(
    value: Any,
    model: torch.nn.Module,
    graph: Graph,
    dims: Dimensions,
    rng: np.random.Generator | None = None,
    *,
    reduce: str = "sum",
    normalize: str = "none",
) -> Scores:
    """For every free atom, a score for each of its indices, float64 (size,); the highest are to be kept.

    ``model`` is the live module that ``graph`` describes, ``dims`` what `analyse` says of it. ``value`` is

    - ``"magnitude"`` (or ``"l2"``): ``Σ_tensors ‖w_i‖₂`` over the parameters that make index i; ``"l1"``: with ``‖·‖₁``;
    - ``"bn_scale"``: ``Σ |γ_i|`` over the norms along the atom (Liu et al. 2017, Learning efficient convolutional networks);
    - ``"taylor"``: ``Σ_layers |Σ w_i·∇w_i|`` from the gradients that the parameters have now (Molchanov et al. 2019);
    - ``"fisher"``: ``Σ (w_i·∇w_i)²`` from these gradients (LeCun et al. 1990, with the empirical Fisher matrix);
    - ``"random"``: drawn from ``rng``;
    - an object that gathered during training: `ActivationContribution`, `Fisher`, `Taylor`, `SeReNe`, or any with their method
      ``places(dims)``;
    - a mapping: name of a node → scores of the features of its result (a name such as ``"conv:2"`` is that of an atom);
    - a function of (graph, state) that gives such a mapping, where state is key → tensor;
    - a function whose first parameter is called ``key``: of (key, tensor) it gives scores of the tensor's elements, same shape,
      which are summed;
    - a function of one argument: of each weight, outputs first, it gives a score for each output, or for each element.

    What is said of one layer adds up; ``reduce`` is how layers that are tied come together: ``"sum"``, ``"mean"`` or ``"max"``.
    Of an atom that the value says nothing about, magnitude decides, scaled to the mean of those that it does speak of; where
    no parameter makes the atom either, all indices are alike. A score that is no number is -100, or less than the lowest.
    ``normalize`` makes atoms comparable: divided by their own ``"mean"``, ``"max"`` or ``"sum"``, or ``"lamp"``:
    ``s_i² / Σ s_j²`` over all j with ``s_j ≥ s_i`` (Lee et al. 2021, Layer-adaptive sparsity). `EditError` for anything else.

    >>> import netloom as nl, torch
    >>> x = nl.input(2)
    >>> graph = nl.Graph(x, nl.linear(nl.relu(nl.linear(x, 3, name="hidden")), 1, bias=False))
    >>> net = nl.build(graph, seed=0)
    >>> hidden = {"hidden.weight": torch.tensor([[3.0, 4], [0, 1], [1, 0]]), "hidden.bias": torch.arange(3.0)}
    >>> _ = net.load_state_dict(hidden, strict=False)
    >>> atom_scores("magnitude", net, graph, nl.mutate.analyse(graph))
    {'hidden': array([5., 2., 3.])}
    """
    _known(reduce, _REDUCTIONS, "reduce")
    _known(normalize, _NORMALIZERS, "normalize")
    subject = _Subject(model, graph, dims, rng)
    found = _reduced(_places(value, subject), reduce, subject)
    _fill(found, subject, reduce, value)
    return {atom.id: _finite(found[atom.id], _NORMALIZERS[normalize]) for atom in dims.free}


@dataclass
class _Subject:
    """What is judged."""

    model: torch.nn.Module
    graph: Graph
    dims: Dimensions
    rng: np.random.Generator | None

    @cached_property
    def state(self) -> Mapping[str, torch.Tensor]:
        from ..building.network import full_state

        return full_state(self.model)

    @cached_property
    def weights(self) -> tuple[WeightPlace, ...]:
        return weight_places(self.dims)

    def tensor(self, place: WeightPlace) -> torch.Tensor:
        return tensor_of(self.state, self.graph, place.key)

    def fold(self, place: WeightPlace, along: np.ndarray) -> Scores:
        return fold(place.how, self.dims.sizes, along)


def refuse_no_value(value: Any) -> None:
    """`EditError` for what cannot say which neurons are worth more."""
    if isinstance(value, str):
        _known(value, _NAMED, "value")
    elif not (isinstance(value, Mapping) or hasattr(value, "places") or callable(value)):
        raise EditError(f"a value is a name ({', '.join(_NAMED)}), a mapping or a function, not a {type(value).__name__}")


def _places(value: Any, subject: _Subject) -> Iterable[Found]:
    refuse_no_value(value)
    if isinstance(value, str):
        return _NAMED[value](subject)
    if isinstance(value, Mapping):
        return _given(value, subject)
    if hasattr(value, "places"):
        found: Iterable[Found] = value.places(subject.dims)
        return found
    parameters = _parameters(value)
    if parameters[:1] == ["key"]:
        return _by_element(value, subject)
    if len(parameters) == 1:
        return _by_weight(value, subject)
    mapping = value(subject.graph, dict(subject.state))
    if not isinstance(mapping, Mapping):
        raise EditError(
            f"the value function gave a {type(mapping).__name__}; of (graph, state) it must give a mapping from names of nodes "
            "to scores (call its first parameter 'key' to have it called with every key and tensor instead)"
        )
    return _given(mapping, subject)


def _parameters(value: Callable[..., Any]) -> list[str]:
    """The names of the parameters that a function needs; one for those of torch, which do not tell."""
    try:
        return [name for name, p in inspect.signature(value).parameters.items() if p.default is p.empty]
    except (TypeError, ValueError):
        return ["tensor"]


def _known(name: str, table: Mapping[str, Any], what: str) -> None:
    if name not in table:
        near = difflib.get_close_matches(str(name), table, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise EditError(f"{what} {name!r} is none of {', '.join(table)}{hint}")


# -- from weights ----------------------------------------------------------------------------------------------------------
def _l2(subject: _Subject) -> Iterator[Found]:
    import torch

    def norm(w: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
        if axes != (0,):
            return torch.linalg.vector_norm(w, dim=axes)
        # Of columns, parts that fit a cache are many times as fast.
        parts = w.split(max(1, _PART * len(w) // max(1, w.numel())))
        room, squares = torch.empty_like(parts[0]), w.new_empty((len(parts), *w.shape[1:]))
        for part, row in zip(parts, squares):
            torch.sum(torch.mul(part, part, out=room[: len(part)]), 0, out=row)
        return squares.sum(0).sqrt()

    def norms_of(w: torch.Tensor, axis: int) -> torch.Tensor:
        return w.detach().abs() if w.ndim == 1 and w.dtype is torch.float32 else along_axis(w, axis, norm)

    norms = [norms_of(subject.tensor(place), place.axis) for place in subject.weights]
    for place, along in zip(subject.weights, arrays(norms)):
        if isinstance(place.how, str):
            yield place.node, {place.how: along}
        else:
            yield place.node, {atom: np.sqrt(sums) for atom, sums in subject.fold(place, along**2).items()}


def _l1(subject: _Subject) -> Iterator[Found]:
    return _summed(subject, subject.weights, lambda place: subject.tensor(place).detach().abs())


def _bn_scale(subject: _Subject) -> Iterator[Found]:
    graph, dims = subject.graph, subject.dims
    owned = (node.weights.get("weight") for node in graph.nodes if operator(node.op).family == "norm")
    scales = {dims.head(key) for key in owned if key is not None}
    places = [place for place in subject.weights if place.key in scales]
    if not places:
        raise EditError("value 'bn_scale': no norm has a scale along an axis that is free; 'magnitude' needs none")
    return _summed(subject, places, lambda place: subject.tensor(place).detach().abs())


def _taylor(subject: _Subject) -> Iterator[Found]:
    def product(place: WeightPlace) -> torch.Tensor:
        return _weight_times_gradient(subject.tensor(place))

    return magnitudes(_summed(subject, _with_gradients("taylor", subject), product))


def magnitudes(found: Iterable[Found]) -> Iterator[Found]:
    """The absolute values of what adds up at each node."""
    for node, scores in _by_node(found).items():
        yield node, {atom: np.abs(sums) for atom, sums in scores.items()}


def _fisher(subject: _Subject) -> Iterator[Found]:
    def squares(place: WeightPlace) -> torch.Tensor:
        return _weight_times_gradient(subject.tensor(place)).abs().square()

    return _summed(subject, _with_gradients("fisher", subject), squares)


def _weight_times_gradient(w: torch.Tensor) -> torch.Tensor:
    gradient = w.grad.to_dense() if w.grad.is_sparse else w.grad
    return w.detach() * gradient.detach()


def _with_gradients(name: str, subject: _Subject) -> list[WeightPlace]:
    found = [place for place in subject.weights if subject.tensor(place).grad is not None]
    if subject.weights and not found:
        raise EditError(f"value {name!r} reads gradients and no parameter has one; call backward() on a loss first")
    return found


def _by_element(value: Callable[[str, Any], Any], subject: _Subject) -> Iterator[Found]:
    import torch

    known: dict[str, Any] = {}

    def scores(place: WeightPlace) -> torch.Tensor:
        if place.key not in known:
            tensor = subject.tensor(place).detach()
            known[place.key] = given = torch.as_tensor(value(place.key, tensor))
            if given.shape != tensor.shape:
                raise EditError(
                    f"the value function gave {tuple(given.shape)} scores for {place.key!r}; expected one for each of its "
                    f"elements, {tuple(tensor.shape)}"
                )
        return known[place.key]

    return _summed(subject, subject.weights, scores)


def _by_weight(value: Callable[[Any], Any], subject: _Subject) -> Iterator[Found]:
    import torch

    for place in subject.weights:
        tensor = subject.tensor(place).detach()
        if tensor.dim() < 2:
            continue
        rows = tensor.movedim(place.axis, 0)
        given = torch.as_tensor(value(rows))
        if given.shape == rows.shape:
            given = given.flatten(1).sum(1)
        if given.shape != rows.shape[:1]:
            raise EditError(
                f"the value function gave {tuple(given.shape)} scores for {place.key!r} of shape {tuple(rows.shape)}; "
                f"expected one for each of its {rows.shape[0]} outputs, or one for each element"
            )
        yield place.node, subject.fold(place, given.detach().double().cpu().numpy())


def _random(subject: _Subject) -> Iterator[Found]:
    if subject.rng is None:
        raise EditError("value 'random' draws from rng; give a numpy generator, such as numpy.random.default_rng(0)")
    for atom in subject.dims.free:
        yield "", {atom.id: subject.rng.random(atom.size)}


def _summed(subject: _Subject, places: Iterable[WeightPlace], elements: Callable[[WeightPlace], Any]) -> Iterator[Found]:
    """Scores of elements, summed for each index."""
    import torch

    places = list(places)
    sums = [along_axis(elements(place), place.axis, torch.sum) for place in places]
    for place, along in zip(places, arrays(sums)):
        yield place.node, subject.fold(place, along)


def along_axis(tensor: torch.Tensor, axis: int, reduce: Callable[[Any, tuple[int, ...]], Any]) -> torch.Tensor:
    """A tensor reduced to one of its axes; ``reduce`` takes a tensor and at least one axis."""
    tensor = tensor.detach()
    if tensor.is_complex():
        import torch

        tensor = torch.view_as_real(tensor)
    if tensor.element_size() < 4:
        tensor = tensor.float()
    if axis == 0 and tensor.ndim > 2 and tensor.is_contiguous():
        tensor = tensor.flatten(1)
    if tensor.ndim == 1:
        tensor = tensor.unsqueeze(1)
    return reduce(tensor, tuple(i for i in range(tensor.ndim) if i != axis))


def arrays(tensors: list[Any]) -> list[np.ndarray]:
    """Vectors as float64 arrays, with one transfer for all that lie on one device."""
    import torch

    found: list[Any] = [None] * len(tensors)
    devices: dict[Any, list[int]] = {}
    for i, tensor in enumerate(tensors):
        devices.setdefault(tensor.device, []).append(i)
    for members in devices.values():
        joined = torch.cat([tensors[i] for i in members]).cpu().double().numpy()
        ends = np.cumsum([len(tensors[i]) for i in members])
        for i, part in zip(members, np.split(joined, ends[:-1])):
            found[i] = part
    return found


_NAMED: dict[str, Callable[[_Subject], Iterator[Found]]] = {
    "magnitude": _l2, "l2": _l2, "l1": _l1, "bn_scale": _bn_scale, "taylor": _taylor, "fisher": _fisher, "random": _random,
}  # fmt: skip


# -- from scores of features -----------------------------------------------------------------------------------------------
def _given(mapping: Mapping[str, Any], subject: _Subject) -> Iterator[Found]:
    dims = subject.dims
    for name, given in mapping.items():
        scores = _vector(name, given)
        if name in subject.graph:
            axis = feature_axis(dims, Edge(name))
            if axis is None:
                axis = subject.graph[name].feature_axis
            size = subject.graph[name].shape[axis] if axis is not None else 1
            _fits(name, scores, size, "features")
            if axis is not None and isinstance(size, int):
                yield name, fold(dims.of(Edge(name))[axis], dims.sizes, scores)
        elif name in dims and not dims[name].frozen:
            _fits(name, scores, dims[name].size, "indices")
            yield name, {name: scores}
        else:
            near = difflib.get_close_matches(str(name), [node.name for node in subject.graph], 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise EditError(f"scores are given for {name!r}, and no node is called that{hint}")


def _vector(name: str, given: Any) -> np.ndarray:
    if hasattr(given, "detach"):
        given = given.detach().cpu().double().numpy()
    try:
        scores = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise EditError(f"scores of {name!r} are a {type(given).__name__}; expected numbers, one for each feature") from None
    return scores


def _fits(name: str, scores: np.ndarray, size: Any, what: str) -> None:
    if scores.shape != (size,):
        raise EditError(f"scores of {name!r} have the shape {scores.shape}; it has {size} {what}, so expected ({size},)")


# -- together --------------------------------------------------------------------------------------------------------------
def _by_node(found: Iterable[Found]) -> dict[str, Scores]:
    """The sum of what is said at one node."""
    nodes: dict[str, Scores] = {}
    for node, scores in found:
        have = nodes.setdefault(node, {})
        for atom, along in scores.items():
            have[atom] = have[atom] + along if atom in have else along
    return nodes


def _reduced(found: Iterable[Found], reduce: str, subject: _Subject) -> Scores:
    """For every free atom of which something is said, one score for each index."""
    free = {atom.id for atom in subject.dims.free}
    tied: dict[str, list[np.ndarray]] = {}
    # A score that is no number stays one, without a warning.
    with np.errstate(invalid="ignore", over="ignore"):
        for scores in _by_node(found).values():
            for atom, along in scores.items():
                if atom in free:
                    tied.setdefault(atom, []).append(along)
        return {atom: _REDUCTIONS[reduce](rows) for atom, rows in tied.items()}


_REDUCTIONS: dict[str, Callable[[list[np.ndarray]], np.ndarray]] = {
    "sum": lambda rows: np.sum(rows, axis=0),
    "mean": lambda rows: np.mean(rows, axis=0),
    "max": lambda rows: np.max(rows, axis=0),
}


def _fill(found: Scores, subject: _Subject, reduce: str, value: Any) -> None:
    """Scores for the atoms of which the value says nothing: magnitude, on average as high as what it does say."""
    missing = [atom for atom in subject.dims.free if atom.id not in found]
    if not missing:
        return
    level = _level(found.values())
    silent = subject.model is None or (isinstance(value, str) and _NAMED[value] is _l2)  # magnitude has been asked
    others = {} if silent else _reduced(_l2(subject), reduce, subject)
    scale = _level(others[atom.id] for atom in missing if atom.id in others)
    for atom in missing:
        known = others.get(atom.id)
        if known is None:
            found[atom.id] = np.full(atom.size, level or 1.0)
        else:
            found[atom.id] = known * (level / scale) if level and scale else known


def _level(rows: Iterable[np.ndarray]) -> float:
    """The mean of all scores that are numbers, without signs; 0 where there is none."""
    joined = np.concatenate([np.zeros(0), *rows])
    joined = np.abs(joined[np.isfinite(joined)])
    return float(joined.mean()) if len(joined) else 0.0


def _finite(scores: np.ndarray, normalize: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Scores comparable with those of other atoms, what is no number below all others."""
    good = np.isfinite(scores)
    numbers = normalize(scores[good])
    done = np.full(len(scores), min(LOWEST, numbers.min() - 1.0) if len(numbers) and numbers.min() <= LOWEST else LOWEST)
    done[good] = numbers
    return done


def _over(scores: np.ndarray, total: float) -> np.ndarray:
    return scores / total if total > 0 else scores


def _lamp(scores: np.ndarray) -> np.ndarray:
    squares = scores**2
    ascending = np.sort(squares)
    above = np.append(np.cumsum(ascending[::-1])[::-1], 0.0)[np.searchsorted(ascending, squares, side="left")]
    return np.divide(squares, above, out=np.zeros_like(squares), where=above > 0)


_NORMALIZERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda scores: scores,
    "mean": lambda scores: _over(scores, float(np.abs(scores).mean()) if len(scores) else 0.0),
    "max": lambda scores: _over(scores, float(np.abs(scores).max()) if len(scores) else 0.0),
    "sum": lambda scores: _over(scores, float(np.abs(scores).sum())),
    "lamp": _lamp,
}
