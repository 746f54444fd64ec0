"""NAS-Bench-201: all 15,625 cells of the benchmark as the networks it trained.

Source: Dong and Yang, "NAS-Bench-201: Extending the scope of reproducible neural architecture search", ICLR 2020. The
published counts follow exactly: parameters include the scales and shifts of all batch norms, multiply–accumulates are those
of convolutions and the linear layer without its bias, and both include convolutions whose results never reach the output.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import SpaceError
from ..graph.wiring import live_nodes
from .nasbench201_cell import EDGES, OPERATIONS, Cell, check_operations, counts, network, parse, unique_string, write

if TYPE_CHECKING:
    import numpy

    from ..graph.graph import Graph, Step


@dataclass(frozen=True)
class NASBench201:
    """The networks of NAS-Bench-201 on images (C, H, W): 15,625 cells in one skeleton.

    A 3×3 stem to ``C`` channels, three stages of ``N`` cells at ``C``, 2 ``C`` and 4 ``C`` channels, a residual block of
    stride 2 between stages, batch norm, ReLU, global average, linear to ``num_classes``. Samples draw each of the six
    operators of a cell evenly. The space iterates over the strings of its cells. `SpaceError` for impossible settings.

    >>> space = NASBench201(num_classes=10)
    >>> cell = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
    >>> graph = space.from_string(cell)
    >>> graph.num_params, graph.flops // 2, space.to_string(graph) == cell
    (344346, 47104640, True)
    >>> len(space), next(iter(space))
    (15625, '|none~0|+|none~0|none~1|+|none~0|none~1|none~2|')
    """

    num_classes: int = 10
    C: int = 16
    N: int = 5
    input_shape: tuple[int, ...] = (3, 32, 32)

    SETTINGS: ClassVar[tuple[str, ...]] = ("num_classes", "C", "N", "input_shape")

    def __post_init__(self) -> None:
        object.__setattr__(self, "input_shape", tuple(self.input_shape))
        for name in ("num_classes", "C", "N"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise SpaceError(f"nasbench201 space: {name} = {value!r}; expected an integer ≥ 1")
        shape = self.input_shape
        if len(shape) != 3 or not all(type(size) is int and size >= 1 for size in shape):
            raise SpaceError(f"nasbench201 space: input_shape = {shape!r}; expected (channels, height, width), each ≥ 1")
        if shape[1] % 4 or shape[2] % 4:
            raise SpaceError(
                f"nasbench201 space: input_shape = {shape!r}; height and width are halved twice, so they must be multiples of 4"
            )

    @property
    def spec(self) -> str:
        """The text that `netloom.spaces.load` makes this space from."""
        size = "x".join(map(str, self.input_shape))
        return f"nasbench201?num_classes={self.num_classes}&C={self.C}&N={self.N}&input_shape={size}"

    # -- cells and their networks ----------------------------------------------------------------------------------
    def from_string(self, cell: str, *, dead: bool = True) -> Graph:
        """The network around a cell written as the benchmark writes it.

        It computes what the published network computes, from weights of the same names. A ``none`` adds nothing to its node;
        a node that reads nothing else is zero. ``dead=False`` leaves out the convolutions whose results never reach the
        output: the same function with fewer parameters, and the network of the cell that has ``none`` in their places.
        `SpaceError` for any other string.
        """
        return self._network(parse(cell), dead)

    def _network(self, cell: Cell, dead: bool = True) -> Graph:
        return network(
            cell, input_shape=self.input_shape, channels=self.C, cells=self.N, classes=self.num_classes, dead=dead
        )  # fmt: skip

    def to_string(self, graph: Graph) -> str:
        """The cell of a member; of several cells with the same network (a ``none`` beside a copy …) the first in order.

        `SpaceError` for a graph that is no member.

        >>> space = NASBench201()
        >>> graph = space.from_string("|skip_connect~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|skip_connect~2|")
        >>> space.to_string(graph)
        '|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|'
        """
        found = next((cell for cell in self._candidates(graph) if _hash(self, cell) == graph.hash), None)
        if found is None:
            raise SpaceError(f"{graph!r} is no network of {self.spec!r}; members come from from_string or sample")
        return write(found)

    def _candidates(self, graph: Graph) -> list[Cell]:
        """The cells whose networks have the graph's input, classes and numbers of operators, in order."""
        shapes = [tuple(node.shape[1:]) for node in (*graph.inputs, *graph.outputs)]
        if shapes != [self.input_shape, (self.num_classes,)]:
            return []
        return _by_counts().get(_cell_counts(graph, 3 * self.N), [])

    @staticmethod
    def unique_string(cell: str) -> str:
        """The string by which the benchmark counts isomorphic cells: 6,466 different ones.

        >>> one = NASBench201.unique_string("|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")
        >>> one == NASBench201.unique_string("|skip_connect~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|")
        True
        """
        return unique_string(parse(cell))

    # -- a space ---------------------------------------------------------------------------------------------------
    def __iter__(self) -> Iterator[str]:
        return map(write, itertools.product(OPERATIONS, repeat=len(EDGES)))

    def __len__(self) -> int:
        return int(len(OPERATIONS) ** len(EDGES))

    def sample(self, rng: numpy.random.Generator) -> Graph:
        """A random network, all 15,625 cells with equal probability; a function of the generator's state alone."""
        numbers = rng.random(len(EDGES)).tolist()
        return self._network(check_operations([OPERATIONS[int(number * len(OPERATIONS))] for number in numbers]))

    def mutate(self, graph: Graph, rng: numpy.random.Generator) -> Graph:
        """The network of a cell with one of its six operations another one, drawn evenly; `SpaceError` for no member.

        >>> import numpy as np
        >>> space = NASBench201()
        >>> cell = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|nor_conv_3x3~2|"
        >>> space.to_string(space.mutate(space.from_string(cell), np.random.default_rng(0)))
        '|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|nor_conv_1x1~2|'
        """
        operations = list(parse(self.to_string(graph)))
        edge = int(rng.integers(len(EDGES)))
        others = [operation for operation in OPERATIONS if operation != operations[edge]]
        operations[edge] = others[int(rng.integers(len(others)))]
        return self._network(check_operations(operations))

    def contains(self, graph: Graph) -> bool:
        """Whether ``graph`` is one of the networks, whatever its nodes are called."""
        return self._cell_of(graph) is not None

    def some_string(self, graph: Graph) -> str:
        """One of the cells of a member: of several with the same network any, found sooner than the first by `to_string`.

        >>> space = NASBench201(N=1)
        >>> cell = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|"
        >>> space.from_string(space.some_string(space.from_string(cell))).hash == space.from_string(cell).hash
        True
        """
        found = self._cell_of(graph)
        return self.to_string(graph) if found is None else write(found)  # which says what is wrong

    def _cell_of(self, graph: Graph) -> Cell | None:
        """A cell with the network ``graph``; looked for first among those that names of nodes suggest."""
        cells = self._candidates(graph)
        named = {} if not cells else _named_edges(graph)
        likely = sorted(cells, key=lambda cell: sum(named.get(i, op) != op for i, op in enumerate(cell)))
        return next((cell for cell in likely if _hash(self, cell) == graph.hash), None)


@lru_cache(maxsize=1 << 16)
def _hash(space: NASBench201, cell: Cell) -> str:
    return space._network(cell).hash


# -- which cell a network is made of -----------------------------------------------------------------------------------
@lru_cache(maxsize=1)
def _by_counts() -> dict[frozenset[Any], list[Cell]]:
    """All cells by how many of which operators their networks have in each cell, in order."""
    found: dict[frozenset[Any], list[Cell]] = {}
    for cell in itertools.product(OPERATIONS, repeat=len(EDGES)):
        found.setdefault(frozenset(counts(cell).items()), []).append(cell)
    return found


def _cell_counts(graph: Graph, cells: int) -> frozenset[Any]:
    """How many of which operators each of ``cells`` cells must have, the rest being the skeleton; a fraction where none can."""
    live = live_nodes(graph)
    found = Counter(_operation(step) for step in graph.steps if step.name in live)
    found.subtract({"nor_conv_1x1": 2, "nor_conv_3x3": 5, "add": 2})
    counted = (*OPERATIONS[2:], "add", "mul")
    return frozenset((op, found[op] / cells) for op in counted if found[op])


def _operation(step: Step) -> str:
    """What a step is in a cell; its operator where it is nothing that cells are told apart by."""
    family = {"conv2d": "nor_conv", "avg_pool2d": "avg_pool"}.get(step.op)
    return step.op if family is None else f"{family}_{'x'.join(map(str, step.args['kernel']))}"


def _named_edges(graph: Graph) -> dict[int, str]:
    """The operators of the first cell as far as the names that `network` gives tell them."""
    found: dict[int, str] = {}
    for step in graph.steps:
        place = re.match(r"cells\.0\.layers\.(\d)\.op", step.name)
        if place is not None and step.op in ("conv2d", "avg_pool2d"):
            found[int(place[1])] = _operation(step)
    return found
