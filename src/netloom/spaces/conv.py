"""The space of random convolutional networks.

    [convolutional blocks] – [global average pool]? – flatten – [hidden linear blocks] – linear(classes)

A convolutional block is a convolution, an activation, then a max pool, a batch norm and an average pool with
probability ½ each. A hidden block is a linear layer, an activation, and dropout with probability ½. Source: the generator
of the public system sophius (A. Korolyov), with a seed, caps on cost and a definite membership added.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import SpaceError
from .chain import Layer, chain, layers_of
from .conv_grammar import parses, signatures
from .conv_layers import (
    ACTIVATIONS,
    AVG_POOLS,
    BATCH_NORM,
    CONV_CHANNELS,
    CONVS,
    DROPOUTS,
    FEATURES,
    FLATTEN,
    GLOBAL_AVG_POOL,
    LINEARS,
    MAX_POOLS,
    Extent,
    after,
    through,
)  # fmt: skip
from .conv_repair import repaired

if TYPE_CHECKING:
    import numpy

    from ..graph.graph import Graph

#: Samples that are drawn in vain before one of them is made smaller instead.
MOST_TRIES = 100
#: Random numbers that one convolutional and one hidden block use.
_PER_BLOCK, _PER_HIDDEN = 8, 5


@dataclass(frozen=True)
class Conv:
    """Random convolutional networks on images (C, H, W), for ``num_classes`` classes.

    1 … ``conv_num`` convolutional blocks and 0 … ``lin_num`` − 1 hidden linear blocks, both uniform. A layer that would make
    a spatial size smaller than 1 is dropped, and with it the convolutional part ends. ``max_params``, ``max_macs``
    (multiply–accumulates of one sample) and ``max_flops`` (twice those) are caps that every sample keeps: draws above
    them are thrown away; where many in a row are, the last one is made smaller step by step. Raises `SpaceError` for settings
    that admit no network.

    >>> import numpy as np
    >>> space = Conv(input_shape=(1, 8, 8), max_params=50_000)
    >>> graph = space.sample(np.random.default_rng(0))
    >>> graph.num_params <= 50_000, space.contains(graph), graph.outputs[0].shape
    (True, True, (Size('N'), 10))
    """

    input_shape: tuple[int, ...] = (3, 32, 32)
    num_classes: int = 10
    conv_num: int = 5
    lin_num: int = 3
    max_params: int | None = None
    max_macs: int | None = None
    max_flops: int | None = None
    _caps: tuple[float, float] = field(init=False, repr=False, compare=False)

    SETTINGS: ClassVar[tuple[str, ...]] = (
        "input_shape", "num_classes", "conv_num", "lin_num", "max_params", "max_macs", "max_flops",
    )  # fmt: skip

    def __post_init__(self) -> None:
        object.__setattr__(self, "input_shape", tuple(self.input_shape))
        shape = self.input_shape
        if len(shape) != 3 or not all(type(size) is int and size >= 1 for size in shape):
            raise SpaceError(f"conv space: input_shape = {shape!r}; expected (channels, height, width), each ≥ 1")
        for name, low in (("num_classes", 1), ("conv_num", 1), ("lin_num", 1)):
            value = getattr(self, name)
            if type(value) is not int or value < low:
                raise SpaceError(f"conv space: {name} = {value!r}; expected an integer ≥ {low}")
        for name in ("max_params", "max_macs", "max_flops"):
            value = getattr(self, name)
            if value is not None:
                if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                    raise SpaceError(f"conv space: {name} = {value!r}; expected a number, or none for no cap")
                object.__setattr__(self, name, int(value))
        halved = None if self.max_flops is None else self.max_flops // 2
        macs = min((cap for cap in (self.max_macs, halved) if cap is not None), default=math.inf)
        object.__setattr__(self, "_caps", (math.inf if self.max_params is None else self.max_params, macs))
        self._check_caps()

    # -- settings --------------------------------------------------------------------------------------------------
    @property
    def spec(self) -> str:
        """The text that `netloom.spaces.load` makes this space from."""
        parts = []
        for name in self.SETTINGS:
            value = getattr(self, name)
            if value is not None:
                parts.append(f"{name}={'x'.join(map(str, value)) if name == 'input_shape' else value}")
        return "conv?" + "&".join(parts)

    @cached_property
    def smallest(self) -> tuple[tuple[Layer, ...], ...]:
        """The networks within the caps of one convolution with the fewest channels, a global pool and no hidden layer."""
        return tuple(layers for layers, _ in self._candidates() if self._within(layers))

    def _candidates(self) -> list[tuple[tuple[Layer, ...], Extent]]:
        found: list[tuple[tuple[Layer, ...], Extent]] = []
        for conv in CONVS:
            layers = (conv, ACTIVATIONS[0][0], GLOBAL_AVG_POOL, FLATTEN, self._head)
            extent = through(self._start, layers)
            if FEATURES[conv] == CONV_CHANNELS[0] and extent is not None:
                found.append((layers, extent))
        return found

    def _check_caps(self) -> None:
        """Refuse caps that admit nothing.

        The 1×1 convolution of stride 4 with the fewest channels, followed by the least there can be, has both the fewest
        parameters and the fewest multiply–accumulates of all: so the caps can be met together if each can be met.
        """
        costs = [extent for _, extent in self._candidates()]
        for name, cap, least in (
            ("max_params", self.max_params, min(cost.num_params for cost in costs)),
            ("max_macs", self.max_macs, min(cost.macs for cost in costs)),
            ("max_flops", self.max_flops, 2 * min(cost.macs for cost in costs)),
        ):
            if cap is not None and least > cap:
                raise SpaceError(f"conv space: {name} = {cap:,} admits no network: the smallest has {least:,}; raise the cap")

    @property
    def _start(self) -> Extent:
        channels, height, width = self.input_shape
        return Extent(channels, height, width)

    @cached_property
    def _head(self) -> Layer:
        return Layer("linear", (("out", self.num_classes),))

    def _within(self, layers: tuple[Layer, ...] | list[Layer]) -> bool:
        extent = through(self._start, layers)
        return extent is not None and extent.num_params <= self._caps[0] and extent.macs <= self._caps[1]

    # -- sampling --------------------------------------------------------------------------------------------------
    def sample(self, rng: numpy.random.Generator) -> Graph:
        """A random network within the caps, a function of the generator's state alone."""
        return chain(self.input_shape, self.sample_layers(rng))

    def sample_layers(self, rng: numpy.random.Generator) -> list[Layer]:
        """The layers of a random network."""
        count = 3 + _PER_BLOCK * self.conv_num + _PER_HIDDEN * (self.lin_num - 1)
        layers: list[Layer] = []
        for _ in range(MOST_TRIES):
            # All the numbers that a draw may use come at once: one call of numpy costs as much as twenty layers.
            layers, fits = self._draw(iter(rng.random(count).tolist()))
            if fits:
                return layers
        fallback = self.smallest[int(rng.random() * len(self.smallest))]
        return repaired(layers, fallback, self._start, self._caps)

    def _draw(self, numbers: Any) -> tuple[list[Layer], bool]:
        """One draw of the generator, and whether it is a network within the caps."""
        layers: list[Layer] = []
        extent = self._start
        growing = True
        for _ in range(1 + int(next(numbers) * self.conv_num)):
            block = _conv_block(numbers)
            for layer in block if growing else ():
                made = after(extent, layer)
                if made is None:
                    growing = False
                    break
                extent = made
                layers.append(layer)
        valid = bool(layers)
        if next(numbers) < 0.5:
            layers.append(GLOBAL_AVG_POOL)
        layers.append(FLATTEN)
        hidden = int(next(numbers) * self.lin_num)
        for _ in range(hidden):
            layers += _hidden_block(numbers)
        layers.append(self._head)
        return layers, valid and self._within(layers)

    # -- membership ------------------------------------------------------------------------------------------------
    def contains(self, graph: Graph) -> bool:
        """Whether ``graph`` is a network of this space: its grammar, its ranges, its input and classes, its caps."""
        layers = layers_of(graph, signatures(self._head))
        if layers is None or not parses(layers, self._head, self.conv_num, self.lin_num) or not self._within(layers):
            return False
        return graph.hash == chain(self.input_shape, layers).hash


def _pick(choices: tuple[Any, ...], number: float) -> Any:
    return choices[int(number * len(choices))]


def _activation(kind: float, which: float) -> Layer:
    layer: Layer = _pick(_pick(ACTIVATIONS, kind), which)
    return layer


def _conv_block(numbers: Any) -> list[Layer]:
    conv, kind, which, has_max, max_pool, has_norm, has_avg, avg_pool = itertools.islice(numbers, _PER_BLOCK)
    block = [_pick(CONVS, conv), _activation(kind, which)]
    if has_max < 0.5:
        block.append(_pick(MAX_POOLS, max_pool))
    if has_norm < 0.5:
        block.append(BATCH_NORM)
    if has_avg < 0.5:
        block.append(_pick(AVG_POOLS, avg_pool))
    return block


def _hidden_block(numbers: Any) -> list[Layer]:
    linear, kind, which, has_dropout, dropout = itertools.islice(numbers, _PER_HIDDEN)
    block = [_pick(LINEARS, linear), _activation(kind, which)]
    if has_dropout < 0.5:
        block.append(_pick(DROPOUTS, dropout))
    return block
