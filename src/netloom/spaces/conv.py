"""The space of random convolutional networks.

    [convolutional blocks] – [global average pool]? – flatten – [hidden linear blocks] – linear(classes)

A convolutional block is a convolution, an activation, then a max pool, a batch norm and an average pool with
probability ½ each. A hidden block is a linear layer, an activation, and dropout with probability ½. Source: the generator
of the public system sophius (A. Korolyov), with a seed, caps on cost, templates and a definite membership added.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import SpaceError
from .caps import CAPS, MOST_TRIES, Caps, check_possible
from .chain import Form, Layer, of_forms
from .conv_drawing import Drawing, Drawn
from .conv_fitting import fit_shapes
from .conv_grammar import parse
from .conv_repair import cost, repaired, smallest
from .conv_table import read_table, write_table
from .conv_templates import Templates, read_templates

if TYPE_CHECKING:
    import numpy

    from ..graph.graph import Graph

#: Draws that look for a network within the caps where templates are the user's own.
_SEARCHED = 300


@dataclass(frozen=True)
class Conv:
    """Random convolutional networks on images (C, H, W), for ``num_classes`` classes.

    1 … ``conv_num`` convolutional blocks and 0 … ``lin_num`` − 1 hidden linear blocks, both uniform. A layer that would make
    a spatial size smaller than 1 is dropped, and with it the convolutional part ends. ``max_params``, ``max_macs``
    (multiply–accumulates of one sample) and ``max_flops`` (twice those) are caps that every sample keeps: draws above
    them are thrown away; where many in a row are, the last one is made smaller step by step.

    ``templates`` says which operators stand in a slot, with what attributes: slot → operator → attribute → a value, or a list
    or range to draw from; ``"probability"`` beside the attributes. Slots are ``conv``, ``activation`` and
    ``linear`` (exactly one of their operators each; also ``linear_activation``, where hidden blocks differ) and
    ``conv_extras``, ``pool`` and ``linear_extras`` (each of theirs or not, in the order given). A slot that is left out
    stays as published (`conv_templates.PUBLISHED`); ``{}`` empties it. As values, ``"half"`` is a padding of half the
    kernel, ``"channels"`` the number of channels of the layer's input.

    Raises `SpaceError` for settings that admit no network.

    >>> import numpy as np
    >>> space = Conv(input_shape=(1, 8, 8), max_params=50_000, templates={
    ...     "conv": {"conv2d": {"out": [8, 16], "kernel": range(1, 4), "padding": "half"}},
    ...     "activation": ["relu", "gelu"],
    ...     "conv_extras": {"batch_norm": 1.0, "max_pool2d": {"kernel": 2, "stride": 2, "probability": 0.3}},
    ... })
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
    templates: Mapping[str, Any] | None = field(default=None, hash=False)
    _caps: Caps = field(init=False, repr=False, compare=False)
    _drawing: Drawing = field(init=False, repr=False, compare=False)

    SETTINGS: ClassVar[tuple[str, ...]] = (
        "input_shape", "num_classes", "conv_num", "lin_num", "max_params", "max_macs", "max_flops", "templates",
    )  # fmt: skip
    READERS: ClassVar[dict[str, tuple[str, Callable[[str], Any]]]] = {
        "templates": ('JSON such as {"activation": ["relu", "gelu"]}', lambda text: json.loads(text)),
    }

    def __post_init__(self) -> None:
        put = object.__setattr__
        shape = self.input_shape
        if isinstance(shape, list | tuple):
            put(self, "input_shape", shape := tuple(shape))
        if not isinstance(shape, tuple) or len(shape) != 3 or not all(type(size) is int and size >= 1 for size in shape):
            raise SpaceError(f"conv space: input_shape = {shape!r}; expected (channels, height, width), each ≥ 1")
        for name, low in (("num_classes", 1), ("conv_num", 1), ("lin_num", 1)):
            value = getattr(self, name)
            if type(value) is not int or value < low:
                raise SpaceError(f"conv space: {name} = {value!r}; expected an integer ≥ {low}")
        for name in CAPS:
            value = getattr(self, name)
            if isinstance(value, float) and value >= 0:
                put(self, name, math.floor(value) if value < math.inf else None)
        put(self, "_caps", Caps.of("conv", self.max_params, self.max_macs, self.max_flops))
        templates = read_templates(self.templates)
        if self.templates is not None:
            put(self, "templates", None if templates == read_templates(None) else templates)
        drawing = Drawing(templates, shape, self.num_classes, self.conv_num, self.lin_num)
        put(self, "_drawing", drawing)
        self._check_caps()

    # -- settings --------------------------------------------------------------------------------------------------
    @property
    def spec(self) -> str:
        """The text that `netloom.spaces.load` makes this space from."""
        parts = []
        for name in self.SETTINGS:
            value = getattr(self, name)
            if name == "input_shape":
                value = "x".join(map(str, value))
            elif name == "templates" and value is not None:
                value = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
            if value is not None:
                parts.append(f"{name}={value}")
        return "conv?" + "&".join(parts)

    def __reduce__(self) -> Any:
        return Conv, tuple(getattr(self, name) for name in self.SETTINGS)

    @cached_property
    def all_templates(self) -> Templates:
        """Every slot with its operators, ranges and probabilities: what to start from for templates of one's own."""
        return read_templates(self.templates)

    @cached_property
    def smallest(self) -> tuple[Graph, ...]:
        """The smallest networks of the space that are within the caps, those of the fewest parameters first."""
        return tuple(of_forms(self.input_shape, forms) for forms in sorted(self._smallest, key=cost))

    @cached_property
    def _smallest(self) -> list[list[Form]]:
        return [forms for forms in self._cheap if self._within(forms)]

    @cached_property
    def _cheap(self) -> list[list[Form]]:
        """Networks that cost little, whatever the caps."""
        found = smallest(self._drawing)
        if self.templates is not None and not any(map(self._within, found)):
            import numpy as np

            rng = np.random.default_rng(0)
            draws = (self._drawing.draw(rng.random(self._drawing.count).tolist()) for _ in range(_SEARCHED))
            found += [drawn.forms for drawn in draws if drawn is not None]
        return found

    def _within(self, forms: list[Form]) -> bool:
        return self._caps.excess(*cost(forms)) <= 1

    def _check_caps(self) -> None:
        """Refuse caps that admit nothing, and kernels that fit nowhere."""
        if self._caps == Caps() and self.templates is None:
            return
        if not self._cheap:
            raise SpaceError(f"conv space: no convolution of its templates fits {self.input_shape}; add smaller kernels")
        if not self._smallest:
            check_possible("conv", self, [(*cost(forms), _described(forms)) for forms in self._cheap])
    # -- sampling --------------------------------------------------------------------------------------------------
    def sample(self, rng: numpy.random.Generator) -> Graph:
        """A random network within the caps, a function of the generator's state alone."""
        return of_forms(self.input_shape, self._sample(rng))

    def sample_layers(self, rng: numpy.random.Generator) -> list[Layer]:
        """The layers of a random network."""
        return [form.layer for form in self._sample(rng)]

    def _sample(self, rng: numpy.random.Generator) -> list[Form]:
        drawing, caps = self._drawing, self._caps
        max_flops = 2 * caps.macs + 1
        for _ in range(MOST_TRIES):
            # All the numbers that a draw may use come at once: one call of numpy costs as much as many layers.
            numbers = rng.random(drawing.count).tolist()
            drawn = drawing.draw(numbers, caps.num_params, max_flops)
            if drawn is not None:
                return drawn.forms
        last: Drawn | None = drawing.draw(numbers)
        fallback = self._smallest[int(rng.random() * len(self._smallest))]
        return fallback if last is None else repaired(last, fallback, drawing, caps)

    # -- membership ------------------------------------------------------------------------------------------------
    def contains(self, graph: Graph) -> bool:
        """Whether ``graph`` is a network of this space: its grammar, its ranges, its input and classes, its caps."""
        forms = parse(graph, self._drawing)
        if forms is None or not self._within(list(forms)):
            return False
        return graph.hash == of_forms(self.input_shape, forms).hash

    # -- networks written by hand ----------------------------------------------------------------------------------
    def fit_shapes(self, layers: Iterable[Any]) -> Graph:
        """The network of ``layers`` in order, made to fit together; ``graph.notes`` says what was changed.

        ``layers`` are ``nl.op`` layers or names of operators, whether or not the space draws them. A layer that does not fit
        where it stands is dropped; an attribute that alone is in the way (groups, slopes of a prelu, too much padding) is
        changed; flatten goes before the first linear layer, and a linear layer to the classes at the end. Caps do not count
        here: ask ``contains``. Raises `SpaceError` for what is no layer.

        >>> import netloom as nl
        >>> graph = Conv().fit_shapes([nl.op.conv2d(16, kernel=3), "relu", nl.op.max_pool2d(64), nl.op.linear(32)])
        >>> [node.op for node in graph]
        ['input', 'conv2d', 'relu', 'flatten', 'linear', 'linear']
        >>> for note in graph.notes:
        ...     print(note)
        layer 3, max_pool2d(kernel=64): dropped: kernel 64×64 exceeds the input 30×30 with padding 0×0; ...
        layer 4, linear(out=32): flatten put before it
        linear(10) put at the end
        """
        return fit_shapes(layers, self.input_shape, self.num_classes)

    def table(self, graph: Graph) -> str:
        """A chain of layers in the form in which such networks are published: layer, shape of its result, kernel and stride.

        Raises `SpaceError` for a graph that is no chain of the published operators.

        >>> import netloom as nl
        >>> space = Conv()
        >>> print(space.table(space.fit_shapes([nl.op.conv2d(16, kernel=1, stride=4), "relu"])))
        Conv2d       (16, 8, 8)     (1, 1)   (4, 4)
        ReLU         (16, 8, 8)
        Flatten      1024
        Linear       10
        """
        return write_table(graph)

    def from_table(self, text: str) -> Graph:
        """The network of a table as `table` writes it; ``graph.notes`` says what the table left open.

        Paddings follow from the shapes, none where several give the same. Raises `SpaceError` with the line that does not
        fit.
        """
        return read_table(text, self.input_shape, self.num_classes)


def _described(forms: list[Form]) -> str:
    num_params, macs = cost(forms)
    attrs = ", ".join(f"{name} {value}" for name, value in forms[0].layer.attrs)
    return f"a {forms[0].op} of {attrs}: {num_params:,} parameters, {2 * macs:,} FLOPs"
