"""Operators: each declared once, as one class, in the file of its family."""

# ruff: noqa: F401  (importing a family registers its operators)
# Where several operators declare one torch callable, as `max` and `maximum` do, they are tried in the order of registration.
# isort: off
from . import activation, linear, source
from . import attention, binning, fft, gather, recurrent, resample
from . import create, diagonal, draw, expand, extremes, indexing, join
from . import padding, permute, rearrange, reduce, statistics, view
from . import arithmetic, conv, dropout, einsum, elementary, logic, masking, matmul, norm, parts, pool
from . import cast, layout
from . import opaque as _opaque

# isort: on
from .arguments import MODULE, DType, Edge, Slice, Weight
from .dims import Concat, Dims, Product
from .operator import REGISTRY, Operator, TensorType, operator
from .size import Size

__all__ = [
    "MODULE", "REGISTRY", "Concat", "DType", "Dims", "Edge", "Operator", "Product", "Size", "Slice", "TensorType", "Weight",
    "operator",
]  # fmt: skip
