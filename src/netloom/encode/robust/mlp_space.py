"""The networks of `netloom.spaces.MLP` as sequences of tokens, every one of which is a network of the space."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ...errors import SpaceError
from ...spaces.caps import Caps, shrunk
from ...spaces.mlp_layers import Hidden, cost, hidden_layers, network
from .instructions import BACK, FAR, written_refs
from .sequences import Sequences, grouped
from .table import token_of

if TYPE_CHECKING:
    from ...graph.graph import Graph
    from ...spaces.mlp import MLP

LAYER = "layer"
_Layers = tuple[Hidden, ...]


class MLPSequences(Sequences):
    """Sequences for a `netloom.spaces.MLP`: a token ``layer`` for each hidden layer, with what is not usual after it.

    Modifiers are ``width=64``, ``activation=gelu``, ``bias=False``, ``norm=batch``, ``dropout=0.1`` and, where the space has
    skip connections, ``back=2`` (the result of the second hidden layer back is added; ``far`` adds 8). Numbers of layers that
    the space does not have are cut to the next smaller one it has, or filled up to its least.

    >>> import netloom as nl
    >>> sequences = MLPSequences(nl.spaces.MLP(8, 3, widths=(4, 16), layers=(1, 2)))
    >>> [node.op for node in sequences.decode("layer activation=gelu layer width=16 layer")]
    ['input', 'linear', 'gelu', 'linear', 'relu', 'linear']
    """

    def __init__(self, space: MLP) -> None:
        self.space = space
        self._caps = Caps.of("mlp", space.max_params, space.max_macs, space.max_flops)
        self._ranges: dict[str, tuple[Any, ...]] = {
            "width": space.widths, "activation": space.activations, "bias": space.bias, "norm": space.norm,
            "dropout": space.dropout,
        }  # fmt: skip
        self._meaning = {
            token_of(name, value): (name, value) for name, values in self._ranges.items() if len(values) > 1 for value in values
        }
        refs = [*(token_of("back", n) for n in BACK), FAR] if space.skip else []
        self._back = {token_of("back", n): n for n in BACK}
        self._vocabulary = (LAYER, *self._meaning, *refs)

    @property
    def vocabulary(self) -> tuple[str, ...]:
        return self._vocabulary

    def decode(self, tokens: Iterable[str] | Iterable[int] | str) -> Graph:
        """The network of any sequence of tokens, a member of the space; `FormatError` for what is no token."""
        space = self.space
        asked = [modifiers for _, modifiers in grouped(self.tokens(self.numbers(tokens)), {LAYER})]
        counts = sorted(space.layers)
        count = max([number for number in counts if number <= len(asked)], default=counts[0])
        hidden = tuple([self._layer(i, asked[i] if i < len(asked) else ()) for i in range(count)])
        if self._excess(hidden) > 1:
            hidden = shrunk(hidden, self._smaller, self._excess, tuple(space.smallest))
        return network(space.input_shape, hidden, space.num_classes)

    def _layer(self, place: int, tokens: tuple[str, ...]) -> Hidden:
        values = {name: options[0] for name, options in self._ranges.items()}
        values |= dict([self._meaning[token] for token in tokens if token in self._meaning])
        further, back = 0, 1 if self.space.skip == 1 else 0
        for token in tokens:
            if token == FAR:
                further += BACK[-1]
            elif token in self._back:
                back, further = further + self._back[token], 0
        # The first back is the layer before this one's input: that of the input itself is no skip.
        skip = (place - 1 - (back - 1) % place) if back and place else None
        return Hidden(**values, skip=skip)

    def _excess(self, hidden: _Layers) -> float:
        return self._caps.excess(*cost(self.space.in_features, hidden, self.space.num_classes))

    def _smaller(self, hidden: _Layers) -> Iterator[_Layers]:
        """With one layer narrower, one skip connection gone, or the last layer gone."""
        widths = sorted(set(self.space.widths))
        for i, layer in enumerate(hidden):
            place = widths.index(layer.width)
            if place:
                yield (*hidden[:i], layer._replace(width=widths[place - 1]), *hidden[i + 1 :])
            if layer.skip is not None and self.space.skip < 1:
                yield (*hidden[:i], layer._replace(skip=None), *hidden[i + 1 :])
        if len(hidden) - 1 in self.space.layers:
            yield hidden[:-1]

    def encode(self, graph: Graph) -> list[str]:
        """The tokens of a member of the space; `SpaceError` for any other graph."""
        hidden = hidden_layers(graph, self.space.activations) if self.space.contains(graph) else None
        if hidden is None:
            raise SpaceError(f"{graph!r} is no network of {self.space!r}")
        found: list[str] = []
        for place, layer in enumerate(hidden):
            found.append(LAYER)
            for name, options in self._ranges.items():
                value = getattr(layer, name)
                if value != options[0]:
                    found.append(token_of(name, value))
            if layer.skip is not None:
                back = place - layer.skip
                found += written_refs((back,)) if (back, self.space.skip) != (1, 1) else []
        return found
