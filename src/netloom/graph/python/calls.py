"""Which module makes which call: the steps of a graph, in order, as nested calls of modules.

The paths come from names, scopes and keys of weights, which are hints only. A path is a module with a forward where its steps
are one run, or several equal ones; else its steps stay with the module above, which then reaches into it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from math import gcd
from typing import Any

from ...ops import MODULE, Edge, Weight
from ..graph import Graph, Step
from ..tree import edges, weights
from .layers import Layer, constructor
from .naming import numbered
from .slots import Slots

_NUMBERED = re.compile(r"_\d+\Z")


@dataclass(eq=False)
class Call:
    """A call of the module at ``path``. ``layer``: a module of torch.nn, whose only item is the step it computes."""

    path: str
    items: list[Item]
    layer: bool = False


Item = Step | Call


@dataclass(frozen=True)
class Context:
    """What surrounds a statement: the mode in which it runs (by the flag of ``scope``), no_grad, autocast."""

    mode: str = ""
    scope: str = ""
    grad: bool = True
    autocast: str = ""


#: A statement that runs always.
NEUTRAL = Context()


@dataclass
class Program:
    """A graph with its steps ordered into calls; made by `program`."""

    graph: Graph
    #: Node of a parameter or constant → the weight it reads.
    reads: dict[Edge, Weight]
    items: list[Item] = field(default_factory=list)
    #: Path → its calls, for every path that has a forward of its own.
    calls: dict[str, list[Call]] = field(default_factory=dict)
    #: Path → entries of the table, by name.
    entries: dict[str, dict[str, str]] = field(default_factory=dict)
    #: Path → names of its children, in the order of the table, then of execution.
    children: dict[str, list[str]] = field(default_factory=dict)
    #: Paths that are written as nn.Sequential.
    sequential: set[str] = field(default_factory=set)

    def ref(self, edge: Any) -> Any:
        """The operand itself, or the weight that it is."""
        return self.reads.get(edge, edge) if type(edge) is Edge else edge

    def layer_of(self, path: str, step: Step) -> Layer:
        names = self.entries.get(path, {})
        return Layer(self.graph, path, step, {n: self.graph.tensors[k] for n, k in names.items()}, names)


def base_name(step: Step) -> str:
    """The name without the number of the call."""
    return step.name.partition("@")[0]


def steps_in(items: list[Item]) -> Iterator[Step]:
    for item in items:
        if type(item) is Call:
            yield from steps_in(item.items)
        else:
            yield item  # type: ignore[misc]


def under(path: str, top: str) -> bool:
    """Whether ``path`` is ``top`` or lies below it."""
    return not top or path == top or path.startswith(top + ".")


# -- the modules -------------------------------------------------------------------------------------------------------
def program(graph: Graph) -> Program:
    """The steps of ``graph`` as nested calls."""
    reads = {
        Edge(step.name): step.args["value"] for step in graph.steps if step.op in ("parameter", "constant")
    }  # fmt: skip
    made = Program(graph, reads)
    for key in graph.tensors:
        path, _, name = key.rpartition(".")
        made.entries.setdefault(path, {})[name] = key
        _grow(made, path)
    steps = [step for step in _writes_placed(graph) if step.op not in ("input", "parameter", "constant")]
    for step in steps:
        if step.args.get("training") == MODULE or step.mode:
            _grow(made, step.scope)
    located = list(_located(made, steps))
    for path, item in located:
        _grow(made, path if type(item) is Step else item.path)
    made.items = _nested("", located)
    _settle(made)
    _order_children(made)
    return made


def _grow(made: Program, path: str) -> None:
    while path:
        parent, _, name = path.rpartition(".")
        siblings = made.children.setdefault(parent, [])
        if name not in siblings:
            siblings.append(name)
        path = parent


def _writes_placed(graph: Graph) -> list[Step]:
    """The steps with every write to a buffer right after the value it writes, where nothing reads the buffer later."""
    order = {step.name: i for i, step in enumerate(graph.steps)}
    moved: dict[str, list[Step]] = {}
    kept: list[Step] = []
    for step in graph.steps:
        value = step.args.get("value")
        if step.op == "assign" and type(value) is Edge and not graph.consumers[step.name] and value.node in order:
            source = graph[value.node].step
            alike = (source.mode, source.autocast) == (step.mode, step.autocast)
            last = _last_read(graph, step.args["target"].key, order)
            if alike and last <= order[value.node] and source.op not in ("input", "parameter", "constant", "assign"):
                moved.setdefault(value.node, []).append(step)
                continue
        kept.append(step)
    return [placed for step in kept for placed in (step, *moved.get(step.name, ()))]


def _last_read(graph: Graph, key: str, order: dict[str, int]) -> int:
    """The place of the last step that may look at the buffer's memory, through views of it too."""
    from ...ops import operator

    last, front = -1, []
    for step in graph.steps:
        held = [weight.key for weight in weights(tuple(step.args.values()))]
        if key in held and step.op != "assign":
            front.append(step.name)
            last = max(last, order[step.name] if step.op != "parameter" else -1)
    seen = set(front)
    while front:
        name = front.pop()
        for user in graph.consumers[name]:
            last = max(last, order[user])
            if user not in seen and operator(graph[user].op).view:
                seen.add(user)
                front.append(user)
    return last


# -- where a step belongs ------------------------------------------------------------------------------------------------
def _located(made: Program, steps: list[Step]) -> Iterator[tuple[str, Item]]:
    """Every step with the path of the module whose forward makes it; layers as calls from the module above."""
    homes = {id(step): _home(made, step) for step in steps}
    at: dict[str, list[Step]] = {}
    for step in steps:
        at.setdefault(homes[id(step)], []).append(step)
    layers = {path for path, found in at.items() if _is_layer(made, path, found)}
    for step in steps:
        path = homes[id(step)]
        if path in layers:
            yield path.rpartition(".")[0], Call(path, [step], layer=True)
        else:
            yield path, step


def _home(made: Program, step: Step) -> str:
    name = base_name(step)
    parent, _, last = name.rpartition(".")
    own = [weight.key.rpartition(".")[0] for weight in weights(tuple(step.args.values()))]
    if own and step.op != "assign":
        return name if name in made.entries or not parent else parent
    if step.op == "assign":
        return step.scope if not own or under(own[0], step.scope) else own[0]
    if step.args.get("training") == MODULE or step.op == "by_mode":
        return step.scope
    if step.mode:
        return parent if under(parent, step.scope) else step.scope
    if last.isdigit() and under(parent, step.scope):
        return name
    return step.scope


def _is_layer(made: Program, path: str, steps: list[Step]) -> bool:
    """Whether all steps at ``path`` are calls of one module of torch.nn."""
    if not path or made.children.get(path) or any(base_name(step) != path for step in steps):
        return False
    texts = set()
    for step in steps:
        slots = Slots()
        text = constructor(made.layer_of(path, step), slots)
        texts.add((text, tuple(repr(slot.value) for slot in slots.items)))
    if len(texts) != 1 or not texts.pop()[0]:
        return False
    flagged = any(step.args.get("training") == MODULE for step in steps)
    return bool(made.entries.get(path)) or flagged or path.rpartition(".")[2].isdigit()


# -- nesting -----------------------------------------------------------------------------------------------------------
def _nested(top: str, located: list[tuple[str, Item]]) -> list[Item]:
    """Runs under one child of ``top`` as calls of it, in order."""
    lead = len(top) + 1 if top else 0
    items: list[Item] = []
    for child, run in groupby(located, lambda pair: pair[0][lead:].partition(".")[0] if pair[0] != top else ""):
        if not child:
            items += [item for _, item in run]
            continue
        path = f"{top}.{child}" if top else child
        items += [Call(path, _nested(path, part)) for part in _parts(list(run))]
    return items


def _parts(run: list[tuple[str, Item]]) -> list[list[tuple[str, Item]]]:
    """A run cut into equal calls in a row, where each name comes that often."""
    names = Counter(base_name(step) for _, item in run for step in steps_in([item]) if weights(tuple(step.args.values())))
    count = 0
    for times in names.values():
        count = gcd(count, times)
    for pieces in range(count, 1, -1):
        size, rest = divmod(len(run), pieces)
        if rest or count % pieces:
            continue
        parts = [run[i * size : (i + 1) * size] for i in range(pieces)]
        shapes = {tuple((p, base_name(s), s.op) for p, item in part for s in steps_in([item])) for part in parts}
        if len({tuple(op for _, _, op in shape) for shape in shapes}) == 1 and _same_owners(parts):
            return parts
    return [run]


def _same_owners(parts: list[list[tuple[str, Item]]]) -> bool:
    owners = {
        tuple((path, tuple(w.key for s in steps_in([item]) for w in weights(tuple(s.args.values())))) for path, item in part)
        for part in parts
    }
    return len(owners) == 1


# -- which paths have a forward ------------------------------------------------------------------------------------------
def _settle(made: Program) -> None:
    """Dissolve calls until every path that is called has one forward."""
    while True:
        found: dict[str, list[Call]] = {}
        _collect(made.items, found)
        made.calls = found
        made.sequential = set()
        worst = next((p for p in sorted(found, key=lambda p: p.count(".")) if _refused(made, p, found[p])), None)
        if worst is None:
            for path in sorted(found, key=lambda p: -p.count(".")):
                if not found[path][0].layer and is_chain(made, path):
                    made.sequential.add(path)
            worst = next((p for p in found if _is_list(made, p) and p not in made.sequential), None)
        if worst is None:
            return
        keep = _main_form(made, found[worst]) if not _is_list(made, worst) else None
        made.items = _dissolved(made.items, worst, keep)


def _collect(items: list[Item], found: dict[str, list[Call]]) -> None:
    for item in items:
        if type(item) is Call:
            found.setdefault(item.path, []).append(item)
            _collect(item.items, found)


def _dissolved(items: list[Item], path: str, keep: Any) -> list[Item]:
    made: list[Item] = []
    for item in items:
        if type(item) is not Call:
            made.append(item)
            continue
        item.items = _dissolved(item.items, path, keep)
        if item.path == path and (keep is None or item not in keep):
            made += item.items
        else:
            made.append(item)
    return made


def _refused(made: Program, path: str, calls: list[Call]) -> bool:
    """Whether ``path`` cannot have one forward: its calls differ, or need the flag of a module outside."""
    if calls[0].layer:
        return False
    if len({signature(made, call) for call in calls}) > 1:
        return True
    call = calls[0]
    shared = context(call)
    for step in steps_in(call.items):
        flagged = step.args.get("training") == MODULE or (step.mode and step.mode != shared.mode)
        if flagged and not under(step.scope, path):
            return True
        if step.mode and step.mode == shared.mode and step.scope != shared.scope and not under(step.scope, path):
            return True
    if not any(type(ref) is Edge for ref in inputs_of(made, call)) and _needs_device(made, call):
        return True
    return False


def _needs_device(made: Program, call: Call) -> bool:
    from ...ops import operator

    return any(
        step.op != "opaque" and "{device}" in operator(step.op).template(made.graph.operands(step))
        for step in steps_in(call.items)
    )


def _main_form(made: Program, calls: list[Call]) -> Any:
    """The calls of the form that does most of the work, where the others are small beside it; else None."""
    forms: dict[Any, list[Call]] = {}
    for call in calls:
        forms.setdefault(signature(made, call), []).append(call)
    if len(forms) < 2:
        return None
    sizes = {form: sum(1 for _ in steps_in(found[0].items)) for form, found in forms.items()}
    largest = max(sizes, key=lambda form: sizes[form])
    return forms[largest] if all(2 * n <= sizes[largest] for form, n in sizes.items() if form != largest) else None


def _is_list(made: Program, path: str) -> bool:
    """Whether a module is nothing but numbered children."""
    children = made.children.get(path, [])
    return bool(children) and all(name.isdigit() for name in children) and not made.entries.get(path)


def is_chain(made: Program, path: str) -> bool:
    """Whether nn.Sequential computes what the numbered module at ``path`` does."""
    calls = made.calls.get(path)
    if not calls or made.entries.get(path):
        return False
    call = calls[0]
    if not _is_list(made, path):
        return numbered(made.children.get(path, [])) is not None and _is_plain_chain(made, path, call)
    ordered = [name for name in made.children[path] if not _is_idle(made, f"{path}.{name}")]
    names = [item.path.rpartition(".")[2] for item in call.items if type(item) is Call]
    if len(names) != len(call.items) or names != sorted(set(names), key=int) or set(names) != set(ordered):
        return False
    if [n for n in made.children[path] if made.entries.get(f"{path}.{n}")] != sorted(
        (n for n in made.children[path] if made.entries.get(f"{path}.{n}")), key=int
    ):
        return False
    if any(str(int(name)) != name or int(name) > 1000 for name in names):
        return False
    return _hands_on(made, call)


def _is_plain_chain(made: Program, path: str, call: Call) -> bool:
    names = [item.path.rpartition(".")[2] for item in call.items if type(item) is Call]
    return len(names) == len(call.items) and names == made.children[path] and _hands_on(made, call)


def _hands_on(made: Program, call: Call) -> bool:
    """Whether each call is given what the one before it returned, and nothing else."""
    whole = context(call)
    before: Any = None
    for item in call.items:
        assert isinstance(item, Call)
        inputs, outputs = inputs_of(made, item), outputs_of(made, item, call.items)
        if len(inputs) != 1 or len(outputs) != 1 or (before is not None and inputs[0] != before):
            return False
        if type(inputs[0]) is not Edge or context(item) != whole or len(flat_outputs(made, item)) != 1:
            return False
        before = outputs[0]
    return inputs_of(made, call) == inputs_of(made, call.items[0]) and outputs_of(made, call, None) == [before]


def flat_outputs(made: Program, item: Item) -> list[Edge]:
    """All that a call of a layer gives, in use or not; the outputs in use of any other call."""
    if type(item) is Call and item.layer:
        step = item.items[0]
        assert isinstance(step, Step)
        return [Edge(step.name, i) for i in range(len(made.graph.types(step.name)))]
    return outputs_of(made, item, None)


def _is_idle(made: Program, path: str) -> bool:
    """Whether a module does nothing that the graph knows: no calls, no tensors."""
    called = any(under(p, path) for p in made.calls)
    return not called and not any(under(p, path) for p in made.entries)


# -- what crosses the border of a call -----------------------------------------------------------------------------------
def operands(made: Program, item: Item) -> list[Any]:
    """Edges and weights that a statement reads, in order, with repeats."""
    if type(item) is Call:
        return inputs_of(made, item)
    assert isinstance(item, Step)
    return [made.ref(ref) for ref in refs(tuple(item.args.values()))]


def refs(value: Any) -> list[Any]:
    """Edges and weights in plain data."""
    if type(value) is Edge or type(value) is Weight:
        return [value]
    if isinstance(value, tuple | list):
        return [ref for part in value for ref in refs(part)]
    return []


def inputs_of(made: Program, call: Call) -> list[Any]:
    """Edges from outside and weights of other modules, in the order of their first use."""
    inside = {step.name for step in steps_in(call.items)}
    found: dict[Any, None] = {}
    for step in steps_in(call.items):
        for ref in (made.ref(ref) for ref in refs(tuple(step.args.values()))):
            outside = ref.node not in inside if type(ref) is Edge else not _owned(made, ref, call.path)
            if outside:
                found[ref] = None
    return list(found)


def _owned(made: Program, ref: Weight, path: str) -> bool:
    return under(local_key(made.graph, ref.key, path).rpartition(".")[0], path)


def local_key(graph: Graph, key: str, path: str) -> str:
    """The name under which the module at ``path`` has the tensor ``key``, where it has one; else ``key``."""
    if under(key.rpartition(".")[0], path):
        return key
    first = graph.tensors[key].alias_of or key
    for other, entry in graph.tensors.items():
        if (entry.alias_of or other) == first and under(other.rpartition(".")[0], path):
            return other
    return key


def outputs_of(made: Program, item: Item, within: list[Item] | None) -> list[Edge]:
    """What others read of a statement's results: of all its calls, or among the items ``within`` and beyond."""
    graph = made.graph
    if type(item) is not Call:
        assert isinstance(item, Step)
        return [Edge(item.name, i) for i in range(len(graph.types(item.name)))]
    calls = made.calls.get(item.path, [item])
    places: set[int] = set()
    mine: list[Edge] = []
    for call in calls if not item.layer else [item]:
        inside = {step.name for step in steps_in(call.items)}
        produced = [Edge(s.name, i) for s in steps_in(call.items) for i in range(len(graph.types(s.name)))]
        used = _read_outside(graph, inside)
        places |= {i for i, edge in enumerate(produced) if edge in used}
        if call is item:
            mine = produced
    return [mine[i] for i in sorted(places)]


def _read_outside(graph: Graph, inside: set[str]) -> set[Edge]:
    found = {edge for edge in edges([graph.result, graph.train_result]) if edge.node in inside}
    for name in inside:
        for user in graph.consumers[name]:
            if user not in inside:
                found |= {edge for edge in edges(tuple(graph[user].step.args.values())) if edge.node == name}
    return found


def signature(made: Program, call: Call) -> Any:
    """What a call computes, up to the names of its steps and the values it is given."""
    numbers: dict[Any, int] = {ref: -1 - i for i, ref in enumerate(inputs_of(made, call))}
    lines = []

    def shown(value: Any) -> Any:
        value = made.ref(value)
        if type(value) is Weight:
            return ("key", value.key) if value not in numbers else ("given", numbers[value])
        if type(value) is Edge:
            return ("value", numbers.get(value, numbers.get(Edge(value.node))), value.index if value not in numbers else 0)
        if isinstance(value, tuple | list):
            return (type(value).__name__, *map(shown, value))
        return (type(value).__name__, value)

    for i, step in enumerate(steps_in(call.items)):
        args = tuple((name, shown(value)) for name, value in step.args.items())
        lines.append((step.op, args, step.mode, step.grad, step.autocast, step.scope if step.mode else ""))
        numbers[Edge(step.name)] = i
    return tuple(lines)


def context(item: Item) -> Context:
    """What surrounds a statement; of a call, what surrounds all of its steps and can be said outside of it."""
    if type(item) is not Call:
        assert isinstance(item, Step)
        return Context(item.mode, item.scope if item.mode else "", item.grad, item.autocast)
    first, *rest = [Context(s.mode, s.scope if s.mode else "", s.grad, s.autocast) for s in steps_in(item.items)]
    same_mode = all((c.mode, c.scope) == (first.mode, first.scope) for c in rest)
    if not same_mode or not first.mode or (under(first.scope, item.path) and not item.layer):
        mode, scope = "", ""
    else:
        mode, scope = first.mode, first.scope
    grad = first.grad or any(c.grad for c in rest)
    autocast = first.autocast if all(c.autocast == first.autocast for c in rest) else ""
    return Context(mode, scope, grad, autocast)


def _order_children(made: Program) -> None:
    """Children without tensors go after the sibling that is called before them."""
    called: dict[str, list[str]] = {}
    for path in _paths_in_order(made.items):
        parent, _, name = path.rpartition(".")
        if name not in called.setdefault(parent, []):
            called[parent].append(name)
    full = {path for key in made.entries for path in _ancestors(key)}
    for parent, names in made.children.items():
        lead = f"{parent}." if parent else ""
        order = [name for name in names if f"{lead}{name}" in full]
        before: str | None = None
        for name in called.get(parent, []):
            if name not in order:
                order.insert(0 if before is None else order.index(before) + 1, name)
            before = name
        made.children[parent] = order + [name for name in names if name not in order]


def _ancestors(path: str) -> Iterator[str]:
    while path:
        yield path
        path = path.rpartition(".")[0]


def _paths_in_order(items: list[Item]) -> Iterator[str]:
    for item in items:
        if type(item) is Call:
            yield from reversed(list(_ancestors(item.path)))
            yield from _paths_in_order(item.items)
