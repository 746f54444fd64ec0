"""The space of random multilayer perceptrons.

    flatten – [linear – norm? – activation – dropout? (+ an earlier layer)?] × layers – linear(outputs)

Everything about a hidden layer is drawn evenly from what the settings list, independently of the other layers.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import SpaceError
from ..graph.builder import Layer
from ..graph.settings_json import read_settings
from .caps import CAPS, MOST_TRIES, Caps, check_possible, shrunk
from .mlp_layers import NORMS, Activation, Hidden, cost, hidden_layers, network

if TYPE_CHECKING:
    import numpy

    from ..graph.graph import Graph

#: Random numbers that one hidden layer uses.
_PER_LAYER = 7
_MOST_LAYERS = 1000


@dataclass(frozen=True, init=False)
class MLP:
    """Random multilayer perceptrons from ``in_features`` numbers to ``num_classes`` (or ``out_features``).

    ``in_features`` may also be the shape of a sample, which is flattened first. A sample has a number of hidden layers drawn
    from ``layers``, each with a width of ``widths``, one of the ``activations`` (names of operators, or ``nl.op`` layers), a
    bias or none (``bias``), a norm (``norm``: None, "batch", "layer") and dropout (``dropout``: probabilities, 0 for none): one
    value, or several to draw from evenly. With probability ``skip`` a hidden layer after the first has the result of an
    earlier hidden layer added to it, all equally likely; through a projection without bias where the widths differ.
    ``max_params``, ``max_macs`` (multiply–accumulates of one sample) and ``max_flops`` (twice those) are caps that every
    sample keeps: draws above them are thrown away; where many in a row are, the last one is made smaller step by step.
    Raises `SpaceError` for settings that admit no network.

    >>> import numpy as np
    >>> space = MLP(64, 10, widths=(16, 32), activations=("relu", "gelu"), norm=(None, "layer"), skip=0.5)
    >>> graph = space.sample(np.random.default_rng(0))
    >>> graph.inputs[0].shape, graph.outputs[0].shape, space.contains(graph)
    ((Size('N'), 64), (Size('N'), 10), True)
    """

    input_shape: tuple[int, ...]
    num_classes: int
    layers: tuple[int, ...]
    widths: tuple[int, ...]
    activations: tuple[Activation, ...]
    bias: tuple[bool, ...]
    norm: tuple[str | None, ...]
    skip: float
    dropout: tuple[float, ...]
    max_params: int | None
    max_macs: int | None
    max_flops: int | None
    _caps: Caps = field(repr=False, compare=False)

    SETTINGS: ClassVar[tuple[str, ...]] = (
        "input_shape", "num_classes", "layers", "widths", "activations", "bias", "norm", "skip", "dropout",
        "max_params", "max_macs", "max_flops",
    )  # fmt: skip

    #: How `netloom.spaces.load` reads settings that are more than a number: what is expected, and the reader.
    READERS: ClassVar[dict[str, tuple[str, Callable[[str], Any]]]] = {
        "layers": ("numbers such as 2, 1,2,4 or 1..4", lambda text: _integers(text)),
        "widths": ("numbers such as 64 or 16,32,64", lambda text: _integers(text)),
        "activations": ("names such as relu,gelu", lambda text: text.split(",")),
        "bias": ("true, false, or both", lambda text: [_truth(word) for word in text.split(",")]),
        "norm": ("none, batch, layer, or several", lambda text: [None if w == "none" else w for w in text.split(",")]),
        "skip": ("a probability", float),
        "dropout": ("probabilities such as 0,0.1", lambda text: [float(word) for word in text.split(",")]),
    }

    def __init__(
        self,
        in_features: int | Sequence[int] | None = None,
        num_classes: int | None = None,
        *,
        layers: int | Iterable[int] = range(1, 5),
        widths: int | Iterable[int] = (16, 32, 64, 128, 256),
        activations: str | Layer | Iterable[str | Layer | Activation] = ("relu", "gelu", "silu", "tanh"),
        bias: bool | Iterable[bool] = True,
        norm: str | None | Iterable[str | None] = None,
        skip: float = 0.0,
        dropout: float | Iterable[float] = 0.0,
        max_params: float | None = None,
        max_macs: float | None = None,
        max_flops: float | None = None,
        out_features: int | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        shape = _one_of("in_features", in_features, "input_shape", input_shape, 64)
        given: dict[str, Any] = {
            "input_shape": (shape,) if isinstance(shape, int) else tuple(shape),
            "num_classes": _one_of("num_classes", num_classes, "out_features", out_features, 10),
            "layers": _several("layers", layers),
            "widths": _several("widths", widths),
            "activations": tuple(Activation.of(value) for value in _several("activations", activations)),
            "bias": _several("bias", bias),
            "norm": _several("norm", norm),
            "skip": skip,
            "dropout": _several("dropout", dropout),
            "max_params": max_params,
            "max_macs": max_macs,
            "max_flops": max_flops,
        }
        for name, value in given.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_caps", Caps.of("mlp", max_params, max_macs, max_flops))
        for name in CAPS:
            value = given[name]
            if isinstance(value, float):
                object.__setattr__(self, name, math.floor(value) if value < math.inf else None)
        self._check()

    def _check(self) -> None:
        _each("in_features", self.input_shape, lambda v: type(v) is int and v >= 1, "an integer ≥ 1, or a shape of them")
        _each("num_classes", (self.num_classes,), lambda v: type(v) is int and v >= 1, "an integer ≥ 1")
        allowed = f"integers from 0 to {_MOST_LAYERS}"
        _each("layers", self.layers, lambda v: type(v) is int and 0 <= v <= _MOST_LAYERS, allowed)
        _each("widths", self.widths, lambda v: type(v) is int and v >= 1, "integers ≥ 1")
        _each("bias", self.bias, lambda v: type(v) is bool, "True, False, or both")
        _each("norm", self.norm, lambda v: any(v is n or v == n for n in NORMS), "None, 'batch', 'layer', or several")
        _each("skip", (self.skip,), lambda v: _is_number(v) and 0 <= v <= 1, "a probability")
        _each("dropout", self.dropout, lambda v: _is_number(v) and 0 <= v < 1, "probabilities below 1")
        object.__setattr__(self, "dropout", tuple(float(p) for p in self.dropout))
        check_possible("mlp", self, [(*self._cost(hidden), _described(hidden)) for hidden in self._candidates])

    # -- settings --------------------------------------------------------------------------------------------------
    @property
    def in_features(self) -> int:
        """Number of features of a sample."""
        return prod(self.input_shape)

    @property
    def out_features(self) -> int:
        """Number of outputs."""
        return self.num_classes

    @property
    def spec(self) -> str:
        """The text that `netloom.spaces.load` makes this space from; empty where an activation has attributes."""
        if any(activation.attrs for activation in self.activations):
            return ""
        parts = []
        for name in self.SETTINGS:
            value = getattr(self, name)
            if name == "input_shape":
                parts.append(f"{name}={'x'.join(map(str, value))}")
            elif value is not None:
                shown = value if isinstance(value, tuple) else (value,)
                parts.append(f"{name}={','.join(_word(v) for v in shown)}")
        return "mlp?" + "&".join(parts)

    def to_json(self) -> str:
        """All settings as a JSON object; `from_json` reads it back."""
        values = {name: getattr(self, name) for name in self.SETTINGS}
        values["activations"] = [{"op": a.op, **dict(a.attrs)} if a.attrs else a.op for a in self.activations]
        return json.dumps(values)

    @staticmethod
    def from_json(document: str | Mapping[str, Any]) -> MLP:
        """The space of a JSON object with any of the settings; `SpaceError` for anything else.

        >>> space = MLP(8, 1, widths=(4, 8), activations=("relu", "tanh"))
        >>> MLP.from_json(space.to_json()) == space, MLP.from_json('{"widths": [4, 8]}').widths
        (True, (4, 8))
        """
        given = read_settings("mlp space", document, MLP.SETTINGS, SpaceError)
        if "activations" in given:
            given["activations"] = [_activation(one) for one in _several("activations", given["activations"])]
        return MLP(**given)

    @property
    def hash(self) -> str:
        """SHA-256 of all settings."""
        return hashlib.sha256(f"netloom mlp space 1 {self.to_json()}".encode()).hexdigest()

    def _cost(self, hidden: Sequence[Hidden]) -> tuple[int, int]:
        return cost(self.in_features, hidden, self.num_classes)

    def _excess(self, hidden: Sequence[Hidden]) -> float:
        return self._caps.excess(*self._cost(hidden))

    @cached_property
    def _candidates(self) -> list[tuple[Hidden, ...]]:
        """The networks that may be the smallest: of the fewest hidden layers of the least width, and of none.

        Every other costs no less than one of them: all terms grow with depth and widths, and where every layer has a skip
        connection, equal widths need no projection.
        """
        activation = min(self.activations, key=lambda a: a.num_params)
        norm = None if None in self.norm else self.norm[0]
        plain = Hidden(min(self.widths), activation, min(self.bias), norm, min(self.dropout))
        depths = {min((depth for depth in self.layers if depth), default=0), min(self.layers)}
        layers = [plain if self.skip < 1 or not i else plain._replace(skip=i - 1) for i in range(max(depths))]
        return [tuple(layers[:depth]) for depth in sorted(depths)]

    @cached_property
    def smallest(self) -> tuple[Hidden, ...]:
        """The hidden layers of a network within the caps that is as small as any."""
        return min((hidden for hidden in self._candidates if self._excess(hidden) <= 1), key=self._cost)

    # -- sampling --------------------------------------------------------------------------------------------------
    def sample(self, rng: numpy.random.Generator) -> Graph:
        """A random perceptron within the caps, a function of the generator's state alone."""
        return network(self.input_shape, self.sample_layers(rng), self.num_classes)

    def sample_layers(self, rng: numpy.random.Generator) -> tuple[Hidden, ...]:
        """The hidden layers of a random perceptron."""
        hidden: tuple[Hidden, ...] = ()
        for _ in range(MOST_TRIES):
            hidden = self._draw(iter(rng.random(1 + _PER_LAYER * max(self.layers)).tolist()))
            if self._excess(hidden) <= 1:
                return hidden
        return shrunk(hidden, self._smaller, self._excess, self.smallest)

    def _draw(self, numbers: Iterator[float]) -> tuple[Hidden, ...]:
        found = []
        for i in range(_pick(self.layers, next(numbers))):
            width, activation, bias, norm, dropout = (
                _pick(options, next(numbers))
                for options in (self.widths, self.activations, self.bias, self.norm, self.dropout)
            )  # fmt: skip
            skips, source = next(numbers) < self.skip, int(next(numbers) * i)
            found.append(Hidden(width, activation, bias, norm, dropout, source if skips and i else None))
        return tuple(found)

    def _smaller(self, hidden: tuple[Hidden, ...]) -> Iterator[tuple[Hidden, ...]]:
        """The perceptron with one layer narrower by one step, the last layer gone, or one skip connection gone."""
        widths = sorted({*self.widths})
        for i, layer in enumerate(hidden):
            place = widths.index(layer.width)
            if place:
                yield (*hidden[:i], layer._replace(width=widths[place - 1]), *hidden[i + 1 :])
            if layer.skip is not None and self.skip < 1:
                yield (*hidden[:i], layer._replace(skip=None), *hidden[i + 1 :])
        if len(hidden) - 1 in self.layers:
            yield hidden[:-1]

    # -- membership ------------------------------------------------------------------------------------------------
    def contains(self, graph: Graph) -> bool:
        """Whether ``graph`` is a network of this space: its layers, its ranges, its input and outputs, its caps."""
        hidden = hidden_layers(graph, self.activations)
        if hidden is None or not self._allows(hidden) or self._excess(hidden) > 1:
            return False
        return graph.hash == network(self.input_shape, hidden, self.num_classes).hash

    def _allows(self, hidden: Sequence[Hidden]) -> bool:
        return len(hidden) in self.layers and all(
            layer.width in self.widths
            and layer.bias in self.bias
            and layer.norm in self.norm
            and layer.dropout in self.dropout
            and (self.skip > 0 if layer.skip is not None else self.skip < 1 or not i)
            for i, layer in enumerate(hidden)
        )


def _activation(given: Any) -> Any:
    """An activation as JSON has it: a name, or an object with ``op`` and attributes."""
    if not isinstance(given, Mapping):
        return given
    attrs = dict(given)
    return Layer(attrs.pop("op", None), (), attrs)


def _described(hidden: Sequence[Hidden]) -> str:
    if not hidden:
        return "no hidden layer"
    return f"{len(hidden)} hidden layer{'s' * (len(hidden) > 1)} of width {hidden[0].width}"


def _integers(text: str) -> list[int]:
    """Whole numbers with commas between them; ``1..4`` for all from 1 to 4."""
    found: list[int] = []
    for part in text.split(","):
        low, dots, high = part.partition("..")
        if dots and int(high) - int(low) > _MOST_LAYERS:
            raise ValueError(part)
        found += range(int(low), int(high) + 1) if dots else [int(part)]
    return found


def _truth(word: str) -> bool:
    if word not in ("true", "false"):
        raise ValueError(word)
    return word == "true"


def _pick(options: Sequence[Any], number: float) -> Any:
    return options[int(number * len(options))]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _word(value: Any) -> str:
    """A value as a spec writes it: the words of JSON where Python has others."""
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _one_of(first: str, one: Any, second: str, other: Any, default: Any) -> Any:
    """The one of two names for a setting that is given."""
    if one is not None and other is not None:
        raise SpaceError(f"mlp space: {first} = {one!r} and {second} = {other!r} are two names of one setting; give one")
    given = other if one is None else one
    return default if given is None else given


def _several(name: str, given: Any) -> tuple[Any, ...]:
    """A setting's options: one value, or several to draw from."""
    if given is None or isinstance(given, str | int | float | Layer | Activation | Mapping):
        return (given,)
    try:
        found = tuple(value.item() if hasattr(value, "item") else value for value in given)
    except TypeError:
        raise SpaceError(f"mlp space: {name} = {given!r}; expected a value, or a list of values to draw from") from None
    if not found:
        raise SpaceError(f"mlp space: {name} is empty; give at least one value to draw")
    return found


def _each(name: str, values: Sequence[Any], right: Callable[[Any], bool], expected: str) -> None:
    for value in values:
        if not right(value):
            raise SpaceError(f"mlp space: {name} = {value!r}; expected {expected}")
