"""Operators: each declared once, as one class, in the file of its family."""

# ruff: noqa: F401  (importing a family registers its operators)
from . import (
    activation,
    arithmetic,
    attention,
    binning,
    cast,
    conv,
    create,
    diagonal,
    draw,
    dropout,
    einsum,
    elementary,
    expand,
    extremes,
    fft,
    gather,
    indexing,
    join,
    layout,
    length,
    linear,
    logic,
    masking,
    matmul,
    norm,
    padding,
    parts,
    permute,
    pool,
    rearrange,
    recurrent,
    reduce,
    resample,
    source,
    statistics,
    view,
)  # fmt: skip
from . import opaque as _opaque
from .arguments import MODULE, DType, Edge, Slice, Weight
from .dims import Concat, Dims, Product
from .operator import REGISTRY, Operator, TensorType, operator
from .size import Size

__all__ = [
    "MODULE", "REGISTRY", "Concat", "DType", "Dims", "Edge", "Operator", "Product", "Size", "Slice", "TensorType", "Weight",
    "operator",
]  # fmt: skip
