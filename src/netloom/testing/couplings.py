"""Couplings: whether a dimension rule says the truth about removing, repeating, adding and zeroing indices of a label.

Calls are run on real tensors, in double precision where the operator takes it, and again on what is left of those tensors
along one label (or on what they become by repetition, or by zeros).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..ops import Concat, Edge, TensorType, Weight
from ..ops.dims import Dims, labels, size_of
from .dimensions import equations, label_sizes, restated
from .execution import Attempt, attempt, bindings, make_tensor, run
from .operators import Call, Operand

#: Results whose numbers mean nothing: memory as it was found.
UNSET = frozenset({"empty", "empty_like"})
#: Operators that draw only where they must, so that one index decides what is drawn for the next.
DRAWS_ON_DEMAND = frozenset({"rrelu"})
#: Operators of which zeros in more operands may make no zeros: 0 / 0.
DIVIDES = frozenset({"div", "floor_divide", "remainder", "fmod", "addcdiv", "weight_norm"})
#: Indices of a label that a check works on, times what its size must be a multiple of; which of them stay.
WIDTH, KEPT = 4, (0, 2)


# -- axes, index by index ----------------------------------------------------------------------------------------------
def places(axis: Any, sizes: Mapping[str, int], label: str, order: Sequence[int]) -> list[int]:
    """Where the entries of an axis come from when ``label`` gets the indices ``order`` (repeats allowed).

    >>> from netloom.ops import Product
    >>> places(Product(("g", "c")), {"g": 2, "c": 3}, "c", [2, 0])
    [2, 0, 5, 3]
    """
    if isinstance(axis, str):
        return list(order) if axis == label else list(range(sizes[axis]))
    parts = [places(part, sizes, label, order) for part in axis.parts]
    old = [size_of(part, sizes) for part in axis.parts]
    if isinstance(axis, Concat):
        return [sum(old[:k]) + place for k, part in enumerate(parts) for place in part]
    strides = [math.prod(old[k + 1 :]) for k in range(len(old))]
    return [sum(s * p for s, p in zip(strides, combination)) for combination in itertools.product(*parts)]


def touched(axis: Any, sizes: Mapping[str, int], label: str, indices: Sequence[int]) -> list[bool]:
    """Which entries of an axis belong to one of the ``indices`` of a label.

    >>> from netloom.ops import Concat
    >>> touched(Concat(("a", "b")), {"a": 1, "b": 2}, "b", [1])
    [False, False, True]
    """
    if isinstance(axis, str):
        return [axis == label and i in indices for i in range(sizes[axis])]
    parts = [touched(part, sizes, label, indices) for part in axis.parts]
    if isinstance(axis, Concat):
        return [hit for part in parts for hit in part]
    return [any(combination) for combination in itertools.product(*parts)]


# -- a call with tensors -----------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Given:
    """One tensor of a call: its name in `Operator.zeroes`, the argument it is of, its axes, and the tensor itself."""

    name: str
    argument: str
    axes: tuple[Any, ...]
    value: Any


class Trial:
    """A call with tensors for its operands; torch runs it when its results are asked for."""

    def __init__(self, tried: Attempt, tensors: Mapping[str, Any] | None = None) -> None:
        assert tried.outputs is not None
        self.tried, self.kind, self.types = tried, tried.kind, tried.types
        self.dims: Dims = tried.kind.dims(tried.types, tried.outputs)
        self.sizes = label_sizes(self.dims, tried)
        if tensors is None:
            bound = bindings(tried, training=False)
            assert bound is not None
            tensors = {name: make_tensor(operand, "cpu", i) for i, (name, operand) in enumerate(bound[1].items())}
        self.given = {name: Given(*of, tensors[name]) for name, of in self._operands()}

    def _operands(self) -> Iterator[tuple[str, tuple[str, str, tuple[Any, ...]]]]:
        """Variable → name, argument and axes, for every operand."""
        for argument, rows in self.dims.operands.items():
            value = self.tried.args[argument]
            if isinstance(value, Edge | Weight):
                yield _variable(value), (argument, argument, rows)
                continue
            names = self.kind.roles(self.types) if argument == self.kind.weight_list else ()
            for k, (ref, row) in enumerate(zip((ref for ref in value if isinstance(ref, Edge | Weight)), rows)):
                yield _variable(ref), (names[k] if names else f"{argument}[{k}]", argument, row)

    @cached_property
    def results(self) -> tuple[Any, ...] | None:
        """What torch gives; None where it refuses."""
        verdict = run(self.tried, "cpu", {name: given.value for name, given in self.given.items()}, training=False)
        return verdict.values if verdict.status == "ok" else None

    def with_tensors(self, tensors: Mapping[str, Any]) -> Trial:
        return Trial(self.tried, {name: given.value for name, given in self.given.items()} | dict(tensors))

    def ordered(self, label: str, order: Sequence[int], **attrs: Any) -> Trial | None:
        """The call on the indices ``order`` of a label in every operand; None where that is no call."""
        call = restated(self.tried, self.dims, {**self.sizes, label: len(order)})
        changed = attempt(call.with_args(**attrs) if attrs else call)
        if changed.outputs is None:
            return None
        return Trial(changed, {name: self._picked(g.value, g.axes, label, order) for name, g in self.given.items()})

    def shifted(self, by: float) -> Trial:
        """The same call with a number added to every floating operand."""
        return self.with_tensors({
            name: given.value + by for name, given in self.given.items() if given.value.is_floating_point()
        })  # fmt: skip

    def without_zeros(self) -> Trial:
        """The same call with ones in place of all zeros."""
        return self.with_tensors({name: given.value.masked_fill(given.value == 0, 1) for name, given in self.given.items()})

    def shuffled(self, label: str, order: Sequence[int]) -> Trial:
        """The same call with the indices ``order`` of a label, as many as before."""
        return self.with_tensors({name: self._picked(g.value, g.axes, label, order) for name, g in self.given.items()})

    def zeroed(self, label: str, indices: Sequence[int], names: Sequence[str], summed: bool = False) -> Trial:
        """Zeros at indices of a label in the named operands, along the axes that are summed over or along the others."""
        import torch

        changed = {}
        for variable, given in self.given.items():
            tensor = given.value.clone()
            for i, axis in enumerate(given.axes):
                if given.name in names and summed == ((given.name, i) in self.dims.summed):
                    hit = torch.tensor(touched(axis, self.sizes, label, indices))
                    tensor[(slice(None),) * i + (hit,)] = 0
            changed[variable] = tensor
        return self.with_tensors(changed)

    def carriers(self, label: str) -> list[Given]:
        """The operands that have a label, other than along axes that are summed over."""
        return [
            given
            for given in self.given.values()
            if any(label in labels(axis) and (given.name, i) not in self.dims.summed for i, axis in enumerate(given.axes))
        ]

    def at(self, label: str, order: Sequence[int]) -> tuple[Any, ...] | None:
        """The results at indices of a label, and all of what does not have it; None where torch refuses."""
        if self.results is None:
            return None
        return tuple(self._picked(result, axes, label, order) for result, axes in zip(self.results, self.dims.outputs))

    def vanishes(self, label: str, index: int) -> bool:
        """Whether all results that have a label are zero at an index of it."""
        import torch

        if self.results is None:
            return False
        for result, axes in zip(self.results, self.dims.outputs):
            for i, axis in enumerate(axes):
                hit = torch.tensor(touched(axis, self.sizes, label, [index]))
                if bool((result[(slice(None),) * i + (hit,)] != 0).any()):
                    return False
        return True

    def _picked(self, tensor: Any, axes: Sequence[Any], label: str, order: Sequence[int]) -> Any:
        import torch

        for i, axis in enumerate(axes):
            if label in labels(axis):
                tensor = tensor.index_select(i, torch.tensor(places(axis, self.sizes, label, order)))
        return tensor


def _variable(ref: Edge | Weight) -> str:
    return ref.node if isinstance(ref, Edge) else "w_" + ref.key.replace(".", "_")


def _in_double(call: Call) -> Call:
    """The call with float64 in place of narrower floating dtypes."""

    def widened(value: Any) -> Any:
        if isinstance(value, Operand) and value.type.dtype in ("float32", "float16", "bfloat16"):
            return Operand(TensorType("float64", value.type.shape), value.low, value.high)
        return tuple(widened(v) for v in value) if type(value) is tuple else value

    return Call(call.op, {name: widened(value) for name, value in call.args.items()})


def trials(call: Call) -> Iterator[tuple[str, Trial]]:
    """Every label that may change, with a trial of the call that gives it several indices."""
    for tried in (attempt(_in_double(call)), attempt(call)):
        found = list(_trials(tried)) if tried.outputs is not None and call.op not in UNSET else []
        if found:
            yield from found
            break


def _trials(tried: Attempt) -> Iterator[tuple[str, Trial]]:
    assert tried.outputs is not None
    dims = tried.kind.dims(tried.types, tried.outputs)
    sizes = label_sizes(dims, tried)
    if any(size == 0 for _, _, size in equations(dims, tried)):
        return
    for label in sorted(set(sizes) - dims.fixed):
        # Others of several indices too, where that is a call: over one index, all is zero or one.
        least = {other: 0 if other in dims.fixed else 2 * dims.multiples.get(other, 1) for other in sizes}
        for others in ({other: max(size, least[other]) for other, size in sizes.items()}, sizes):
            larger = attempt(restated(tried, dims, {**others, label: WIDTH * dims.multiples.get(label, 1)}))
            if larger.outputs is not None and (trial := Trial(larger)).results is not None:
                yield label, trial
                break


def alike(found: Sequence[Any] | None, expected: Sequence[Any] | None) -> bool:
    """Equal up to the rounding of their dtypes; unequal where torch refused one."""
    import torch

    if found is None or expected is None:
        return False
    for one, other in zip(found, expected):
        if one.shape != other.shape:
            return False
        exact = not (one.is_floating_point() or one.is_complex())
        bound = 0.0 if exact else {torch.float64: 1e-9, torch.complex128: 1e-9, torch.float32: 1e-4}.get(one.dtype, 3e-2)
        if not torch.allclose(one, other, rtol=bound, atol=bound, equal_nan=True):
            return False
    return True


# -- couplings ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Seen:
    """What one label of one call showed: its name without number, its declared coupling, whether it is coupled indeed."""

    label: str
    kind: str
    coupled: bool


def check_couplings(call: Call) -> list[Seen]:
    """Every label that may change behaves as `Dims` says of it; gives what was seen."""
    found = []
    for label, trial in trials(call):
        kind = trial.dims.coupled.get(label, "")
        broken = _broken(trial, label)
        if label not in labels(trial.dims.outputs):
            # Zeros may hide among numbers of both signs: they are no maximum unless all others are negative.
            broken = broken or _broken(trial.shifted(-4), label) or _broken(trial.shifted(4), label)
        if kind:
            _check_kind(call, trial, label, kind)
        else:
            assert not broken, f"{call}: {label} is not said to be coupled, but {broken}: {trial.dims}"
        found.append(Seen(label.rstrip("0123456789"), kind, bool(broken)))
    return found


def _broken(trial: Trial, label: str) -> str:
    """How removing some indices of a label shows that it is coupled; "" where it does not."""
    count, factor = trial.sizes[label], trial.dims.multiples.get(label, 1)
    kept = [i for i in range(count) if i // factor in KEPT]
    gone = [i for i in range(count) if i not in kept]
    carried = label in labels(trial.dims.outputs)
    if carried and trial.kind.effect == "random" and getattr(trial.types, "training", True) is True:
        if trial.kind.name in DRAWS_ON_DEMAND:
            return ""
        # Draws go by place: another index must go in for the one that is to go out.
        smaller: Trial | None = trial.shuffled(label, [i if i in kept else kept[0] for i in range(count)])
    else:
        smaller = trial.ordered(label, kept)
    if smaller is None:
        return ""
    if carried:
        summed = [name for name, _ in trial.dims.summed]
        if smaller.sizes[label] == count:
            smaller = smaller.zeroed(label, gone, summed, summed=True)
        rest = smaller.at(label, kept) if smaller.sizes[label] == count else smaller.results
        alone = alike(rest, trial.zeroed(label, gone, summed, summed=True).at(label, kept))
        return "" if alone else "results at some indices depend on others, or on their number"
    carriers = trial.carriers(label)
    for argument in {given.argument: None for given in carriers}:
        rows = [given.name for given in carriers if given.argument == argument]
        for names in [rows] if argument == trial.kind.weight_list else [[name] for name in rows]:
            if not alike(smaller.results, trial.zeroed(label, gone, names).results):
                return f"indices where {' and '.join(names)} are zero cannot be left out"
    return ""


def _check_kind(call: Call, trial: Trial, label: str, kind: str) -> None:
    """A coupled label keeps what its kind promises."""
    assert kind in ("average", "rms", "zeros", "other"), f"{call}: {label} is coupled as {kind!r}, which is not defined"
    if kind in ("average", "rms"):
        _check_average(call, trial, label)
    if kind == "zeros":
        _check_zeros(call, trial, label)
    # The usual eps is too small to be seen in the results.
    for start in (trial, trial.ordered(label, range(trial.sizes[label]), eps=0.5) if kind == "rms" else None):
        if start is not None:
            _check_padding(call, start, label, kind)


def _check_average(call: Call, trial: Trial, label: str) -> None:
    """Results stay where every index is repeated, be it one after the other or all of them again."""
    count = trial.sizes[label]
    for order, first in ([*range(count)] * 2, range(count)), ([i // 2 for i in range(2 * count)], range(0, 2 * count, 2)):
        repeated = trial.ordered(label, order)
        same = repeated is not None and alike(repeated.at(label, first), trial.results)
        assert same, f"{call}: {label} is coupled as an average, but results change when its indices are repeated"


def _check_zeros(call: Call, trial: Trial, label: str) -> None:
    """Indices at which every operand with the label is zero may be left out."""
    count = trial.sizes[label]
    kept = [i for i in range(count) if i in KEPT]
    gone = [i for i in range(count) if i not in kept]
    smaller = trial.ordered(label, kept)
    names = [given.name for given in trial.carriers(label)]
    same = smaller is not None and alike(smaller.results, trial.zeroed(label, gone, names).at(label, kept))
    assert same, f"{call}: {label} is coupled so that zeros do not count, but they do"


def _check_padding(call: Call, trial: Trial, label: str, kind: str) -> None:
    """`Operator.padded` makes up for more indices of zeros; without it, they scale what is coupled as a root mean square."""
    old = trial.sizes[label]
    new = old + 3
    order = [*range(old), 0, 0, 0]
    names = [given.name for given in trial.given.values()]
    if kind == "rms":
        eps = 2.0**-52 if trial.types.eps is None else trial.types.eps
        grown = trial.ordered(label, order, eps=eps * old / new)
        assert grown is not None and trial.results is not None, f"{call} is refused with more indices of {label}"
        scaled = [result * math.sqrt(new / old) for result in trial.results]
        same = alike(grown.zeroed(label, range(old, new), names).at(label, range(old)), scaled)
        assert same, f"{call}: {label} is coupled as a root mean square, but zeros do not scale the results by its size"
    told = trial.kind.padded(trial.types, label, old, new)
    if told is None:
        return
    grown = trial.ordered(label, order, **told.get("attrs", {}))
    assert grown is not None, f"{call} is refused with {told}"
    grown = grown.zeroed(label, range(old, new), names)
    factors = told.get("scale", {})
    grown = grown.with_tensors({name: given.value * factors.get(given.name, 1) for name, given in grown.given.items()})
    found = grown.at(label, range(old))
    assert found is not None, f"{call} is refused with {told}"
    times = told.get("times", 1.0)
    assert alike([result * times for result in found], trial.results), f"{call}: with {told}, zeros change the results"


# -- zeros -------------------------------------------------------------------------------------------------------------
def check_zeroes(call: Call) -> bool | None:
    """Results are zero where `Operator.zeroes` says so; gives whether it does of any label, None where no result has one."""
    told: bool | None = None
    for label, trial in trials(call):
        if label not in labels(trial.dims.outputs):
            continue
        claimed: list[frozenset[str]] = []
        for zero in _choices([given.name for given in trial.carriers(label)]):
            divides = call.op in DIVIDES
            if trial.kind.zeroes(trial.types, label, zero) and not (divides and any(less < zero for less in claimed)):
                shown = f"{label} where {', '.join(sorted(zero)) or 'nothing'} is zero"
                zeroed = (trial.without_zeros() if divides else trial).zeroed(label, [1], sorted(zero))
                assert zeroed.vanishes(label, 1), f"{call} is said to be zero at an index of {shown}, but is not"
                claimed.append(zero)
        told = bool(told or claimed)
    return told


def _choices(names: Sequence[str]) -> list[frozenset[str]]:
    """Sets of operands from small to large: all of a few operands, else none, each, all but each, and all."""
    sizes = range(len(names) + 1) if len(names) <= 4 else (0, 1, len(names) - 1, len(names))
    return [frozenset(some) for size in sizes for some in itertools.combinations(names, size)]
