"""Reading a cell of DeepNets-1M off a graph: which operations it makes, on which states, and what it puts out."""

from __future__ import annotations

from typing import NamedTuple

from ..graph.graph import Graph, Step
from ..ops import Edge
from .deepnets_genotype import Choice, Genotype

#: The two operations of a step.
Pair = tuple[Choice, Choice]


class Cell(NamedTuple):
    """Pairs of choices, and the states that are put out."""

    pairs: tuple[Pair, ...]
    concat: tuple[int, ...]


class Values:
    """The calls that the result of a graph depends on: who makes a value, and who reads it."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._steps = {step.name: step for step in graph.steps}
        live = {graph.result.node}
        for step in reversed(graph.steps):
            if step.name in live:
                live.update(edge.node for edge in step.edges)
        self.live = [step for step in graph.steps if step.name in live]
        self._users: dict[Edge, list[Step]] = {}
        for step in self.live:
            for edge in step.edges:
                self._users.setdefault(edge, []).append(step)

    def maker(self, value: Edge) -> Step:
        return self._steps[value.node]

    def source(self, step: Step) -> Step:
        """The call that makes the ``x`` of a call."""
        return self._steps[step.args["x"].node]

    def users(self, value: Edge) -> list[Step]:
        """The calls that read a value, once for each time they do."""
        return self._users.get(value, [])

    def normed(self, step: Step) -> Edge:
        """The value of a convolution behind its norm, where it has one."""
        value = Edge(step.name)
        users = self.users(value)
        return Edge(users[0].name) if [user.op for user in users] == ["batch_norm"] else value

    def channels(self, value: Edge) -> int:
        return int(self.graph.type_of(value).shape[1])

    def factorized(self, step: Step) -> Edge | None:
        """What a strided skip reads, where a ``cat`` is one's."""
        if step.op != "cat" or len(step.edges) != 2:
            return None
        first, second = (self.maker(edge) for edge in step.edges)
        if not all(conv.op == "conv2d" and conv.args["stride"] == (2, 2) for conv in (first, second)):
            return None
        shifted = self.source(second)
        if shifted.op != "getitem" or shifted.args["x"] != first.args["x"]:
            return None
        relu = self.source(first)
        return relu.args["x"] if relu.op == "relu" else None

    def cell_outputs(self) -> list[Edge]:
        """The outputs of the cells, in order."""
        return [Edge(step.name) for step in self.live if step.op == "cat" and self.factorized(step) is None]


class CellReader:
    """Reads the cell that ends at ``output`` and begins at ``inputs``; None for an input that is not there."""

    def __init__(self, values: Values, output: Edge, inputs: tuple[Edge | None, Edge | None], preproc: bool) -> None:
        self.values, self.output, self.inputs, self.preproc = values, output, inputs, preproc
        self.pairs: list[Pair] = []
        self.index: dict[Edge, int] = {}
        self.twins: list[Edge] = []
        #: State → another that is a copy of it.
        self.copies: dict[int, int] = {}

    def read(self) -> Cell | None:
        """The cell; None where what leads to the output is no cell between these values."""
        concat: list[int] = []
        try:
            for value in self.values.maker(self.output).edges:
                state = self.state(value) if not self.is_zero(value) else self.new(("none", 0), ("none", 1))
                if state < 2 or state in concat or (concat and state < concat[-1]):
                    copied = ("skip_connect", state)
                    self.copies[state] = state = self.new(copied, _nothing_beside(copied))
                concat.append(state)
        except (KeyError, IndexError, ValueError, TypeError, RecursionError):
            return None
        return Cell(tuple(self.pairs), tuple(concat)) if concat[-1] == len(self.pairs) + 1 else None

    def new(self, first: Choice, second: Choice) -> int:
        self.pairs.append((first, second))
        return len(self.pairs) + 1

    def elsewhere(self, choice: Choice) -> Choice:
        """The same on another state, because a step reads two different ones: on a copy, or made by a step before."""
        name, state = choice
        if state in self.copies:
            return name, self.copies[state]
        return "skip_connect", self.new(choice, _nothing_beside(choice))

    def is_zero(self, value: Edge) -> bool:
        step = self.values.maker(value)
        return step.op == "mul" and step.args["y"] == 0 and type(step.args["y"]) is not Edge

    def is_gate(self, value: Edge) -> bool:
        step = self.values.maker(value)
        return step.op == "reshape" and self.values.source(step).op == "hardswish"

    # -- states --------------------------------------------------------------------------------------------------------
    def state(self, value: Edge) -> int:
        """The state of that value; it is added, with what it needs, where it is new."""
        known = self.index.get(value)
        if known is None:
            known = self.given(value)
        if known is not None:
            return known
        step = self.values.maker(value)
        if step.op == "add":
            first, second = (self.choice(edge) for edge in step.edges)
            if first[1] == second[1]:
                second = self.elsewhere(second)
        else:
            first = self.operation(value)
            second = _nothing_beside(first)
        made = self.index[value] = self.new(first, second)
        return made

    def given(self, value: Edge) -> int | None:
        """0 or 1 where the value is one of the cell's inputs, behind what every cell does to them first."""
        if not self.preproc:
            step = self.values.maker(value)
            if step.op == "getitem" and step.args["x"] == self.inputs[0]:
                return 0
            return 1 if value == self.inputs[1] else 0 if value == self.inputs[0] else None
        step = self.values.maker(value)
        if step.op == "batch_norm":
            step = self.values.source(step)
        source = self.values.factorized(step)
        if source is None and step.op == "conv2d" and step.args["kernel"] == (1, 1):
            relu = self.values.source(step)
            source = relu.args["x"] if relu.op == "relu" else None
        if source is None or source not in self.inputs:
            return None
        if self.inputs[0] == self.inputs[1]:
            # Both inputs are one value: the first that is met is taken for the first.
            if value not in self.twins:
                self.twins.append(value)
            return self.twins.index(value)
        return self.inputs.index(source)

    # -- operations ----------------------------------------------------------------------------------------------------
    def choice(self, value: Edge) -> Choice:
        """An operand of a sum: an operation, or a copy of a state."""
        alone = len(self.values.users(value)) == 1 and value not in self.index and self.values.maker(value).op != "add"
        if alone and self.given(value) is None:
            return self.operation(value)
        return "skip_connect", self.state(value)

    def operation(self, value: Edge) -> Choice:
        """The operation that makes a value, and the state that it reads."""
        name, source = self.made_by(value)
        return name, self.state(source)

    def made_by(self, value: Edge) -> tuple[str, Edge]:
        values = self.values
        step = values.maker(value)
        if step.op in ("max_pool2d", "avg_pool2d"):
            return f"{step.op[:-2]}_{_square(step)}", step.args["x"]
        if step.op == "getitem":  # the stride of an operation that has none of its own
            step = values.source(step)
        if step.op == "mul":
            (x,) = (edge for edge in step.edges if not self.is_gate(edge))
            return "cse", x
        if step.op == "reshape":
            total = values.source(values.source(step))
            (inner,) = (values.maker(edge) for edge in total.edges if values.maker(edge).op == "add")
            (pixels,) = (values.maker(edge) for edge in inner.edges if values.maker(edge).op == "permute")
            return "msa", values.source(pixels).args["x"]
        if step.op == "batch_norm":
            step = values.source(step)
        strided = values.factorized(step)
        if strided is not None:
            return "skip_connect", strided
        return self.convolution(step)

    def convolution(self, step: Step) -> tuple[str, Edge]:
        """One of the operations that end in a convolution of all channels."""
        values = self.values
        before = values.source(step)
        if before.op == "relu":
            return f"conv_{_square(step)}", before.args["x"]
        relu = values.source(before)
        if relu.op != "relu" or before.op != "conv2d":
            raise ValueError(f"{step.name} ends no operation")
        rows, columns = before.args["kernel"]
        if rows == 1 and columns > 1:
            return f"conv_{columns}x1_1x{columns}", relu.args["x"]
        if before.args["dilation"] == (2, 2):
            return f"dil_conv_{_square(before)}", relu.args["x"]
        middle = values.source(relu)
        if middle.op == "batch_norm":
            middle = values.source(middle)
        first = values.source(values.source(middle))
        if first.op != "relu":
            raise ValueError(f"{step.name} ends no operation")
        return f"sep_conv_{_square(before)}", first.args["x"]


def _square(step: Step) -> str:
    return "x".join(map(str, step.args["kernel"]))


# -- two cells as one genotype -------------------------------------------------------------------------------------------
_NOTHING: Pair = (("none", 0), ("none", 1))


def _nothing_beside(choice: Choice) -> Choice:
    return "none", 1 if choice[1] == 0 else 0


def aligned(
    normal: Cell | None, reduce: Cell | None
) -> tuple[tuple[Choice, ...], tuple[int, ...], tuple[Choice, ...], tuple[int, ...]] | None:
    """The fields of a genotype of two cells with equally many steps that put out the same states, as sampled ones do.

    Steps that make nothing fill up. None where the cells put out different numbers of states.
    """
    if normal is None or reduce is None:
        known = normal or reduce
        if known is None:
            return None
        nothing = Cell((_NOTHING,) * len(known.pairs), known.concat)
        normal, reduce = (normal or nothing, reduce or nothing)
    if len(normal.concat) != len(reduce.concat):
        return None
    # States that are not put out may stand early or late: the order with the fewest steps is taken.
    orders = [(first, second) for first in (normal, _early(normal)) for second in (reduce, _early(reduce))]
    normal, reduce = min(orders, key=lambda pair: sum(_sizes(*pair)))
    sizes = _sizes(normal, reduce)
    if sizes == [1] and any(name == "none" for cell in (normal, reduce) for name, _ in cell.pairs[0]):
        sizes[0] = 2  # a cell of one step has no 'none'
    concat: list[int] = []
    for size in sizes:
        concat.append((concat[-1] if concat else 1) + size)
    cells = [_spread(cell, concat) for cell in (normal, reduce)]
    return cells[0], tuple(concat), cells[1], tuple(concat)


def _sizes(normal: Cell, reduce: Cell) -> list[int]:
    """Steps up to each state that is put out, of whichever cell has more."""
    runs = ([b - a for a, b in zip((1, *cell.concat), cell.concat)] for cell in (normal, reduce))
    return [max(pair) for pair in zip(*runs)]


def _early(cell: Cell) -> Cell:
    """The same cell with states that are not put out as early as they can be."""
    place = {0: 0, 1: 1}
    pairs: list[Pair] = []
    waiting = [state for state in range(2, len(cell.pairs) + 2) if state not in cell.concat]

    def add(state: int) -> None:
        (a, i), (b, j) = cell.pairs[state - 2]
        place[state] = len(pairs) + 2
        pairs.append(((a, place[i]), (b, place[j])))

    for end in cell.concat:
        for state in waiting:
            if state not in place and all(source in place for _, source in cell.pairs[state - 2]):
                add(state)
        add(end)
    return Cell(tuple(pairs), tuple(place[state] for state in cell.concat))


def _spread(cell: Cell, concat: list[int]) -> tuple[Choice, ...]:
    """The cell with steps that make nothing before those of each run, so that its outputs are the states of ``concat``."""
    place = {0: 0, 1: 1}
    found: list[Choice] = []
    start = 2
    for old, new in zip(cell.concat, concat):
        while len(found) // 2 + 2 < new - (old - start):
            found += _NOTHING
        for state in range(start, old + 1):
            pair = cell.pairs[state - 2]
            found += [(name, place[source]) for name, source in pair]
            place[state] = len(found) // 2 + 1
        start = old + 1
    return tuple(found)


def with_attention(genotype: Genotype) -> Genotype:
    """A genotype of the same network that has attention: where nothing reads it, if nowhere else."""
    if genotype.has("msa"):
        return genotype
    pairs = list(zip(genotype.normal[::2], genotype.normal[1::2]))
    absent = [i + 2 for i, pair in enumerate(pairs) if pair == _NOTHING]
    read = {state for name, state in genotype.normal if name != "none"} | set(genotype.normal_concat)
    for state in absent:
        # It computes nothing where it reads a state that is not there, or where no one reads it.
        for i, (first, second) in enumerate(pairs):
            if i + 2 > state and second[0] == "none" and first[1] != state:
                return _with_normal(genotype, [*pairs[:i], (first, ("msa", state)), *pairs[i + 1 :]])
        if state not in read:
            return _with_normal(genotype, [*pairs[: state - 2], (("msa", 0), ("none", 1)), *pairs[state - 1 :]])

    def later(choices: tuple[Choice, ...]) -> tuple[Choice, ...]:
        return tuple((name, state + (state > 1)) for name, state in choices)

    concat = tuple(state + 1 for state in genotype.normal_concat)
    return Genotype(
        (("msa", 0), ("none", 1), *later(genotype.normal)), concat, (*_NOTHING, *later(genotype.reduce)), concat
    )  # fmt: skip


def _with_normal(genotype: Genotype, pairs: list[Pair]) -> Genotype:
    normal = tuple(choice for pair in pairs for choice in pair)
    return Genotype(normal, genotype.normal_concat, genotype.reduce, genotype.reduce_concat)
