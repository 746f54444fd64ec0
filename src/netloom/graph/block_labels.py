"""Blocks for people: what a block is called, and the outline of a graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..ops import operator
from .step import module_path

if TYPE_CHECKING:
    from .block_reading import Reading
    from .blocks import Block
    from .graph import Step

#: An outline is as deep as it can be with this many lines, of which three are taken: totals, columns, the meaning of ``~``.
MAX_LINES = 40
_ROOM = MAX_LINES - 3
#: Operators that a label names, at most, and the characters it may take in an outline.
_MAX_OPERATORS, _MAX_WIDTH = 10, 52
_SHORT = {
    "batch_norm": "bn", "layer_norm": "ln", "rms_norm": "rmsnorm", "group_norm": "gn", "instance_norm": "in",
    "scaled_dot_product_attention": "attention",
}  # fmt: skip
#: Operators of these families rearrange, or make values that are there from the start: named only where nothing else is done.
_SILENT = frozenset("view permute rearrange layout cast source create expand indexing parts dropout draw".split())


def common_path(steps: Sequence[Step]) -> str:
    """The longest module path that all steps lie under."""
    paths = [_path(step) for step in steps]
    first, last = min(paths), max(paths)
    same = 0
    while same < min(len(first), len(last)) and first[same] == last[same]:
        same += 1
    return ".".join(first[:same])


def _path(step: Step) -> list[str]:
    return module_path(step.name).split(".")


def operators(block: Block) -> str:
    """The operators of a block, of a repeat those of its typical instance: ``conv–bn–relu``."""
    steps = block.typical.steps
    named = [
        step for step in steps if step.mode != "train" and operator(step.op).family not in _SILENT and step.op != "by_mode"
    ]
    names = [_short(step.op) for step in named or steps]
    if len(names) > _MAX_OPERATORS:
        names = [*names[: _MAX_OPERATORS - 3], "…", *names[-2:]]
    return "–".join(names)


def _short(op: str) -> str:
    return _SHORT.get(op, op[:-2] if op[-2:] in ("1d", "2d", "3d") else op)


def label(block: Block) -> str:
    """The module path of a block; where it is only a part of a module, with the range; its operators where it has no path."""
    if block.kind == "node":
        return block.steps[0].name
    prefix, first, last = block.prefix, block.parts[0], block.parts[-1]
    if not prefix:
        return f"{first.prefix}–{last.prefix}" if block.kind == "repeat" and first.prefix and last.prefix else operators(block)
    under = block.reading.under
    if under(prefix) == len(block):
        # The outermost module that is nothing but this.
        while "." in prefix and under(prefix.rpartition(".")[0]) == len(block):
            prefix = prefix.rpartition(".")[0]
        return prefix
    depth = prefix.count(".") + 1
    start, stop = (path[depth] if len(path) > depth else "" for path in map(_path, (block.steps[0], block.steps[-1])))
    if not start or not stop:
        return prefix
    return f"{prefix}.{start}–{stop}" if start != stop else f"{prefix}.{start}"


# -- the outline -----------------------------------------------------------------------------------------------------------
class _Line(NamedTuple):
    name: str
    doing: str
    shape: str
    cost: str


def outline(block: Block, depth: int | None = None) -> str:
    """The tree of a block as aligned lines, ``depth`` levels of it; see `Block.outline`."""
    if depth is None:
        depth = 1
        while depth < 12 and len(_lines(block, depth)) < len(_lines(block, depth + 1)) <= _ROOM:
            depth += 1
    lines = _lines(block, depth)
    left_out = len(lines) - _ROOM
    if left_out > 0:
        lines = lines[: _ROOM - 1]
    lines.insert(0, _Line("  block", "operators", "output", "parameters"))
    widths = [min(max(len(line[column]) for line in lines), _MAX_WIDTH) for column in range(4)]
    shown = [_header(block)]
    for line in lines:
        cells = [f"{_fit(text, width):<{width}}" for text, width in zip(line[:3], widths)]
        shown.append("  ".join([*cells, f"{line.cost:>{widths[3]}}"]).rstrip())
    if left_out > 0:
        shown.append(f"  … {left_out + 1} lines more; outline(depth=…) of a part shows it")
    if any("~" in line.name for line in lines):
        shown.append("  ~ alike, not equal: one of the most frequent is shown")
    return "\n".join(shown)


def _fit(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _header(block: Block) -> str:
    num_params, flops = costs(block)
    nodes = sum(step.op != "input" for step in block.steps)
    whole = len(block) == len(block.graph)
    unused = block.graph.num_params - num_params if whole else 0
    more = f" and {unused:,} that no node uses" if unused else ""
    what = "graph" if whole else block.label
    return f"{what}: {nodes:,} node{'s' * (nodes != 1)}, {num_params:,} parameters{more}, {_rounded(flops)}FLOPs"


def _rounded(number: int) -> str:
    """``8.2 G`` for 8,178,368,512."""
    for factor, unit in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= factor:
            return f"{number / factor:.3g} {unit}"
    return f"{number} "


def costs(block: Block) -> tuple[int, int]:
    """Parameters that the nodes of a block use, tied ones once, and their floating point operations for one sample."""
    graph, reading = block.graph, block.reading
    used = {key for i in range(block.start, block.stop) for key in reading.keys[i]}
    entries = [graph.tensors[key] for key in used]
    num_params = sum(entry.type.numel for entry in entries if entry.kind == "parameter")
    flops = 0
    for step in block.steps:
        if step.mode != "train":
            flops = flops + operator(step.op).flops(graph.operands(step), graph.types(step.name))
    return num_params, graph.at_one_sample(flops)


def _lines(block: Block, depth: int) -> list[_Line]:
    # What is no more than a run of nodes, or one of them, is told node by node: its outline has nothing else to show.
    parts = _children(block) or block.typical.parts or (block,)
    return [line for part in parts for line in _tree(part, 1, depth)]


def _children(block: Block) -> tuple[Block, ...]:
    """What an outline shows below a block; nothing below a run of nodes, whose line names them."""
    if block.kind == "repeat":
        typical = block.typical
        return (typical,) if typical.kind == "repeat" else _children(typical)
    return block.parts if any(part.kind != "node" for part in block.parts) else ()


def _tree(block: Block, indent: int, depth: int) -> Iterator[_Line]:
    times = f" ×{block.count}{'' if block.exact else '~'}" if block.kind == "repeat" else ""
    doing, name = operators(block), block.label
    num_params, _ = costs(block) if block.kind != "node" or block.reading.keys[block.start] else (0, 0)
    type = block.graph.types(block.steps[-1].name)[0]
    shape = f"({', '.join(map(str, type.shape))})"
    cost = f"{num_params:,}" if num_params else ""
    # The count is what a reader must not miss, so a name that is too long gives way to it.
    shown = "  " * indent + _fit(name, _MAX_WIDTH - 2 * indent - len(times)) + times
    yield _Line(shown, "" if doing == name else doing, shape, cost)
    if depth > 1:
        for part in _children(block):
            yield from _tree(part, indent + 1, depth - 1)


def paths_of(reading: Reading) -> dict[str, int]:
    """Module path → number of steps that lie under it."""
    found: dict[str, int] = {}
    for step in reading.steps:
        path = ""
        for part in _path(step):
            path = f"{path}.{part}" if path else part
            found[path] = found.get(path, 0) + 1
    return found
