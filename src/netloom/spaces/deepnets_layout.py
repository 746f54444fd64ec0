"""How a DeepNets-1M network is put together: which small graph stands where, and which values it reads.

One walk through the stem, the cells and the head that making the graph, hashing it and counting all share.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import NamedTuple

from ..errors import SpaceError
from ..graph.builder import call
from ..graph.builder import input as new_input
from ..graph.graph import Graph
from .deepnets_architecture import Architecture
from .deepnets_genotype import parse_operation
from .deepnets_operations import SELF, Shape, head, operation, stem


class Part(NamedTuple):
    """A small graph below a path; ``operands`` are numbers of values: 0 the input, 1 + i the result of part i.

    Without operands it is not called: the published module is there, with its tensors, and what it would read is not, or
    nothing reads its result.
    """

    graph: Graph
    path: str
    operands: tuple[int, ...]


class _Value(NamedTuple):
    """A value of the network: its number, and its shape; without a number the modules around it are there and it is not."""

    number: int | None
    shape: Shape


def layout(a: Architecture) -> list[Part]:
    """The parts in the order in which the network calls them; the last gives the logits. `SpaceError` where none can be.

    >>> from netloom.spaces.deepnets_genotype import named
    >>> parts = layout(Architecture(named("vit"), 3, C=16, preproc=False, C_mult=1))
    >>> [part.path for part in parts]
    ['', 'cells.0._ops.1', 'cells.0.cat', 'cells.1._ops.1', 'cells.1.cat', 'cells.2._ops.1', 'cells.2.cat', '']
    """
    return _called(_Layout(a).parts, a.norm is not None)


def _called(parts: list[Part], normed: bool) -> list[Part]:
    """The parts without calls that nothing depends on, sums of a cell numbered; norms always count as depended on."""
    live = {len(parts)}
    for number in range(len(parts), 0, -1):
        part = parts[number - 1]
        if number in live or (normed and part.operands and "batch_norm" in operators(part.graph)):
            live.update(part.operands)
        elif part.operands:
            parts[number - 1] = part._replace(operands=())
    sums: Counter[str] = Counter()
    for number, part in enumerate(parts):
        if part.operands and part.path.endswith(".add"):
            if sums[part.path]:
                parts[number] = part._replace(path=f"{part.path}_{sums[part.path]}")
            sums[part.path] += 1
    return parts


def operators(graph: Graph) -> frozenset[str]:
    """The operators of a part."""
    found: frozenset[str] | None = graph.__dict__.get("_deepnets_operators")
    if found is None:
        found = graph.__dict__["_deepnets_operators"] = frozenset(step.op for step in graph.steps)
    return found


class _Layout:
    """A network being put together."""

    __slots__ = ("a", "parts")

    def __init__(self, a: Architecture) -> None:
        self.a = a
        self.parts: list[Part] = []
        before, last = self.stem()
        out, reduced = a.C, a.stem_type == 1
        for cell in range(a.n_cells):
            reduction = a.reduces(cell)
            out *= a.C_mult if reduction else 1
            before, last = last, self.cell(f"cells.{cell}", before, last, out, reduction, reduced)
            reduced = reduction
        if last.number is None:
            raise SpaceError("deepnets1m network: no operation of its cells leads to the output; 'none' cuts all ways")
        self.add(head(last.shape, a.num_classes, a.fc_layers, a.fc_dim, a.glob_avg), "", last)

    def add(self, graph: Graph, path: str, *operands: _Value) -> _Value:
        """Put a part down and give its result; it is not called where an operand is not there."""
        numbers = [value.number for value in operands if value.number is not None]
        there = len(numbers) == len(operands)
        self.parts.append(Part(graph, path, tuple(numbers) if there else ()))
        shape: Shape = graph.type_of(graph.result).shape[1:]
        return _Value(len(self.parts) if there else None, shape)

    # -- the stem ------------------------------------------------------------------------------------------------------
    def stem(self) -> tuple[_Value, _Value]:
        """The two values that the first cell reads."""
        a, x = self.a, _Value(0, self.a.input_shape)
        if a.is_vit:
            s0 = self.add(stem("patches", x.shape, a.C, 0, None, a.is_large, False), "", x)
            return s0, s0
        if a.stem_type == 0:
            out = 3 * a.C if a.preproc and not a.is_large else a.C
            s0 = self.add(stem("stem", x.shape, out, a.ks, a.norm, a.is_large, a.stem_pool), "stem", x)
            return s0, s0
        s0 = self.add(stem("stem0", x.shape, a.C, a.ks, a.norm, a.is_large, False), "stem0", x)
        # The published ReLU works in place, so that the first cell sees its result too.
        s0 = self.add(stem("relu", s0.shape, a.C, 0, None, a.is_large, False), "stem1", s0)
        return s0, self.add(stem("stem1", s0.shape, a.C, 0, a.norm, a.is_large, False), "stem1", s0)

    # -- cells ---------------------------------------------------------------------------------------------------------
    def cell(self, path: str, before: _Value, last: _Value, out: int, reduction: bool, reduced: bool) -> _Value:
        """A cell on the outputs of the two cells before it; ``reduced`` says that the one between them reduces."""
        a = self.a
        halved = reduced and not a.is_vit
        if a.preproc:
            kind = "factorized" if halved else "conv"
            states = [
                self.add(operation(kind, 1, before.shape, out, 2 if halved else 1, a.norm), f"{path}.preprocess0", before),
                self.add(operation("conv", 1, last.shape, out, 1, a.norm), f"{path}.preprocess1", last),
            ]
        else:
            first = before
            if halved:
                strided = operation("stride", 0, before.shape, before.shape[0], 2, None)
                first = self.add(strided, f"{path}.preprocess0", before)
            states = [first, last]
        genotype = a.genotype
        choices, concat = (genotype.reduce, genotype.reduce_concat) if reduction else (genotype.normal, genotype.normal_concat)
        for i in range(0, len(choices), 2):
            stride = 2 if reduction and not a.is_vit else 1
            first, second = (
                self.choice(f"{path}._ops.{i + j}", *choices[i + j], states, out, stride) for j in (0, 1)
            )  # fmt: skip
            if first.number is not None and second.number is not None:
                states.append(self.joined("add", path, first, second))
            else:
                states.append(second if first.number is None else first)
        return self.output(path, [states[i] for i in concat])

    def choice(self, path: str, name: str, state: int, states: list[_Value], out: int, stride: int) -> _Value:
        """The result of one operation of a cell."""
        x = states[state]
        stride = stride if state < 2 else 1
        kind, kernel = parse_operation(name)
        if kind == "skip_connect":
            if stride == 1:
                return x
            kind = "factorized"
        if kind == "none":
            channels, height, width = x.shape
            return _Value(None, (out, -(-height // stride), -(-width // stride)))
        return self.add(operation(kind, kernel, x.shape, out, stride, self.a.norm), path, x)

    def output(self, path: str, kept: list[_Value]) -> _Value:
        """The kept states side by side, zeros for those that are not there; nothing where none is."""
        known = [value for value in kept if value.number is not None]
        if not known:
            channels, height, width = kept[0].shape
            return _Value(None, (channels * len(kept), height, width))
        if len(known) < len(kept):
            zero = self.add(zeros(known[0].shape), f"{path}.mul", known[0])
            kept = [zero if value.number is None else value for value in kept]
        return self.joined("cat", path, *kept)

    def joined(self, op: str, path: str, *values: _Value) -> _Value:
        shapes = tuple(value.shape for value in values)
        if any(shape[1:] != shapes[0][1:] for shape in shapes) or (op == "add" and len(set(shapes)) > 1):
            raise SpaceError(
                f"deepnets1m network: {path} joins values of shapes {', '.join('×'.join(map(str, s)) for s in shapes)}; use an "
                "input_shape whose height and width can be halved as often as the network does"
            )
        return self.add(join(op, shapes), f"{path}.{op}", *values)


# -- sums, outputs and zeros of cells ------------------------------------------------------------------------------------
@lru_cache(maxsize=10_000)
def join(op: str, shapes: tuple[Shape, ...]) -> Graph:
    """``"add"`` or ``"cat"`` (along the channels) of values of these shapes."""
    values = tuple(new_input(*shape, name=f"x{i}") for i, shape in enumerate(shapes))
    return Graph(values, call("cat", *values, name=SELF, dim=1) if op == "cat" else call(op, *values, name=SELF))


@lru_cache(maxsize=10_000)
def zeros(shape: Shape) -> Graph:
    """Zeros of the shape of a value."""
    x = new_input(*shape, name="x")
    return Graph(x, call("mul", x, 0, name=SELF))
