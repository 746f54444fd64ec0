"""What an operator is, and the registry of all of them.

An operator is declared in one place, as one class: its arguments with their ranges, its shape and dtype rule, its
dimension rule, its cost, and the torch call that computes it. Nothing here imports torch: rules are plain Python over
`TensorType`, the call is a template that `netloom.building` turns into code.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from math import prod
from types import SimpleNamespace
from typing import Any, ClassVar, NamedTuple

from ..errors import AttributeValueError, ShapeError, UnknownOperatorError
from .arguments import REQUIRED, Edge, Param, Slice, Weight
from .dims import Dims, labels
from .zeros import named_axes, vanishes


class TensorType(NamedTuple):
    """dtype and shape of a value; a shape entry is an int or a `Size`."""

    dtype: str
    shape: tuple[Any, ...]

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def numel(self) -> Any:
        return prod(self.shape)

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"


# -- the operator ----------------------------------------------------------------------------------------------------
class Operator:
    """Base of all operators: subclass it, fill in the class attributes and rules, and it is registered.

    Rules get a namespace ``a`` with every argument by name, defaults filled in: attributes as plain data, tensors and
    weights as `TensorType` (a tuple of those for ``tensors``), absent ones as None.

    - ``name``: how graphs, text and builder functions call it.
    - ``params``: its arguments, tensors first (see `tensor`, `tensors`, `operand`, `weight`, `attr`).
    - ``code``: the torch expression, with ``{argument}`` for every argument; for several outputs one
      that returns a tuple, or with ``unpack`` (``"{0}, ({1}, {2})"``) one that returns a nest.
    - ``calls``: which torch callables it stands for → their signature in terms of this operator's
      arguments (``"x:input, weight, stride=1"``; ``name:keyword`` where torch's keyword differs; ``*dims`` takes the rest).
      In-place forms (``relu_``, ``__iadd__``, ``inplace=``) are found from the pure form.
    - ``precedence``: of operators that stand for one callable (``torch.max``), those of higher precedence are tried first;
      no two may have the same.
    - ``view``: the result may share memory with its first tensor. ``commutative``: names of two interchangeable arguments.
    - ``inplace``: the template that overwrites the first operand, for networks to use where nobody else reads it.
      ``saves_output``: the backward pass may need the result, so that nothing may overwrite it.
      ``always_tuple``: the torch call returns a tuple even of one tensor.
    - ``effect``: ``"random"`` (draws from the generator) or ``"write"`` (updates a buffer) or "".
    - ``zero_terms``: the result as a sum of products of its arguments, as far as zeros go (see `netloom.ops.zeros`).
    - ``weight_list``: name of the ``tensors`` argument that lists the node's weights, where their number depends on
      attributes (recurrent layers); `roles` names them.
    """

    name: ClassVar[str] = ""
    params: ClassVar[tuple[Param, ...]] = ()
    code: ClassVar[str] = ""
    unpack: ClassVar[str] = ""
    calls: ClassVar[Mapping[str, str]] = {}
    precedence: ClassVar[int] = 0
    family: ClassVar[str] = ""
    view: ClassVar[bool] = False
    commutative: ClassVar[tuple[str, ...]] = ()
    effect: ClassVar[str] = ""
    inplace: ClassVar[str] = ""
    saves_output: ClassVar[bool] = True
    always_tuple: ClassVar[bool] = False
    zero_terms: ClassVar[tuple[str, ...]] = ()
    weight_list: ClassVar[str] = ""
    by_name: ClassVar[dict[str, Param]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.by_name = {param.name: param for param in cls.params}
        cls.family = cls.__module__.rpartition(".")[2]
        if "name" in cls.__dict__ and cls.name:
            if cls.name in REGISTRY and type(REGISTRY[cls.name]).__module__ != cls.__module__:
                raise AttributeValueError(f"operator {cls.name!r} is registered twice; choose another name")
            _register(cls())

    # -- rules that subclasses write ---------------------------------------------------------------------------
    def weights(self, a: SimpleNamespace) -> dict[str, TensorType]:
        """Types of the weights the node owns, from the attributes and the types of its tensors."""
        return {}

    def roles(self, a: SimpleNamespace) -> tuple[str, ...]:
        """Roles of the entries of ``weight_list``, in order, from the attributes alone."""
        return ()

    def infer(self, a: SimpleNamespace) -> TensorType | tuple[TensorType, ...]:
        """Types of the outputs; raises `ShapeError` where torch would refuse."""
        raise ShapeError(f"operator {self.name} has no shape rule")

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        """How the axes tie. The default ties nothing and freezes every axis."""
        operands: dict[str, Any] = {}
        fixed: set[str] = set()
        for name, value in self.typed(a):
            if isinstance(value, TensorType):
                operands[name] = tuple(f"{name}{i}" for i in range(value.rank))
                fixed.update(operands[name])
            else:
                operands[name] = tuple(tuple(f"{name}{k}_{i}" for i in range(t.rank)) for k, t in enumerate(value))
                fixed.update(label for axes in operands[name] for label in axes)
        out = tuple(tuple(f"y{k}_{i}" for i in range(t.rank)) for k, t in enumerate(outputs))
        fixed.update(label for axes in out for label in axes)
        return Dims(operands, out, fixed=frozenset(fixed))

    def flops(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Any:
        """Floating point operations as torch.utils.flop_counter counts them: 2 per multiply–add of matrix products."""
        return 0

    def init(self, role: str, a: SimpleNamespace) -> tuple[Any, ...]:
        """torch's default initialisation of a weight: ``("kaiming_uniform", fan_in)``, ``("uniform", low, high)``,
        ``("normal", mean, std)`` or ``("constant", value)``."""
        return ("constant", 0.0)

    def buffers(self) -> frozenset[str]:
        """Those of its weights that are buffers (running statistics), not parameters."""
        return frozenset()

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        """Arguments of the node from those of the torch call (by the names in ``calls``); None refuses the call."""
        return call

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        """Attributes to restate in normal form, once types are known (same computation → same attributes)."""
        return {}

    def commutes(self, args: Mapping[str, Any]) -> bool:
        """Whether the two ``commutative`` arguments may swap places, given all arguments of the call."""
        return bool(self.commutative)

    def template(self, a: SimpleNamespace) -> str:
        """The torch expression for these arguments: ``code`` unless the form depends on them.

        ``{argument}`` stands for each argument; ``{device}`` for the device of the network's tensors; ``torch`` and
        ``F`` (torch.nn.functional) are in scope.
        """
        return self.code

    def statements(self, a: SimpleNamespace) -> list[str]:
        """Statements to run before the expression, as templates (``"if {training}: {count}.add_(1)"``)."""
        return []

    def inplace_when(self, a: SimpleNamespace) -> bool:
        """Whether ``inplace`` computes the same for these arguments (operand and result have one type already)."""
        return True

    def terms(self, a: SimpleNamespace, label: str, dims: Dims) -> tuple[str, ...]:
        """``zero_terms`` as they hold at one index of a label of the result; none where that says nothing of the result."""
        return () if label in dims.coupled else self.zero_terms

    def loose_dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims | None:
        """A rule for sizes that `dims` does not allow, None where there is none: it keeps less of what the node does."""
        return None

    def refitted(self, a: SimpleNamespace, shape: tuple[Any, ...]) -> dict[str, Any]:
        """The attributes that follow from another shape of the result under `loose_dims`."""
        return {}

    def padded(self, a: SimpleNamespace, label: str, old: int, new: int) -> dict[str, Any] | None:
        """What keeps the results when zeros make ``old`` indices of a coupled label to ``new``; None if nothing does.

        ``{"scale": {weight: factor}, "attrs": {attribute: value}, "times": factor}``, the last for the results.
        """
        return None

    def flat_at_zero(self, a: SimpleNamespace) -> bool:
        """Whether nothing is learned through it at zero, because the derivative there is zero (for torch, a rectifier's is)."""
        return False

    def join_modes(self, evaluation: Mapping[str, Any], training: Mapping[str, Any]) -> dict[str, Any] | None:
        """Arguments that serve both modes where the calls made in evaluation and training differ; None if there are none."""
        return None

    # -- what the rest of netloom calls -----------------------------------------------------------------------
    def typed(self, a: SimpleNamespace) -> list[tuple[str, Any]]:
        """The arguments that are tensors, with their types (tuples of types for lists of tensors)."""
        found = []
        for param in self.params:
            value = getattr(a, param.name, None)
            if isinstance(value, TensorType) or (
                isinstance(value, tuple) and value and all(isinstance(v, TensorType) for v in value)
            ):
                found.append((param.name, value))
        return found

    def zeroes(self, a: SimpleNamespace, label: str, zero: frozenset[str], dims: Dims | None = None) -> bool:
        """Whether all outputs that have ``label`` are zero at an index where the operands named in ``zero`` are.

        An operand is named as its argument, an entry of a list as ``tensors[0]`` (the list's name stands for all of them), one
        of ``weight_list`` as its role. An operand without the label is not zero there, whatever ``zero`` says; axes in
        `Dims.summed` do not count as having it. The other operands may be anything finite that is not divided by. ``dims`` is
        the rule of this call where it is at hand.

        >>> from netloom.ops import TensorType, operator
        >>> x, w = TensorType("float32", (8, 3)), TensorType("float32", (4, 3))
        >>> a = SimpleNamespace(x=x, out=4, weight=w, bias=TensorType("float32", (4,)))
        >>> [operator("linear").zeroes(a, "o", frozenset(zero)) for zero in ({"weight", "bias"}, {"weight"})]
        [True, False]
        """
        if dims is None:
            made = self.infer(a)
            dims = self.dims(a, (made,) if isinstance(made, TensorType) else tuple(made))
        if not any(label in labels(row) for row in dims.outputs):
            return False
        roles = self.roles(a) if self.weight_list else ()
        return vanishes(self.terms(a, label, dims), label, zero, a, dims, named_axes(dims, roles, self.weight_list))

    def check(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """All arguments in declared order with defaults filled in and attributes in normal form.

        Raises `AttributeValueError` naming the argument, its value and what is expected.
        """
        unknown = [name for name in args if name not in self.by_name]
        if unknown:
            near = difflib.get_close_matches(unknown[0], self.by_name, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; it takes {', '.join(self.by_name) or 'none'}"
            raise AttributeValueError(f"{self.name} has no argument {unknown[0]!r}{hint}")
        full: dict[str, Any] = {}
        for param in self.params:
            name = param.name
            if name not in args:
                if param.default is REQUIRED:
                    if param.kind == "weight":
                        full[name] = None
                        continue
                    raise AttributeValueError(f"{self.name} needs {name!r}" + (f" ({param.help})" if param.help else ""))
                value = param.default
            else:
                value = args[name]
            if param.kind == "attr":
                # A declared default is in normal form already, whatever its check says of given values.
                if value is not param.default and param.check is not None:
                    try:
                        value = param.check(value)
                    except (ValueError, TypeError) as error:
                        raise AttributeValueError(f"{self.name}: {name} = {value!r}; expected {error}") from None
            elif param.kind == "tensors":
                if not isinstance(value, tuple | list) or not value:
                    raise AttributeValueError(f"{self.name}: {name} needs a non-empty list of values")
                value = tuple(value)
            full[name] = value
        return full

    def evaluate(self, args: Mapping[str, Any], type_of: Callable[[Any], TensorType | None]) -> Evaluated:
        """Check arguments and work out types: the one way in which a node comes about.

        ``type_of`` gives the type of an `Edge`, and of a `Weight` or None where its entry is still to be made.
        """
        full = self.check(args)
        types = {name: resolve_types(value, type_of) for name, value in full.items()}
        a = SimpleNamespace(**types)
        for param in self.params:
            if param.axis_of and full[param.name] is not None:
                of = getattr(a, param.axis_of)
                rank = (of[0] if type(of) is tuple else of).rank
                value = full[param.name]
                value = axes(value, rank, param.name) if isinstance(value, tuple | list) else axis(value, rank, param.name)
                full[param.name] = value
                setattr(a, param.name, value)
        own = [name for name, value in full.items() if type(value) is Weight]
        if own:
            expected = self.weights(a)
            for name in own:
                if name not in expected:
                    raise AttributeValueError(f"{self.name}: {name} cannot be a weight of the node's own")
                have = getattr(a, name)
                if have is None:
                    if not all(isinstance(size, int) for size in expected[name].shape):
                        raise ShapeError(f"{name} would be {pretty(expected[name].shape)}, but a weight has no free sizes")
                    setattr(a, name, expected[name])
                elif have.shape != expected[name].shape:
                    raise ShapeError(
                        f"weight {full[name].key!r} is {pretty(have.shape)} where {name} must be {pretty(expected[name].shape)}"
                    )
        if self.weight_list:
            self._settle_weight_list(full[self.weight_list], a)
        for name, value in self.normalize(a).items():
            full[name] = value
            setattr(a, name, value)
        result = self.infer(a)
        outputs = (result,) if isinstance(result, TensorType) else tuple(result)
        return Evaluated(full, a, outputs)

    def _settle_weight_list(self, given: tuple[Any, ...], a: SimpleNamespace) -> None:
        """Give the listed weights their types; `ShapeError` where their number or a shape is not what the attributes say."""
        roles, expected = self.roles(a), self.weights(a)
        if len(given) != len(roles):
            raise ShapeError(f"{self.weight_list} lists {len(given)} tensors; expected {len(roles)}: {', '.join(roles)}")
        settled = []
        for role, ref, have in zip(roles, given, getattr(a, self.weight_list)):
            if have is not None and have.shape != expected[role].shape:
                where = f"weight {ref.key!r}" if type(ref) is Weight else role
                raise ShapeError(f"{where} is {pretty(have.shape)} where {role} must be {pretty(expected[role].shape)}")
            settled.append(expected[role] if have is None else have)
        setattr(a, self.weight_list, tuple(settled))


class Evaluated(NamedTuple):
    """A node worked out: arguments in normal form, the same with types in place of edges, output types."""

    args: dict[str, Any]
    types: SimpleNamespace
    outputs: tuple[TensorType, ...]


def resolve_types(value: Any, type_of: Callable[[Any], Any]) -> Any:
    """``value`` with every edge and weight in it, however nested, replaced by its type."""
    kind = type(value)
    if kind is Edge or kind is Weight:
        return type_of(value)
    if kind is tuple:
        return tuple(resolve_types(v, type_of) for v in value)
    if kind is Slice:
        return Slice(*(resolve_types(v, type_of) for v in value))
    return value


#: All operators by name, those of higher precedence first, so that the order of imports decides nothing.
REGISTRY: dict[str, Operator] = {}
#: (torch callable, precedence) → the operator that claims it.
_CLAIMS: dict[tuple[str, int], str] = {}


def _register(kind: Operator) -> None:
    """Enter an operator; `AttributeValueError` where another of equal precedence stands for one of its torch callables."""
    claims = [(path, kind.precedence) for call in kind.calls for path in (call, call if call.endswith("_") else f"{call}_")]
    for path, precedence in claims:
        other = _CLAIMS.get((path, precedence), kind.name)
        if other != kind.name:
            raise AttributeValueError(
                f"operator {kind.name!r} claims {path}, and so does {other!r} with the same precedence {precedence}; "
                "give one of them another, the higher is tried first"
            )
    for claim in [claim for claim, name in _CLAIMS.items() if name == kind.name] if kind.name in REGISTRY else ():
        del _CLAIMS[claim]
    _CLAIMS.update(dict.fromkeys(claims, kind.name))
    REGISTRY.pop(kind.name, None)
    lowest = next(reversed(REGISTRY.values()), kind).precedence
    later = [other for other in REGISTRY.values() if other.precedence < kind.precedence] if lowest < kind.precedence else []
    REGISTRY[kind.name] = kind
    for lower in later:
        REGISTRY[lower.name] = REGISTRY.pop(lower.name)


def operator(name: str) -> Operator:
    """The registered operator called ``name``; `UnknownOperatorError` offers the nearest spelling."""
    try:
        return REGISTRY[name]
    except (KeyError, TypeError):
        near = difflib.get_close_matches(str(name), REGISTRY, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UnknownOperatorError(f"unknown operator {str(name)[:80]!r}{hint}") from None


# -- small rules that many operators share -----------------------------------------------------------------------------
def axis(value: int, rank: int, what: str = "axis") -> int:
    """A possibly negative axis as a non-negative one; `ShapeError` where it is out of range."""
    limit = max(rank, 1)
    if isinstance(value, bool) or not isinstance(value, int) or not -limit <= value < limit:
        raise ShapeError(f"{what} {value} is out of range for {rank} axes; use one in [{-limit}, {limit - 1}]")
    return value + limit if value < 0 else value


def axes(values: Any, rank: int, what: str = "axis") -> tuple[int, ...]:
    """Several axes, normalised and all different."""
    found = tuple(axis(v, rank, what) for v in (values if isinstance(values, tuple | list) else (values,)))
    if len(set(found)) != len(found):
        raise ShapeError(f"{what} {tuple(values)} names one axis twice")
    return found


def broadcast(*shapes: tuple[Any, ...]) -> tuple[Any, ...]:
    """The shape that all ``shapes`` broadcast to; `ShapeError` names the axis where they clash.

    >>> broadcast((8, 1, 3), (4, 1))
    (8, 4, 3)
    """
    if len(shapes) == 2 and shapes[0] == shapes[1]:
        return shapes[0]
    rank = max((len(shape) for shape in shapes), default=0)
    result: list[Any] = [1] * rank
    for shape in shapes:
        offset = rank - len(shape)
        for i, size in enumerate(shape, offset):
            if size == result[i] or size == 1:
                continue
            if result[i] == 1:
                result[i] = size
            else:
                listing = " and ".join("(" + ", ".join(map(str, s)) + ")" for s in shapes)
                raise ShapeError(f"{listing} do not broadcast: {result[i]} against {size} at axis {i - rank}")
    return tuple(result)


def pretty(shape: Any) -> str:
    """A shape as people write it: ``3×32×32``."""
    return "×".join(map(str, shape)) if shape else "()"
