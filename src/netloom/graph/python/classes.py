"""Instances that differ in values alone share a class, whose parameters are those values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ...ops import Edge, Weight
from .borders import Program
from .instances import Instance
from .layers import Same
from .literals import constant
from .naming import camel, class_candidates, is_plain, unique
from .slots import INPUT, REQUIRED, Raw, Slot, Slots, fill, slices

#: Hints of numbers that may be multiples of each other.
_WIDTHS = frozenset("""
    in_channels out_channels num_features dim in_features out_features embedding_dim num_channels hidden_size input_size size
    factor num_embeddings groups num_groups width
""".split())  # fmt: skip
_MULTIPLES = (2, 3, 4, 6, 8)


@dataclass
class Parameter:
    """A parameter of a class: its name and its value in every instance."""

    name: str
    values: list[Any]
    hint: str
    default: Any = REQUIRED
    in_forward: bool = False

    @property
    def annotation(self) -> str:
        kinds = {type(value) for value in self.values} | ({type(self.default)} if self.default is not REQUIRED else set())
        if Raw in kinds:
            return "Tensor"
        if len(kinds) == 1 and (kind := kinds.pop()) in (int, float, bool, str):
            return kind.__name__
        if kinds == {int, type(None)}:
            return "int | None"
        return "tuple[int, ...]" if kinds == {tuple} else ""


@dataclass
class Shared:
    """A class: its instances (all of one text), its name and parameters."""

    instances: list[Instance]
    name: str = ""
    parameters: list[Parameter] = field(default_factory=list)
    #: Slot → its source within the class.
    sources: dict[int, str] = field(default_factory=dict)
    arguments: list[str] = field(default_factory=list)

    @property
    def first(self) -> Instance:
        return self.instances[0]

    def construct(self, path: str, slots: Slots) -> str:
        """The expression that makes the instance at ``path``, with slots of the module above."""
        index = next(i for i, found in enumerate(self.instances) if found.path == path)
        text = ""
        for number, parameter in enumerate(self.parameters):
            value = parameter.values[index]
            if parameter.default is not REQUIRED:
                text += slots.option(parameter.name, value, parameter.default, hint=parameter.hint)
            elif number < 3:
                text += ("" if not text else ", ") + slots.add(value, parameter.hint)
            else:
                text += f", {parameter.name}={slots.add(value, parameter.hint)}"
        return f"{self.name}({text})"


def share(instances: Iterable[Instance], taken: set[str], made: Program) -> list[Shared]:
    """The classes of these instances; ``taken`` are names of classes in use, and grows."""
    groups: dict[Any, list[Instance]] = {}
    for found in instances:
        groups.setdefault(found.key(), []).append(found)
    classes = [Shared(group) for group in groups.values()]
    _name_classes(classes, taken)
    for shared in classes:
        settle(shared)
        shared.arguments = _argument_names(shared, made)
    return classes


def _name_classes(classes: list[Shared], taken: set[str]) -> None:
    """The shortest name that tells a class from the others; of several of one name, longer or numbered ones."""
    wanted: dict[str, int] = {}
    options = []
    for shared in classes:
        common = _common([class_candidates(found.path) for found in shared.instances])
        options.append(common)
        wanted[common[0]] = wanted.get(common[0], 0) + 1
    for shared, names in zip(classes, options):
        rivals = [c for c, n in zip(classes, options) if c is not shared and n[0] == names[0]]
        own = _peculiar(shared, rivals)
        choice = [name for name in names if wanted.get(name, 0) <= 1 and name not in taken]
        choice += [f"{own}{names[0]}"] if own and f"{own}{names[0]}" not in taken else []
        choice += [name for name in names if name not in taken]
        shared.name = choice[0] if choice else unique(names[0], taken)
        taken.add(shared.name)


def _peculiar(shared: Shared, rivals: list[Shared]) -> str:
    """A word for what a class has and those of the same name have not."""
    others = {name for rival in rivals for name in rival.first.names}
    own = [name for name in sorted(shared.first.names - others) if not name.isdigit()]
    return camel(own[0]) if rivals and own else ""


def _common(options: list[list[str]]) -> list[str]:
    """Names that fit all paths; digits that differ between them are left out."""
    first = options[0]
    common = [name for name in first if all(name in other for other in options)]
    if common:
        return common
    import re

    plain = [[re.sub(r"\d+", "", name) for name in names] for names in options]
    found = [name for name in plain[0] if name and all(name in other for other in plain)]
    return found or [first[0]]


# -- parameters ----------------------------------------------------------------------------------------------------------
def settle(shared: Shared) -> None:
    """Choose which slots become parameters, and write the source of every slot."""
    count = len(shared.first.slots.items)
    vectors = [[found.slots.items[i].value for found in shared.instances] for i in range(count)]
    in_forward = _in_forward(shared.first)
    for i, slot in enumerate(shared.first.slots.items):
        if slot.soft or _constant(vectors[i]):
            shared.sources[i] = _constant_source(shared, i, slot, vectors)
    varying = [i for i in range(count) if i not in shared.sources]
    bases = _bases(shared, varying, vectors)
    for i in varying:
        slot = shared.first.slots.items[i]
        base, multiple = bases[i]
        parameter = next((p for p in shared.parameters if _equal(p.values, vectors[base]) and _kin(p.hint, slot.hint)), None)
        if parameter is None:
            parameter = _parameter(shared, base, vectors)
        parameter.in_forward |= i in in_forward
        source = f"self.{parameter.name}" if i in in_forward else parameter.name
        if multiple != 1:
            source = f"{multiple} * {source}"
        shared.sources[i] = _written(slot, source)
    shared.parameters.sort(key=lambda p: p.default is not REQUIRED)


def _constant(values: list[Any]) -> bool:
    return all(type(value) is type(values[0]) and value == values[0] for value in values)


def _constant_source(shared: Shared, i: int, slot: Slot, vectors: list[list[Any]]) -> str:
    if slot.repeat:
        return ""
    value = slot.value
    if slot.keyword:
        default = slot.default
        if type(default) is Same:
            default = _previous(shared.first.slots.items, i, default.keyword)
        if default is not REQUIRED and type(default) is type(value) and default == value:
            return ""
        return f"\ue004{slot.keyword}={constant(value)}"
    return constant(value)


def _previous(items: list[Slot], place: int, keyword: str) -> Any:
    return next(slot.value for slot in reversed(items[:place]) if slot.hint == keyword)


def _written(slot: Slot, source: str) -> str:
    return f"\ue004{slot.keyword}={source}" if slot.keyword else source


def _in_forward(found: Instance) -> set[int]:
    from .slots import MARK

    texts = [text for _, text, _ in found.body] + [found.result]
    return {int(match[1]) for text in texts for match in MARK.finditer(text)}


def _bases(shared: Shared, varying: list[int], vectors: list[list[Any]]) -> dict[int, tuple[int, int]]:
    """For each slot the slot whose parameter it uses, and the whole number it multiplies it by."""
    items = shared.first.slots.items
    found: dict[int, tuple[int, int]] = {}
    widths = [i for i in varying if items[i].hint in _WIDTHS and all(type(v) is int and v > 0 for v in vectors[i])]
    for i in varying:
        same = next((j for j in varying if j <= i and _equal(vectors[j], vectors[i]) and _kin(items[i].hint, items[j].hint)), i)
        found[i] = (same, 1)
        if i not in widths:
            continue
        for j in widths:
            ratios = {b // a if b % a == 0 else 0 for a, b in zip(vectors[j], vectors[i])}
            if len(ratios) == 1 and (ratio := ratios.pop()) in _MULTIPLES and len(set(vectors[j])) > 1:
                first = next(k for k in widths if _equal(vectors[k], vectors[j]))
                found[i] = (first, ratio)
                break
    # A multiple of a multiple is written as a multiple of what that one is made of.
    for i, (base, ratio) in list(found.items()):
        while found[base] != (base, 1):
            base, ratio = found[base][0], ratio * found[base][1]
        found[i] = (base, ratio)
    return found


def _equal(a: list[Any], b: list[Any]) -> bool:
    return all(type(x) is type(y) and x == y for x, y in zip(a, b))


def _kin(a: str, b: str) -> bool:
    """Whether two values of these meanings may be one parameter when they happen to agree."""
    return a == b or (a in _WIDTHS and b in _WIDTHS)


def _parameter(shared: Shared, i: int, vectors: list[list[Any]]) -> Parameter:
    slot = shared.first.slots.items[i]
    default = slot.default if slot.keyword and type(slot.default) is not Same else REQUIRED
    taken = {p.name for p in shared.parameters} | shared.first.names | {"self"}
    hint = slot.hint if is_plain(slot.hint) else "value"
    if hint in taken and hint.startswith("out_"):
        hint = f"hidden_{hint[4:]}"
    made = Parameter(unique(hint, taken), vectors[i], slot.hint, default)
    shared.parameters.append(made)
    return made


# -- arguments of the forward --------------------------------------------------------------------------------------------
def _argument_names(shared: Shared, made: Program) -> list[str]:
    """Names for the inputs: what all callers call them, else x, y, z."""
    if shared.first.bundled:
        return ["features"]
    taken = {name for _, text, _ in shared.first.body for name in _identifiers(text)} | made.globals
    names: list[str] = []
    for place in range(len(shared.first.inputs)):
        wanted = {_origin(found.inputs[place], made) for found in shared.instances}
        own = wanted.pop() if len(wanted) == 1 else ""
        if place == 0 and type(shared.first.inputs[0]) is Edge and own not in ("input_ids", "pixel_values"):
            own = "x"
        options = [own] if own else []
        name = next((n for n in (*options, "x", "y", "z", "context") if n not in taken), "")
        name = name or unique(options[0] if options else "other", taken)
        names.append(name)
        taken.add(name)
    return names


def _identifiers(text: str) -> set[str]:
    import re

    return set(re.findall(r"[A-Za-z_]\w*", text))


def _origin(ref: Any, made: Program) -> str:
    from .hints import origin

    if type(ref) is Weight:
        name = ref.key.rpartition(".")[2]
        return name if is_plain(name) else "weight"
    step = made.graph[ref.node].step
    if step.op == "input":
        return step.name if is_plain(step.name) else ""
    hint = origin(made, ref)
    return hint.text if hint is not None and not hint.weak and hint.text not in ("x", "y") else ""


# -- source ----------------------------------------------------------------------------------------------------------------
def finished(shared: Shared, text: str) -> str:
    """A statement with the source of every slot and the names of the arguments in place."""

    def source_of(number: int) -> str:
        slot = shared.first.slots.items[number]
        if not slot.repeat:
            return shared.sources[number]
        return _repeated(shared, number, slot)

    done = fill(text, source_of)
    done = INPUT.sub(lambda match: shared.arguments[int(match[1])], done)
    return slices(done).replace("(\ue004", "(").replace("\ue004", ", ")


def _repeated(shared: Shared, number: int, slot: Slot) -> str:
    """Elements of a list: written out where there are few, else as a comprehension."""
    counts = {found.slots.items[number].value for found in shared.instances}
    count = counts.pop() if len(counts) == 1 else None
    if slot.series is not None:
        return _in_series(shared, slot, slot.series, shared.sources[number] or str(count))
    if not slot.loop:
        if count is not None and count <= 2:
            return ", ".join([slot.repeat] * count)
        return f"*({slot.repeat} for _ in range({shared.sources[number] or count}))"
    values = [shared.sources[i] for _, i in slot.loop]
    constant_values = [shared.first.slots.items[i].value for _, i in slot.loop]
    literal = count is not None and count <= 4 and all(_constant_slot(shared, i) for _, i in slot.loop)
    if literal:
        rows = zip(*constant_values)
        return ", ".join(_replaced(slot, row) for row in rows)
    names = ", ".join(name for name, _ in slot.loop)
    source = values[0] if len(values) == 1 else f"zip({', '.join(values)})"
    return f"*({slot.repeat} for {names} in {source})"


def _in_series(shared: Shared, slot: Slot, series: tuple[str, int], count: str) -> str:
    """Pairs of a name and an element, the number counted up."""
    stem, first = series
    named = f'(f"{stem}{{i}}", {slot.repeat})'
    if not slot.loop:
        stop = str(first + int(count)) if count.isdigit() else f"{first} + {count}" if first else count
        return f"{named} for i in range({f'{first}, {stop}' if first else stop})"
    names = ", ".join(name for name, _ in slot.loop)
    values = [shared.sources[i] for _, i in slot.loop]
    source = values[0] if len(values) == 1 else f"zip({', '.join(values)})"
    target = names if len(values) == 1 else f"({names})"
    return f"{named} for i, {target} in enumerate({source}{f', {first}' if first else ''})"


def _constant_slot(shared: Shared, number: int) -> bool:
    return _constant([found.slots.items[number].value for found in shared.instances])


def _replaced(slot: Slot, row: tuple[Any, ...]) -> str:
    import re

    text = slot.repeat
    for (name, _), value in zip(slot.loop, row):
        text = re.sub(rf"(?<![\w.]){name}(?!\w|=)", lambda match, value=value: constant(value), text)  # type: ignore[misc]
    return text
