"""Calls in a row that hand on their results, as one loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...ops import Edge
from .borders import Call, Context, Item, Program, context, flat_outputs, inputs_of, operands, refs
from .naming import is_plain, singular

#: Calls that make a loop, at least.
_LEAST = 2


@dataclass(eq=False)
class Loop:
    """Calls of ``paths`` (or of one path again and again), each given what the one before it returned.

    ``first``: what the first is given in the places that change; ``pattern``: for each argument the number of the result it
    takes, or −1 − the number of the value in ``shared`` that all are given.
    """

    paths: list[str]
    first: list[Any]
    shared: list[Any]
    pattern: list[int]
    results: list[Edge]
    context: Context
    calls: list[Call]

    @property
    def same(self) -> bool:
        return len(set(self.paths)) == 1

    @property
    def variable(self) -> str:
        """The name of one element."""
        owner = self.paths[0].rpartition(".")[0].rpartition(".")[2]
        name = singular(owner).lower()
        return name if is_plain(name) and name != owner else "block" if not is_plain(owner) or name == owner else name


def loops(made: Program, path: str, items: list[Item]) -> list[Any]:
    """The items with every run of calls that can be a loop in its place."""
    found: list[Any] = []
    place = 0
    while place < len(items):
        loop = _longest(made, items, place)
        if loop is not None:
            found.append(loop)
            place += len(loop.calls)
        else:
            found.append(items[place])
            place += 1
    return found


def _longest(made: Program, items: list[Item], place: int) -> Loop | None:
    first = items[place]
    if type(first) is not Call or place + 1 >= len(items) or type(items[place + 1]) is not Call:
        return None
    second = items[place + 1]
    assert isinstance(second, Call)
    if not (_follows(made, first, second) or second.path == first.path):
        return None
    calls = [first]
    pattern = _pattern(made, first, second)
    if pattern is None:
        return None
    for item in items[place + 1 :]:
        if type(item) is not Call or context(item) != context(first):
            break
        again = item.path == calls[-1].path and second.path == first.path
        if not (again or (_follows(made, calls[-1], item) and second.path != first.path)):
            break
        if _pattern(made, calls[-1], item) != pattern or not _private(made, calls[-1], item):
            break
        calls.append(item)
    if len(calls) < _LEAST:
        return None
    given = inputs_of(made, first)
    changing = sorted({n for n in pattern if n >= 0})
    shared = [ref for ref, n in zip(given, pattern) if n < 0]
    outputs = flat_outputs(made, calls[-1])
    if changing != list(range(len(outputs))) or _pattern_of_first(pattern, given, len(outputs)) is None:
        return None
    starts = _pattern_of_first(pattern, given, len(outputs))
    assert starts is not None
    numbered = {ref: -1 - i for i, ref in enumerate(shared)}
    final = [n if n >= 0 else numbered[ref] for ref, n in zip(given, pattern)]
    return Loop([c.path for c in calls], starts, shared, final, outputs, context(first), calls)


def _pattern_of_first(pattern: list[int], given: list[Any], count: int) -> list[Any] | None:
    """What the first call is given in the place of each result; None where one result goes to two places."""
    starts: list[Any] = []
    for n in range(count):
        places = [ref for ref, m in zip(given, pattern) if m == n]
        if len(places) != 1:
            return None
        starts.append(places[0])
    return starts


def _follows(made: Program, first: Call, second: Call) -> bool:
    """Whether the second is the next element of the same list."""
    one, two = first.path.rpartition("."), second.path.rpartition(".")
    if one[0] != two[0] or not (one[2].isdigit() and two[2].isdigit()) or not _is_plain_list(made, one[0]):
        return False
    return int(two[2]) == int(one[2]) + 1


def _is_plain_list(made: Program, path: str) -> bool:
    names = made.children.get(path, [])
    return bool(path) and path not in made.calls and not made.entries.get(path) and names == [str(i) for i in range(len(names))]


def _pattern(made: Program, first: Call, second: Call) -> list[int] | None:
    """For each argument of the second the number of the first's result it is, or −1 where both are given the same."""
    before, given = inputs_of(made, first), inputs_of(made, second)
    if len(before) != len(given) or context(first) != context(second):
        return None
    outputs = flat_outputs(made, first)
    found = []
    for old, new in zip(before, given):
        if new in outputs:
            found.append(outputs.index(new))
        elif old == new:
            found.append(-1)
        else:
            return None
    return found if any(n >= 0 for n in found) else None


def _private(made: Program, call: Call, reader: Call) -> bool:
    """Whether nothing but ``reader`` reads what the call gives."""
    inside = {edge.node for edge in flat_outputs(made, call)}
    outputs = set(flat_outputs(made, call))
    graph = made.graph
    from .borders import steps_in

    readers = {step.name for step in steps_in(reader.items)}
    own = {step.name for step in steps_in(call.items)}
    if outputs & set(_results(made)):
        return False
    for name in inside:
        for user in graph.consumers[name]:
            if user not in readers and user not in own and outputs & set(refs(tuple(graph[user].step.args.values()))):
                return False
    return True


def _results(made: Program) -> list[Edge]:
    from ..tree import edges

    return edges([made.graph.result, made.graph.train_result])


__all__ = ["Loop", "loops", "operands"]
