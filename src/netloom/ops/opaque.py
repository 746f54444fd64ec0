"""The operator for calls that have none of their own: they run, print and hash, and sizes do not pass through them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from .arguments import anything, attr
from .operator import Operator, TensorType


def _target(value: Any) -> Any:
    if not isinstance(value, str) or not value:
        raise ValueError("the name of a function, such as 'torch.nn.functional.ctc_loss' or 'module:function'")
    return value


class Opaque(Operator):
    """A call of the function named ``target`` with ``args`` and ``kwargs`` (pairs), giving tensors of ``types``.

    ``types`` is a tuple of (dtype, shape). A target outside netloom's list of pure tensor functions is built only after
    the user registered it with `netloom.building.register`.
    """

    name = "opaque"
    params = (
        attr("target", _target),
        attr("args", anything, ()),
        attr("kwargs", anything, ()),
        attr("types", anything, ()),
        attr("nested", anything, None),
    )

    def infer(self, a: SimpleNamespace) -> tuple[TensorType, ...]:
        from ..errors import ShapeError
        from .dtypes import DTYPES

        try:
            types = tuple(TensorType(str(dtype), tuple(shape)) for dtype, shape in a.types)
        except (TypeError, ValueError):
            raise ShapeError(f"types {a.types!r} must be pairs of dtype and shape") from None
        if not types or any(t.dtype not in DTYPES for t in types):
            raise ShapeError(f"types {a.types!r} must name at least one result with a known dtype")
        return types
