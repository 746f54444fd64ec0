"""Contractions of any number of tensors: Einstein summation, and products of a chain of matrices."""

from __future__ import annotations

import string
from math import prod
from types import SimpleNamespace
from typing import Any, NamedTuple

from ..errors import ShapeError
from .arguments import attr, tensors
from .dims import Dims
from .dtypes import is_integer, promote_pair
from .matmul import same_dtype
from .operator import Operator, TensorType, pretty


class Equation(NamedTuple):
    """A parsed equation: letters of each operand and of the output, where ``"..."`` is one entry."""

    operands: tuple[tuple[str, ...], ...]
    output: tuple[str, ...]


class Contraction(NamedTuple):
    """One product of two operands: the right one, sizes of the axes summed over both, and sizes of those that stay."""

    right: TensorType
    common: tuple[Any, ...]
    kept: tuple[Any, ...]


def parse_equation(text: str) -> Equation:
    """The operands and output of an equation; an output left out is every letter that occurs once, in order.

    >>> parse_equation("bij, bjk")
    Equation(operands=(('b', 'i', 'j'), ('b', 'j', 'k')), output=('i', 'k'))
    """
    left, arrow, right = text.replace(" ", "").partition("->")
    operands = tuple(_letters(part, text) for part in left.split(","))
    if arrow:
        output = _letters(right, text)
        known = {entry for row in operands for entry in row}
        unknown = [entry for entry in output if entry not in known and entry != "..."]
        if unknown or len(set(output)) != len(output):
            raise ValueError(f"an equation whose output repeats no letter and takes them from the operands, not {text!r}")
    else:
        flat = [entry for row in operands for entry in row if entry != "..."]
        once = tuple(sorted(letter for letter in set(flat) if flat.count(letter) == 1))
        output = (("...",) if any("..." in row for row in operands) else ()) + once
    return Equation(operands, output)


def _letters(part: str, text: str) -> tuple[str, ...]:
    row = tuple(part.replace("...", "\0"))
    if any(c not in string.ascii_letters and c != "\0" for c in row) or row.count("\0") > 1:
        raise ValueError(f"an equation such as 'bij,bjk->bik', not {text!r}")
    return tuple("..." if c == "\0" else c for c in row)


def normal_equation(text: str) -> str:
    """The equation with its output written out and letters renamed in order, so that equal sums read equal.

    The order of the letters is kept: torch sums in alphabetical order, and the order shows in the last bits.

    >>> normal_equation("n q d, n k d -> n q k")
    'cda,cba->cdb'
    """
    parsed = parse_equation(text)
    used = sorted({entry for row in parsed.operands for entry in row if entry != "..."})
    alphabet = string.ascii_lowercase if len(used) <= 26 else string.ascii_uppercase + string.ascii_lowercase
    rename = dict(zip(used, alphabet)) | {"...": "..."}
    rows = ["".join(rename[entry] for entry in row) for row in (*parsed.operands, parsed.output)]
    return f"{','.join(rows[:-1])}->{rows[-1]}"


def checked_equation(value: Any) -> str:
    """The equation as it was given, so that errors quote it, once it is known to parse."""
    if not isinstance(value, str) or len(value) > 500:
        raise ValueError("an equation such as 'bij,bjk->bik'")
    parse_equation(value)
    return value


class Einsum(Operator):
    """Sums of products of tensors, by an equation.

    >>> import netloom as nl
    >>> nl.einsum(nl.input(8, 16), nl.input(12, 16), equation="bqd,bkd->bqk").shape
    (Size('N'), 8, 12)
    """

    name = "einsum"
    params = (tensors("operands"), attr("equation", checked_equation))
    code = "torch.einsum({equation}, {operands})"
    calls = dict.fromkeys(("torch.einsum", "torch.functional.einsum"), "equation, *operands")

    def from_call(self, call: dict[str, Any], type_of: Any) -> dict[str, Any] | None:
        operands = call["operands"]
        if len(operands) == 1 and type(operands[0]) in (tuple, list):
            operands = tuple(operands[0])
        return {"operands": operands, "equation": call["equation"]} if isinstance(call["equation"], str) else None

    def rows(self, a: SimpleNamespace) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
        """Labels of every axis of the operands and of the output: ``...`` becomes e0, e1, … from the right."""
        equation = parse_equation(a.equation)
        if len(equation.operands) != len(a.operands):
            raise ShapeError(f"equation {a.equation!r} has {len(equation.operands)} operands, got {len(a.operands)}")
        hidden = []
        for row, operand in zip(equation.operands, a.operands):
            extra = operand.rank - sum(entry != "..." for entry in row)
            if extra < 0 or (extra and "..." not in row):
                letters, shape = "".join(row), pretty(operand.shape)
                raise ShapeError(f"'{letters}' in {a.equation!r} does not name the {operand.rank} axes of {shape}")
            hidden.append(extra)
        most = max(hidden)
        rows = [_expand(row, most, extra) for row, extra in zip(equation.operands, hidden)]
        return rows, _expand(equation.output, most, most)

    def sizes(self, a: SimpleNamespace, rows: list[tuple[str, ...]]) -> dict[str, Any]:
        """Size of every label; `ShapeError` where axes of one label differ (1 stretches)."""
        sizes: dict[str, Any] = {}
        for row, operand in zip(rows, a.operands):
            within: dict[str, Any] = {}
            for label, size in zip(row, operand.shape):
                if within.setdefault(label, size) != size:
                    raise ShapeError(f"'{label}' has sizes {within[label]} and {size} in one operand of {a.equation!r}")
                known = sizes.get(label, 1)
                if known == 1:
                    sizes[label] = size
                elif size not in (1, known):
                    raise ShapeError(f"'{label}' has sizes {known} and {size} in {a.equation!r}; they must be equal")
        return sizes

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        rows, _ = self.rows(a)
        self.sizes(a, rows)
        return {"equation": normal_equation(a.equation)}

    def infer(self, a: SimpleNamespace) -> TensorType:
        rows, output = self.rows(a)
        sizes = self.sizes(a, rows)
        dtype = a.operands[0].dtype
        for step in self.contractions(a):
            dtype = same_dtype(TensorType(dtype, ()), step.right) if step.common else promote_pair(dtype, step.right.dtype)
        if is_integer(dtype) and set(sizes) - set(output) and not self.contractions(a):
            dtype = "int64"  # a lone operand is summed as torch sums integers
        return TensorType(dtype, tuple(sizes[label] for label in output))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows, output = self.rows(a)
        sizes = self.sizes(a, rows)
        tied: list[tuple[str, ...]] = []
        fixed: set[str] = set()
        for k, (row, operand) in enumerate(zip(rows, a.operands)):
            labels = tuple(label if size == sizes[label] else f"{label}_{k}" for label, size in zip(row, operand.shape))
            fixed.update(label for label in labels if "_" in label)
            tied.append(labels)
        return Dims({"operands": tuple(tied)}, (output,), fixed=frozenset(fixed))

    def terms(self, a: SimpleNamespace, label: str, dims: Dims) -> tuple[str, ...]:
        return (" ".join(f"operands[{k}]" for k in range(len(a.operands))),)

    def contractions(self, a: SimpleNamespace) -> list[Contraction]:
        """The products from left to right, as torch makes them without an optimising package."""
        rows, output = self.rows(a)
        shapes = [dict(zip(row, operand.shape)) for row, operand in zip(rows, a.operands)]
        left, found = shapes[0], []
        for k, right in enumerate(shapes[1:], 1):
            needed = {*output, *(label for later in shapes[k + 1 :] for label, size in later.items() if size != 1)}
            # A label of one operand alone is summed before; without common ones torch multiplies elementwise.
            common = [label for label in left if label not in needed and left[label] != 1 and right.get(label, 1) != 1]
            joint = {label: _larger(left, right, label) for label in {**left, **right} if label in needed}
            found.append(Contraction(a.operands[k], tuple(left[label] for label in common), tuple(joint.values())))
            left = joint
        return found

    def flops(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Any:
        total: Any = 0
        for step in self.contractions(a):
            if step.common:
                total = total + 2 * prod(step.common) * prod(step.kept)
        return total


class MultiDot(Operator):
    """Matrix product of a chain, in the order that takes the fewest multiplications: (a, b), (b, c), (c, d), … → (a, z).

    The first and the last may be vectors, whose axis goes away.

    >>> import netloom as nl
    >>> x, w, v = nl.input(8), nl.parameter(8, 4), nl.parameter(4)
    >>> nl.multi_dot(x, w, v).shape
    (Size('N'),)
    """

    name = "multi_dot"
    params = (tensors("tensors"),)
    code = "torch.linalg.multi_dot({tensors})"
    calls = {"torch.linalg.multi_dot": "tensors", "torch.chain_matmul": "*tensors"}

    def infer(self, a: SimpleNamespace) -> TensorType:
        dtype, count = same_dtype(*a.tensors), len(a.tensors)
        if count < 2:
            raise ShapeError("multi_dot takes at least 2 tensors, not 1")
        for k, t in enumerate(a.tensors):
            if t.rank != 2 and not (t.rank == 1 and k in (0, count - 1)):
                raise ShapeError(f"tensor {k} is {pretty(t.shape)}; expected matrices, or vectors at the ends")
        for left, right in zip(a.tensors, a.tensors[1:]):
            if left.shape[-1] != right.shape[0]:
                raise ShapeError(
                    f"{pretty(left.shape)} and {pretty(right.shape)} do not multiply: {left.shape[-1]} columns against "
                    f"{right.shape[0]} rows; transpose one of them"
                )
        return TensorType(dtype, (*a.tensors[0].shape[:-1], *a.tensors[-1].shape[1:]))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows: list[tuple[str, ...]] = [(f"d{k}", f"d{k + 1}") for k in range(len(a.tensors))]
        if a.tensors[0].rank == 1:
            rows[0] = rows[0][1:]
        if a.tensors[-1].rank == 1:
            rows[-1] = rows[-1][:1]
        return Dims({"tensors": tuple(rows)}, ((*rows[0][:-1], *rows[-1][1:]),))

    def terms(self, a: SimpleNamespace, label: str, dims: Dims) -> tuple[str, ...]:
        return (" ".join(f"tensors[{k}]" for k in range(len(a.tensors))),)

    def flops(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Any:
        first, last = a.tensors[0], a.tensors[-1]
        rows, columns = 1 if first.rank == 1 else first.shape[0], 1 if last.rank == 1 else last.shape[1]
        sizes = [rows, *(t.shape[0] for t in a.tensors[1:]), columns]
        # Multiplications for the product of the tensors from i up to but without j.
        best: dict[tuple[int, int], Any] = {(i, i + 1): 0 for i in range(len(a.tensors))}
        for width in range(2, len(sizes)):
            for i in range(len(sizes) - width):
                j = i + width
                splits = [best[i, k] + best[k, j] + sizes[i] * sizes[k] * sizes[j] for k in range(i + 1, j)]
                best[i, j] = min(splits)
        return 2 * best[0, len(a.tensors)]


def _larger(left: dict[str, Any], right: dict[str, Any], label: str) -> Any:
    return right.get(label, 1) if left.get(label, 1) == 1 else left[label]


def _expand(row: tuple[str, ...], most: int, extra: int) -> tuple[str, ...]:
    hidden = tuple(f"e{i}" for i in range(most - extra, most))
    return tuple(label for entry in row for label in (hidden if entry == "..." else (entry,)))
