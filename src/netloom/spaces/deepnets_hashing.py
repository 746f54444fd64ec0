"""The hash of a DeepNets-1M network without its graph: millions of networks are told apart before any is made.

What `Graph.hash` takes down of every call is the same wherever a small graph stands; it is read once, and put together here
as `netloom.graph.hashing` puts it together, to the letter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from ..graph.graph import Graph
from ..graph.hashing import PREFIX, certificate
from ..graph.symmetry import canonical_order
from ..graph.wiring import Wiring, wiring
from ..ops import Edge
from .deepnets_architecture import Architecture
from .deepnets_layout import Part, join
from .deepnets_network import assembled
from .deepnets_operations import Shape

_NAMING = {"N": "n0"}


class _Content(NamedTuple):
    """A call of a small graph: what it is, what it reads (other calls ≥ 0, inputs from -1 down), its tensors.

    ``head`` and ``tail`` are the bytes of its digest before and after those of what it reads.
    """

    line: str
    head: bytes
    tail: bytes
    reads: tuple[tuple[int, int], ...]
    tensors: tuple[str, ...]
    pair: bool


class _Contents(NamedTuple):
    calls: tuple[_Content, ...]
    result: int


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).digest()


def _contents(graph: Graph) -> _Contents:
    """What the hash takes down of a small graph; kept with it."""
    found: _Contents | None = graph.__dict__.get("_deepnets_contents")
    if found is None:
        found = graph.__dict__["_deepnets_contents"] = _read(graph)
    return found


def _read(graph: Graph) -> _Contents:
    wires = wiring(graph, _NAMING)
    inputs = [step.name for step in graph.steps if step.op == "input"]
    numbers = {name: -1 - i for i, name in enumerate(inputs)}
    calls: list[_Content] = []
    for step in graph.steps:
        name = step.name
        if name in wires.contents and step.op != "input":
            texts = tuple(wires.tensors[key] for key in wires.weights.get(name, ()))
            line = wires.contents[name]
            reads = tuple((numbers[edge.node], edge.index) for edge in wires.operands[name])
            tail = b"".join(_digest(text.encode()) for text in texts)
            if len(reads) == 1:
                tail = b"%d;" % reads[0][1] + tail
            numbers[name] = len(calls)
            calls.append(_Content(line, line.encode() + b"\0", tail, reads, texts, name in wires.pairs))
    return _Contents(tuple(calls), numbers[graph.result.node])


class _Network:
    """The calls of all parts by number: 0 is the input, ``result`` gives the logits."""

    __slots__ = ("lines", "reads", "tensors", "digests", "tied", "pairs", "result")

    def __init__(self, parts: Sequence[Part], input_line: str) -> None:
        self.lines = [input_line]
        self.reads: list[Sequence[tuple[int, int]]] = [()]
        self.tensors: list[tuple[str, ...]] = [()]
        self.digests = [_digest(input_line.encode() + b"\0")]
        self.pairs: list[int] = []
        self.tied = False
        values = [0]
        for graph, _, operands in parts:
            values.append(self.add(_contents(graph), [values[number] for number in operands]) if operands else 0)
        self.result = values[-1]

    def add(self, contents: _Contents, operands: list[int]) -> int:
        """Take down the calls of a part; gives the number of its result."""
        lines, digests, all_reads, tensors = self.lines, self.digests, self.reads, self.tensors
        start = len(lines)
        for line, head, tail, reads, texts, pair in contents.calls:
            if len(reads) == 1:
                i, index = reads[0]
                i = start + i if i >= 0 else operands[-1 - i]
                data = head + digests[i] + tail
                all_reads.append(((i, index),))
            else:
                placed = [(start + i if i >= 0 else operands[-1 - i], index) for i, index in reads]
                if pair and placed[0] != placed[1]:
                    self.order(placed)
                all_reads.append(placed)
                data = head + b"".join([digests[i] + b"%d;" % index for i, index in placed]) + tail
            lines.append(line)
            tensors.append(texts)
            digests.append(blake2b(data, digest_size=16).digest())
        return start + contents.result

    def order(self, reads: list[tuple[int, int]]) -> None:
        """Put the first two, which may change places, in the order of their digests."""
        self.pairs.append(len(self.lines))
        first, second = [(self.digests[i], index) for i, index in reads[:2]]
        if second < first:
            reads[0], reads[1] = reads[1], reads[0]
        self.tied = self.tied or first == second

    def walk(self) -> dict[int, int]:
        """The calls that count with their places, in the order in which a walk from the result meets them."""
        place: dict[int, int] = {}
        stack, reads = [self.result], self.reads
        while stack:
            number = stack.pop()
            if number not in place:
                place[number] = len(place)
                found = reads[number]
                if len(found) == 1:
                    stack.append(found[0][0])
                else:
                    stack += [read[0] for read in reversed(found)]
        return place

    def fingerprint(self) -> str:
        place, lines, texts = self.walk(), ["return @", "0:0", ""], list[str]()
        own, reads, tensors = self.lines, self.reads, self.tensors
        for number in place:
            line = own[number]
            for i, index in reads[number]:
                line += f" {place[i]}:{index}" if index else f" {place[i]}"
            for text in tensors[number]:
                line += f" w{len(texts)}"
                texts.append(text)
            lines.append(line)
        return _digest("\n".join(lines + texts).encode()).hex()

    def wiring(self) -> Wiring:
        """The same as the general way of hashing takes it."""
        live = self.walk()
        wires = Wiring(returned="return @", results=[Edge(str(self.result))])
        for number in sorted(live, reverse=True):
            name = str(number)
            wires.contents[name] = self.lines[number]
            wires.operands[name] = [Edge(str(i), index) for i, index in self.reads[number]]
            if self.tensors[number]:
                keys = wires.weights[name] = [f"{name}.{i}" for i in range(len(self.tensors[number]))]
                wires.tensors.update(zip(keys, self.tensors[number]))
        wires.pairs += [str(number) for number in self.pairs if number in live]
        return wires


def layout_hash(a: Architecture, parts: Sequence[Part]) -> str:
    """`Graph.hash` of the network of an architecture whose layout is given.

    >>> from netloom.spaces.deepnets_genotype import named
    >>> from netloom.spaces.deepnets_layout import layout
    >>> from netloom.spaces.deepnets_network import network
    >>> a = Architecture(named("darts"), 8, norm="bnorm")
    >>> layout_hash(a, layout(a)) == network(a).hash
    True
    """
    if a.norm == "bn-track":  # norms that write statistics count though nothing reads them: the graph tells which
        return assembled(a, parts).hash
    made = _Network(parts, _input_line(a.input_shape))
    if not made.tied:
        return PREFIX + made.fingerprint()
    wires = made.wiring()
    digests = {name: made.digests[int(name)] for name in wires.contents}

    def leaf(pairs: dict[str, list[Edge]], writes: list[str]) -> str:
        return certificate(replace(wires, operands=wires.operands | pairs, writes=writes))

    return PREFIX + canonical_order(wires, digests, leaf)


@lru_cache(maxsize=256)
def _input_line(shape: Shape) -> str:
    """What the hash takes down of the input."""
    return wiring(join("cat", (shape,)), _NAMING).contents["x0"]
