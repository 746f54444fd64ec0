"""Cells of NAS-Bench-201: their strings, which of their edges matter, and the network that repeats one.

A cell has four nodes; node 0 is its input, every other node is the sum of one operator on each node before it, the last
is its output: six edges, each with one of five operators. (Dong and Yang, "NAS-Bench-201", ICLR 2020)
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from ..errors import SpaceError
from ..graph.graph import Graph
from ..ops import Edge
from .sketch import Memo, Sketch

#: The operator of each of the six edges, in the order of the string.
Cell = tuple[str, ...]

#: In the order of the paper.
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
#: (from node, to node) of each edge, in the order of the string.
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
KERNELS = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}
_FORM = "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|"


def parse(text: str) -> Cell:
    """The operators of a cell written as the benchmark writes them; `SpaceError` says what is wrong with any other.

    >>> parse("|none~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|")
    ('none', 'none', 'none', 'skip_connect', 'none', 'nor_conv_3x3')
    """
    if not isinstance(text, str):
        raise SpaceError(f"nasbench201 cell {str(text)[:120]!r}: expected a string of the form {_FORM}")
    shown = text if len(text) <= 160 else text[:160] + "…"
    found: list[str] = []
    groups = text.strip().split("+")
    if len(groups) != 3:
        raise SpaceError(f"nasbench201 cell {shown!r}: {len(groups)} nodes; expected 3 of the form {_FORM}")
    for node, group in enumerate(groups, 1):
        edges = re.findall(r"\|([^|~]*)~(\d+)(?=\|)", group)
        if "".join(f"|{op}~{source}" for op, source in edges) + "|" != group.strip():
            raise SpaceError(f"nasbench201 cell {shown!r}: cannot read node {node}, {group[:80]!r}; the form is {_FORM}")
        if [int(source) for _, source in edges] != list(range(node)):
            raise SpaceError(f"nasbench201 cell {shown!r}: node {node} must read nodes 0 to {node - 1} in turn, as in {_FORM}")
        found += [op for op, _ in edges]
    return check_operations(found, shown)


def check_operations(operations: Sequence[str], shown: str = "") -> Cell:
    """Six names of operators as a cell; `SpaceError` names one that there is not."""
    for op in operations:
        if op not in OPERATIONS:
            near = difflib.get_close_matches(str(op), OPERATIONS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(OPERATIONS)}"
            raise SpaceError(f"nasbench201 cell {shown or tuple(operations)!r}: no operator {str(op)[:40]!r}; {hint}")
    if len(operations) != len(EDGES):
        raise SpaceError(f"nasbench201 cell: {len(operations)} operators; expected {len(EDGES)}, in the order of {_FORM}")
    return tuple(operations)


def write(cell: Cell) -> str:
    """The string of a cell.

    >>> write(("none", "none", "none", "skip_connect", "none", "nor_conv_3x3"))
    '|none~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|'
    """
    groups = ("".join(f"|{op}~{source}" for op, (source, node) in zip(cell, EDGES) if node == n) for n in (1, 2, 3))
    return "|+".join(groups) + "|"


def unique_string(cell: Cell) -> str:
    """What the benchmark tells cells apart by: equal strings make its 6,466 classes of isomorphic cells.

    Zeros are written ``#``, nodes as sorted sums of what they read, spelled out. So a node that is read twice is not told
    from two nodes alike (which have weights of their own), and an operator on a zero counts as zero.
    """
    shown = ["0"]
    for node in (1, 2, 3):
        terms = []
        for op, (source, target) in zip(cell, EDGES):
            if target == node:
                if op == "none" or shown[source] == "#":
                    terms.append("#")
                else:
                    terms.append(shown[source] if op == "skip_connect" else f"({shown[source]})@{op}")
        shown.append("+".join(sorted(terms)))
    return shown[3]


# -- what is computed --------------------------------------------------------------------------------------------------
class Plan(NamedTuple):
    """What a cell computes: for each node the edges that are computed into it, and the summands of its value.

    ``computed`` holds the places (in `EDGES`) of convolutions and pools; ``summands`` the places of the edges that are added
    up, node by node, empty for a node that is zero.
    """

    computed: tuple[tuple[int, ...], ...]
    summands: tuple[tuple[int, ...], ...]


def plan(cell: Cell, dead: bool = True) -> Plan:
    """Which edges are computed, with convolutions whose results never reach the output (``dead``) or without.

    An edge whose value is zero for certain (``none``, or a copy or an average of a node that is zero) adds nothing. Dead
    convolutions stay, because they are in the published network, its parameters, its cost; dead pools and sums go.
    """
    zero = {0: False}
    live: dict[int, list[int]] = {}
    for node in (1, 2, 3):
        live[node] = [
            i for i, (op, (source, target)) in enumerate(zip(cell, EDGES))
            if target == node and op != "none" and (op in KERNELS or not zero[source])
        ]  # fmt: skip
        zero[node] = not live[node]
    wanted = {3}
    for node in (3, 2, 1):
        for i in live[node]:
            if node in wanted or (dead and cell[i] in KERNELS):
                wanted.add(EDGES[i][0])
    computed = tuple(
        tuple(
            i for i in live[node]
            if cell[i] != "skip_connect" and (node in wanted or (dead and cell[i] in KERNELS))
        )
        for node in (1, 2, 3)
    )  # fmt: skip
    return Plan(computed, tuple(tuple(live[node]) if node in wanted else () for node in (1, 2, 3)))


def counts(cell: Cell) -> Counter[str]:
    """How many convolutions of either kernel, pools, sums and zeros the network makes in each cell."""
    made = plan(cell)
    found = Counter(cell[i] for places in made.computed for i in places)
    found["add"] = sum(max(len(places) - 1, 0) for places in made.summands)
    read = {EDGES[i][0] for places in made.computed for i in places} | {3}
    found["mul"] = int(any(not made.summands[node - 1] for node in read - {0}))
    return +found


# -- the network -------------------------------------------------------------------------------------------------------
@lru_cache(maxsize=8)
def _memo(input_shape: tuple[int, ...], channels: int, cells: int, classes: int) -> Memo:
    """The calls of all networks of these sizes, which repeat the same few thousand; they fill it as they come up."""
    return {}


def network(cell: Cell, *, input_shape: tuple[int, ...], channels: int, cells: int, classes: int, dead: bool) -> Graph:
    """The published network around a cell: stem, three stages of ``cells`` cells, residual blocks between them, head.

    Nodes and tensors are called as in the published code.
    """
    made = plan(cell, dead)
    sketch = Sketch(input_shape, _memo(input_shape, channels, cells, classes))
    x = sketch.call("conv2d", "stem.0", sketch.x, out=channels, kernel=3, padding=1, bias=False)
    x = sketch.call("batch_norm", "stem.1", x)
    index = 0
    for stage in range(3):
        if stage:
            x = _residual(sketch, f"cells.{index}", x, channels << stage)
            index += 1
        for _ in range(cells):
            x = _cell(sketch, f"cells.{index}", x, cell, made, channels << stage)
            index += 1
    x = sketch.call("relu", "lastact.1", sketch.call("batch_norm", "lastact.0", x))
    x = sketch.call("flatten", "flatten", sketch.call("adaptive_avg_pool2d", "global_pooling", x, output_size=1))
    return sketch.graph(sketch.call("linear", "classifier", x, out=classes))


def _conv(sketch: Sketch, path: str, x: Edge, out: int, kernel: int, stride: int = 1) -> Edge:
    """ReLU, convolution, batch norm."""
    x = sketch.call("relu", f"{path}.op.0", x)
    x = sketch.call("conv2d", f"{path}.op.1", x, out=out, kernel=kernel, stride=stride, padding=kernel // 2, bias=False)
    return sketch.call("batch_norm", f"{path}.op.2", x)


def _residual(sketch: Sketch, path: str, x: Edge, out: int) -> Edge:
    y = _conv(sketch, f"{path}.conv_b", _conv(sketch, f"{path}.conv_a", x, out, 3, stride=2), out, 3)
    shortcut = sketch.call("avg_pool2d", f"{path}.downsample.0", x, kernel=2, stride=2)
    shortcut = sketch.call("conv2d", f"{path}.downsample.1", shortcut, out=out, kernel=1, bias=False)
    return sketch.call("add", f"{path}.add", shortcut, y)


def _cell(sketch: Sketch, path: str, x: Edge, cell: Cell, made: Plan, out: int) -> Edge:
    values: list[Edge | None] = [x]
    zeros: list[Edge] = []
    sums = 0

    def value(node: int) -> Edge:
        """The value of a node, made where it is zero: then ``x * 0``, once."""
        found = values[node]
        if found is not None:
            return found
        if not zeros:
            zeros.append(sketch.call("mul", f"{path}.mul", x, y=0.0))
        return zeros[0]

    for computed, summands in zip(made.computed, made.summands):
        results = {i: value(EDGES[i][0]) for i in summands if cell[i] == "skip_connect"}
        for i in computed:
            layer = f"{path}.layers.{i}"
            if cell[i] in KERNELS:
                results[i] = _conv(sketch, layer, value(EDGES[i][0]), out, KERNELS[cell[i]])
            else:
                pooled = {"kernel": 3, "stride": 1, "padding": 1, "count_include_pad": False}
                results[i] = sketch.call("avg_pool2d", f"{layer}.op", value(EDGES[i][0]), **pooled)
        total: Edge | None = None
        for i in summands:
            if total is None:
                total = results[i]
            else:
                total = sketch.call("add", f"{path}.add_{sums}" if sums else f"{path}.add", total, results[i])
                sums += 1
        values.append(total)
    return value(3)
