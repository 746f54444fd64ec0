"""Networks as compact data: their texts, each line kept once. Pages draw them from these texts themselves.

A text says all that a drawing needs: which operator, with which attributes, reads what. Candidates of a search share nearly
all their lines, so ten thousand of them take less room than a picture of a hundred.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from ..graph.drawing.theme import kind_of
from ..ops import REGISTRY

#: Characters that one network, and all together, may take in a page.
MAX_TEXT, MAX_TEXTS = 300_000, 24_000_000
#: Longer lines hold constants, which are no architecture.
_MAX_LINE = 600
#: How a line names its operator; names of nodes stand bare or in backquotes.
_CALL = re.compile(r"(?:`(?:[^`\\]|\\.)*`|[^\s=`]+) = (\w+)")
_LAYERS = {"conv", "linear", "attention", "recurrent"}


def lines_of(texts: Iterable[str]) -> dict[str, Any]:
    """Texts as ``lines`` and, for each text, the numbers of its ``of``; None for one that is too long to be in a page."""
    numbers: dict[str, int] = {}
    of: list[list[int] | None] = []
    room = MAX_TEXTS
    for text in texts:
        if not text or len(text) > MAX_TEXT or room < 0:
            of.append(None)
            continue
        before = len(numbers)
        own = [numbers.setdefault(_shortened(line), len(numbers)) for line in text.rstrip("\n").split("\n")]
        room -= 6 * len(own) + (len(text) if len(numbers) > before else 0)
        of.append(own)
    lines = list(numbers)
    return {"lines": lines, "of": of, "ops": operators(lines)}


def _shortened(line: str) -> str:
    return line if len(line) <= _MAX_LINE else f"{line[:_MAX_LINE]} # … {len(line) - _MAX_LINE:,} characters more"


def operators(lines: Iterable[str]) -> dict[str, list[Any]]:
    """Operator → (kind, by which it has its colour; whether it reads the line above where it names no operand)."""
    used = {found[1] for line in lines if (found := _CALL.match(line))}
    return {op: [kind_of(op), int(_reads(op))] for op in sorted(used)}


@lru_cache(maxsize=1024)
def _reads(op: str) -> bool:
    if op not in REGISTRY:
        return True
    first = next((param for param in REGISTRY[op].params if param.kind != "weight"), None)
    return first is not None and first.kind != "attr"


def num_layers(text: str) -> int:
    """Convolutions, linear, attention and recurrent layers of a network.

    >>> num_layers("netloom 1\\nx = input float32[N, 4]\\nlinear = linear(2)  # (N, 2)\\nreturn linear\\n")
    1
    """
    return sum(_is_layer(line) for line in text.split("\n"))


@lru_cache(maxsize=100_000)
def _is_layer(line: str) -> bool:
    found = _CALL.match(line)
    return found is not None and kind_of(found[1]) in _LAYERS
