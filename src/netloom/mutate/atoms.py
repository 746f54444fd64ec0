"""Axis expressions over atoms: how long an axis becomes, and which of its indices stay, when atoms change.

An *atom* is a block of indices that only ever change together. An axis of a value or of a tensor is an atom's name, a
`Product` or `Concat` of expressions (as in `netloom.ops.dims`), or a `Take`: some indices of an atom in some order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

from ..ops import Concat, Edge, Product

if TYPE_CHECKING:
    import numpy as np

#: The code of an index that nothing stood for; see `axis_codes`.
NEW = -1


@dataclass(frozen=True, slots=True)
class Take:
    """The axis whose index i is index ``indices[i]`` of the atom; an index may come several times."""

    atom: str
    indices: tuple[int, ...]


#: An atom's name, or a `Product`, `Concat` (of `ops.dims`) or `Take` of such.
Expression = Any


@dataclass(frozen=True, slots=True)
class Member:
    """One axis in which an atom takes part: of a value (``ref`` an `Edge`) or of an entry of the tensor table (its key).

    ``how`` is the axis's whole expression.
    """

    ref: Edge | str
    axis: int
    how: Expression


@dataclass(frozen=True, slots=True)
class Atom:
    """A block of indices that only ever change together.

    ``id`` is the name of the first node with a parameter that has it (or of the node where it first appears), with ``:2``,
    ``:3``, … where others are there too. ``frozen`` is the reason why its size may not change, "" where it may.
    """

    id: str
    size: Any
    frozen: str
    #: Finds the members when they are asked for: most of what is done with atoms needs none.
    _find: Callable[[str], tuple[Member, ...]] = field(repr=False, compare=False)

    @property
    def members(self) -> tuple[Member, ...]:
        """The axes in which it takes part, in order of appearance."""
        return self._find(self.id)

    def __repr__(self) -> str:
        return f"<Atom {self.id}: {self.size}{', frozen: ' + self.frozen if self.frozen else ''}>"


def atoms_of(expression: Expression) -> tuple[str, ...]:
    """The atoms of an axis in order, without repeats.

    >>> atoms_of(Product(("g", Concat(("a", "b", "a")))))
    ('g', 'a', 'b')
    """
    if isinstance(expression, str):
        return (expression,)
    if isinstance(expression, Take):
        return (expression.atom,)
    return tuple(dict.fromkeys(atom for part in expression.parts for atom in atoms_of(part)))


def takes(expression: Any, atom: str) -> bool:
    """Whether an axis has only some indices of an atom, or has them in another order."""
    if isinstance(expression, Take):
        return expression.atom == atom
    return not isinstance(expression, str) and any(takes(part, atom) for part in expression.parts)


def resized(expression: Expression, sizes: Mapping[str, Any], kept: Mapping[str, Sequence[int]] | None = None) -> Any:
    """The size of an axis when every atom has the size given; ``kept`` says which indices of an atom a `Take` still finds.

    >>> resized(Product(("g", Concat(("a", "b")))), {"g": 2, "a": 3, "b": 4})
    14
    """
    if isinstance(expression, str):
        return sizes[expression]
    if isinstance(expression, Take):
        chosen = (kept or {}).get(expression.atom)
        return len(expression.indices) if chosen is None else len(_survivors(expression, chosen))
    parts = [resized(part, sizes, kept) for part in expression.parts]
    return prod(parts) if isinstance(expression, Product) else sum(parts)


def kept_indices(expression: Expression, sizes: Mapping[str, Any], kept: Mapping[str, Sequence[int]]) -> list[int]:
    """The indices of an axis that stay, in order, when of every atom in ``kept`` those indices stay.

    ``sizes`` are the atoms' present sizes, all of them plain numbers here.

    >>> kept_indices(Product(("g", "c")), {"g": 2, "c": 3}, {"c": [0, 2]})
    [0, 2, 3, 5]
    """
    return axis_codes(expression, sizes, kept).tolist()  # type: ignore[no-any-return]


def axis_codes(expression: Expression, sizes: Mapping[str, Any], chosen: Mapping[str, Sequence[int]]) -> np.ndarray[Any, Any]:
    """Where every index of the changed axis comes from, as *codes*, when the atoms in ``chosen`` have the codes given there.

    A code ≥ 0 is an old index, `NEW` (-1) an index that nothing stood for, ``copy_of(i)`` a second copy of old index i.

    >>> axis_codes(Concat(("a", "b")), {"a": 2, "b": 3}, {"a": [1, NEW], "b": [0, 1, 2, copy_of(1)]}).tolist()
    [1, -1, 2, 3, 4, -5]
    """
    import numpy as np

    if isinstance(expression, str):
        codes = chosen.get(expression)
        return np.arange(sizes[expression]) if codes is None else np.asarray(codes, dtype=np.int64)
    if isinstance(expression, Take):
        codes = chosen.get(expression.atom)
        return np.asarray(range(len(expression.indices)) if codes is None else _survivors(expression, codes), dtype=np.int64)
    if isinstance(expression, Product):
        found = np.zeros(1, dtype=np.int64)
        for part in expression.parts:
            found = _combined(found, axis_codes(part, sizes, chosen), resized(part, sizes))
        return found
    pieces, offset = [], 0
    for part in expression.parts:
        piece = axis_codes(part, sizes, chosen)
        pieces.append(np.where(piece >= 0, piece + offset, np.where(piece == NEW, NEW, piece - offset)))
        offset += resized(part, sizes)
    return np.concatenate(pieces)


def _combined(slow: np.ndarray[Any, Any], fast: np.ndarray[Any, Any], size: int) -> np.ndarray[Any, Any]:
    """The codes of all pairs."""
    import numpy as np

    where = sources(slow)[:, None] * size + sources(fast)[None]
    new = (slow == NEW)[:, None] | (fast == NEW)[None]
    copied = (slow < NEW)[:, None] | (fast < NEW)[None]
    return np.where(new, NEW, np.where(copied, -(where + 2), where)).ravel()


def copy_of(index: int) -> int:
    """The code of a copy of an old index."""
    return -(index + 2)


def sources(codes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The old index behind each code; meaningless for `NEW`."""
    import numpy as np

    return np.where(codes < NEW, -(codes + 2), codes)


def _survivors(take: Take, chosen: Sequence[int]) -> list[int]:
    alive = set(chosen)
    return [i for i, index in enumerate(take.indices) if index in alive]


def shown(expression: Expression, plain: Mapping[str, Any] | None = None) -> str:
    """An axis in one line: ``a·b`` for products, ``a + b`` for concatenations; atoms in ``plain`` by what it says of them.

    >>> shown(Concat(("a", Product(("g", Concat(("a", "b")))))), plain={"g": 3})
    'a + 3·(a + b)'
    """
    names = plain or {}
    if isinstance(expression, str):
        return str(names.get(expression, expression))
    if isinstance(expression, Take):
        if expression.atom in names:
            return str(len(expression.indices))
        return f"{expression.atom}[{_ranges(expression.indices)}]"
    if isinstance(expression, Concat):
        return " + ".join(shown(part, plain) for part in expression.parts)
    return "·".join(f"({shown(part, plain)})" if isinstance(part, Concat) else shown(part, plain) for part in expression.parts)


def _ranges(indices: Sequence[int]) -> str:
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    texts = [str(low) if low == high else f"{low}–{high}" for low, high in runs]
    return ", ".join(texts if len(texts) <= 6 else [*texts[:4], f"… {len(indices)} in all"])
