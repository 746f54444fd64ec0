"""What ``edit["name"]`` gives: one node, or one atom, of an edit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..errors import EditError
from ..ops import Concat, Edge
from .analysis import Dimensions
from .atoms import resized

if TYPE_CHECKING:
    from .editing import Edit


class Handle:
    """One node of an edit, or one atom."""

    def __init__(self, edit: Edit, name: str) -> None:
        self.edit, self.name = edit, name

    def resize(
        self, *, out: int | None = None, out_to: int | None = None, in_: Any = None, in_to: Any = None, relax: bool = False
    ) -> None:
        """Ask for another number of features: ``out=-16`` by so many, ``out_to=48`` exactly; ``in_`` and ``in_to`` on the side
        of its inputs (a tuple with None where nothing is asked for, if there are several). ``relax`` makes it a wish."""
        given = [(word, n) for word, n in (("out", out), ("out_to", out_to), ("in_", in_), ("in_to", in_to)) if n is not None]
        if not given:
            raise EditError(f"resize of {self.name!r} needs out=, out_to=, in_= or in_to=")
        for change, size in (("out", "out_to"), ("in_", "in_to")):
            if {change, size} <= {word for word, _ in given}:
                raise EditError(f"resize of {self.name!r} takes {change}= (a change) or {size}= (a size), not both")
        dims = self.edit._dimensions(self.edit._plan.graph)
        with self.edit._asking.as_a_whole():
            for word, amount in given:
                relative = word in ("out", "in_")
                if word.startswith("out"):
                    places = [(self._place(dims), repr(self.name), amount)]
                else:
                    places = self._in_places(dims, amount)
                for place, what, given_number in places:
                    number = _whole(given_number, f"{word} = {given_number!r} for {self.name!r}")
                    self.edit.ask(place, what, number if relative else None, None if relative else number, relax)

    def _place(self, dims: Dimensions) -> Edge | str:
        return Edge(self.name) if self.name in dims.graph else self.name

    def _in_places(self, dims: Dimensions, amount: Any) -> list[tuple[Edge | str, str, Any]]:
        reads = dims.graph[self.name].operands
        amounts = amount if isinstance(amount, tuple | list) else (amount,)
        if len(amounts) != len(reads):
            raise EditError(f"{self.name!r} reads {len(reads)} values; give a change for each of them, or None")
        return [
            (edge, f"input {i} of {self.name!r}", number)
            for i, (edge, number) in enumerate(zip(reads, amounts))
            if number is not None
        ]

    def drop(self, indices: Iterable[int]) -> None:
        """Let exactly these features go."""
        dims = self.edit._dimensions(self.edit._plan.graph)
        self.edit.drop(self._place(dims), indices, repr(self.name))

    def keep(self, indices: Iterable[int]) -> None:
        """Let all features go but these."""
        dims = self.edit._dimensions(self.edit._plan.graph)
        place = self._place(dims)
        kept = whole_numbers(indices, repr(self.name))
        size = resized(asked_axis(dims, place), dims.sizes)
        if not kept or min(kept) < 0 or max(kept) >= size:
            raise EditError(f"{self.name!r} has indices 0 to {size - 1}; keep some of those, not {sorted(kept)[:8]}")
        self.edit.drop(place, [i for i in range(size) if i not in kept], repr(self.name))

    def change(self, **attributes: Any) -> None:
        """Change its kernel, stride or other attributes; see `Edit.change`."""
        self.edit.change(self.name, **attributes)

    @property
    def size(self) -> int:
        """Its number of features as things stand."""
        dims = self.edit._dimensions(self.edit.graph)
        return resized(asked_axis(dims, self._place(dims)), dims.sizes)  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"<Handle {self.name!r}>"


def _whole(number: Any, what: str) -> int:
    """A whole number, of Python, numpy or torch."""
    import operator

    try:
        if not isinstance(number, bool):
            return operator.index(number)
    except TypeError:
        pass
    raise EditError(f"{what}; expected a whole number")


def feature_axis(dims: Dimensions, name: str, index: int = 0) -> Any:
    """The axis over atoms that carries the features of a node's result."""
    node = dims.graph[name]
    axis = node.feature_axis if index == 0 else None
    row = dims.of(Edge(name, index))
    if axis is None and not row:
        raise EditError(f"{name!r} is a single number; it has no size")
    return row[axis if axis is not None else min(1, len(row) - 1)]


def asked_axis(dims: Dimensions, place: Edge | str) -> Any:
    """The axis over atoms that is meant by a value, that of its features, or by the name of an atom."""
    return feature_axis(dims, place.node, place.index) if isinstance(place, Edge) else place


def in_axis(dims: Dimensions, name: str) -> Any:
    """The axis over atoms of what a node reads; of several one after another."""
    axes = tuple(feature_axis(dims, edge.node, edge.index) for edge in dims.graph[name].operands)
    return axes[0] if len(axes) == 1 else Concat(axes)


def whole_numbers(given: Iterable[Any], what: str) -> set[int]:
    """Whole numbers, of Python, numpy or torch; `EditError` for anything else."""
    import operator

    if not isinstance(given, Iterable):
        raise EditError(f"{given!r} is no list of indices of {what}; give [{given!r}]")
    found = set()
    for index in given:
        try:
            found.add(operator.index(index))
        except TypeError:
            raise EditError(f"{index!r} is no index of {what}; expected whole numbers") from None
    return found
