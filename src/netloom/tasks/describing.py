"""What a task is, for people and for JSON; its test part is counted, never read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .parts import Split
from .task import Task

if TYPE_CHECKING:
    from torch import Tensor

_BAR = 30


def describe(task: Task, *, read_all: bool = False) -> dict[str, Any]:
    """Facts of a task as plain values: shapes, sizes of parts, targets, columns, how it is kept.

    The hash of a task that is decoded on the way needs every file to be read: it is there with ``read_all`` only.

    >>> from netloom.tasks import load
    >>> facts = describe(load("digits"))
    >>> facts["kind"], facts["samples"], facts["classes"]["0"]
    ('classification', {'train': 1077, 'valid': 360, 'test': 360}, 106)
    """
    facts: dict[str, Any] = {
        "name": task.name,
        "spec": task.spec,
        "kind": task.kind,
        "input_shape": list(task.input_shape),
        "samples": {"train": len(task.train), "valid": len(task.valid), "test": task.num_test},
        "hash": task.hash if read_all or isinstance(task.train, Split) else None,
        "kept": _kept(task),
    }
    if task.num_classes:
        counts = task.train.y.bincount(minlength=task.num_classes).tolist()
        facts["classes"] = dict(zip(task.class_names or map(str, range(task.num_classes)), counts))
    else:
        names = task.target_names or tuple(f"target {place}" for place in range(task.num_outputs))
        facts["targets"] = {name: _spread(column) for name, column in zip(names, _units(task).unbind(1))}
    if task.feature_names:
        facts["features"] = list(task.feature_names)
    for name in ("columns", "dropped"):
        found = getattr(task.preprocessing, name, None)
        if found:
            facts[name] = found if name == "dropped" else {column.name: column.kind for column in found}
    return facts


def describe_text(facts: dict[str, Any]) -> str:
    """The same for a screen."""
    samples = ", ".join(f"{count:,} {part}" for part, count in facts["samples"].items())
    lines = [
        f"task        {facts['name']}, {facts['kind']}: {'×'.join(map(str, facts['input_shape']))}, {samples}",
        f"spec        {facts['spec'] or 'none: it was made in Python'}",
        f"hash        {facts['hash'] or 'not worked out, since all files would be read: --hash'}",
        f"kept        {facts['kept']}",
    ]
    if "classes" in facts:
        counts = facts["classes"]
        lines.append(f"classes     {len(counts)}, samples in the train part:")
        lines += _bars(counts)
    for name, spread in facts.get("targets", {}).items():
        numbers = ", ".join(f"{key} {value:.6g}" for key, value in spread.items())
        lines.append(f"target      {name}: {numbers}")
    if "columns" in facts:
        lines.append(f"columns     {len(facts['columns'])}, made into {len(facts['features'])} features:")
        width = max(map(len, facts["columns"]))
        dropped = facts.get("dropped", {})
        lines += [
            f"    {name:<{width}}  {kind}" + (f": {dropped[name]}" if name in dropped else "")
            for name, kind in facts["columns"].items()
        ]
    return "\n".join(lines)


def _bars(counts: dict[str, int], most: int = 40) -> list[str]:
    shown = list(counts.items())[:most]
    width, largest = max(len(name) for name, _ in shown), max(1, *counts.values())
    lines = [f"    {name:<{width}}  {count:>8,}  {'█' * round(_BAR * count / largest)}" for name, count in shown]
    return lines + ([f"    … and {len(counts) - most} more"] if len(counts) > most else [])


def _kept(task: Task) -> str:
    if not isinstance(task.train, Split):
        return "on disk, decoded on the way"
    held = task.train.held
    size = held.numel() * held.element_size() / 2**20
    return f"in memory as {str(held.dtype).removeprefix('torch.')}, {size:,.1f} MiB for the train part"


def _units(task: Task) -> Tensor:
    return task.restore(task.train.y) if task.preprocessing is not None else task.train.y


def _spread(column: Tensor) -> dict[str, float]:
    values = column.double()
    return {
        "mean": float(values.mean()),
        "sd": float(values.std(correction=0)),
        "min": float(values.min()),
        "max": float(values.max()),
    }
