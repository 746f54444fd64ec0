"""Fitness: what a population is ranked by, as an expression of measures: ``"score+size"``.

Those of NaiveGAflux: accuracy, size, time of training, weighted sums, logarithms, and averages over generations.
"""

from __future__ import annotations

import ast
import difflib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import SearchError
from .objectives import MEASURED, MEASURES

if TYPE_CHECKING:
    from .context import Context
    from .proposal import Result

#: Names beside `MEASURES`: the tie-breaker of NaiveGAflux, min(0.001, 1 / params), and another word for the score.
_NAMES = (*MEASURES, "size", "accuracy")
#: Functions, with the numbers of arguments that they take.
_FUNCTIONS: dict[str, tuple[Callable[..., float], tuple[int, ...]]] = {
    "log": (lambda x: math.log(max(x, 1e-300)), (1,)), "log10": (lambda x: math.log10(max(x, 1e-300)), (1,)),
    "sqrt": (lambda x: math.sqrt(max(x, 0.0)), (1,)), "abs": (abs, (1,)),
    "min": (min, (2, 3, 4)), "max": (max, (2, 3, 4)), "round": (lambda x, digits=0: round(x, int(digits)), (1, 2)),
    "ewma": (lambda x, share=0.5: x, (1, 2)),
}  # fmt: skip
_OPERATORS: dict[type, tuple[str, Callable[[float, float], float]]] = {
    ast.Add: ("+", lambda a, b: a + b), ast.Sub: ("-", lambda a, b: a - b), ast.Mult: ("*", lambda a, b: a * b),
    ast.Div: ("/", lambda a, b: a / b if b else math.copysign(math.inf, a)),
    ast.Pow: ("**", lambda a, b: math.inf if a > 1 and b * math.log(a) > 700 else float(a**b) if a >= 0 else math.nan),
}  # fmt: skip


@dataclass(frozen=True)
class Fitness:
    """A number by which results are ranked, higher is better; an expression of measures, composed as text or in Python.

    Names are those of `netloom.searching.MEASURES`, ``accuracy`` (the score) and ``size``, which is min(0.001, 1 / params):
    added to a score it decides among equals. Functions: ``log``, ``log10``, ``sqrt``, ``abs``, ``min``, ``max``, ``round(x,
    digits)`` and ``ewma(x, share)``: ``share`` of a candidate's own value and the rest of its parents', an average over
    generations. `SearchError` says what cannot be read.

    >>> import netloom as nl
    >>> x = nl.input(4)
    >>> result = nl.searching.Result(nl.Graph(x, nl.linear(x, 2)), 0.5)
    >>> Fitness("score - 0.01 * log10(params)")(result)
    0.49
    >>> (Fitness("score") - 2 * Fitness("log(params)")).text
    'score-2*log(params)'
    """

    text: str
    _tree: ast.expr = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise SearchError(f"fitness {self.text!r}; expected an expression such as 'score+size'")
        tree = _parsed(self.text)
        object.__setattr__(self, "text", _written(tree))
        object.__setattr__(self, "_tree", tree)

    @staticmethod
    def of(given: str | Fitness | Callable[[Result], float] | None) -> Fitness | Callable[[Result], float]:
        """A fitness from text, itself, a function of results, or None for the score."""
        if given is None:
            return Fitness("score")
        if isinstance(given, str):
            return Fitness(given)
        if not callable(given):
            raise SearchError(f"fitness {given!r}; expected an expression such as 'score+size', or a function of results")
        return given

    @property
    def spec(self) -> str:
        """The expression."""
        return self.text

    @property
    def names(self) -> frozenset[str]:
        """The measures that it reads."""
        return frozenset(node.id for node in ast.walk(self._tree) if isinstance(node, ast.Name) and node.id in _NAMES)

    def __call__(self, result: Result) -> float:
        """The fitness of a result by itself; averages over generations are its own value then."""
        return _value(self._tree, result, None)

    def __add__(self, other: Fitness | float) -> Fitness:
        return _joined(self, ast.Add(), other)

    def __radd__(self, other: float) -> Fitness:
        return _joined(other, ast.Add(), self)

    def __sub__(self, other: Fitness | float) -> Fitness:
        return _joined(self, ast.Sub(), other)

    def __rsub__(self, other: float) -> Fitness:
        return _joined(other, ast.Sub(), self)

    def __mul__(self, other: Fitness | float) -> Fitness:
        return _joined(self, ast.Mult(), other)

    def __rmul__(self, other: float) -> Fitness:
        return _joined(other, ast.Mult(), self)

    def __truediv__(self, other: Fitness | float) -> Fitness:
        return _joined(self, ast.Div(), other)

    def __rtruediv__(self, other: float) -> Fitness:
        return _joined(other, ast.Div(), self)

    def __repr__(self) -> str:
        return f"Fitness({self.text!r})"


class Fitnesses:
    """The fitness of results as they are told, and what it was for their parents.

    ``of(result)`` is higher for the better; of equals the smaller network is better, as the second number of ``rank`` says.
    """

    def __init__(self, fitness: Fitness | Callable[[Result], float]) -> None:
        self._fitness = fitness
        self._values: dict[tuple[Any, ...], float] = {}
        #: Averages by the hash of the graph, one dict for each average in the expression.
        self._averages: dict[str, dict[str, float]] = {}

    def of(self, result: Result) -> float:
        """The fitness of a result; minus infinity where it has none."""
        key = (result.graph.hash, result.epochs, result.evaluation, repr(result.recipe), result.lineage.parents)
        if key not in self._values:
            value = -math.inf
            if result.score is not None:
                own = self._fitness
                value = _value(own._tree, result, self._averages) if isinstance(own, Fitness) else float(own(result))
            self._values[key] = -math.inf if math.isnan(value) else value
        return self._values[key]

    def rank(self, result: Result) -> tuple[float, float]:
        """What results are ordered by: fitness, of equals the smaller network."""
        return self.of(result), -float(result.graph.num_params)


def check_measured(fitness: Any, context: Context, strategy: str) -> None:
    """`SearchError` where a fitness needs what nobody measures in this search."""
    if isinstance(fitness, Fitness):
        known = {*context.objectives, *(constraint.name for constraint in context.constraints)}
        missing = sorted((fitness.names & set(MEASURED)) - known)
        if missing and context.store is not None:
            name = missing[0]
            objectives = ", ".join([*context.objectives, name])
            raise SearchError(
                f"{strategy}: fitness {fitness.text!r} needs {name}, which nobody measures; objectives='{objectives}'"
            )


# -- expressions -----------------------------------------------------------------------------------------------------
def _parsed(text: str) -> ast.expr:
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise SearchError(
            f"fitness {text[:80]!r} cannot be read; write an expression such as 'score - 0.01*log10(params)'"
        ) from None
    for _ in _checked(tree, text[:80]):
        pass
    return tree


def _checked(node: ast.AST, text: str) -> Iterator[None]:
    """Visits everything, so that nothing but numbers, names, functions and arithmetic is ever evaluated."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return
    if isinstance(node, ast.Name):
        _known(node.id, _NAMES, "measure", text)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        yield from _checked(node.operand, text)
    elif isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        yield from _checked(node.left, text)
        yield from _checked(node.right, text)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        _known(node.func.id, tuple(_FUNCTIONS), "function", text)
        counts = _FUNCTIONS[node.func.id][1]
        if len(node.args) not in counts:
            raise SearchError(
                f"fitness {text!r}: {node.func.id} takes {' or '.join(map(str, counts))} numbers, not {len(node.args)}"
            )
        for argument in node.args:
            yield from _checked(argument, text)
    else:
        raise SearchError(f"fitness {text!r}: {ast.unparse(node)[:40]!r} is no arithmetic of measures, such as 'score+size'")


def _known(name: str, names: tuple[str, ...], what: str, text: str) -> None:
    if name not in names:
        near = difflib.get_close_matches(name, names, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise SearchError(f"fitness {text!r}: unknown {what} {name[:40]!r}; {hint}there is: {', '.join(names)}")


def _value(node: ast.expr, result: Result, averages: dict[str, dict[str, float]] | None) -> float:
    if isinstance(node, ast.Constant):
        return float(node.value)  # type: ignore[arg-type]
    if isinstance(node, ast.Name):
        return _measure(node.id, result)
    if isinstance(node, ast.UnaryOp):
        value = _value(node.operand, result, averages)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp):
        return _OPERATORS[type(node.op)][1](_value(node.left, result, averages), _value(node.right, result, averages))
    assert isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    values = [_value(argument, result, averages) for argument in node.args]
    if node.func.id == "ewma" and averages is not None:
        return _averaged(averages.setdefault(ast.unparse(node), {}), result, *values)
    return float(_FUNCTIONS[node.func.id][0](*values))


def _averaged(known: dict[str, float], result: Result, own: float, share: float = 0.5) -> float:
    before = [known[parent] for parent in result.lineage.parents if parent in known]
    value = own if not before else share * own + (1 - share) * sum(before) / len(before)
    known[result.graph.hash] = value
    return value


def _measure(name: str, result: Result) -> float:
    if name == "size":
        return min(1e-3, 1 / max(result.graph.num_params, 1))
    value = result.measure("score" if name == "accuracy" else name)
    return math.nan if value is None else float(value)


def _joined(left: Any, operator: ast.operator, right: Any) -> Fitness:
    return Fitness(_written(ast.BinOp(_tree_of(left), operator, _tree_of(right))))


def _tree_of(value: Any) -> ast.expr:
    if isinstance(value, Fitness):
        return value._tree
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SearchError(f"a fitness is combined with another or with a number, not with {value!r}")
    return ast.Constant(value)


def _written(tree: ast.expr) -> str:
    """The expression without spaces, as a setting of a strategy has it."""
    return ast.unparse(tree).replace(" ", "")
