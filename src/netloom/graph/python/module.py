"""`to_python`: a graph as the source of a module that needs torch alone."""

from __future__ import annotations

import re
from typing import Any

from ...errors import BuildError
from ...ops import Edge, Size
from ..foreign import KEY, class_named
from ..graph import Graph
from ..table import TensorEntry
from ..tree import edges
from .borders import Call, Program, under
from .calls import program
from .classes import Shared, finished, settle, share
from .constants import READER, definitions
from .formatting import WIDTH, layout
from .instances import Instance, Members, forward, instance, result_edges
from .literals import constant, is_installed
from .members import module_source, weight_source
from .naming import OWN_NAMES, argument_name, is_identifier, member
from .slots import Slots

_SETITEM = '''\
def setitem(x, index, value):
    """A copy of x in which ``x[index] = value``."""
    x = x.clone()
    x[index] = value
    return x
'''
_TENSORS = '''\
def tensors(result):
    """The tensors of a nested result, in order."""
    if isinstance(result, Tensor):
        return (result,)
    if isinstance(result, (tuple, list)):
        return tuple(leaf for part in result for leaf in tensors(part))
    return ()
'''


def to_python(graph: Graph, name: str = "Model") -> str:
    """The source of an nn.Module class called ``name``; see `Graph.to_python`."""
    if not is_identifier(name) or name in OWN_NAMES:
        raise BuildError(f"name {name!r}: expected a Python identifier for the class, such as 'Model'")
    made = program(graph)
    made.globals |= _imported(graph) | {_short(key) for key in _foreign_names([graph.result, graph.train_result])}
    if name in made.globals:
        raise BuildError(f"name {name!r}: the graph calls or returns something of that name; choose another")
    classes = _classes(made, name)
    root = _Root(made, classes, name)
    return root.source()


def _classes(made: Program, name: str) -> dict[str, Shared]:
    """Path → its class, for all modules with a forward of their own; those that hold no other such module first."""
    paths = [p for p, calls in made.calls.items() if not calls[0].layer and p not in made.sequential]
    heights: dict[str, int] = {}
    for path in sorted(paths, key=lambda p: -p.count(".")):
        inner = [heights[p] for p in paths if p.startswith(path + ".") and p in heights]
        heights[path] = 1 + max(inner, default=0)
    classes: dict[str, Shared] = {}
    taken = {name} | made.globals

    def construct(path: str, slots: Slots) -> str:
        return classes[path].construct(path, slots)

    for height in range(1, max(heights.values(), default=0) + 1):
        level = [instance(made, path, construct) for path in paths if heights[path] == height]
        for shared in share(level, taken, made):
            for found in shared.instances:
                classes[found.path] = shared
    return classes


class _Root:
    """The module of the whole network, and the file around it."""

    def __init__(self, made: Program, classes: dict[str, Shared], name: str) -> None:
        self.made, self.graph, self.classes, self.name = made, made.graph, classes, name

    def source(self) -> str:
        """The whole file."""
        slots = Slots()
        members = Members(self.made, slots, lambda path, own: self.classes[path].construct(path, own))
        if "" in self.made.sequential:
            return self._sequence(members, slots)
        members.write("", "self")
        variables, signature, unpacking = self._arguments()
        call = Call("", self.made.items)
        body = forward(self.made, "", call, slots, variables, result_edges(self.made), members.names)
        returns = self._returns(body)
        root = Instance("", slots, members.lines, body.lines, "", [], [], members.names)
        root.functions, root.imports = body.writer.functions, body.writer.imports
        shared = Shared([root], self.name)
        settle(shared)
        lines = [f"class {self.name}(nn.Module):", *self._docstring(), ""]
        if members.lines:
            lines += ["    def __init__(self) -> None:", "        super().__init__()"]
        for text in members.lines:
            lines += layout(finished(shared, text), 2)
        for text in [*self._ties(), *self._frozen()]:
            lines += layout(text, 2)
        gives = " -> Tensor" if self.graph.train_result is None and type(self.graph.result) is Edge else ""
        lines += [""] * bool(members.lines) + layout(f"def forward({signature}){gives}:", 1)
        for text in unpacking:
            lines += layout(text, 2)
        lines += self._statements(shared, body.lines, 1)
        for indent, text in returns:
            lines += layout(finished(shared, text), indent + 1)
        return self._assembled(lines, root)

    def _sequence(self, members: Members, slots: Slots) -> str:
        """The file of a network that is a sequence of numbered modules."""
        elements = members._elements("", "self", [])
        root = Instance("", slots, [], [], "", [], [], set())
        shared = Shared([root], self.name)
        settle(shared)
        lines = [f"class {self.name}(nn.Sequential):", *self._docstring(), "", "    def __init__(self) -> None:"]
        for text in [finished(shared, f"super().__init__({elements})"), *self._ties(), *self._frozen()]:
            lines += layout(text, 2)
        return self._assembled(lines, root)

    def _assembled(self, lines: list[str], root: Instance) -> str:
        unique = list({id(c): c for c in self.classes.values()}.values())
        blocks = ["\n".join(self._class(c)) + "\n" for c in unique] + ["\n".join(lines) + "\n"]
        return self._file(blocks, [*(c.first for c in unique), root])

    # -- classes -----------------------------------------------------------------------------------------------------------
    def _class(self, shared: Shared) -> list[str]:
        first = shared.first
        lines = [f"class {shared.name}(nn.Module):", f'    """{self._summary(shared)}"""', ""]
        if first.members or shared.parameters:
            parts = ["self"]
            for p in shared.parameters:
                kind = f": {p.annotation}" if p.annotation else ""
                equal = " = " if kind else "="
                parts.append(f"{p.name}{kind}" + (f"{equal}{constant(p.default)}" if _has_default(p) else ""))
            lines += layout(f"def __init__({', '.join(parts)}) -> None:", 1)
            lines.append("        super().__init__()")
            lines += [f"        self.{p.name} = {p.name}" for p in shared.parameters if p.in_forward]
            for text in first.members:
                lines += layout(finished(shared, text), 2)
            lines.append("")
        kind = "list[Tensor]" if first.bundled else "Tensor"
        given = ", ".join(["self", *(f"{name}: {kind}" for name in shared.arguments)])
        many = len(first.outputs)
        gives = "Tensor" if many == 1 else f"tuple[{', '.join(['Tensor'] * many)}]"
        lines += layout(f"def forward({given}) -> {gives}:", 1)
        lines += self._statements(shared, first.body, 1)
        return [*lines, *layout(f"return {finished(shared, first.result)}", 2)]

    def _summary(self, shared: Shared) -> str:
        paths = [found.path for found in shared.instances]
        types = {self._types(found) for found in shared.instances}
        more = f": {types.pop()}" if len(types) == 1 else ""
        shown = paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
        if 2 <= len(paths) <= 3 and len(", ".join(paths)) + len(more) < 80:
            shown = ", ".join(paths)
        text = f"{shown}{more}."
        return _safe(text if len(text) <= WIDTH - 12 else f"{shown}."[: WIDTH - 12])

    def _types(self, found: Instance) -> str:
        given = [_shape(self.graph.type_of(ref).shape) for ref in found.inputs]
        return f"{', '.join(given) or 'nothing'} → {', '.join(_shape(self.graph.type_of(e).shape) for e in found.outputs)}"

    def _statements(self, shared: Shared, body: list[tuple[int, str, Any]], base: int) -> list[str]:
        """Lines of a body; where shapes are the same in all instances, those that change are noted."""
        lines: list[str] = []
        before = ""
        for indent, text, edge in body:
            made = layout(finished(shared, text), indent + base)
            if edge is not None and len(shared.instances) == 1:
                shape = _shape(self.graph.type_of(edge).shape)
                if shape != before and len(made) == 1 and len(made[0]) + len(shape) + 4 <= WIDTH:
                    made = [f"{made[0]}  # {shape}"]
                before = shape
            lines += made
        return lines

    # -- the network -------------------------------------------------------------------------------------------------------
    def _docstring(self) -> list[str]:
        given = "; ".join(f"{node.name} {node.dtype} {_shape(node.shape)}" for node in self.graph.inputs)
        lines = ['    """', f"    {self.graph.num_params:,} parameters.", "", f"    Inputs: {_safe(given)}."]
        lines[0] = f'    """A network of {self.graph.num_params:,} parameters.'
        lines[1:3] = [""]
        if self._foreign():
            lines += ["", f"    The original returns {_safe(', '.join(self._foreign()))}; here it is a dict."]
        return [*lines, '    """']

    def _foreign(self) -> list[str]:
        trees = [self.graph.result, self.graph.train_result]
        return [name for name, plain in _foreign_names(trees).items() if not plain]

    def _named_tuples(self) -> list[str]:
        """Definitions of the named tuples that are returned."""
        found: dict[str, None] = {}

        def look(tree: Any) -> None:
            if type(tree) is dict and _is_named_tuple(tree):
                fields = ", ".join(constant(name) for name in tree if name != KEY)
                name = _short(tree[KEY])
                found["\n".join(layout(f'{name} = namedtuple("{name}", [{fields}])', 0)) + "\n"] = None
            for child in tree.values() if type(tree) is dict else tree if type(tree) in (tuple, list) else ():
                look(child)

        look([self.graph.result, self.graph.train_result])
        return list(found)

    def _arguments(self) -> tuple[dict[Any, str], str, list[str]]:
        variables: dict[Any, str] = {}
        unpacking: list[str] = []
        parts: list[tuple[str, str | None]] = []
        taken = set(self.made.globals)
        for i, argument in enumerate(self.graph.arguments):
            name = argument_name(argument.name, i, taken)
            taken.add(name)
            found = edges(argument.tree)
            shown = f"{name}: Tensor" if type(argument.tree) is Edge else name
            parts.append((shown, None if found else constant(_frozen(argument.tree))))
            if type(argument.tree) is Edge:
                variables[argument.tree] = name
            elif found:
                self._unpack(argument.tree, name, variables, unpacking, taken)
        for i in range(len(parts)):
            if any(default is None for _, default in parts[i + 1 :]):
                parts[i] = (parts[i][0], None)
        signature = [name if default is None else f"{name}={default}" for name, default in parts]
        return variables, ", ".join(["self", *signature]), unpacking

    def _unpack(self, tree: Any, source: str, variables: dict[Any, str], lines: list[str], taken: set[str]) -> None:
        if type(tree) is Edge:
            name = argument_name(tree.node, len(taken), taken)
            taken.add(name)
            variables[tree] = name
            lines.append(f"{name} = {source}")
        elif type(tree) in (tuple, list):
            for i, child in enumerate(tree):
                self._unpack(child, f"{source}[{i}]", variables, lines, taken)
        elif type(tree) is dict:
            for key, child in tree.items():
                self._unpack(child, f"{source}[{constant(key)}]", variables, lines, taken)

    def _returns(self, body: Any) -> list[tuple[int, str]]:
        graph = self.graph
        if graph.train_result is None and type(graph.result) is Edge:
            return [(1, f"return {body.result(self.made.ref(graph.result))}")]
        body._flush()
        found = []
        if graph.train_result is not None:
            found = [(1, "if self.training:"), (2, f"return {self._tree(graph.train_result, body)}")]
        return [*found, (1, f"return {self._tree(graph.result, body)}")]

    def _tree(self, tree: Any, body: Any, inside: bool = False) -> str:
        if type(tree) is Edge:
            return str(body._name_of(tree)[0])
        if type(tree) is tuple:
            shown = ", ".join(self._tree(child, body, True) for child in tree) + ("," if len(tree) == 1 else "")
            return f"({shown})" if inside or len(tree) < 2 else shown
        if type(tree) is list:
            return f"[{', '.join(self._tree(child, body, True) for child in tree)}]"
        if type(tree) is dict:
            if _is_named_tuple(tree):
                fields = ", ".join(f"{k}={self._tree(v, body, True)}" for k, v in tree.items() if k != KEY)
                return f"{_short(tree[KEY])}({fields})"
            pairs = [f"{constant(k)}: {self._tree(v, body, True)}" for k, v in tree.items() if k != KEY]
            return "{" + ", ".join(pairs) + "}"
        if isinstance(tree, Size):
            return str(body._size_of(tree, self.graph.steps[0])[0])
        return constant(tree)

    def _ties(self) -> list[str]:
        """Tensors with two names: the second is made the first."""
        found = []
        for key, entry in self.graph.tensors.items():
            if entry.alias_of is not None:
                path, _, name = key.rpartition(".")
                registry = "_parameters" if entry.kind == "parameter" else "_buffers"
                target = member(module_source(self.made, "", path), name, registry)
                head, _, last = entry.alias_of.rpartition(".")
                source = member(module_source(self.made, "", head), last, registry)
                found.append(f"{target} = {source}")
        return found

    def _frozen(self) -> list[str]:
        """Parameters that are not trained: whole modules where nothing in them is, else one by one."""
        found: dict[str, None] = {}
        trained = [key for key, entry in self._parameters() if entry.requires_grad]
        for key, entry in self._parameters():
            if entry.requires_grad:
                continue
            parts = key.split(".")
            paths = [".".join(parts[:n]) for n in range(1, len(parts))]
            whole = next((path for path in paths if not any(under(other, path) for other in trained)), None)
            source = module_source(self.made, "", whole) if whole is not None else weight_source(self.made, "", key)
            found[f"{source}.requires_grad_(False)"] = None
        return list(found)

    def _parameters(self) -> list[tuple[str, TensorEntry]]:
        return [(key, entry) for key, entry in self.graph.tensors.items() if entry.kind == "parameter"]

    # -- the file ------------------------------------------------------------------------------------------------------------
    def _file(self, blocks: list[str], instances: list[Instance]) -> str:
        functions: dict[str, None] = {}
        imports: dict[str, None] = {}
        for found in instances:
            functions |= found.functions
            imports |= found.imports
        text = "\n\n".join(blocks)
        helpers = self._named_tuples()
        if "packed(" in text:
            helpers.append(READER)
        helpers += [_SETITEM] * ("setitem" in functions) + [_TENSORS] * ("tensors" in functions)
        constants = definitions(self.made.data)
        text = "\n\n".join([*helpers, *blocks, *(["\n".join(constants)] if constants else [])])
        head = []
        if "packed(" in text:
            head += ["import base64", "import zlib"]
        if collections := [name for name in ("OrderedDict", "namedtuple") if f"{name}(" in text]:
            head.append(f"from collections import {', '.join(collections)}")
        if head:
            head.append("")
        if "torch." in text:
            head.append("import torch")
        if re.search(r"(?<![\w.])F\.", text):
            head.append("import torch.nn.functional as F")
        used = [name for name in ("Tensor", "nn") if re.search(rf"(?<![\w.]){name}\b", text)]
        wanted: dict[str, list[str]] = {"torch": used}
        for line in imports:
            module, _, name = line.removeprefix("from ").partition(" import ")
            wanted.setdefault(module, []).append(name)
        lines = {module: f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(wanted.items())}
        head += [line for module, line in lines.items() if is_installed(module)]
        own = [line for module, line in lines.items() if not is_installed(module)]
        head += [""] * bool(own) + own
        space = "\n\n\n" if text.startswith(("class ", "def ")) else "\n\n"
        return "\n".join(head) + space + text


def _foreign_names(tree: Any) -> dict[str, bool]:
    """Classes of containers in a tree, and whether each is a named tuple."""
    found: dict[str, bool] = {}
    if type(tree) is dict:
        if KEY in tree:
            found[str(tree[KEY])] = _is_named_tuple(tree)
        tree = list(tree.values())
    if type(tree) in (tuple, list):
        for child in tree:
            found |= _foreign_names(child)
    return found


def _imported(graph: Graph) -> set[str]:
    """Names that imports of functions bring into the file."""
    targets = [str(step.args["target"]) for step in graph.steps if step.op == "opaque"]
    return {target.partition(":")[2].partition(".")[0] for target in targets if ":" in target}


def _is_named_tuple(tree: dict[str, Any]) -> bool:
    """Whether a foreign container is a tuple with names, which can be made again without its module."""
    kind = class_named(str(tree.get(KEY, "")))
    names = [name for name in tree if name != KEY]
    plain = all(is_identifier(name) for name in (*names, _short(tree.get(KEY))))
    return kind is not None and issubclass(kind, tuple) and getattr(kind, "_fields", None) == tuple(names) and plain


def _short(name: Any) -> str:
    return str(name).rpartition(":")[2].rpartition(".")[2]


def _has_default(parameter: Any) -> bool:
    from .slots import REQUIRED

    return parameter.default is not REQUIRED


def _shape(shape: Any) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def _safe(text: str) -> str:
    """Text for a docstring: nothing that could end it."""
    return ascii(text.replace("→", "\x00"))[1:-1].replace("\\x00", "→").replace('"', "'").replace("\\", "/")


def _frozen(tree: Any) -> Any:
    return tuple(tree) if isinstance(tree, list) else tree
