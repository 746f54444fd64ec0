"""Types under autocast: matrix products and convolutions take and give the lower precision, the rest what it is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..ops import TensorType

#: Operators that autocast runs in the lower precision (torch's list for the CPU, by netloom's names).
LOWER = frozenset(
    "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d linear matmul mm bmm addmm addbmm baddbmm "
    "scaled_dot_product_attention rnn_tanh_cell rnn_relu_cell lstm_cell gru_cell".split()
)


def type_under(autocast: str, op: str, type_of: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """``type_of`` as the operator ``op`` sees it in a region such as ``"cpu:bfloat16"``; unchanged outside of any."""
    if not autocast or op not in LOWER:
        return type_of
    lower = autocast.partition(":")[2]

    def cast(ref: Any) -> Any:
        found = type_of(ref)
        if found is not None and found.dtype in ("float32", "bfloat16", "float16"):
            return TensorType(lower, found.shape)
        return found

    return cast
