"""``netloom prune`` and ``netloom grow``."""

from __future__ import annotations

import argparse
from typing import Any

from ..errors import EditError
from .edit_command import save_edited
from .networks import load_edited
from .output import writer


def run(given: argparse.Namespace) -> int:
    """Make a network smaller or larger to a budget: print what changed, and write the result."""
    from ..mutate import grow, prune

    model, inputs = load_edited(given.network, given.input, given.graph)
    options: dict[str, Any] = {"seed": given.seed, "multiple_of": given.multiple_of, "heads": not given.narrow_heads}
    options["protect"] = [name for names in given.protect or () for name in names.split(",")]
    asked = {name: getattr(given, name, None) for name in ("keep", "by", "flops", "params")}
    options |= {name: _share(name, text) for name, text in asked.items() if text is not None}
    if given.command == "prune":
        options |= {"value": given.value, "ranking": given.ranking}
        found = prune(model, inputs, **options)
    else:
        options |= {"new": given.new, "preserve": not given.all_layers}
        found = grow(model, inputs, **options)
    print(found)
    if given.save_plan is not None:
        with writer(given.save_plan) as write:
            write(found.plan.to_json())
    if given.out is not None:
        save_edited(given.out, found.graph, lambda: found.network)
    return 0


def _share(name: str, text: str) -> float:
    """``0.5`` or ``50%``."""
    try:
        return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise EditError(f"--{name} {text!r} is no share; write, say, 0.5 or 50%") from None
