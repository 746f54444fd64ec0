"""Values that may differ between the instances of one class.

While an instance is written down, every number, flag and name of a size in it becomes a slot: its text holds a mark in its
place. Instances whose texts are equal share one class; slots whose values differ between them become its parameters.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

MARK = re.compile("\ue000(\\d+)\ue001")
#: Marks an input of a forward, whose name is chosen once all instances are known.
INPUT = re.compile("\ue002(\\d+)\ue003")
REQUIRED: Any = object()


@dataclass(frozen=True)
class Raw:
    """Source text as a value."""

    text: str


@dataclass
class Slot:
    """A value in the text of an instance.

    ``hint`` names the parameter it may become; ``keyword`` writes it as ``, keyword=value`` and leaves it out where it is
    ``default`` in every instance. ``soft`` values differ without consequence: the first instance's is used. ``repeat`` is the
    text of an element that is written as often as the value, a number, says; ``loop`` has names and slots of what differs
    between the elements.
    """

    value: Any
    hint: str
    keyword: str = ""
    default: Any = REQUIRED
    soft: bool = False
    repeat: str = ""
    loop: tuple[tuple[str, int], ...] = ()
    #: Prefix and first number of the elements' names, for elements with names.
    series: tuple[str, int] | None = None

    def signature(self) -> tuple[Any, ...]:
        """What must agree for two instances to share a class."""
        return (self.hint, self.keyword, self.repeat, self.loop, self.series)


@dataclass
class Slots:
    """The slots of one instance, in the order in which they were made."""

    items: list[Slot] = field(default_factory=list)

    def add(self, value: Any, hint: str = "size", **more: Any) -> str:
        """The mark of a new slot."""
        self.items.append(Slot(value, hint, **more))
        return f"\ue000{len(self.items) - 1}\ue001"

    def option(self, keyword: str, value: Any, default: Any = REQUIRED, hint: str = "") -> str:
        """The mark of a keyword argument, which vanishes where it is the default."""
        return self.add(value, hint or keyword, keyword=keyword, default=default)


def input_mark(position: int) -> str:
    return f"\ue002{position}\ue003"


_SLICE = re.compile("\ue006([^\ue006-\ue008]*)\ue007([^\ue006-\ue008]*)\ue007([^\ue006-\ue008]*)\ue008")


def slice_mark(start: str, stop: str, step: str) -> str:
    """Marks a slice, whose colon is spaced by what its bounds turn out to be."""
    return f"\ue006{start}\ue007{stop}\ue007{step}\ue008"


def slices(text: str) -> str:
    """``text`` with every slice written as formatters write it: spaces around the colon of bounds that are more than a name."""

    def written(match: re.Match[str]) -> str:
        bounds = list(match.groups()) if match[3] else [match[1], match[2]]
        simple = all(re.fullmatch(r"-?\w*", bound) for bound in bounds)
        return ":".join(bounds) if simple else " : ".join(bounds).strip().replace(":  :", "::")

    while _SLICE.search(text):
        text = _SLICE.sub(written, text)
    return text


def width(text: str) -> int:
    """Columns that ``text`` will take, about: a slot may become a name."""
    marks = len(MARK.findall(text))
    return len(MARK.sub("", text)) + 8 * marks


def fill(text: str, source_of: Callable[[int], str]) -> str:
    """``text`` with the source of every slot in the place of its mark, also of marks within those."""
    while MARK.search(text):
        text = MARK.sub(lambda match: source_of(int(match[1])), text)
    return text


def plain(value: Any) -> Any:
    """A window's sizes as people write them: one number where all are equal."""
    if type(value) is tuple and value and all(v == value[0] and type(v) is int for v in value):
        return value[0]
    return value
