"""Which tensors of a network are predicted, from which nodes, and how: worked out once for a view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isqrt
from typing import Any

from .primitives import EXACT
from .viewing import HyperGraph, HyperNode

#: How a tensor is decoded.
WEIGHT, CLASS_WEIGHT, VECTOR, TABLE = "weight", "class_weight", "vector", "table"


@dataclass(frozen=True, slots=True)
class Target:
    """A tensor to predict: its key, its shape, the node whose state it comes from (numbered over a batch), and how.

    ``row`` is for vectors: 0 where it scales (a norm's weight), 1 where it is added; ``is_class`` for a bias of a class layer;
    ``is_turned`` for a weight of (out, in) that the network keeps as (in, out).
    """

    name: str
    shape: tuple[int, ...]
    node: int
    kind: str
    row: int = 0
    is_class: bool = False
    is_turned: bool = False


@dataclass(slots=True)
class Assignment:
    """Targets, and what is left: key → why."""

    targets: list[Target] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    #: Key → (its operator, the type of its node) for layers that no hypernetwork was trained on.
    mapped: dict[str, tuple[str, str]] = field(default_factory=dict)


def assigned(view: HyperGraph, graph: Any, offset: int = 0, class_layers: bool = True) -> Assignment:
    """What is predicted of the parameters of ``graph``; nodes are numbered from ``offset``."""
    found = Assignment()
    done: set[str] = set()
    for number, node in enumerate(view.nodes):
        if node.is_parameter and node.name not in done:
            done.add(node.name)
            if node.is_class and not class_layers:
                found.left[node.name] = "a class layer, which was not asked for"
            else:
                _assign(found, node, number + offset, graph)
    for loose in view.loose:
        if loose.name in done:
            continue
        done.add(loose.name)
        shape = tuple(graph.tensors[loose.name].type.shape)
        row = {"mul": 0, "add": 1}.get(loose.op)
        if row is not None and loose.node is not None and sum(size != 1 for size in shape) == 1:
            found.targets.append(Target(loose.name, shape, loose.node + offset, VECTOR, row))
            found.mapped[loose.name] = (f"a parameter in {loose.op}", "weight of a norm" if row == 0 else "bias")
        else:
            found.left[loose.name] = f"a parameter in {loose.op}"
    used = {weight.key for step in graph.steps for weight in step.weights}
    for key, entry in graph.tensors.items():
        if entry.kind == "parameter" and entry.alias_of is None and key not in done and not _is_done(key, found, graph):
            op = next((step.op for step in graph.steps if any(weight.key == key for weight in step.weights)), "")
            found.left[key] = f"a parameter of {op}" if key in used else "not used"
    return found


def _is_done(key: str, found: Assignment, graph: Any) -> bool:
    return any(target.name == key for target in found.targets)


def _assign(found: Assignment, node: HyperNode, number: int, graph: Any) -> None:
    shape = node.shape or ()
    step = graph[node.call].step
    if step.op not in EXACT and node.type != "bias" and step.op != "add":
        found.mapped[node.name] = (step.op, node.type)
    if len(shape) == 1 and node.type in ("bn", "ln"):
        found.targets.append(Target(node.name, shape, number, VECTOR, 0))
        bias = step.args.get("bias")
        if bias is not None and hasattr(bias, "key"):
            found.targets.append(Target(bias.key, shape, number, VECTOR, 1))
    elif len(shape) == 1:
        found.targets.append(Target(node.name, shape, number, VECTOR, 1, node.is_class))
    elif len(shape) == 2 and node.is_class:
        found.targets.append(Target(node.name, shape, number, CLASS_WEIGHT, is_turned=node.is_turned))
    elif len(shape) == 3 and shape[0] == 1 and node.type == "pos_enc" and min(shape[1:]) > 1:
        found.targets.append(Target(node.name, shape, number, TABLE))
    elif node.type in ("bn", "ln"):
        found.targets.append(Target(node.name, shape, number, VECTOR, 0))
        bias = step.args.get("bias")
        if bias is not None and hasattr(bias, "key"):
            found.targets.append(Target(bias.key, shape, number, VECTOR, 1))
    else:
        found.targets.append(Target(node.name, shape, number, WEIGHT, is_turned=node.is_turned))


def core(target: Target, max_shape: Sequence[int]) -> tuple[int, int, int, int]:
    """(out, in, height, width) of what is decoded for a weight before it is tiled."""
    shape = target.shape
    if target.kind == TABLE:
        side = isqrt(shape[1])
        sizes: tuple[int, ...] = (1, shape[2], side, side)
    else:
        sizes = (*shape, 1, 1, 1)[:4] if len(shape) <= 4 else (*shape[:2], *shape[-2:])
    return tuple(min(size, most) for size, most in zip(sizes, max_shape))  # type: ignore[return-value]
