"""The canonical hash: equal exactly when two graphs are the same computation up to names and order of nodes.

A walk from the outputs, operands in order, meets everything that counts in an order that no name influences; the list of
what it met, with numbers for what each thing reads, determines the graph. Only operands that may change places leave a
choice: they are put in the order of their digests (of all that they are computed from), and where those are equal too,
`symmetry` decides.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING

from ..errors import GraphError
from ..ops import Edge
from .contents import Naming
from .straight import straight_walk
from .symbols import namings
from .wiring import Wiring, live_nodes, wiring

if TYPE_CHECKING:
    from .graph import Graph

#: Changes whenever the hash of any graph does.
PREFIX = "nl1:"


def graph_hash(graph: Graph) -> str:
    """``"nl1:"`` and 32 hexadecimal digits, the same for every graph that computes the same in the same way.

    Counted: operators with their attributes, how they are wired (a value used twice is not two equal values), dtype and
    shape of inputs and tensors, the bytes of constants, which calls share a tensor, the places of inputs among the
    arguments, the containers that come back. Not counted: names and keys, order of nodes, initialisation, example sizes,
    nodes that nothing depends on, tensors that nothing uses. `GraphError` where a graph is so symmetric that the walk
    would take more than `symmetry.MAX_WORK` steps.

    >>> import netloom as nl
    >>> x, z = nl.input(8), nl.input(8, name="features")
    >>> graph_hash(nl.Graph(x, nl.relu(nl.linear(x, 4)))) == graph_hash(nl.Graph(z, nl.relu(nl.linear(z, 4, name="head"))))
    True
    """
    lines = straight_walk(graph)
    if lines is not None:
        return PREFIX + _digest("\n".join(lines).encode()).hex()
    try:
        return PREFIX + min([_fingerprint(graph, naming) for naming in namings(graph, live_nodes)])
    except KeyError as error:
        raise GraphError(f"{error.args[0]!r} is missing from the graph; graph.check() says where") from None


def _fingerprint(graph: Graph, naming: Naming) -> str:
    wires = wiring(graph, naming)
    if wires.pairs or len(wires.writes) > 1:
        digests = _digests(wires)
        tied = _order_by(wires, digests)
        if tied:
            from .symmetry import canonical_order

            return canonical_order(wires, digests, lambda pairs, writes: certificate(_reordered(wires, pairs, writes)))
    return certificate(wires)


def canonical_walk(graph: Graph) -> list[str]:
    """The names of the live nodes in an order that is the same for all graphs of one hash.

    So nodes at equal places of two such walks are the same node of the same computation. Errors as `graph_hash`'s.

    >>> import netloom as nl
    >>> x = nl.input(8)
    >>> canonical_walk(nl.Graph(x, nl.relu(nl.linear(x, 4, name="head"))))
    ['relu', 'head', 'x']
    """
    wires = wiring(graph, walk_naming(graph))
    digests = _digests(wires)
    if _order_by(wires, digests):
        from .symmetry import canonical_order

        leaves: dict[str, Wiring] = {}

        def leaf(pairs: dict[str, list[Edge]], writes: list[str]) -> str:
            ordered = _reordered(wires, pairs, writes)
            found = certificate(ordered)
            leaves[found] = ordered
            return found

        wires = leaves[canonical_order(wires, digests, leaf)]
    return list(_walk(wires))


def walk_naming(graph: Graph) -> Naming:
    """The names of the free symbols under which the hash is made."""
    found = list(namings(graph, live_nodes))
    return found[0] if len(found) == 1 else min(found, key=lambda naming: _fingerprint(graph, naming))


def _walk(wires: Wiring) -> dict[str, int]:
    """The numbers of the live nodes, given as a walk from the outputs meets them."""
    operands = wires.operands
    number: dict[str, int] = {}
    stack = [*reversed(wires.writes), *[edge[0] for edge in reversed(wires.results)]]
    while stack:
        name = stack.pop()
        if name not in number:
            number[name] = len(number)
            for edge in reversed(operands[name]):
                stack.append(edge[0])
    return number


def certificate(wires: Wiring) -> str:
    """Digest of the list of everything live in the order of the walk, with numbers for what each item reads."""
    contents, operands, weights = wires.contents, wires.operands, wires.weights
    number = _walk(wires)
    lines = [wires.returned, " ".join([f"{number[node]}:{index}" for node, index in wires.results])]
    lines.append(" ".join([str(number[name]) for name in wires.writes]))
    tensors: dict[str, int] = {}
    for name in number:
        line = contents[name]
        for node, index in operands[name]:
            line += f" {number[node]}:{index}" if index else f" {number[node]}"
        if name in weights:
            for key in weights[name]:
                line += f" w{tensors.setdefault(key, len(tensors))}"
        lines.append(line)
    lines += [wires.tensors[key] for key in tensors]
    return _digest("\n".join(lines).encode()).hex()


def _digests(wires: Wiring) -> dict[str, bytes]:
    """For every live node a digest of all that it is computed from, blind to sharing and to places that do not matter."""
    found: dict[str, bytes] = {}
    tensors = {key: _digest(shown.encode()) for key, shown in wires.tensors.items()}
    pairs = set(wires.pairs)
    for name in reversed(wires.contents):
        parts = [found[edge[0]] + b"%d;" % edge[1] for edge in wires.operands[name]]
        if name in pairs:
            parts[:2] = sorted(parts[:2])
        parts += [tensors[key] for key in wires.weights.get(name, ())]
        found[name] = _digest(wires.contents[name].encode() + b"\0" + b"".join(parts))
    return found


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).digest()


def _order_by(wires: Wiring, digests: dict[str, bytes]) -> bool:
    """Put interchangeable operands and writes in the order of their digests; says whether any are left tied."""
    tied = False
    for name in wires.pairs:
        refs = wires.operands[name]
        first, second = [(digests[ref[0]], ref[1]) for ref in refs[:2]]
        if first == second:
            tied = True
        elif second < first:
            refs[0], refs[1] = refs[1], refs[0]
    wires.writes.sort(key=lambda name: digests[name])
    return tied or any(digests[a] == digests[b] for a, b in zip(wires.writes, wires.writes[1:]))


def _reordered(wires: Wiring, pairs: dict[str, list[Edge]], writes: list[str]) -> Wiring:
    return replace(wires, operands=wires.operands | pairs, writes=writes)
