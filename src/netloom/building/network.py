"""`Network`: a graph as an nn.Module, with the paths and the state_dict of the model it came from."""

from __future__ import annotations

import builtins
import copy
import linecache
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import FunctionType
from typing import Any

import torch
import torch.nn.functional as F

from ..errors import BuildError, ShapeError
from ..graph.foreign import class_named
from ..graph.graph import Graph, Step
from ..graph.table import TensorEntry
from ..graph.trusted import function_named
from ..ops import MODULE
from ..ops.functions import setitem
from .initialising import fresh
from .source import Source


class Part(torch.nn.Module):
    """A module of a network's tree: it holds weights and a training flag; the network's forward uses them."""

    def __repr__(self) -> str:
        held = (*self._parameters.items(), *self._buffers.items())
        shown = [f"{name}: {tuple(tensor.shape)}" for name, tensor in held if tensor is not None]
        inside = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in self._modules.items()]
        head = ", ".join(shown)
        return f"Part({head})" if not inside else f"Part({head}\n  " + "\n  ".join(inside) + "\n)"


_PART = Part()

#: Names that a network has for itself; a child of the same name is reached through the registry.
_OWN = frozenset({"graph", "code", "origins", "training"})


class Network(torch.nn.Module):
    """The module that computes a `Graph`; made by `build`.

    ``net.graph`` is its architecture; ``net.code`` the source of its forward. Everything else is an ordinary nn.Module.
    """

    graph: Graph
    code: str
    #: Line of ``code`` → (name, scope) of the node computed there: how a trace of a network finds the names again.
    origins: dict[int, tuple[str, str]]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise BuildError("a Network is made by nl.build(graph), not directly")

    def save(self, path: str | Path) -> None:
        """Write graph and weights to one safetensors file; `load_network` reads it back."""
        from .files import save_network

        save_network(self, path)

    def __deepcopy__(self, memo: dict[int, Any]) -> Network:
        made = object.__new__(type(self))
        memo[id(self)] = made
        made.__dict__.update({k: v if k == "graph" else copy.deepcopy(v, memo) for k, v in self.__dict__.items()})
        return made

    def __reduce_ex__(self, protocol: Any) -> Any:
        flags = {path: module.training for path, module in self.named_modules()}
        return _rebuild, (self.graph, full_state(self), flags)

    def __repr__(self) -> str:
        return f"Network({self.graph!r})"


def build(
    graph: Graph,
    weights: torch.nn.Module | Mapping[str, Any] | None = None,
    *,
    seed: int | None = None,
    generator: torch.Generator | None = None,
    device: Any = None,
) -> Network:
    """The network of ``graph``: with fresh weights, or with copies of those of a module or a state_dict.

    Fresh weights follow the rules in ``graph.tensors`` and are drawn from ``generator``, or one seeded with ``seed``, or
    torch's global generator. A live module as ``weights`` also gives its training flags, ``requires_grad``, device and output
    classes. Raises `BuildError` naming the keys where the weights do not fit.

    >>> import torch, netloom as nl
    >>> x = nl.input(4)
    >>> net = nl.build(nl.Graph(x, nl.linear(x, 2)), seed=0)
    >>> net(torch.zeros(3, 4)).shape
    torch.Size([3, 2])
    """
    if not isinstance(graph, Graph):
        raise BuildError(f"build takes a Graph, not a {type(graph).__name__}; trace a model first")
    live = isinstance(weights, torch.nn.Module)
    network = _skeleton(graph, live)
    if weights is not None:
        _load(network, weights)
        return network
    if seed is not None:
        generator = torch.Generator(device or "cpu").manual_seed(seed)
    _place(network, lambda key, entry: fresh(key, entry, generator, device or "cpu"))
    return network


def _skeleton(graph: Graph, live: bool) -> Network:
    """The network without its tensors: class, forward and module tree."""
    source = Source(graph, lambda name: hasattr(Network, name) or name in _OWN)
    code = source.text()
    scope: dict[str, Any] = {"__builtins__": builtins, "torch": torch, "F": F, "_setitem": setitem, "_tensors": _tensors}
    scope["_refuse_batch"] = _refuse_batch
    for target, name in source.functions.items():
        scope[name] = function_named(target)
    for target, name in source.classes.items():
        scope[name] = _container(class_named(target)) if live else dict
    forward = FunctionType(_compiled(code), scope, "forward", _defaults(code))
    network: Network = type("Network", (Network,), {"forward": forward, "__module__": Network.__module__})()
    network.__dict__["graph"] = graph
    network.__dict__["code"] = code
    network.__dict__["origins"] = source.origins
    for key in graph.tensors:
        _part(network, key.rpartition(".")[0])
    for step in graph.steps:
        if step.mode or step.args.get("training") == MODULE:
            _part(network, step.scope)
    return network


@lru_cache(maxsize=256)
def _compiled(code: str) -> Any:
    name = f"<netloom forward {abs(hash(code)):x}>"
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    module = compile(code, name, "exec")
    return next(c for c in module.co_consts if hasattr(c, "co_code"))


@lru_cache(maxsize=256)
def _defaults(code: str) -> tuple[Any, ...]:
    """The values of the parameters' defaults: plain literals."""
    import ast

    head = code.partition("\n")[0]
    arguments = ast.parse(f"{head} ...").body[0].args  # type: ignore[attr-defined]
    return tuple(ast.literal_eval(node) for node in arguments.defaults)


def _part(network: Network, path: str) -> torch.nn.Module:
    module: torch.nn.Module = network
    for name in path.split(".") if path else []:
        child = module._modules.get(name)
        if child is None:
            child = module._modules[name] = _new_part()
        module = child
    return module


def _new_part() -> Part:
    """``Part()``, by a copy of the fields of one: every attribute that nn.Module sets goes through its ``__setattr__``."""
    part = object.__new__(Part)
    part.__dict__.update({name: value.copy() if hasattr(value, "copy") else value for name, value in _PART.__dict__.items()})
    return part


def _place(network: Network, make: Callable[[str, TensorEntry], Any]) -> None:
    """Register a tensor for every entry; aliases share one."""
    made: dict[str, Any] = {}
    for key, entry in network.graph.tensors.items():
        canonical = entry.alias_of or key
        if canonical not in made:
            tensor = make(canonical, network.graph.tensors[canonical])
            if entry.kind == "parameter":
                grad = entry.requires_grad and (tensor.is_floating_point() or tensor.is_complex())
                tensor = torch.nn.Parameter(tensor, requires_grad=grad)
            made[canonical] = tensor
        owner, name = _part(network, key.rpartition(".")[0]), key.rpartition(".")[2]
        if entry.kind == "parameter":
            owner._parameters[name] = made[canonical]
        else:
            owner._buffers[name] = made[canonical]
            if not entry.persistent:
                owner._non_persistent_buffers_set.add(name)


def _load(network: Network, weights: Any) -> None:
    graph = network.graph
    if not isinstance(weights, torch.nn.Module | Mapping):
        raise BuildError(f"weights is a {type(weights).__name__}; expected a module or a state_dict (a mapping of tensors)")
    state = full_state(weights) if isinstance(weights, torch.nn.Module) else dict(weights)
    for key, value in state.items():
        if not isinstance(value, torch.Tensor):
            raise BuildError(f"weights[{key!r}] is a {type(value).__name__}; expected a tensor")
    caches = caches_of(graph)
    _refuse_misfit(graph, state, caches)

    generator = torch.Generator().manual_seed(0)  # weights are given: the global generator has no part in it

    def made_up(key: str, entry: TensorEntry, device: Any) -> Any:
        return fresh(key, entry, generator if torch.device(device).type == "cpu" else None, device)

    def copied(key: str, entry: TensorEntry) -> Any:
        given = state.get(key)
        if given is None:
            given = next((state[k] for k, e in graph.tensors.items() if e.alias_of == key and k in state), None)
        if given is None:
            device = next((t.device for t in state.values() if isinstance(t, torch.Tensor)), "cpu")
            return made_up(key, entry, device)
        if key in caches and tuple(given.shape) != tuple(entry.type.shape):
            return made_up(key, entry, given.device)
        return given.detach().clone()

    _place(network, copied)
    if isinstance(weights, torch.nn.Module):
        _take_flags(network, weights)


def _take_flags(part: torch.nn.Module, like: torch.nn.Module | None, training: bool = True) -> None:
    """Training flags and ``requires_grad`` as a model has them; a module it lacks has the flag of that around it."""
    part.training = training if like is None else like.training
    if like is not None:
        for name, theirs in like._parameters.items():
            own = part._parameters.get(name)
            if own is not None and theirs is not None and own.requires_grad != theirs.requires_grad:
                own.requires_grad_(theirs.requires_grad)
    for name, child in part._modules.items():
        if child is not None:
            _take_flags(child, None if like is None else like._modules.get(name), part.training)


def holding(
    graph: Graph, state: Mapping[str, Any] | Callable[[], Mapping[str, Any]], like: torch.nn.Module | None = None
) -> Network:
    """The network of ``graph`` that holds the tensors of ``state`` themselves, by keys that are no aliases; nothing is copied.

    ``like`` gives training flags, ``requires_grad`` and output classes where it has the same modules and parameters. A function
    that makes the state is called last, so that the tensors have the memory that compiling the forward has taken.
    """
    network = _skeleton(graph, live=like is not None)
    tensors = state() if callable(state) else state
    _place(network, lambda key, entry: tensors[key] if key in tensors else fresh(key, entry, None, "cpu"))
    if like is not None:
        _take_flags(network, like)
    return network


def with_result(network: Network, result: Any, more: Sequence[Step] = ()) -> Network:
    """A network of the same weights, in evaluation mode, that gives ``result``: another tree of its graph's values.

    ``more`` are calls that come after those of the graph.
    """
    old = network.graph
    graph = Graph.make([*old.steps, *more], old.tensors, old.arguments, result, symbols=old.symbols, notes=old.notes)
    made, state = _skeleton(graph, live=False), full_state(network)
    _place(made, lambda key, entry: state[key].detach())
    return made.eval()


def full_state(module: torch.nn.Module) -> dict[str, Any]:
    """Every parameter and buffer by key, non-persistent ones included."""
    parameters: dict[str, Any] = {}
    buffers: dict[str, Any] = {}
    _collect(module, "", parameters, buffers)
    return parameters | buffers


def _collect(module: torch.nn.Module, prefix: str, parameters: dict[str, Any], buffers: dict[str, Any]) -> None:
    for found, held in ((parameters, module._parameters), (buffers, module._buffers)):
        for name, tensor in held.items():
            if tensor is not None:
                found[prefix + name] = tensor
    for name, child in module._modules.items():
        if child is not None:
            _collect(child, f"{prefix}{name}.", parameters, buffers)


def caches_of(graph: Graph) -> set[str]:
    """Buffers that no checkpoint holds and no call reads: each call of the network writes them anew, whatever they were."""
    read = {weight.key for step in graph.steps if step.op != "assign" for weight in step.weights}
    return {key for key, entry in graph.tensors.items() if not entry.persistent and (entry.alias_of or key) not in read}


def _refuse_misfit(graph: Graph, state: Mapping[str, Any], caches: set[str]) -> None:
    names = {entry.alias_of or key for key, entry in graph.tensors.items() if key in state}
    missing = [
        key for key, entry in graph.tensors.items()
        if (entry.alias_of or key) not in names and entry.constant is None and entry.persistent
    ]  # fmt: skip
    extra = [key for key in state if key not in graph.tensors]
    wrong = [
        f"{key} is {tuple(state[key].shape)} instead of {tuple(entry.type.shape)}"
        for key, entry in graph.tensors.items()
        if key in state and tuple(state[key].shape) != tuple(entry.type.shape) and key not in caches
    ]
    problems = []
    for what, keys in (("missing", missing), ("unexpected", extra), ("of the wrong shape", wrong)):
        if keys:
            more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
            problems.append(f"{what}: {', '.join(map(str, keys[:5]))}{more}")
    if problems:
        raise BuildError(f"the weights do not fit the graph; {'; '.join(problems)}")


def _rebuild(graph: Graph, state: dict[str, Any], flags: dict[str, bool]) -> Network:
    network = _skeleton(graph, live=False)
    _load(network, state)
    for path, module in network.named_modules():
        module.training = flags.get(path, True)
    return network


# -- what generated code calls -------------------------------------------------------------------------------------
def _refuse_batch(given: Any, size: int, times: str = "") -> None:
    raise ShapeError(
        f"the first input has {given.shape[0]} rows, but the graph was made for {size}{times}; graph.notes says what fixes its "
        "batch"
    )


def _tensors(result: Any) -> Any:
    """The tensors of a result, in order."""
    if isinstance(result, torch.Tensor):
        return (result,)
    return tuple(t for t in _flat(result) if isinstance(t, torch.Tensor))


def _flat(value: Any) -> list[Any]:
    if isinstance(value, tuple | list):
        return [leaf for part in value for leaf in _flat(part)]
    return [value]


def _container(kind: type | None) -> Callable[[dict[str, Any]], Any]:
    """How to make a foreign container from the dict of its fields."""
    if kind is None:
        return dict
    if issubclass(kind, tuple):
        return lambda fields: kind(*fields.values())

    def make(fields: dict[str, Any]) -> Any:
        try:
            return kind(**fields)
        except TypeError:
            return kind(fields)  # type: ignore[call-arg]

    return make
