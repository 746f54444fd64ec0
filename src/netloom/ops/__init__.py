"""Operators: each declared once, as one class, in the file of its family."""

from . import activation, linear, source  # noqa: F401  (importing registers them)
from . import attention, binning, fft, gather, recurrent, resample  # noqa: F401
from . import create, diagonal, draw, expand, extremes, indexing, join  # noqa: F401
from . import padding, permute, rearrange, reduce, statistics, view  # noqa: F401
from . import arithmetic, conv, dropout, einsum, elementary, logic, masking, matmul, norm, parts, pool  # noqa: F401
from . import cast, layout  # noqa: F401
from . import opaque as _opaque  # noqa: F401
from .dims import Concat, Dims, Product
from .operator import MODULE, REGISTRY, DType, Edge, Operator, Slice, TensorType, Weight, operator
from .size import Size

__all__ = [
    "MODULE", "REGISTRY", "Concat", "DType", "Dims", "Edge", "Operator", "Product", "Size", "Slice", "TensorType", "Weight", "operator",
]  # fmt: skip
