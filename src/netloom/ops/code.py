"""From an operator and its arguments to the Python expression that computes it.

Only identifiers that netloom makes and the `repr` of plain values reach the code.
"""

from __future__ import annotations

import math
import string
from collections.abc import Callable
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from ..errors import BuildError
from .arguments import MODULE, DType, Edge, Slice, Weight
from .operator import Operator
from .size import FloorDiv, Size


def literal(value: Any, name_of: Callable[[Any], str]) -> str:
    """Python source of a value; ``name_of`` gives the variable of an edge, a weight or a free symbol (a str)."""
    kind = type(value)
    if kind is Edge or kind is Weight:
        return name_of(value)
    if kind is int or kind is bool or value is None or kind is str:
        return repr(value)
    if kind is float:
        return repr(value) if math.isfinite(value) else f"float({str(value)!r})"
    if kind is tuple or kind is list:
        inside = ", ".join(literal(v, name_of) for v in value)
        return f"({inside}{',' if len(value) == 1 else ''})"
    if kind is DType:
        return f"torch.{value.name}"
    if kind is Size:
        return f"({size_source(value, name_of)})"
    if kind is Slice:
        return f"slice({', '.join(literal(v, name_of) for v in value)})"
    if value is Ellipsis:
        return "..."
    if kind is complex:
        return f"complex({literal(value.real, name_of)}, {literal(value.imag, name_of)})"
    raise BuildError(f"no source for a value of type {kind.__name__}")


def size_source(size: Size, name_of: Callable[[Any], str]) -> str:
    """A free size as integer arithmetic over the variables of its symbols."""
    terms = []
    for monomial, coefficient in size.terms:
        factors = [str(coefficient)] if coefficient != 1 or not monomial else []
        for atom in monomial:
            if isinstance(atom, FloorDiv):
                factors.append(f"(({size_source(atom.numerator, name_of)}) // {atom.divisor})")
            else:
                factors.append(name_of(atom))
        terms.append(" * ".join(factors))
    return " + ".join(terms)


def expression(kind: Operator, types: SimpleNamespace, sources: dict[str, str]) -> tuple[list[str], str]:
    """Statements to run first, and the expression; ``sources`` has the source of every argument and of ``device``."""
    return [_fill(s, sources) for s in kind.statements(types)], _fill(kind.template(types), sources)


def _fill(template: str, sources: dict[str, str]) -> str:
    return "".join([text + sources[name] if name else text for text, name in _parsed(template)])


@lru_cache(maxsize=4096)
def _parsed(template: str) -> list[tuple[str, str]]:
    """Text, and the name of the argument after it, in turn."""
    return [(text, name or "") for text, name, _, _ in string.Formatter().parse(template)]


def argument_sources(args: dict[str, Any], kind: Operator, name_of: Callable[[Any], str], training: str) -> dict[str, str]:
    """The source of every argument; ``training`` is that of the owning module's flag."""
    sources = {}
    for name, value in args.items():
        param = kind.by_name[name]
        if param.kind == "tensors" and type(value) is tuple:
            sources[name] = f"[{', '.join(literal(v, name_of) for v in value)}]"
        elif value == MODULE and name == "training":
            sources[name] = training
        else:
            sources[name] = literal(value, name_of)
    return sources
