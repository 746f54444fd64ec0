"""Sizes that a request leaves open: the nearest sizes at which everything aligns, by an integer program over atoms.

What is least is 0.1 · Σ + 0.8 · max of the relative changes of all layers that take part (after NaiveNASlib). Wishes come
before that, exact requests before wishes. Atoms that no request reaches stay as they are; an atom on which one exact request
depends alone needs no program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, floor, prod
from typing import Any

from ..errors import EditError
from ..ops import Concat, Product
from .analysis import Dimensions
from .atoms import Take, atoms_of, resized, shown
from .integer_program import IntegerProgram, Linear


@dataclass(frozen=True, slots=True)
class Request:
    """The size an axis shall have; ``relax`` makes it a wish. ``what`` names the axis in errors."""

    what: str
    axis: Any
    size: int
    relax: bool = False


@dataclass(frozen=True, slots=True)
class Bound:
    """What the size of an axis must keep to: within [low, high], and ``size ≡ offset`` modulo ``multiple``."""

    what: str
    axis: Any
    low: int = 0
    high: int | None = None
    multiple: int = 1
    offset: int = 0

    def holds(self, size: int) -> bool:
        return self.low <= size and (self.high is None or size <= self.high) and (size - self.offset) % self.multiple == 0

    def __str__(self) -> str:
        rest = self.offset % self.multiple
        parts = [f"a multiple of {self.multiple}" + f" plus {rest}" * bool(rest)] if self.multiple > 1 else []
        if self.low > 0:
            parts.append(f"at least {self.low}")
        if self.high is not None:
            parts.append(f"at most {self.high}")
        return f"{self.what} must be {' and '.join(parts)}"


@dataclass(frozen=True, slots=True)
class Equal:
    """Two axes that must have one size."""

    what: str
    left: Any
    right: Any


@dataclass(frozen=True, slots=True)
class Below:
    """An axis that must be smaller than another."""

    what: str
    small: Any
    large: Any

    def __str__(self) -> str:
        return f"{self.what} must stay smaller"


@dataclass
class Problem:
    """What is asked of the sizes of a graph, and what they must keep to.

    >>> import netloom as nl
    >>> from netloom.ops import Edge
    >>> x = nl.input(3)
    >>> a, b = nl.linear(x, 7, name="a"), nl.linear(x, 4, name="b")
    >>> dims = nl.mutate.analyse(nl.Graph(x, nl.linear(nl.cat([b, a], 1, name="both"), 2)))
    >>> sorted(Problem(dims, [Request("'both'", dims.of(Edge("both"))[1], 7)]).solve().items())
    [('a', 4), ('b', 3)]
    """

    dims: Dimensions
    requests: list[Request] = field(default_factory=list)
    bounds: list[Bound] = field(default_factory=list)
    equal: list[Equal] = field(default_factory=list)
    #: Atoms that stay as they are in this problem → why.
    held: dict[str, str] = field(default_factory=dict)
    time_limit: float = 20.0

    def solve(self) -> dict[str, int]:
        """Atom → its new size, of those that change. `EditError` naming what stands in the way where there are none."""
        bounds = [*self.bounds, *self._multiples()]
        failure: EditError | None = None
        found: list[dict[str, int]] = []
        for pick in (_first, _last):
            try:
                whole = self._whole(Program(self, bounds, pick).solve(), bounds, pick)
                found.append(self._without_trades(whole, bounds, pick))
            except EditError as error:
                failure = failure or error
            if found and not any(request.relax for request in self.requests):
                return found[0]
        if found:
            return min(found, key=self._distance)
        for choice in self._factors():
            try:
                return Program(self, [*bounds, *choice], _none_held).solve()
            except EditError:
                continue
        assert failure is not None
        raise failure

    def _whole(self, found: dict[str, int], bounds: list[Bound], pick: Callable[[list[Any]], list[Any]]) -> dict[str, int]:
        """Where nothing is asked to shrink, sizes at which nothing does, if there are any: growth keeps all that is known."""
        old = self.dims.sizes
        lost = [atom for atom, size in found.items() if size < old[atom]]
        if not lost or not self.requests or any(request.size < resized(request.axis, old) for request in self.requests):
            return found
        try:
            whole = Program(self, [*bounds, *(Bound(repr(a.id), a.id, low=a.size) for a in self.dims.free)], pick).solve()
        except EditError:
            return found
        return whole if self._distance(whole) <= self._distance(found) else found

    def _without_trades(
        self, found: dict[str, int], bounds: list[Bound], pick: Callable[[list[Any]], list[Any]]
    ) -> dict[str, int]:  # fmt: skip
        """Sizes at which no part of layers that all shrink grows, if there are any: nothing known is traded for what is new."""
        old, layers, kept = self.dims.sizes, self.dims.layers, list(bounds)
        for _ in range(5):
            sizes = {**old, **found}
            change = {axis: resized(axis, sizes) - resized(axis, old) for axis in layers if atoms_of(axis)}
            larger = {atom for axis, by in change.items() if by > 0 for atom in atoms_of(axis)}
            smaller = {atom for axis, by in change.items() if by < 0 for atom in atoms_of(axis)}
            traded = [atom for atom, size in found.items() if size > old[atom] and atom in smaller - larger]
            if not traded:
                break
            kept += [Bound(repr(atom), atom, high=old[atom]) for atom in traded]
            try:
                found = Program(self, kept, pick).solve()
            except EditError:
                break
        return found

    def _distance(self, found: Mapping[str, int]) -> int:
        """How far the requests are from what they ask for."""
        sizes = {**self.dims.sizes, **found}
        return sum(abs(resized(request.axis, sizes) - request.size) for request in self.requests)

    def _multiples(self) -> list[Bound]:
        return [Bound(f"{node!r}", axis, multiple=factor) for axis, factor, node in self.dims.multiples]

    def _factors(self) -> Iterable[list[Bound]]:
        """Ways to meet an exact request for a product by changing two of its factors, nearest first."""
        dims = self.dims
        for request in self.requests:
            axis = request.axis
            if request.relax or not isinstance(axis, Product) or not all(isinstance(part, str) for part in axis.parts):
                continue
            parts = [part for part in axis.parts if isinstance(part, str)]
            free = [part for part in parts if not dims[part].frozen and part not in self.held]
            rest = prod(dims.sizes[part] for part in parts if part not in free)
            if len(free) != 2 or request.size % rest:
                continue
            (a, b), total = free, request.size // rest
            old = dims.sizes
            pairs = [(n, total // n) for n in range(1, total + 1) if total % n == 0]
            # More in all by more of each: nothing is lost on one side to be made up for on the other.
            sign = 1 if request.size >= resized(axis, old) else -1
            known = {each.axis: each.size for each in self.requests if each.axis in (a, b) and not each.relax}
            if known:
                pairs = [(m, n) for m, n in pairs if known.get(a, m) == m and known.get(b, n) == n]
            else:
                pairs = [(m, n) for m, n in pairs if sign * m >= sign * old[a] and sign * n >= sign * old[b]]
            pairs.sort(key=lambda pair: max(abs(pair[0] - old[a]) / old[a], abs(pair[1] - old[b]) / old[b]))
            for m, n in pairs[:8]:
                yield [Bound(repr(a), a, m, m), Bound(repr(b), b, n, n)]


# -- products: which factor gives way ------------------------------------------------------------------------------------
def _first(parts: list[Any]) -> list[Any]:
    return parts[1:]


def _last(parts: list[Any]) -> list[Any]:
    return parts[:-1]


def _none_held(parts: list[Any]) -> list[Any]:
    return []


class Program:
    """One integer program: the component of atoms that the requests reach, with all that binds them."""

    def __init__(self, problem: Problem, bounds: Sequence[Bound], pick: Callable[[list[Any]], list[Any]]) -> None:
        self.problem, self.dims, self.bounds = problem, problem.dims, list(bounds)
        self.below = [Below(f"what {node!r} gives beside its state", *axes) for *axes, node in problem.dims.below]
        self.old = problem.dims.sizes
        self.held = dict(problem.held)
        self.fixed = {b.axis: b.low for b in self.bounds if isinstance(b.axis, str) and b.low == b.high}
        self._fix_by_ties()
        self.reached = self._reach()
        self._hold_factors(pick)
        self.component = [a.id for a in self.dims.atoms if a.id in self.reached and self._may_change(a.id)]

    # -- what takes part -----------------------------------------------------------------------------------------------
    def _may_change(self, atom: str) -> bool:
        return not self.dims[atom].frozen and atom not in self.held

    def _fix_by_ties(self) -> None:
        """An atom that must equal what is fixed is fixed as well, so that other factors of its products may move."""
        for tie in self.problem.equal:
            for one, other in ((tie.left, tie.right), (tie.right, tie.left)):
                if isinstance(one, str) and self._may_change(one) and not any(map(self._may_change, atoms_of(other))):
                    self.fixed.setdefault(one, resized(other, self.old))

    def _reach(self) -> set[str]:
        """All atoms that hang together with the requests, by what binds several of them."""
        groups = [set(atoms_of(b.axis)) for b in self.bounds]
        groups += [{*atoms_of(e.left), *atoms_of(e.right)} for e in self.problem.equal]
        groups += [{*atoms_of(b.small), *atoms_of(b.large)} for b in self.below]
        reached = {atom for request in self.problem.requests for atom in atoms_of(request.axis)}
        reached |= {atom for e in self.problem.equal for atom in (*atoms_of(e.left), *atoms_of(e.right))}
        reached |= {atom for b in self.problem.bounds if not b.holds(resized(b.axis, self.old)) for atom in atoms_of(b.axis)}
        while True:
            before = len(reached)
            for group in groups:
                if any(self._may_change(atom) and atom in reached for atom in group):
                    reached |= group
            if len(reached) == before:
                return reached

    def _hold_factors(self, pick: Callable[[list[Any]], list[Any]]) -> None:
        axes = [request.axis for request in self.problem.requests] + [b.axis for b in self.bounds]
        axes += [axis for e in self.problem.equal for axis in (e.left, e.right)] + list(self.dims.axes)
        wanted = {r.axis: r.size for r in self.problem.requests if isinstance(r.axis, str) and not r.relax}
        for product in _products(axes):
            moving = [part for part in product.parts if any(map(self._may_change, atoms_of(part)))]
            if len(moving) > 1 and self.reached.intersection(atoms_of(product)):
                asked = [part for part in moving if part in wanted]
                self.fixed.update((part, wanted[part]) for part in asked[1:])
                for part in [part for part in moving if part not in asked] if asked else pick(moving):
                    for atom in atoms_of(part):
                        self.held.setdefault(atom, f"it is a factor of {shown(product)}")

    def highest(self, atom: str) -> float:
        """The size that an atom may not exceed: its own where its indices have fixed places."""
        return float(self.old[atom]) if self.dims.taken(atom) else float("inf")

    def linear(self, axis: Any) -> Linear:
        """The size of an axis in terms of its atoms; of a product one factor moves at most."""
        if isinstance(axis, str):
            moves = self._may_change(axis) and axis not in self.fixed
            size = self.fixed.get(axis, self.old[axis])
            # A free size (the batch) is a factor that stays, whatever it is.
            return Linear({axis: 1.0}) if moves else Linear({}, float(size) if isinstance(size, int) else 1.0)
        if isinstance(axis, Take):
            if not self._may_change(axis.atom):
                return Linear({}, float(len(axis.indices)))
            return Linear({axis.atom: len(axis.indices) / self.old[axis.atom]})
        parts = [self.linear(part) for part in axis.parts]
        if isinstance(axis, Concat):
            terms: dict[str, float] = {}
            for part in parts:
                for atom, factor in part.terms.items():
                    terms[atom] = terms.get(atom, 0.0) + factor
            return Linear(terms, sum(part.constant for part in parts))
        scale = prod(part.constant for part in parts if not part.terms)
        moving = [part for part in parts if part.terms]
        if not moving:
            return Linear({}, scale)
        return Linear({atom: scale * factor for atom, factor in moving[0].terms.items()}, scale * moving[0].constant)

    # -- solving -------------------------------------------------------------------------------------------------------
    def solve(self) -> dict[str, int]:
        for request in self.problem.requests:
            self._refuse_frozen(request)
        self._refuse_fixed()
        found = {**self._alone(), **self.fixed} if self._simple() else {**self._programmed(), **self.fixed}
        return {atom: size for atom, size in found.items() if size != self.old[atom]}

    def _refuse_frozen(self, request: Request) -> None:
        line = self.linear(request.axis)
        if not line.terms and line.constant != request.size and not request.relax:
            atoms = atoms_of(request.axis)
            reasons = dict.fromkeys(self.dims[atom].frozen or self.held.get(atom, "") for atom in atoms)
            why = "; ".join(filter(None, reasons)) or "its parts are fixed"
            raise EditError(f"{request.what} cannot have size {request.size}: it stays {line.constant:g} because of {why}")

    def _refuse_fixed(self) -> None:
        """What is fixed to a new size must keep to its bounds as well."""
        changed = {atom for atom, size in self.fixed.items() if size != self.old[atom]}
        for bound in self.bounds:
            line = self.linear(bound.axis)
            if not line.terms and changed.intersection(atoms_of(bound.axis)) and not bound.holds(round(line.constant)):
                raise EditError(f"no sizes give {self._asked()}: in the way is {bound}, which would be {line.constant:g}")

    def _simple(self) -> bool:
        """Whether every atom hangs on at most one exact request and on nothing else."""
        if self.problem.equal or any(request.relax for request in self.problem.requests):
            return False
        if any(self.component and set(atoms_of(b.axis)) & self.reached and b.axis not in self.fixed for b in self.bounds):
            return False
        if any(self.reached.intersection(atoms_of(b.small)) for b in self.below):
            return False
        lines = [self.linear(request.axis) for request in self.problem.requests]
        atoms = [atom for line in lines for atom in line.terms]
        return len(set(atoms)) == len(atoms) == len(self.component) and all(len(line.terms) <= 1 for line in lines)

    def _alone(self) -> dict[str, int]:
        found = {}
        for request in self.problem.requests:
            line = self.linear(request.axis)
            for atom, factor in line.terms.items():
                size = (request.size - line.constant) / factor
                if size < 1 or size != int(size):
                    raise EditError(self._unreachable(request, line))
                if size > self.highest(atom):
                    raise EditError(f"{request.what} cannot have size {request.size}: {self.dims.taken(atom)} is fixed")
                found[atom] = int(size)
        return found

    def _unreachable(self, request: Request, line: Linear) -> str:
        ((atom, factor),) = line.terms.items()
        form = f"{factor:g} times the size of {atom!r}" if factor != 1 else f"the size of {atom!r}"
        form += f" plus {line.constant:g}" if line.constant else ""
        exact = (request.size - line.constant) / factor
        near = sorted({max(1, number) * factor + line.constant for number in (floor(exact), ceil(exact))})
        shown_near = " or ".join(f"{size:g}" for size in near)
        return f"{request.what} cannot have size {request.size}: it is {form}; ask for {shown_near}, or relax the request"

    def _programmed(self) -> dict[str, int]:
        found = IntegerProgram(self).solve()
        if found is None:
            raise EditError(self._explained())
        return found

    def _explained(self) -> str:
        """Which single constraint, left out, would make room."""
        exact = [request for request in self.problem.requests if not request.relax]
        blamed = []
        below = [b for b in self.below if set(atoms_of(b.small)) & self.reached]
        for bound in [*[b for b in self.bounds if set(atoms_of(b.axis)) & self.reached][:60], *below]:
            if IntegerProgram(self, leave_out=bound).solve() is not None:
                blamed.append(str(bound))
        if not blamed:
            for request in exact if len(exact) > 1 or self.problem.equal else ():
                if IntegerProgram(self, leave_out=request).solve() is not None:
                    blamed.append(f"{request.what} = {request.size}")
        frozen = {self.dims[a].frozen or self.held.get(a, "") for a in self.reached if not self._may_change(a)}
        if not blamed:
            blamed = [f"the fixed size of {reason}" for reason in sorted(filter(None, frozen))[:3]]
        why = "; or ".join(blamed[:3]) or "the layers share their sizes in other proportions"
        return f"no sizes give {self._asked()}: in the way is {why}"

    def _asked(self) -> str:
        exact = [f"{request.what} = {request.size}" for request in self.problem.requests if not request.relax]
        return "; ".join(exact or [tie.what for tie in self.problem.equal]) or "what is asked for"


def _products(axes: Iterable[Any]) -> Iterable[Product]:
    for axis in axes:
        if isinstance(axis, Product):
            yield axis
        if isinstance(axis, Product | Concat):
            yield from _products(axis.parts)
