"""Strategies: what to try next."""

from __future__ import annotations

import dataclasses
import difflib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import SearchError
from ..spaces.loading import whole_number

if TYPE_CHECKING:
    import numpy

    from ..graph.graph import Graph
    from .context import Context
    from .proposal import Proposal, Result


class Strategy(ABC):
    """Proposes candidates and learns what became of them.

    A strategy is a dataclass of its settings. The loop calls `begin` once, then asks with ask index 0, 1, 2, … and a
    generator that depends on the search's seed and that index alone, and tells results as they come. A strategy keeps no
    randomness of its own, and what it knows it knows from what it was told: then a search that was killed comes back to where
    it was by telling a new strategy, in the old order, what the store remembers.
    """

    #: The name under which it is found; empty for one that is not registered.
    name: ClassVar[str] = ""
    #: Whether it asks for more epochs of candidates that it has: their checkpoints are then kept during the search.
    continues: bool = False

    @property
    def inherits(self) -> bool:
        """Whether it needs the trained weights of its candidates again, as parents: as its setting ``inherit`` says."""
        return bool(getattr(self, "inherit", False))

    def begin(self, context: Context) -> None:
        """Take up work for a search. Called before anything is asked or told."""
        self.context = context

    @abstractmethod
    def ask(self, index: int, rng: numpy.random.Generator) -> Proposal | Graph | None:
        """The candidate number ``index``; None where results that are still missing must come first.

        None although no result is missing ends the search. Candidates run side by side: results of earlier ones may be missing.
        """

    @abstractmethod
    def tell(self, index: int, result: Result) -> None:
        """What the candidate number ``index`` came to. Repeats of a candidate are told with its one result, as ``reused``."""

    @property
    def spec(self) -> str:
        """The text that `make_strategy` makes it from: its name and the settings that are not as by default.

        Empty where a setting is a value that text cannot say, and where the class is not registered under its name.
        """
        if STRATEGIES.get(self.name) is not type(self):
            return ""  # the name would make another one, or none
        parts: list[str] = []
        for key, value in not_as_by_default(self):
            text = _text_of(value)
            if not text:
                return ""  # a value that text cannot say
            parts.append(f"{key}={text}")
        return f"{self.name}?{'&'.join(parts)}" if parts else self.name


#: Entry-point group by which other packages add strategies.
PLUGINS = "netloom.strategies"
#: Name → module and class.
_OWN = {
    "random": "random_search RandomSearch",
    "evolution": "evolution Evolution",
    "genetic": "genetic Genetic",
    "local": "local_search LocalSearch",
    "bandit": "bandit Bandit",
    "successive-halving": "successive_halving SuccessiveHalving",
    "asha": "asha ASHA",
    "hyperband": "hyperband Hyperband",
    "nsga2": "nsga2 NSGA2",
    "cma-es": "cma_es CMAES",
    "guided": "guided Guided",
    "predictor": "predictor_search PredictorSearch",
    "filtered": "filtered Filtered",
    "generator": "generator GeneratorSearch",
    "loop": "closed_loop ClosedLoop",
}


class _Strategies(Mapping[str, type[Strategy]]):
    """Name → class of strategy: netloom's own, and those of installed packages."""

    def __getitem__(self, name: str) -> type[Strategy]:
        if name in _OWN:
            module, kind = _OWN[name].split()
            found: type[Strategy] = getattr(import_module(f"netloom.searching.strategies.{module}"), kind)
            return found
        for plugin in entry_points(group=PLUGINS, name=name):
            try:
                loaded: type[Strategy] = plugin.load()
                return loaded
            except Exception as error:  # whatever importing another package does
                raise SearchError(f"strategy {name!r} of {plugin.value}: {type(error).__name__}: {error}") from error
        raise KeyError(name)

    def __iter__(self) -> Any:
        return iter(sorted({*_OWN, *entry_points(group=PLUGINS).names}, key=lambda name: (name not in _OWN, name)))

    def __len__(self) -> int:
        return len(list(iter(self)))


STRATEGIES: Mapping[str, type[Strategy]] = _Strategies()


def make_strategy(given: str | Strategy) -> Strategy:
    """A strategy from itself, its name, or ``NAME?SETTING=VALUE&…``; `SearchError` says what is wrong.

    >>> make_strategy("evolution?population=20&sample=5")
    Evolution(population=20, sample=5)
    """
    if isinstance(given, Strategy):
        return given
    name, _, rest = str(given).partition("?")
    if name not in STRATEGIES and name.replace("_", "-") in STRATEGIES:
        name = name.replace("_", "-")
    if not isinstance(given, str) or name not in STRATEGIES:
        near = difflib.get_close_matches(name, STRATEGIES, 1) or [known for known in STRATEGIES if known in name]
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise SearchError(f"unknown strategy {str(given)[:80]!r}; {hint}there is: {', '.join(STRATEGIES)}")
    kind = STRATEGIES[name]
    known = _settings(kind)
    settings = {}
    for part in filter(None, rest.split("&")):
        key, equals, text = part.partition("=")
        if key not in known or not equals:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"settings are: {', '.join(known) or 'none'}"
            raise SearchError(f"strategy {name!r}: cannot read {part[:80]!r}; {hint} (written as SETTING=VALUE)")
        settings[key] = _value(name, key, text, str(known[key].type))
    return kind(**settings)


def _value(strategy: str, key: str, text: str, kind: str) -> Any:
    """A setting as its declared type has it."""
    try:
        if text in ("None", "none") and "None" in kind:
            return None
        if kind.startswith("bool"):
            return {"true": True, "false": False, "1": True, "0": False}[text.lower()]
        if kind.startswith("int"):
            return whole_number(text)
        if kind.startswith("float"):
            return float(text)
        if kind.startswith("str"):
            return text
    except (ValueError, KeyError):
        pass
    else:
        raise SearchError(f"strategy {strategy!r}: {key} cannot be given as text; make the strategy in Python")
    raise SearchError(f"strategy {strategy!r}: {key} = {text[:80]!r}; expected a value of type {kind}")


def _text_of(value: Any) -> str:
    """A setting as `make_strategy` reads it; empty where text cannot say it."""
    if value is None:
        return "none"
    if isinstance(value, bool | int | float | str):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if isinstance(value, tuple | list):
        parts = [_text_of(part) for part in value]
        return "+".join(parts) if all(parts) else ""
    spec = getattr(value, "spec", "")
    return spec if isinstance(spec, str) else ""


def shown(strategy: Strategy) -> str:
    """A dataclass with the settings that are not as by default, for ``repr``."""
    parts = ", ".join(f"{key}={value!r}" for key, value in not_as_by_default(strategy))
    return f"{type(strategy).__name__}({parts})"


def not_as_by_default(strategy: Any) -> list[tuple[str, Any]]:
    """The settings of a strategy that are not as by default, in order."""
    found: list[tuple[str, Any]] = []
    for setting in _settings(type(strategy)).values():
        made = setting.default_factory is not dataclasses.MISSING
        default = setting.default_factory() if made else setting.default
        value = getattr(strategy, setting.name)
        if value != default:
            found.append((setting.name, value))
    return found


def _settings(kind: type) -> dict[str, Any]:
    """The settings of a class of strategies, as fields of its dataclass."""
    return {field.name: field for field in dataclasses.fields(kind) if field.init} if dataclasses.is_dataclass(kind) else {}
