"""A graph as the comparison of two sees it: what counts for the hash, as lists of vertices that refer to each other by number.

Vertices are the live nodes in order of execution and, last, the return. What only tells parts apart (names, keys, scopes) is
kept aside, for people and for breaking ties.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from ..errors import NetloomError
from ..ops import Edge, Weight, operator
from .contents import Naming, Ref, plan_of, text
from .wiring import Wiring, edge_first, wiring

if TYPE_CHECKING:
    from .graph import Graph, Step
    from .table import TensorEntry

#: The operator of the vertex that stands for what the network returns.
RETURN = "return"

Port = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Slot:
    """An argument that holds nodes: their numbers and results, in order; ``many`` for a list whose length may differ."""

    name: str
    ports: tuple[Port, ...]
    many: bool = False


@dataclass(slots=True)
class Vertex:
    """A live node, or the return: ``texts`` has every argument with ``@`` for a node and ``#`` for a weight of its own.

    ``tensors`` maps roles to keys behind all aliases. The first two slots of a ``commutative`` vertex may change places.
    ``place`` is that of an input among the arguments.
    """

    name: str
    op: str
    step: Step | None
    texts: dict[str, str] = field(default_factory=dict)
    slots: tuple[Slot, ...] = ()
    tensors: dict[str, str] = field(default_factory=dict)
    commutative: bool = False
    place: str = ""
    family: str = ""
    operands: list[Port] = field(default_factory=list)

    @property
    def flags(self) -> tuple[str, bool | str, str]:
        """Mode, grad and autocast."""
        return (self.step.mode, self.step.grad, self.step.autocast) if self.step is not None else ("", True, "")

    def __post_init__(self) -> None:
        self.operands = [port for slot in self.slots for port in slot.ports]


class Compared:
    """One of two graphs that are compared, its free symbols called by ``naming``."""

    def __init__(self, graph: Graph, naming: Naming) -> None:
        self.graph, self.naming = graph, naming
        wires = wiring(graph, naming)
        self.number = {name: i for i, name in enumerate(s.name for s in graph.steps if s.name in wires.contents)}
        self.vertices = [self._vertex(step, wires) for step in graph.steps if step.name in self.number]
        results = tuple((self.number[edge.node], edge.index) for edge in wires.results)
        returned = Vertex(RETURN, RETURN, None, {"": wires.returned}, (Slot("outputs", results, many=True),))
        self.vertices.append(returned)
        self.root = len(self.vertices) - 1
        self.readers: list[list[int]] = [[] for _ in self.vertices]
        for i, vertex in enumerate(self.vertices):
            for source in dict.fromkeys(source for source, _ in vertex.operands):
                self.readers[source].append(i)
        self.uses: dict[str, int] = {}
        for vertex in self.vertices:
            for key in vertex.tensors.values():
                self.uses[key] = self.uses.get(key, 0) + 1
        self._sizes: dict[int, frozenset[str]] = {}

    def __len__(self) -> int:
        return len(self.vertices)

    def _vertex(self, step: Step, wires: Wiring) -> Vertex:
        plan = plan_of(step.op)
        op = "parameter" if step.op == "constant" else step.op  # as in the hash: a constant is a buffer known by value
        vertex = Vertex(step.name, op, step, family=plan.kind.family)
        args = step.args
        pair = plan.pair if plan.pair and plan.kind.commutes(args) else ()
        if pair:
            args = edge_first(args, pair)
            vertex.commutative = type(args[pair[0]]) is type(args[pair[1]]) is Edge
        slots: list[Slot] = []
        count = 0
        for name in dict.fromkeys((*pair, *args)):
            refs: list[Ref] = []
            vertex.texts[name] = text(args[name], refs, self.naming)
            ports = tuple((self.number[ref[0]], ref[1]) for ref in refs if type(ref) is Edge)
            owned = [ref.key for ref in refs if type(ref) is Weight]
            if ports:
                slots.append(Slot(name, ports, plan.kind.by_name[name].kind == "tensors"))
                count += len(ports)
            roles = [name] if len(owned) == 1 and vertex.texts[name] == "#" else [f"{name}.{i}" for i in range(len(owned))]
            vertex.tensors |= {role: self.head(key) for role, key in zip(roles, owned)}
        effects = wires.operands[step.name][count:]
        if effects:
            slots.append(Slot("after", tuple((self.number[edge[0]], edge[1]) for edge in effects)))
            vertex.texts["after"] = " ".join(wires.contents[step.name].split(" after ")[-len(effects) :])
        if len(self.graph.types(step.name)) != 1:
            vertex.texts["results"] = str(len(self.graph.types(step.name)))
        if step.op == "input":
            vertex.place = wires.contents[step.name].rpartition(" at ")[2]
        vertex.slots = tuple(slots)
        vertex.__post_init__()
        return vertex

    def head(self, key: str) -> str:
        """The key of the entry that holds the tensor, behind all aliases."""
        entry = self.graph.tensors[key]
        while entry.alias_of is not None:
            key, entry = entry.alias_of, self.graph.tensors[entry.alias_of]
        return key

    def entry(self, vertex: int, role: str) -> TensorEntry:
        return self.graph.tensors[self.vertices[vertex].tensors[role]]

    def sizes(self, i: int) -> frozenset[str]:
        """The attributes of a vertex that state sizes of axes, as its operator's dimension rule says."""
        found = self._sizes.get(i)
        if found is None:
            step = self.vertices[i].step
            found = frozenset() if step is None else _size_attributes(self.graph, step)
            self._sizes[i] = found
        return found

    @cached_property
    def border_depths(self) -> dict[str, int]:
        """Name of the first node of a block → how deep the outermost such block lies in the tree of blocks."""
        found: dict[str, int] = {}
        waiting = [(self.graph.blocks(), 0)]
        while waiting:
            block, depth = waiting.pop()
            name = block.steps[0].name
            found[name] = min(depth, found.get(name, depth))
            waiting += [(part, depth + 1) for part in block.parts]
        return found

    def result_type(self, i: int) -> tuple[Any, ...]:
        """dtype and shapes of what a vertex gives, for comparing."""
        return self.graph.types(self.vertices[i].name) if i != self.root else ()


def _size_attributes(graph: Graph, step: Step) -> frozenset[str]:
    if operator(step.op).family == "source":
        return frozenset({"shape"})
    try:
        attrs: Mapping[str, Any] = operator(step.op).dims(graph.operands(step), graph.types(step.name)).attrs
    except NetloomError:
        return frozenset()
    return frozenset(attrs)


# -- labels of surroundings --------------------------------------------------------------------------------------------
def exact_labels(side: Compared) -> tuple[list[bytes], list[bytes]]:
    """For every vertex a digest of all that it is computed from, and one of all that is computed from it.

    Names, places of inputs and sharing are left out; equal digests say that two vertices have equal pasts, or futures.
    """
    contents = [_content(side, i) for i in range(len(side))]
    past: list[bytes] = []
    for vertex, content in zip(side.vertices, contents):
        parts = [past[source] + b"%d" % port for source, port in vertex.operands]
        if vertex.commutative:
            parts[:2] = sorted(parts[:2])
        past.append(_digest(content, parts))
    future = [b""] * len(side)
    read: list[list[bytes]] = [[] for _ in side.vertices]
    for i in range(len(side) - 1, -1, -1):
        future[i] = _digest(contents[i], sorted(read[i]))
        for place, (source, port) in enumerate(side.vertices[i].operands):
            where = 0 if side.vertices[i].commutative and place < 2 else place
            read[source].append(future[i] + b"%d:%d" % (where, port))
    return past, future


def loose_labels(side: Compared, radius: int) -> list[tuple[list[bytes], list[bytes]]]:
    """For each distance up to ``radius``, labels of what lies within it before and behind a vertex, by operators alone."""
    before = behind = [vertex.op.encode() for vertex in side.vertices]
    found = []
    for _ in range(radius):
        before = [_digest(v.op, [before[source] for source, _ in v.operands]) for v in side.vertices]
        behind = [_digest(v.op, sorted(behind[r] for r in side.readers[i])) for i, v in enumerate(side.vertices)]
        found.append((before, behind))
    return found


def _content(side: Compared, i: int) -> str:
    vertex = side.vertices[i]
    types = [type_of_tensor(side.entry(i, role)) for role in vertex.tensors]
    return f"{vertex.op} {vertex.texts} {vertex.flags} {types}"


def type_of_tensor(entry: TensorEntry) -> tuple[str, str, str]:
    """What the hash counts of a tensor besides its shape, which follows from the node that owns it."""
    return entry.kind, entry.type.dtype, entry.constant.sha256 if entry.constant is not None else ""


def _digest(content: str, parts: list[bytes]) -> bytes:
    return blake2b(content.encode() + b"\0" + b"|".join(parts), digest_size=12).digest()



