"""Free sizes in a forward: read off the shape of a variable at hand, or at the top, off an argument."""

from __future__ import annotations

from ...errors import BuildError
from ...ops import Edge, Size
from ...ops.size import FloorDiv
from ..graph import Step
from . import hints
from .borders import refs
from .expressions import CALL, PRODUCT, SUM
from .variables import Variables


class NeedsSize(Exception):
    """A free size that no variable at hand shows; it has to be read off at the top of the forward."""

    def __init__(self, symbol: str) -> None:
        super().__init__(symbol)
        self.symbol = symbol


class Sizes(Variables):
    """Writes sizes as expressions."""

    def _size_of(self, size: Size, step: Step) -> tuple[str, int]:
        shown = self._shown_size(size, step)
        if shown:
            return shown, CALL
        return self._polynomial(size, step)

    def _shown_size(self, size: Size, step: Step) -> str:
        """``x.shape[0]`` of a variable at hand that has an axis of this size; the operand of the call before others."""
        if len(size.terms) == 1 and size.terms[0][1] == 1 and len(size.terms[0][0]) == 1:
            symbol = size.terms[0][0][0]
            if symbol in self.symbols:
                return self.symbols[symbol]  # type: ignore[index]
        first = [self.made.ref(ref) for ref in refs(tuple(step.args.values()))]
        for ref in [*first, *self.variables]:
            if ref not in self.variables or type(ref) is not Edge or ref in self.joined:
                continue
            shape = self.graph.type_of(ref).shape
            for axis, have in enumerate(shape):
                if have == size:
                    # The variable must not be given to another value before this is evaluated.
                    self.last[ref] = max(self.last.get(ref, -1), self.index)
                    self.asked.append(ref)
                    return f"{self.variables[ref]}.shape[{axis}]"
        return ""

    def _polynomial(self, size: Size, step: Step) -> tuple[str, int]:
        terms: list[tuple[str, int]] = []
        for monomial, coefficient in size.terms:
            factors = []
            for atom in monomial:
                if isinstance(atom, FloorDiv):
                    inner, strength = self._size_of(atom.numerator, step)
                    shown = inner if strength >= PRODUCT else f"({inner})"
                    factors.append(f"({shown} // {self.slots.add(atom.divisor, 'factor')})")
                else:
                    factors.append(self._symbol(atom, step))
            if coefficient != 1 or not factors:
                factors.insert(0, self.slots.add(coefficient, "factor"))
            terms.append((" * ".join(factors), PRODUCT if len(factors) > 1 else CALL))
        return terms[0] if len(terms) == 1 else (" + ".join(text for text, _ in terms), SUM)

    def _symbol(self, symbol: str, step: Step) -> str:
        found = self._shown_size(Size.symbol(symbol), step)
        if found:
            return found
        raise NeedsSize(symbol)

    def _prologue(self, symbol: str) -> None:
        """A line at the top that reads a free size off an argument."""
        name = hints.fresh({"N": "n"}.get(symbol, f"n_{symbol.lower()}" if symbol.isalnum() else "n"), self._free)
        for ref, variable in self.arguments:
            if type(ref) is not Edge:
                continue
            for axis, size in enumerate(self.graph.type_of(ref).shape):
                if isinstance(size, Size) and size.symbols == {symbol} and len(size.terms) == 1:
                    factor = size.at({symbol: 1})
                    if size != factor * Size.symbol(symbol):
                        continue
                    part = f" // {self.slots.add(factor, 'factor')}" if factor != 1 else ""
                    self.symbols[symbol] = name
                    self.names[name] = symbol
                    self.line(f"{name} = {variable}.shape[{axis}]{part}")
                    return
        raise BuildError(f"no input's shape gives the free size {symbol!r}; declare an axis with it")
