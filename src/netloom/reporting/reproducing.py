"""How to repeat a search: its command line, its settings, and the versions it ran with."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import NetloomError
from ..searching.settings import Settings
from ..searching.warm_starting import METAFEATURES

if TYPE_CHECKING:
    from .summary import Summary

#: Settings that are an option of ``netloom search`` of the same name.
_OPTIONS = ("space", "task", "strategy", "budget", "recipe", "seed", "executor", "candidate_seconds")
#: Settings that say the same as others, or nothing to people.
_HIDDEN = {"task_hash", "recipe"}


def command(summary: Summary) -> str | None:
    """The command line of a search; None where its space, data or recipe exist in one Python program only."""
    settings = summary.settings
    try:
        return Settings.from_data(settings).command(summary.store_url)
    except (NetloomError, TypeError, ValueError, AttributeError):
        pass  # a run of another version of netloom: its options as far as they are known
    given = {**settings, "recipe": settings.get("recipe_name")}
    if not all(given.get(name) for name in ("space", "task", "recipe")):
        return None
    words = ["netloom", "search"]
    for name in _OPTIONS:
        value = given.get(name)
        if value is not None and value != "":
            words += [f"--{name.replace('_', '-')}", f"{value:g}" if isinstance(value, float) else str(value)]
    return shlex.join([*words, "--store", summary.store_url])


def resume_command(summary: Summary) -> str | None:
    """How to go on with a search that was stopped; None where it has ended by itself."""
    if summary.status not in ("interrupted", "running"):
        return None
    return shlex.join(["netloom", "search", "--resume", summary.run_id, "--store", summary.store_url])


def facts(summary: Summary) -> dict[str, str]:
    """Settings, recipe, versions and machine as words by name."""
    found: dict[str, str] = {}
    for name, value in summary.settings.items():
        if name not in _HIDDEN and value not in (None, "", [], {}):
            found[name.replace("_", " ")] = _shown(value)
    recipe = summary.settings.get("recipe")
    if isinstance(recipe, Mapping):
        for name, value in recipe.items():
            if value is not None:
                found[f"recipe: {name.replace('_', ' ')}"] = _shown(value)
    for name, value in summary.environment.items():
        if name == METAFEATURES:
            continue  # numbers for other searches, not for people
        found["data" if name == "task" else str(name)] = _shown(value)
    found["run"] = summary.run_id
    found["store"] = summary.store_url
    return found


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_shown(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value))
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)
