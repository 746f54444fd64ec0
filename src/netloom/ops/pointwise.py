"""What elementwise operators have in common: which dtypes they take and give, and how their axes tie."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

from ..errors import ShapeError
from .arguments import Param, operand, tensor
from .dims import Dims, elementwise
from .dtypes import DTYPES, number_dtype, promote, real_of, to_float
from .operator import Operator, TensorType, broadcast
from .size import Size

_KINDS = ("bool", "integer", "float", "complex")


def kind_of(dtype: str) -> str:
    """``"bool"``, ``"integer"``, ``"float"`` or ``"complex"``."""
    return _KINDS[DTYPES[dtype][0]]


def require_kind(dtype: str, takes: str, what: str = "the operand") -> None:
    """Refuse a dtype whose kind is not among ``takes``: initials of bool, integer, float, complex."""
    kind = kind_of(dtype)
    if kind[0] not in takes:
        accepted = [name for name in _KINDS if name[0] in takes]
        kinds = " or ".join(filter(None, (", ".join(accepted[:-1]), accepted[-1])))
        article = "an" if accepted[0][0] in "aeiou" else "a"
        raise ShapeError(f"{what} cannot be {dtype}; convert it to {article} {kinds} dtype first")


def require_fit(value: Any, dtype: str, what: str) -> None:
    """Refuse a plain number that an integer dtype cannot hold; torch wraps negative integers into unsigned dtypes."""
    if kind_of(dtype) != "integer" or isinstance(value, complex | Size):
        return
    bits = 8 * DTYPES[dtype][1]
    unsigned = dtype.startswith("u")
    high = 2 ** (bits if unsigned else bits - 1) - 1
    low = (-high if isinstance(value, int) else 0) if unsigned else -high - 1
    if not low <= value <= high:
        span = f"{0 if unsigned else low} to {high}"
        raise ShapeError(f"{what} {value} does not fit {dtype}, which holds {span}; convert x first")


def unary_calls(*names: str, special: str = "") -> dict[str, str]:
    """``torch.NAME`` and ``Tensor.NAME`` for each of the names, and the names (by spaces) in torch.special."""
    calls = {f"torch.special.{name}": "x:input" for name in special.split()}
    for name in names:
        calls |= {f"torch.{name}": "x:input", f"Tensor.{name}": "x"}
    return calls


def binary_calls(*names: str, dunder: str = "", swapped: str = "", special: str = "") -> dict[str, str]:
    """``torch.NAME`` and ``Tensor.NAME`` for each name; Python's operator methods, straight and swapped (by spaces)."""
    calls = {f"torch.special.{name}": "x:input, y:other" for name in special.split()}
    for name in names:
        calls |= {f"torch.{name}": "x:input, y:other", f"Tensor.{name}": "x, y:other"}
    calls |= {f"Tensor.__{name}__": "x, y:other" for name in dunder.split()}
    calls |= {f"Tensor.__{name}__": "y, x:other" for name in swapped.split()}
    return calls


class Unary(Operator):
    """Base of elementwise functions of one tensor.

    ``takes``: initials of the kinds of dtype it accepts (bool, integer, float, complex). ``gives``: ``same``, ``float``
    (integers become float32), ``bool``, or ``real`` (complex numbers become real).
    """

    params: ClassVar[tuple[Param, ...]] = (tensor("x"),)
    takes: ClassVar[str] = "bifc"
    gives: ClassVar[str] = "same"

    def infer(self, a: SimpleNamespace) -> TensorType:
        require_kind(a.x.dtype, self.takes)
        return TensorType(self.result_dtype(a.x.dtype), a.x.shape)

    def result_dtype(self, dtype: str) -> str:
        """The dtype it makes of ``dtype``."""
        return {"same": dtype, "float": to_float(dtype), "bool": "bool", "real": real_of(dtype)}[self.gives]

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        return elementwise({"x": a.x.shape}, outputs[0].shape)


class FlatAtZero(Unary):
    """Base of elementwise functions whose derivative at 0 is 0, as torch has it: rectifiers, steps, squares."""

    def flat_at_zero(self, a: SimpleNamespace) -> bool:
        return True


class Broadcasting(Operator):
    """Base of elementwise functions of several tensors or numbers, which broadcast and promote together.

    ``takes`` holds for every operand, ``takes_promoted`` for the dtype they promote to. ``gives``: ``same`` (the promoted
    dtype), ``float`` (integers become float32), ``bool``.
    """

    takes: ClassVar[str] = "bifc"
    takes_promoted: ClassVar[str] = "bifc"
    gives: ClassVar[str] = "same"

    def operands(self, a: SimpleNamespace) -> dict[str, Any]:
        """The arguments that broadcast and promote, by name; absent ones left out."""
        values = {p.name: getattr(a, p.name) for p in self.params if p.kind in ("operand", "tensor")}
        return {name: value for name, value in values.items() if value is not None}

    def infer(self, a: SimpleNamespace) -> TensorType:
        values = self.operands(a)
        shapes = tensor_shapes(values)
        if not shapes:
            raise ShapeError(f"one of {', '.join(values)} must be a tensor; compute with plain numbers in Python")
        for name, value in values.items():
            require_kind(value.dtype if isinstance(value, TensorType) else number_dtype(value), self.takes, name)
        return TensorType(self.result_dtype(a), broadcast(*shapes.values()))

    def result_dtype(self, a: SimpleNamespace) -> str:
        """The dtype of the result."""
        dtype = promote(*self.operands(a).values())
        require_kind(dtype, self.takes_promoted, "the common dtype of the operands")
        return {"same": dtype, "float": to_float(dtype), "bool": "bool"}[self.gives]

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        return elementwise(tensor_shapes(self.operands(a)), outputs[0].shape)


class Binary(Broadcasting):
    """Base of elementwise functions of two operands."""

    params: ClassVar[tuple[Param, ...]] = (operand("x"), operand("y"))


def tensor_shapes(values: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    """Shapes of those values that are tensors."""
    return {name: value.shape for name, value in values.items() if isinstance(value, TensorType)}
