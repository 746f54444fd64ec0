"""`edges`: a trained network as one token for each edge: parent, child, type, weight. The interchange format of Netformer.

    start, then for each group of neurons: layer, its edges; then stop

Neurons are numbered group by group, inputs first; neuron 0 is the constant 1 that biases come from.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FormatError
from ..graph import json_values
from .perceptrons import ADD, FUNCTION, INPUT, LINEAR, Attributes, Group, Perceptron

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..building.network import Network

START, STOP, LAYER, WEIGHT, BIAS, SUM = range(6)
#: Types of tokens before those of functions, which are numbered from here in the order of ``functions``.
TYPES = ("start", "stop", "layer", "weight", "bias", "sum")


@dataclass(frozen=True, slots=True, eq=False)
class EdgeTokens:
    """Tokens float64 (E, 4): parent, child, type, weight.

    Types are those of `TYPES`, and ``len(TYPES) + i`` for the function ``functions[i]`` (operator and attributes), whose edges
    have weight 1 as those of sums have. A *layer* token has the first neuron of a group as child and its size as weight; start
    and stop have -1 for both ends.
    """

    tokens: NDArray[np.float64]
    functions: tuple[tuple[str, Attributes], ...]
    input_shape: tuple[int, ...]
    dtype: str

    def __len__(self) -> int:
        return len(self.tokens)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.tokens, dtype=dtype)


def edges(network: Network) -> EdgeTokens:
    """The edge tokens of a network; `network_of_edges` is the way back, without loss.

    Raises `FormatError` for a network that is more than linear layers, elementwise functions and sums.

    >>> import netloom as nl
    >>> x = nl.input(2)
    >>> net = nl.build(nl.Graph(x, nl.linear(nl.relu(nl.linear(x, 2)), 1)), seed=0)
    >>> found = edges(net)
    >>> found.tokens.shape, found.functions, found.tokens[3, :3].tolist()
    ((17, 4), (('relu', ()),), [1.0, 3.0, 3.0])
    >>> network_of_edges(found).graph.hash == net.graph.hash
    True
    """
    given = Perceptron.of(network)
    functions = tuple(dict.fromkeys((g.op, g.attrs) for g in given.groups if g.kind == FUNCTION))
    first = np.cumsum([1, *(group.size for group in given.groups)])
    rows: list[NDArray[np.float64]] = [np.array([[-1.0, -1, START, 0], [-1, 1, LAYER, given.groups[0].size]])]
    for number, group in enumerate(given.groups[1:], 1):
        child = first[number] + np.arange(group.size)
        parents = [first[parent] + np.arange(given.groups[parent].size) for parent in group.parents]
        rows.append(np.array([[-1, child[0], LAYER, group.size]], dtype=np.float64))
        if group.kind == LINEAR:
            weight: Any = group.weight
            rows.append(_edges(np.tile(parents[0], group.size), np.repeat(child, len(parents[0])), WEIGHT, weight.reshape(-1)))
            if group.bias is not None:
                rows.append(_edges(np.zeros(group.size), child, BIAS, group.bias))
        else:
            kind = SUM if group.kind == ADD else len(TYPES) + functions.index((group.op, group.attrs))
            rows += [_edges(parent, child, kind, np.ones(group.size)) for parent in parents]
    tokens = np.concatenate([rows[0][:1], rows[0][1:], *rows[1:], [[-1, -1, STOP, 0]]])
    return EdgeTokens(tokens, functions, given.input_shape, given.dtype)


def _edges(parents: Any, children: Any, kind: int, values: Any) -> NDArray[np.float64]:
    found = np.empty((len(values), 4))
    found[:, 0], found[:, 1], found[:, 2], found[:, 3] = parents, children, kind, values
    return found


def network_of_edges(found: EdgeTokens) -> Network:
    """The network of edge tokens, weights included; `FormatError` says which token breaks the order."""
    return perceptron_of_edges(found).network()


def perceptron_of_edges(found: EdgeTokens) -> Perceptron:
    """The same, not yet built."""
    if not isinstance(found, EdgeTokens):
        raise FormatError(
            f"a {type(found).__name__} is no EdgeTokens, which say of tokens (E, 4) what functions and inputs are; "
            "dataclasses.replace(nl.encode.edges(network), tokens=…) has others"
        )
    tokens = np.asarray(found.tokens, dtype=np.float64)
    if tokens.ndim != 2 or tokens.shape[1] != 4 or len(tokens) < 3 or not np.isfinite(tokens).all():
        raise FormatError(f"edge tokens are finite numbers (E, 4): parent, child, type, weight; here are {tokens.shape}")
    kinds = tokens[:, 2].astype(np.int64)
    if kinds[0] != START or kinds[-1] != STOP or (kinds[1:-1] <= STOP).any() or kinds[1] != LAYER:
        raise FormatError("edge tokens begin with a start and a layer token and end with a stop token; neither comes between")
    borders = [*np.flatnonzero(kinds == LAYER).tolist(), len(tokens) - 1]
    groups: list[Group] = []
    starts: list[int] = []
    for begin, end in zip(borders, borders[1:]):
        size, first = int(tokens[begin, 3]), int(tokens[begin, 1])
        expected = starts[-1] + groups[-1].size if groups else 1
        if size < 1 or first != expected:
            raise FormatError(f"token {begin}: {size} neurons from number {first}; expected one or more, from {expected}")
        groups.append(_read(tokens[begin + 1 : end], begin + 1, size, first, groups, starts, found))
        starts.append(first)
    return Perceptron(tuple(groups), tuple(found.input_shape), found.dtype)


def _read(
    part: NDArray[np.float64], at: int, size: int, first: int, groups: list[Group], starts: list[int], found: EdgeTokens
) -> Group:
    """One group of neurons from its edges."""
    if not groups:
        if len(part) or size != int(np.prod(found.input_shape)):
            raise FormatError(f"the first layer has {size} inputs and {len(part)} edges; samples are {found.input_shape}")
        return Group(INPUT, size)
    kinds = part[:, 2].astype(np.int64)
    body, bias = part[kinds != BIAS], part[kinds == BIAS]
    kind = int(body[0, 2]) if len(body) else -1
    children = first + np.arange(size)
    ways = 2 if kind == SUM else 1
    parents = [_parent(body[i * len(body) // ways], at, groups, starts) for i in range(ways if len(body) else 0)]
    if not parents or (kinds[kinds != BIAS] != kind).any() or kind >= len(TYPES) + len(found.functions):
        raise FormatError(f"token {at}: the edges of a layer are of one type (biases aside), and of one that is known")
    sources = [starts[parent] + np.arange(groups[parent].size) for parent in parents]
    if kind == WEIGHT:
        expected = np.stack([np.tile(sources[0], size), np.repeat(children, len(sources[0]))], 1)
    else:
        fitting = [np.stack([source, children], 1) for source in sources if len(source) == size]
        expected = np.concatenate([np.zeros((0, 2)), *fitting])
    if expected.shape != (len(body), 2) or (body[:, :2] != expected).any():
        raise FormatError(f"token {at}: the edges of the layer at neuron {first} do not join it with layers before, in order")
    dtype = np.dtype(found.dtype)
    if kind == WEIGHT:
        if len(bias) not in (0, size) or (len(bias) and (bias[:, :2] != np.stack([np.zeros(size), children], 1)).any()):
            raise FormatError(f"token {at}: biases are edges from neuron 0, one for each neuron, in order")
        weight = body[:, 3].reshape(size, -1).astype(dtype)
        return Group(LINEAR, size, tuple(parents), weight=weight, bias=bias[:, 3].astype(dtype) if len(bias) else None)
    if kind == SUM:
        return Group(ADD, size, tuple(parents))
    op, attrs = found.functions[kind - len(TYPES)]
    return Group(FUNCTION, size, tuple(parents), op, attrs)


def _parent(edge: NDArray[np.float64], at: int, groups: list[Group], starts: list[int]) -> int:
    """The group that an edge comes from."""
    place = int(np.searchsorted(starts, edge[0], side="right")) - 1
    if place < 0 or not edge[0] < starts[place] + groups[place].size:
        raise FormatError(f"token {at}: there is no neuron {edge[0]:g} before neuron {edge[1]:g}")
    return place


# -- as text -----------------------------------------------------------------------------------------------------------
def edges_to_json(found: EdgeTokens) -> str:
    """The tokens as JSON; weights survive to the bit."""
    functions = [[op, {name: json_values.encode(value) for name, value in attrs}] for op, attrs in found.functions]
    return json.dumps({
        "netloom edges": 1, "tokens": found.tokens.tolist(), "functions": functions,
        "input_shape": list(found.input_shape), "dtype": found.dtype,
    })  # fmt: skip


def edges_from_json(document: str) -> EdgeTokens:
    """Tokens from such a document; `FormatError` for any other."""
    try:
        said = json.loads(document)
        if said["netloom edges"] != 1:
            raise FormatError(f"edge tokens of version {said['netloom edges']!r}; this netloom reads version 1")
        functions = tuple(
            (str(op), tuple((name, json_values.decode(value, "attrs")) for name, value in attrs.items()))
            for op, attrs in said["functions"]
        )
        return EdgeTokens(np.array(said["tokens"], dtype=np.float64), functions, tuple(said["input_shape"]), str(said["dtype"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"these are no edge tokens ({type(error).__name__}: {error})") from None
