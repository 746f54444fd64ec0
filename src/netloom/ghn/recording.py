"""The calls of a graph as automatic differentiation records them: what hypernetworks were trained to look at.

A hypernetwork's view was defined on torch's record of a forward pass, where a linear layer is three or four entries and a
batch norm one. The order of its nodes follows from that record, so it is worked out here, from the graph alone, for a batch
of one in evaluation mode; no network is run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..ops import Edge, Slice, Weight
from .primitives import POOL_TYPES, WEIGHT_TYPES, conv_type
from .strides import Strides, contiguous, settled, viewed

if TYPE_CHECKING:
    from ..graph.graph import Graph, Step


@dataclass(slots=True, eq=False)
class Leaf:
    """A parameter in the record: its key, the type of its node, and the step that uses it."""

    key: str
    type: str
    step: str
    #: Weight or bias of a linear layer.
    is_layer: bool = False
    #: Kept as (in, out), as in ``x @ weight``, where layers have (out, in).
    is_turned: bool = False


@dataclass(slots=True, eq=False)
class Call:
    """An entry of the record: what it is, which parameters are its own, and which entries it reads, in torch's order."""

    kind: str
    step: str
    reads: list[Call] = field(default_factory=list)
    leaves: list[Leaf] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Held:
    """A value that depends on parameters alone; ``key`` names the one that has its shape, where there is one."""

    keys: tuple[str, ...]
    shape: tuple[Any, ...]


@dataclass(slots=True)
class Record:
    """All of a graph: the entries that it returns, and which parameters of which steps are no leaf of any."""

    results: list[Call]
    #: (key, step, the call that uses it) of parameters that are used otherwise than by a layer: scales, tokens, slopes.
    loose: list[tuple[str, str, Call | None]]


#: Kind of the entry through which a linear layer's weight comes.
TRANSPOSED = "transposed"
#: Calls that give back their operand, when evaluated.
_NOTHING = frozenset({
    "dropout", "alpha_dropout", "feature_dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout", "positive",
    "resolve_conj",
})  # fmt: skip
_KINDS = {
    "softmax": "softmax", "add": "add", "sub": "other", "mul": "mul", "cat": "cat", "clone": "clone", "mean": "mean",
    "hardswish": "hardswish", "hardsigmoid": "hard", "hardtanh": "hard", "relu6": "hard",
    "scaled_dot_product_attention": "attention",
    "adaptive_avg_pool1d": "adaptive", "adaptive_avg_pool2d": "adaptive", "adaptive_avg_pool3d": "adaptive",
}  # fmt: skip
#: Calls whose result lies in memory as their first operand does.
_LIKE_FIRST = frozenset({"activation", "arithmetic", "elementary", "dropout", "cast", "masking", "parts"})


def record(graph: Graph) -> Record:
    """What torch would record of one evaluation of ``graph``."""
    return _Recorder(graph).run()


class _Recorder:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.values: dict[Edge, Call | Held | None] = {}
        self.strides: dict[Edge, Strides] = {}
        self.loose: list[tuple[str, str, Call | None]] = []
        #: Products with a parameter to which no bias has been added yet.
        self.products: set[str] = set()

    def run(self) -> Record:
        for step in self.graph.steps:
            if step.mode != "train":
                self.step(step)
        from ..graph.tree import edges

        found = [self.values.get(edge) for edge in edges(self.graph.result)]
        return Record([call for call in dict.fromkeys(found) if type(call) is Call], self.loose)

    # -- values ----------------------------------------------------------------------------------------------------
    def shape(self, edge: Edge) -> tuple[int, ...]:
        return tuple(map(self.graph.at_one_sample, self.graph.type_of(edge).shape))

    def value(self, ref: Any) -> Call | Held | None:
        if type(ref) is Weight:
            return Held((ref.key,), self.graph.tensors[ref.key].type.shape) if self.trainable(ref.key) else None
        return self.values.get(ref)

    def trainable(self, key: str) -> bool:
        entry = self.graph.tensors[key]
        return entry.kind == "parameter" and entry.type.dtype.startswith(("float", "bfloat"))

    def step(self, step: Step) -> None:
        op = step.op
        made: Call | Held | None
        if op == "by_mode":
            made = self.value(step.args["eval"])
            self.strides[Edge(step.name)] = self.strides.get(step.args["eval"])
        elif op == "parameter":
            made = self.value(step.args["value"])
        elif op == "detach" or not step.grad:
            made = None
        else:
            made = self.made(step)
        for index in range(len(self.graph.types(step.name))):
            self.values[Edge(step.name, index)] = made

    def made(self, step: Step) -> Call | Held | None:
        operands = [(edge, self.value(edge)) for edge in step.edges]
        reads = [(edge, value) for edge, value in operands if type(value) is Call]
        held = [value for _, value in operands if type(value) is Held]
        own = [weight.key for weight in step.weights if self.trainable(weight.key)]
        if (layer := self.matrix(step)) is not None:
            first, weight, bias = layer
            if bias is None:
                self.products.add(step.name)
            return self.linear(step, first, [call for edge, call in reads if edge == first], weight, bias)  # type: ignore[misc]
        if not own and not reads:
            if not held or any(value is None and self.computed(edge) for edge, value in operands):
                if step.op == "add" and len(held) == 1 and (key := self.position(held[0], Edge(step.name))):
                    return Call("add", step.name, [], [Leaf(key, "pos_enc", step.name)])
                self.note_loose(held, step, None)
                return None
            return Held(tuple(key for value in held for key in value.keys), self.graph.types(step.name)[0].shape)
        if step.op in WEIGHT_TYPES:
            return self.layer(step, held)
        calls = [value for _, value in reads if type(value) is Call]
        return self.call(step, reads, calls, held, own)

    def computed(self, edge: Edge) -> bool:
        """Whether a value without record comes from the input (and not from constants)."""
        return self.graph[edge.node].op not in ("constant", "parameter")

    def note_loose(self, held: list[Held], step: Step, call: Call | None) -> None:
        self.loose += [(key, step.name, call) for value in held for key in value.keys]

    # -- layers ----------------------------------------------------------------------------------------------------
    def layer(self, step: Step, held: list[Held]) -> Call:
        """An operator with a weight (and a bias) of its own, or computed from parameters."""
        keys = {role: self.key(step.args.get(role)) for role in ("weight", "bias")}
        self.note_rest(step, held, keys)
        first = next((v for v in step.args.values() if type(v) is Edge), None)
        reads = [call for call in (self.values.get(e) for e in step.edges) if type(call) is Call]
        kind = conv_type(step.op, step.args.get("groups", 1), step.args.get("dilation", ())) if "conv" in step.op else (
            WEIGHT_TYPES[step.op]
        )  # fmt: skip
        is_linear = step.op == "linear"
        weight = Leaf(keys["weight"], kind, step.name, is_linear) if keys["weight"] else None
        bias = Leaf(keys["bias"], "bias", step.name, is_linear) if keys["bias"] else None
        if step.op == "linear" and weight is not None and first is not None:
            return self.linear(step, first, reads, weight, bias)
        if kind in ("bn", "ln"):
            bias = None
        return Call(step.op, step.name, reads, [leaf for leaf in (weight, bias) if leaf])

    def matrix(self, step: Step) -> tuple[Edge, Leaf, Leaf | None] | None:
        """Of a product with a parameter that is a matrix: what is multiplied, the weight and the bias of what is a layer."""
        if step.op not in ("matmul", "mm", "addmm"):
            return None
        first, second = (step.args[name] for name in (("a", "b") if step.op == "addmm" else ("x", "y")))
        weight = self.value(second)
        known = type(weight) is Held and len(weight.keys) == 1 and len(weight.shape) == 2
        if not known or type(self.value(first)) is Held or not (type(self.value(first)) is Call or self.computed(first)):
            return None
        bias = self.value(step.args["x"]) if step.op == "addmm" else None
        if step.op == "addmm" and not (type(bias) is Held and len(bias.keys) == len(bias.shape) == 1):
            return None
        own = self.graph.tensors[weight.keys[0]].type.shape  # type: ignore[union-attr]
        if weight.shape not in (own, own[::-1]):  # type: ignore[union-attr]
            return None
        turned = weight.shape == own  # type: ignore[union-attr]
        leaf = Leaf(weight.keys[0], WEIGHT_TYPES["linear"], step.name, True, turned)  # type: ignore[union-attr]
        return first, leaf, Leaf(bias.keys[0], "bias", step.name, True) if type(bias) is Held else None

    def key(self, ref: Any) -> str:
        """The parameter behind a weight: its own, or the one of the same shape that it is computed from."""
        value = self.value(ref) if ref is not None else None
        if type(value) is not Held:
            return ""
        return next((key for key in value.keys if self.graph.tensors[key].type.shape == value.shape), "")

    def note_rest(self, step: Step, held: list[Held], keys: dict[str, str]) -> None:
        for value in held:
            self.loose += [(key, step.name, None) for key in value.keys if key not in keys.values()]

    def linear(self, step: Step, first: Edge, reads: list[Call], weight: Leaf, bias: Leaf | None) -> Call:
        """A linear layer: with a bias one fused call, else a product; more than one leading axis is folded around it."""
        folded = self.graph.type_of(first).rank > 2
        if folded:
            copied = self.strides.get(first) is not None
            reads = [self.chain(step, reads, ["clone", "view"] if copied else ["view"])]
        fused = bias is not None and not (folded and self.strides.get(first) is not None)
        # The weight comes through a transpose, after all that leads to the layer's input.
        reads = [*reads, Call(TRANSPOSED, step.name, [], [weight])]
        call = Call("addmm" if fused else "mm", step.name, reads, [bias] if fused and bias else [])
        if folded:
            call = Call("view", step.name, [call])
        return call if fused or bias is None else Call("add_bias", step.name, [call], [bias])

    def chain(self, step: Step, reads: list[Call], kinds: list[str]) -> Call:
        for kind in kinds:
            reads = [Call(kind, step.name, reads)]
        return reads[0] if reads else Call("view", step.name)

    # -- other calls -----------------------------------------------------------------------------------------------
    def call(
        self, step: Step, reads: list[tuple[Edge, Call]], calls: list[Call], held: list[Held], own: list[str]
    ) -> Call:  # fmt: skip
        op, out = step.op, Edge(step.name)
        first = next(iter(step.edges), None)
        if op in _NOTHING or (op == "to" and self.graph.type_of(out) == self.graph.types(step.edges[0].node)[0]):
            self.strides[out] = self.strides.get(step.edges[0])
            return calls[0]
        if first is not None and (kinds := self.moved(step, first, out)) is not None:
            return self.chain(step, calls, kinds) if kinds else calls[0]
        if op in ("matmul", "bmm", "mm", "einsum"):
            return self.product(step, reads)
        if op == "add" and len(calls) == 1 and len(held) == 1 and (key := self.position(held[0], out)):
            return Call("add", step.name, calls, [Leaf(key, "pos_enc", step.name)])
        if op == "add" and len(calls) == 1 and calls[0].step in self.products and (key := self.bias(held, out)):
            self.products.remove(calls[0].step)
            return Call("add_bias", step.name, calls, [Leaf(key, "bias", calls[0].step, True)])
        family = _family(op)
        if family in _LIKE_FIRST and first is not None and self.shape(first) == self.shape(out):
            self.strides[out] = self.strides.get(first)
        kind = POOL_TYPES.get(op, _KINDS.get(op, "other")) if op not in ("adaptive_avg_pool2d",) else "adaptive"
        call = Call(kind, step.name, calls)
        self.note_loose(held, step, call)
        self.loose += [(key, step.name, call) for key in own]
        return call

    def moved(self, step: Step, first: Edge, out: Edge) -> list[str] | None:
        """The entries of a call that only moves data about, and how its result lies in memory; None for other calls."""
        op, before, after = step.op, self.shape(first), self.shape(out)
        old = self.strides.get(first)
        if op in ("reshape", "flatten", "unflatten"):
            if op == "flatten" and before == after:
                self.strides[out] = old
                return []
            return ["view"] if viewed(before, old, after) else ["clone", "view"]
        if op == "contiguous":
            return ["clone"] if old is not None else []
        if op in ("permute", "transpose"):
            now = old or contiguous(before)
            dims = step.args["dims"] if op == "permute" else _swapped(len(before), step.args["dim0"], step.args["dim1"])
            self.strides[out] = settled(after, tuple(now[d] for d in dims))
            return ["permute"]
        if op == "getitem":
            index = step.args["index"]
            entries = index if type(index) is tuple else (index,)
            if before != after:
                self.strides[out] = self.strides.get(first) or contiguous(before) if len(before) == len(after) else None
            return ["slice"] * max(1, sum(entry not in (Slice(), Ellipsis) for entry in entries))
        if op == "split":
            self.split(step, before, old or contiguous(before))
            return ["split"]
        return None

    def split(self, step: Step, before: tuple[int, ...], strides: tuple[int, ...]) -> None:
        for index in range(len(self.graph.types(step.name))):
            part = Edge(step.name, index)
            self.strides[part] = settled(self.shape(part), strides)

    def product(self, step: Step, reads: list[tuple[Edge, Call]]) -> Call:
        """A product of matrices, folded to one of three axes as torch does it."""
        edges = step.edges
        if step.op in ("mm", "bmm"):
            return Call(step.op, step.name, [call for _, call in reads])
        if step.op == "einsum":
            return self.einsum(step, reads)
        ranks = [self.graph.type_of(edge).rank for edge in edges]
        if max(ranks) <= 2:
            return Call("mm", step.name, [call for _, call in reads])
        if min(ranks) <= 2:
            kinds = [["view"] if rank > 2 else [] for rank in ranks]
            product = "mm"
        else:
            kinds = [["expand", "view"] if self.foldable(edge) else ["expand", "clone", "view"] for edge in edges]
            product = "bmm"
        operands = [self.chain(step, [call], kinds[edges.index(edge)]) for edge, call in reads]
        return Call("view", step.name, [Call(product, step.name, operands)])

    def foldable(self, edge: Edge) -> bool:
        shape, strides = self.shape(edge), self.strides.get(edge)
        lead = 1
        for size in shape[:-2]:
            lead *= size
        return viewed(shape, strides, (lead, *shape[-2:]))

    def position(self, held: Held, out: Edge) -> str:
        """The parameter of a position table: one of the shape of the value it is added to, but for the batch; else nothing."""
        shape = self.graph.type_of(out).shape
        is_table = len(held.keys) == 1 and len(held.shape) == len(shape) > 2 and held.shape == (1, *shape[1:])
        return held.keys[0] if is_table and self.graph.tensors[held.keys[0]].type.shape == held.shape else ""

    def bias(self, held: list[Held], out: Edge) -> str:
        """The parameter that is added to a product along its last axis; else nothing."""
        if len(held) != 1 or len(held[0].keys) != 1 or held[0].shape != self.graph.type_of(out).shape[-1:]:
            return ""
        return held[0].keys[0]

    def einsum(self, step: Step, reads: list[tuple[Edge, Call]]) -> Call:
        """Operands get every label as an axis and are put in order before one product; its result is put back."""
        equation = step.args["equation"].replace(" ", "")
        terms = equation.partition("->")[0].split(",")
        labels = len(set("".join(terms)))
        edges = list(step.edges)
        operands = []
        for edge, call in reads:
            own = len(terms[edges.index(edge)]) if len(terms) == len(edges) else labels
            operands.append(self.chain(step, [call], ["unsqueeze"] * (labels - own) + ["permute", "permute", "view"]))
        return self.chain(step, [Call("bmm", step.name, operands)], ["view", "permute", "view"])


def _family(op: str) -> str:
    from ..ops import operator

    return operator(op).family


def _swapped(rank: int, a: int, b: int) -> list[int]:
    dims = list(range(rank))
    dims[a], dims[b] = dims[b], dims[a]
    return dims


def walk(results: list[Call]) -> Iterator[Call]:
    """Every entry once, depth first from the results, an entry before those that it reads."""
    seen: set[int] = set()
    stack = list(reversed(results))
    while stack:
        call = stack.pop()
        if id(call) in seen:
            continue
        seen.add(id(call))
        yield call
        stack += reversed(call.reads)
