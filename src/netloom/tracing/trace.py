"""`trace`: the architecture of a model, found by running it."""

from __future__ import annotations

import contextlib
import inspect
import threading
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch

from ..errors import NetloomError, ShapeError, TraceError
from ..graph.garbage import no_collection
from ..graph.graph import Graph
from ..graph.tree import leaves
from ..ops import Size
from . import containers
from .assembling import assemble
from .cloning import Cloner
from .freeing import PRIMES, Frozen, Probes, parse_free
from .interception import intercepted
from .merging import Merger
from .recorder import Recorder
from .records import DataDependence, NeedsRealTensors, Recording
from .state import State, held, modules_by_path, refuse_unfit

_lock = threading.RLock()
MODES = ("both", "eval", "train")

#: Inputs of which each is tried without a batch where the model does not run with one in all.
MAX_DOUBTED = 4


def trace(
    model: Any,
    example_inputs: Any,
    *,
    free: Mapping[str, Any] | None = None,
    mode: str = "both",
    specialize: bool = False,
) -> Graph:
    """The architecture of ``model`` as a `Graph`; the model is run on copies and stays as it was.

    ``example_inputs`` is a tensor, a tuple of positional arguments, or a dict of keyword arguments. The batch (the first
    axis of every input as long as the first input's) is free; ``free={"tokens": [("input_ids", 1)]}`` frees further axes.
    ``mode="both"`` merges what the model does in evaluation and in training mode; ``"eval"`` and ``"train"`` trace one of them
    and take half the time. ``specialize=True`` freezes Python decisions that depend on data, and notes each in ``graph.notes``.

    Raises `TraceError`, with the model's own line, where the computation depends on data or the inputs do not fit.

    >>> import torch, netloom as nl
    >>> graph = nl.trace(torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU()), torch.randn(2, 4))
    >>> [node.op for node in graph.nodes]
    ['input', 'linear', 'relu']
    """
    if not isinstance(model, torch.nn.Module):
        raise TraceError(f"model is a {type(model).__name__}; expected a torch.nn.Module")
    if mode not in MODES:
        raise TraceError(f"mode {mode!r} is none of {', '.join(MODES)}")
    with _lock, no_collection():
        tracing = _Tracing(model, example_inputs, free, specialize)
        try:
            return tracing.graph(mode)
        except DataDependence as error:
            return tracing.as_compiling(mode, error)


class _Tracing:
    """One call of `trace`: which sizes to try, on which device, and what came of it."""

    def __init__(self, model: Any, example_inputs: Any, free: Mapping[str, Any] | None, specialize: bool) -> None:
        self.model, self.specialize = model, specialize
        self.entries = held(model)
        refuse_unfit(self.entries)
        self.modules = modules_by_path(model)
        self.state = State(self.entries, self.modules)
        self.arguments = _arguments(model, example_inputs)
        self.places: dict[str, Any] = {
            (f"{name}.{path}" if path else name): leaf
            for name, tree, _ in self.arguments
            for path, leaf in leaves(tree)
            if isinstance(leaf, torch.Tensor)
        }
        if not self.places:
            raise TraceError("example_inputs holds no tensor; give the tensors that the model's forward takes")
        self.requested = parse_free(free, list(self.places))
        self.notes: list[str] = []
        self.compiling = False
        self.device = next((e.tensor.device for e in self.entries), next(iter(self.places.values())).device)

    # -- which sizes are free --------------------------------------------------------------------------------------------
    def shapes(self, unit: int, batch: bool, whole: Collection[str] = ()) -> dict[str, tuple[Any, ...]]:
        """The symbolic shape of every input; the batch, which inputs in ``whole`` lack, is ``unit`` times the symbol N."""
        shapes = {path: list(leaf.shape) for path, leaf in self.places.items()}
        taken = {(path, axis % max(1, len(shapes[path]))) for places in self.requested.values() for path, axis in places}
        if batch:
            size = next((s[0] for s in shapes.values() if s), None)
            for path, shape in shapes.items():
                if shape and shape[0] == size and (path, 0) not in taken and path not in whole:
                    shape[0] = Size.symbol("N") * unit
        for symbol, places in self.requested.items():
            for path, axis in places:
                rank = len(shapes[path])
                if not -rank <= axis < rank:
                    raise TraceError(f"free={symbol!r}: {path} has {rank} axes, so there is no axis {axis}")
                shapes[path][axis] = Size.symbol(symbol)
        return {path: tuple(shape) for path, shape in shapes.items()}

    def without_batch(self) -> list[tuple[str, ...]]:
        """Inputs that may have no batch, though their first axis is as long by chance: one of them, or all but the first."""
        paths = [path for path, leaf in self.places.items() if leaf.ndim]
        same = [path for path in paths[1:] if self.places[path].shape[0] == self.places[paths[0]].shape[0]]
        return [*[(path,) for path in same[:MAX_DOUBTED]], *([tuple(same)] if len(same) > 1 else [])]

    def examples(self, shapes: dict[str, tuple[Any, ...]]) -> dict[str, int]:
        """The example's size of every symbol."""
        found: dict[str, int] = {}
        for path, shape in shapes.items():
            for size, actual in zip(shape, self.places[path].shape):
                if isinstance(size, Size):
                    for symbol in size.symbols:
                        found[symbol] = actual // size.at({symbol: 1})
        return dict(sorted(found.items(), key=lambda item: item[0] != "N"))

    def as_compiling(self, mode: str, error: DataDependence) -> Graph:
        """Once more, telling the model that it is being compiled: libraries then leave out shortcuts that look at data."""
        if self.specialize:
            raise error
        self.compiling = True
        self.notes.append(f"traced as under torch.compile, where a shortcut depends on data: {error}")
        try:
            return self.graph(mode)
        except TraceError:
            raise error from None

    def graph(self, mode: str) -> Graph:
        batch = next((leaf.shape[0] for leaf in self.places.values() if leaf.ndim), 0)
        # What the batch is a multiple of, whether it is free, whether to run on meta, which inputs lack it.
        units = (1, batch) if batch > 1 else (1,)
        plans: list[tuple[int, bool, bool, tuple[str, ...]]] = []
        plans += [(unit, True, meta, ()) for meta in (True, False) for unit in units]
        plans += [(1, True, meta, whole) for whole in self.without_batch() for meta in (True, False)]
        plans += [(1, False, meta, ()) for meta in (True, False)]
        reasons: list[str] = []
        failure: BaseException | None = None
        skip_meta = False
        for unit, batched, meta, whole in plans:
            if skip_meta and meta:
                continue
            try:
                return self._attempt(mode, unit, batched, meta, reasons, whole)
            except NeedsRealTensors as reason:
                reasons.append(str(reason))
                skip_meta = True
            except Frozen as reason:
                reasons.append(str(reason))
                failure = reason
                if self.requested and not batched:
                    break
            except DataDependence:
                raise
            except NetloomError as error:
                if not isinstance(error, ShapeError):  # a network whose batch is fixed refuses other sizes
                    raise
                failure = error
                reasons.append(str(error))
            except Exception as error:  # whatever the model raises at these sizes
                failure = error
                reasons.append(f"{type(error).__name__}: {error}")
        if isinstance(failure, Frozen):
            raise TraceError(f"a free axis is frozen by the model: {failure}") from None
        raise _raised(failure, self.model) from failure

    def _attempt(
        self, mode: str, unit: int, batched: bool, meta: bool, reasons: list[str], whole: tuple[str, ...] = ()
    ) -> Graph:
        shapes = self.shapes(unit, batched, whole)
        example = self.examples(shapes)
        runs: dict[str, tuple[list[Recording], Probes]] = {}
        modes = ("eval", "train") if mode == "both" else (mode,)
        notes = list(self.notes)
        for which, name in enumerate(modes):
            probes = Probes(_assignments(example, PRIMES[which], meta), "N" if meta and "N" in example else "")
            try:
                recordings = [self._run(shapes, sizes, probes, meta, name == "train") for sizes in probes.assignments]
            except (NeedsRealTensors, Frozen):
                raise
            except Exception as error:
                if which == 0:
                    raise
                notes.append(f"evaluation mode only: in training mode the model raises {type(error).__name__}: {error}")
                modes = modes[:1]
                break
            runs[name] = (recordings, probes)
        symbolic = {name: probes.records([r.records for r in recordings]) for name, (recordings, probes) in runs.items()}
        if not batched and reasons:
            notes.append(f"the batch is fixed: {reasons[-1]}")
        if whole:
            notes.append(f"not part of the batch: {', '.join(whole)}")
        if unit > 1:
            notes.append(f"the batch is a multiple of {unit}")
        for recordings, _ in runs.values():
            notes += [g for g in recordings[0].guards if g not in notes]
        return self._merged(modes, runs, symbolic, shapes, example, notes)

    def _merged(self, modes: Any, runs: Any, symbolic: Any, shapes: Any, example: Any, notes: list[str]) -> Graph:
        first = modes[0]
        results = {
            name: containers.symbolic(recordings[0].result, [r.result for r in recordings], probes)
            for name, (recordings, probes) in runs.items()
        }
        written = {name: recordings[0].written for name, (recordings, _) in runs.items()}
        merger = Merger(symbolic[first], symbolic["train"] if len(modes) == 2 else None)
        return assemble(self, merger, results, written, self.inputs, example, notes)

    # -- one run -----------------------------------------------------------------------------------------------------------
    def _run(self, shapes: dict[str, Any], sizes: dict[str, int], probes: Probes, meta: bool, training: bool) -> Recording:
        cloner = Cloner(meta)
        with torch.random.fork_rng(devices=[]) if not meta else contextlib.nullcontext():
            module = cloner.clone(self.model)
            module.train(training) if training else module.eval()
            recorder = Recorder(sizes.get("N", 0) if probes.prime else 0, meta, self.device, self.specialize, cloner)
            state = self.state.of_copy(module, cloner.memo)
            recorder.take_state(state)
            inputs = self._inputs(recorder, shapes, sizes, meta)
            with torch.enable_grad(), intercepted(recorder, state.modules.values(), self.compiling), recorder:
                result = module(*inputs[0], **inputs[1])
            if recorder.shaped_by_data and sizes:  # other numbers, other shapes: whatever fits these runs is no rule
                raise Frozen(f"as many values as a mask selects depend on data ({recorder.shaped_by_data})")
            self.inputs = recorder.inputs
            return recorder.finish(result)

    def _inputs(self, recorder: Recorder, shapes: dict[str, Any], sizes: dict[str, int], meta: bool) -> tuple[Any, Any]:
        made: dict[str, Any] = {}
        for path, leaf in self.places.items():
            shape = tuple(s.at(sizes) if isinstance(s, Size) else s for s in shapes[path])
            tensor = _like(leaf, shape, meta)
            recorder.input(path, tensor, leaf.requires_grad)
            made[path] = tensor
        positional, keyword = [], {}
        for name, tree, is_keyword in self.arguments:
            filled = _filled(tree, name, made)
            if is_keyword:
                keyword[name] = filled
            else:
                positional.append(filled)
        return positional, keyword


def _assignments(example: dict[str, int], prime: int, meta: bool) -> list[dict[str, int]]:
    """Sizes to run at: a base, one with each symbol changed, and one more to verify."""
    if not example:
        return [{}]
    base = {s: (prime if s == "N" and meta else 5 if s == "N" else n) for s, n in example.items()}
    varied = [s for s in example if not (s == "N" and meta)]
    if not varied:
        return [base]
    step = {s: 2 if s == "N" else 1 for s in varied}
    runs = [base]
    runs += [{**base, s: base[s] + step[s] + 1} for s in varied]
    if len(varied) > 1 or varied != ["N"]:
        runs.append({s: n + (3 * step[s] + 2 if s in varied else 0) for s, n in base.items()})
    else:
        runs[1] = {"N": 7}
        runs.append({"N": 8})
    return runs


def _like(leaf: Any, shape: tuple[int, ...], meta: bool) -> Any:
    """A tensor of another size like an example: on meta, or with the example's own numbers repeated."""
    if meta:
        if shape == tuple(leaf.shape):
            return torch.empty_strided(shape, leaf.stride(), dtype=leaf.dtype, device="meta")
        made = torch.empty(shape, dtype=leaf.dtype, device="meta")
        if leaf.ndim == 4 and not leaf.is_contiguous() and leaf.is_contiguous(memory_format=torch.channels_last):
            made = made.to(memory_format=torch.channels_last)
        return made
    made = leaf.detach()
    for axis, size in enumerate(shape):
        if size != made.shape[axis]:
            made = made.index_select(axis, torch.arange(size) % made.shape[axis])
    return made.clone()


def _filled(tree: Any, path: str, made: dict[str, Any]) -> Any:
    if isinstance(tree, torch.Tensor):
        return made[path]
    if type(tree) in (tuple, list):
        return type(tree)(_filled(child, f"{path}.{i}", made) for i, child in enumerate(tree))
    if type(tree) is dict:
        return {key: _filled(child, f"{path}.{key}", made) for key, child in tree.items()}
    return tree


def _arguments(model: Any, example: Any) -> list[tuple[str, Any, bool]]:
    """The example as a list of (argument name, tree, given by keyword)."""
    positional: tuple[Any, ...]
    keyword: dict[str, Any]
    if isinstance(example, torch.Tensor):
        positional, keyword = (example,), {}
    elif isinstance(example, Mapping):
        positional, keyword = (), dict(example)
    elif isinstance(example, tuple | list):
        positional, keyword = tuple(example), {}
    else:
        raise TraceError(
            f"example_inputs is a {type(example).__name__}; expected a tensor, a tuple of arguments, or a dict of keyword "
            "arguments"
        )
    try:
        bound = inspect.signature(model.forward).bind(*positional, **keyword)
    except TypeError as error:
        raise TraceError(f"example_inputs do not fit {type(model).__name__}.forward: {error}") from None
    except ValueError:
        bound = None
    found: list[tuple[str, Any, bool]] = []
    if bound is None:
        found = [(f"x{i}" if i else "x", v, False) for i, v in enumerate(positional)]
        return found + [(k, v, True) for k, v in keyword.items()]
    parameters = bound.signature.parameters
    for name, value in bound.arguments.items():
        kind = parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            found += [(f"{name}_{i}", v, False) for i, v in enumerate(value)]
        elif kind is inspect.Parameter.VAR_KEYWORD:
            found += [(k, v, True) for k, v in value.items()]
        else:
            found.append((name, value, name in keyword))
    for name, value, _ in found:
        _refuse_foreign(name, value)
    return found


def _refuse_foreign(path: str, value: Any) -> None:
    if type(value) in (tuple, list):
        for i, child in enumerate(value):
            _refuse_foreign(f"{path}.{i}", child)
    elif type(value) is dict:
        for key, child in value.items():
            if not isinstance(key, str):
                raise TraceError(f"input {path}: key {key!r} is not a string; a graph's inputs have string keys")
            _refuse_foreign(f"{path}.{key}", child)
    elif not isinstance(value, torch.Tensor | int | float | bool | str | type(None)):
        raise TraceError(
            f"input {path} is a {type(value).__name__}; expected tensors in tuples, lists and dicts, and plain numbers or "
            "strings"
        )


def _raised(error: BaseException | None, model: Any) -> TraceError:
    """The model's own failure, told with its line."""
    import traceback

    where = ""
    if error is not None and error.__traceback__ is not None:
        frames = traceback.extract_tb(error.__traceback__)
        inside = (str(Path(__file__).parents[1]), str(Path(torch.__file__).parent))
        own = [f for f in frames if not f.filename.startswith(inside)]
        if own:
            where = f" at {own[-1].filename}:{own[-1].lineno}: {own[-1].line}"
    return TraceError(
        f"{type(model).__name__} cannot run on these example_inputs: {type(error).__name__}: {error}{where}; "
        "check their number, shapes, dtypes and device by calling the model itself"
    )

