"""The lines of a user's code at which a call is made: which attributes and which literals they read.

Read from the source by its syntax tree: the statement itself, and the statements of the same function that give its local
names their values. Functions further out are looked at in the same way, from the call that leads inwards.
"""

from __future__ import annotations

import ast
import linecache
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Any

import torch

from .attributes import Place, fetch, is_int, is_plain

_TORCH = str(Path(torch.__file__).parent) + "/"
_PYTHON = sysconfig.get_path("stdlib") + "/"
_NETLOOM = str(Path(__file__).parents[1])
#: Methods and functions whose ints are numbers of axes.
_AXES = frozenset(
    "transpose permute swapaxes swapdims movedim unsqueeze squeeze flatten softmax log_softmax sum mean cat stack concat size "
    "amax amin argmax norm cumsum flip roll unbind unfold select index_select".split()
)
_AXIS_NAMES = frozenset({"dim", "dims", "axis", "axes", "start_dim", "end_dim", "dim0", "dim1"})
#: How many assignments back a local name is followed.
MAX_STEPS = 6


@dataclass(frozen=True, slots=True)
class Frame:
    """A line that runs, in a function with its local names."""

    code: CodeType
    line: int
    names: Mapping[str, Any]

    @property
    def file(self) -> str:
        return self.code.co_filename

    @property
    def is_own(self) -> bool:
        """Whether the line is the user's (or a library's), none of torch's or Python's own."""
        is_python = self.file.startswith(_PYTHON) and "site-packages" not in self.file
        return not is_python and not self.file.startswith((_TORCH, "<frozen"))

    @property
    def text(self) -> str:
        return linecache.getline(self.file, self.line).strip()


def frames_of(error: BaseException) -> list[Frame]:
    """The frames of an error from the inside out, those of netloom left out."""
    trace: TracebackType | None = error.__traceback__
    found = []
    while trace is not None:
        found.append(_frame(trace.tb_frame, trace.tb_lineno))
        trace = trace.tb_next
    return [frame for frame in reversed(found) if not frame.file.startswith(_NETLOOM)]


def frames_here(depth: int) -> list[Frame]:
    """The frames around a call from the inside out, ``depth`` of the innermost left out, as far as netloom's own."""
    import sys

    frame: FrameType | None = sys._getframe(depth + 1)
    found = []
    while frame is not None and not frame.f_code.co_filename.startswith(_NETLOOM):
        found.append(_frame(frame, frame.f_lineno))
        frame = frame.f_back
    return found


def _frame(frame: FrameType, line: int) -> Frame:
    return Frame(frame.f_code, line, dict(frame.f_locals))


@dataclass(slots=True)
class Reading:
    """What a line depends on: places that it reads, nearest first, and int literals with line and file.

    ``locals`` are the values of local names in it that are ints; ``is_source`` is False where its source is not at hand.
    """

    places: list[Place] = field(default_factory=list)
    literals: list[tuple[int, int, str]] = field(default_factory=list)
    locals: list[int] = field(default_factory=list)
    is_source: bool = False


class Lines:
    """Reads lines of the modules given (path → module)."""

    def __init__(self, modules: Mapping[str, Any]) -> None:
        self.modules = modules
        self.paths = {id(module): path for path, module in modules.items()}

    def path(self, frame: Frame) -> str | None:
        """The module whose method runs in a frame."""
        return self.paths.get(id(frame.names.get("self")))

    def read(self, frame: Frame) -> Reading:
        """Places and literals of the statement at which a frame stands."""
        found = Reading()
        function = _function(frame.file, frame.code.co_firstlineno, frame.code.co_name)
        statement = _statement(function, frame.line) if function is not None else None
        if statement is None:
            return found
        parts: list[ast.AST] = [statement]
        found.is_source = True
        seen: set[str] = set()
        for _ in range(MAX_STEPS):
            names: list[str] = []
            for part in parts:
                names += self._take(part, frame, found)
            fresh = [name for name in dict.fromkeys(names) if name not in seen]
            seen.update(fresh)
            parts = [value for name in fresh for value in _values(function, name)]
            if not parts:
                break
        return found

    def _take(self, part: ast.AST, frame: Frame, found: Reading) -> list[str]:
        """Note what an expression reads; the local names in it are given back."""
        names = []
        for node in _walk(part):
            if isinstance(node, ast.Attribute | ast.Subscript):
                for place in self._places(node, frame.names, 0):
                    if place not in found.places:
                        found.places.append(place)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                names.append(node.id)
                if is_int(frame.names.get(node.id)):
                    found.locals.append(frame.names[node.id])
        found.literals += [(value, line, frame.file) for value, line in _size_literals(part)]
        return names

    # -- attributes ----------------------------------------------------------------------------------------------------
    def _places(self, node: ast.AST, names: Mapping[str, Any], depth: int) -> Iterator[Place]:
        """The places that an expression such as ``self.config.heads[0]`` reads."""
        chain: list[str | int] = []
        while isinstance(node, ast.Attribute | ast.Subscript):
            if isinstance(node, ast.Attribute):
                chain.append(node.attr)
            elif isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, int | str):
                chain.append(node.slice.value)
            else:
                chain.clear()
            node = node.value
        if not isinstance(node, ast.Name) or node.id not in names or not chain:
            return
        yield from self._resolved(names[node.id], chain[::-1], depth)

    def _resolved(self, holder: Any, chain: list[str | int], depth: int) -> Iterator[Place]:
        """Places from an object that is at hand along a chain of attributes."""
        base = self._place_of(holder)
        if base is None:
            return
        path, way = base
        value = holder
        for i, key in enumerate(chain):
            if isinstance(value, torch.nn.Module) and isinstance(key, str) and key in value._modules:
                value, path, way = value._modules[key], f"{path}.{key}" if path else key, ()
                continue
            try:
                value = fetch(value, key)
            except (KeyError, TypeError):
                if isinstance(key, str) and depth < MAX_STEPS:
                    yield from self._property(value, key, depth)
                return
            way = (*way, key)
            if i + 1 < len(chain) and not isinstance(value, torch.nn.Module | list | tuple | dict) and not is_plain(value):
                break
        if way and is_int(value):
            yield Place(path, way)
        elif way and isinstance(value, list | tuple):
            yield from (Place(path, (*way, i)) for i, item in enumerate(value) if is_int(item))

    def _property(self, holder: Any, name: str, depth: int) -> Iterator[Place]:
        """What a property (or a method that is called) reads of its own object."""
        attribute = getattr(type(holder), name, None)
        function = attribute.fget if isinstance(attribute, property) else attribute
        code = getattr(function, "__code__", None)
        if code is None or code.co_filename.startswith(_TORCH) or not code.co_varnames:
            return
        tree = _function(code.co_filename, code.co_firstlineno, code.co_name)
        for node in ast.walk(tree) if tree is not None else ():
            if isinstance(node, ast.Attribute | ast.Subscript):
                yield from self._places(node, {code.co_varnames[0]: holder}, depth + 1)

    def _place_of(self, holder: Any) -> tuple[str, tuple[str | int, ...]] | None:
        """Where an object stands: a module's path, or the way to a plain object from the first module that holds it."""
        if isinstance(holder, torch.nn.Module):
            path = self.paths.get(id(holder))
            return None if path is None else (path, ())
        if not is_plain(holder) and not isinstance(holder, list | tuple | dict):
            return None
        for path, module in self.modules.items():
            for name, value in vars(module).items():
                if value is holder:
                    return path, (name,)
                for key, inner in vars(value).items() if is_plain(value) else ():
                    if inner is holder:
                        return path, (name, key)
        return None


# -- source ----------------------------------------------------------------------------------------------------------
@lru_cache(maxsize=256)
def _tree(file: str) -> ast.Module | None:
    try:
        return ast.parse("".join(linecache.getlines(file)))
    except SyntaxError:
        return None


@lru_cache(maxsize=4096)
def _function(file: str, first: int, name: str) -> ast.AST | None:
    """The definition whose code begins on a line; the whole file for code of a module."""
    tree = _tree(file)
    if tree is None or name == "<module>":
        return tree
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            if first in (node.lineno, *(d.lineno for d in node.decorator_list)):
                return node
        elif isinstance(node, ast.Lambda) and name == "<lambda>" and node.lineno == first:
            return node
    return None


def _statement(function: ast.AST, line: int) -> ast.AST | None:
    """The smallest statement that covers a line; a lambda is its expression."""
    if isinstance(function, ast.Lambda):
        return function.body
    covering = [
        node for node in ast.walk(function)
        if isinstance(node, ast.stmt) and node is not function and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]  # fmt: skip
    return min(covering, key=lambda node: (node.end_lineno or node.lineno) - node.lineno, default=None)


def _walk(part: ast.AST) -> Iterator[ast.AST]:
    """The nodes of an expression or statement, not of the statements inside it."""
    stack = [part]
    while stack:
        node = stack.pop()
        yield node
        stack += [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.stmt)]


def _size_literals(part: ast.AST) -> Iterator[tuple[int, int]]:
    """The int literals of an expression that may be sizes, with their lines: no numbers of axes, no indices."""
    stack = [part]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Constant) and isinstance(node.value, int) and is_int(node.value):
            yield node.value, node.lineno
        skipped: list[ast.AST] = []
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            skipped += [k.value for k in node.keywords if k.arg in _AXIS_NAMES] + (node.args if name in _AXES else [])
        elif isinstance(node, ast.Subscript):
            skipped.append(node.slice)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.keyword):
                child = child.value
            is_literal = isinstance(child, ast.Constant | ast.UnaryOp | ast.Tuple)
            if not isinstance(child, ast.stmt) and not (is_literal and child in skipped):
                stack.append(child)


def _values(function: ast.AST | None, name: str) -> list[ast.AST]:
    """The expressions whose value a local name is given."""
    found: list[ast.AST] = []
    for node in ast.walk(function) if function is not None else ():
        targets: list[ast.AST] = []
        if isinstance(node, ast.Assign):
            targets = list(node.targets)
        elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr | ast.For):
            targets = [node.target]
        names = {t.id for target in targets for t in ast.walk(target) if isinstance(t, ast.Name)}
        if name in names:
            value = node.iter if isinstance(node, ast.For) else node.value  # type: ignore[attr-defined]
            if value is not None:
                found.append(value)
    return found
