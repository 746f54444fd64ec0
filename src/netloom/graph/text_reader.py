"""Reading the textual notation that `notation` describes.

Nothing in the text is ever executed, and whatever it says, `from_text` gives a graph or raises `TextError`.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from ..errors import FormatError, TextError, UnknownOperatorError
from ..ops import DType, Edge, Operator, operator
from ..ops.operator import resolve_types
from .assembly import Assembly, guarded, is_weight, own_weights, plain_arguments, short
from .builder import fresh_entry
from .graph import Argument, Graph
from .notation import IDENTIFIER, LINE_NAME, MAX_LINES, MAX_TEXT, VERSION
from .scanner import Scanner
from .step import ENABLED
from .text import input_symbols, usual_order
from .text_table import TableReader, read_order
from .tree import weights

_ONCE = ("symbols", "takes", "return", "train_return", "order")
_STATEMENTS = (*_ONCE, "note", "data")
_TYPE = re.compile(r"[A-Za-z0-9_]++[ \t]*+\[")
_KEYWORD = re.compile(r"([A-Za-z_][A-Za-z0-9_]*+)[ \t]*+=")


def from_text(text: str) -> Graph:
    """The graph that ``text`` describes; `TextError` says at which line and column it is not what was expected.

    >>> graph = from_text('''
    ... netloom 1
    ... x = input float32[N, 3, 32, 32]
    ... head = linear(10, bias=false)
    ... return head
    ... ''')
    >>> graph["head"].shape
    (Size('N'), 3, 32, 10)
    """
    if not isinstance(text, str):
        raise TextError(f"expected a text, not a {type(text).__name__}")
    if len(text) > MAX_TEXT:
        raise TextError(f"the text has {len(text)} characters; expected at most {MAX_TEXT}")
    return _Reader().read(text)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Every line that says something, with its number."""
    start, number = 0, 0
    while start <= len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        number += 1
        if number > MAX_LINES:
            raise TextError(f"expected at most {MAX_LINES} lines", number)
        line = text[start:end].removesuffix("\r")
        start = end + 1
        content = line.lstrip(" \t")
        if content and content[0] != "#":
            yield number, line


class _Reader:
    """What has been read so far."""

    def __init__(self) -> None:
        self.assembly = Assembly({})
        self.table = TableReader()
        self.results: dict[str, int] = {}
        self.free: set[str] = set()
        self.notes: list[str] = []
        self.nodes: list[Scanner] = []
        self.once: dict[str, Scanner] = {}
        self.previous: Edge | None = None

    def read(self, text: str) -> Graph:
        self.statements(text)
        symbols = self.symbols(self.once["symbols"]) if "symbols" in self.once else None
        self.table.read_constants()
        self.assembly.declared = {key: entry.type for key, entry in self.table.declared.items()}
        for scan in self.nodes:
            self.node(scan)
        if "return" not in self.once:
            raise TextError("expected a line 'return …' that names the results of the network")
        self.settle_tensors()
        result = self.tree("return")
        train_result = self.tree("train_return") if "train_return" in self.once else None
        arguments = self.arguments(self.once["takes"]) if "takes" in self.once else plain_arguments(self.assembly.steps)
        if symbols is None:
            symbols = dict.fromkeys(input_symbols(self.assembly.steps), 1)
        try:
            return self.assembly.finish(arguments, result, train_result, symbols, self.notes)
        except FormatError as error:
            raise self.once["return"].error(str(error), 0) from None

    # -- statements ------------------------------------------------------------------------------------------------
    def statements(self, text: str) -> None:
        """First pass: sort the lines; tables and data may stand below the nodes that need them."""
        lines = _lines(text)
        number, header = next(lines, (1, ""))
        scan = self.scanner(header, number)
        if scan.word() != "netloom":
            raise scan.error(f"expected the header 'netloom {VERSION}'", 0)
        version = scan.integer("the version of the notation")
        if version != VERSION:
            raise scan.error(f"expected version {VERSION} of the notation; {short(version, 20)} needs another netloom", 0)
        scan.end()
        block: list[str] | None = None
        for number, line in lines:
            if line[0] in " \t" and block is not None:
                block.append(line.strip(" \t"))
                continue
            scan = self.scanner(line, number)
            block = self.statement(scan)

    def scanner(self, line: str, number: int) -> Scanner:
        return Scanner(line, number, self.free, self.results)

    def statement(self, scan: Scanner) -> list[str] | None:
        """Sort one line; gives the list that takes the lines of a block of data."""
        if scan.peek() == "@":
            self.table.entry(scan)
            return None
        start = scan.position
        if scan.peek() == "`" or scan.match(LINE_NAME):
            if scan.position == start:
                scan.string("`")
            if scan.peek() == "=":
                scan.position = start
                self.nodes.append(scan)
                return None
            scan.position = start
        word = scan.word()
        if word not in _STATEMENTS:
            close = difflib.get_close_matches(word[:40], _STATEMENTS, 1) if word else []
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise scan.error(f"expected 'name = operator(…)', '@key = …' or one of {', '.join(_STATEMENTS)}{hint}", start)
        if word == "data":
            return self.table.block(scan)
        if word == "note":
            self.notes.append(scan.string())
            scan.end()
        elif word in self.once:
            raise scan.error(f"expected one line {word!r}, and line {self.once[word].line} is one", start)
        else:
            self.once[word] = scan
        return None

    def symbols(self, scan: Scanner) -> dict[str, int]:
        """``symbols N, T=16``."""
        found: dict[str, int] = {}
        while scan.peek():
            start = scan.position
            name = scan.name("the name of a free symbol", IDENTIFIER)
            if name in found:
                raise scan.error(f"expected each symbol once, and {name[:100]!r} comes again", start)
            found[name] = scan.integer("its example size") if scan.accept("=") else 1
            if not scan.accept(",") and scan.peek():
                raise scan.error(f"expected ',' or the end of the line, {scan.found()}")
        self.free.update(found)
        return found

    def arguments(self, scan: Scanner) -> list[Argument]:
        """``takes x, hidden=(h, c), *, mask``."""
        found: list[Argument] = []
        keyword = False
        while scan.peek():
            if scan.accept("*"):
                keyword = not keyword
            else:
                start = scan.position
                name = scan.name("the name of an argument", IDENTIFIER)
                tree = scan.value() if scan.accept("=") else scan.edge(start, name)
                found.append(Argument(name, tree, keyword))
            if not scan.accept(",") and scan.peek():
                raise scan.error(f"expected ',' or the end of the line, {scan.found()}")
        return found

    def tree(self, statement: str) -> Any:
        scan = self.once[statement]
        value = scan.value()
        scan.end()
        return value

    # -- nodes -----------------------------------------------------------------------------------------------------
    def node(self, scan: Scanner) -> None:
        """``name = op type (arguments) flags``."""
        scan.peek()
        start = scan.position
        name = scan.name("the name of a node")
        if name in self.results:
            raise scan.error(f"expected a new name, and {name[:100]!r} is the name of a node above", start)
        scan.expect("=")
        scan.peek()
        start = scan.position
        op = scan.name("the name of an operator", IDENTIFIER)
        try:
            kind = operator(op[:200])
        except UnknownOperatorError as error:
            raise scan.error(f"expected the name of an operator; {error}", start) from None
        call = Call(scan, kind, self.previous)
        flags = _flags(scan)
        try:
            args = self.assembly.with_weights(name, kind, call.args)
            fresh = {ref.key for ref in weights(tuple(v for k, v in args.items() if is_weight(kind.by_name[k], kind)))}
            made = self.assembly.evaluate(kind.name, args, fresh, flags[-1])
            self.assembly.add(name, kind.name, made, *flags)
            self.make_entries(kind, made.types)
        except FormatError as error:
            raise scan.error(str(error), call.blamed(str(error), start)) from None
        self.results[name] = len(made.outputs)
        self.previous = Edge(name)

    def make_entries(self, kind: Operator, types: SimpleNamespace) -> None:
        """Entries for the weights that the last step is the first to use."""
        step = self.assembly.steps[-1]
        new = {role: key for role, key in own_weights(step).items() if key not in self.assembly.tensors}
        if new:
            if step.autocast:
                # The table holds weights as the model does; autocast converts them where they are used.
                plain = self.assembly.type_of
                types = SimpleNamespace(
                    **{n: resolve_types(v, lambda ref: plain(ref) if type(ref) is Edge else None) for n, v in step.args.items()}
                )
            with guarded(kind.name):
                declared = kind.weights(types)
                fresh = {role: fresh_entry(kind, role, declared[role], types) for role in new if role in declared}
            for role, key in new.items():
                self.assembly.tensors[key] = self.table.merged(key, fresh.get(role))

    def settle_tensors(self) -> None:
        """The entries that no step uses, and the order of all."""
        tensors = self.assembly.tensors
        for key in self.table.declared:
            if key not in tensors:
                tensors[key] = self.table.merged(key, None)
        if "order" in self.once:
            order = read_order(self.once["order"], usual_order(self.assembly.steps, tensors))
            self.assembly.tensors = {key: tensors[key] for key in order}


class Call:
    """``type (operands, attributes)`` of a node: arguments by name, and where they stand."""

    def __init__(self, scan: Scanner, kind: Operator, previous: Edge | None) -> None:
        self.scan, self.kind = scan, kind
        self.args: dict[str, Any] = {}
        self.starts: dict[str, int] = {}
        scan.peek()
        start = scan.position
        if kind.family == "source" and _TYPE.match(scan.source, start):
            type = scan.tensor_type(scan.symbols.update if kind.name == "input" else None)
            self.args["dtype"], self.args["shape"] = DType(type.dtype), type.shape
        self.places = [param for param in kind.params if not is_weight(param, kind) and param.name not in self.args]
        positional = self.written() if scan.accept("(") else []
        self.bind(positional, previous, start)

    def written(self) -> list[tuple[int, Any]]:
        """Read up to the closing bracket; gives the values without a name, and where they stand."""
        scan, positional, named = self.scan, list[tuple[int, Any]](), False
        while not scan.accept(")"):
            scan.peek()
            start = scan.position
            keyword = _KEYWORD.match(scan.source, start)
            if keyword is not None:
                named = True
                self.keyword(keyword, start)
            elif named:
                raise scan.error("expected 'name=value'; values without a name come first")
            else:
                positional.append((start, scan.value()))
            if not scan.accept(",") and scan.peek() != ")":
                raise scan.error(f"expected ',' or ')', {scan.found()}")
        return positional

    def keyword(self, found: re.Match[str], start: int) -> None:
        name = found.group(1)
        if name not in self.kind.by_name:
            close = difflib.get_close_matches(name[:40], self.kind.by_name, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise self.scan.error(f"expected an argument of {self.kind.name}, and {name[:100]!r} is none{hint}", start)
        if name in self.args:
            raise self.scan.error(f"expected {name!r} once", start)
        self.scan.position = found.end()
        self.args[name] = self.scan.value()
        self.starts[name] = start

    def bind(self, positional: list[tuple[int, Any]], previous: Edge | None, start: int) -> None:
        """Values without a name to the arguments at their places; the line above for a first operand that is not written."""
        places = list(self.places)
        first = places[0] if places else None
        if first is not None and first.kind != "attr" and first.name not in self.args:
            value = positional[0][1] if positional else None
            if first.kind == "tensors" and type(value) is Edge:
                run = list(itertools.takewhile(lambda given: type(given[1]) is Edge, positional))
                positional = [(run[0][0], tuple(edge for _, edge in run)), *positional[len(run) :]]
            elif type(value) is not Edge and not (first.kind == "tensors" and type(value) is tuple):
                if previous is None:
                    message = f"expected {first.name!r} of {self.kind.name}; no node stands above to take it from"
                    raise self.scan.error(message, start)
                self.args[first.name] = (previous,) if first.kind == "tensors" else previous
                places = places[1:]
        if len(positional) > len(places):
            at = positional[len(places)][0]
            raise self.scan.error(f"expected at most {len(places)} values without a name for {self.kind.name}", at)
        for param, (at, value) in zip(places, positional):
            if param.name in self.args:
                raise self.scan.error(f"expected {param.name!r} once", at)
            self.args[param.name] = value
            self.starts[param.name] = at

    def blamed(self, message: str, start: int) -> int:
        """Where the argument stands that an error is about; ``start`` where that is the whole call."""
        for name, at in self.starts.items():
            if message.startswith(f"{self.kind.name}: {name} "):
                return at
        return start


def _flags(scan: Scanner) -> tuple[str | None, str, bool | str, str]:
    """Scope, mode, grad and autocast, up to the end of the line."""
    found: dict[str, Any] = {}
    while scan.peek():
        start = scan.position
        word = scan.word()
        flag = "mode" if word in ("train", "eval") else "no_grad" if word == "enable_grad" else word
        if flag in found:
            raise scan.error(f"expected {flag!r} once", start)
        if word == "in":
            found["in"] = scan.name("the path of the module that owns the call")
        elif word in ("train", "eval"):
            found["mode"] = word
        elif word in ("mode", "autocast"):
            found[word] = scan.string()
        elif word in ("no_grad", "enable_grad"):
            found["no_grad"] = False if word == "no_grad" else ENABLED
        else:
            scan.position = start
            wanted = "'(', in, train, eval, no_grad, enable_grad, autocast or the end of the line"
            raise scan.error(f"expected {wanted}, {scan.found()}")
    return found.get("in"), found.get("mode", ""), found.get("no_grad", True), found.get("autocast", "")
