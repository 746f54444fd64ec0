"""`canonical`: the one among all networks with the same function and other order, scale and sign of neurons.

Hidden neurons may change places; those with positively homogeneous functions (relu) may be scaled, those with odd ones (tanh)
flip their signs, those with a sigmoid too, since σ(−x) = 1 − σ(x). The layers that read a neuron undo it, so outputs stay.
Neurons that are added to each other share order, scale and sign.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .perceptrons import ADD, FUNCTION, LINEAR, Perceptron

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..building.network import Network

#: f(c·x) = c·f(x) for c > 0.
_HOMOGENEOUS = frozenset({"relu", "leaky_relu", "dropout"})
#: f(−x) = −f(x).
_ODD = frozenset({"tanh", "softsign", "tanhshrink", "sin", "asinh", "arctan", "atan", "erf", "sinh", "dropout"})
_ZERO = 1e-12


def canonical(network: Network) -> Network:
    """A network with the same outputs (to rounding) whose neurons are in canonical order, scale and sign.

    Layer by layer: signs so that the largest incoming weight is positive (tanh and other odd functions; sigmoid where the
    layers behind have biases), scales so that incoming weights and bias have norm 1 (relu), then neurons by falling
    ‖incoming‖·‖outgoing‖. Two networks that differ by these symmetries alone come out alike. Raises `FormatError` for a
    network that `Perceptron.of` does not read.

    >>> import netloom as nl, torch
    >>> x = nl.input(3)
    >>> net = nl.build(nl.Graph(x, nl.linear(nl.relu(nl.linear(x, 8)), 2)), seed=0)
    >>> samples = torch.randn(50, 3)
    >>> bool(torch.allclose(canonical(net)(samples), net(samples), atol=1e-6))
    True
    """
    return canonical_perceptron(Perceptron.of(network)).network()


def canonical_perceptron(given: Perceptron) -> Perceptron:
    """The same of what has been read already; computed in float64."""
    draft = _Draft(given)
    classes = _classes(given)
    for tied in classes:
        draft.flip(tied)
        draft.scale(tied)
    for tied in classes:
        draft.sort(tied)
    return draft.done()


@dataclass(frozen=True, slots=True)
class _Tied:
    """Groups whose neurons share order, scale and sign: ``made`` by linear layers, read by ``readers`` (linear layers)."""

    members: frozenset[int]
    made: tuple[int, ...]
    readers: tuple[int, ...]
    functions: frozenset[str]
    adds: bool


def _classes(given: Perceptron) -> list[_Tied]:
    """All classes of hidden neurons that may be reordered, in the order of computation."""
    groups = given.groups
    number = list(range(len(groups)))

    def root(i: int) -> int:
        while number[i] != i:
            i = number[i]
        return i

    for i, group in enumerate(groups):
        if group.kind in (FUNCTION, ADD):
            for parent in group.parents:
                low, high = sorted((root(parent), root(i)))
                number[high] = low
    found = []
    for first in sorted({root(i) for i in range(len(number))}):
        members = frozenset(i for i in range(len(number)) if root(i) == first)
        if 0 in members or len(groups) - 1 in members:
            continue
        made = tuple(i for i in sorted(members) if groups[i].kind == LINEAR)
        readers = tuple(i for i, g in enumerate(groups) if g.kind == LINEAR and g.parents[0] in members)
        functions = frozenset(groups[i].op for i in members if groups[i].kind == FUNCTION)
        adds = any(groups[i].kind == ADD for i in members)
        found.append(_Tied(members, made, readers, functions, adds))
    return found


class _Draft:
    """Weights that are being changed."""

    def __init__(self, given: Perceptron) -> None:
        self.given = given
        linear = [i for i, group in enumerate(given.groups) if group.kind == LINEAR]
        self.weights: dict[int, NDArray[Any]] = {i: np.array(given.groups[i].weight, np.float64) for i in linear}
        self.biases: dict[int, NDArray[Any]] = {
            i: np.array(given.groups[i].bias, np.float64) for i in linear if given.groups[i].bias is not None
        }

    def _rows(self, made: tuple[int, ...]) -> NDArray[Any]:
        """Weights and biases by which the layers ``made`` come to each neuron, (size, everything)."""
        parts = [self.weights[i] for i in made] + [self.biases[i][:, None] for i in made if i in self.biases]
        return np.concatenate(parts, axis=1)

    def _from_outside(self, tied: _Tied) -> tuple[int, ...]:
        """The layers that make the neurons and do not read them too: scales and signs of the others hang on both ends."""
        return tuple(i for i in tied.made if i not in tied.readers)

    def _times(self, tied: _Tied, factor: NDArray[Any]) -> None:
        for i in tied.made:
            self.weights[i] *= factor[:, None]
            if i in self.biases:
                self.biases[i] *= factor
        for i in tied.readers:
            self.weights[i] /= factor

    def flip(self, tied: _Tied) -> None:
        """Signs after which the largest incoming weight is positive, the bias where there is none."""
        sigmoid = tied.functions == {"sigmoid"} and not tied.adds
        if sigmoid:
            if not all(i in self.biases for i in tied.readers) or self._branches(tied):
                return
        elif not tied.functions <= _ODD:
            return
        made = self._from_outside(tied)
        rows = self._rows(made)
        incoming = sum(self.weights[i].shape[1] for i in made)
        largest = np.take_along_axis(rows, np.abs(rows[:, :incoming]).argmax(1)[:, None], 1)[:, 0]
        if rows.shape[1] > incoming:
            largest = np.where(largest == 0, rows[:, incoming], largest)
        sign = np.where(largest < 0, -1.0, 1.0)
        if sigmoid:
            for i in tied.readers:
                self.biases[i] = self.biases[i] + self.weights[i] @ (sign < 0)
        self._times(tied, sign)

    def _branches(self, tied: _Tied) -> bool:
        """Whether a layer reads the neurons before their sigmoid, or they have more than one."""
        groups = self.given.groups
        kinds = [groups[i].kind for i in tied.members]
        ends = {groups[i].parents[0] for i in tied.readers}
        return kinds.count(FUNCTION) != 1 or any(groups[end].kind != FUNCTION for end in ends)

    def scale(self, tied: _Tied) -> None:
        """Incoming weights and bias of norm 1."""
        if tied.functions <= _HOMOGENEOUS:
            norm = np.linalg.norm(self._rows(self._from_outside(tied)), axis=1)
            self._times(tied, np.where(norm > _ZERO, 1 / np.maximum(norm, _ZERO), 1.0))

    def sort(self, tied: _Tied) -> None:
        """Falling ‖incoming‖·‖outgoing‖; equal ones by their incoming weights."""
        rows = self._rows(tied.made)
        outgoing = np.concatenate([self.weights[i] for i in tied.readers], axis=0) if tied.readers else np.ones((1, len(rows)))
        key = np.linalg.norm(rows, axis=1) * np.linalg.norm(outgoing, axis=0)
        order = np.lexsort((*self._rows(self._from_outside(tied)).T[::-1], -key))
        for i in tied.made:
            self.weights[i] = self.weights[i][order]
            if i in self.biases:
                self.biases[i] = self.biases[i][order]
        for i in tied.readers:
            self.weights[i] = self.weights[i][:, order]

    def done(self) -> Perceptron:
        kind = np.dtype(self.given.dtype)
        cast = lambda found: {i: array.astype(kind) for i, array in found.items()}  # noqa: E731
        return self.given.with_weights(cast(self.weights), cast(self.biases))
