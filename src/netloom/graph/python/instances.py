"""One module of the network written down: its members and its forward, with slots for every value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ...ops import Edge
from ..tree import edges
from .borders import NEUTRAL, Call, Program, context, inputs_of, outputs_of
from .constants import fresh_source, tensor_source
from .forward import Body
from .layers import constructor
from .members import is_module_list
from .naming import is_plain, member, numbered, quoted
from .sizes import NeedsSize
from .slots import Raw, Slots, input_mark

#: Gives the constructor of a module that has a class: (path, slots of the module above) → source.
Construct = Callable[[str, Slots], str]


@dataclass
class Instance:
    """A module with a class: the text of its members (statements) and of its forward (indent, statement, edge)."""

    path: str
    slots: Slots
    members: list[str]
    body: list[tuple[int, str, Any]]
    result: str
    inputs: list[Any]
    outputs: list[Edge]
    names: set[str]
    functions: dict[str, None] = field(default_factory=dict)
    imports: dict[str, None] = field(default_factory=dict)
    bundled: bool = False

    def key(self) -> Any:
        """Equal for instances of one class."""
        body = tuple((indent, text) for indent, text, _ in self.body)
        return tuple(self.members), body, self.result, tuple(slot.signature() for slot in self.slots.items)


def instance(made: Program, path: str, construct: Construct) -> Instance:
    """The module at ``path``, which has calls of its own."""
    call = made.calls[path][0]
    slots = Slots()
    members = Members(made, slots, construct)
    members.write(path, "self")
    inputs, outputs = inputs_of(made, call), outputs_of(made, call, None)
    bundled = path in made.bundled
    variables = {} if bundled else {ref: input_mark(i) for i, ref in enumerate(inputs)}
    body = forward(made, path, call, slots, variables, outputs, members.names)
    results = [body.result(outputs[0])] if len(outputs) == 1 else [body._name_of(edge)[0] for edge in _named(body, outputs)]
    found = Instance(path, slots, members.lines, body.lines, ", ".join(results), inputs, outputs, members.names)
    found.bundled = bundled
    found.functions, found.imports = body.writer.functions, body.writer.imports
    return found


def _named(body: Body, outputs: list[Edge]) -> list[Edge]:
    body._flush()
    return outputs


def forward(
    made: Program, path: str, call: Call, slots: Slots, variables: dict[Any, str], results: list[Edge], names: set[str]
) -> Body:
    """The body of a forward, with free sizes read at its top where no variable shows them in time."""
    sizes: tuple[str, ...] = ()
    mark = len(slots.items)
    while True:
        outer, reserved = (context(call), {"x"}) if path else (NEUTRAL, set())
        body = Body(made, path, call.items, slots, variables, results, outer, reserved, sizes)
        try:
            body.write()
        except NeedsSize as needed:
            del slots.items[mark:]
            sizes = (*sizes, needed.symbol)
            continue
        return body


class Members:
    """Writes what ``__init__`` registers under one module: tensors, then children, in the order of the state_dict."""

    def __init__(self, made: Program, slots: Slots, construct: Construct) -> None:
        self.made, self.slots, self.construct = made, slots, construct
        self.lines: list[str] = []
        self.names: set[str] = set()

    def write(self, path: str, owner: str) -> None:
        """The statements for everything under ``path``, which is reached as ``owner``."""
        made = self.made
        if owner == "self":
            self.names = {*made.entries.get(path, ()), *made.children.get(path, ())}
        for name, key in made.entries.get(path, {}).items():
            self._tensor(owner, name, key)
        for name in made.children.get(path, []):
            child = f"{path}.{name}" if path else name
            target = member(owner, name, "_modules")
            later: list[tuple[str, str]] = []
            self.lines.append(f"{target} = {self.module(child, target, later)}")
            for deeper, source in later:
                self.write(deeper, source)

    def _tensor(self, owner: str, name: str, key: str) -> None:
        entry = self.made.graph.tensors[key]
        value = self._value(key)
        if entry.kind == "parameter":
            self.lines.append(f"{member(owner, name, '_parameters')} = nn.Parameter({value})")
        elif is_plain(name):
            more = "" if entry.persistent else ", persistent=False"
            self.lines.append(f"{owner}.register_buffer({quoted(name)}, {value}{more})")
        else:
            self.lines.append(f"{owner}._buffers[{quoted(name)}] = {value}")
            if not entry.persistent:
                self.lines.append(f"{owner}._non_persistent_buffers_set.add({quoted(name)})")

    def _value(self, key: str) -> str:
        entry = self.made.graph.tensors[key]
        if entry.constant is not None:
            return self.slots.add(Raw(tensor_source(key, entry.constant, self.made.data)), "values")
        sizes = [self.slots.add(size, "dim") for size in entry.type.shape]
        if len(sizes) == 1:
            shape = sizes[0]
        else:
            shape = f"({', '.join(sizes)})"
        text = fresh_source(entry, "(\ue005)" if len(sizes) != 1 else "\ue005")
        before, _, after = text.partition("(\ue005)" if len(sizes) != 1 else "\ue005")
        return f"{self._soft(before)}{shape}{self._soft(after)}"

    def _soft(self, text: str) -> str:
        return self.slots.add(Raw(text), "init", soft=True)

    # -- modules ---------------------------------------------------------------------------------------------------------
    def module(self, path: str, source: str, later: list[tuple[str, str]]) -> str:
        """The expression that makes the module at ``path``; what it cannot say goes to ``later`` as (path, source)."""
        made = self.made
        calls = made.calls.get(path)
        if calls and calls[0].layer:
            step = calls[0].items[0]
            return constructor(made.layer_of(path, step), self.slots)  # type: ignore[arg-type]
        if path in made.sequential and not made.children[path][0].isdigit():
            return f"nn.Sequential({self._named_elements(path, source, later)})"
        if path in made.sequential:
            return f"nn.Sequential({self._elements(path, source, later)})"
        if calls:
            return self.construct(path, self.slots)
        if is_module_list(made, path):
            return f"nn.ModuleList([{self._elements(path, source, later)}])"
        if made.children.get(path) or made.entries.get(path):
            later.append((path, source))
            return "nn.Module()"
        return "nn.Identity()"

    def _named_elements(self, path: str, source: str, later: list[tuple[str, str]]) -> str:
        """The elements of a chain whose names are a word with a number."""
        names = self.made.children[path]
        series = numbered(names)
        assert series is not None
        rows = []
        for name in names:
            own = Members(self.made, Slots(), self.construct)
            rows.append((own.module(f"{path}.{name}", f"{source}.{name}", later), own.slots))
        if _alike(rows, 0) != len(rows):
            pairs = ", ".join(
                f"({quoted(name)}, {self._repeated([slots], text)})" for name, (text, slots) in zip(names, rows)
            )  # fmt: skip
            return f"OrderedDict([{pairs}])"
        mark = self._repeated([slots for _, slots in rows], rows[0][0])
        slot = self.slots.items[int(_digits(mark))]
        slot.series = series
        return f"OrderedDict({mark})"

    def _elements(self, path: str, source: str, later: list[tuple[str, str]]) -> str:
        """The elements of a list, equal ones in a row as a comprehension."""
        names = self.made.children[path]
        if path in self.made.sequential:
            names = [str(i) for i in range(max(map(int, names)) + 1)]
        elements: list[tuple[str, Slots]] = []
        for name in names:
            own = Members(self.made, Slots(), self.construct)
            text = own.module(f"{path}.{name}" if path else name, f"{source}[{name}]", later)
            elements.append((text, own.slots))
        parts: list[str] = []
        place = 0
        while place < len(elements):
            count = _alike(elements, place)
            parts.append(self._repeated([slots for _, slots in elements[place : place + count]], elements[place][0]))
            place += count
        return ", ".join(parts)

    def _repeated(self, rows: list[Slots], text: str) -> str:
        """``text`` once, or as often as there are rows, with what differs between them as a variable of the loop."""
        moved: dict[int, str] = {}
        loop: list[tuple[str, int]] = []
        for i, slot in enumerate(rows[0].items):
            values = [row.items[i].value for row in rows]
            if slot.soft or slot.repeat or all(_same(value, values[0]) for value in values):
                loop_slot = slot.loop and tuple((name, int(_digits(moved[n]))) for name, n in slot.loop)
                moved[i] = self.slots.add(
                    slot.value, slot.hint, keyword=slot.keyword, default=slot.default, soft=slot.soft,
                    repeat=_remarked(slot.repeat, moved), loop=loop_slot or (),
                )  # fmt: skip
            else:
                name = _variable(slot.hint, [n for n, _ in loop])
                mark = self.slots.add(tuple(values), f"{name}s" if not name.endswith("s") else f"{name}_list")
                loop.append((name, int(_digits(mark))))
                moved[i] = f", {slot.keyword}={name}" if slot.keyword else name
        element = _remarked(text, moved)
        if len(rows) == 1 and not self._is_class(text):
            return element
        return self.slots.add(len(rows), "depth", repeat=element, loop=tuple(loop))

    def _is_class(self, text: str) -> bool:
        return not text.startswith("nn.")


def _alike(elements: list[tuple[str, Slots]], place: int) -> int:
    """How many elements from ``place`` on have one text; layers of torch stay single."""
    text, slots = elements[place]
    if text.startswith("nn."):
        return 1
    count = 1
    wanted = [slot.signature() for slot in slots.items]
    while place + count < len(elements):
        other, more = elements[place + count]
        if other != text or [slot.signature() for slot in more.items] != wanted:
            break
        count += 1
    return count


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and bool(a == b)


def _digits(mark: str) -> str:
    return mark.strip("\ue000\ue001")


def _remarked(text: str, moved: dict[int, str]) -> str:
    from .slots import MARK

    return MARK.sub(lambda match: moved[int(match[1])], text)


def _variable(hint: str, taken: list[str]) -> str:
    name, number = hint if hint.isidentifier() else "value", 2
    while name in taken:
        name, number = f"{hint}{number}", number + 1
    return name


def result_edges(made: Program) -> list[Edge]:
    return edges([made.graph.result, made.graph.train_result])


