"""`Graph`: an architecture as an immutable, hashable value."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, Any

from ..errors import AttributeValueError, GraphError, ShapeError
from ..ops import Edge, TensorType, Weight, operator
from ..ops.operator import resolve_types
from ..ops.size import Size
from .autocast import type_under
from .node import Node
from .step import Argument as Argument
from .step import Step as Step
from .step import dangling, located
from .step import default_scope as default_scope
from .step import owner_of as owner_of
from .table import TensorEntry
from .tree import edges, same

if TYPE_CHECKING:
    import os
    from pathlib import Path

    import networkx

    from .blocks import Block


class Graph:
    """An architecture: immutable, hashable, without trained weights.

    Built from values of the functional builder,

    >>> import netloom as nl
    >>> x = nl.input(3, 32, 32)
    >>> y = nl.relu(nl.conv2d(x, 16, kernel=3, padding=1, name="stem"))
    >>> graph = nl.Graph(x, nl.linear(nl.flatten(y), 10))
    >>> graph.num_params, graph["stem"].out_size
    (164298, 16)

    or by `nl.trace`, `Graph.from_text`, `Graph.from_json`, or a space's ``sample``. ``inputs`` and ``outputs`` may be
    single values or tuples, lists and dicts of them.
    """

    steps: tuple[Step, ...]
    tensors: Mapping[str, TensorEntry]
    arguments: tuple[Argument, ...]
    result: Any
    train_result: Any
    symbols: Mapping[str, int]
    notes: tuple[str, ...]
    _types: dict[str, tuple[TensorType, ...]]
    _blocks: Block | None = None

    def __new__(cls, inputs: Any, outputs: Any) -> Graph:
        from .builder import assemble

        return assemble(inputs, outputs)

    @classmethod
    def make(
        cls,
        steps: Sequence[Step],
        tensors: Mapping[str, TensorEntry],
        arguments: Sequence[Argument],
        result: Any,
        *,
        train_result: Any = None,
        symbols: Mapping[str, int] | None = None,
        notes: Sequence[str] = (),
        types: Mapping[str, tuple[TensorType, ...]] | None = None,
        alike: Mapping[str, Any] | None = None,
    ) -> Graph:
        """The graph of these parts; `GraphError` where they break an invariant.

        ``types`` gives output types that are known already; the rest are worked out (and every node checked) here.
        ``alike`` may say which steps are the same call but for names: of those with equal marks the first is checked.
        ``train_result`` is the output tree in training mode where it differs. ``symbols`` gives the example size of each
        free symbol; ``notes`` are remarks for people (what tracing could not free or merge).
        """
        graph = object.__new__(cls)
        graph.tensors = MappingProxyType(dict(tensors))
        graph.arguments = tuple(arguments)
        graph.result = result
        graph.train_result = train_result
        graph.symbols = MappingProxyType(dict(symbols or {}))
        graph.notes = tuple(notes)
        graph._types = {}
        graph._settle(steps, dict(types or {}), alike or {})
        return graph

    @classmethod
    def trusted(
        cls,
        steps: Sequence[Step],
        tensors: Mapping[str, TensorEntry],
        arguments: tuple[Argument, ...],
        result: Any,
        types: dict[str, tuple[TensorType, ...]],
        symbols: Mapping[str, int],
        *,
        notes: tuple[str, ...] = (),
        **known: Any,
    ) -> Graph:
        """The graph of parts that fit together already: nothing is checked, and the containers are kept as they are.

        For samplers that make thousands of graphs a second out of calls that their operators have checked. ``types`` are those
        of every step, in order; ``known`` are properties that were worked out on the way (``num_params``, ``flops``).
        """
        graph = object.__new__(cls)
        graph.__dict__.update(
            steps=tuple(steps), tensors=MappingProxyType(tensors), arguments=arguments, result=result, train_result=None,
            symbols=MappingProxyType(symbols), notes=notes, _types=types, **known,
        )  # fmt: skip
        return graph

    def with_tensors(self, tensors: Mapping[str, TensorEntry]) -> Graph:
        """The same calls over another table, whose entries have the same types; nothing is checked."""
        graph = object.__new__(Graph)
        parts = ("steps", "arguments", "result", "train_result", "symbols", "notes", "_types")
        graph.__dict__.update({name: self.__dict__[name] for name in parts}, tensors=MappingProxyType(dict(tensors)))
        return graph

    def _settle(self, steps: Sequence[Step], known: dict[str, tuple[TensorType, ...]], alike: Mapping[str, Any]) -> None:
        types = self._types
        settled: list[Step] = []
        checked: dict[Any, tuple[TensorType, ...]] = {}
        if not steps:
            raise GraphError("the graph is empty; it needs at least one input and one output")

        def type_of(ref: Any) -> TensorType | None:
            if type(ref) is Weight:
                entry = self.tensors.get(ref.key)
                if entry is None:
                    raise GraphError(f"{step.op} {step.name!r} uses the tensor {ref.key!r}, which the table does not have")
                return entry.type
            produced = types.get(ref.node)
            if produced is None:
                raise GraphError(dangling(step, ref, steps, types))
            if not 0 <= ref.index < len(produced):
                raise GraphError(f"{step.op} {step.name!r} uses output {ref.index} of {ref.node!r}, which has {len(produced)}")
            return produced[ref.index]

        for step in steps:
            if step.name in types:
                raise GraphError(f"two nodes are called {step.name!r}; names must differ")
            mark = alike.get(step.name)
            found = known.get(step.name) or checked.get(mark)
            if found is not None:
                types[step.name] = found
                settled.append(step)
                continue
            try:
                made = operator(step.op).evaluate(step.args, type_under(step.autocast, step.op, type_of))
            except (ShapeError, AttributeValueError) as error:
                raise located(error, step) from None
            types[step.name] = made.outputs
            is_normal = same(made.args, step.args)
            settled.append(step if is_normal else replace(step, args=made.args))
            if is_normal and mark is not None:
                checked[mark] = made.outputs
        self.steps = tuple(settled)
        produced = {name: len(outputs) for name, outputs in types.items()}
        for edge in edges([self.result, self.train_result]):
            if edge.index >= produced.get(edge.node, 0):
                raise GraphError(f"the graph returns {edge}, which no node produces")
        if not edges(self.result):
            raise GraphError("the graph returns no tensor; give it at least one output")

    # -- reading ---------------------------------------------------------------------------------------------------
    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes in the order of execution, inputs included."""
        return tuple(Node(self, step) for step in self.steps)

    @cached_property
    def _by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    def __getitem__(self, name: str) -> Node:
        try:
            return self._by_name[name]
        except (KeyError, TypeError):
            near = difflib.get_close_matches(str(name), self._by_name, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise GraphError(f"no node is called {name!r}{hint}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.steps)

    @cached_property
    def inputs(self) -> tuple[Node, ...]:
        """The input nodes, in the order of the arguments."""
        return tuple(self[edge.node] for argument in self.arguments for edge in edges(argument.tree))

    @cached_property
    def outputs(self) -> tuple[Node, ...]:
        """The nodes whose values the network returns, in order."""
        return tuple(self[edge.node] for edge in edges(self.result))

    def type_of(self, ref: Edge | Weight) -> TensorType:
        """dtype and shape of an operand."""
        if isinstance(ref, Weight):
            return self.tensors[ref.key].type
        return self._types[ref.node][ref.index]

    @property
    def all_types(self) -> Mapping[str, tuple[TensorType, ...]]:
        """Node name → dtypes and shapes of all its outputs."""
        return self._types

    def types(self, name: str) -> tuple[TensorType, ...]:
        """dtypes and shapes of all outputs of the node called ``name``."""
        return self._types[name]

    def operands(self, step: Step) -> SimpleNamespace:
        """The arguments of a step as an operator's rules take them: types in place of edges and weights."""
        return SimpleNamespace(**{name: resolve_types(value, self.type_of) for name, value in step.args.items()})

    @cached_property
    def consumers(self) -> Mapping[str, tuple[str, ...]]:
        """Node name → names of the nodes that use one of its outputs, in order, without repeats."""
        users: dict[str, dict[str, None]] = {step.name: {} for step in self.steps}
        for step in self.steps:
            for edge in step.edges:
                users[edge.node][step.name] = None
        return MappingProxyType({name: tuple(found) for name, found in users.items()})

    @cached_property
    def num_params(self) -> int:
        """Number of parameters, as ``sum(p.numel() for p in model.parameters())`` counts them (ties once)."""
        return sum(e.type.numel for e in self.tensors.values() if e.kind == "parameter" and e.alias_of is None)

    @cached_property
    def flops(self) -> int:
        """Floating point operations of one sample: twice the multiply–adds of matrix products and convolutions.

        Counted as ``torch.utils.flop_counter`` does, plus recurrent cells; other free sizes at their example value.
        """
        total: Any = 0
        for step in self.steps:
            if step.mode != "train":
                total = total + operator(step.op).flops(self.operands(step), self._types[step.name])
        return self.at_one_sample(total)

    @cached_property
    def activations(self) -> int:
        """Elements of all intermediate values of one sample."""
        total: Any = 0
        for step in self.steps:
            if step.op not in ("input", "parameter"):
                total = total + sum(t.numel for t in self._types[step.name])
        return self.at_one_sample(total)

    def at_one_sample(self, size: Any) -> int:
        """A size for a batch of one, other free symbols at their example size."""
        if not isinstance(size, Size):
            return int(size)
        return size.at({name: 1 if name == "N" else example for name, example in self.symbols.items()})

    @cached_property
    def hash(self) -> str:
        """``"nl1:…"``: equal exactly when two graphs are the same computation up to node names and order."""
        from .hashing import graph_hash

        return graph_hash(self)

    # -- forms -----------------------------------------------------------------------------------------------------
    def to_text(self) -> str:
        """The readable notation; `Graph.from_text` reads it back."""
        from .text import to_text

        return to_text(self)

    @staticmethod
    def from_text(text: str) -> Graph:
        """The graph written in the notation of `to_text`; `TextError` points at line and column."""
        from .text_reader import from_text

        return from_text(text)

    def to_json(self, **options: Any) -> str:
        """A lossless, versioned JSON document."""
        from .json_form import to_json

        return to_json(self, **options)

    @staticmethod
    def from_json(document: str | bytes | Mapping[str, Any], **options: Any) -> Graph:
        """The graph of a JSON document; `FormatError` says what is wrong with any other."""
        from .json_form import from_json

        return from_json(document, **options)

    def to_python(self, name: str = "Model") -> str:
        """The source of an ``nn.Module`` class called ``name`` that needs torch alone, as an engineer would write it.

        Its state_dict has the keys of this graph, so that the weights of the original load with ``strict=True``; given them
        it computes the same. Modules become classes, equal ones share one with what differs as parameters, and calls in a row
        become loops. `BuildError` names what cannot be written.

        >>> import netloom as nl
        >>> x = nl.input(4)
        >>> print(nl.Graph(x, nl.relu(nl.linear(x, 2, name="fc"))).to_python("Small"))
        import torch.nn.functional as F
        ...
                self.fc = nn.Linear(4, 2)
        ...
                return F.relu(self.fc(x))
        <BLANKLINE>
        """
        from .python.module import to_python

        return to_python(self, name)

    def to_networkx(self) -> networkx.MultiDiGraph:
        """A networkx view: nodes by name with ``op``, ``attrs``, ``shape``; edges with ``argument`` and ``index``."""
        import networkx

        view = networkx.MultiDiGraph()
        for node in self.nodes:
            view.add_node(node.name, op=node.op, attrs=dict(node.attrs), shape=node.shape, dtype=node.dtype)
        for step in self.steps:
            for name, value in step.args.items():
                for position, edge in enumerate(edges(value)):
                    view.add_edge(edge.node, step.name, argument=name, position=position, index=edge.index)
        return view

    def draw(self, path: str | os.PathLike[str], **options: Any) -> Path:
        """A picture of the graph as a file: ``.svg``, ``.png``, or ``.html`` with blocks that open by click.

        Modules and repeats (``×n``) are folded so that it stays legible; lines are labelled with shapes where those change.
        ``direction="right"`` draws from left to right; ``collapse=False`` draws every node; ``depth`` opens that many
        levels of modules; ``theme`` is ``"light"``, ``"dark"`` or ``"auto"`` (the reader's preference; not for PNG);
        ``node_size`` scales boxes and text; ``title`` stands above. `FormatError` for a path that cannot be written.

        >>> import netloom as nl, tempfile
        >>> x = nl.input(3, 32, 32)
        >>> graph = nl.Graph(x, nl.relu(nl.conv2d(x, 16, kernel=3)))
        >>> graph.draw(f"{tempfile.mkdtemp()}/net.svg", direction="right").name
        'net.svg'
        """
        from .drawing.picture import draw

        return draw(self, path, **options)

    def _repr_svg_(self) -> str:
        from .drawing.picture import notebook_svg

        return notebook_svg(self)

    def _repr_html_(self) -> str:
        from .drawing.picture import notebook_html

        return notebook_html(self)

    def subgraph(self, prefix: str) -> Graph:
        """The part whose names lie under a module path, as a graph of its own; values from outside become inputs."""
        from .subgraph import subgraph

        return subgraph(self, prefix)

    def blocks(self) -> Block:
        """The tree of nested repeated blocks, found by structure alone; see `netloom.graph.blocks.Block`.

        >>> import netloom as nl
        >>> x = y = nl.input(8)
        >>> for _ in range(3):
        ...     y = nl.relu(nl.linear(y, 8))
        >>> [(part.kind, part.count) for part in nl.Graph(x, y).blocks().parts]
        [('node', 1), ('repeat', 3)]
        """
        if self._blocks is None:
            from .blocks import find_blocks

            self._blocks = find_blocks(self)
        return self._blocks

    def check(self) -> None:
        """Verify every invariant again from scratch; raises `NetloomError` naming the first that fails."""
        from .checking import check

        check(self)

    # -- being a value ---------------------------------------------------------------------------------------------
    def _key(self) -> tuple[Any, ...]:
        symbols = dict(sorted(self.symbols.items()))
        return (self.steps, dict(self.tensors), self.arguments, self.result, self.train_result, symbols, self.notes)

    def __eq__(self, other: object) -> bool:
        """Equal in every stored detail, names, types of numbers and order of the tensors included.

        For the same computation compare ``hash``.
        """
        return isinstance(other, Graph) and (self is other or same(self._key(), other._key()))

    def __hash__(self) -> int:
        return hash(self.hash)

    def __setattr__(self, name: str, value: Any) -> None:
        if "steps" in self.__dict__ and not name.startswith("_"):
            raise AttributeError(f"a Graph is immutable; make a new one instead of setting {name!r}")
        object.__setattr__(self, name, value)

    def __deepcopy__(self, memo: Any) -> Graph:
        return self

    def __copy__(self) -> Graph:
        return self

    def __reduce__(self) -> Any:
        steps, tensors, symbols = self.steps_as_data(), dict(self.tensors), dict(self.symbols)
        return _remake, (steps, tensors, self.arguments, self.result, self.train_result, symbols, self.notes)

    def steps_as_data(self) -> tuple[tuple[Any, ...], ...]:
        return tuple((s.name, s.op, dict(s.args), s.scope, s.mode, s.grad, s.autocast) for s in self.steps)

    def __str__(self) -> str:
        from .listing import listing

        return listing(self)

    def __repr__(self) -> str:
        ops = sum(step.op != "input" for step in self.steps)
        shapes = " × ".join(f"({', '.join(map(str, node.shape))})" for node in self.inputs)
        return f"<Graph: {ops} nodes, {self.num_params:,} parameters, {shapes}>"


def _remake(steps: Any, tensors: Any, arguments: Any, result: Any, train_result: Any, symbols: Any, notes: Any) -> Graph:
    return Graph.make(
        [Step(*fields) for fields in steps], tensors, arguments, result, train_result=train_result, symbols=symbols, notes=notes
    )
