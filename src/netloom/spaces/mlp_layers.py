"""Hidden layers of perceptrons: what they cost in plain integers, their graph, and reading them back from one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import NetloomError, SpaceError
from ..graph.builder import Layer
from ..graph.tree import edges
from ..graph.wiring import live_nodes
from ..ops import Edge, Size, TensorType, Weight, operator
from .sketch import Sketch, call_of

if TYPE_CHECKING:
    from ..graph.graph import Graph, Step

NORMS = (None, "batch", "layer")
_NORM_OPS = {"batch_norm": "batch", "layer_norm": "layer"}
_TESTED = TensorType("float32", (Size.symbol("N"), 8))


class Activation(NamedTuple):
    """An elementwise operator with its attributes, and its number of parameters."""

    op: str
    attrs: tuple[tuple[str, Any], ...] = ()
    num_params: int = 0

    @staticmethod
    def of(given: str | Layer | Activation) -> Activation:
        """From the name of an operator, or ``nl.op.leaky_relu(0.2)``; `SpaceError` for what changes the shape.

        >>> Activation.of("gelu")
        Activation(op='gelu', attrs=(), num_params=0)
        """
        if isinstance(given, Activation):
            return given
        layer = given if isinstance(given, Layer) else None
        op = layer.op if layer is not None else str(given)
        try:
            names = [param.name for param in operator(op).params if param.kind == "attr"]
            attrs = {} if layer is None else dict(zip(names, layer.positional)) | layer.keyword
            shown = tuple(sorted(attrs.items()))
            made = call_of(op, shown, (_TESTED,))
        except (NetloomError, IndexError, TypeError) as error:
            raise SpaceError(f"mlp space: {given!r} is no activation ({error}); expected names such as 'relu'") from None
        if made.outputs != (_TESTED,):
            raise SpaceError(f"mlp space: {given!r} is no activation: it changes the shape; expected names such as 'relu'")
        owned = sum(entry.type.numel for _, entry in made.weights if entry.kind == "parameter")
        return Activation(op, shown, owned)

    def __str__(self) -> str:
        return self.op + (f"({', '.join(f'{k}={v!r}' for k, v in self.attrs)})" if self.attrs else "")


class Hidden(NamedTuple):
    """One hidden layer: linear, norm, activation, dropout; then perhaps the result of an earlier one added to it.

    ``skip`` is the number of the hidden layer, from 0, whose result is added; a linear layer without bias projects it where
    its width is another.
    """

    width: int
    activation: Activation
    bias: bool = True
    norm: str | None = None
    dropout: float = 0.0
    skip: int | None = None


class Cost(NamedTuple):
    """Parameters, and multiply–accumulates of one sample without biases."""

    num_params: int
    macs: int


def cost(features: int, hidden: Sequence[Hidden], outputs: int) -> Cost:
    """The cost of the whole network.

    >>> cost(4, [Hidden(8, Activation.of("relu"))], 2)
    Cost(num_params=58, macs=48)
    """
    widths = [features]
    num_params = macs = 0
    for layer in hidden:
        products = widths[-1] * layer.width
        if layer.skip is not None and widths[layer.skip + 1] != layer.width:
            products += widths[layer.skip + 1] * layer.width
        macs += products
        vectors = layer.bias + 2 * (layer.norm is not None)
        num_params += products + vectors * layer.width + layer.activation.num_params
        widths.append(layer.width)
    last = widths[-1] * outputs
    return Cost(num_params + last + outputs, macs + last)


def network(input_shape: tuple[int, ...], hidden: Iterable[Hidden], outputs: int) -> Graph:
    """The perceptron on samples of ``input_shape``, flattened where they have several axes."""
    sketch = Sketch(input_shape)
    x = sketch.x if len(input_shape) == 1 else sketch.call("flatten", "flatten", sketch.x)
    done: list[tuple[Edge, int]] = []
    for number, layer in enumerate(hidden):
        path = f"hidden.{number}"
        x = sketch.call("linear", f"{path}.linear", x, out=layer.width, bias=layer.bias)
        if layer.norm == "batch":
            x = sketch.call("batch_norm", f"{path}.norm", x)
        elif layer.norm == "layer":
            x = sketch.call("layer_norm", f"{path}.norm", x, normalized_shape=(layer.width,))
        x = sketch.call(layer.activation.op, f"{path}.{layer.activation.op}", x, **dict(layer.activation.attrs))
        if layer.dropout:
            x = sketch.call("dropout", f"{path}.dropout", x, p=layer.dropout)
        if layer.skip is not None:
            source, width = done[layer.skip]
            if width != layer.width:
                source = sketch.call("linear", f"{path}.project", source, out=layer.width, bias=False)
            x = sketch.call("add", f"{path}.add", x, source)
        done.append((x, layer.width))
    return sketch.graph(sketch.call("linear", "head", x, out=outputs))


# -- reading back ------------------------------------------------------------------------------------------------------
def hidden_layers(graph: Graph, activations: Sequence[Activation]) -> list[Hidden] | None:
    """The hidden layers that the graph may be made of, or None; make the network again and compare hashes to be sure."""
    simple = len(graph.arguments) == 1 and type(graph.arguments[0].tree) is Edge and type(graph.result) is Edge
    if not simple or graph.train_result is not None:
        return None
    try:
        return _Reader(graph, activations).read()
    except (LookupError, TypeError, ValueError):  # something else than a perceptron
        return None


class _Reader:
    """Follows a perceptron from its input: a value is read by one linear layer that goes on, and by skip connections."""

    def __init__(self, graph: Graph, activations: Sequence[Activation]) -> None:
        self.graph, self.activations = graph, activations
        live = live_nodes(graph)
        self.steps = {step.name: step for step in graph.steps if step.name in live}
        self.readers: dict[str, list[Step]] = {name: [] for name in self.steps}
        for step in self.steps.values():
            for edge in dict.fromkeys(edges(tuple(step.args.values()))):
                self.readers[edge.node].append(step)

    def read(self) -> list[Hidden]:
        given: Edge = self.graph.arguments[0].tree
        result: Edge = self.graph.result
        value: str = given.node
        if len(self.graph.type_of(given).shape) > 2:
            (flat,) = self.readers[value]
            value = flat.name
        values, found = list[str](), list[Hidden]()
        while True:
            (linear,) = [step for step in self.readers[value] if step.op == "linear" and not self._projects(step, result)]
            if linear.name == result.node:
                return found
            layer, value = self._layer(linear, values)
            values.append(value)
            found.append(layer)

    def _projects(self, step: Step, result: Edge) -> bool:
        return step.name != result.node and [reader.op for reader in self.readers[step.name]] == ["add"]

    def _layer(self, linear: Step, values: list[str]) -> tuple[Hidden, str]:
        (step,) = self.readers[linear.name]
        norm, dropout, skip = _NORM_OPS.get(step.op), 0.0, None
        if norm is not None:
            (step,) = self.readers[step.name]
        activation = [a for a in self.activations if a.op == step.op and _plain(step.args) == self._expected(a, step)][0]
        if [reader.op for reader in self.readers[step.name]] == ["dropout"]:
            (step,) = self.readers[step.name]
            dropout = step.args["p"]
        end, after = step.name, self.readers[step.name]
        # A value without a skip of its own is read by the linear layer that comes next, or the last one.
        if [reader.op for reader in after] == ["add"]:
            (other,) = [e.node for e in edges((after[0].args["x"], after[0].args["y"])) if e.node != step.name]
            source = self.steps[other]
            skip = values.index(other) if other in values else values.index(source.args["x"].node)
            end = after[0].name
        width, bias = linear.args["out"], linear.args["bias"] is not None
        return Hidden(width, activation, bias, norm, dropout, skip), end

    def _expected(self, activation: Activation, step: Step) -> dict[str, Any]:
        types = (self.graph.type_of(step.args["x"]),)
        return _plain(call_of(activation.op, activation.attrs, types).args)


def _plain(args: Any) -> dict[str, Any]:
    return {name: value for name, value in args.items() if not isinstance(value, Edge | Weight)}
