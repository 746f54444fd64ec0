"""Matrix products and Einstein sums against torch: types, bits, dimension rules and FLOPs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import netloom as nl
from netloom.errors import AttributeValueError, ShapeError
from netloom.ops.einsum import normal_equation
from tests.ops.flops import counted, stated, values
from tests.ops.replay import evaluated, replay


def rand(*shape: int) -> torch.Tensor:
    return torch.randn(*shape)


SAME_AS_TORCH: list[tuple[Any, ...]] = [
    ("matmul", "Tensor.__matmul__", rand(2, 1, 3, 4), rand(5, 4, 6)),
    ("matmul", "torch.matmul", rand(4), rand(2, 4, 3)),
    ("matmul", "Tensor.matmul", rand(3, 4), rand(4)),
    ("matmul", "Tensor.__rmatmul__", rand(4, 3), rand(2, 4)),
    ("mm", "torch.mm", rand(3, 4), rand(4, 2)),
    ("bmm", "Tensor.bmm", rand(2, 3, 4), rand(2, 4, 5)),
    ("mv", "torch.mv", rand(3, 4), rand(4)),
    ("dot", "torch.dot", rand(4), rand(4)),
    ("outer", "torch.ger", rand(3), rand(4)),
    ("kron", "torch.kron", rand(2, 3), rand(4)),
    ("addmm", "torch.addmm", rand(5), rand(3, 4), rand(4, 5)),
    ("addbmm", "torch.addbmm", rand(3, 5), rand(2, 3, 4), rand(2, 4, 5)),
    ("baddbmm", "torch.baddbmm", rand(1, 3, 5), rand(2, 3, 4), rand(2, 4, 5)),
    ("tensordot", "torch.tensordot", rand(2, 3, 4), rand(3, 4, 5), 2),
    ("tensordot", "torch.tensordot", rand(2, 3, 4), rand(4, 5, 2), ([0, -1], [2, 0])),
    ("cdist", "torch.cdist", rand(2, 3, 4), rand(5, 4), 1.0),
    ("einsum", "torch.einsum", "bhid,bhjd->bhij", rand(2, 3, 4, 5), rand(2, 3, 6, 5)),
    ("einsum", "torch.einsum", "...ij, ...jk", rand(2, 1, 3, 4), rand(5, 4, 6)),
    ("einsum", "torch.einsum", "ii->i", rand(3, 3)),
    ("einsum", "torch.einsum", "i,j", [rand(3), rand(4)]),
    ("einsum", "torch.einsum", "zbA,Ac->bcz", rand(2, 1, 3), rand(3, 4)),
]


@pytest.mark.parametrize("case", SAME_AS_TORCH, ids=lambda case: f"{case[1]}-{len(case)}")
def test_same_as_torch(case: tuple[Any, ...]) -> None:
    replay(*case)


def test_scaled_sum_of_a_product() -> None:
    made = replay("addmm", "Tensor.addmm", rand(3, 1), rand(3, 4), rand(4, 5), beta=0.5, alpha=2)
    assert (made["beta"], made["alpha"]) == (0.5, 2)
    assert replay("addmm", "torch.addmm", rand(5), rand(3, 4), rand(4, 5), beta=1.0)["beta"] == 1


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("bij,bjk->bik", "abc,acd->abd"),
        (" b i j , b j k -> b i k ", "abc,acd->abd"),
        ("ij,jk", "ab,bc->ac"),
        ("...ij,jk", "...ab,bc->...ac"),
        ("ba", "ba->ab"),  # an output left out is in alphabetical order
        ("Zab,Z->ab", "abc,a->bc"),  # torch sorts capitals first
        ("ii", "aa->"),
    ],
)
def test_equal_equations_read_equal(given: str, normal: str) -> None:
    assert normal_equation(given) == normal and normal_equation(normal) == normal


@st.composite
def equations(draw: st.DrawFn) -> tuple[str, list[tuple[int, ...]]]:
    sizes = dict(zip("abcXY", draw(st.lists(st.integers(1, 4), min_size=5, max_size=5))))
    rows = draw(st.lists(st.lists(st.sampled_from("abcXY"), max_size=4), min_size=1, max_size=3))
    used = sorted({letter for row in rows for letter in row})
    output = draw(st.permutations(used)) if used else []
    output = output[: draw(st.integers(0, len(output)))]
    equation = ",".join("".join(row) for row in rows) + draw(st.sampled_from(["", f"->{''.join(output)}"]))
    return equation, [tuple(sizes[letter] for letter in row) for row in rows]


@settings(max_examples=150)
@given(equations())
def test_random_equations(case: tuple[str, list[tuple[int, ...]]]) -> None:
    equation, shapes = case
    replay("einsum", "torch.einsum", equation, *(torch.randn(shape) for shape in shapes))
    made = nl.einsum(*values(*shapes), equation=equation)
    assert stated(made) == counted(lambda *operands: torch.einsum(equation, *operands), *shapes)


@pytest.mark.parametrize(
    "shapes",
    [((3, 4), (4, 5)), ((2, 3, 4), (4, 5)), ((4,), (4, 5)), ((3, 4), (4,)), ((2, 3, 4), (4,)), ((2, 1, 3, 4), (5, 4, 6))],
)
def test_flops_of_matmul_are_those_torch_counts(shapes: tuple[tuple[int, ...], ...]) -> None:
    assert stated(nl.matmul(*values(*shapes))) == counted(torch.matmul, *shapes)


def test_attention_by_einsum_ties_heads_and_tokens() -> None:
    made = evaluated("einsum", "torch.einsum", ("bhid,bhjd->bhij", rand(2, 3, 4, 5), rand(2, 3, 6, 5)), {})
    assert made is not None
    kind, call, _ = made
    dims = kind.dims(call.types, call.outputs)
    (b, h, i, d), (b2, h2, j, d2) = dims.operands["operands"]
    assert (b, h, d) == (b2, h2, d2) and dims.outputs == ((b, h, i, j),) and not dims.fixed


@pytest.mark.parametrize(
    ("error", "message", "make"),
    [
        (ShapeError, "N×3×4 and N×5×6 do not multiply: 4 columns against 5 rows; transpose one", lambda x: x @ nl.input(5, 6)),
        (ShapeError, "equal dtypes, not float32 and int64", lambda x: x @ nl.input(4, 6, dtype="int64")),
        (ShapeError, "'c' has sizes 4 and 5", lambda x: nl.einsum(x, nl.input(5, 6), equation="nbc,ncd->nbd")),
        (ShapeError, "'ab' in 'ab->a' does not name the 3 axes of N×3×4", lambda x: nl.einsum(x, equation="ab->a")),
        (ShapeError, "has 2 operands, got 1", lambda x: nl.einsum(x, equation="abc,abc->a")),
        (AttributeValueError, "equation = 'a1'; expected an equation such as", lambda x: nl.einsum(x, equation="a1")),
        (AttributeValueError, "repeats no letter", lambda x: nl.einsum(x, equation="abc->aa")),
        (AttributeValueError, "two lists of axes of equal length", lambda x: nl.tensordot(x, x, ((0,), (0, 1)))),
        (ShapeError, "must have 3 and 3 axes", lambda x: nl.bmm(x, nl.parameter(4, 5))),
        (ShapeError, "not rows of equal length", lambda x: nl.cdist(x, nl.input(5, 6))),
    ],
)
def test_refusals_name_value_expectation_and_mend(error: type[Exception], message: str, make: Any) -> None:
    with pytest.raises(error) as caught:
        make(nl.input(3, 4))
    assert message in str(caught.value)
