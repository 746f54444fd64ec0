"""Penalties that press neurons towards zero while a model trains: `GroupLasso`, `ScaleLasso`, `GrowingRegularization`.

A group is an index of an atom: all weights that make that neuron, in every layer that is tied to it. Groups that training has
pressed to nothing can be removed with little loss (`atom_scores` finds them by magnitude).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch

from ..building.network import full_state
from ..errors import EditError
from ..ops import operator
from .places import WeightPlace, dimensions_of, occurrences, tensor_of, weight_places


class Penalty(ABC):
    """Base of penalties on groups of weights.

    ``source`` says how sizes hang together: what `analyse` gives, a Graph, a Network, or any module with ``example_inputs``.
    In training, either add ``penalty(model)``, a scalar, to the loss, or call ``penalty.add_gradients(model)`` after
    ``backward()``: the gradients are the same, without a graph of their own and cheaper (of a training step of ResNet-18 the
    group lasso takes 5 % instead of 22 %). ``model`` is the live module, on any device.

    >>> import netloom as nl, torch
    >>> x = nl.input(4)
    >>> net = nl.build(nl.Graph(x, nl.linear(nl.relu(nl.linear(x, 8, name="hidden")), 2)), seed=0)
    >>> penalty = GroupLasso(net, strength=0.01)
    >>> loss = net(torch.ones(5, 4)).square().mean() + penalty(net)
    >>> loss.backward()
    """

    def __init__(self, source: Any, example_inputs: Any = None, *, strength: float) -> None:
        if not strength >= 0:
            raise EditError(f"strength={strength!r}; expected a number, 0 or more")
        self.strength = strength
        self.dims = dimensions_of(source, example_inputs)
        self._places = self._chosen()
        self._sizes = {atom.id: atom.size for atom in self.dims.free}
        self._indices: dict[Any, list[tuple[str, torch.Tensor, torch.Tensor]]] = {}
        if not self._places:
            raise EditError(f"{type(self).__name__} finds no weights to press: {self._nothing}")

    _nothing = "no size of the network is free"

    @abstractmethod
    def __call__(self, model: torch.nn.Module) -> torch.Tensor:
        """The penalty as a scalar with a graph, to be added to the loss."""

    @abstractmethod
    def add_gradients(self, model: torch.nn.Module) -> None:
        """Add the penalty's gradient to those of the parameters, between ``backward()`` and the optimiser's step."""

    def group_norms(self, model: torch.nn.Module) -> dict[str, torch.Tensor]:
        """For every atom the norm of each of its groups, ``‖w_i‖₂`` over all weights that make index i."""
        with torch.no_grad():
            return {atom: squares.sqrt() for atom, squares in self._squares(self._weights(model)).items()}

    # -- for penalties -------------------------------------------------------------------------------------------------
    def _chosen(self) -> tuple[WeightPlace, ...]:
        return weight_places(self.dims)

    def _weights(self, model: torch.nn.Module) -> dict[str, torch.Tensor]:
        state = full_state(model)
        return {place.key: tensor_of(state, self.dims.graph, place.key) for place in self._places}

    def _squares(self, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Sums of squares for each index of every atom, with their graph."""
        found: dict[str, torch.Tensor] = {}
        for place in self._places:
            w = weights[place.key]
            w = w.float() if w.element_size() < 4 else w
            others = [i for i in range(w.ndim) if i != place.axis]
            lengths = torch.linalg.vector_norm(w, dim=others) if others else w
            for atom, sums in self._fold(place, lengths.square()):
                found[atom] = found[atom] + sums.to(found[atom]) if atom in found else sums
        return found

    def _fold(self, place: WeightPlace, along: torch.Tensor) -> list[tuple[str, torch.Tensor]]:
        if isinstance(place.how, str):
            return [(place.how, along)]
        return [
            (atom, along.new_zeros(self._sizes[atom]).index_add(0, index, along[at]))
            for atom, at, index in self._occurrences(place.how, along.device)
        ]

    def _unfold(self, place: WeightPlace, values: Mapping[str, torch.Tensor], like: torch.Tensor) -> torch.Tensor:
        """Values of indices along a tensor's axis, in a shape that broadcasts against the tensor."""
        if isinstance(place.how, str):
            along = values[place.how].to(like)
        else:
            along = like.new_zeros(like.shape[place.axis])
            for atom, at, index in self._occurrences(place.how, like.device):
                along.index_add_(0, at, values[atom].to(like)[index])
        return along.reshape([-1 if i == place.axis else 1 for i in range(like.ndim)])

    def _occurrences(self, how: Any, device: Any) -> list[tuple[str, torch.Tensor, torch.Tensor]]:
        if (how, device) not in self._indices:
            self._indices[how, device] = [
                (atom, torch.from_numpy(at).to(device), torch.from_numpy(index.copy()).to(device))
                for atom, at, index in occurrences(how, self.dims.sizes)
                if atom in self._sizes
            ]
        return self._indices[how, device]

    def _add_scaled(self, weights: Mapping[str, torch.Tensor], factors: Mapping[str, torch.Tensor]) -> None:
        """Add to the gradient of every weight the weight times the factors of the groups that it is in."""
        for place in self._places:
            w = weights[place.key]
            if w.requires_grad:
                _gradient(w).addcmul_(w.detach(), self._unfold(place, factors, w.detach()))


def _gradient(w: torch.Tensor) -> torch.Tensor:
    if w.grad is None:
        w.grad = torch.zeros_like(w)
    elif w.grad.is_sparse:
        w.grad = w.grad.to_dense()
    gradient: torch.Tensor = w.grad
    return gradient


class GroupLasso(Penalty):
    """``strength · Σ_i ‖w_i‖₂`` over all groups: presses whole neurons to zero.

    Its gradient is ``strength · w / ‖w_i‖``, 0 for a group of zeros. Yuan and Lin 2006; Wen et al. 2016, Learning structured
    sparsity in deep neural networks.
    """

    def __init__(self, source: Any, example_inputs: Any = None, *, strength: float = 1e-4) -> None:
        super().__init__(source, example_inputs, strength=strength)

    def __call__(self, model: torch.nn.Module) -> torch.Tensor:
        squares = self._squares(self._weights(model))
        return self.strength * _total([_root(each).sum() for each in squares.values()])

    def add_gradients(self, model: torch.nn.Module) -> None:
        norms = self.group_norms(model)
        factors = {atom: torch.where(each > 0, self.strength / each, 0.0) for atom, each in norms.items()}
        self._add_scaled(self._weights(model), factors)


def _root(squares: torch.Tensor) -> torch.Tensor:
    """Square roots whose gradient at 0 is 0."""
    positive = squares > 0
    return torch.where(positive, torch.where(positive, squares, 1.0).sqrt(), 0.0)


def _total(terms: list[torch.Tensor]) -> torch.Tensor:
    device = terms[0].device
    return torch.stack([term.to(device) for term in terms]).sum()


class ScaleLasso(Penalty):
    """``strength · Σ |γ|`` over the scales of all norms along axes that are free. Liu et al. 2017, Network slimming, eq. 1.

    The value ``"bn_scale"`` then says which neurons are left.
    """

    _nothing = "no norm has a scale along an axis that is free"

    def __init__(self, source: Any, example_inputs: Any = None, *, strength: float = 1e-4) -> None:
        super().__init__(source, example_inputs, strength=strength)

    def _chosen(self) -> tuple[WeightPlace, ...]:
        owned = (node.weights.get("weight") for node in self.dims.graph.nodes if operator(node.op).family == "norm")
        scales = {self.dims.head(key) for key in owned if key is not None}
        # A scale over several axes (of a layer norm) is one term, whichever of them are free.
        first = {place.key: place for place in reversed(weight_places(self.dims)) if place.key in scales}
        return tuple(reversed(first.values()))

    def __call__(self, model: torch.nn.Module) -> torch.Tensor:
        weights = self._weights(model)
        return self.strength * _total([(w.abs() * self._mask(place, w)).sum() for place, w in self._each(weights)])

    def add_gradients(self, model: torch.nn.Module) -> None:
        for place, w in self._each(self._weights(model)):
            if w.requires_grad:
                _gradient(w).add_(w.detach().sign() * self._mask(place, w), alpha=self.strength)

    def _each(self, weights: Mapping[str, torch.Tensor]) -> list[tuple[WeightPlace, torch.Tensor]]:
        return [(place, weights[place.key]) for place in self._places]

    def _mask(self, place: WeightPlace, w: torch.Tensor) -> torch.Tensor:
        """1 where the axis has an index that is free."""
        ones = {atom: w.new_ones(size) for atom, size in self._sizes.items()}
        return self._unfold(place, ones, w.detach()).clamp(max=1)


class GrowingRegularization(Penalty):
    """``½ Σ_i λ_i ‖w_i‖²`` with factors that grow for the neurons that are to go. Wang et al. 2021, Neural pruning via growing
    regularization (GReg-1).

    All λ begin at ``start``. Every call of ``grow(model)``, once in so many steps, adds ``step`` to those of the share ``drop``
    of every atom's groups with the smallest norms, up to ``limit``; ``strengths`` holds them, atom → (size,).

    >>> import netloom as nl
    >>> x = nl.input(4)
    >>> net = nl.build(nl.Graph(x, nl.linear(nl.relu(nl.linear(x, 8, name="hidden")), 2)), seed=0)
    >>> penalty = GrowingRegularization(net, step=0.01, drop=0.25)
    >>> penalty.grow(net)
    >>> int((penalty.strengths["hidden"] > 0).sum())
    2
    """

    def __init__(
        self,
        source: Any,
        example_inputs: Any = None,
        *,
        start: float = 0.0,
        step: float = 1e-4,
        drop: float = 0.5,
        limit: float = 1.0,
    ) -> None:
        super().__init__(source, example_inputs, strength=start)
        if not (step > 0 and 0 < drop <= 1 and limit > 0):
            raise EditError(f"step={step!r}, drop={drop!r}, limit={limit!r}; expected step > 0, 0 < drop ≤ 1, limit > 0")
        self.step, self.drop, self.limit = step, drop, limit
        made = {atom for place in self._places for atom, *_ in self._occurrences(place.how, torch.device("cpu"))}
        self.strengths = {atom: torch.full((size,), float(start)) for atom, size in self._sizes.items() if atom in made}

    def grow(self, model: torch.nn.Module) -> None:
        """Raise the factors of the groups that are smallest now."""
        for atom, norms in self.group_norms(model).items():
            weakest = norms.cpu().argsort(stable=True)[: round(self.drop * len(norms))]
            self.strengths[atom][weakest] = (self.strengths[atom][weakest] + self.step).clamp(max=self.limit)

    def __call__(self, model: torch.nn.Module) -> torch.Tensor:
        squares = self._squares(self._weights(model))
        return 0.5 * _total([(self.strengths[atom].to(each) * each).sum() for atom, each in squares.items()])

    def add_gradients(self, model: torch.nn.Module) -> None:
        self._add_scaled(self._weights(model), self.strengths)
