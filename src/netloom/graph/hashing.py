"""The canonical hash: equal exactly when two graphs are the same computation up to names and order of nodes.

A walk from the outputs, operands in order, meets everything that counts in an order that no name influences; the list of
what it met, with numbers for what each thing reads, determines the graph. Only operands that may change places leave a
choice: they are put in the order of their digests (of all that they are computed from), and where those are equal too,
`symmetry` decides.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from ..errors import GraphError
from ..ops import Edge
from .wiring import Ref, Wiring, namings, wiring

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
    try:
        return PREFIX + min([_fingerprint(wiring(graph, naming)) for naming in namings(graph)])
    except KeyError as error:
        raise GraphError(f"{error.args[0]!r} is missing from the graph; graph.check() says where") from None


def _fingerprint(wires: Wiring) -> str:
    if wires.pairs or len(wires.writes) > 1:
        digests = _digests(wires)
        tied = _order_by(wires, digests)
        if tied:
            from .symmetry import canonical_order

            return canonical_order(wires, digests, lambda pairs, writes: certificate(_reordered(wires, pairs, writes)))
    return certificate(wires)


def certificate(wires: Wiring) -> str:
    """Digest of the list of everything live in the order of the walk, with numbers for what each item reads."""
    contents, operands = wires.contents, wires.operands
    number: dict[str, int] = {}
    stack = [*reversed(wires.writes), *[ref[0] for ref in reversed(wires.results)]]
    while stack:
        name = stack.pop()
        if name not in number:
            number[name] = len(number)
            for ref in reversed(operands[name]):
                if type(ref) is Edge:
                    stack.append(ref[0])
    lines = [wires.returned, " ".join([f"{number[ref[0]]}.{ref[1]}" for ref in wires.results])]
    lines.append(" ".join([str(number[name]) for name in wires.writes]))
    tensor_number: dict[str, int] = {}
    for name in number:
        shown = [contents[name]]
        for ref in operands[name]:
            if type(ref) is Edge:
                shown.append(f"{number[ref.node]}.{ref.index}" if ref.index else str(number[ref.node]))
            else:
                shown.append(f"w{tensor_number.setdefault(ref[0], len(tensor_number))}")
        lines.append(" ".join(shown))
    lines += [wires.tensors[key] for key in tensor_number]
    return blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()


def _digests(wires: Wiring) -> dict[str, bytes]:
    """For every live node a digest of all that it is computed from, blind to sharing and to places that do not matter."""
    found: dict[str, bytes] = {}
    tensors = {key: _digest(shown.encode()) for key, shown in wires.tensors.items()}
    pairs = set(wires.pairs)
    for name in reversed(wires.contents):
        parts = [
            found[ref[0]] + b"%d;" % ref[1] if type(ref) is Edge else tensors[ref[0]] for ref in wires.operands[name]
        ]  # fmt: skip
        if name in pairs:
            parts[:2] = sorted(parts[:2])
        found[name] = _digest(wires.contents[name].encode() + b"\0" + b"".join(parts))
    return found


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).digest()


def _order_by(wires: Wiring, digests: dict[str, bytes]) -> bool:
    """Put interchangeable operands and writes in the order of their digests; says whether any are left tied."""
    tied = False
    for name in wires.pairs:
        refs = wires.operands[name]
        first, second = [(digests[ref[0]], ref[-1]) for ref in refs[:2]]
        if first == second:
            tied = True
        elif second < first:
            refs[0], refs[1] = refs[1], refs[0]
    wires.writes.sort(key=lambda name: digests[name])
    return tied or any(digests[a] == digests[b] for a, b in zip(wires.writes, wires.writes[1:]))


def _reordered(wires: Wiring, pairs: dict[str, list[Ref]], writes: list[str]) -> Wiring:
    return Wiring(wires.contents, wires.operands | pairs, [], writes, wires.tensors, wires.returned, wires.results)
