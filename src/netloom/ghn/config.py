"""What a hypernetwork is made of, and the published settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from ..errors import HypernetworkError

GATED, PERCEPTRON, TRANSFORMER = "gatedgnn", "mlp", "transformer"
CONV, DENSE = "conv", "mlp"


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of a hypernetwork, by the names that published checkpoints use.

    ``max_shape`` (out, in, height, width) is the largest weight that is decoded: larger ones are tiled. ``hypernet`` passes
    messages
    between nodes (``"gatedgnn"``, ``"mlp"`` for none, ``"transformer"`` for GHN-3). ``ve`` uses virtual edges,
    ``weight_norm`` scales
    what is predicted by its fan-in, ``hid`` is the size of node states; ``layers`` and ``heads`` are GHN-3's. ``ve_cutoff`` is
    the longest path that makes a virtual edge, 50 in all published ones.
    """

    max_shape: tuple[int, int, int, int]
    num_classes: int
    hypernet: str = GATED
    decoder: str = CONV
    weight_norm: bool = True
    ve: bool = True
    layernorm: bool = True
    hid: int = 32
    layers: int = 0
    heads: int = 0
    ve_cutoff: int = 50

    def __post_init__(self) -> None:
        object.__setattr__(self, "max_shape", _max_shape(self.max_shape))
        _expect("num_classes", self.num_classes, _is_count(self.num_classes), "a whole number from 1")
        _expect("hid", self.hid, _is_count(self.hid) and self.hid % 4 == 0, "a multiple of 4")
        _expect("hypernet", self.hypernet, self.hypernet in (GATED, PERCEPTRON, TRANSFORMER), "gatedgnn, mlp or transformer")
        _expect("decoder", self.decoder, self.decoder in (CONV, DENSE), "conv or mlp")
        for name in ("weight_norm", "ve", "layernorm"):
            value = getattr(self, name)
            _expect(name, value, isinstance(value, int) and value in (0, 1), "True or False")
            object.__setattr__(self, name, bool(value))
        _expect("ve_cutoff", self.ve_cutoff, _is_count(self.ve_cutoff) and self.ve_cutoff < 256, "a whole number from 1 to 255")
        if self.hypernet == TRANSFORMER:
            _expect("layers", self.layers, _is_count(self.layers), "a whole number from 1")
            fits = _is_count(self.heads) and self.hid % self.heads == 0
            _expect("heads", self.heads, fits, f"a divisor of hid = {self.hid}")
            _expect("decoder", self.decoder, self.decoder == CONV, "conv, the only one that GHN-3 has")

    @property
    def virtual_edges(self) -> int:
        """Length of the longest virtual edge."""
        return self.ve_cutoff if self.ve else 1

    def to_dict(self) -> dict[str, Any]:
        """The settings as published checkpoints hold them."""
        found = asdict(self)
        if self.hypernet != TRANSFORMER:
            del found["layers"], found["heads"]
        if self.ve_cutoff == 50:  # as all published ones have it, which do not say so
            del found["ve_cutoff"]
        return found

    @staticmethod
    def from_dict(given: Mapping[str, Any]) -> Config:
        """The settings of a checkpoint; `HypernetworkError` names what is unknown or missing."""
        known = {field.name for field in fields(Config)}
        settings = {str(key): value for key, value in given.items() if key not in _IGNORED}
        unknown = sorted(set(settings) - known)
        if unknown:
            raise HypernetworkError(
                f"the configuration has {unknown[0]!r}, which no hypernetwork takes; expected: {', '.join(sorted(known))}"
            )
        for name in ("max_shape", "num_classes"):
            if name not in settings:
                raise HypernetworkError(f"the configuration lacks {name!r}; a checkpoint that stores it is needed")
        if settings.get("layers") and "hypernet" not in settings:
            settings["hypernet"] = TRANSFORMER
        if settings.get("hypernet", GATED) != TRANSFORMER:
            settings.pop("layers", None), settings.pop("heads", None)
        return Config(**settings)

    def with_(self, **changes: Any) -> Config:
        """The same with other settings."""
        return replace(self, **changes)


#: Settings that say nothing about what is computed.
_IGNORED = frozenset({"debug_level", "is_ghn2", "pretrained"})


def _max_shape(value: Any) -> tuple[int, int, int, int]:
    sizes = tuple(value) if isinstance(value, tuple | list) else ()
    good = len(sizes) == 4 and all(map(_is_count, sizes)) and sizes[2] == sizes[3] and sizes[0] == sizes[1]
    _expect("max_shape", value, good, "four whole numbers (channels, channels, kernel, kernel), such as (64, 64, 11, 11)")
    return tuple(map(int, sizes))  # type: ignore[return-value]


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _expect(name: str, value: Any, good: bool, what: str) -> None:
    if not good:
        raise HypernetworkError(f"{name} = {value!r}; expected {what}")
