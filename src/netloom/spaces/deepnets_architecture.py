"""`Architecture`: all that a DeepNets-1M network is made of, beside its weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from ..errors import SpaceError
from .deepnets_genotype import Genotype, as_genotype

#: Images of this height or width and more have the stem and the head that the paper gives to ImageNet.
LARGE = 96
#: Kinds of norms: none; batch norm with the statistics of each batch; batch norm that keeps running ones too.
NORMS = (None, "bn", "bnorm", "bn-track")


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network of DeepNets-1M by the names that its authors gave to its settings.

    ``C`` channels, ``n_cells`` cells of the genotype, ``ks`` the kernel of the stem, ``stem_type`` 0 (one convolution,
    ``stem_pool`` adds a pool) or 1 (three), ``norm`` None, ``"bnorm"`` (statistics of the batch, always) or ``"bn-track"``
    (running statistics), ``preproc`` 1×1 convolutions before each cell, ``C_mult`` what a reduction multiplies channels by,
    ``fc_layers`` linear layers at the end with ``fc_dim`` hidden units, ``glob_avg`` global average pooling before them.
    ``input_shape`` is (channels, height, width); from 96 pixels on the network has the paper's form for ImageNet.
    `SpaceError` for settings that make no network.
    """

    genotype: Genotype
    n_cells: int
    C: int = 32
    num_classes: int = 10
    ks: int = 3
    stem_type: int = 0
    stem_pool: bool = False
    norm: str | None = "bn-track"
    preproc: bool = True
    C_mult: int = 2
    fc_layers: int = 1
    fc_dim: int = 256
    glob_avg: bool = True
    input_shape: tuple[int, int, int] = (3, 32, 32)

    def __post_init__(self) -> None:
        object.__setattr__(self, "genotype", as_genotype(self.genotype))
        if isinstance(self.input_shape, list):
            object.__setattr__(self, "input_shape", tuple(self.input_shape))
        if self.norm in ("", "none"):
            object.__setattr__(self, "norm", None)
        _check(self)

    # -- what follows from the settings ----------------------------------------------------------------------------
    @property
    def is_vit(self) -> bool:
        """Whether a cell has attention: then the stem makes patches, and nothing has a stride."""
        return self.genotype.has("msa")

    @property
    def is_large(self) -> bool:
        """Whether the images are as large as those of ImageNet."""
        return max(self.input_shape[1:]) >= LARGE

    def reduces(self, cell: int) -> bool:
        """Whether the cell of that index is a reduction cell."""
        return cell > 0 and cell in (self.n_cells // 3, 2 * self.n_cells // 3)

    def resized(self, **changes: Any) -> Architecture:
        """The architecture with other settings."""
        return replace(self, **changes)

    # -- as data ---------------------------------------------------------------------------------------------------
    def to_dict(self) -> dict[str, Any]:
        """Plain data by the authors' names; `from_dict` reads it back."""
        made = {field.name: getattr(self, field.name) for field in fields(self)}
        return made | {"genotype": self.genotype.to_dict(), "input_shape": list(self.input_shape)}

    @staticmethod
    def from_dict(settings: Mapping[str, Any], **defaults: Any) -> Architecture:
        """The architecture of such data; ``is_imagenet_input`` stands for an ``input_shape``, what is unknown is left out.

        >>> Architecture.from_dict({"genotype": "vit", "n_cells": 12, "C": 128, "is_imagenet_input": True}).input_shape
        (3, 224, 224)
        """
        known = {field.name for field in fields(Architecture)}
        given = dict(defaults)
        if settings.get("is_imagenet_input") is not None:
            given["input_shape"] = (3, 224, 224) if settings["is_imagenet_input"] else (3, 32, 32)
        given |= {name: value for name, value in settings.items() if name in known}
        if given.get("fc_layers") == 0:
            given["fc_layers"] = 1
        for name in ("genotype", "n_cells"):
            if name not in given:
                raise SpaceError(f"deepnets1m network without {name!r}")
        return Architecture(**given)

    def to_json(self) -> str:
        """The data on one line, without spaces."""
        return json.dumps(self.to_dict(), separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> Architecture:
        """The architecture that `to_json` wrote; `SpaceError` for other text.

        >>> made = Architecture(as_genotype("darts"), 20, C=36, stem_type=1)
        >>> Architecture.from_json(made.to_json()) == made
        True
        """
        try:
            read = json.loads(text)
        except (json.JSONDecodeError, TypeError) as error:
            raise SpaceError(f"deepnets1m network {str(text)[:80]!r}: no JSON ({error})") from None
        if not isinstance(read, dict):
            raise SpaceError(f"deepnets1m network {text[:80]!r}: expected settings by name")
        return Architecture.from_dict(read)


_NUMBERS = {"n_cells": 1, "C": 2, "num_classes": 1, "ks": 1, "C_mult": 1, "fc_layers": 1, "fc_dim": 1}


def _check(a: Architecture) -> None:
    """`SpaceError` unless each setting is one, and all go together."""
    for name, least in _NUMBERS.items():
        value = getattr(a, name)
        if not hasattr(value, "__index__") or isinstance(value, bool) or value < least:
            if name == "fc_dim" and a.fc_layers == 1:
                continue
            raise _error(name, value, f"an integer ≥ {least}")
        object.__setattr__(a, name, int(value))
    if a.ks % 2 == 0:
        raise _error("ks", a.ks, "an odd kernel")
    if a.stem_type not in (0, 1):
        raise _error("stem_type", a.stem_type, "0 (one convolution) or 1 (three)")
    if a.norm not in NORMS:
        raise _error("norm", a.norm, "None, 'bnorm' (statistics of the batch) or 'bn-track' (running statistics)")
    for name in ("stem_pool", "preproc", "glob_avg"):
        if getattr(a, name) not in (0, 1):
            raise _error(name, getattr(a, name), "True or False")
        object.__setattr__(a, name, bool(getattr(a, name)))
    shape = a.input_shape
    if not isinstance(shape, tuple) or len(shape) != 3 or not all(hasattr(size, "__index__") and size >= 1 for size in shape):
        raise _error("input_shape", shape, "(channels, height, width), each ≥ 1")
    object.__setattr__(a, "input_shape", tuple(int(size) for size in shape))
    width = max(len(a.genotype.normal_concat), len(a.genotype.reduce_concat))
    if not a.preproc and (width > 1 or a.C_mult > 1):
        why = f"cells put out {width} states" if width > 1 else f"C_mult = {a.C_mult}"
        needs = "preproc=False needs cells of one output and C_mult = 1"
        raise SpaceError(f"deepnets1m network: {needs}, but {why}; use preproc=True")


def _error(name: str, value: Any, expected: str) -> SpaceError:
    return SpaceError(f"deepnets1m network: {name} = {value!r:.80}; expected {expected}")
