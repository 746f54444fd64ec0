"""Plain data as source, and what can be said of torch's functions without importing torch."""

from __future__ import annotations

import ast
import math
import re
import sys
from functools import cache
from typing import Any

from ...errors import BuildError
from ...ops import DType
from ...ops.arguments import REQUIRED
from .naming import quoted
from .slots import Raw


def is_installed(module: str) -> bool:
    """Whether a module comes from an installed package: formatters keep imports of the user's own modules apart."""
    root = module.partition(".")[0]
    return root == "torch" or "site-packages" in (getattr(sys.modules.get(root), "__file__", None) or "")


def importable(module: str, path: str, function: Any) -> bool:
    """Whether ``from module import path`` would give the function that the graph calls."""
    found: Any = sys.modules.get(module)
    if found is None or not all(part.isidentifier() for part in (*module.split("."), *path.split("."))):
        return False
    for part in path.split("."):
        found = getattr(found, part, None)
    if found is None:
        return False
    # What a trace registers for an autograd function wraps its apply, which is another object every time it is asked for.
    owner = getattr(found, "__self__", None)
    bases = getattr(owner, "__mro__", ())
    custom = path.endswith(".apply") and any(base.__module__ == "torch.autograd.function" for base in bases)
    return found is function or found == function or custom


def constant(value: Any) -> str:
    """Source of plain data without slots."""
    kind = type(value)
    if kind is Raw:
        return str(value.text)
    if kind is str:
        return quoted(value)
    if kind is DType:
        return f"torch.{value.name}"
    if value is Ellipsis:
        return "..."
    if kind is float and not math.isfinite(value):
        return f'float("{value}")'
    if kind is float:
        return repr(value).replace("e+", "e")
    if kind is complex:
        return f"complex({constant(value.real)}, {constant(value.imag)})"
    if kind is tuple:
        return f"({', '.join(map(constant, value))}{',' if len(value) == 1 else ''})"
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    raise BuildError(f"no source for a value of type {kind.__name__}")


@cache
def signature_of(signature: str) -> tuple[tuple[str, str, Any], ...]:
    """Our name, torch's keyword and the default (or REQUIRED) of every argument in an operator's ``calls``."""
    found = []
    for part in re.split(r",\s*(?![^(\[]*[)\]])", signature):
        name, _, default = part.strip().partition("=")
        if name.startswith("*"):
            return ()
        name, _, keyword = name.partition(":")
        found.append((name, keyword or name, ast.literal_eval(default) if default else REQUIRED))
    return tuple(found)
