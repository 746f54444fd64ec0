"""Random edits as values: what a search draws from.

A *mutation* is a function (edit, rng) → whether something changed. It holds no randomness of its own, so that equal generators
give equal networks, and an edit that the network does not admit leaves it as it was. Those here are frozen dataclasses, to be
put together by `netloom.mutate.combinators`; any function of your own will do as well.

Most act on *vertices*: nodes that own weights, and merges. Inputs and outputs of the network stay. The mutations are those of
NaiveGAflux.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil, copysign
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import EditError, NetloomError
from ..graph.builder import Layer, Value
from ..graph.graph import Graph
from ..graph.node import Node
from ..graph.tree import edges
from ..ops import Edge, Weight, operator
from .atoms import atoms_of
from .editing import Edit
from .handles import feature_axis
from .rewiring import readers
from .samplers import AnyLayer, Sampler, drawn

if TYPE_CHECKING:
    import numpy as np

#: Nodes that join several values of one kind.
MERGES = ("add", "cat")
_ACTIVATIONS = ("relu", "leaky_relu", "elu", "gelu", "silu", "mish", "hardswish", "tanh")
#: What `Activation` takes for one: elementwise, and not a gate.
_ACTIVATION_LIKE = frozenset({*_ACTIVATIONS, "relu6", "celu", "selu", "softplus", "softsign", "hardtanh", "rrelu"})
_CONVOLUTIONS = ("conv1d", "conv2d", "conv3d")


# -- which nodes ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Where:
    """What a mutation may choose: nodes that all ``rules`` admit for it; a rule is a function (node, mutation) → bool."""

    rules: tuple[Callable[[Node, Mutation], bool], ...] = ()

    def allows(self, node: Node, mutation: Mutation) -> bool:
        return all(rule(node, mutation) for rule in self.rules)

    def but(self, rule: Callable[[Node, Mutation], bool]) -> Where:
        """These nodes as far as the rule admits them too."""
        return Where((*self.rules, rule))


EVERYWHERE = Where()


def is_vertex(node: Node) -> bool:
    """Whether a node owns weights or merges values, and is neither an input nor an output of its graph.

    >>> import netloom as nl
    >>> x = nl.input(4)
    >>> graph = nl.Graph(x, nl.linear(nl.relu(nl.linear(x, 8, name="hidden")), 2))
    >>> [node.name for node in graph if is_vertex(node)]
    ['hidden']
    """
    own = bool(node.weights) and operator(node.op).family != "source"
    return (own or is_merge(node)) and not is_output(node)


def is_merge(node: Node) -> bool:
    """Whether a node is a sum or a concatenation of several values."""
    return node.op in MERGES and len(node.operands) > 1


def is_output(node: Node) -> bool:
    return any(edge.node == node.name for edge in edges([node.graph.result, node.graph.train_result]))


def attempt(edit: Edit, change: Callable[[], object]) -> bool:
    """Whether ``change`` of an edit went well and changed something; else the edit is as it was."""
    before = len(edit.plan.stages)
    try:
        with edit:  # settles what was asked for, or forgets it
            change()
    except NetloomError:
        while len(edit.plan.stages) > before:
            edit.undo()
    return len(edit.plan.stages) > before


def shuffled(names: Sequence[str], rng: np.random.Generator) -> list[str]:
    return [names[int(i)] for i in rng.permutation(len(names))]


# -- what all have in common ---------------------------------------------------------------------------------------------
class Mutation(ABC):
    """A random edit: ``mutation(edit, rng)`` performs it, and says whether something changed."""

    __slots__ = ()

    def __call__(self, edit: Edit, rng: np.random.Generator) -> bool:
        return self.run(edit, rng, EVERYWHERE)

    @abstractmethod
    def run(self, edit: Edit, rng: np.random.Generator, where: Where) -> bool:
        """Perform it at nodes that may be chosen."""


class NodeMutation(Mutation):
    """A mutation of single nodes: of each that suits with its ``probability``; of one, drawn evenly, where that is None."""

    __slots__ = ()
    probability: float | None
    #: At how many nodes it is tried, where it shall change one, before it gives up.
    TRIES: ClassVar[int] = 16

    @abstractmethod
    def suits(self, edit: Edit, node: Node) -> bool:
        """Whether it could change a node."""

    @abstractmethod
    def change(self, edit: Edit, rng: np.random.Generator, name: str) -> None:
        """Change a node; `NetloomError` where that is not possible."""

    def candidates(self, edit: Edit, where: Where = EVERYWHERE) -> tuple[str, ...]:
        """The nodes that it may choose, in order."""
        return tuple(node.name for node in edit.graph if self.suits(edit, node) and where.allows(node, self))

    def at(self, edit: Edit, rng: np.random.Generator, *names: str, where: Where = EVERYWHERE) -> bool:
        """Perform it at these nodes, whatever its probability; those that go in between are left out.

        ``where`` says which other nodes may take part (the targets of an edge).
        """
        for name in names:
            edit.graph[name]  # an unknown name is an error, not a change that failed
        found = [
            attempt(edit, lambda name=name: self.change(edit, rng, name))  # type: ignore[misc]
            for name in names if name in edit.graph
        ]  # fmt: skip
        return any(found)

    def run(self, edit: Edit, rng: np.random.Generator, where: Where) -> bool:
        names = self.candidates(edit, where)
        if self.probability is None:
            return any(self.at(edit, rng, name, where=where) for name in shuffled(names, rng)[: self.TRIES])
        chosen = [name for name in names if rng.random() < self.probability]
        return self.at(edit, rng, *chosen, where=where)


def checked_chance(owner: object, **chances: float | None) -> None:
    """`EditError` for what is no probability."""
    for word, chance in chances.items():
        if chance is not None and not 0 <= chance <= 1:
            raise EditError(f"{type(owner).__name__}: {word} = {chance!r}; expected a probability between 0 and 1")


# -- sizes ---------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Resize(NodeMutation):
    """Layers grow or shrink by a share drawn evenly from [low, high], rounded away from zero; those with one axis count once.

    All layers of one mutation are one wish: the nearest sizes at which everything aligns. A layer that would vanish stays.

    >>> import netloom as nl, numpy as np
    >>> x = nl.input(4)
    >>> edit = nl.edit(nl.Graph(x, nl.linear(nl.relu(nl.linear(x, 11, name="hidden")), 2)))
    >>> Resize(0.1, 0.1, probability=1)(edit, np.random.default_rng(0)), edit.graph["hidden"].out_size
    (True, 13)
    """

    low: float = -0.2
    high: float = 0.2
    probability: float | None = 0.05

    def __post_init__(self) -> None:
        checked_chance(self, probability=self.probability)

    def suits(self, edit: Edit, node: Node) -> bool:
        if not is_vertex(node):
            return False
        dims = edit.dims()
        return any(not dims[atom].frozen for atom in atoms_of(feature_axis(dims, node.name)))

    def candidates(self, edit: Edit, where: Where = EVERYWHERE) -> tuple[str, ...]:
        first: dict[Any, str] = {}
        for name in NodeMutation.candidates(self, edit, where):
            first.setdefault(feature_axis(edit.dims(), name), name)
        return tuple(first.values())

    def at(self, edit: Edit, rng: np.random.Generator, *names: str, where: Where = EVERYWHERE) -> bool:
        wishes = {name: self._drawn(edit.graph[name].out_size, rng) for name in names}
        return attempt(edit, lambda: edit.resize(out={name: n for name, n in wishes.items() if n}, relax=True))

    def change(self, edit: Edit, rng: np.random.Generator, name: str) -> None:
        self.at(edit, rng, name)

    def _drawn(self, size: int, rng: np.random.Generator) -> int:
        share = self.low + (self.high - self.low) * float(rng.random())
        # What is a whole number but for rounding errors is one: 0.07 · 100.
        change = int(copysign(ceil(abs(share) * size - 1e-9), share))
        return change if size + change > 0 else 0


# -- layers --------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class AddNode(NodeMutation):
    """Layers come between a node and what reads it: those that ``sampler`` makes of its value.

    ``init="identity"`` makes them change nothing where that is possible, ``"fresh"`` starts them at random. ``readers`` is the
    chance of every reader to read them, but one always does; the others go on reading the node.
    """

    sampler: Sampler = field(default_factory=AnyLayer)
    probability: float | None = None
    init: str = "identity"
    readers: float = 1.0

    def __post_init__(self) -> None:
        checked_chance(self, probability=self.probability, readers=self.readers)

    def suits(self, edit: Edit, node: Node) -> bool:
        return is_vertex(node) and node.dtype.startswith("float") and bool(readers(edit.graph, Edge(node.name)))

    def change(self, edit: Edit, rng: np.random.Generator, name: str) -> None:
        edit.insert_after(name, _made_by(self.sampler, rng), only=self._some(edit.graph, name, rng), init=self.init)

    def _some(self, graph: Graph, name: str, rng: np.random.Generator) -> list[str] | None:
        if self.readers == 1:
            return None
        reads = readers(graph, Edge(name))
        return [reader for reader in reads if rng.random() < self.readers] or [drawn(reads, rng)]


@dataclass(frozen=True, slots=True)
class RemoveNode(NodeMutation):
    """A layer goes; what read it reads what it read. ``align`` says how their sizes are made to agree, see `Edit.remove`."""

    probability: float | None = None
    align: tuple[str, ...] = ("grow", "shrink", "both")

    def __post_init__(self) -> None:
        checked_chance(self, probability=self.probability)

    def suits(self, edit: Edit, node: Node) -> bool:
        return is_vertex(node) and not is_merge(node)

    def change(self, edit: Edit, rng: np.random.Generator, name: str) -> None:
        edit.remove(name, align=self.align)


@dataclass(frozen=True, slots=True)
class Replace(NodeMutation):
    """Layers that ``sampler`` makes come in the place of a layer, with fresh weights."""

    sampler: Sampler = field(default_factory=AnyLayer)
    probability: float | None = None

    def __post_init__(self) -> None:
        checked_chance(self, probability=self.probability)

    def suits(self, edit: Edit, node: Node) -> bool:
        return is_vertex(node) and not is_merge(node)

    def change(self, edit: Edit, rng: np.random.Generator, name: str) -> None:
        edit.replace(name, _made_by(self.sampler, rng))


def _made_by(sampler: Sampler, rng: np.random.Generator) -> Callable[[Value], Value]:
    return lambda value: sampler(value, rng)


# -- attributes ----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Kernel(NodeMutation):
    """A convolution gets another kernel, with the padding that keeps the size of its result.

    The change is drawn from ``range(low, high + 1, step)`` and added on every axis, or the kernel is one of ``sizes``; it stays
    between 1 and ``largest`` (a number, or one for each axis). Steps of two keep odd kernels odd: between odd and even ones
    the padding differs from side to side, and becomes a node of its own.
    """

    low: int = -2
    high: int = 2
    step: int = 2
    sizes: tuple[int | tuple[int, ...], ...] | None = None
    largest: int | tuple[int, ...] | None = None
    probability: float | None = None

    def __post_init__(self) -> None:
        checked_chance(self, probability=self.probability)
        if self.step < 1 or self.low > self.high:
            raise EditError(f"Kernel: changes from {self.low} to {self.high} in steps of {self.step}; expected some")

    def suits(self, edit: Edit, node: Node) -> bool:
        return node.op in _CONVOLUTIONS and isinstance(node.step.args["weight"], Weight) and not is_output(node)

    def change(self, edit: Edit, rng: np.random.Generator, name: str) -> None:
        node = edit.graph[name]
        old = tuple(edit.graph.tensors[node.weights["weight"]].type.shape[2:])
        options = [kernel for kernel in self._options(old) if kernel != old]
        if not options:
            raise EditError(f"the kernel of {name!r} is {old}; there is no other to choose")
        edit.change(name, kernel=drawn(options, rng))

    def _options(self, old: tuple[int, ...]) -> Iterable[tuple[int, ...]]:
        rank = len(old)
        largest = self._largest(rank)
        if self.sizes is not None:
            given = [(size,) * rank if isinstance(size, int) else tuple(size) for size in self.sizes]
            return [kernel for kernel in given if len(kernel) == rank and all(k <= most for k, most in zip(kernel, largest))]
        changes = [change for change in range(self.low, self.high + 1, self.step) if change]
        return [tuple(int(min(max(k + change, 1), most)) for k, most in zip(old, largest)) for change in changes]

    def _largest(self, rank: int) -> tuple[float, ...]:
        if self.largest is None:
            return (float("inf"),) * rank
        found = (self.largest,) * rank if isinstance(self.largest, int) else tuple(self.largest)
        if len(found) != rank:
            raise EditError(f"Kernel: largest = {self.largest!r} for a kernel of {rank} axes; give one number for each")
        return found


@dataclass(frozen=True, slots=True)
class Activation(NodeMutation):
    """An activation becomes another one of ``choices``; gates (a sigmoid) stay."""

    choices: tuple[str, ...] = _ACTIVATIONS
    probability: float | None = None

    def __post_init__(self) -> None:
        checked_chance(self, probability=self.probability)
        for name in self.choices:
            operator(name)

    def suits(self, edit: Edit, node: Node) -> bool:
        return node.op in _ACTIVATION_LIKE and not is_output(node)

    def change(self, edit: Edit, rng: np.random.Generator, name: str) -> None:
        others = [choice for choice in self.choices if choice != edit.graph[name].op]
        if not others:
            raise EditError(f"Activation: choices = {self.choices}; there is none but that of {name!r}")
        edit.replace(name, Layer(drawn(others, rng), (), {}))


@dataclass(frozen=True, slots=True)
class Pooling(NodeMutation):
    """A pool of the average becomes one of the maximum over the same windows, and the other way round."""

    probability: float | None = None

    def __post_init__(self) -> None:
        checked_chance(self, probability=self.probability)

    def suits(self, edit: Edit, node: Node) -> bool:
        return ("max_pool" in node.op or "avg_pool" in node.op) and len(node.types) == 1 and not is_output(node)

    def change(self, edit: Edit, rng: np.random.Generator, name: str) -> None:
        node = edit.graph[name]
        other = node.op.replace("max_", "avg_") if "max_" in node.op else node.op.replace("avg_", "max_")
        known = operator(other).by_name
        edit.replace(name, Layer(other, (), {word: value for word, value in node.attrs.items() if word in known}))


# -- in one call ---------------------------------------------------------------------------------------------------------
def mutated(
    model: Any, mutation: Callable[[Edit, np.random.Generator], bool], rng: Any = None, example_inputs: Any = None,
    **options: Any,
) -> Edit:  # fmt: skip
    """The `Edit` of a model or a Graph by a mutation: read its ``result`` or ``graph``, and its ``plan``.

    ``rng`` is a generator or a seed; it also gives the seed of new weights. ``options`` are those of `edit`: ``value``, ``new``
    and so on. Where the mutation changed nothing, ``plan.stages`` is empty.

    >>> import netloom as nl
    >>> x = nl.input(4)
    >>> graph = nl.Graph(x, nl.linear(nl.relu(nl.linear(x, 8, name="hidden")), 2))
    >>> mutated(graph, Resize(0.5, 0.5, probability=1), rng=0).graph["hidden"].out_size
    12
    """
    import numpy as np

    generator = np.random.default_rng(rng) if rng is None or isinstance(rng, int) else rng
    options.setdefault("seed", int(generator.integers(2**31)))
    edit = Edit(model, example_inputs, **options)
    mutation(edit, generator)
    return edit
