"""Functions that generated code calls where torch has no expression for an operator.

They hand themselves to a tracing mode before they run, as torch's own functions do, so that a trace of a built network finds
the operator again.
"""

from __future__ import annotations

from typing import Any


def gradient(outputs: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
    """``torch.autograd.grad``, with one gradient as it is rather than in a tuple."""
    from torch.autograd import grad
    from torch.overrides import handle_torch_function, has_torch_function

    given = (*outputs, *inputs)
    if has_torch_function(given):
        return handle_torch_function(gradient, given, outputs, inputs, *args, **kwargs)
    found = grad(outputs, inputs, *args, **kwargs)
    return found[0] if len(found) == 1 else found


def setitem(x: Any, index: Any, value: Any) -> Any:
    """``x`` with ``x[index] = value`` done to a copy."""
    from torch.overrides import handle_torch_function, has_torch_function_unary

    if has_torch_function_unary(x):
        return handle_torch_function(setitem, (x,), x, index, value)
    result = x.clone()
    result[index] = value
    return result
