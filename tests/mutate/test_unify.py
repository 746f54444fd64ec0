"""Union–find over axes: what aligns is cut as fine as it must be, and whatever the forms, tied axes keep equal indices."""

from __future__ import annotations

from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from netloom.mutate.unify import Unifier


def tied(axes: Unifier, a: int, b: int) -> None:
    axes.at = "the test"
    axes.tie(a, b)
    axes.solve()


def sizes(axes: Unifier, variable: int) -> list[int]:
    return [axes.size[leaf] for leaf in axes.occurrences(variable)]


def new(axes: Unifier, *given: int) -> list[int]:
    return [axes.new(size) for size in given]


def test_equal_axes_are_one() -> None:
    axes = Unifier()
    a, b = new(axes, 4, 4)
    tied(axes, a, b)
    assert axes.find(a) == axes.find(b)


def test_concatenations_are_cut_at_all_boundaries() -> None:
    axes = Unifier()
    a, b, c, d = new(axes, 3, 5, 6, 2)
    tied(axes, axes.concat((a, b)), axes.concat((c, d)))
    assert (sizes(axes, a), sizes(axes, b), sizes(axes, c), sizes(axes, d)) == ([3], [3, 2], [3, 3], [2])
    assert axes.leaves(c) == (axes.find(a), axes.leaves(b)[0])
    assert not any(map(axes.is_frozen, (a, b, c, d)))


def test_products_are_split_into_common_factors_from_both_ends() -> None:
    axes = Unifier()
    a, b, c, d = new(axes, 12, 5, 4, 15)
    tied(axes, axes.product((a, b)), axes.product((c, d)))
    assert (sizes(axes, a), sizes(axes, b), sizes(axes, d)) == ([4, 3], [5], [3, 5])
    assert not any(map(axes.is_frozen, (a, b, c, d)))


def test_a_product_is_copies_where_a_concatenation_has_its_boundaries() -> None:
    axes = Unifier()
    three, width, q, k, v = new(axes, 3, 8, 8, 8, 8)
    tied(axes, axes.product((three, width)), axes.concat((q, k, v)))
    assert {axes.find(each) for each in (q, k, v)} == {axes.find(width)}
    assert axes.is_frozen(three) and not axes.is_frozen(width)


def test_groups_are_cut_where_a_concatenation_of_groups_is() -> None:
    axes = Unifier()
    groups, channels, a, b = new(axes, 6, 4, 8, 16)
    tied(axes, axes.product((groups, channels)), axes.concat((a, b)))
    assert sizes(axes, groups) == [2, 4] and sizes(axes, a) == [2, 4] and sizes(axes, b) == [4, 4]
    assert axes.leaves(a)[1] == axes.leaves(b)[1] == axes.find(channels)
    assert not axes.is_frozen(groups)


def test_a_shuffle_cut_inside_a_pair_is_tied_index_by_index() -> None:
    axes = Unifier()
    channels, two, first, second = new(axes, 3, 2, 3, 3)
    axes.freeze(two, "counts branches")
    tied(axes, axes.product((channels, two)), axes.concat((first, second)))
    # (0 0 1 1 2 2) is cut into (0 0 1) and (1 2 2).
    units = axes.leaves(channels)
    assert axes.occurrences(first) == [units[0], units[0], units[1]]
    assert axes.occurrences(second) == [units[1], units[2], units[2]]
    assert not axes.is_frozen(channels)


def test_factors_that_do_not_align_freeze_what_only_counts() -> None:
    axes = Unifier()
    a, b, c, d = new(axes, 2, 3, 3, 2)
    tied(axes, axes.product((a, b)), axes.product((c, d)))
    assert axes.is_frozen(a) and axes.is_frozen(d)
    assert axes.reason(a) == "counts 2 copies at the test"
    # What is left: index i // 2 of one goes with index i % 3 of the other; that ties all of them together.
    assert len({*axes.leaves(b), *axes.leaves(c)}) == 1


def test_freezing_reaches_what_is_tied_before_and_after() -> None:
    axes = Unifier()
    a, b, c = new(axes, 3, 5, 8)
    axes.freeze(c, "the input")
    tied(axes, axes.concat((a, b)), c)
    assert axes.reason(a) == axes.reason(b) == "the input"


def test_sizes_that_differ_freeze_instead_of_lying() -> None:
    axes = Unifier()
    a, b = new(axes, 3, 4)
    tied(axes, a, b)
    assert axes.reason(a) == axes.reason(b) == "3 and 4 indices meet at the test"


# -- any system of ties ------------------------------------------------------------------------------------------------
@st.composite
def factorisations(draw: Any, axes: Unifier, size: int, pool: dict[int, list[int]], depth: int = 2) -> int:
    """A variable of a size: a new or known one, or a product or concatenation of such."""
    kind = draw(st.sampled_from(("old", "new", "product", "concat"))) if depth else draw(st.sampled_from(("old", "new")))
    divisors = [k for k in range(2, size) if size % k == 0]
    if kind == "product" and divisors:
        first = draw(st.sampled_from(divisors))
        parts = [draw(factorisations(axes, part, pool, depth - 1)) for part in (first, size // first)]
        return axes.product(parts)
    if kind == "concat" and size > 1:
        first = draw(st.integers(1, size - 1))
        parts = [draw(factorisations(axes, part, pool, depth - 1)) for part in (first, size - first)]
        return axes.concat(parts)
    if kind == "old" and pool.get(size):
        return draw(st.sampled_from(pool[size]))
    variable = axes.new(size)
    pool.setdefault(size, []).append(variable)
    return variable


def alive(axes: Unifier, variable: int, kept: dict[int, set[int]]) -> list[bool]:
    """Which indices of an axis stay when of every atom those in ``kept`` do."""
    root = axes.find(variable)
    form = axes.form(root)
    if form is None:
        return [i in kept[root] if root in kept else True for i in range(axes.size[root])]
    parts = [alive(axes, part, kept) for part in form[1]]
    if form[0] == "concat":
        return [flag for part in parts for flag in part]
    flags = [True]
    for part in parts:
        flags = [slow and fast for slow in flags for fast in part]
    return flags


@given(st.data())
def test_tied_axes_keep_the_same_indices_whatever_is_removed(data: Any) -> None:
    axes, pool = Unifier(), {}
    axes.at = "the test"
    pairs = []
    for _ in range(data.draw(st.integers(1, 4))):
        size = data.draw(st.sampled_from((2, 4, 6, 8, 12, 24, 30)))
        pairs.append((data.draw(factorisations(axes, size, pool)), data.draw(factorisations(axes, size, pool))))
    if pool and data.draw(st.booleans()):
        axes.freeze(data.draw(st.sampled_from([v for known in pool.values() for v in known])), "a border")
    for a, b in pairs:
        axes.tie(a, b)
    axes.solve()
    leaves = {leaf for a, b in pairs for leaf in (*axes.leaves(a), *axes.leaves(b))}
    kept = {
        leaf: {i for i in range(axes.size[leaf]) if data.draw(st.booleans())}
        for leaf in sorted(leaves)
        if not axes.reason(leaf)
    }
    assume(leaves)
    for a, b in pairs:
        assert axes.size[a] == axes.size[b] == len(alive(axes, a, {}))
        assert alive(axes, a, kept) == alive(axes, b, kept)
