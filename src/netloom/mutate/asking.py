"""What is asked of the sizes of a network one after the other, and settled together."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ..errors import EditError, NetloomWarning
from ..ops import Edge
from .aligning import Aligner, dropped_atoms
from .analysis import Dimensions
from .atoms import atoms_of, resized
from .handles import asked_axis, feature_axis, whole_numbers
from .plan import Stage
from .sizing import Request

#: The features of a value, or the name of an atom.
Place = Edge | str
#: The analysis of the present graph with these nodes loosened; see `analyse`.
Analysis = Callable[[Collection[str]], Dimensions]


@dataclass(frozen=True, slots=True)
class Asked:
    """The size that a place shall have; ``relax`` makes it a wish."""

    what: str
    place: Place
    size: int
    relax: bool


@dataclass(frozen=True, slots=True)
class Dropped:
    """The indices of a place that shall go."""

    what: str
    place: Place
    indices: tuple[int, ...]


class Asking:
    """Requests that wait until they are settled. ``analysed`` gives the analysis of the graph as it is."""

    def __init__(self, analysed: Analysis) -> None:
        self.analysed = analysed
        self.sizes: list[Asked] = []
        self.drops: list[Dropped] = []

    def __bool__(self) -> bool:
        return bool(self.sizes or self.drops)

    def __str__(self) -> str:
        return "; ".join(f"{each.what} = {each.size}" for each in self.sizes)

    def forget(self) -> None:
        self.sizes, self.drops = [], []

    @contextmanager
    def as_a_whole(self) -> Iterator[None]:
        """Of sizes that are asked for inside none is, where one of them cannot be had."""
        before = self.sizes
        try:
            yield
        except BaseException:
            self.sizes = before
            raise

    def ask(self, place: Place, what: str, change: int | None, size: int | None, relax: bool) -> None:
        """Ask for a change or a size; what is asked of one thing twice adds up, or replaces it."""
        dims = self.analysed(())
        old = resized(asked_axis(dims, place), dims.sizes)
        same = [each for each in self.sizes if each.place == place and each.what == what]
        if size is None:
            size = (same[0].size if same else old) + int(change or 0)
        if not isinstance(old, int):
            raise EditError(f"the size of {what} is free ({old}); it is given by the data")
        if size < 1:
            raise EditError(f"{what} has {old} features; {size} is no size: keep at least one")
        if size != old and _is_frozen(dims, place):
            loosened = self._loosened(dims, [place])
            if loosened is None or _is_frozen(loosened, place):
                raise EditError(f"the size of {what} may not change: {_reason(dims, place)}")
        self.sizes = [*(each for each in self.sizes if each not in same), Asked(what, place, size, relax)]

    def drop(self, place: Place, positions: Iterable[int], what: str) -> None:
        """Let exactly these indices go."""
        dims = self.analysed(())
        dropped = Dropped(what, place, tuple(sorted(whole_numbers(positions, what))))
        try:
            _atoms_without(dims, [*self.drops, dropped])
        except EditError:
            loosened = self._loosened(dims, [place])
            if loosened is None:
                raise
            _atoms_without(loosened, [*self.drops, dropped])
        self.drops.append(dropped)

    def settle(self, aligner: Aligner) -> Stage | None:
        """The stage that meets all that was asked for, which is forgotten; None where nothing changes."""
        sizes, drops = self.sizes, self.drops
        self.forget()
        dims = self.analysed(())
        loosened = self._loosened(dims, [*(each.place for each in sizes), *(each.place for each in drops)])
        if loosened is None:
            return _settled(aligner, dims, sizes, drops)
        # What keeps all that the nodes do comes first; then what keeps less; then whatever is near.
        attempts = [(dims, False), (loosened, False), *([(dims, True)] if aligner.relax else [])]
        failures: list[EditError] = []
        for possible, relax in attempts:
            try:
                return _settled(aligner, possible, sizes, drops, relax)
            except EditError as error:
                failures.append(error)
        raise failures[1 if any(_is_frozen(dims, each.place) for each in sizes) else 0]

    def _loosened(self, dims: Dimensions, places: Sequence[Place]) -> Dimensions | None:
        """The analysis in which more sizes are possible there, None where no node allows that."""
        asked = {atom for place in places for atom in atoms_of(asked_axis(dims, place))} if dims.loosable else set()
        names = [name for name in dims.loosable if asked.intersection(atoms_of(feature_axis(dims, name)))]
        return self.analysed(names) if names else None


def _settled(
    aligner: Aligner, dims: Dimensions, asked: Sequence[Asked], drops: Sequence[Dropped], relax: bool = True
) -> Stage | None:
    dropped = _atoms_without(dims, drops)
    requests = [Request(each.what, asked_axis(dims, each.place), each.size, each.relax) for each in asked]
    sizes = aligner.sizes(dims, requests, dropped=dropped, relax=relax)
    _warn(dims, requests, sizes)
    codes = aligner.codes(dims, sizes, dropped)
    title = ", ".join(f"{request.what} = {request.size}" for request in requests) or "drop indices"
    return aligner.stage(title, dims, codes) if codes else None


def _atoms_without(dims: Dimensions, drops: Sequence[Dropped]) -> dict[str, set[int]]:
    """Which indices of which atoms go."""
    found: dict[str, set[int]] = {}
    for each in drops:
        for atom, gone in dropped_atoms(dims, asked_axis(dims, each.place), each.indices, each.what).items():
            found.setdefault(atom, set()).update(gone)
            if len(found[atom]) == dims.sizes[atom] and not dims.always_beside_others(atom):
                raise EditError(f"nothing would be left of {each.what}, which has {dims.sizes[atom]}; keep at least one")
    return found


def _is_frozen(dims: Dimensions, place: Place) -> bool:
    return all(dims[atom].frozen for atom in atoms_of(asked_axis(dims, place)))


def _reason(dims: Dimensions, place: Place) -> str:
    """Why a place keeps its size, and how it need not where that is so."""
    reasons = [dims[atom].frozen for atom in atoms_of(asked_axis(dims, place))]
    border = any("output" in reason or "input" in reason for reason in reasons)
    return reasons[0] + ("; nl.edit(…, io=True) lets inputs and outputs change" if border and not dims.open_outputs else "")


def _warn(dims: Dimensions, requests: Sequence[Request], sizes: Mapping[str, int]) -> None:
    for request in requests:
        found = resized(request.axis, {**dims.sizes, **sizes})
        if not request.relax and found != request.size:
            message = f"{request.what} cannot have {request.size} features; it has {found}"
            warnings.warn(message, NetloomWarning, stacklevel=6)
