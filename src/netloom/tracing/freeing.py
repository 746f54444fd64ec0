"""From the plain sizes of one or several runs to free symbols.

On the meta device the batch is a large prime, so that an int in a call is a polynomial in the batch by long division. Other
free axes (and the batch, where the model needs real numbers) are probed at several sizes: every int must be affine in
them, and is verified at one further size.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..errors import TraceError
from ..ops import Edge, Size, TensorType
from .records import Record
from .sizing import follows, from_prime

PRIMES = (1_000_003, 1_000_033)


class Frozen(Exception):
    """A run's sizes do not follow the symbols: the message names the call in the way."""


class Probes:
    """The sizes at which a model ran; turns what was recorded at each into one symbolic value.

    ``assignments`` maps symbols to ints, one dict per run; ``prime`` names the symbol that is prime in all of them, if any.
    The last run verifies, where there is more than one.
    """

    def __init__(self, assignments: list[dict[str, int]], prime: str) -> None:
        self.assignments, self.prime = assignments, prime
        self.others = [s for s in assignments[0] if s != prime]
        self.symbol = Size.symbol(prime) if prime else None
        self.memo: dict[Any, Any] = {}
        self.bound = assignments[0][prime] // 65 if prime else 0

    def number(self, values: tuple[int, ...]) -> Any:
        """The size with these values in the runs; raises `Frozen` where none fits."""
        first = values[0]
        if len(values) == 1:
            return from_prime(first, self.assignments[0][self.prime], self.symbol) if self.symbol is not None else first
        found = self.memo.get(values)
        if found is None:
            found = self.memo[values] = self._fit(values)
        return found

    def _fit(self, values: tuple[int, ...]) -> Any:
        if self.symbol is not None:
            parts = [from_prime(v, a[self.prime], self.symbol) for v, a in zip(values, self.assignments)]
            if any(isinstance(p, Size) for p in parts):
                coefficients: list[dict[Any, int]] = [
                    dict(p.terms) if isinstance(p, Size) else {(): p} for p in parts
                ]
                total: Any = 0
                for monomial in sorted({m for c in coefficients for m in c}, key=str):
                    factor = self._affine(tuple(c.get(monomial, 0) for c in coefficients))
                    for atom in monomial:
                        factor = factor * Size.symbol(str(atom))
                    total = total + factor
                return total
        return self._affine(values)

    def _affine(self, values: tuple[int, ...]) -> Any:
        if len(set(values)) == 1:
            return values[0]
        base = self.assignments[0]
        total: Any = values[0]
        for i, symbol in enumerate(self.others, start=1):
            step = self.assignments[i][symbol] - base[symbol]
            slope, rest = divmod(values[i] - values[0], step)
            if rest:
                raise Frozen(f"{values} is not affine in {symbol}")
            total = total + slope * (Size.symbol(symbol) - base[symbol])
        last = total.at(self.assignments[-1]) if isinstance(total, Size) else total
        if last != values[-1]:
            product = self._bilinear(values)
            if product is None:
                raise Frozen(f"{values} is not affine in {', '.join(self.others)}")
            return product
        return total

    def _bilinear(self, values: tuple[int, ...]) -> Any:
        """A multiple of a product of symbols, as flattening two free axes into one gives."""
        whole: Any = 1
        for symbol in self.others:
            whole = whole * Size.symbol(symbol)
        at = [whole.at(a) for a in self.assignments]
        factor, rest = divmod(values[0], at[0])
        return factor * whole if not rest and all(factor * a == v for a, v in zip(at, values)) else None

    def _free(self, record: Record) -> None:
        """One run on a prime batch: long division on every int."""
        plan, args = record.plan, record.args
        if plan is None:
            args.update(self._freed(record, args))
            record.types = tuple([self._divided_type(t) for t in record.types])
            return
        if plan.freed is None:
            plain = [name for name in args if name not in plan.references]
            plan.freed = (self._freed(record, plain), tuple([self._divided_type(t) for t in plan.types]))
        args.update(plan.freed[0])
        record.types = plan.freed[1]
        if plan.nested:
            args.update(self._freed(record, plan.nested))

    def _freed(self, record: Record, names: Iterable[str]) -> dict[str, Any]:
        """Those of the named arguments that hold a free size, with symbols."""
        changed = {}
        for name in names:
            value = record.args[name]
            kind = type(value)
            if kind is float and follows(value, self.assignments[0][self.prime]):
                where = record.scope or "the model itself"
                raise Frozen(f"{record.op} in {where}: {name} = {value} is a float made of the batch size")
            if kind is int or kind is tuple or isinstance(value, tuple):
                freed = self._divided(value)
                if freed is not value:
                    changed[name] = freed
        return changed

    def _divided(self, value: Any) -> Any:
        kind = type(value)
        if kind is int:
            return value if -self.bound < value < self.bound else self.number((value,))
        if kind is Edge or not isinstance(value, tuple):
            return value
        parts = [self._divided(v) for v in value]
        if all(a is b for a, b in zip(parts, value)):
            return value
        return tuple(parts) if kind is tuple else kind(*parts)

    def _divided_type(self, kind: TensorType) -> TensorType:
        found = self.memo.get(kind)
        if found is None:
            found = self.memo[kind] = TensorType(kind.dtype, self._divided(kind.shape))
        return found

    def value(self, values: tuple[Any, ...]) -> Any:
        """Any argument: ints inside it become sizes."""
        first = values[0]
        kind = type(first)
        if any(type(v) is not kind for v in values[1:]):
            raise Frozen(f"{values} differ in kind")
        if kind is int:
            return self.number(values)
        if kind is Edge:
            if any(v != first for v in values[1:]):
                raise Frozen("its operands depend on the size")
            return first
        if isinstance(first, tuple):
            if any(len(v) != len(first) for v in values[1:]):
                raise Frozen(f"{values} differ in length")
            parts = [self.value(row) for row in zip(*values)]
            return kind(*parts) if kind is not tuple else tuple(parts)
        if any(v != first and not (v != v and first != first) for v in values[1:]):
            raise Frozen(f"{first!r} becomes {values[-1]!r}")
        return first

    def types(self, rows: tuple[tuple[TensorType, ...], ...]) -> tuple[TensorType, ...]:
        return tuple(
            TensorType(row[0].dtype, tuple(self.number(sizes) for sizes in zip(*(t.shape for t in row)))) for row in zip(*rows)
        )

    def records(self, runs: list[list[Record]]) -> list[Record]:
        """The records of all runs as one list with symbolic sizes."""
        base = runs[0]
        if len(runs) == 1:
            if self.symbol is not None:
                for record in base:
                    self._free(record)
            return base
        for other in runs[1:]:
            if len(other) != len(base):
                shorter, longer = sorted((base, other), key=len)
                raise Frozen(f"the number of calls depends on the size ({_first_difference(shorter, longer)})")
        for i, record in enumerate(base):
            rows = tuple(run[i] for run in runs)
            if any(r.op != record.op or r.scope != record.scope for r in rows[1:]):
                raise Frozen(f"the calls depend on the size ({_first_difference(*runs[:2])})")
            try:
                record.args = {
                    name: value if type(value) is bool or type(value) is str else self.value(tuple(r.args[name] for r in rows))
                    for name, value in record.args.items()
                }
                record.types = self.types(tuple(r.types for r in rows))
            except Frozen as frozen:
                raise Frozen(f"{record.op} in {record.scope or 'the model itself'}: {frozen}") from None
        return base


def _first_difference(a: list[Record], b: list[Record]) -> str:
    for x, y in zip(a, b):
        if x.op != y.op or x.scope != y.scope:
            return f"{x.op} in {x.scope or 'the model itself'} against {y.op} in {y.scope or 'the model itself'}"
    last = b[len(a)] if len(b) > len(a) else a[-1]
    return f"{last.op} in {last.scope or 'the model itself'}"


def parse_free(free: Any, arguments: list[str]) -> dict[str, list[tuple[str, int]]]:
    """The ``free=`` argument checked: symbol → [(path of an input, axis), …]."""
    found: dict[str, list[tuple[str, int]]] = {}
    for symbol, places in (free or {}).items():
        if not isinstance(symbol, str) or not symbol.isidentifier():
            raise TraceError(f"free axis {symbol!r}: a symbol is an identifier such as 'tokens'")
        for place in places:
            try:
                path, axis = place
            except (TypeError, ValueError):
                raise TraceError(f"free={symbol!r}: {place!r} must be (input, axis), such as ('input_ids', 1)") from None
            if path not in arguments:
                raise TraceError(f"free={symbol!r}: there is no input {path!r}; there are {', '.join(arguments)}")
            found.setdefault(symbol, []).append((path, int(axis)))
    return found
