"""Where zeros go in and zeros come out: what an operator says of it, and how it is read.

An operator writes its result as a sum of products (`Operator.zero_terms`): a term is the names of its factors, joined by
spaces. The result is zero at an index where every term has a factor that is zero there:

    linear:      ("x weight", "bias")
    relu:        ("x",)
    addcmul:     ("x", "tensor1 tensor2")

Only zeros count, so that relu, max pools and sums alike are ``("x",)``. A term of one argument that is absent is no term; an
absent factor of several is 1. ``"?"`` is a factor that may be anything, ``"0"`` one that is zero.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import SimpleNamespace
from typing import Any

from .dims import Dims, labels

UNKNOWN = "?"
ZERO = "0"


def named_axes(dims: Dims, roles: tuple[str, ...], weight_list: str) -> dict[str, dict[str, tuple[Any, ...]]]:
    """The axes of every operand by its name, grouped by argument: entries of a list are ``tensors[0]``, …, or their roles."""
    found: dict[str, dict[str, tuple[Any, ...]]] = {}
    for name, rows in dims.operands.items():
        if rows and isinstance(rows[0], tuple):
            entries = roles if name == weight_list else [f"{name}[{k}]" for k in range(len(rows))]
            found[name] = dict(zip(entries, rows))
        else:
            found[name] = {name: rows}
    return found


def vanishes(
    terms: Collection[str],
    label: str,
    zero: Collection[str],
    a: SimpleNamespace,
    dims: Dims,
    named: Mapping[str, Mapping[str, tuple[Any, ...]]],
) -> bool:
    """Whether every term has a factor that is zero at an index of ``label``, when the operands ``zero`` are."""
    axes = {name: (row, argument) for argument, entries in named.items() for name, row in entries.items()}

    def entry(name: str) -> bool:
        row, argument = axes[name]
        carried = any(label in labels(axis) and (name, i) not in dims.summed for i, axis in enumerate(row))
        return carried and (name in zero or argument in zero)

    def factor(name: str) -> bool:
        if name in named:
            return all(entry(part) for part in named[name])
        if name in axes:
            return entry(name)
        value = getattr(a, name, None)
        return name == ZERO or (isinstance(value, int | float | complex) and value == 0)

    def absent(term: str) -> bool:
        return not (term in axes or " " in term or term in (UNKNOWN, ZERO)) and getattr(a, term, None) is None

    present = [term.split() for term in terms if not absent(term)]
    return bool(present) and all(any(factor(name) for name in term) for term in present)
