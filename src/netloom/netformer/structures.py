"""`Structures`: depths, widths and activations of many perceptrons as tensors, and the graphs that they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from ..errors import NetformerError
from ..graph.graph import Graph
from .config import Family

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Structures:
    """M structures, int64: ``depth`` (M,) hidden layers, ``widths`` and ``activations`` (M, L), ``inputs``, ``outputs`` (M,).

    Behind the last hidden layer widths and activations are 0.
    """

    depth: Tensor
    widths: Tensor
    activations: Tensor
    inputs: Tensor
    outputs: Tensor

    def __len__(self) -> int:
        return len(self.depth)

    def __getitem__(self, places: Any) -> Structures:
        return Structures(*(getattr(self, field.name)[places] for field in fields(self)))

    def mask(self, max_width: int) -> Tensor:
        """1 at neurons that are there: float32 (M, L, max_width)."""
        import torch

        return (torch.arange(max_width) < self.widths[..., None]).float()

    def features(self, family: Family) -> Tensor:
        """What decoders are told: float32 (M, F): depth and activations as one-hot, widths, inputs and outputs as shares."""
        import torch
        from torch.nn.functional import one_hot

        live = (self.widths > 0)[..., None]
        parts = (
            one_hot(self.depth - 1, family.max_layers),
            (one_hot(self.activations, len(family.activations)) * live).flatten(1),
            self.widths / family.max_width,
            self.inputs[:, None] / family.max_inputs,
            self.outputs[:, None] / family.max_outputs,
        )
        return torch.cat([part.float() for part in parts], 1)

    def repeated(self, count: int) -> Structures:
        """The first structure, ``count`` times."""
        return Structures(*(getattr(self, field.name)[:1].repeat_interleave(count, 0) for field in fields(self)))

    @staticmethod
    def joined(parts: Sequence[Structures]) -> Structures:
        """All of several, one after the other."""
        import torch

        return Structures(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Structures)))

    @staticmethod
    def of(
        layers: Sequence[Sequence[tuple[int, int]]], inputs: Sequence[int], outputs: Sequence[int], family: Family
    ) -> Structures:
        """From (width, number of the activation) of each hidden layer of each network."""
        import torch

        def padded(which: int) -> Tensor:
            rows = [[layer[which] for layer in net] + [0] * (family.max_layers - len(net)) for net in layers]
            return torch.tensor(rows, dtype=torch.int64).reshape(len(layers), family.max_layers)

        count = lambda values: torch.tensor(list(values), dtype=torch.int64)  # noqa: E731
        return Structures(count(map(len, layers)), padded(0), padded(1), count(inputs), count(outputs))

    def graph(self, place: int, family: Family) -> Graph:
        """The graph of one structure."""
        depth = int(self.depth[place])
        hidden = list(zip(self.widths[place, :depth].tolist(), self.activations[place, :depth].tolist()))
        return graph_of(hidden, int(self.inputs[place]), int(self.outputs[place]), family)


def graph_of(hidden: Sequence[tuple[int, int]], inputs: int, outputs: int, family: Family) -> Graph:
    """The perceptron with hidden layers of (width, number of the activation), layers ``hidden.0.linear`` … and ``head``."""
    import netloom as nl

    x = y = nl.input(inputs)
    for number, (width, kind) in enumerate(hidden):
        y = nl.linear(y, width, name=f"hidden.{number}.linear")
        y = getattr(nl, family.activations[kind])(y)
    return nl.Graph(x, nl.linear(y, outputs, name="head"))


@dataclass(frozen=True, slots=True)
class Outline:
    """What a perceptron of the family is: keys of its linear layers, (width, number of the activation) of hidden ones."""

    keys: tuple[tuple[str, str], ...]
    hidden: tuple[tuple[int, int], ...]
    inputs: int
    outputs: int
    sample_shape: tuple[int, ...]


def outline_of(graph: Graph, family: Family, *, any_ends: bool = False) -> Outline:
    """The outline of a graph; `NetformerError` names what is outside the family.

    ``any_ends``: more inputs and outputs than the family's are let through.

    >>> import netloom as nl
    >>> x = nl.input(4)
    >>> outline_of(nl.Graph(x, nl.linear(nl.tanh(nl.linear(x, 9)), 1)), Family()).hidden
    ((9, 1),)
    """
    from ..training.many_chains import chain_of

    if not isinstance(graph, Graph):
        raise NetformerError(f"a {type(graph).__name__} is no graph; give an nl.Graph, such as network.graph")
    chain = chain_of(graph)
    if isinstance(chain, str):
        raise NetformerError(f"the network is no plain perceptron: {chain}; a Netformer reads chains of linear layers")
    *hidden, last = chain.layers
    if not hidden:
        raise NetformerError(f"the network has no hidden layer; a Netformer reads 1 to {family.max_layers}")
    limits = [("hidden layers", len(hidden), family.max_layers)]
    limits += [("neurons in a layer", max(layer.out_features for layer in hidden), family.max_width)]
    if not any_ends:
        limits += [("inputs", chain.in_features, family.max_inputs), ("outputs", chain.out_features, family.max_outputs)]
    for what, count, most in limits:
        if count > most:
            raise NetformerError(f"the network has {count} {what}; this Netformer was made for at most {most}")
    found = []
    for number, layer in enumerate(hidden):
        functions = [op for op, _ in layer.activations]
        if len(functions) != 1 or layer.activations[0][1] not in ((), _DEFAULTS.get(functions[0])):
            what = " and ".join(functions) if functions else "no activation"
            raise NetformerError(f"hidden layer {number} has {what}; expected one of {', '.join(family.activations)}")
        if functions[0] not in family.activations:
            raise NetformerError(f"operator {functions[0]!r} is not among the activations {', '.join(family.activations)}")
        found.append((layer.out_features, family.activations.index(functions[0])))
    if last.activations:
        raise NetformerError(f"the outputs go through {last.activations[0][0]!r}; a Netformer reads networks that end linearly")
    keys = tuple((layer.weight, layer.bias or "") for layer in chain.layers)
    return Outline(keys, tuple(found), chain.in_features, chain.out_features, chain.input_shape)


#: Attributes that are as by default.
_DEFAULTS: dict[str, Any] = {
    "gelu": (("approximate", "none"),), "elu": (("alpha", 1.0),), "softplus": (("beta", 1), ("threshold", 20)),
}  # fmt: skip
