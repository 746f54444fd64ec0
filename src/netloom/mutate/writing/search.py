"""Which attributes of a user's modules to change so that a copy of the model becomes the edited network.

Generate and verify: where the copy fails, or computes another graph, the line at which it does so names the attributes that can
be at fault; sizes of the calls around them propose new values. What gets the copy further is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING, Any

from ...errors import EditError
from .attributes import Place, Sizes, alike, is_int, names_a_size, own_ints
from .lines import Frame, Lines
from .modules import has_rule
from .verifying import Failure, Verifier

if TYPE_CHECKING:
    from .draft import Draft

#: Copies that are run and traced at most.
MAX_TRIALS = 40
#: Values that are tried for one attribute.
MAX_VALUES = 4

Values = dict[Place, int]


class Search:
    """Changes the attributes of a draft until it is the edited network."""

    def __init__(self, draft: Draft, verifier: Verifier, sizes: Sizes) -> None:
        self.draft, self.verifier, self.sizes = draft, verifier, sizes
        self.trials = 0

    def check(self, runs: bool = True) -> Failure | None:
        """What is wrong with the draft; ``runs`` is False where it was right before a change that should not matter."""
        self.trials += 1
        return self.verifier.failure(self.draft.copy, runs)

    def solve(self) -> None:
        """Raises `EditError` where no attribute helps, or too many would have to be tried."""
        failure = self.check()
        while failure is not None:
            failure = self._further(failure)
        self._take_back()

    def _take_back(self) -> None:
        """Put back what is not called as sizes are, and changed for nothing."""
        guessed = [p for p in self.draft.values if not has_rule(self.draft.modules[p.module])]
        changed = [p for p in guessed if is_int(self.draft.original(p)) and self.draft.value(p) != self.draft.original(p)]
        doubtful = [p for p in changed if not names_a_size(p)]
        names = list(dict.fromkeys(place.chain for place in doubtful))
        for chains in ([names] if len(names) > 1 else []) + [[name] for name in names]:
            values = {p: self.draft.original(p) for p in doubtful if p.chain in chains}
            before = self.draft.set(values)
            if self.check() is None:
                if len(chains) == len(names):
                    return
            else:
                self.draft.set(before)

    def _further(self, failure: Failure) -> Failure | None:
        """The failure after one change that gets the draft further, None where it is right then."""
        seen: set[frozenset[tuple[Place, int]]] = set()
        for values in self._changes(failure):
            key = frozenset(values.items())
            if key in seen:
                continue
            seen.add(key)
            if self.trials >= MAX_TRIALS:
                break
            before = self.draft.set(values)
            after = self.check()
            if after is None or after.reached > failure.reached:
                return after
            self.draft.set(before)
        raise EditError(Refusal(self.draft, self.sizes, failure).text())

    # -- what to try ---------------------------------------------------------------------------------------------------
    def _changes(self, failure: Failure) -> Iterator[Values]:
        """Sets of new values, the likeliest first: of the attributes on the line, then of those on the lines further out."""
        own: str | None = None
        for frame in failure.frames:
            yield from _combined([self._values(place) for place in failure.lines.read(frame).places])
            path = failure.lines.path(frame)
            if own is None and path in self.draft.modules and frame.is_own:
                own = path
                yield from _combined([self._values(place) for place in self._attributes(path)], pairs=False)

    def _attributes(self, path: str) -> list[Place]:
        """The ints of a module that may be sizes: they may be read in functions that have returned before it failed."""
        places = [Place(path, chain) for chain, _ in own_ints(self.draft.modules[path]) if len(chain) == 1]
        return sorted(filter(names_a_size, places), key=lambda place: -len(self._values(place)))

    def _values(self, place: Place) -> list[Values]:
        """What may be tried for an attribute: the same for all modules of the class first, then for this one."""
        value = self.draft.original(place)
        if not is_int(value) or has_rule(self.draft.modules[place.module]):
            return []
        found: list[Values] = []
        parts = names_a_size(place)
        places = alike(self.draft.modules, place, lambda other: is_int(self.draft.original(other)))
        rows = [(other.module, self.draft.original(other)) for other in places]
        if len(places) > 1:
            found += [dict(zip(places, values)) for values in self.sizes.proposals(rows, parts)]
        path: str | None = place.module
        while path is not None:
            found += [{place: values[0]} for values in self.sizes.proposals([(path, value)], parts)]
            path = path.rpartition(".")[0] if path else None
        found.append({other: self.draft.original(other) for other in places})
        distinct: list[Values] = []
        for values in found:
            if self._is_new(values) and values not in distinct:
                distinct.append(values)
        return distinct[:MAX_VALUES]

    def _is_new(self, values: Values) -> bool:
        """Whether values differ from those at hand, and say one thing of every object that modules share."""
        said: dict[tuple[int, Any], int] = {}
        for place, value in values.items():
            holder = self.draft.holder(place)
            if said.setdefault((id(holder), place.chain[-1]), value) != value:
                return False
        return any(self.draft.value(place) != value for place, value in values.items())


def _combined(options: list[list[Values]], pairs: bool = True) -> Iterator[Values]:
    """Every first choice together, then single ones, then pairs."""
    options = [values for values in options if values]
    if pairs and len(options) > 1:
        yield _merged([values[0] for values in options])
    for values in options:
        yield from values[:1]
    for values in options:
        yield from values[1:]
    if pairs and len(options) > 2:
        for chosen in combinations(options, 2):
            yield _merged([values[0] for values in chosen])


def _merged(parts: list[Values]) -> Values:
    found: Values = {}
    for part in reversed(parts):
        found |= part
    return found


class Refusal:
    """Says why a model cannot be changed in place, with the line and the literal in the way."""

    def __init__(self, draft: Draft, sizes: Sizes, failure: Failure) -> None:
        self.draft, self.sizes, self.failure = draft, sizes, failure

    def text(self) -> str:
        literal = self._literal()
        if literal is not None:
            frame, (value, line, file) = literal
            place = Frame(frame.code, line, {})
            becomes = " or ".join(str(new) for old, new in sorted(self.sizes.changed) if old == value)
            why = f"the literal {value} in {_quoted(place, file)} is in the way, a size that becomes {becomes}"
            return self._whole(frame, why, "make that size an attribute of the module")
        frames = [f for f in self.failure.frames if f.is_own] or self.failure.frames
        if not frames or not self.failure.is_exact:
            near = next(iter(frames), None)
            return self._whole(near, self.failure.why, "make what its code does a matter of modules and their attributes")
        frame = frames[0]
        why = f"{_quoted(frame, frame.file)} does not follow the edit ({self.failure.why})"
        return self._whole(frame, why, "make what the line does a matter of modules and their attributes")

    def _whole(self, frame: Frame | None, why: str, mend: str) -> str:
        path = self._module(frame)
        kind = type(self.draft.modules[path]).__name__ if path else ""
        inside = f"in its module {path!r} ({kind}) " if path else ""
        return (
            f"{type(self.draft.model).__name__} cannot be changed in place: {inside}{why}; the model is as it was. "
            f"Use the edit's result, which is the same network, or {mend}"
        )

    def _module(self, frame: Frame | None) -> str:
        """The module at fault: that of the line, or of the line that leads to it."""
        lines: Lines = self.failure.lines
        frames = self.failure.frames
        frames = frames[frames.index(frame) :] if frame in frames else frames
        return next((path for path in map(lines.path, frames) if path in self.draft.modules), "")

    def _literal(self) -> tuple[Frame, tuple[int, int, str]] | None:
        """The first int in the user's code, from the failing line outwards, that is a size which the edit changes."""
        suspects = {old for old, _ in self.sizes.changed if old > 1}
        if self.failure.suspects is not None:
            suspects &= self.failure.suspects
        for frame in self.failure.frames if suspects else ():
            reading = self.failure.lines.read(frame)
            known = {self.draft.original(place) for place in reading.places} | set(reading.locals)
            for literal in reading.literals if frame.is_own else ():
                if literal[0] in suspects - known:
                    return frame, literal
        return None


def _quoted(frame: Frame, file: str) -> str:
    return f"`{frame.text}` ({file}:{frame.line})"
