"""Conditions on networks, as the Parquet reader understands them."""

from __future__ import annotations

import difflib
import operator as operators
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ZooError
from .records import COLUMNS

#: ``(column, operator, value)``, or an expression of ``pyarrow.dataset``.
Condition = Any
_COMPARED = {
    "==": operators.eq, "!=": operators.ne, "<": operators.lt, "<=": operators.le, ">": operators.gt, ">=": operators.ge,
}  # fmt: skip
OPERATORS = (*_COMPARED, "in", "not in")


def expression_of(conditions: Sequence[Condition], equal: Mapping[str, Any]) -> Any:
    """All conditions together as one expression; None where there is none.

    >>> expression_of([("score", ">", 0.5)], {"status": "ok"})
    <pyarrow.compute.Expression ((score > 0.5) and (status == "ok"))>
    """
    import pyarrow.compute as pc

    found: Any = None
    for condition in (*conditions, *((column, "==", value) for column, value in equal.items())):
        part = condition if isinstance(condition, pc.Expression) else _read(condition)
        found = part if found is None else found & part
    return found


def _read(condition: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not isinstance(condition, tuple) or len(condition) != 3:
        raise ZooError(f"condition {condition!r}; expected (column, operator, value), as ('score', '>', 0.5)")
    column, operator, value = condition
    if column not in COLUMNS:
        near = difflib.get_close_matches(str(column), COLUMNS, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there is: {', '.join(COLUMNS)}"
        raise ZooError(f"a zoo has no column {column!r}; {hint}")
    field = pc.field(column)
    try:
        if operator in ("in", "not in"):
            within = field.isin(list(value))
            return within if operator == "in" else ~within
        return _COMPARED[operator](field, pc.scalar(value))
    except KeyError:
        raise ZooError(f"condition {condition!r}: operator {operator!r}; expected one of {', '.join(OPERATORS)}") from None
    except (pa.ArrowInvalid, TypeError) as error:
        raise ZooError(f"condition {condition!r}: {error}") from None
