"""Functions that generated code calls where torch has no expression for an operator.

They hand themselves to a tracing mode before they run, as torch's own functions do, so that a trace of a built network finds
the operator again.
"""

from __future__ import annotations

from typing import Any


def setitem(x: Any, index: Any, value: Any) -> Any:
    """``x`` with ``x[index] = value`` done to a copy."""
    from torch.overrides import handle_torch_function, has_torch_function_unary

    if has_torch_function_unary(x):
        return handle_torch_function(setitem, (x,), x, index, value)
    result = x.clone()
    result[index] = value
    return result
