"""A model's configuration after an edit: found by making models from it.

Many models are made from one object that holds their sizes, and keep it as ``config``. What its numbers mean, only the code of
the constructor knows; so models are made on the meta device, where they take no memory, and held against the edited one.
"""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Iterator
from math import log
from typing import Any

import torch

from .attributes import Place, Sizes, ints_in, is_plain, names_a_size, own_ints, put
from .draft import Draft

#: Models that are made at most.
MAX_MODELS = 60
#: The attribute and the argument.
_NAME = "config"

Chain = tuple[str | int, ...]


class Configuration:
    """The configuration of a draft's model, where there is one and its class is made from it alone."""

    def __init__(self, draft: Draft, sizes: Sizes) -> None:
        self.draft, self.sizes = draft, sizes
        self.made = 0
        self.first: Any = None
        config = vars(draft.model).get(_NAME)
        if is_plain(config) and _takes_config(type(draft.model)):
            self.first = self._model({})
            if self.first is not None and _shapes(self.first) != _shapes(draft.model):
                self.first = None

    def foresee(self) -> None:
        """Take the configuration from which models have the new shapes, if there is one, and the ints of their modules."""
        if self.first is None:
            return
        wanted = _shapes(self.draft.copy)
        changes = self._nearest(lambda model: _distance(_shapes(model), wanted))
        model = self._model(changes)
        if model is None or _shapes(model) != wanted:
            return
        self._set(changes)
        made, first = dict(model.named_modules()), dict(self.first.named_modules())
        values = {}
        for path in self.draft.modules:
            for chain, value in _plain_ints(made.get(path)):
                place = Place(path, chain)
                before = dict(_plain_ints(first.get(path))).get(chain)
                if before == self.draft.original(place) != value:
                    values[place] = value
        self.draft.set(values)

    def follow(self) -> dict[Place, Any]:
        """The configuration nearest to what the draft is now; the values before are given back."""
        if self.first is None:
            return {}
        wanted, ints = _shapes(self.draft.copy), _all_ints(self.draft.copy)
        changes = self._nearest(lambda model: _distance(_shapes(model), wanted) + _unlike(_all_ints(model), ints))
        return self._set(changes)

    @property
    def config(self) -> Any:
        """The draft's own copy of the configuration, with what the draft has changed in it."""
        return vars(self.draft.copy)[_NAME]

    # -- search --------------------------------------------------------------------------------------------------------
    def _nearest(self, distance: Any) -> dict[Chain, int]:
        """Changes of single ints that each bring the model made nearer, until none does."""
        changes: dict[Chain, int] = {}
        before = dict(ints_in(vars(self.draft.model)[_NAME]))
        fixed = {chain for chain, value in ints_in(self.config) if before.get(chain) != value}
        model = self._model(changes)
        best: float = distance(model) if model is not None else 0.0
        improved = best > 0
        while improved:
            improved = False
            for chain, value in self._candidates():
                if chain in fixed or changes.get(chain) == value:
                    continue
                model = self._model({**changes, chain: value})
                if model is not None and distance(model) < best:
                    best, improved = distance(model), True
                    changes[chain] = value
            improved = improved and best > 0 and self.made < MAX_MODELS
        return changes

    def _candidates(self) -> Iterator[tuple[Chain, int]]:
        """An int of the configuration, and a size that something of that size has now; any new size where nothing was said."""
        for chain, value in ints_in(self.config):
            for old, new in sorted(self.sizes.changed):
                if old == value and old > 1:
                    yield chain, new
        for name, value in vars(self.config).items():
            if value is None and names_a_size(Place("", (name,))):
                yield from (((name,), new) for new in sorted({new for _, new in self.sizes.changed}))

    def _model(self, changes: dict[Chain, int]) -> Any:
        """A model made on the meta device from the configuration with some ints changed; None where its class refuses."""
        self.made += 1
        if self.made > MAX_MODELS:
            return None
        config = copy.deepcopy(self.config)
        try:
            for chain, value in changes.items():
                put(config, chain, value)
            with torch.device("meta"), torch.random.fork_rng(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return type(self.draft.model)(config).eval()
        except Exception:  # whatever a constructor says to sizes that do not go together
            return None

    def _set(self, changes: dict[Chain, int]) -> dict[Place, Any]:
        return self.draft.set({Place("", (_NAME, *chain)): value for chain, value in changes.items()})


def _takes_config(kind: type) -> bool:
    """Whether a class is made from a configuration alone."""
    try:
        parameters = list(inspect.signature(kind).parameters.values())
    except (TypeError, ValueError):
        return False
    needed = [p for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return [p.name for p in needed] == [_NAME] and parameters[0].name == _NAME


def _shapes(model: torch.nn.Module) -> dict[str, Any]:
    return {key: tuple(value.shape) for key, value in model.state_dict().items() if isinstance(value, torch.Tensor)}


def _plain_ints(module: Any) -> list[tuple[Chain, int]]:
    """The ints of a module, those of its configuration left out."""
    return [] if module is None else [(chain, value) for chain, value in own_ints(module) if len(chain) == 1]


def _all_ints(model: torch.nn.Module) -> dict[Any, int]:
    return {(path, chain): value for path, module in model.named_modules() for chain, value in _plain_ints(module)}


def _distance(one: dict[str, Any], other: dict[str, Any]) -> float:
    """How far apart the shapes of two models are: by the ratio of sizes, so that a step in the right direction counts."""
    total = 0.0
    for key in one.keys() | other.keys():
        a, b = one.get(key, ()), other.get(key, ())
        total += sum(abs(log(max(x, 1) / max(y, 1))) for x, y in zip(a, b)) if len(a) == len(b) else 10.0
    return total


def _unlike(one: dict[Any, Any], other: dict[Any, Any]) -> int:
    """At how many keys two dicts differ."""
    return sum(one.get(key) != other.get(key) for key in one.keys() | other.keys())
