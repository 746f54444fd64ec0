"""Seeing the values inside a model while it trains: by hooks on a user's modules, by a second forward of a Network.

`Watch` tells a listener when a forward pass with gradients begins, each value at the model's layers, and when it ends. What the
model computes is the same bits as without it.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from ..building.network import Network, with_result
from ..errors import EditError
from ..graph.graph import Graph, Step
from ..graph.tree import edges, weights
from ..ops import Edge, Size, operator
from .analysis import Dimensions, analyse
from .peeking import Peek, Read, read_of
from .places import feature_axis, graph_of


@dataclass(frozen=True, slots=True)
class Outlet:
    """A value at which neurons are seen: the result of a layer.

    ``axis`` is that of its neurons, ``sample`` that of the samples (None where there is none), all others are positions.
    ``rectified`` says that only rectifiers read the value.
    """

    edge: Edge
    axis: int
    sample: int | None
    rank: int
    size: int
    rectified: bool

    @property
    def name(self) -> str:
        return str(self.edge)

    def fits(self, value: torch.Tensor) -> bool:
        return value.ndim == self.rank and value.shape[self.axis] == self.size

    @property
    def positions(self) -> tuple[int, ...]:
        return tuple(i for i in range(self.rank) if i not in (self.axis, self.sample))


class Listener(Protocol):
    """What a `Watch` calls. ``begins`` says whether values of this forward pass are wanted."""

    def attached(self, model: torch.nn.Module, dims: Dimensions) -> None: ...
    def begins(self) -> bool: ...
    def sees(self, outlet: Outlet, value: torch.Tensor) -> None: ...
    def ends(self, output: Any) -> None: ...


class Watch:
    """Watches a model between `start` and `stop`; a model without ``graph`` is traced with the inputs of its first call."""

    def __init__(
        self, model: torch.nn.Module, listener: Listener, example_inputs: Any = None, graph: Graph | None = None
    ) -> None:
        if not isinstance(model, torch.nn.Module):
            raise EditError(f"a {type(model).__name__} cannot be watched; give the module that is trained")
        self.model, self.listener = model, listener
        self.active = False
        self.outlets: dict[bool, dict[str, list[Outlet]]] = {}
        self._graph = graph
        if graph is None and (isinstance(model, Network) or example_inputs is not None):
            self._graph = graph_of(model, example_inputs)
        self._handles: list[Any] = []
        self._calls: dict[str, int] = {}
        self._peeks: list[Peek] = []
        self._peeking: list[Peek | None] = []

    def start(self) -> None:
        self._handles = [
            self.model.register_forward_pre_hook(_Hook(self._begin), with_kwargs=True),
            self.model.register_forward_hook(_Hook(self._end)),
        ]
        if self._graph is not None:
            self._attach(self._graph)

    def stop(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles, self._peeks, self.active = [], [], False
        tapped = self.model.__dict__.get("forward")
        if isinstance(tapped, _Tapped):
            tapped.leave(self)

    def _attach(self, graph: Graph) -> None:
        dims = analyse(graph)
        network = isinstance(self.model, Network)
        self.outlets = {training: outlets(dims, training, inside=network) for training in (True, False)}
        if network:
            tapped = self.model.__dict__.get("forward")
            if not isinstance(tapped, _Tapped):
                tapped = self.model.__dict__["forward"] = _Tapped(self.model)
            tapped.join(self)
        else:
            wanted = {path for found in self.outlets.values() for path in found}
            for path, module in self.model.named_modules():
                if path in wanted:
                    self._handles.append(module.register_forward_hook(_Hook(self._called, path)))
            self._peek_into(dims)
        self.listener.attached(self.model, dims)

    def _peek_into(self, dims: Dimensions) -> None:
        """Look at what modules make by calls of torch's functions with their own parameters."""
        modules = dict(self.model.named_modules())
        hidden = {training: _hidden(dims, training, modules) for training in (True, False)}
        for path in sorted({path for found in hidden.values() for path in found}):
            peeks = {training: Peek(modules[path], path, found.get(path, {}), self.saw) for training, found in hidden.items()}
            before, after = _Hook(self._peek, peeks), _Hook(self._peeked)
            self._handles.append(modules[path].register_forward_pre_hook(before))
            self._handles.append(modules[path].register_forward_hook(after, prepend=True, always_call=True))
            self._peeks += peeks.values()

    def _peek(self, peeks: Mapping[bool, Peek], *call: Any) -> None:
        peek = peeks[self.model.training] if self.active else None
        self._peeking.append(peek)
        if peek is not None:
            peek.begin()

    def _peeked(self, *call: Any) -> None:
        # Of the model itself, the call in which it is traced ends what never began.
        peek = self._peeking.pop() if self._peeking else None
        if peek is not None:
            peek.__exit__(None, None, None)

    # -- a forward pass ------------------------------------------------------------------------------------------------
    def _begin(self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.active = False
        if not torch.is_grad_enabled():
            return
        if self._graph is None:
            self._graph = graph_of(module, _example(module, args, kwargs))
            self._attach(self._graph)
        self._calls.clear()
        for peek in self._peeks:
            peek.calls.clear()
        self.active = self.listener.begins()

    def _called(self, path: str, module: torch.nn.Module, args: Any, output: Any) -> None:
        if not self.active:
            return
        call = self._calls[path] = self._calls.get(path, -1) + 1
        found = self.outlets[self.model.training].get(path, ())
        value = next((v for v in output if isinstance(v, torch.Tensor)), None) if isinstance(output, tuple | list) else output
        if call < len(found) and isinstance(value, torch.Tensor):
            self.saw(found[call], value)

    def saw(self, outlet: Outlet, value: torch.Tensor) -> None:
        if value.requires_grad and outlet.fits(value):
            self.listener.sees(outlet, value)

    def _end(self, module: torch.nn.Module, args: Any, output: Any) -> None:
        if self.active:
            self.listener.ends(output)


class _Hook:
    """A hook that copies of a module do not have: there it does nothing."""

    def __init__(self, call: Any, *first: Any) -> None:
        self.call, self.first = call, first

    def __call__(self, *args: Any) -> None:
        self.call(*self.first, *args)

    def __deepcopy__(self, memo: Any) -> Any:
        return _nothing

    def __reduce__(self) -> Any:
        return _idle, ()


def _nothing(*args: Any) -> None:
    return None


def _idle() -> Any:
    return _nothing


def _example(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The inputs of a call as `trace` takes them, apart from the graph of any earlier computation."""
    if not kwargs:
        return _detached(args)
    return _detached(dict(inspect.signature(module.forward).bind(*args, **kwargs).arguments))


def _detached(tree: Any) -> Any:
    if isinstance(tree, torch.Tensor):
        return tree.detach()
    if type(tree) in (tuple, list):
        return type(tree)(map(_detached, tree))
    if type(tree) is dict:
        return {key: _detached(value) for key, value in tree.items()}
    return tree


# -- networks --------------------------------------------------------------------------------------------------------------
class _Tapped:
    """The forward of a Network that is watched: it gives the values at the outlets too."""

    def __init__(self, network: Any) -> None:
        self.network = network
        self.watches: list[Watch] = []
        self._made: dict[bool, tuple[Any, list[Edge]]] = {}

    def join(self, watch: Watch) -> None:
        self.watches.append(watch)
        self._made.clear()

    def leave(self, watch: Watch) -> None:
        self.watches.remove(watch)
        self._made.clear()
        if not self.watches:
            del self.network.__dict__["forward"]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        network = self.network
        if not any(watch.active for watch in self.watches):
            return type(network).forward(network, *args, **kwargs)
        forward, tapped = self._forward(network.training)
        result, values = forward(network, *args, **kwargs)
        for watch in self.watches:
            if watch.active:
                found = {outlet.edge: outlet for some in watch.outlets[network.training].values() for outlet in some}
                for edge, value in zip(tapped, values):
                    if edge in found:
                        watch.saw(found[edge], value)
        return result

    def _forward(self, training: bool) -> tuple[Any, list[Edge]]:
        if training not in self._made:
            graph = self.network.graph
            known = {
                outlet.edge: None for watch in self.watches for some in watch.outlets[training].values() for outlet in some
            }
            result = graph.train_result if training and graph.train_result is not None else graph.result
            made = type(with_result(self.network, (result, tuple(known)))).forward
            # The containers of the model's own classes are those that the network was built with.
            names = {**made.__globals__, **type(self.network).forward.__globals__}
            function = types.FunctionType(made.__code__, names, "forward", made.__defaults__)
            self._made[training] = function, list(known)
        return self._made[training]

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        copied = memo[id(self.network)]
        return types.MethodType(type(copied).forward, copied)


# -- where -----------------------------------------------------------------------------------------------------------------
def outlets(dims: Dimensions, training: bool, inside: bool = False) -> dict[str, list[Outlet]]:
    """Path of a module that owns parameters → what its calls give, in order, where neurons lie there that may go.

    A layer whose result only a norm reads is seen behind that norm. ``inside`` sees the results of all calls that read
    weights, those inside a module too.
    """
    graph = dims.graph
    steps, found, given = _seen_from_outside(graph, training)
    if inside:
        found = _inside(steps, found, graph)
    made = {
        path: [outlet for edge in some if (outlet := _outlet(dims, edge, edge in given)) is not None]
        for path, some in found.items()
    }
    seen = {outlet.edge for some in made.values() for outlet in some}
    return {
        path: kept for path, some in made.items()
        if (kept := [outlet for outlet in some if outlet.edge in given or not _normed(graph, outlet.edge, seen)])
    }  # fmt: skip


def _hidden(dims: Dimensions, training: bool, modules: Collection[str]) -> dict[str, dict[Read, list[Outlet | None]]]:
    """Path of a module → what its own calls with its own parameters give, in order; None for what leaves a module."""
    graph = dims.graph
    steps, leaving, _ = _seen_from_outside(graph, training)
    known = {edge for some in leaving.values() for edge in some}
    found: dict[str, dict[Read, list[Outlet | None]]] = {}
    for step in steps:
        edge = Edge(step.name)
        read = read_of(graph, edge)
        if step.op != "parameter" and read[1]:
            outlet = None if edge in known else _outlet(dims, edge, given=False)
            around = next(path for path in (*_paths(step.scope)[::-1], "") if path in modules)
            found.setdefault(around, {}).setdefault(read, []).append(outlet)
    return {path: reads for path, reads in found.items() if any(any(some) for some in reads.values())}


def _seen_from_outside(graph: Graph, training: bool) -> tuple[list[Step], dict[str, list[Edge]], set[Edge]]:
    """The steps of a mode, the values that leave a module that owns parameters, and what the model gives."""
    result = graph.train_result if training and graph.train_result is not None else graph.result
    steps = [step for step in graph.steps if step.mode != ("eval" if training else "train")]
    given = set(edges([result]))
    keys = [key for key, entry in graph.tensors.items() if entry.kind == "parameter"]
    # What a parametrised module owns lies in a module of its own.
    owners = {key.rpartition(".")[0].partition(".parametrizations.")[0] for key in keys}
    return steps, _leaving(steps, owners - {""}, given), given


def _leaving(steps: list[Step], owners: set[str], given: set[Edge]) -> dict[str, list[Edge]]:
    """The values that calls outside a module read, or that are given back, in order."""
    around = {step.name: [path for path in _paths(step.scope) if path in owners] for step in steps}
    leaving: dict[Edge, dict[str, None]] = {}
    for step in steps:
        for edge in edges(tuple(step.args.values())):
            here = set(_paths(step.scope))
            leaving.setdefault(edge, {}).update(dict.fromkeys(path for path in around.get(edge.node, ()) if path not in here))
    for edge in given:
        leaving.setdefault(edge, {}).update(dict.fromkeys(around.get(edge.node, ())))
    found: dict[str, list[Edge]] = {}
    order = {step.name: i for i, step in enumerate(steps) if step.op != "parameter"}
    for edge in sorted((e for e in leaving if e.node in order), key=lambda e: (order[e.node], e.index)):
        for path in leaving[edge]:
            found.setdefault(path, []).append(edge)
    return found


def _paths(scope: str) -> list[str]:
    """A path and all that it lies under."""
    parts = scope.split(".") if scope else []
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


def _inside(steps: list[Step], found: Mapping[str, list[Edge]], graph: Graph) -> dict[str, list[Edge]]:
    """The results of calls that read weights; what leaves a module where no call does."""
    own: dict[str, list[Edge]] = {}
    for step in steps:
        if step.op != "parameter" and any(graph.tensors[w.key].kind == "parameter" for w in weights(tuple(step.args.values()))):
            own.setdefault(step.scope, []).append(Edge(step.name))
    rest = {path: some for path, some in found.items() if not any(path in _paths(scope) for scope in own)}
    # Calls of one mode hang on the flags of modules, which may differ from the network's: they may not have been made.
    always = {path: [edge for edge in some if not graph[edge.node].step.mode] for path, some in {**rest, **own}.items()}
    return {path: some for path, some in always.items() if some}


def _outlet(dims: Dimensions, edge: Edge, given: bool) -> Outlet | None:
    graph = dims.graph
    kind, axis = graph.type_of(edge), feature_axis(dims, edge)
    if axis is None or not kind.dtype.startswith(("float", "bfloat")):
        return None
    samples = [i for i, size in enumerate(kind.shape) if isinstance(size, Size)] or [0]
    readers = [graph[name] for name in graph.consumers[edge.node]]
    rectified = not given and bool(readers) and all(reader.op == "relu" for reader in readers)
    return Outlet(edge, axis, samples[0] if samples[0] != axis else None, kind.rank, kind.shape[axis], rectified)


def _normed(graph: Graph, edge: Edge, seen: set[Edge]) -> bool:
    readers = [graph[name] for name in graph.consumers[edge.node]]
    return len(readers) == 1 and operator(readers[0].op).family == "norm" and Edge(readers[0].name) in seen
