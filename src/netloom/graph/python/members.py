"""Expressions for the modules and tensors that a module has under it."""

from __future__ import annotations

from .borders import Program, local_key
from .naming import member


def module_source(made: Program, at: str, path: str) -> str:
    """The module at ``path`` as the module at ``at``, above it, reaches it."""
    source, here = "self", at
    rest = path[len(at) + 1 if at else 0 :] if path != at else ""
    for name in rest.split(".") if rest else []:
        source = f"{source}[{name}]" if is_indexed(made, here) else member(source, name, "_modules")
        here = f"{here}.{name}" if here else name
    return source


def is_indexed(made: Program, path: str) -> bool:
    """Whether the module at ``path`` is a list of torch's, whose elements are reached by number."""
    if path in made.sequential:
        return made.children[path][0].isdigit()
    return is_module_list(made, path)


def is_module_list(made: Program, path: str) -> bool:
    """Whether the module at ``path``, which has no forward, is written as nn.ModuleList."""
    names = made.children.get(path, [])
    return bool(path) and path not in made.calls and not made.entries.get(path) and bool(names) and _complete(names)


def _complete(names: list[str]) -> bool:
    return names == [str(i) for i in range(len(names))]


def weight_source(made: Program, at: str, key: str) -> str:
    """A tensor of the table as the module at ``at`` reaches it."""
    key = local_key(made.graph, key, at)
    path, _, name = key.rpartition(".")
    registry = "_buffers" if made.graph.tensors[key].kind == "buffer" else "_parameters"
    return member(module_source(made, at, path), name, registry)
