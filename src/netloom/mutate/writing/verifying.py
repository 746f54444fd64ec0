"""Whether a changed copy of a model is the edited network: by running it, by tracing it, and by its outputs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from ...errors import NetloomError
from ...graph.graph import Graph, Step
from ...graph.hashing import canonical_walk
from ...graph.tree import edges, leaves, map_leaves, same, weights
from ...ops import Edge, Weight
from ...tracing.calls import resolve
from ...tracing.cloning import Cloner
from ...tracing.trace import trace
from .attributes import owner, paired_ints
from .draft import Placing
from .lines import Frame, Lines, frames_here, frames_of
from .views import IDLE, without_idle

#: Arguments of a step in error messages are cut to this length.
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a copy is not the edited network.

    ``reached`` orders failures: how far the copy ran, then how far its graph agrees. ``frames`` are the lines, the innermost
    first, and ``suspects`` the ints that are at fault where they stand in them; None for any. ``is_exact`` is False where the
    lines are only near: some call of the same module.
    """

    reached: tuple[int, int]
    why: str
    frames: list[Frame]
    lines: Lines
    suspects: AbstractSet[int] | None = None
    is_exact: bool = True


@dataclass(frozen=True, slots=True)
class Difference:
    """The first call of a trace that is not that of the edited graph; ``position`` counts calls."""

    position: int
    step: Step | None
    wanted: Step | None
    why: str
    ints: frozenset[int] = frozenset()


class Run:
    """One forward pass of a fresh copy of ``model`` in evaluation mode; nothing that it does reaches the model.

    The copy shares the model's parameters unless ``writes`` says that a pass changes them.
    """

    def __init__(
        self, model: torch.nn.Module, example: Any, wanted: tuple[str, str] | None = None, writes: bool = False
    ) -> None:
        kept = [*model.buffers(), *(model.parameters() if writes else ())]
        cloner = Placing({id(tensor): _cloned(tensor) for tensor in kept})
        copy = cloner.clone(model).eval()
        self.lines = Lines(dict(copy.named_modules()))
        self.counter = _Counter(self.lines, wanted)
        self.error: Exception | None = None
        self.outputs: Any = None
        args, keywords = _arguments(Cloner(meta=False).clone(example))
        try:
            with quiet(), self.counter:
                self.outputs = copy(*args, **keywords)
        except Exception as error:  # whatever the model raises at these sizes
            self.error = error


def _cloned(tensor: Any) -> Any:
    made = tensor.detach().clone()
    return torch.nn.Parameter(made, tensor.requires_grad) if isinstance(tensor, torch.nn.Parameter) else made


class _Counter(TorchFunctionMode):  # type: ignore[misc]
    """Counts the calls of torch's functions; of those wanted, (operator, module), keeps the lines."""

    def __init__(self, lines: Lines, wanted: tuple[str, str] | None) -> None:
        super().__init__()
        self.lines, self.wanted = lines, wanted
        self.calls = 0
        self.found: list[list[Frame]] = []
        self.near: list[list[Frame]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls += 1
        if self.wanted is not None:
            self._note(func, *self.wanted)
        return func(*args, **(kwargs or {}))

    def _note(self, func: Any, op: str, scope: str) -> None:
        known = resolve(func)
        if known.kind == "read":
            return
        frames = frames_here(2)
        if next((path for path in map(self.lines.path, frames) if path is not None), None) == scope:
            is_op = any(candidate.operator.name == op for candidate in known.candidates)
            (self.found if is_op else self.near).append(frames)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No gradients, the caller's random generators as they were, and attention without torch's fused fast path."""
    fast = torch.backends.mha.get_fastpath_enabled()
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)


def _arguments(example: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(example, torch.Tensor):
        return (example,), {}
    return ((), dict(example)) if isinstance(example, Mapping) else (tuple(example), {})


class Verifier:
    """Holds copies of a model against the edited graph ``new`` with the tensors ``state``."""

    def __init__(self, new: Graph, state: Mapping[str, Any], example: Any, free: Any, names: Mapping[str, str]) -> None:
        self.new, self.state, self.example, self.free = new, state, example, free
        #: Key of an inserted tensor in the edited graph → its key in the model.
        self.names = names
        self.real = not any(t.is_meta for t in state.values()) and not any(
            t.is_meta for _, t in leaves(dict(example) if isinstance(example, Mapping) else example) if torch.is_tensor(t)
        )
        self.writes = any(
            step.args.get("max_norm") is not None
            or step.op == "assign" and new.tensors[step.args["target"].key].kind == "parameter"
            for step in new.steps
        )  # fmt: skip
        self.expected: Any = None

    def failure(self, copy: torch.nn.Module, runs: bool = True) -> Failure | None:
        """What is wrong with a copy; None where it is the edited network. Without ``runs`` it is only traced."""
        run = Run(copy, self.example, writes=self.writes) if self.real and runs else None
        if run is not None and run.error is not None:
            why = f"{type(run.error).__name__}: {run.error}"
            return Failure((0, run.counter.calls), why, frames_of(run.error), run.lines)
        try:
            found = trace(copy, self.example, free=self.free)
        except NetloomError as error:
            cause = error.__cause__ or error
            return Failure((1, 0), str(error), frames_of(cause), Lines(dict(copy.named_modules())))
        difference = self.difference(found) or self._other_keys(found)
        if difference is not None:
            frames, lines, is_exact = self._lines(copy, found, difference)
            return Failure((2, difference.position), difference.why, frames, lines, difference.ints, is_exact)
        if run is not None and not self._same_outputs(run.outputs):
            why = "its outputs are not those of the edited network"
            return Failure((3, 0), why, [], run.lines, frozenset())
        return None

    def _lines(self, copy: torch.nn.Module, found: Graph, difference: Difference) -> tuple[list[Frame], Lines, bool]:
        """The lines of the call that differs, or else of a call of the same module."""
        step = difference.step
        lines = Lines(dict(copy.named_modules()))
        if step is None or not self.real:
            return [], lines, True
        wanted = (step.op, owner(step, lines.modules))
        run = Run(copy, self.example, wanted, self.writes)
        alike = [s.name for s in found.steps if (s.op, owner(s, lines.modules)) == wanted and s.mode != "train"]
        index = alike.index(step.name) if step.name in alike else 0
        calls = run.counter.found or run.counter.near
        return (calls[min(index, len(calls) - 1)] if calls else []), run.lines, bool(run.counter.found)

    def _same_outputs(self, outputs: Any) -> bool:
        if self.expected is None:
            from ...building.network import build

            network = build(self.new, weights=self.state).eval()
            args, keywords = _arguments(Cloner(meta=False).clone(self.example))
            with quiet():
                self.expected = _tensors(network(*args, **keywords))
        found = _tensors(outputs)
        return len(found) == len(self.expected) and all(map(_equal, found, self.expected))

    # -- graphs --------------------------------------------------------------------------------------------------------
    def difference(self, found: Graph) -> Difference | None:
        """The first call of a trace that is another than that of the edited graph; None where they compute the same."""
        first = _first_difference(self.new, found, self.names)
        if first is None or self._computes_the_same(self.new, found):
            return None
        ops = {step.op for step in (first.step, first.wanted) if step is not None}
        if ops & IDLE and self._computes_the_same(without_idle(self.new), without_idle(found)):
            return None
        return first

    def _other_keys(self, found: Graph) -> Difference | None:
        """Where the state_dict of a copy has other entries than the edited network."""
        ours = {self.names.get(key, key): e.type for key, e in self.new.tensors.items() if e.persistent}
        theirs = {key: e.type for key, e in found.tensors.items() if e.persistent}
        key = next((key for key in ours | theirs if ours.get(key) != theirs.get(key)), None)
        if key is None:
            return None
        why = f"its tensor {key!r} is {theirs.get(key, 'not there')}, in the edited network {ours.get(key, 'not there')}"
        return Difference(len(self.new.steps), None, None, why)

    def _computes_the_same(self, new: Graph, found: Graph) -> bool:
        """Whether two graphs have one hash, and calls at equal places read the same tensors."""
        if new.hash != found.hash:
            return False
        pairs = zip(canonical_walk(new), canonical_walk(found))
        return all(
            _keys(new, new[one].step, self.names) == _keys(found, found[two].step, {})
            for one, two in pairs
            if new[one].op != "constant"
        )


def _keys(graph: Graph, step: Step, names: Mapping[str, str]) -> list[str]:
    return [_key(graph, weight, names) for weight in weights(tuple(step.args.values()))]


def _key(graph: Graph, weight: Weight, names: Mapping[str, str]) -> str:
    key = graph.tensors[weight.key].alias_of or weight.key
    return names.get(key, key)


def _first_difference(new: Graph, found: Graph, names: Mapping[str, str]) -> Difference | None:
    renamed: dict[str, str] = {}
    for position, (wanted, have) in enumerate(zip(new.steps, found.steps)):
        renamed[have.name] = wanted.name
        why = _unlike(new, found, wanted, have, renamed, names)
        if why:
            return Difference(position, have, wanted, why, _other_ints(wanted, have))
    if len(new.steps) != len(found.steps):
        both = min(len(new.steps), len(found.steps))
        extra, lacking = ((*graph.steps, None)[both] for graph in (found, new))
        why = f"it makes {len(found.steps)} calls where the edited network makes {len(new.steps)}"
        return Difference(both, extra, lacking, why)
    for ours, theirs in ((new.result, found.result), (new.train_result, found.train_result)):
        if not same(ours, map_leaves(theirs, lambda leaf: _follow(leaf, renamed))):
            return Difference(len(new.steps), None, None, "it returns other values than the edited network")
    return None


def _unlike(new: Graph, found: Graph, wanted: Step, have: Step, renamed: Mapping[str, str], names: Mapping[str, str]) -> str:
    """In words, how a call differs; "" where it does not."""
    if wanted.op != have.op:
        return f"it calls {have.op} {have.name!r} where the edited network calls {wanted.op} {wanted.name!r}"
    if (wanted.mode, wanted.grad, wanted.autocast) != (have.mode, have.grad, have.autocast):
        return f"{have.op} {have.name!r} is called in another mode"
    if wanted.op == "constant":
        one, two = (graph.tensors[step.args["value"].key].constant for graph, step in ((new, wanted), (found, have)))
        return "" if one == two else f"the constant {have.name!r} is {_shown(two)}, that of the edited network {_shown(one)}"
    for name, value in wanted.args.items():
        other = have.args.get(name)
        if edges(value) or edges(other):
            other = map_leaves(other, lambda leaf: _follow(leaf, renamed))
        if weights(value) or weights(other):
            value, other = (
                map_leaves(v, lambda leaf: _key(graph, leaf, n) if type(leaf) is Weight else leaf)  # noqa: B023
                for v, graph, n in ((value, new, names), (other, found, {}))
            )
        if not same(value, other):
            shown = f"{name}={_text(have.args.get(name))}", f"{name}={_text(wanted.args[name])}"
            return f"{have.op} {have.name!r} has {shown[0]} where the edited network has {shown[1]}"
    if new.types(wanted.name) != found.types(have.name):
        return f"{have.op} {have.name!r} gives {found.types(have.name)}, that of the edited network {new.types(wanted.name)}"
    return ""


def _other_ints(wanted: Step, have: Step) -> frozenset[int]:
    """The ints of a call that differ from those of the call that is wanted."""
    pairs = (paired_ints(value, wanted.args.get(name)) for name, value in have.args.items())
    return frozenset(one for pair in pairs for _, one, two in pair if one != two)


def _follow(leaf: Any, renamed: Mapping[str, str]) -> Any:
    return Edge(renamed.get(leaf.node, leaf.node), leaf.index) if type(leaf) is Edge else leaf


def _shown(constant: Any) -> str:
    """A constant in words: the number itself where it is one."""
    if constant is None or not constant.data or constant.type.numel != 1:
        return str(constant)
    return str(torch.frombuffer(bytearray(constant.data), dtype=getattr(torch, constant.type.dtype)).item())


def _text(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


# -- outputs ---------------------------------------------------------------------------------------------------------
def _tensors(value: Any) -> list[Any]:
    """The tensors of a result, in order, in whatever containers."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [tensor for item in value for tensor in _tensors(item)]
    return []


def _equal(one: Any, other: Any) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    missing = one.isnan()
    return torch.equal(missing, other.isnan()) and torch.equal(one.masked_fill(missing, 0), other.masked_fill(missing, 0))
