"""The language in which an operator says how its axes tie.

Every axis of every operand, weight and output is written as an *axis expression* over labels:

- ``"c"``: a label. The same label in two places means: the same indices, growing and shrinking together.
- ``Product(("g", "c"))``: the axis runs over all pairs, the first label slowest (flatten, heads, groups).
- ``Concat(("a", "b"))``: the indices of ``a`` followed by those of ``b`` (cat, split, fused projections).

A label in ``fixed`` may not change size through this operator (kernel positions, an axis that is rolled or sorted);
a label that stands alone in one place ties nothing. ``attrs`` says which attributes hold sizes, so that an edit of the
axes can restate them. The whole rule of an operator reads like an einops pattern:

    linear:  x (…, i)   weight (o, i)   bias (o)   →  (…, o)            attrs: out = o
    conv2d:  x (n, g·i, h, w)   weight (g·o, i, kh, kw)  →  (n, g·o, h', w')   attrs: out = g·o, groups = g
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import ShapeError


@dataclass(frozen=True, slots=True)
class Product:
    """An axis that runs over all combinations of its parts, the first part slowest."""

    parts: tuple[Axis, ...]


@dataclass(frozen=True, slots=True)
class Concat:
    """An axis made of its parts laid one after another."""

    parts: tuple[Axis, ...]


Axis = str | Product | Concat
Axes = tuple[Axis, ...]


@dataclass(frozen=True, slots=True)
class Dims:
    """How one node's axes tie; see the module's text for the language.

    ``operands`` maps the name of an argument to its axes (a tuple of those for an argument that is a list of
    tensors); ``outputs`` holds the axes of each output; ``attrs`` maps attributes to the axis (or a tuple of axes and
    plain values, for shapes) whose size they state; ``fixed`` names labels that may not change;
    ``multiples`` says that the size of a label must stay a multiple (label → factor), e.g. channels before a pixel shuffle;
    ``below`` that it must stay smaller than that of another label.

    What zeroing, removing or adding an index does, by label that is not fixed. Usually either of two things is true: a result
    that has the label depends, at each index, on that index of the operands alone, whatever the others are; or no result has
    it, and it is *summed over*: an index at which any one of the operands that have it is zero can be left out (the weights
    of a recurrent layer count as one operand). ``coupled`` names the labels of which that is not true, and what is instead:

    - ``"average"``: the (other) results stay the same when every index is repeated equally often: means, maxima, layer norm.
    - ``"zeros"``: an index at which all operands that have it are zero may be left out: directions of a length.
    - ``"rms"``: as ``"average"``, and new indices of zeros only scale the result, as `Operator.padded` says: RMS norm.
    - ``"other"``: nothing is promised: softmax, products, positions.

    ``summed`` names axes (argument or weight role, axis) that are summed over although a result has their label: what a
    recurrent state is multiplied by. The result depends on one index alone where these are zero at the others.

    ``numbered`` (label → output) says that a result holds numbers of indices of a label, which may not change while it is read.

    ``growing`` names factors of products that are one index now and may become several; others of one index never change.
    """

    operands: Mapping[str, Any]
    outputs: tuple[Axes, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    fixed: frozenset[str] = frozenset()
    multiples: Mapping[str, int] = field(default_factory=dict)
    coupled: Mapping[str, str] = field(default_factory=dict)
    summed: frozenset[tuple[str, int]] = frozenset()
    growing: frozenset[str] = frozenset()
    below: Mapping[str, str] = field(default_factory=dict)
    numbered: Mapping[str, int] = field(default_factory=dict)


def couple(tied: Dims, labels: Iterable[str], kind: str) -> Dims:
    """``tied`` with labels that are coupled in the way ``kind`` names; see `Dims`."""
    return replace(tied, coupled={**tied.coupled, **dict.fromkeys(labels, kind)})


def labels(axis: Any) -> list[str]:
    """All labels of an axis, or of a nested tuple of axes, in order of appearance."""
    if isinstance(axis, str):
        return [axis]
    if isinstance(axis, Product | Concat):
        return [label for part in axis.parts for label in labels(part)]
    if isinstance(axis, tuple | list):
        return [label for part in axis for label in labels(part)]
    return []


def size_of(axis: Axis, sizes: Mapping[str, Any]) -> Any:
    """The size of an axis when every label has the size given.

    >>> size_of(Product(("g", Concat(("a", "b")))), {"g": 2, "a": 3, "b": 4})
    14
    """
    if isinstance(axis, str):
        return sizes[axis]
    total: Any = 1 if isinstance(axis, Product) else 0
    for part in axis.parts:
        total = total * size_of(part, sizes) if isinstance(axis, Product) else total + size_of(part, sizes)
    return total


def names(prefix: str, rank: int) -> tuple[str, ...]:
    """``rank`` labels ``prefix0, prefix1, …``."""
    return tuple(f"{prefix}{i}" for i in range(rank))


def elementwise(operands: Mapping[str, tuple[Any, ...]], output: tuple[Any, ...], prefix: str = "d") -> Dims:
    """Dims of a broadcasting operator: ``operands`` and ``output`` are shapes; axes of size 1 that stretch are untied."""
    out_axes = names(prefix, len(output))
    axes: dict[str, Any] = {}
    fixed: set[str] = set()
    for name, shape in operands.items():
        offset = len(output) - len(shape)
        row: list[str] = []
        for i, size in enumerate(shape):
            if size == output[offset + i]:
                row.append(out_axes[offset + i])
            else:
                label = f"{name}_{i}"
                row.append(label)
                fixed.add(label)
        axes[name] = tuple(row)
    return Dims(axes, (out_axes,), fixed=frozenset(fixed))


def regroup(before: tuple[Any, ...], after: tuple[Any, ...], prefix: str = "r") -> tuple[Axes, Axes]:
    """Axes of a reshape: both shapes cut into the finest runs of equal products.

    >>> regroup((2, 3, 4), (2, 12))
    (('r0', 'r1', 'r2'), ('r0', Product(parts=('r1', 'r2'))))
    """
    left: list[list[str]] = [[] for _ in before]
    right: list[list[str]] = [[] for _ in after]
    count = 0
    i = j = 0
    rest_i: Any = before[0] if before else 1
    rest_j: Any = after[0] if after else 1
    while i < len(before) and j < len(after):
        common = _common(rest_i, rest_j)
        if common is None:
            raise ShapeError(f"cannot follow the axes of a reshape from {before} to {after}")
        if common != 1 or rest_i == rest_j == 1:
            label = f"{prefix}{count}"
            count += 1
            left[i].append(label)
            right[j].append(label)
        rest_i, rest_j = _over(rest_i, common), _over(rest_j, common)
        step_i, step_j = rest_i == 1, rest_j == 1
        if step_i:
            i += 1
            rest_i = before[i] if i < len(before) else 1
        if step_j:
            j += 1
            rest_j = after[j] if j < len(after) else 1
    return _joined(left, prefix + "x"), _joined(right, prefix + "y")


def _common(a: Any, b: Any) -> Any:
    if a == b:
        return a
    for big, small in ((a, b), (b, a)):
        if isinstance(big, int) and not isinstance(small, int):
            continue  # no number is a multiple of a free size
        try:
            if not isinstance(small, int) or small != 0:
                if big % small == 0:
                    return small
        except ShapeError:
            pass
    return None


def _over(a: Any, b: Any) -> Any:
    return 1 if a == b else a // b


def _joined(rows: list[list[str]], spare: str) -> Axes:
    axes: list[Axis] = []
    for k, row in enumerate(rows):
        if not row:
            axes.append(f"{spare}{k}")
        elif len(row) == 1:
            axes.append(row[0])
        else:
            axes.append(Product(tuple(row)))
    return tuple(axes)
