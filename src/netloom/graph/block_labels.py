"""Blocks for people: names of blocks, and the outline of a graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .blocks import Block
    from .graph import Step

_SHORT = {"batch_norm": "bn", "layer_norm": "ln", "scaled_dot_product_attention": "attention"}


def common_path(steps: Sequence[Step]) -> str:
    paths = [step.name.partition("@")[0].split(".") for step in steps]
    if len(paths) > 1:
        paths = [path[:-1] if not step.scope or step.scope != ".".join(path) else path for path, step in zip(paths, steps)]
    first, last = min(paths), max(paths)
    same = 0
    while same < min(len(first), len(last)) and first[same] == last[same]:
        same += 1
    return ".".join(first[:same])


def operators(block: Block) -> str:
    steps = block.typical.steps
    names = [_SHORT.get(step.op, step.op[:-2] if step.op[-2:] in ("1d", "2d", "3d") else step.op) for step in steps]
    return "–".join(names) if len(names) < 12 else f"{'–'.join(names[:5])}–…–{names[-1]}"


def label(block: Block) -> str:
    return block.prefix or (block.steps[0].name if block.kind == "node" else operators(block))


def outline(block: Block, depth: int = 99) -> str:
    return "\n".join(_lines(block, 0, depth))


def _lines(block: Block, indent: int, depth: int) -> Iterator[str]:
    times = f" ×{block.count}{'' if block.exact else ' ~'}" if block.kind == "repeat" else ""
    yield f"{'  ' * indent}{block.label}{times}  {operators(block)}"
    if depth and block.kind != "node":
        parts = block.typical.parts if block.kind == "repeat" else block.parts
        if block.kind == "repeat" or any(p.kind != "node" for p in parts):
            for part in parts:
                if part.kind != "node" or any(p.kind != "node" for p in parts):
                    yield from _lines(part, indent + 1, depth - 1)
