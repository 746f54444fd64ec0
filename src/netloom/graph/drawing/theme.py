"""Colours of pictures: one for each kind of operator, in a light and a dark scheme, and those of roles in a diff."""

from __future__ import annotations

from typing import NamedTuple

from ...ops import REGISTRY

THEMES = ("auto", "light", "dark")

#: What a legend calls each kind of operator, in the order of the legend.
KINDS = {
    "conv": "convolution",
    "linear": "linear, matmul",
    "attention": "attention",
    "recurrent": "recurrent",
    "norm": "normalisation",
    "activation": "activation",
    "pool": "pooling, reduction",
    "merge": "add, mul, concat",
    "math": "other arithmetic",
    "shape": "shape, index",
    "data": "parameter, constant",
    "input": "input, output",
    "other": "not known to netloom",
}
#: What a legend calls the roles that override the colour of an operator's kind.
ROLES = {"added": "added", "removed": "removed", "changed": "changed", "same": "the same"}
#: Colours without a meaning of their own, for scenes that tell groups apart and say in their legend which is which.
GROUPS = tuple(f"group{i}" for i in range(10))
_GROUPS_LIGHT = (
    ("#dbeafe", "#4f8ff0"), ("#ffe2cd", "#ea7f33"), ("#d5f3dc", "#3fa860"), ("#fbdcee", "#dd5fa8"), ("#fdefc3", "#c99a14"),
    ("#e5defd", "#7f63e6"), ("#cdf3ee", "#219e8f"), ("#ffdede", "#e0525f"), ("#e9f4cf", "#86a626"), ("#e3e3f2", "#6c6ca8"),
)  # fmt: skip
_GROUPS_DARK = (
    ("#1b3358", "#4c82d6"), ("#4f2d16", "#cc7838"), ("#153f25", "#3f9a5b"), ("#4e1f3d", "#c2579a"), ("#453612", "#b38c2a"),
    ("#32285c", "#8068d4"), ("#113f3b", "#31958a"), ("#55242b", "#cc5f6b"), ("#34401a", "#83993c"), ("#2b2b45", "#8484c4"),
)  # fmt: skip

_OF_FAMILY = {
    "conv": "conv", "linear": "linear", "matmul": "linear", "einsum": "linear", "attention": "attention",
    "recurrent": "recurrent", "norm": "norm", "length": "norm", "activation": "activation", "pool": "pool", "resample": "pool",
    "reduce": "pool", "statistics": "pool", "extremes": "pool", "arithmetic": "merge", "view": "shape", "permute": "shape",
    "expand": "shape", "rearrange": "shape", "indexing": "shape", "gather": "shape", "layout": "shape", "cast": "shape",
    "join": "shape", "padding": "shape", "diagonal": "shape", "dropout": "shape", "source": "data", "create": "data",
    "draw": "data", "opaque": "other",
}  # fmt: skip
_OF_OP = {
    "input": "input", "softmax": "activation", "log_softmax": "activation", "cat": "merge", "stack": "merge",
    "embedding": "linear", "pow": "math", "div": "merge", "floor_divide": "math", "remainder": "math",
    "unfold2d": "shape", "fold": "shape", "bilinear": "linear",
}  # fmt: skip


def kind_of(op: str) -> str:
    """The kind of operator, a key of `KINDS`, that decides the colour of ``op``.

    >>> kind_of("conv2d"), kind_of("add"), kind_of("exp")
    ('conv', 'merge', 'math')
    """
    found = _OF_OP.get(op)
    if found is None:
        found = _OF_FAMILY.get(REGISTRY[op].family, "math") if op in REGISTRY else "other"
    return found


class Palette(NamedTuple):
    """Colours of one scheme; ``kinds`` and ``roles`` give (fill, line) for each."""

    background: str
    text: str
    muted: str
    edge: str
    panel: str
    bar: str
    border: str
    kinds: dict[str, tuple[str, str]]
    roles: dict[str, tuple[str, str]]


LIGHT = Palette(
    "#ffffff", "#1c2430", "#5b6675", "#8d99a8", "#f8fafc", "#e9eef4", "#c3cdd9",
    {
        "conv": ("#dbeafe", "#6ea4f4"), "linear": ("#e5defd", "#9b84ee"), "attention": ("#fbdcee", "#e879b9"),
        "recurrent": ("#ffdede", "#ee7b86"), "norm": ("#fdefc3", "#dfb23e"), "activation": ("#ffe2cd", "#ef9656"),
        "pool": ("#cdf3ee", "#45b8ab"), "merge": ("#d5f3dc", "#5dbb78"), "math": ("#e9f4cf", "#a3be4c"),
        "shape": ("#eef1f5", "#b4bfcc"), "data": ("#f3ece4", "#c4ac8e"), "input": ("#dfe5ec", "#8492a5"),
        "other": ("#f5e1fb", "#c98add"),
    },
    {
        "added": ("#c9f2d3", "#1f9d4d"), "removed": ("#ffd6d6", "#d63b46"), "changed": ("#ffecb8", "#d59a00"),
        "same": ("#f3f5f8", "#c3cdd9"), **dict(zip(GROUPS, _GROUPS_LIGHT)),
    },
)  # fmt: skip
DARK = Palette(
    "#0f141b", "#e6ebf2", "#9aa7b7", "#6d7a8a", "#161d27", "#222c39", "#3a4757",
    {
        "conv": ("#1b3358", "#4c82d6"), "linear": ("#32285c", "#8068d4"), "attention": ("#4e1f3d", "#c2579a"),
        "recurrent": ("#55242b", "#cc5f6b"), "norm": ("#453612", "#b38c2a"), "activation": ("#4f2d16", "#cc7838"),
        "pool": ("#113f3b", "#31958a"), "merge": ("#153f25", "#3f9a5b"), "math": ("#34401a", "#83993c"),
        "shape": ("#232b36", "#566374"), "data": ("#3b3227", "#8f7a5e"), "input": ("#2f3a48", "#7587a0"),
        "other": ("#432450", "#a468b8"),
    },
    {
        "added": ("#11482a", "#3fc172"), "removed": ("#5a1d24", "#ef6a73"), "changed": ("#54400b", "#e0ac2b"),
        "same": ("#1c242e", "#3a4757"), **dict(zip(GROUPS, _GROUPS_DARK)),
    },
)  # fmt: skip


def rules(palette: Palette, prefix: str = "") -> str:
    """The style rules of one scheme; every selector begins with ``prefix``, so that pictures on one page keep apart."""
    p = palette
    lines = {
        ".bg": f"fill:{p.background}", ".t": f"fill:{p.text}", ".m": f"fill:{p.muted}",
        ".h": f"fill:{p.muted}", ".e": f"stroke:{p.edge}", ".a": f"fill:{p.edge}",
        ".g": f"fill:{p.panel};stroke:{p.border}", ".g2": f"fill:{p.background};stroke:{p.border}",
        ".bar": f"fill:{p.bar};stroke:{p.border}", ".pill": f"fill:{p.background};stroke:{p.muted}", ".bt": f"fill:{p.text}",
    }  # fmt: skip
    lines |= {f".k-{name}": f"fill:{fill};stroke:{line}" for name, (fill, line) in p.kinds.items()}
    for name, (fill, line) in p.roles.items():
        lines[f".r-{name}"] = f"fill:{fill};stroke:{line}"
        lines[f".e.r-{name}"] = f"fill:none;stroke:{line}"
        lines[f".a.r-{name}"] = f"fill:{line};stroke:none"
    return "".join(f"{prefix}{selector}{{{rule}}}" for selector, rule in lines.items())


def style(theme: str, prefix: str = "") -> str:
    """All colour rules of a theme: ``"auto"`` follows the reader's preference for dark pages."""
    if theme == "auto":
        return f"{rules(LIGHT, prefix)}@media(prefers-color-scheme:dark){{{rules(DARK, prefix)}}}"
    return rules(DARK if theme == "dark" else LIGHT, prefix)
