"""Published settings for training hypernetworks, and their rates over time."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..errors import HypernetworkError

_KINDS = ("ghn1", "ghn2", "mlp", "ghn3")


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


@dataclass(frozen=True, slots=True)
class MetaRecipe:
    """How a hypernetwork is trained.

    ``meta_batch`` networks are sampled for each step, each sees the same ``batch_size`` images. ``virtual_edges`` 1 is none;
    ``normalize`` scales what is predicted; ``hypernet`` passes messages (gnn) or not (mlp). ``schedule`` is ``"steps"`` (×0.1
    after
    2/3 and 5/6 of the epochs) or ``"cosine"`` (after ``warmup_epochs``). ``penalty`` weighs the norms of predicted tensors.
    ``max_nodes`` bounds the nodes of a step: larger draws are drawn anew. ``channels`` replaces those of the space, by one
    number or by one of several at random. ``pool`` networks are drawn once and met again (0: every step draws new ones), which
    saves small machines a third of the time. ``precision`` is that of the sampled networks.
    """

    kind: str = "ghn2"
    hid: int = 32
    layers: int = 3
    heads: int = 8
    hypernet: str = "gnn"
    virtual_edges: int = 50
    normalize: bool = True
    layernorm: bool = True
    max_channels: int | None = None
    kernel: int | None = None
    meta_batch: int = 8
    epochs: int = 300
    batch_size: int = 64
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-5
    schedule: str = "steps"
    warmup_epochs: int = 0
    clip_norm: float = 5.0
    label_smoothing: float = 0.0
    penalty: float = 0.0
    max_nodes: int = 2200
    channels: int | tuple[int, ...] | None = None
    pool: int = 0
    precision: str = "float32"

    def __post_init__(self) -> None:
        if isinstance(self.channels, list):
            object.__setattr__(self, "channels", tuple(self.channels))
        rules = {
            "kind": (self.kind in _KINDS, ", ".join(_KINDS)),
            "hypernet": (
                self.hypernet == "gnn" or (self.hypernet == "mlp" and self.kind != "ghn3"),
                "gnn or mlp" if self.kind != "ghn3" else "gnn: layers of ghn3 are transformers, which take no other",
            ),
            "schedule": (self.schedule in ("steps", "cosine"), "steps or cosine"),
            "optimizer": (self.optimizer in ("adam", "adamw"), "adam or adamw"),
            "virtual_edges": (_whole(self.virtual_edges) and self.virtual_edges <= 255, "a whole number from 1 (none) to 255"),
            "meta_batch": (_whole(self.meta_batch), "a whole number from 1"),
            "epochs": (_whole(self.epochs), "a whole number from 1"),
            "batch_size": (_whole(self.batch_size) and self.batch_size > 1, "a whole number from 2"),
            "learning_rate": (0 < self.learning_rate < math.inf, "a number above 0"),
            "max_nodes": (_whole(self.max_nodes), "a whole number from 1"),
            "hid": (_whole(self.hid) and self.hid % 4 == 0, "a multiple of 4"),
            "weight_decay": (0 <= self.weight_decay < math.inf, "a number from 0"),
            "warmup_epochs": (self.warmup_epochs == 0 or _whole(self.warmup_epochs), "a whole number from 0"),
            "max_channels": (self.max_channels is None or _whole(self.max_channels), "a whole number from 1"),
            "kernel": (self.kernel is None or _whole(self.kernel), "a whole number from 1"),
            "pool": (self.pool == 0 or _whole(self.pool), "a whole number from 0"),
            "channels": (
                self.channels is None
                or all(map(_whole, self.channels if isinstance(self.channels, tuple) and self.channels else (self.channels,))),
                "a whole number from 1, or several of them",
            ),
            "precision": (self.precision in ("float32", "bfloat16", "float16"), "float32, bfloat16 or float16"),
        }
        for name, (good, expected) in rules.items():
            if not good:
                raise HypernetworkError(f"{name} = {getattr(self, name)!r}; expected {expected}")

    def to_dict(self) -> dict[str, Any]:
        """All settings as plain data."""
        return asdict(self)

    def rate(self, progress: float) -> float:
        """What the learning rate is multiplied by after ``progress`` epochs.

        >>> preset("ghn2").rate(100), round(preset("ghn2").rate(200), 3), round(preset("ghn2").rate(250), 3)
        (1.0, 0.1, 0.01)
        """
        if self.schedule == "steps":
            share = progress / self.epochs
            return 0.1 ** ((share >= 2 / 3) + (share >= 5 / 6))
        if progress < self.warmup_epochs:
            start = 1e-5 / self.learning_rate
            return start + (1 - start) * progress / self.warmup_epochs
        rest = max(1e-9, self.epochs - self.warmup_epochs)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - self.warmup_epochs) / rest)))


#: Name → settings of the papers (Knyazev et al. 2021 for CIFAR-10, and 2023).
PRESETS = {
    "ghn1": MetaRecipe("ghn1", virtual_edges=1, normalize=False, layernorm=False, meta_batch=1),
    "ghn2": MetaRecipe("ghn2"),
    "mlp": MetaRecipe("mlp", hypernet="mlp"),
    "ghn3": MetaRecipe(
        "ghn3", hid=64, epochs=75, batch_size=128, optimizer="adamw", learning_rate=4e-4, weight_decay=1e-2, schedule="cosine",
        warmup_epochs=5, label_smoothing=0.1, penalty=3e-5,
    ),
}  # fmt: skip


def preset(name: str | MetaRecipe | Mapping[str, Any], **changes: Any) -> MetaRecipe:
    """The settings of a name, with changes; `HypernetworkError` for what is none."""
    if isinstance(name, MetaRecipe):
        found = name
    elif isinstance(name, Mapping):
        found, changes = MetaRecipe(), {**name, **changes}
    elif name in PRESETS:
        found = PRESETS[name]
    else:
        near = difflib.get_close_matches(str(name), PRESETS, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise HypernetworkError(f"unknown preset {str(name)[:80]!r}; {hint}there is: {', '.join(PRESETS)}")
    unknown = sorted(set(changes) - set(asdict(found)))
    if unknown:
        near = difflib.get_close_matches(unknown[0], asdict(found), 1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; there is: {', '.join(asdict(found))}"
        raise HypernetworkError(f"unknown setting {unknown[0]!r}{hint}")
    return replace(found, **changes)
