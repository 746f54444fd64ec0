"""The ints in a user's modules that hold sizes: where they are, and what an edit makes of them.

A `Place` is one int in the attributes of a module, however deep in tuples, lists, dicts and plain objects such as a
configuration. `Sizes` compares the graphs before and after an edit, and proposes new values for places from sizes of the calls
around them that were equal before.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ...graph.graph import Graph, Step
from ...graph.step import module_path
from ...graph.tree import edges, weights
from ...ops import Size, operator

#: Containers nested deeper than this are not searched.
MAX_DEPTH = 4
#: How much a size says about an attribute: one stated by a call, an axis of a weight, an axis of a result.
STATED, WEIGHED, SEEN = 9.0, 3.0, 1.0
#: Words of attributes that hold sizes of layers, and of those that hold other numbers.
_SIZE = re.compile(r"dim|feature|channel|chan|chs|plane|width|hidden|head|inner|embed|embd|d_model|d_ff|d_kv|inter|group|size")
_OTHER = re.compile(
    r"layer|depth|idx|index|_id|token|patch|window|kernel|img|image|stride|vocab|max_|position|label|class|seq|len|step|dims$"
)
#: Words of attributes that hold sizes of what is inside a module.
_INSIDE = re.compile(r"inner|head|mid|hidden|inter|split|ff|all")

#: (name of a node below the module, what of it, which argument or axis): the same for all modules of a class.
Location = tuple[str, str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """One int in a module: the module's path, then attributes and keys."""

    module: str
    chain: tuple[str | int, ...]

    def __str__(self) -> str:
        first, *rest = self.chain
        path = f"{self.module}.{first}" if self.module else str(first)
        return path + "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in rest)


def fetch(holder: Any, key: str | int) -> Any:
    """What a module, object or container holds itself (no property, no default of its class); KeyError where nothing."""
    if isinstance(holder, list | tuple):
        if isinstance(key, int) and key < len(holder):
            return holder[key]
        raise KeyError(key)
    return holder[key] if isinstance(holder, dict) else vars(holder)[key]  # type: ignore[index]


def read(modules: Mapping[str, Any], place: Place) -> Any:
    """The value at a place, None where there is none."""
    value = modules.get(place.module)
    try:
        for key in place.chain:
            value = fetch(value, key)
    except (KeyError, TypeError):
        return None
    return value


def write(modules: Mapping[str, Any], place: Place, value: Any) -> None:
    """Put a value at a place; tuples on the way are made anew."""
    put(modules[place.module], place.chain, value)


def put(holder: Any, chain: tuple[str | int, ...], value: Any) -> None:
    """Put a value where a chain of attributes and keys leads from an object."""
    key, rest = chain[0], chain[1:]
    if rest:
        inner = fetch(holder, key)
        if not isinstance(inner, tuple):
            put(inner, rest, value)
            return
        items = list(inner)
        if len(rest) == 1:
            items[rest[0]] = value  # type: ignore[index]
        else:
            put(items, rest, value)
        value = inner._make(items) if hasattr(inner, "_make") else type(inner)(items)
    if isinstance(holder, list | dict):
        holder[key] = value  # type: ignore[index]
    else:
        vars(holder)[key] = value  # past properties and checks of the class, which know nothing of the edit


def is_int(value: Any) -> bool:
    return type(value) is int


def ints_in(value: Any, chain: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], int]]:
    """Every int at or inside a value, with the way to it; tensors and modules are left out."""
    yield from _ints_in(value, chain, set())


def _ints_in(value: Any, chain: tuple[str | int, ...], seen: set[int]) -> Iterator[tuple[tuple[str | int, ...], int]]:
    if is_int(value):
        yield chain, value
        return
    if len(chain) > MAX_DEPTH or id(value) in seen or isinstance(value, torch.Tensor | torch.nn.Module | type | str):
        return
    seen.add(id(value))
    if isinstance(value, list | tuple):
        items: Any = enumerate(value)
    elif isinstance(value, dict):
        items = [(key, item) for key, item in value.items() if isinstance(key, str)]
    elif is_plain(value):
        items = list(vars(value).items())
    else:
        return
    for key, item in items:
        yield from _ints_in(item, (*chain, key), seen)


def is_plain(value: Any) -> bool:
    """Whether a value is an object that holds data, such as a configuration: no module, tensor, class or function."""
    if isinstance(value, torch.nn.Module | torch.Tensor | type) or callable(value):
        return False
    return hasattr(value, "__dict__") and type(value).__module__.partition(".")[0] not in ("torch", "builtins", "weakref")


def own_ints(module: torch.nn.Module) -> Iterator[tuple[tuple[str | int, ...], int]]:
    """The ints in the attributes of a module itself."""
    for name, value in vars(module).items():
        if not name.startswith("_"):
            yield from ints_in(value, (name,))


def names_a_size(place: Place) -> bool:
    """Whether an attribute is called as sizes of layers are."""
    name = next((key for key in reversed(place.chain) if isinstance(key, str)), "").lower()
    return bool(_SIZE.search(name)) and not _OTHER.search(name)


# -- what an edit changed --------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class _Seen:
    """One size before and after."""

    node: str
    what: str
    detail: Any
    old: int
    new: int
    weight: float


class Sizes:
    """The sizes of all calls that two graphs share, before and after, by the module that makes the call."""

    def __init__(self, old: Graph, new: Graph) -> None:
        self.old, self.new = old, new
        self.scopes: dict[str, list[_Seen]] = defaultdict(list)
        for step in old.steps:
            if step.name in new and new[step.name].op == step.op:
                self.scopes[step.scope] += _compared(old, new, step, new[step.name].step)
        #: Calls without weights belong to the module around; those of a leaf have its name.
        self.leaves: dict[str, list[_Seen]] = defaultdict(list)
        for scope, seen in self.scopes.items():
            for s in seen:
                if module_path(s.node) != scope:
                    self.leaves[module_path(s.node)].append(s)
        self.changed = {(s.old, s.new) for seen in self.scopes.values() for s in seen if s.old != s.new}

    def around(self, path: str) -> dict[Location, tuple[int, int, float]]:
        """The sizes in a module, of its own calls and those of the modules inside it."""
        found: dict[Location, tuple[int, int, float]] = {}
        prefix = f"{path}." if path else ""
        for scope, seen in self.scopes.items():
            if scope == path or scope.startswith(prefix):
                for s in seen:
                    name = "" if s.node == path else s.node.removeprefix(prefix)
                    found[name, s.what, s.detail] = (s.old, s.new, s.weight if scope == path else s.weight / 10)
        for s in self.leaves.get(path, ()):
            found["", s.what, s.detail] = (s.old, s.new, s.weight)
        return found

    def touches(self, path: str) -> bool:
        """Whether a size changed in a module."""
        return any(old != new for old, new, _ in self.around(path).values())

    def proposals(self, places: Sequence[tuple[str, int]], parts: bool) -> list[tuple[int, ...]]:
        """New values for ints in modules of one class, given as (path, value now), the likeliest first.

        One and the same size of each module says the new values: one that was equal to the int, or, with ``parts``, a multiple
        or a fraction of it.
        """
        votes: dict[tuple[int, ...], float] = defaultdict(float)
        around = [self.around(path) for path, _ in places]
        for location, (_, _, weight) in around[0].items():
            rows = [sizes.get(location) for sizes in around]
            values = _followed([value for _, value in places], rows)
            direct = rows[0] is not None and rows[0][0] == places[0][1]
            if values is not None and (direct or parts):
                votes[values] += weight if direct else weight / 100
        return sorted(votes, key=lambda values: -votes[values])

    def unread(self, place: Place, value: int) -> int | None:
        """The new value of an int that no line reads: the one new size of everything in the module that had it as its size.

        Where they differ, that of all that goes into the module and comes out of it, unless the name speaks of the inside.
        """
        news = {new for old, new, _ in self.around(place.module).values() if old == value}
        if len(news) > 1 and not _INSIDE.search(str(place.chain[-1])):
            news = {new for old, new in self._border(place.module) if old == value}
        return news.pop() if len(news) == 1 else None

    def _border(self, path: str) -> set[tuple[int, int]]:
        """The sizes of what a module reads and gives, before and after."""
        inside = {s.name for s in self.old.steps if s.scope == path or s.scope.startswith(f"{path}.") or not path}
        crossing = {edge for name in inside for edge in self.old[name].operands if edge.node not in inside}
        outer = [s for s in self.old.steps if s.name not in inside]
        crossing |= {edge for s in outer for edge in edges(tuple(s.args.values())) if edge.node in inside}
        crossing = {edge for edge in crossing if edge.node in self.new}
        types = [(self.old.type_of(edge), self.new.type_of(edge)) for edge in crossing]
        return {(plain(a), plain(b)) for one, two in types for a, b in zip(one.shape, two.shape)}


def _followed(values: Sequence[int], rows: Sequence[Any]) -> tuple[int, ...] | None:
    """New values of ints that are a size, a multiple or a fraction of it; None where not all of them are."""
    found = []
    for value, row in zip(values, rows):
        if row is None:
            return None
        old, new, _ = row
        if value == old:
            found.append(new)
        elif old == new or old < 2 or value < 2:
            return None
        elif value % old == 0:
            found.append(value // old * new)
        elif old % value == 0 and new % (old // value) == 0:
            found.append(new // (old // value))
        else:
            return None
    return tuple(found)


def _compared(old: Graph, new: Graph, before: Step, after: Step) -> Iterator[_Seen]:
    name = before.name
    stated = operator(before.op).dims(old.operands(before), old.types(name)).attrs
    for key, value in before.args.items():
        other = after.args.get(key)
        for place, one, two in paired_ints(value, other):
            if key in stated or one != two:
                yield _Seen(name, "argument", (key, *place), one, two, STATED)
    pairs = zip(weights(tuple(before.args.values())), weights(tuple(after.args.values())))
    for position, (first, second) in enumerate(pairs):
        for axis, sizes in enumerate(zip(old.tensors[first.key].type.shape, new.tensors[second.key].type.shape)):
            yield _Seen(name, "weight", (position, axis), *sizes, WEIGHED)
    for k, (type_, other_type) in enumerate(zip(old.types(name), new.types(name))):
        for axis, (size, resized) in enumerate(zip(type_.shape, other_type.shape)):
            yield _Seen(name, "result", (k, axis), plain(size), plain(resized), SEEN)


def paired_ints(value: Any, other: Any, place: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], int, int]]:
    """The ints at the same places of two values; of free sizes their factors."""
    if isinstance(value, tuple) and isinstance(other, tuple):
        for i, (one, two) in enumerate(zip(value, other)):
            yield from paired_ints(one, two, (*place, i))
    elif (is_int(value) or isinstance(value, Size)) and (is_int(other) or isinstance(other, Size)):
        yield place, plain(value), plain(other)


def plain(size: Any) -> int:
    """A size as a number: of a free one, its factor."""
    return size.at(dict.fromkeys(size.symbols, 1)) if isinstance(size, Size) else int(size)


def owner(step: Step, modules: Container[str]) -> str:
    """The path of the module that makes a call: of a leaf without weights it is the name of the call, not its scope."""
    path = module_path(step.name)
    path = path if path in modules else step.scope
    while path and path not in modules:  # constants have a scope of their own
        path = path.rpartition(".")[0]
    return path


def alike(modules: Mapping[str, Any], place: Place, is_open: Callable[[Place], bool]) -> list[Place]:
    """The places in all modules of the same class that have this one's name, this one first."""
    kind = type(modules[place.module])
    others = [Place(path, place.chain) for path, module in modules.items() if type(module) is kind and path != place.module]
    return [place, *(other for other in others if is_int(read(modules, other)) and is_open(other))]
