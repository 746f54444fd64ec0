"""Union–find over axes whose classes may be products or concatenations of other axes.

A *variable* is an axis of a known size. To tie two variables says that index i of one is index i of the other, for
every i. A class without a form is an atom; a class with a form is the product (first part slowest) or the concatenation
of other classes. Tying two classes that both have forms finds the finest common structure of both:

- concatenations are cut at the boundaries of either;
- products are split into common factors, from the slow end and from the fast end;
- a product is cut along its slowest factor where a concatenation has its boundaries: pieces of one index are copies of
  the rest of the product, so that three copies of (heads · width) side by side are (3 · heads · width).

These steps lose nothing: every set of indices that fits both forms fits the result. Where forms do not align, what is
left waits until everything else is settled, and is then tied index by index, with the factor that only counts copies
frozen. A frozen atom never changes its size and carries the reason.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

from ..errors import ShapeError
from ..ops import Size

#: Longest axis that is tied index by index; longer ones are frozen.
MOST_UNITS = 20_000

PRODUCT, CONCAT = "product", "concat"
Form = tuple[str, tuple[int, ...]]


class Unifier:
    """Variables are ints. ``at`` says where the ties that are made now come from; it goes into reasons for freezing.

    >>> axes = Unifier()
    >>> a, b, c, d = axes.new(2), axes.new(3), axes.new(1), axes.new(4)
    >>> axes.tie(axes.concat((a, b)), axes.concat((c, d)))
    >>> axes.solve()
    >>> [axes.size[v] for v in axes.leaves(b)], axes.leaves(d) == (*axes.leaves(a)[1:], *axes.leaves(b))
    ([3], True)
    """

    def __init__(self) -> None:
        self.size: list[Any] = []
        self.at = ""
        self._parent: list[int] = []
        self._form: list[Form | None] = []
        self._frozen: list[str] = []
        self._rigid: list[bool] = []
        self._growing: set[int] = set()
        self._ready: deque[tuple[int, int, str]] = deque()
        self._later: deque[tuple[int, int, str]] = deque()

    # -- variables -----------------------------------------------------------------------------------------------------
    def new(self, size: Any, form: Form | None = None) -> int:
        self.size.append(size)
        self._parent.append(len(self._parent))
        self._form.append(form)
        self._frozen.append("")
        self._rigid.append(False)
        return len(self._parent) - 1

    def product(self, parts: Sequence[int], growing: bool = False) -> int:
        """The axis of all combinations. Factors of one index are left out, and stay that size, unless they are ``growing``."""
        kept = []
        if any(self.size[part] == 0 for part in parts):
            self._give_up(parts, "nothing in it")
            return self.new(0)
        for part in parts:
            if self.size[part] == 1 and growing:
                self._growing.add(part)
            if self.size[part] == 1 and not growing:
                self.freeze(part, f"a single factor at {self.at}")
            else:
                kept.append(part)
        if len(kept) < 2:
            return (kept or list(parts))[0]
        return self.new(prod(self.size[part] for part in kept), (PRODUCT, tuple(kept)))

    def concat(self, parts: Sequence[int]) -> int:
        """The axis of the parts one after another; empty ones are left out."""
        kept = []
        for part in parts:
            if self.size[part] == 0:
                self.freeze(part, f"nothing in it at {self.at}")
            else:
                kept.append(part)
        if len(kept) < 2:
            return (kept or list(parts))[0]
        return self.new(sum(self.size[part] for part in kept), (CONCAT, tuple(kept)))

    def find(self, variable: int) -> int:
        parent = self._parent
        while parent[variable] != variable:
            parent[variable] = parent[parent[variable]]
            variable = parent[variable]
        return variable

    def form(self, variable: int) -> Form | None:
        return self._form[self.find(variable)]

    def leaves(self, variable: int) -> tuple[int, ...]:
        """The atoms of an axis in order, without repeats."""
        root = self.find(variable)
        return (root,) if self._form[root] is None else tuple(dict.fromkeys(self.occurrences(root)))

    def occurrences(self, variable: int) -> list[int]:
        """The atoms of an axis in order, as often as they occur."""
        found: list[int] = []
        stack = [variable]
        while stack:
            root = self.find(stack.pop())
            form = self._form[root]
            if form is None:
                found.append(root)
            else:
                stack.extend(reversed(form[1]))
        return found

    # -- freezing ------------------------------------------------------------------------------------------------------
    def freeze(self, variable: int, reason: str) -> None:
        """Let the axis never change; the first reason is the one that is kept."""
        for leaf in self.leaves(variable):
            self._frozen[leaf] = self._frozen[leaf] or reason

    def reason(self, variable: int) -> str:
        """Why an atom is frozen, "" where it is not."""
        return self._frozen[self.find(variable)]

    def is_frozen(self, variable: int) -> bool:
        return all(self._frozen[leaf] for leaf in self.leaves(variable))

    def is_rigid(self, variable: int) -> bool:
        """Whether an atom is an index that was tied by itself: it may go, but nothing says where another would stand."""
        return self._rigid[self.find(variable)]

    def _stiffen(self, variable: int) -> None:
        for leaf in self.leaves(variable):
            self._rigid[leaf] = True

    # -- ties ----------------------------------------------------------------------------------------------------------
    def tie(self, a: int, b: int) -> None:
        """Index i of one is index i of the other. What takes work is left to `solve`."""
        a, b = self.find(a), self.find(b)
        if a == b:
            return
        if self.size[a] != self.size[b]:
            for variable in (a, b):
                self.freeze(variable, f"{self.size[a]} and {self.size[b]} indices meet at {self.at}")
        elif self._form[a] is None:
            self._bind(a, b)
        elif self._form[b] is None:
            self._bind(b, a)
        else:
            self._ready.append((a, b, self.at))

    def _bind(self, atom: int, other: int) -> None:
        if self._growing and self._form[other] is not None and atom in self.occurrences(other):
            self._drop_factors(other, atom)
            return
        self._parent[atom] = other
        if self._frozen[atom]:
            self.freeze(other, self._frozen[atom])
        if self._rigid[atom]:
            self._stiffen(other)

    def _drop_factors(self, whole: int, atom: int) -> None:
        """Where a product is the same axis as one of its factors, its others are one index for good."""
        for leaf in self.leaves(whole):
            if leaf != atom:
                self.freeze(leaf, f"a single factor at {self.at}")
        self._form[whole] = None
        self._parent[whole] = atom

    def growing(self) -> set[int]:
        """The atoms that are factors of one index and may become several."""
        return set(map(self.find, self._growing))

    def solve(self) -> None:
        """Settle all ties: first those that lose nothing, then, one at a time, those that freeze something."""
        while self._ready or self._later:
            careful = bool(self._ready)
            a, b, self.at = (self._ready if careful else self._later).popleft()
            a, b = self.find(a), self.find(b)
            if a == b:
                continue
            if self._form[a] is None or self._form[b] is None:
                self.tie(a, b)
            elif self._spread_frozen(a, b) or self._align(a, b, careful):
                self._merge(self.find(a), self.find(b))
            else:
                self._later.append((a, b, self.at))

    def _merge(self, a: int, b: int) -> None:
        if self._growing and self._is_inside(b, a):
            a, b = b, a
        self._parent[b] = a

    def _is_inside(self, part: int, whole: int) -> bool:
        form = self._form[whole]
        return form is not None and any(found == part or self._is_inside(part, found) for found in map(self.find, form[1]))

    def _spread_frozen(self, a: int, b: int) -> bool:
        """Where one of the two never changes, neither does the other, and their forms do not matter."""
        for one, other in ((a, b), (b, a)):
            if self.is_frozen(one):
                self.freeze(other, self.reason(self.leaves(one)[0]))
                return True
        return False

    def _align(self, a: int, b: int, careful: bool) -> bool:
        kinds = self._kind(a), self._kind(b)
        if kinds == (CONCAT, CONCAT):
            return self._align_concats(a, b)
        if kinds == (PRODUCT, PRODUCT):
            return self._align_products(a, b, careful)
        return self._align_mixed(a, b, careful) if kinds[0] == CONCAT else self._align_mixed(b, a, careful)

    def _kind(self, root: int) -> str:
        form = self._form[root]
        return "" if form is None else form[0]

    def _flat(self, variable: int, kind: str) -> list[int]:
        """The parts of a class, those of parts of the same kind in their place."""
        root = self.find(variable)
        form = self._form[root]
        if form is None or form[0] != kind:
            return [root]
        return [leaf for part in form[1] for leaf in self._flat(part, kind)]

    # -- forms against forms -------------------------------------------------------------------------------------------
    def _align_concats(self, a: int, b: int) -> bool:
        left, right = self._flat(a, CONCAT)[::-1], self._flat(b, CONCAT)[::-1]
        while left and right:
            x, y = left.pop(), right.pop()
            short, long = self.size[x], self.size[y]
            if short == long:
                self.tie(x, y)
                continue
            if not (isinstance(short, int) and isinstance(long, int)):
                self._give_up((x, y, *left, *right), "free sizes do not align")
                break
            if short > long:
                left.append(self._cut(x, long, y))
            else:
                right.append(self._cut(y, short, x))
        return True

    def _cut(self, whole: int, at: int, first: int) -> int:
        """Cut an axis; its first piece is ``first``, the rest is given back."""
        rest = self.new(self.size[whole] - at)
        self.tie(whole, self.concat((first, rest)))
        return rest

    def _align_products(self, a: int, b: int, careful: bool) -> bool:
        left, right = self._flat(a, PRODUCT), self._flat(b, PRODUCT)
        self._peel(left, right, 0)
        self._peel(left, right, -1)
        if not left and not right:
            return True
        if not left or not right:
            self._give_up((*left, *right), "factors do not align")
            return True
        x, y = self.product(left), self.product(right)
        if careful:
            self._later.append((x, y, self.at))
        else:
            self._tie_indices(x, y)
        return True

    def _peel(self, left: list[int], right: list[int], end: int) -> None:
        """Take common factors off one end of both lists: 0 for the slow end, -1 for the fast one."""
        while left and right:
            x, y = self.find(left[end]), self.find(right[end])
            if self.size[x] == self.size[y]:
                left.pop(end)
                right.pop(end)
                self.tie(x, y)
            elif _divides(self.size[y], self.size[x]):
                right.pop(end)
                left[end] = self._factor_out(x, y, end)
            elif _divides(self.size[x], self.size[y]):
                left.pop(end)
                right[end] = self._factor_out(y, x, end)
            else:
                return

    def _factor_out(self, whole: int, factor: int, end: int) -> int:
        rest = self.new(self.size[whole] // self.size[factor])
        self.tie(whole, self.product((factor, rest) if end == 0 else (rest, factor)))
        return rest

    def _align_mixed(self, joined: int, multiplied: int, careful: bool) -> bool:
        segments, (slow, *rest) = self._flat(joined, CONCAT), self._flat(multiplied, PRODUCT)
        sizes, inner = [self.size[segment] for segment in segments], prod(self.size[part] for part in rest)
        if not all(isinstance(size, int) for size in (*sizes, inner, self.size[slow])):
            self._give_up((joined, multiplied), "free sizes do not align")
            return True
        if all(size % inner == 0 for size in sizes):
            pieces = [self.new(size // inner) for size in sizes]
            self.tie(slow, self.concat(pieces))
            for segment, piece in zip(segments, pieces):
                self.tie(segment, self.product((piece, *rest)))
            return True
        if careful:
            return False
        copies = self.size[slow]
        if not self.is_frozen(slow) and (all(map(self.is_frozen, rest)) or copies > inner):
            self._tie_indices(joined, multiplied)
            return True
        self.freeze(slow, f"counts {copies} copies at {self.at}")
        self._form[multiplied] = (CONCAT, (self.product(rest),) * copies)
        return self._align_concats(joined, multiplied)

    # -- index by index ------------------------------------------------------------------------------------------------
    def _tie_indices(self, a: int, b: int) -> None:
        size = self.size[a]
        if not isinstance(size, int) or size > MOST_UNITS:
            self._give_up((a, b), "axes do not align")
            return
        for x, y in zip(self._units(a), self._units(b)):
            self._rigid[self.find(x)] = self._rigid[self.find(y)] = True
            self.tie(x, y)

    def _units(self, variable: int) -> list[int]:
        """One variable for each index of an axis; of a product, only its longest free factor keeps its freedom."""
        root = self.find(variable)
        form = self._form[root]
        if form is None:
            if self.size[root] == 1:
                return [root]
            units = [self.new(1) for _ in range(self.size[root])]
            self._form[root] = (CONCAT, tuple(units))
            if self._frozen[root]:
                self.freeze(root, self._frozen[root])
            return units
        if form[0] == CONCAT:
            return [unit for part in form[1] for unit in self._units(part)]
        factors = self._flat(root, PRODUCT)
        kept = max(range(len(factors)), key=lambda i: (not self.is_frozen(factors[i]), self.size[factors[i]]))
        for i, factor in enumerate(factors):
            if i != kept:
                self.freeze(factor, f"counts {self.size[factor]} copies at {self.at}")
        units, repeats = self._units(factors[kept]), prod(self.size[factor] for factor in factors[kept + 1 :])
        return [units[(i // repeats) % len(units)] for i in range(self.size[root])]

    def _give_up(self, variables: Iterable[int], why: str) -> None:
        for variable in variables:
            self.freeze(variable, f"{why} at {self.at}")


def _divides(small: Any, big: Any) -> bool:
    """Whether a size is known to be a multiple of another."""
    if isinstance(big, int) and isinstance(small, Size):
        return False
    try:
        return bool(big % small == 0)
    except ShapeError:
        return False
