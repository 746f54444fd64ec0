"""Which module makes which call: the steps of a graph, in order, as nested calls of modules.

The paths come from names, scopes and keys of weights, which are hints only. A path is a module with a forward where its steps
are one run, or several equal ones; else its steps stay with the module above, which then reaches into it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from math import gcd
from typing import Any

from ...ops import MODULE, Edge, Size, operator
from ..graph import Graph, Step
from ..tree import edges, weights
from .borders import (
    Call,
    Item,
    Program,
    base_name,
    context,
    flat_outputs,
    inputs_of,
    outputs_of,
    signature,
    steps_in,
    under,
)
from .layers import constructor
from .naming import numbered
from .slots import Slots


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
    steps = _without_zero_states(graph, steps)
    for step in steps:
        if step.args.get("training") == MODULE or step.mode:
            _grow(made, step.scope)
    located = list(_located(made, steps))
    for path, item in located:
        _grow(made, item.path if isinstance(item, Call) else path)
    made.items = _nested("", located)
    _settle(made)
    _order_children(made)
    _bundle(made)
    if _is_list(made, "") and _returns_one(graph):
        made.calls[""] = [Call("", made.items)]
        if is_chain(made, ""):
            made.sequential.add("")
        del made.calls[""]
    return made


def join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _grow(made: Program, path: str) -> None:
    while path:
        parent, _, name = path.rpartition(".")
        siblings = made.children.setdefault(parent, [])
        if name not in siblings:
            siblings.append(name)
        path = parent


def _writes_placed(graph: Graph) -> list[Step]:
    """The steps with every write to a buffer right after the value it writes and all that read the buffer."""
    order = {step.name: i for i, step in enumerate(graph.steps)}
    moved: dict[str, list[Step]] = {}
    kept: list[Step] = []
    for step in graph.steps:
        value = step.args.get("value")
        if step.op == "assign" and type(value) is Edge and not graph.consumers[step.name] and value.node in order:
            source = graph[value.node].step
            last = max(order[value.node], _last_read(graph, step.args["target"].key, order))
            if last < order[step.name] and source.op not in ("input", "parameter", "constant", "assign"):
                moved.setdefault(graph.steps[last].name, []).append(step)
                continue
        kept.append(step)
    return [placed for step in kept for placed in (step, *moved.get(step.name, ()))]


def _without_zero_states(graph: Graph, steps: list[Step]) -> list[Step]:
    """Recurrent steps without the zeros that torch's modules start from when they are given no state."""
    dropped: set[str] = set()
    changed: dict[str, Step] = {}
    for step in steps:
        states = getattr(operator(step.op), "states", ())
        found = [step.args[name] for name in states]
        if not found or not all(type(edge) is Edge for edge in found):
            continue
        plain = all(
            graph[edge.node].op == "zeros" and set(graph.consumers[edge.node]) == {step.name}
            and graph[edge.node].step.mode == step.mode and edge not in edges([graph.result, graph.train_result])
            for edge in found
        )  # fmt: skip
        if plain:
            dropped |= {edge.node for edge in found}
            changed[step.name] = replace(step, args={**step.args, **dict.fromkeys(states)})
    return [changed.get(step.name, step) for step in steps if step.name not in dropped]


def _last_read(graph: Graph, key: str, order: dict[str, int]) -> int:
    """The place of the last step that may look at the buffer's memory, through views of it too."""
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
        return name if name in made.entries else parent
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
    refused: dict[str, tuple[list[Call], bool]] = {}
    while True:
        found: dict[str, list[Call]] = {}
        _collect(made.items, found)
        made.calls = found
        made.sequential = set()
        for path, calls in found.items():
            # The steps of a call stay what they are while others are dissolved.
            if refused.get(path, ([], False))[0] != calls:
                refused[path] = (list(calls), _refused(made, path, calls))
        worst = min((p for p in found if refused[p][1]), key=lambda p: p.count("."), default=None)
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
    ordered = [name for name in made.children[path] if not _is_idle(made, join(path, name))]
    names = [item.path.rpartition(".")[2] for item in call.items if type(item) is Call]
    if len(names) != len(call.items) or names != sorted(set(names), key=int) or set(names) != set(ordered):
        return False
    if [n for n in made.children[path] if made.entries.get(join(path, n))] != sorted(
        (n for n in made.children[path] if made.entries.get(join(path, n))), key=int
    ):
        return False
    if any(str(int(name)) != name or int(name) > 1000 for name in names):
        return False
    return _hands_on(made, call)


def _is_plain_chain(made: Program, path: str, call: Call) -> bool:
    names = [item.path.rpartition(".")[2] for item in call.items if type(item) is Call]
    return len(names) == len(call.items) and names == made.children[path] and _hands_on(made, call)


def _returns_one(graph: Graph) -> bool:
    """Whether the network takes one tensor and returns one."""
    plain = type(graph.result) is Edge and graph.train_result is None
    return plain and len(graph.arguments) == 1 and type(graph.arguments[0].tree) is Edge


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
    first = call.items[0]
    starts = isinstance(first, Call) and inputs_of(made, call) == inputs_of(made, first)
    return starts and outputs_of(made, call, None) == [before]


def _is_idle(made: Program, path: str) -> bool:
    """Whether a module does nothing that the graph knows: no calls, no tensors."""
    called = any(under(p, path) for p in made.calls)
    return not called and not any(under(p, path) for p in made.entries)


def _bundle(made: Program) -> None:
    """Find siblings that join all they are given, however many that is: their forward takes a list."""
    families: dict[str, dict[str, list[str]]] = {}
    for path, calls in made.calls.items():
        if calls[0].layer or path in made.sequential:
            continue
        joins = [_join_of_all(made, call) for call in calls]
        if all(joins):
            families.setdefault(path.rpartition(".")[0], {})[path] = joins
    for family in families.values():
        counts = {len(inputs_of(made, made.calls[path][0])) for path in family}
        if len(family) > 2 and len(counts) > 2:
            made.bundled |= family


def _join_of_all(made: Program, call: Call) -> str:
    """The step that joins all inputs of a call and is their only reader; "" where there is none."""
    given = inputs_of(made, call)
    steps = list(steps_in(call.items))
    readers = [step for step in steps if any(made.ref(edge) in given for edge in edges(tuple(step.args.values())))]
    free = any(symbols_in(tuple(step.args.values())) for step in steps)
    if len(readers) != 1 or readers[0].op != "cat" or free or _needs_device(made, call):
        return ""
    step = readers[0]
    whole = step in call.items and [made.ref(edge) for edge in step.args["tensors"]] == given
    return step.name if whole and all(type(ref) is Edge for ref in given) else ""


def symbols_in(value: Any) -> bool:
    """Whether a free size is among plain data."""
    if isinstance(value, tuple | list):
        return any(map(symbols_in, value))
    return isinstance(value, Size)


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
