"""Tokens read as instructions: a verb with the modifiers after it, in blocks that may be repeated.

Nothing in here can be wrong: modifiers that a verb does not take are passed over, a block that is not closed ends where the
sequence does, a block without instructions is none, a bracket that closes nothing closes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from .table import Template, token_of

FROM, KEEP, OPEN, CLOSE, AGAIN = "from", "keep", "[", "]", "again"
#: Joins of the current value with one or more before it → the operator.
JOINS = {"add": "add", "cat": "cat", "gate": "mul"}
SELF, FAR = "self", "far"
#: How far back one token reaches; ``far`` before it adds as much again. How often a block is done.
BACK = tuple(range(1, 9))
TIMES = tuple(range(2, 9))
_MODIFIERS = (*(token_of("back", n) for n in BACK), FAR, SELF, *(token_of("times", n) for n in TIMES))


class Instruction:
    """A verb with its modifiers: attributes of an operator, or references (how many back, 0 for the current value itself)."""

    __slots__ = ("number", "verb", "template", "attrs", "refs", "tokens")

    def __init__(
        self, number: int, verb: str, template: Template | None, attrs: Mapping[str, Any], refs: tuple[int, ...],
        tokens: tuple[str, ...],
    ) -> None:  # fmt: skip
        self.number, self.verb, self.template, self.attrs, self.refs, self.tokens = number, verb, template, attrs, refs, tokens

    def __repr__(self) -> str:
        return " ".join(self.tokens)


class Block(NamedTuple):
    """Instructions and blocks in order, done ``times`` times."""

    items: list[Any]
    times: int


class Vocabulary:
    """The tokens of a notation, by number; and its instructions, each of which there is once."""

    def __init__(self, templates: Mapping[str, Template], joins: Iterable[str], keep: bool) -> None:
        self.templates = dict(templates)
        self.joins = tuple(joins)
        verbs = [*self.templates, FROM, *self.joins, *([KEEP] if keep else []), OPEN, CLOSE, AGAIN]
        ranges = [item for template in templates.values() for item in template.ranges.items()]
        attrs = [token_of(name, value) for name, values in ranges if len(values) > 1 for value in values]
        self.tokens: tuple[str, ...] = tuple(dict.fromkeys([*verbs, *_MODIFIERS, *attrs]))
        self.number = {token: i for i, token in enumerate(self.tokens)}
        self._num_verbs = len(verbs)
        self._open, self._close, self._again = (self.number[token] for token in (OPEN, CLOSE, AGAIN))
        self._times = {self.number[token_of("times", n)]: n for n in TIMES}
        self._back = {token_of("back", n): n for n in BACK}
        self._usual = {op: {name: values[0] for name, values in template.ranges.items()} for op, template in templates.items()}
        #: For every operator what the modifiers that it takes say.
        self._values = {
            op: {
                self.number[token_of(name, value)]: (name, value)
                for name, values in template.ranges.items() if len(values) > 1 for value in values
            }
            for op, template in templates.items()
        }  # fmt: skip
        self._known: dict[tuple[int, ...], Instruction] = {}
        self._by_meaning: dict[Any, Instruction] = {}
        self._num_made = 0

    # -- instructions --------------------------------------------------------------------------------------------------
    def instruction(self, verb: str, attrs: Mapping[str, Any] | None = None, refs: tuple[int, ...] = ()) -> Instruction:
        """The instruction of this meaning, with the shortest tokens for it."""
        usual = self._usual.get(verb, _NO_ATTRS)
        full = {**usual, **attrs} if attrs else usual
        # True and 1 are equal but not the same value.
        key = (verb, *map(type, full.values()), *full.values(), refs)
        found = self._by_meaning.get(key)
        if found is None:
            template = self.templates.get(verb)
            shown = [token_of(name, value) for name, value in full.items() if not _same(value, usual[name])]
            tokens = (verb, *shown, *written_refs(refs))
            if len(self._by_meaning) > _MOST:
                self._by_meaning.clear()
            self._num_made += 1
            found = self._by_meaning[key] = Instruction(self._num_made, verb, template, full, refs, tokens)
        return found

    def _read(self, numbers: tuple[int, ...]) -> Instruction:
        """The instruction of a verb and the tokens after it."""
        if len(self._known) > _MOST:
            self._known.clear()
        verb = self.tokens[numbers[0]]
        values = self._values.get(verb)
        if values is not None:
            found = self.instruction(verb, dict([values[number] for number in numbers if number in values]))
        else:
            found = self.instruction(verb, refs=self._refs(verb, [self.tokens[number] for number in numbers[1:]]))
        self._known[numbers] = found
        return found

    def _refs(self, verb: str, modifiers: list[str]) -> tuple[int, ...]:
        refs: list[int] = []
        further = 0
        for token in modifiers:
            if token == SELF:
                refs.append(0)
            elif token == FAR:
                further += BACK[-1]
            elif token in self._back:
                refs.append(further + self._back[token])
                further = 0
        if verb in (FROM, AGAIN):
            refs = [ref for ref in refs if ref][:1]
        return () if verb == KEEP or refs == [1] else tuple(refs)

    # -- sequences -----------------------------------------------------------------------------------------------------
    def parse(self, numbers: Iterable[int]) -> list[Any]:
        """Instructions and blocks of a sequence of tokens, by number."""
        items: list[Any] = []
        outer: list[list[Any]] = []
        closed: list[list[Any]] = []
        pending: list[int] = []
        num_verbs, opening, closing = self._num_verbs, self._open, self._close
        for number in numbers:
            if number >= num_verbs:
                if pending:
                    pending.append(number)
                continue
            if pending:
                self._settle(pending, items, closed)
                pending = []
            if number == opening:
                outer.append(items)
                items = []
            elif number == closing:
                if outer and items:
                    closed.append(items)
                    pending = [number]
                items = outer.pop() if outer else items
            else:
                pending = [number]
        if pending:
            self._settle(pending, items, closed)
        while outer:
            inside, items = items, outer.pop()
            if inside:
                items.append(Block(inside, 1))
        return items

    def _settle(self, pending: list[int], items: list[Any], closed: list[list[Any]]) -> None:
        """Append what a verb with its modifiers stands for."""
        verb = pending[0]
        if verb not in (self._close, self._again):
            key = tuple(pending)
            items.append(self._known.get(key) or self._read(key))
            return
        times = sum(self._times.get(number, 0) for number in pending) or 1
        if verb == self._close:
            items.append(Block(closed[-1], times))
        elif closed:
            refs = self._refs(AGAIN, [self.tokens[number] for number in pending[1:]])
            back = (refs[0] if refs else 1) - 1
            items.append(Block(closed[-1 - back % len(closed)], times))


#: Sequences of tokens, and instructions, that are remembered.
_MOST = 200_000
_NO_ATTRS: dict[str, Any] = {}


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and bool(a == b)


def expanded(items: list[Any], most: int) -> Iterator[Instruction]:
    """The instructions of blocks, done as often as they are, ``most`` of them (turns of a block count too)."""
    stack: list[tuple[Iterator[Any], list[Any], int]] = [(iter(items), items, 1)]
    while stack and most > 0:
        running, inside, times = stack[-1]
        for item in running:
            most -= 1
            if type(item) is Block:
                stack.append((iter(item.items), item.items, item.times))
                break
            yield item
            if most <= 0:
                return
        else:
            stack.pop()
            if times > 1:
                most -= 1
                stack.append((iter(inside), inside, times - 1))


def written_refs(refs: tuple[int, ...]) -> list[str]:
    """The tokens of references.

    >>> written_refs((0, 3, 18)), written_refs(())
    (['self', 'back=3', 'far', 'far', 'back=2'], [])
    """
    found: list[str] = []
    for ref in refs:
        if ref:
            found += [FAR] * ((ref - 1) // BACK[-1])
        found.append(token_of("back", (ref - 1) % BACK[-1] + 1) if ref else SELF)
    return found


def written_times(times: int) -> list[str]:
    """The tokens of a number of turns: they add up.

    >>> written_times(1), written_times(5), written_times(17)
    ([], ['times=5'], ['times=8', 'times=7', 'times=2'])
    """
    if times == 1:
        return []
    eights, rest = divmod(times, TIMES[-1])
    parts = [TIMES[-1]] * eights + ([rest] if rest else [])
    if rest == 1:
        parts[-2:] = [TIMES[-1] - 1, 2]
    return [token_of("times", part) for part in parts]
