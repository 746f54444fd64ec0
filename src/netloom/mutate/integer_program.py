"""The integer program of sizes, as scipy's solver (HiGHS) takes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import EditError

if TYPE_CHECKING:
    from .sizing import Program, Request

#: Weights of the sum and of the largest of the relative changes; of a wish's distance beside both.
_SUM, _MOST, _WISH = 0.1, 0.8, 1e3


@dataclass(frozen=True)
class Linear:
    """Σ coefficient · size of an atom + constant."""

    terms: Mapping[str, float]
    constant: float = 0.0

    def at(self, sizes: Mapping[str, Any]) -> float:
        return sum(factor * sizes[atom] for atom, factor in self.terms.items()) + self.constant


class IntegerProgram:
    """The program as scipy's milp takes it."""

    def __init__(self, program: Program, leave_out: Any = None) -> None:
        self.program, self.leave_out = program, leave_out
        self.count = 0
        self.cost: list[float] = []
        self.whole: list[int] = []
        self.low: list[float] = []
        self.high: list[float] = []
        self.rows: list[tuple[dict[int, float], float, float]] = []
        self.index = {
            atom: self._variable(low=self._lowest(atom), high=program.highest(atom), whole=True) for atom in program.component
        }

    def _lowest(self, atom: str) -> int:
        return 0 if self.program.dims.always_beside_others(atom) else 1

    def _variable(self, cost: float = 0.0, low: float = 0.0, high: float = float("inf"), whole: bool = False) -> int:
        self.cost.append(cost)
        self.low.append(low)
        self.high.append(high)
        self.whole.append(int(whole))
        self.count += 1
        return self.count - 1

    def _row(self, line: Linear, extra: Mapping[int, float], low: float, high: float) -> None:
        terms = {self.index[atom]: factor for atom, factor in line.terms.items() if atom in self.index}
        # Atoms that take no part stay as they are.
        rest = {atom: factor for atom, factor in line.terms.items() if atom not in self.index}
        constant = Linear(rest, line.constant).at(self.program.old)
        self.rows.append(({**terms, **extra}, low - constant, high - constant))

    def _write(self) -> None:
        program, infinite = self.program, float("inf")
        problem = program.problem
        for request in problem.requests:
            if request is not self.leave_out:
                line = program.linear(request.axis)
                self._wish(request, line) if request.relax else self._row(line, {}, request.size, request.size)
        for tie in problem.equal:
            left, right = program.linear(tie.left), program.linear(tie.right)
            terms = dict(left.terms)
            for atom, factor in right.terms.items():
                terms[atom] = terms.get(atom, 0.0) - factor
            self._row(Linear(terms, left.constant - right.constant), {}, 0, 0)
        for pair in program.below:
            if pair is not self.leave_out:
                small, large = program.linear(pair.small), program.linear(pair.large)
                terms = dict(large.terms)
                for atom, factor in small.terms.items():
                    terms[atom] = terms.get(atom, 0.0) - factor
                self._row(Linear(terms, large.constant - small.constant), {}, 1, infinite)
        for bound in program.bounds:
            line = program.linear(bound.axis)
            if bound is self.leave_out or not any(atom in self.index for atom in line.terms):
                continue
            if bound.low > 0 or bound.high is not None:
                self._row(line, {}, bound.low, infinite if bound.high is None else bound.high)
            if bound.multiple > 1:
                times = self._variable(low=-infinite, whole=True)
                self._row(line, {times: -bound.multiple}, bound.offset, bound.offset)
        self._least_change()

    def _wish(self, request: Request, line: Linear) -> None:
        """As near as possible, and not where it was."""
        infinite, old = float("inf"), line.at(self.program.old)
        distance = self._variable(cost=_WISH * _SUM)
        self.most_wish = getattr(self, "most_wish", None) or self._variable(cost=_WISH * _MOST)
        self._row(line, {distance: 1.0}, request.size, infinite)
        self._row(line, {distance: -1.0}, -infinite, request.size)
        self.rows.append(({distance: -1.0, self.most_wish: 1.0}, 0, infinite))
        if line.terms and request.size != old:
            up, big = self._variable(high=1, whole=True), 1e5
            self._row(line, {up: -big}, old + 1 - big, infinite)
            self._row(line, {up: -big}, -infinite, old - 1)

    def _least_change(self) -> None:
        infinite, old = float("inf"), self.program.old
        most = self._variable(cost=_MOST)
        for axis, weight in self.program.dims.layers.items():
            line = self.program.linear(axis)
            size = line.at(old)
            if not any(atom in self.index for atom in line.terms) or not size:
                continue
            change = self._variable(cost=_SUM * weight)
            self._row(line, {change: size}, size, infinite)
            self._row(line, {change: -size}, -infinite, size)
            self.rows.append(({change: -1.0, most: 1.0}, 0, infinite))
        for axis in self.program.dims.axes:
            line = self.program.linear(axis)
            if len(line.terms) > 1 and any(atom in self.index for atom in line.terms):
                self._row(line, {}, 1, infinite)

    def solve(self) -> dict[str, int] | None:
        """Atom → size, or None where there is no solution."""
        import numpy as np
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import csr_array

        self._write()
        if not self.index:
            return {} if all(low - 1e-9 <= 0 <= high + 1e-9 for terms, low, high in self.rows if not terms) else None
        data, where = [], ([], [])  # type: ignore[var-annotated]
        for i, (terms, _, _) in enumerate(self.rows):
            for column, value in terms.items():
                data.append(value)
                where[0].append(i)
                where[1].append(column)
        matrix = csr_array((data, where), shape=(len(self.rows), self.count))
        lows, highs = np.array([row[1] for row in self.rows]), np.array([row[2] for row in self.rows])
        found = milp(
            self.cost, integrality=self.whole, bounds=Bounds(self.low, self.high),
            constraints=LinearConstraint(matrix, lows, highs),
            options={"time_limit": self.program.problem.time_limit, "mip_rel_gap": 0.0},
        )  # fmt: skip
        if found.status == 1:
            limit = self.program.problem.time_limit
            raise EditError(f"finding sizes timed out after {limit:g} s; allow more by time_limit=, or ask for less at once")
        if found.x is None:
            return None
        return {atom: round(found.x[i]) for atom, i in self.index.items()}
