"""The forward function of a network, as Python source.

One line per node, grouped where a block of calls is made in one mode only or without gradients. Only identifiers made here and
the `repr` of plain values reach the source; names from the graph appear as string literals.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

from ..errors import BuildError
from ..graph.foreign import KEY
from ..graph.graph import Graph, Step
from ..graph.modes import deciding
from ..graph.tree import edges
from ..ops import MODULE, Edge, Operator, Size, Weight, operator
from ..ops.code import argument_sources, expression, literal

_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
_RESERVED = {"self", "torch", "F", "device"}


class Source:
    """The source in the making: ``lines``, and what its globals must hold (``functions`` by target, ``classes`` by name)."""

    def __init__(self, graph: Graph, special: Callable[[str], bool]) -> None:
        self.graph, self.special = graph, special
        self.lines: list[str] = []
        self.indent = 1
        self.variables: dict[Edge, str] = {}
        self.modules: dict[str, str] = {"": "self"}
        self.symbols: dict[str, str] = {}
        self.types: dict[str, SimpleNamespace] = {}
        self.functions: dict[str, str] = {}
        self.classes: dict[str, str] = {}
        self.device = ""
        self.origins: dict[int, tuple[str, str]] = {}
        self.last = self._last_uses()
        self.readers = self._count_readers()
        self.deciding = deciding(graph)

    def text(self) -> str:
        """The whole function."""
        parameters = self._parameters()
        self._unpack(parameters)
        self._refuse_other_batches()
        self._symbols()
        if self._needs_device():
            self.line(f"device = {self.device}")
        steps = [step for step in self.graph.steps if step.op != "input"]
        for path in dict.fromkeys(path for step in steps for path in self._paths(step)):
            self._module(path)
        for i, step in enumerate(steps):
            self._open_blocks(step, steps[i - 1] if i else None)
            self._step(step)
        self.indent = 1
        self._result()
        signature = ", ".join(
            ["self", *(p.name if p.default is None else f"{p.name}={p.default}" for p in parameters)]
        )
        return f"def forward({signature}):\n" + "\n".join(self.lines) + "\n"

    def line(self, text: str) -> None:
        self.lines.append("    " * self.indent + text)

    # -- arguments -------------------------------------------------------------------------------------------------
    def _parameters(self) -> list[SimpleNamespace]:
        found: list[SimpleNamespace] = []
        names: set[str] = set()
        for i, argument in enumerate(self.graph.arguments):
            name = argument.name
            if not _IDENTIFIER.match(name) or keyword.iskeyword(name) or name in _RESERVED or name in names:
                name = f"arg_{i}"
            while name in names:
                name += "_"
            names.add(name)
            default = None if edges(argument.tree) else literal(_frozen(argument.tree), self._name)
            found.append(SimpleNamespace(name=name, default=default, tree=argument.tree))
        for i, parameter in enumerate(found):
            if any(later.default is None for later in found[i + 1 :]):
                parameter.default = None
        return found

    def _unpack(self, parameters: list[SimpleNamespace]) -> None:
        for parameter in parameters:
            if edges(parameter.tree):
                self._unpack_tree(parameter.tree, parameter.name)

    def _refuse_other_batches(self) -> None:
        """A graph holds numbers that follow from the batch it was made for: at one that does not fit results would be wrong."""
        inputs = [node for node in self.graph.inputs if node.shape]
        if inputs and not any(isinstance(node.shape[0], Size) for node in inputs):
            variable, size = self.variables[Edge(inputs[0].name)], inputs[0].shape[0]
            self.line(f"if {variable}.shape[0] != {size}: _refuse_batch({variable}, {size})")
        for node in inputs:
            size = node.shape[0]
            if isinstance(size, Size) and len(size.terms) == 1 and len(size.symbols) == 1:
                factor = size.at(dict.fromkeys(size.symbols, 1))
                if factor > 1:
                    given = self.variables[Edge(node.name)]
                    self.line(f"if {given}.shape[0] % {factor}: _refuse_batch({given}, {factor}, ' times a whole number')")
                    return

    def _needs_device(self) -> bool:
        """Whether any call makes a tensor from nothing: it is made where the first input lies."""
        return any(step.op != "opaque" and "{device}" in self._template(step) for step in self.graph.steps)

    def _template(self, step: Step) -> str:
        kind = operator(step.op)
        return kind.code if type(kind).template is Operator.template else kind.template(self._types(step))

    def _types(self, step: Step) -> SimpleNamespace:
        if step.name not in self.types:
            self.types[step.name] = self.graph.operands(step)
        return self.types[step.name]

    def _unpack_tree(self, tree: Any, source: str) -> None:
        if type(tree) is Edge:
            self.variables[tree] = f"v{len(self.variables)}"
            self.line(f"{self.variables[tree]} = {source}")
            if not self.device:
                self.device = f"{self.variables[tree]}.device"
        elif type(tree) in (tuple, list):
            for i, child in enumerate(tree):
                self._unpack_tree(child, f"{source}[{i}]")
        elif type(tree) is dict:
            for key, child in tree.items():
                self._unpack_tree(child, f"{source}[{key!r}]")

    def _symbols(self) -> None:
        """Variables for the free sizes that calls use, read off the inputs' shapes."""
        used: set[str] = set()
        for step in self.graph.steps:
            if step.op != "input":
                _note_symbols(step.args.values(), used)
        _note_symbols(_flat(self.graph.result), used)
        for node in self.graph.inputs:
            variable = self.variables[Edge(node.name)]
            for axis, size in enumerate(node.shape):
                if not isinstance(size, Size) or len(size.symbols) != 1 or len(size.terms) != 1:
                    continue
                (symbol,) = size.symbols
                if symbol in used and symbol not in self.symbols:
                    self.symbols[symbol] = f"n{len(self.symbols)}"
                    factor = size.at({symbol: 1})
                    self.line(f"{self.symbols[symbol]} = {variable}.shape[{axis}]" + (f" // {factor}" if factor != 1 else ""))
        missing = used - set(self.symbols)
        if missing:
            raise BuildError(f"no input's shape gives the free size {sorted(missing)[0]!r}; declare an axis with it")

    # -- modules ---------------------------------------------------------------------------------------------------
    def _paths(self, step: Step) -> list[str]:
        """The modules that a step needs: owners of its weights, and of its training flag."""
        paths = [weight.key.rpartition(".")[0] for weight in step.weights]
        if step.args.get("training") == MODULE:
            paths.append(step.scope)
        return [*paths, *self.deciding.get(step.name, ())]

    def _module(self, path: str) -> str:
        found = self.modules.get(path)
        if found is None:
            parent, _, name = path.rpartition(".")
            source = self._module(parent)
            found = self.modules[path] = f"m{len(self.modules)}"
            self.line(f"{found} = {self._member(source, name, '_modules')}")
        return found

    def _member(self, owner: str, name: str, registry: str) -> str:
        if self.special(name):
            return f"{owner}.{registry}[{name!r}]"
        return f"getattr({owner}, {name!r})"

    # -- steps -----------------------------------------------------------------------------------------------------
    def _open_blocks(self, step: Step, before: Step | None) -> None:
        flags = self.deciding.get(step.name, ())
        key = (step.mode, flags, step.grad, step.autocast)
        previous = None
        if before is not None:
            previous = (before.mode, self.deciding.get(before.name, ()), before.grad, before.autocast)
        if key == previous:
            return
        self.indent = 1
        if step.mode:
            word = "" if step.mode == "train" else "not "
            self.line(f"if {' or '.join(f'{word}{self.modules[path]}.training' for path in flags)}:")
            self.indent += 1
        if step.grad is not True:
            self.line(f"with torch.{'enable_grad' if step.grad else 'no_grad'}():")
            self.indent += 1
        if step.autocast:
            device, _, dtype = step.autocast.partition(":")
            if device not in ("cpu", "cuda") or dtype not in ("bfloat16", "float16"):
                raise BuildError(
                    f"node {step.name!r}: autocast {step.autocast!r} is none that netloom knows, such as 'cpu:bfloat16'"
                )
            self.line(f"with torch.autocast({device!r}, dtype=torch.{dtype}):")
            self.indent += 1

    def _step(self, step: Step) -> None:
        kind = operator(step.op)
        outputs = self.graph.types(step.name)
        targets = []
        for index in range(len(outputs)):
            variable = f"v{len(self.variables)}"
            self.variables[Edge(step.name, index)] = variable
            targets.append(variable)
        if step.op == "opaque":
            source = self._opaque(step)
            statements: list[str] = []
        else:
            statements, source = self._expression(step, kind)
        for statement in statements:
            self.line(statement)
        if kind.unpack:
            target = kind.unpack.format(*targets)
        else:
            target = ", ".join(targets) + ("," if len(targets) == 1 and _gives_tuple(kind, step) else "")
        dead = self._dead_after(step)
        for back in range(len(statements) + 1):
            self.origins[len(self.lines) + 2 - back] = (step.name, step.scope)
        self.line(f"{target} = {source}" + (f"; {' = '.join(dead)} = None" if dead else ""))

    def _expression(self, step: Step, kind: Operator) -> tuple[list[str], str]:
        flag = f"{self.modules[step.scope]}.training" if step.args.get("training") == MODULE else "False"
        sources = argument_sources(dict(step.args), kind, self._name, flag)
        sources["device"] = "device"
        types = self._types(step)
        if kind.inplace and self._may_write(step, types):
            return [], kind.inplace.format(**sources)
        return expression(kind, types, sources)

    def _may_write(self, step: Step, types: Any) -> bool:
        """Whether the call may overwrite its first operand: nobody else reads it, and no backward pass needs it."""
        first = next((v for v in step.args.values() if type(v) is Edge), None)
        if first is None or step.mode or self.readers.get(first, 0) != 1:
            return False
        producer = self.graph[first.node].step
        if operator(producer.op).saves_output or producer.mode or not producer.grad or not step.grad:
            return False
        if producer.autocast or step.autocast:
            return False
        return self.graph.type_of(first) == self.graph.types(step.name)[0] and operator(step.op).inplace_when(types)

    def _opaque(self, step: Step) -> str:
        target = step.args["target"]
        function = self.functions.setdefault(target, f"f{len(self.functions)}")
        args = [literal(v, self._name) for v in step.args["args"]]
        for name, value in step.args["kwargs"]:
            if not _IDENTIFIER.match(name) or keyword.iskeyword(name):
                raise BuildError(f"opaque {step.name!r}: {name!r} is no name for a keyword argument")
            args.append(f"{name}={literal(value, self._name)}")
        call = f"{function}({', '.join(args)})"
        return call if len(self.graph.types(step.name)) == 1 else f"_tensors({call})"

    def _name(self, ref: Any) -> str:
        if type(ref) is Edge:
            return self.variables[ref]
        if type(ref) is Weight:
            path, _, name = ref.key.rpartition(".")
            entry = self.graph.tensors[ref.key]
            return self._member(self.modules[path], name, "_buffers" if entry.kind == "buffer" else "_parameters")
        return self.symbols[ref]

    # -- the end ---------------------------------------------------------------------------------------------------
    def _result(self) -> None:
        if self.graph.train_result is not None:
            self.line("if self.training:")
            self.lines.append("        return " + self._tree(self.graph.train_result))
        self.line("return " + self._tree(self.graph.result))

    def _tree(self, tree: Any) -> str:
        if type(tree) is tuple:
            return f"({', '.join(map(self._tree, tree))}{',' if len(tree) == 1 else ''})"
        if type(tree) is list:
            return f"[{', '.join(map(self._tree, tree))}]"
        if type(tree) is dict:
            body = "{" + ", ".join(f"{k!r}: {self._tree(v)}" for k, v in tree.items() if k != KEY) + "}"
            if KEY in tree:
                return f"{self.classes.setdefault(tree[KEY], f'c{len(self.classes)}')}({body})"
            return body
        return literal(tree, self._name)

    def _last_uses(self) -> dict[Edge, str | None]:
        """The step that reads a value last; None for what the network returns."""
        last: dict[Edge, str | None] = {}
        for step in self.graph.steps:
            for edge in step.edges:
                last[edge] = step.name
        for edge in edges([self.graph.result, self.graph.train_result]):
            last[edge] = None
        return last

    def _count_readers(self) -> dict[Edge, int]:
        counts: dict[Edge, int] = {}
        for step in self.graph.steps:
            for edge in step.edges:
                counts[edge] = counts.get(edge, 0) + 1
        for edge in edges([self.graph.result, self.graph.train_result]):
            counts[edge] = counts.get(edge, 0) + 1
        return counts

    def _dead_after(self, step: Step) -> list[str]:
        """Variables that nothing reads after this step, so that their memory can go."""
        if step.mode:
            return []
        dead = [e for e in dict.fromkeys(step.edges) if self.last[e] == step.name]
        unread = [e for e in (Edge(step.name, i) for i in range(len(self.graph.types(step.name)))) if e not in self.last]
        return [self.variables[edge] for edge in (*dead, *unread) if edge in self.variables]


def _gives_tuple(kind: Operator, step: Step) -> bool:
    """Whether the torch call returns a tuple even where it holds one tensor."""
    return kind.family != "opaque" and bool(getattr(kind, "always_tuple", False))


def _note_symbols(values: Iterable[Any], found: set[str]) -> None:
    """Note the free symbols in these values, however nested."""
    for value in values:
        if isinstance(value, Size):
            found |= value.symbols
        elif isinstance(value, tuple | list):
            _note_symbols(value, found)


def _flat(tree: Any) -> list[Any]:
    if isinstance(tree, tuple | list):
        return [leaf for part in tree for leaf in _flat(part)]
    if isinstance(tree, dict):
        return [leaf for part in tree.values() for leaf in _flat(part)]
    return [tree]


def _frozen(tree: Any) -> Any:
    return tuple(tree) if isinstance(tree, list) else tree
