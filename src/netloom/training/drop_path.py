"""Drop path: whole residual branches are left out, sample by sample, while a network is trained.

Sources: G. Huang et al., "Deep Networks with Stochastic Depth", 2016; G. Larsson et al., "FractalNet", 2017.

What a branch is follows from the graph alone. At a sum of two values of one shape, each operand is followed back to where it
*forks* off: the calls that are made for it and for nothing else are its own. Then

- an operand that has no calls of its own is a skip connection and stays; the other one is a branch;
- of two operands that fork off at the same values, the one with fewer weighted layers on its shortest way is the skip (a
  projection beside two convolutions); of two that are alike, as in a re-parametrised block, none is a branch;
- two operands that fork off at different values, as in the cells of DARTS, are branches both, dropped independently.

A branch is multiplied by 0 with probability p, else by 1 / (1 − p), for each sample of a batch on its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..errors import TrainingError
from ..graph.graph import Argument, Graph, Step
from ..graph.tree import edges, leaves, weights
from ..ops import DType, Edge, TensorType

if TYPE_CHECKING:
    from torch import Generator, Tensor


@dataclass(frozen=True, slots=True)
class Branch:
    """An operand (``x`` or ``y``) of a sum that may be dropped."""

    sum: str
    operand: str


def branches(graph: Graph) -> tuple[Branch, ...]:
    """The residual branches of a graph, in order.

    >>> import netloom as nl
    >>> x = nl.input(4, 8, 8)
    >>> y = nl.relu(nl.conv2d(x, 4, kernel=3, padding=1))
    >>> branches(nl.Graph(x, nl.add(x, y, name="sum")))
    (Branch(sum='sum', operand='y'),)
    """
    found = []
    roots = _Roots(graph)
    for step in graph.steps:
        for operand in roots.branches_of(step):
            found.append(Branch(step.name, operand))
    return tuple(found)


class _Roots:
    """Where the operands of sums come from."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.position = {step.name: i for i, step in enumerate(graph.steps)}
        self.kept = {edge.node for tree in (graph.result, graph.train_result) for _, edge in leaves(tree) if type(edge) is Edge}
        first = graph.inputs[0].types[0].shape if graph.inputs else ()
        self.batch = first[0] if first else None
        #: The values that have anything to do with an input.
        self.data: set[str] = set()
        for step in graph.steps:
            if step.op == "input" or any(edge.node in self.data for edge in edges(tuple(step.args.values()))):
                self.data.add(step.name)

    def branches_of(self, step: Step) -> list[str]:
        if step.op != "add" or step.args.get("alpha") != 1:
            return []
        x, y = step.args["x"], step.args["y"]
        if type(x) is not Edge or type(y) is not Edge or x == y:
            return []
        kind = self.graph.type_of(x)
        if kind != self.graph.type_of(y) or len(kind.shape) < 2 or kind.shape[0] != self.batch:
            return []
        (own_x, forks_x), (own_y, forks_y) = self._back(x.node, step), self._back(y.node, step)
        if not (self._are_values(forks_x) and self._are_values(forks_y)):
            return []
        if forks_x == forks_y:
            length_x, length_y = self._length(x.node, own_x), self._length(y.node, own_y)
            return [] if length_x == length_y else ["x"] if length_x > length_y else ["y"]
        if not own_x or not own_y:
            return [operand for operand, own in (("x", own_x), ("y", own_y)) if own]
        return ["x", "y"]

    def _back(self, name: str, sum: Step) -> tuple[list[str], frozenset[str]]:
        """The calls made for an operand alone, last first, and the values at which they begin."""
        own: dict[str, None] = {}
        users = self.graph.consumers
        if set(users[name]) != {sum.name} or not self._is_call(name):
            return [], frozenset({name})
        frontier = {name}
        for step in reversed(self.graph.steps[: self.position[name] + 1]):
            if step.name in frontier and self._is_call(step.name) and self._is_own(step.name, name, own):
                own[step.name] = None
                frontier.discard(step.name)
                frontier |= {edge.node for edge in edges(tuple(step.args.values()))}
        return list(own), frozenset(frontier & self.data)

    def _is_own(self, name: str, operand: str, own: dict[str, None]) -> bool:
        return name == operand or all(user in own for user in self.graph.consumers[name])

    def _is_call(self, name: str) -> bool:
        return name not in self.kept and self.graph[name].op != "input"

    def _are_values(self, forks: frozenset[str]) -> bool:
        """Whether these are values of a network, not the token numbers that embeddings are looked up by."""
        return bool(forks) and all(self.graph.types(fork)[0].dtype.startswith(("float", "bfloat")) for fork in forks)

    def _length(self, name: str, own: list[str]) -> tuple[int, int]:
        """Weighted layers, then calls, on the shortest way to an operand from where it forks off."""
        shortest: dict[str, tuple[int, int]] = {}
        for node in reversed(own):
            step = self.graph[node].step
            before = [shortest.get(edge.node, (0, 0)) for edge in edges(tuple(step.args.values()))]
            layers, calls = min(before, default=(0, 0))
            shortest[node] = (layers + self._is_layer(step), calls + 1)
        return shortest.get(name, (0, 0))

    def _is_layer(self, step: Step) -> bool:
        """Whether a call has weights that mix features, as a convolution has and a norm has not."""
        return any(len(self.graph.tensors[weight.key].type.shape) > 1 for weight in weights(tuple(step.args.values())))


def with_drop_path(graph: Graph) -> tuple[Graph, tuple[int, ...]]:
    """The graph with one more argument for every branch, by which that is multiplied; gives the ranks of the arguments too.

    Tensors and names of everything else stay, so that the network of it can hold the weights of the graph's.
    """
    found = branches(graph)
    arguments, ranks = list(graph.arguments), []
    replaced: dict[str, dict[str, Any]] = {}
    inputs: list[Step] = []
    products: dict[str, list[Step]] = {}
    for i, branch in enumerate(found):
        operand = graph[branch.sum].step.args[branch.operand]
        kind = graph.type_of(operand)
        shape = (kind.shape[0], *[1] * (len(kind.shape) - 1))
        keep, product = f"drop_path_keep_{i}", f"drop_path_{i}"
        args = {"dtype": DType(kind.dtype), "shape": shape}
        inputs.append(Step(keep, "input", args))
        arguments.append(Argument(keep, Edge(keep)))
        step = graph[branch.sum].step
        times = replace(step, name=product, op="mul", args={"x": operand, "y": Edge(keep)})
        products.setdefault(branch.sum, []).append(times)
        replaced.setdefault(branch.sum, dict(step.args))[branch.operand] = Edge(product)
        ranks.append(len(shape))
    steps: list[Step] = list(inputs)
    for step in graph.steps:
        steps += products.get(step.name, [])
        steps.append(replace(step, args=replaced[step.name]) if step.name in replaced else step)
    known: dict[str, tuple[TensorType, ...]] = {step.name: graph.types(step.name) for step in graph.steps}
    made = Graph.make(
        steps, graph.tensors, arguments, graph.result, train_result=graph.train_result, symbols=graph.symbols, types=known
    )
    return made, tuple(ranks)


class DropPath:
    """Calls a network with its residual branches dropped at random.

    It works on the tensors of ``network`` (an `nl.Network`); ``probability`` may change from call to call. Raises
    `TrainingError` for a module without a graph.
    """

    def __init__(self, network: Any) -> None:
        from ..building.network import Network, full_state, holding

        if not isinstance(network, Network):
            raise TrainingError(
                f"drop_path needs a network with a graph, not a {type(network).__name__}; train "
                "nl.build(nl.trace(module, example), weights=module) instead"
            )
        graph, self.ranks = with_drop_path(network.graph)
        self.network = network
        if self.ranks:
            state = full_state(network)
            self.network = holding(graph, state, like=network)
            _share(self.network, state)
        self.probability = 0.0

    def __call__(self, x: Tensor, generator: Generator | None = None) -> Any:
        """The network's outputs for a batch (N, …), each branch kept with probability 1 − ``probability`` for each sample."""
        import torch

        if not self.ranks:
            return self.network(x)
        kept = 1 - self.probability
        drawn = torch.rand(len(self.ranks), len(x), generator=generator, device=x.device)
        keep = (drawn < kept).to(self._dtype(x)).div_(kept)
        return self.network(x, *[keep[i].view(-1, *[1] * (rank - 1)) for i, rank in enumerate(self.ranks)])

    @staticmethod
    def _dtype(x: Tensor) -> Any:
        """The dtype of activations, so that a product does not raise their precision."""
        import torch

        kind = x.device.type
        return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype

    def train(self) -> None:
        """Put the network in training mode."""
        self.network.train()


def _share(network: Any, state: dict[str, Any]) -> None:
    """Let a network have the very parameters and buffers of ``state``, so that gradients and new values are common."""
    for key, tensor in state.items():
        path, _, name = key.rpartition(".")
        module = network.get_submodule(path)
        (module._parameters if name in module._parameters else module._buffers)[name] = tensor
