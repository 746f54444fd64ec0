"""`Notation`: a language of architectures in which every sequence of tokens is a network."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...errors import FormatError, SpaceError
from ...graph.graph import Graph
from ...spaces.caps import Caps
from ..inputs import as_graph, as_graphs, plain
from .calls import Calls
from .covering import covering_settings
from .derivation import Derivation, Limits
from .folding import written
from .instructions import JOINS, Vocabulary, expanded
from .sequences import Sequences
from .table import Template, default_operators, read_operators
from .writing import Writer

CHANNEL_COUNTS = (8, 16, 32, 64, 96, 128, 192, 256, 384, 512)
KERNELS = (3, 1, 2, 4, 5, 6, 7)
STRIDES = (1, 2, 3, 4)
FEATURES = (32, 64, 128, 256, 512, 1024, 2048, 4096)
#: Instructions that are carried out for every call that a network may have: a call may need to go back, and to be kept.
_PER_CALL = 8


class Notation(Sequences):
    """Networks on samples of ``input_shape`` for ``num_classes`` classes as sequences of tokens.

    Every sequence of tokens of ``vocabulary`` decodes to a valid network within the caps, and every network of the space that
    the settings describe has a sequence: that `encode` gives, whose `decode` has the same hash.

    A token is a verb or a modifier of the verb before it. Verbs are the operators (``conv2d``), ``from`` (go on from an
    earlier value), the joins ``add``, ``cat`` and ``gate`` (the product of two values), ``keep`` (compute the current value
    though nothing reads it), and ``[`` ``]`` around blocks, which ``again`` repeats. Modifiers are values of attributes
    (``kernel=5``), references (``back=3``, the third value back that fits; ``far`` adds 8; ``self``), and ``times=4`` of
    blocks. What is not said is the first value of each range, and ``back=1``.

    What does not fit is made to: kernels shrink, layers narrow, images are flattened before linear layers; a join without a
    partner, an attribute that the operator does not have, a layer that exceeds a cap are passed over. At the end loose ends
    are added up where they fit, and dropped where they do not; then come flatten and the linear layer of the classes.

    ``operators`` maps operators to attributes to values, or lists names of those there are by default; ``channels``,
    ``kernels``, ``strides`` and ``linear`` (features) are the ranges of the default ones, the usual value first. ``joins``
    are some of "add", "cat" and "gate", ``max_back`` is how many values that fit a reference looks back over. ``max_params``,
    ``max_macs``, ``max_flops``, ``max_calls`` and ``max_channels`` (of a concatenation) are caps. `SpaceError` for settings
    that admit no network.

    The idea is that of SELFIES for molecules (Krenn et al. 2020).

    >>> notation = Notation((1, 8, 8), 10)
    >>> graph = notation.decode("conv2d out=16 batch_norm relu from back=3 conv2d out=16 kernel=1 add".split())
    >>> [node.op for node in graph]
    ['input', 'conv2d', 'batch_norm', 'relu', 'conv2d', 'add', 'flatten', 'linear']
    >>> notation.encode(graph)
    ['conv2d', 'out=16', 'batch_norm', 'relu', 'from', 'back=3', 'conv2d', 'out=16', 'kernel=1', 'add']
    """

    SETTINGS = (
        "input_shape", "num_classes", "operators", "channels", "kernels", "strides", "linear", "joins", "keep", "max_back",
        "max_params", "max_macs", "max_flops", "max_calls", "max_channels",
    )  # fmt: skip

    def __init__(
        self,
        input_shape: Sequence[int] = (3, 32, 32),
        num_classes: int = 10,
        *,
        operators: Mapping[str, Any] | Iterable[str] | None = None,
        channels: Sequence[int] = CHANNEL_COUNTS,
        kernels: Sequence[int] = KERNELS,
        strides: Sequence[int] = STRIDES,
        linear: Sequence[int] = FEATURES,
        joins: Iterable[str] = tuple(JOINS),
        keep: bool = True,
        max_back: int | None = None,
        max_params: float | None = None,
        max_macs: float | None = None,
        max_flops: float | None = None,
        max_calls: int = 1024,
        max_channels: int = 4096,
    ) -> None:
        joins = (joins,) if isinstance(joins, str) else tuple(joins)
        self.input_shape = tuple(map(plain, input_shape))
        self.num_classes = num_classes = plain(num_classes)
        given = {"channels": channels, "kernels": kernels, "strides": strides, "linear": linear}
        ranges: dict[str, Any] = {name: _numbers(name, values) for name, values in given.items()}
        usual = default_operators(**ranges, axes=len(self.input_shape) - 1)
        templates = read_operators(usual if operators is None else operators, usual)
        if "linear" in templates:
            # A linear layer brings it along, and what comes next may go on from there.
            templates.setdefault("flatten", Template("flatten", {}))
        self.settings: dict[str, Any] = {
            "input_shape": list(self.input_shape), "num_classes": num_classes,
            "operators": None if operators is None else _as_lists(templates),
            **{name: list(values) for name, values in ranges.items()},
            "joins": list(joins), "keep": keep, "max_back": max_back,
            "max_params": max_params, "max_macs": max_macs, "max_flops": max_flops,
            "max_calls": max_calls, "max_channels": max_channels,
        }  # fmt: skip
        self._check()
        self._words = Vocabulary(templates, joins, keep)
        self._calls = Calls(templates, num_classes)
        caps = Caps.of("notation", max_params, max_macs, max_flops)
        self._limits = Limits(caps, max_calls, max_channels, max_back)
        self._start = self._calls.number(self.input_shape)
        self._check_possible()

    def _check(self) -> None:
        settings = self.settings
        shape = self.input_shape
        if not 1 <= len(shape) <= 4 or not all(type(size) is int and size >= 1 for size in shape):
            raise SpaceError(f"notation: input_shape = {shape!r}; expected sizes such as (channels, height, width), each ≥ 1")
        for name, low in (("num_classes", 1), ("max_calls", 8), ("max_channels", 1), ("max_back", 1)):
            value = settings[name]
            if (type(value) is not int or value < low) and not (name == "max_back" and value is None):
                raise SpaceError(f"notation: {name} = {value!r}; expected an integer ≥ {low}")
        for join in settings["joins"]:
            if join not in JOINS:
                raise SpaceError(f"notation: there is no join {join!r}; expected some of {', '.join(JOINS)}")

    def _check_possible(self) -> None:
        caps = self._limits.caps
        closings = self._calls.closings(self._start)
        if not any(closing.num_params <= caps.num_params and closing.macs <= caps.macs for closing in closings):
            least = min(closings, key=lambda closing: closing.num_params)
            raise SpaceError(
                f"notation: the caps admit no network: the smallest has {least.num_params:,} parameters and {least.macs:,} "
                "multiply–accumulates; raise them"
            )

    # -- both ways -----------------------------------------------------------------------------------------------------
    @property
    def vocabulary(self) -> tuple[str, ...]:
        """All tokens, in the order of their numbers."""
        return self._words.tokens

    def decode(self, tokens: Iterable[str] | Iterable[int] | str) -> Graph:
        """The network of a sequence of tokens: a list of them or of their numbers, or a text with spaces between them.

        Any sequence is one; `FormatError` for what is no token.
        """
        derivation = self._begin()
        items = self._words.parse(self.numbers(tokens))
        derivation.run(expanded(items, _PER_CALL * self._limits.max_calls))
        return derivation.finish()

    def encode(self, graph: Graph, *, blocks: bool = True) -> list[str]:
        """The tokens of a network, repeated runs of them in blocks unless ``blocks=False``.

        `SpaceError` names the node that the notation cannot say, its attribute, its value, and what there is.
        """
        return written(Writer(as_graph(graph), self._begin(), self.num_classes).write(), blocks)

    def _begin(self) -> Derivation:
        if self._calls.is_full:
            self._calls = Calls(self._words.templates, self.num_classes)
            self._start = self._calls.number(self.input_shape)
        return Derivation(self._words, self._calls, self._limits, self._start)

    def contains(self, graph: Graph) -> bool:
        """Whether the network has a sequence.

        >>> import netloom as nl
        >>> x = nl.input(1, 8, 8)
        >>> graph = nl.Graph(x, nl.linear(nl.flatten(nl.conv2d(x, 16, kernel=3, padding=1)), 10))
        >>> Notation((1, 8, 8), 10).contains(graph), Notation((1, 8, 8), 10, max_params=1_000).contains(graph)
        (True, False)
        """
        try:
            self.encode(graph, blocks=False)
        except SpaceError:
            return False
        return True

    # -- being a value -------------------------------------------------------------------------------------------------
    def to_json(self) -> str:
        """The settings; `Notation.from_json` makes the same notation of them."""
        return json.dumps(self.settings)

    @staticmethod
    def from_json(text: str) -> Notation:
        """The notation of a JSON document as `to_json` writes it; `FormatError` for any other.

        >>> Notation.from_json(Notation(num_classes=3).to_json()).num_classes
        3
        """
        try:
            settings = json.loads(text)
        except (ValueError, TypeError) as error:
            raise FormatError(f"the settings of a notation are no JSON: {error}") from None
        if not isinstance(settings, dict) or not set(settings) <= set(Notation.SETTINGS):
            expected = ", ".join(Notation.SETTINGS)
            raise FormatError(f"the settings of a notation are {str(settings)[:80]}; expected some of {expected}")
        operators = settings.get("operators")
        if isinstance(operators, dict):
            settings["operators"] = {op: _tuples(ranges) for op, ranges in operators.items()}
        return Notation(**settings)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Notation) and self.settings == other.settings

    def __hash__(self) -> int:
        return hash(self.to_json())

    def __reduce__(self) -> Any:
        return Notation.from_json, (self.to_json(),)

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.input_shape))
        return f"<Notation: {shape} → {self.num_classes} classes, {len(self.vocabulary)} tokens>"

    # -- made for networks ---------------------------------------------------------------------------------------------
    @staticmethod
    def covering(graphs: Graph | Iterable[Graph], **settings: Any) -> Notation:
        """The smallest notation that has a sequence for each of these graphs: their operators, values and joins alone.

        They must have one input shape and number of classes. ``settings`` are further ones of `Notation` (caps).

        >>> import netloom as nl
        >>> x = nl.input(3, 8, 8)
        >>> graph = nl.Graph(x, nl.linear(nl.flatten(nl.hardswish(nl.conv2d(x, 24, kernel=(3, 1)))), 5))
        >>> Notation.covering([graph]).encode(graph)
        ['conv2d', 'hardswish']
        """
        return Notation(**(covering_settings(as_graphs(graphs)) | settings))


def _as_lists(templates: Mapping[str, Template]) -> dict[str, dict[str, list[Any]]]:
    return {op: {name: list(values) for name, values in template.ranges.items()} for op, template in templates.items()}


def _numbers(name: str, values: Any) -> tuple[int, ...]:
    found = (values,) if type(values) is int else tuple(values)
    if not found or not all(type(value) is int and value >= 1 for value in found):
        raise SpaceError(f"notation: {name} = {values!r}; expected integers ≥ 1, the usual one first")
    return tuple(dict.fromkeys(found))


def _tuples(ranges: Any) -> Any:
    """Values of attributes as JSON has them, pairs as tuples again."""
    if not isinstance(ranges, dict):
        return ranges
    return {
        name: [tuple(value) if isinstance(value, list) else value for value in values] if isinstance(values, list) else values
        for name, values in ranges.items()
    }
