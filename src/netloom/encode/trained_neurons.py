"""`neurons`: a trained network as one token for each neuron: weights on both sides, function, place, answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FormatError
from .perceptrons import FUNCTION, INPUT, LINEAR, Group, Perceptron

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..building.network import Network

#: Stream of random numbers that probe inputs are drawn from.
_STREAM = 77


@dataclass(frozen=True, slots=True, eq=False)
class NeuronTokens:
    """Tokens of the V neurons of a network (inputs have none), in the order of computation.

    - ``incoming`` (V, I): weights from the neurons of the group below; zeros where there are fewer than I, and in groups
      that have no weights of their own.
    - ``bias`` (V,): 0 where there is none.
    - ``function`` (V,): number in ``functions`` of the elementwise function behind the neuron; -1 where there is none.
    - ``outgoing`` (V, O): weights to the neurons of the layers that read it, one layer after the other.
    - ``position`` (V, 2): number of the group, and place in it.
    - ``answers`` (V, P): what the neuron gives, behind its function, at P fixed probe inputs (``probes`` (P, inputs)).

    ``groups`` says what hangs together; with it `network_of_neurons` is the way back, without loss.
    """

    incoming: NDArray[np.float64]
    bias: NDArray[np.float64]
    function: NDArray[np.int64]
    outgoing: NDArray[np.float64]
    position: NDArray[np.int64]
    answers: NDArray[np.float64]
    probes: NDArray[np.float64]
    functions: tuple[str, ...]
    groups: tuple[Group, ...]
    input_shape: tuple[int, ...]
    dtype: str

    def __len__(self) -> int:
        return len(self.bias)

    def matrix(self) -> NDArray[np.float32]:
        """All that is numbers side by side, float32 (V, I + 1 + F + O + 2 + P), functions as one-hot."""
        shown = self.function[:, None] == np.arange(len(self.functions))
        parts = (self.incoming, self.bias[:, None], shown, self.outgoing, self.position, self.answers)
        return np.concatenate([np.asarray(part, np.float32) for part in parts], axis=1)


def probe_inputs(count: int, features: int, seed: int = 0) -> NDArray[np.float64]:
    """Fixed inputs at which networks are asked: (count, features), standard normal. Columns do not depend on those after them.

    >>> probe_inputs(4, 3).shape, bool((probe_inputs(4, 5)[:, :3] == probe_inputs(4, 3)).all())
    ((4, 3), True)
    """
    columns = [np.random.default_rng([seed, _STREAM, column]).standard_normal(count) for column in range(features)]
    return np.stack(columns, axis=1) if columns else np.zeros((count, 0))


def neurons(network: Network, probes: int | NDArray[Any] = 64) -> NeuronTokens:
    """The neuron tokens of a network, asked at ``probes`` inputs: so many of `probe_inputs`, or those given (P, inputs).

    What a neuron answers is what makes encoders of trained networks learn: weights alone do not show functions. Raises
    `FormatError` for a network that is more than linear layers, elementwise functions and sums.

    >>> import netloom as nl
    >>> x = nl.input(3)
    >>> net = nl.build(nl.Graph(x, nl.linear(nl.relu(nl.linear(x, 5)), 2)), seed=0)
    >>> found = neurons(net, probes=16)
    >>> found.incoming.shape, found.answers.shape, found.functions, found.position[-1].tolist()
    ((7, 5), (7, 16), ('relu',), [3, 1])
    >>> network_of_neurons(found).graph.hash == net.graph.hash
    True
    """
    given = Perceptron.of(network)
    features = given.groups[0].size
    asked = _asked(probes, features)
    if asked.ndim < 2 or asked[0].size != features:
        raise FormatError(f"probes have shape {asked.shape}; the network takes {features} inputs: expected (P, {features})")
    answers = given.answers(asked)
    behind = _functions_behind(given)
    own = [i for i, group in enumerate(given.groups) if group.kind != INPUT and i not in behind.values()]
    names = tuple(dict.fromkeys(given.groups[i].op for i in range(len(given.groups)) if given.groups[i].kind == FUNCTION))
    fan_in = max((g.weight.shape[1] for g in given.groups if g.weight is not None), default=0)
    outgoing = {i: _outgoing(given, behind.get(i, i)) for i in own}
    fan_out = max((part.shape[1] for part in outgoing.values()), default=0)
    parts: dict[str, list[Any]] = {key: [] for key in ("incoming", "bias", "function", "outgoing", "position", "answers")}
    for i in own:
        group, last = given.groups[i], behind.get(i, i)
        weight = np.zeros((group.size, 0)) if group.weight is None else group.weight
        op = given.groups[last].op if given.groups[last].kind == FUNCTION else ""
        parts["incoming"].append(_padded(weight, fan_in))
        parts["bias"].append(np.zeros(group.size) if group.bias is None else group.bias)
        parts["function"].append(np.full(group.size, names.index(op) if op else -1, np.int64))
        parts["outgoing"].append(_padded(outgoing[i], fan_out))
        parts["position"].append(np.stack([np.full(group.size, i), np.arange(group.size)], 1))
        parts["answers"].append(answers[last].T)
    joined = {key: np.concatenate(arrays) for key, arrays in parts.items()}
    bare = tuple(replace(g, weight=None, bias=None) if g.bias is None else replace(g, weight=None, bias=np.zeros(0))
                 for g in given.groups)  # fmt: skip
    return NeuronTokens(**joined, probes=asked, functions=names, groups=bare, input_shape=given.input_shape, dtype=given.dtype)


def _asked(probes: Any, features: int) -> NDArray[np.float64]:
    """The inputs at which networks are asked."""
    if isinstance(probes, int):
        if probes < 1 or isinstance(probes, bool):
            raise FormatError(f"probes = {probes!r}; expected a number of inputs, 1 or more, or inputs (P, {features})")
        return probe_inputs(probes, features)
    try:
        found = np.asarray(probes.detach().cpu() if hasattr(probes, "detach") else probes, np.float64)
    except (TypeError, ValueError):
        raise FormatError(f"probes are a {type(probes).__name__}; expected how many, or inputs (P, {features})") from None
    if not np.isfinite(found).all() or not found.size:
        raise FormatError(f"probes of shape {found.shape} are empty or not finite; expected inputs (P, {features})")
    return found


def network_of_neurons(found: NeuronTokens) -> Network:
    """The network of neuron tokens, weights included; ``outgoing`` and ``answers`` follow from the rest and are not read."""
    if not isinstance(found, NeuronTokens):
        raise FormatError(f"a {type(found).__name__} is no NeuronTokens; nl.encode.neurons(network) makes them")
    dtype = np.dtype(found.dtype)
    weights: dict[int, NDArray[Any]] = {}
    biases: dict[int, NDArray[Any]] = {}
    for i, group in enumerate(found.groups):
        if group.kind != LINEAR:
            continue
        rows = found.position[:, 0] == i
        if rows.sum() != group.size:
            raise FormatError(f"group {i} has {group.size} neurons, but there are tokens of {int(rows.sum())}")
        order = np.flatnonzero(rows)[np.argsort(found.position[rows, 1], kind="stable")]
        weights[i] = found.incoming[order, : found.groups[group.parents[0]].size].astype(dtype)
        if group.bias is not None:
            biases[i] = found.bias[order].astype(dtype)
    return Perceptron(found.groups, found.input_shape, found.dtype).with_weights(weights, biases).network()


def _functions_behind(given: Perceptron) -> dict[int, int]:
    """Group → the function that alone reads it, as one neuron with it."""
    found = {}
    for i, group in enumerate(given.groups):
        readers = given.readers(i)
        if group.kind not in (INPUT, FUNCTION) and len(readers) == 1 and given.groups[readers[0]].kind == FUNCTION:
            found[i] = readers[0]
    return found


def _outgoing(given: Perceptron, group: int) -> NDArray[Any]:
    """Weights to the neurons of the linear layers that read a group, (size, all of them)."""
    found: list[Any] = [given.groups[i].weight for i in given.readers(group) if given.groups[i].kind == LINEAR]
    return np.concatenate([weight.T for weight in found], axis=1) if found else np.zeros((given.groups[group].size, 0))


def _padded(rows: NDArray[Any], width: int) -> NDArray[np.float64]:
    return np.pad(np.asarray(rows, np.float64), ((0, 0), (0, width - rows.shape[1])))
