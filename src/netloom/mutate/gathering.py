"""Values of neurons that are gathered while a model trains: `ActivationContribution`, `Fisher`, `Taylor`, `SeReNe`.

Each is a context manager around ordinary training and then a value for `atom_scores`, `edit` and `prune`. What the model
computes, its gradients and its random draws are the same bits with and without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from ..errors import EditError
from ..graph.graph import Graph
from .accumulating import Gathering, refuse_another_size
from .analysis import Dimensions
from .atoms import atoms_of
from .places import WeightPlace, fold, weight_places
from .values import Found, along_axis, arrays, magnitudes
from .watching import Outlet


# -- from activations and their gradients ----------------------------------------------------------------------------------
class ActivationContribution(Gathering):
    """How much the loss hangs on each neuron: activation times gradient, gathered in the backward passes of training.

    Of a batch it is ``u_c = mean_n |mean_p a_ncp · ∂L/∂a_ncp|`` over samples n and positions p; the running value is
    ``decay · old + (1 − decay) · u``, the first batch as it is. a is what a layer gives (behind the norm that alone reads it,
    before the activation function). Molchanov et al. 2017, Pruning convolutional neural networks, eq. 8.

    >>> import netloom as nl, torch
    >>> x = nl.input(4)
    >>> net = nl.build(nl.Graph(x, nl.linear(nl.relu(nl.linear(x, 8, name="hidden")), 2)), seed=0)
    >>> with ActivationContribution(net) as gather:
    ...     net(torch.ones(5, 4)).square().mean().backward()
    >>> atom_scores = nl.mutate.values.atom_scores(gather, net, net.graph, nl.mutate.analyse(net.graph))
    >>> atom_scores["hidden"].shape, list(gather.state)
    ((8,), ['values/hidden', 'batches/hidden'])
    """

    def __init__(
        self,
        model: torch.nn.Module | None,
        example_inputs: Any = None,
        *,
        graph: Graph | None = None,
        every: int = 1,
        decay: float = 0.05,
    ) -> None:
        if not 0 <= decay < 1:
            raise EditError(f"decay={decay!r}; expected the weight of the old value, from 0 to below 1")
        super().__init__(model, example_inputs, graph=graph, every=every)
        self.decay: float | None = decay
        #: Outlets whose values stay whole until the backward pass, and those that a later call overwrites.
        self._lasting: set[str] = set()
        self._overwritten: set[str] = set()
        #: What the backward pass gave: name → activation times gradient (N, C) over positions.
        self._pending: dict[str, torch.Tensor] = {}

    def sees(self, outlet: Outlet, value: torch.Tensor) -> None:
        value.register_hook(self._reader(outlet, value.detach()))

    def _reader(self, outlet: Outlet, value: torch.Tensor) -> Callable[[torch.Tensor], None]:
        """A hook for the gradient of a value. Whether values need a copy is found out in the first batch."""
        version, name = value._version, outlet.name
        copied = value.clone() if name not in self._lasting else None

        def read(gradient: torch.Tensor) -> None:
            if Gathering.probing:
                return
            changes = value._version - version
            # Where a rectifier wrote over a value, the gradient is zero.
            whole = changes == 0 or (changes == 1 and outlet.rectified)
            if whole:
                if name not in self._overwritten:
                    self._lasting.add(name)
            else:
                self._overwritten.add(name)
                self._lasting.discard(name)
            kept = value if whole else copied
            if kept is not None:
                if name in self._pending:
                    self.settle()
                self._pending[name] = self._over_positions(outlet, kept, gradient.detach())

        return read

    def _over_positions(self, outlet: Outlet, value: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        if value.element_size() < 4:
            value, gradient = value.float(), gradient.float()
        product = value * gradient
        if outlet.positions:
            product = self._positions(product, outlet.positions)
        if outlet.sample is None:
            return product.unsqueeze(0)
        return product if outlet.sample < outlet.axis else product.T

    def _settle(self) -> None:
        pending, self._pending = self._pending, {}
        groups: dict[Any, list[str]] = {}
        for name, product in pending.items():
            groups.setdefault((len(product), product.device), []).append(name)
        for names in groups.values():
            joined = torch.cat([pending[name] for name in names], 1)
            self._average_all(names, self._over_samples(joined), [pending[name].shape[1] for name in names], self.decay)

    _positions = staticmethod(torch.mean)

    def _over_samples(self, products: torch.Tensor) -> torch.Tensor:
        return products.abs().mean(0)


class Fisher(ActivationContribution):
    """What the loss would gain without each neuron, to second order with the empirical Fisher matrix, gathered in training.

    ``mean_n (Σ_p a_ncp · ∂L_n/∂a_ncp)²`` over samples n, summed over positions p, averaged over all batches; L is a mean over
    the batch, L_n its part of a sample. a is as for `ActivationContribution`. Theis et al. 2018, Faster gaze prediction.
    """

    def __init__(
        self, model: torch.nn.Module | None, example_inputs: Any = None, *, graph: Graph | None = None, every: int = 1
    ) -> None:
        super().__init__(model, example_inputs, graph=graph, every=every)
        self.decay = None

    _positions = staticmethod(torch.sum)

    def _over_samples(self, products: torch.Tensor) -> torch.Tensor:
        return (products * len(products)).square().mean(0)


# -- from gradients of parameters ------------------------------------------------------------------------------------------
class Taylor(Gathering):
    """What the loss would lose without each neuron, to first order, gathered in the backward passes of training.

    ``|Σ w·∇w|`` over the parameters of a layer that make the neuron, of each batch, averaged over batches: that is
    |Σ a · ∂L/∂a| of what the layer gives. Molchanov et al. 2019, Importance estimation for neural network pruning.
    """

    def __init__(
        self, model: torch.nn.Module | None, example_inputs: Any = None, *, graph: Graph | None = None, every: int = 1
    ) -> None:
        super().__init__(model, example_inputs, graph=graph, every=every)
        self._places: tuple[WeightPlace, ...] = ()
        self._sizes: dict[str, Any] = {}
        self._pending: dict[WeightPlace, torch.Tensor] = {}
        self._handles: list[Any] = []
        self._wanted = False

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_handles": []}

    def attached(self, model: torch.nn.Module, dims: Dimensions) -> None:
        self._places, self._sizes = weight_places(dims), dims.sizes
        parameters = dict(model.named_parameters(remove_duplicate=False))
        by_key: dict[str, list[WeightPlace]] = {}
        for place in self._places:
            by_key.setdefault(place.key, []).append(place)
        for key, places in by_key.items():
            if key in parameters and parameters[key].requires_grad:
                self._handles.append(parameters[key].register_hook(self._reader(parameters[key], places)))

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _reader(self, parameter: torch.nn.Parameter, places: list[WeightPlace]) -> Callable[[torch.Tensor], None]:
        def read(gradient: torch.Tensor) -> None:
            if self._wanted and not Gathering.probing:
                found = (gradient.to_dense() if gradient.is_sparse else gradient).detach()
                for place, sums in zip(places, _sums_of_products(parameter.detach(), found, [place.axis for place in places])):
                    self._pending[place] = self._pending[place] + sums if place in self._pending else sums

        return read

    def begins(self) -> bool:
        self._wanted = super().begins()
        return False

    def _settle(self) -> None:
        """The batch is over when the next begins: until then its parts have signs and add up."""
        pending, self._pending = self._pending, {}
        folded = (
            (place.node, fold(place.how, self._sizes, along))
            for place, along in zip(pending, arrays(list(pending.values())))
        )
        new = {_pair(node, atom): along for node, scores in magnitudes(folded) for atom, along in scores.items()}
        if new:
            joined = torch.from_numpy(np.concatenate(list(new.values()))).float()
            self._average_all(list(new), joined, [len(along) for along in new.values()])

    def _found(self, dims: Dimensions) -> Iterator[Found]:
        known = dict.fromkeys((place.node, atom) for place in weight_places(dims) for atom in atoms_of(place.how))
        for node, atom in known:
            value = self._values.get(_pair(node, atom))
            if value is not None:
                refuse_another_size(node, value, dims[atom].size)
                yield node, {atom: value.double().numpy()}


def _sums_of_products(a: torch.Tensor, b: torch.Tensor, axes: list[int]) -> list[torch.Tensor]:
    """For each of these axes the sums of a · b over all others.

    Of rows that lie one after another in memory they are taken in one pass: the product of large weights, written out and read
    again, would cost more than all the rest.
    """
    plain = axes == [0] and a.ndim > 1 and a.device.type == "cpu" and a.dtype == b.dtype in (torch.float32, torch.float64)
    if plain and a.is_contiguous() and b.is_contiguous():
        return [torch.from_numpy(np.einsum("ij,ij->i", a.flatten(1).numpy(), b.flatten(1).numpy()))]
    product = a * b
    return [along_axis(product, axis, torch.sum) for axis in axes]


def _pair(node: str, atom: str) -> str:
    return f"{node}: {atom}"


# -- from gradients of outputs ---------------------------------------------------------------------------------------------
class SeReNe(Gathering):
    """How much the outputs hang on each neuron: ``mean |∂y_k/∂a_c|`` over samples, positions and outputs k.

    a is what a layer gives, as for `ActivationContribution`; averaged over batches. Every batch that is looked at takes one
    more backward pass for each output, or for ``outputs`` of them drawn at random without replacement where there are more,
    which is right on average; ``every`` makes it cheaper. Tartaglione et al. 2021, SeReNe: sensitivity based regularization
    of neurons.
    """

    def __init__(
        self,
        model: torch.nn.Module | None,
        example_inputs: Any = None,
        *,
        graph: Graph | None = None,
        every: int = 1,
        outputs: int = 10,
        seed: int = 0,
    ) -> None:
        if not (isinstance(outputs, int) and outputs >= 1):
            raise EditError(f"outputs={outputs!r}; expected how many outputs of a batch are looked at, 1 or more")
        super().__init__(model, example_inputs, graph=graph, every=every)
        self.outputs, self.seed = outputs, seed
        self._seen: list[tuple[Outlet, Any]] = []

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_seen": []}

    def begins(self) -> bool:
        self._seen.clear()
        return super().begins()

    def sees(self, outlet: Outlet, value: torch.Tensor) -> None:
        self._seen.append((outlet, torch.autograd.graph.get_gradient_edge(value)))

    def ends(self, output: Any) -> None:
        seen, self._seen = self._seen, []
        columns = _columns(output)
        if columns is None or not seen:
            return
        chosen = np.random.default_rng((self.seed, self._passes)).permutation(columns.shape[1])[: self.outputs]
        totals: dict[str, torch.Tensor] = {}
        Gathering.probing = True
        try:
            for k in chosen:
                at = [edge for _, edge in seen]
                found = torch.autograd.grad(columns[:, int(k)].sum(), at, retain_graph=True, allow_unused=True)
                for (outlet, _), gradient in zip(seen, found):
                    if gradient is not None:
                        mean = gradient.abs().float().mean([i for i in range(outlet.rank) if i != outlet.axis])
                        totals[outlet.name] = totals[outlet.name] + mean if outlet.name in totals else mean
        finally:
            Gathering.probing = False
        for name, total in totals.items():
            self._average(name, total / len(chosen))


def _columns(output: Any) -> torch.Tensor | None:
    """The first output that has gradients and samples, as (N, K)."""
    if isinstance(output, torch.Tensor):
        good = output.requires_grad and output.ndim > 0 and output.numel() > 0
        return output.reshape(len(output), -1) if good else None
    children = output.values() if isinstance(output, Mapping) else output if isinstance(output, tuple | list) else ()
    return next((found for child in children if (found := _columns(child)) is not None), None)
