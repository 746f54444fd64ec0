"""A user's own sampler as a space: a Python function that asks for its choices one by one.

    def small(choose):
        x = value = nl.input(16)
        for i in range(choose.integer("depth", 1, 3)):
            value = nl.relu(nl.linear(value, choose(f"width{i}", [16, 32, 64])))
        return nl.Graph(x, nl.linear(value, 10))

    space = nl.spaces.from_function(small)

What the function asks for is written down, so that the same choices give the same network again, one of them can be
changed, and two networks can be crossed.
"""

from __future__ import annotations

import difflib
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import SpaceError
from ..graph.graph import Graph
from .choices import Choose, Domain, Rejected, can_change

if TYPE_CHECKING:
    import numpy

Choices = Mapping[str, Any]
Sampler = Callable[..., Any]
K = TypeVar("K")
V = TypeVar("V")

#: Draws that the function may reject in a row.
MOST_TRIES = 1000
#: Networks whose choices are remembered, and those that are made twice to see whether the function is deterministic.
MOST_REMEMBERED = 50_000
CHECKED_RUNS = 3


@dataclass(frozen=True, slots=True)
class _Run:
    """One call of the function: what it asked for, what it was told, what it made."""

    domains: dict[str, Domain]
    choices: dict[str, Any]
    graph: Graph


@dataclass(frozen=True, eq=False)
class FunctionSpace:
    """The networks that ``function(choose, **settings)`` can make; made by `from_function`.

    Every call of ``choose`` is a choice with a name. Choices are a dict from names to values, in the order of the calls.
    `SpaceError`, with the choices that led there, for whatever goes wrong in the function, and where it makes different
    networks of the same choices.
    """

    function: Sampler
    settings: Mapping[str, Any] = field(default_factory=dict)
    most_enumerated: int = 10_000
    _known: dict[str, dict[str, Any]] = field(default_factory=dict, init=False, repr=False)
    _hashes: dict[tuple[tuple[str, Any], ...], str] = field(default_factory=dict, init=False, repr=False)
    _everything: dict[str, dict[str, Any]] = field(default_factory=dict, init=False, repr=False)

    @property
    def name(self) -> str:
        """The function's name, for people."""
        return getattr(self.function, "__qualname__", None) or repr(self.function)

    @property
    def spec(self) -> str:
        """``MODULE:FUNCTION`` where another process can import the function, and nothing else was set; else empty."""
        module, name = getattr(self.function, "__module__", None), getattr(self.function, "__qualname__", "")
        found: Any = sys.modules.get(module or "")
        for part in name.split("."):
            found = getattr(found, part, None)
        return f"{module}:{name}" if found is self.function and module != "__main__" and not self.settings else ""

    # -- a space ---------------------------------------------------------------------------------------------------
    def sample(self, rng: numpy.random.Generator) -> Graph:
        """A random network, a function of the generator's state alone."""
        return self._until_accepted(lambda: self._run(lambda name, domain: domain.draw(rng))).graph

    def contains(self, graph: Graph) -> bool:
        """Whether the function can make ``graph``.

        Known at once of networks that were made here; of others by going through all there are. `SpaceError` where those are
        without end, or more than ``most_enumerated``.
        """
        return graph.hash in self._known or graph.hash in self._all(f"whether {graph!r} is a member")

    # -- choices ---------------------------------------------------------------------------------------------------
    def graph(self, choices: Choices) -> Graph:
        """The network of these choices; `SpaceError` names one that is missing, not asked for, or not among the options."""
        return self._replayed(choices).graph

    def choices_of(self, graph: Graph) -> dict[str, Any]:
        """The choices that make ``graph``: of a network made here, or of any where all can be gone through.

        `SpaceError` for a graph that the function does not make, and where that cannot be known (see `contains`).
        """
        found = self._known.get(graph.hash) or self._all(f"the choices of {graph!r}").get(graph.hash)
        if found is None:
            raise SpaceError(f"{graph!r} is no network that {self.name} makes")
        return dict(found)

    def enumerate(self, limit: int | None = None) -> Iterator[tuple[dict[str, Any], Graph]]:
        """All choices with their networks, in the order of the options; the first ``limit`` of them.

        Different choices may make equal networks. `SpaceError` names a choice that has no end of values.
        """
        runs = (run for run in self._walk() if run is not None)
        for run in itertools.islice(runs, limit):
            yield run.choices, run.graph

    def _walk(self) -> Iterator[_Run | None]:
        """One run for every combination of choices, in order; None for those that the function rejects."""
        path: list[tuple[Sequence[Any], int]] = []  # at each choice its values, and the place of the present one
        while True:
            depth = 0

            def decide(name: str, domain: Domain) -> Any:
                nonlocal depth
                if depth == len(path):
                    if domain.possible is None:
                        raise SpaceError(f"choice {name!r} is {domain}: its values cannot be gone through")
                    path.append((domain.possible, 0))
                values, place = path[depth]
                depth += 1
                return values[place]

            try:
                made: _Run | None = self._run(decide)
            except Rejected:
                made = None
            yield made
            del path[depth:]
            while path and path[-1][1] == len(path[-1][0]) - 1:
                path.pop()
            if not path:
                return
            path[-1] = (path[-1][0], path[-1][1] + 1)

    # -- changing --------------------------------------------------------------------------------------------------
    def mutate(self, parent: Graph | Choices, rng: numpy.random.Generator) -> dict[str, Any]:
        """The parent's choices with one of them, drawn evenly, given another value.

        The function runs again with the rest kept; choices that it asks for anew, or among other options, are drawn.
        """
        start = self._replayed(parent)
        names = [name for name, domain in start.domains.items() if can_change(domain)]
        if not names:
            raise SpaceError(f"{self.name} has nothing to choose with {_shown(start.choices)}; there is no other network near")

        def attempt() -> _Run:
            target = names[int(rng.random() * len(names))]

            def decide(name: str, domain: Domain) -> Any:
                if name == target:
                    return domain.draw(rng, (start.choices[name],))
                kept = start.choices.get(name, _MISSING)
                return kept if kept in domain else domain.draw(rng)

            return self._run(decide)

        return self._until_accepted(attempt).choices

    def cross(self, one: Graph | Choices, other: Graph | Choices, rng: numpy.random.Generator) -> dict[str, Any]:
        """Choices each taken from one of two parents, with even odds where both have it; drawn where neither fits."""
        parents = (self._replayed(one).choices, self._replayed(other).choices)

        def decide(name: str, domain: Domain) -> Any:
            fitting = [parent[name] for parent in parents if name in parent and parent[name] in domain]
            return fitting[int(rng.random() * len(fitting))] if fitting else domain.draw(rng)

        return self._until_accepted(lambda: self._run(decide)).choices

    # -- running the function --------------------------------------------------------------------------------------
    def _run(self, decide: Callable[[str, Domain], Any]) -> _Run:
        run = self._called(decide)
        key = tuple(run.choices.items())
        try:
            expected = self._hashes.get(key)
        except TypeError:  # an option that cannot be hashed: no memory for these
            expected, key = None, ()
        if expected is None and len(self._hashes) < CHECKED_RUNS:
            expected = self._called(self._again(run)).graph.hash
        if expected is not None and expected != run.graph.hash:
            raise SpaceError(
                f"{self.name} made two different networks of the same choices, {_shown(run.choices)}; let it take everything "
                "random from choose"
            )
        if key:
            _remember(self._hashes, key, run.graph.hash)
        _remember(self._known, run.graph.hash, run.choices)
        return run

    def _again(self, run: _Run) -> Callable[[str, Domain], Any]:
        asked = iter(run.choices.items())

        def decide(name: str, domain: Domain) -> Any:
            before, value = next(asked, ("", None))
            if name != before or value not in domain:
                raise SpaceError(
                    f"{self.name} asked for choice {before!r} at first and for {name!r}, {domain}, the second time, after the "
                    "same answers; let it take everything random from choose"
                )
            return value

        return decide

    def _called(self, decide: Callable[[str, Domain], Any]) -> _Run:
        choose = Choose(decide)
        try:
            made = _graph(self.function(choose, **self.settings))
        except Rejected:
            raise
        except Exception as error:
            what = str(error) if isinstance(error, SpaceError) else f"{type(error).__name__}: {error}"
            raise SpaceError(f"{self.name}: {what} (choices so far: {_shown(choose.values)})") from error
        return _Run(choose.domains, choose.values, made)

    def _replayed(self, parent: Graph | Choices) -> _Run:
        choices = self.choices_of(parent) if isinstance(parent, Graph) else parent

        def decide(name: str, domain: Domain) -> Any:
            if name not in choices:
                raise SpaceError(f"choice {name!r} is missing; it is {domain}")
            if choices[name] not in domain:
                raise SpaceError(f"choice {name!r} = {choices[name]!r}; expected {domain}")
            return choices[name]

        try:
            run = self._run(decide)
        except Rejected as rejected:
            raise SpaceError(f"{self.name} rejects {_shown(choices)}" + (f": {rejected}" if str(rejected) else "")) from None
        for name in choices:
            if name not in run.choices:
                near = difflib.get_close_matches(str(name), run.choices, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"it asked for {', '.join(run.choices) or 'nothing'}"
                raise SpaceError(f"{self.name} did not ask for choice {name!r}; {hint}")
        return run

    def _until_accepted(self, attempt: Callable[[], _Run]) -> _Run:
        reason = ""
        for _ in range(MOST_TRIES):
            try:
                return attempt()
            except Rejected as rejected:
                reason = str(rejected)
        raise SpaceError(
            f"{self.name} rejected {MOST_TRIES} draws in a row" + (f", the last for: {reason}" if reason else "") + "; "
            "loosen what it rejects, or draw from fewer options"
        )

    def _all(self, wanted: str) -> dict[str, dict[str, Any]]:
        """The choices of every network by hash; `SpaceError` where there are too many to tell ``wanted``."""
        if not self._everything:
            found: dict[str, dict[str, Any]] = {}
            try:
                for count, run in enumerate(self._walk()):
                    if count >= self.most_enumerated:
                        raise SpaceError(f"{self.name} has more than {self.most_enumerated:,} combinations of choices")
                    if run is not None:
                        found.setdefault(run.graph.hash, run.choices)
            except SpaceError as error:
                raise SpaceError(f"cannot tell {wanted}, which was not made here: {error}") from None
            self._everything.update(found)
        return self._everything

    # -- being a value ---------------------------------------------------------------------------------------------
    def __eq__(self, other: object) -> bool:
        return isinstance(other, FunctionSpace) and (self.function, self.settings) == (other.function, other.settings)

    def __hash__(self) -> int:
        return hash(self.function)

    def __reduce__(self) -> Any:
        return FunctionSpace, (self.function, self.settings, self.most_enumerated)


_MISSING = object()


def _remember(memory: dict[K, V], key: K, value: V) -> None:
    """Keep the value unless there is one, forgetting the oldest of too many."""
    if key not in memory:
        if len(memory) >= MOST_REMEMBERED:
            del memory[next(iter(memory))]
        memory[key] = value


def _graph(made: Any) -> Graph:
    if isinstance(made, Graph):
        return made
    if isinstance(made, tuple) and len(made) == 2 and hasattr(made[0], "state_dict"):
        # Tracing is a room above this one and needs torch: it is asked for by its public name, where it is used.
        import netloom

        traced: Graph = netloom.trace(*made)
        return traced
    raise SpaceError(f"it returned a {type(made).__name__}; expected a Graph, or a pair of an nn.Module and example inputs")


def _shown(choices: Choices) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in choices.items()) or "none"


def from_function(function: Sampler, *, most_enumerated: int = 10_000, **settings: Any) -> FunctionSpace:
    """The space of the networks that ``function(choose, **settings)`` makes: a `Graph`, or (nn.Module, example inputs).

    ``choose(name, options)`` gives one of the options, ``choose.integer(name, low, high)`` an integer, ``choose.uniform(name,
    low, high)`` a float; ``choose.reject()`` says that these choices make no network. All randomness of the function must
    come from there. Up to ``most_enumerated`` combinations of choices are gone through to decide membership.

    >>> import netloom as nl, numpy as np
    >>> def small(choose):
    ...     x = value = nl.input(16)
    ...     for i in range(choose.integer("depth", 1, 3)):
    ...         value = nl.relu(nl.linear(value, choose(f"width{i}", [16, 32])))
    ...     return nl.Graph(x, nl.linear(value, 10))
    >>> space = from_function(small)
    >>> graph = space.sample(np.random.default_rng(0))
    >>> space.choices_of(graph)
    {'depth': 2, 'width0': 16, 'width1': 16}
    >>> space.mutate(graph, np.random.default_rng(1))
    {'depth': 2, 'width0': 32, 'width1': 16}
    >>> len(list(space.enumerate()))
    14
    """
    if not callable(function):
        raise SpaceError(f"from_function takes a function of choose, not {function!r}")
    return FunctionSpace(function, settings, most_enumerated)
