"""Symbolic sizes: what a shape entry is when an axis is free.

A size is a plain ``int`` wherever it can be. Where it depends on a free symbol (the batch ``N``, a number of
tokens ``T``) it is a `Size`: a polynomial in the symbols with integer coefficients, whose atoms may also be floor
divisions that do not come out even, as a strided convolution over a free axis makes them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..errors import FormatError, ShapeError

#: Comparisons take every symbol to be this large: a free axis is assumed long enough for the operator at hand.
LARGE = 1_000_003


class FloorDiv:
    """``numerator // divisor`` as an atom of a polynomial, where the division leaves a remainder."""

    __slots__ = ("numerator", "divisor", "_key")

    def __init__(self, numerator: Size, divisor: int) -> None:
        self.numerator, self.divisor = numerator, divisor
        self._key = f"({numerator})//{divisor}"

    def __str__(self) -> str:
        return self._key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FloorDiv) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


Atom = str | FloorDiv
Monomial = tuple[Atom, ...]


class Size:
    """A polynomial in free symbols, for example ``N``, ``64*N`` or ``N*T+N``.

    Arithmetic with ints and sizes gives a plain ``int`` as soon as no symbol is left.

    >>> n = Size.symbol("N")
    >>> 3 * n + n, (4 * n) // 2, n - n
    (Size('4*N'), Size('2*N'), 0)
    >>> (64 * n).at({"N": 2})
    128
    """

    __slots__ = ("terms", "_hash")
    terms: tuple[tuple[Monomial, int], ...]

    def __init__(self, terms: Mapping[Monomial, int]) -> None:
        self.terms = tuple(sorted(((m, c) for m, c in terms.items() if c), key=_order))
        self._hash = hash(self.terms)

    @staticmethod
    def symbol(name: str) -> Size:
        return Size({(name,): 1})

    @staticmethod
    def parse(text: str) -> int | Size:
        """The size written by `str`, for example ``"64*N"`` or ``"(T+1)//2"``.

        >>> Size.parse("2*N+1")
        Size('2*N+1')
        """
        return _Parser(text).whole()

    # -- arithmetic ------------------------------------------------------------------------------------------
    def __add__(self, other: Any) -> Any:
        if isinstance(other, int):
            other_terms: Any = (((), other),)
        elif isinstance(other, Size):
            other_terms = other.terms
        else:
            return NotImplemented
        terms = dict(self.terms)
        for monomial, coefficient in other_terms:
            terms[monomial] = terms.get(monomial, 0) + coefficient
        return _collapse(terms)

    __radd__ = __add__

    def __neg__(self) -> Any:
        return self * -1

    def __pos__(self) -> Size:
        return self

    def __sub__(self, other: Any) -> Any:
        return self + (-other) if isinstance(other, int | Size) else NotImplemented

    def __rsub__(self, other: Any) -> Any:
        return (-self) + other

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, int):
            return _collapse({m: c * other for m, c in self.terms})
        if not isinstance(other, Size):
            return NotImplemented
        terms: dict[Monomial, int] = {}
        for m1, c1 in self.terms:
            for m2, c2 in other.terms:
                m = tuple(sorted(m1 + m2, key=str))
                terms[m] = terms.get(m, 0) + c1 * c2
        return _collapse(terms)

    __rmul__ = __mul__

    def __pow__(self, n: int) -> Any:
        result: Any = 1
        for _ in range(n):
            result = result * self
        return result

    def __floordiv__(self, other: Any) -> Any:
        if isinstance(other, Size):
            quotient = self._exact(other)
            if quotient is None:
                raise ShapeError(f"cannot divide the free size {self} by {other}")
            return quotient
        if not isinstance(other, int):
            return NotImplemented
        if other == 0:
            raise ShapeError(f"cannot divide the free size {self} by 0")
        if other < 0:
            return (-self) // (-other)
        whole = {m: c // other for m, c in self.terms}
        rest = _collapse({m: c % other for m, c in self.terms})
        if isinstance(rest, int):
            return _collapse(whole) + rest // other
        return _collapse(whole) + Size({(FloorDiv(rest, other),): 1})

    def __rfloordiv__(self, other: Any) -> Any:
        if other == 0:
            return 0
        raise ShapeError(f"cannot divide {other} by the free size {self}")

    def __mod__(self, other: Any) -> Any:
        if isinstance(other, Size):
            if self._exact(other) is not None:
                return 0
            raise ShapeError(f"cannot divide the free size {self} by {other}")
        return self - (self // other) * other

    def _exact(self, other: Size) -> Any:
        """``self / other`` where it comes out even over one monomial or by a constant, else None."""
        if self == other:
            return 1
        if len(other.terms) != 1:
            leading, coefficient = self.terms[0]
            first, divisor = other.terms[0]
            if coefficient % divisor or not _contains(leading, first):
                return None
            factor = _collapse({_remove(leading, first): coefficient // divisor})
            return factor if factor * other == self else None
        (monomial, divisor), terms = other.terms[0], {}
        for m, c in self.terms:
            if c % divisor or not _contains(m, monomial):
                return None
            terms[_remove(m, monomial)] = c // divisor
        return _collapse(terms)

    # -- comparison: every symbol is taken to be LARGE -----------------------------------------------------------
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Size) and self._hash == other._hash and self.terms == other.terms

    def __hash__(self) -> int:
        return self._hash

    def __lt__(self, other: Any) -> bool:
        return estimate(self) < estimate(other)

    def __le__(self, other: Any) -> bool:
        return estimate(self) <= estimate(other)

    def __gt__(self, other: Any) -> bool:
        return estimate(self) > estimate(other)

    def __ge__(self, other: Any) -> bool:
        return estimate(self) >= estimate(other)

    def __bool__(self) -> bool:
        return True

    # -- reading ---------------------------------------------------------------------------------------------
    def at(self, symbols: Mapping[str, int]) -> int:
        """The plain size when every symbol has the value given."""
        total = 0
        for monomial, coefficient in self.terms:
            for atom in monomial:
                if isinstance(atom, FloorDiv):
                    coefficient *= atom.numerator.at(symbols) // atom.divisor
                else:
                    coefficient *= symbols[atom]
            total += coefficient
        return total

    def substitute(self, symbols: Mapping[str, int | Size]) -> Any:
        """The size with every symbol that is given replaced."""
        total: Any = 0
        for monomial, coefficient in self.terms:
            term: Any = coefficient
            for atom in monomial:
                if isinstance(atom, FloorDiv):
                    term = term * (atom.numerator.substitute(symbols) // atom.divisor)
                else:
                    term = term * symbols.get(atom, Size.symbol(atom))
            total = total + term
        return total

    @property
    def symbols(self) -> frozenset[str]:
        found: set[str] = set()
        for monomial, _ in self.terms:
            for atom in monomial:
                found |= atom.numerator.symbols if isinstance(atom, FloorDiv) else {atom}
        return frozenset(found)

    def __str__(self) -> str:
        parts = []
        for monomial, coefficient in self.terms:
            factors = [str(atom) for atom in monomial]
            if len(factors) > 1 or coefficient != 1:
                # Without brackets 2*(T+1)//2 would read as (2*(T+1))//2.
                factors = [f"({f})" if isinstance(atom, FloorDiv) else f for f, atom in zip(factors, monomial)]
            if coefficient != 1 or not factors:
                factors.insert(0, str(coefficient))
            parts.append("*".join(factors))
        return "+".join(parts).replace("+-", "-").replace("-1*", "-")

    def __repr__(self) -> str:
        return f"Size({str(self)!r})"

    def __reduce__(self) -> Any:
        return Size.parse, (str(self),)


def estimate(size: Any) -> Any:
    """The number that a size stands for in comparisons (free symbols are large)."""
    if not isinstance(size, Size):
        return size
    return size.at(dict.fromkeys(size.symbols, LARGE))


def _order(term: tuple[Monomial, int]) -> tuple[int, str]:
    return (-len(term[0]), "*".join(map(str, term[0])))


def _collapse(terms: Mapping[Monomial, int]) -> Any:
    left = {m: c for m, c in terms.items() if c}
    if not left:
        return 0
    if len(left) == 1 and () in left:
        return left[()]
    return Size(left)


def _contains(monomial: Monomial, part: Monomial) -> bool:
    rest = list(monomial)
    for atom in part:
        if atom not in rest:
            return False
        rest.remove(atom)
    return True


def _remove(monomial: Monomial, part: Monomial) -> Monomial:
    rest = list(monomial)
    for atom in part:
        rest.remove(atom)
    return tuple(rest)


_TOKEN = re.compile(r"\s*(?:(\d{1,18})|([A-Za-z_]\w{0,63})|(//|[-+*()]))")
_MAX_TERMS = 64
_MAX_LENGTH = 500


class _Parser:
    """Recursive descent over ``+ - * //``, parentheses, ints and symbols; bounded in depth and length."""

    def __init__(self, text: str) -> None:
        self.text, self.position, self.depth = text, 0, 0
        if len(text) > _MAX_LENGTH:
            raise FormatError(f"a size of {len(text)} characters is longer than any size netloom writes")

    def whole(self) -> Any:
        value = self.sum()
        if self.peek() is not None:
            raise self.error("an operator or the end")
        return value

    def peek(self) -> str | None:
        match = _TOKEN.match(self.text, self.position)
        if match:
            return match.group(0).strip()
        if self.text[self.position :].strip():
            raise self.error("a number, a symbol or an operator")
        return None

    def take(self) -> str | None:
        token = self.peek()
        match = _TOKEN.match(self.text, self.position)
        if match:
            self.position = match.end()
        return token

    def error(self, expected: str) -> FormatError:
        return FormatError(f"size {self.text!r}: expected {expected} at column {self.position + 1}")

    def sum(self) -> Any:
        self.depth += 1
        if self.depth > 20:
            raise FormatError(f"size {self.text!r} is nested too deeply")
        value = self.product()
        while self.peek() in ("+", "-"):
            if self.take() == "+":
                value = value + self.product()
            else:
                value = value - self.product()
        self.depth -= 1
        return value

    def product(self) -> Any:
        value = self.atom()
        while self.peek() in ("*", "//"):
            if self.take() == "*":
                value = value * self.atom()
            else:
                divisor = self.atom()
                if isinstance(divisor, int) and divisor <= 0:
                    raise self.error("a positive divisor")
                value = value // divisor
            if isinstance(value, Size) and (len(value.terms) > _MAX_TERMS or len(str(value)) > _MAX_LENGTH):
                raise FormatError(f"size {self.text!r} has more than {_MAX_TERMS} terms, or terms without end")
        return value

    def atom(self) -> Any:
        token = self.take()
        if token is None:
            raise self.error("a number or a symbol")
        if token == "-":
            return -self.atom()
        if token == "(":
            value = self.sum()
            if self.take() != ")":
                raise self.error("')'")
            return value
        if token.isdigit():
            return int(token)
        if token[0].isalpha() or token[0] == "_":
            return Size.symbol(token)
        raise self.error("a number or a symbol")
