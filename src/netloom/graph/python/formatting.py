"""Statements broken into lines as ``ruff format`` breaks them.

A statement that is too long is split at its last bracket pair: the content on a line of its own where it fits and is no
literal, else one element a line with a trailing comma; elements that are still too long are split in turn.
"""

from __future__ import annotations

#: Columns of the source; statements that are longer are broken.
WIDTH = 100
_OPEN, _CLOSE = "([{", ")]}"


def layout(text: str, indent: int, width: int = WIDTH) -> list[str]:
    """The lines of one statement (no newline in it), each indented by ``indent`` levels of four spaces.

    >>> print("\\n".join(layout("y = f(first_argument, second_argument)", 0, 30)))
    y = f(
        first_argument,
        second_argument,
    )
    """
    return _fit(text, "", indent, width)


def _fit(text: str, tail: str, indent: int, width: int) -> list[str]:
    lead = "    " * indent
    if len(lead) + len(text) + len(tail) <= width:
        return [lead + text + tail]
    span = _last_pair(text)
    if span is None:
        return [lead + text + tail]
    start, end = span
    head, inside, rest = text[: start + 1], text[start + 1 : end], text[end:]
    parts = _elements(inside)
    if len(lead) + 4 + len(inside) <= width and not (_is_literal(head) and len(parts) > 1):
        return [lead + head, "    " * (indent + 1) + inside, lead + rest + tail]
    lines = [lead + head]
    loop = _loop_at(inside)
    if loop:
        lines += _fit(inside[:loop].rstrip(), "", indent + 1, width)
        lines += _fit(inside[loop:], "", indent + 1, width)
        return [*lines, lead + rest + tail]
    for part in parts:
        lines += _fit(part, ",", indent + 1, width)
    return [*lines, lead + rest + tail]


def _loop_at(text: str) -> int:
    """Where the ``for`` of a comprehension starts; 0 where there is none."""
    depth = 0
    for position, char in _code(text):
        depth += (char in _OPEN) - (char in _CLOSE)
        if depth == 0 and text.startswith(" for ", position):
            return position + 1
    return 0


def _is_literal(head: str) -> bool:
    """Whether the bracket that ends ``head`` opens a tuple, list or dict, whose elements stand one a line when it breaks."""
    before = head[-2:-1]
    return not (before.isalnum() or before in "_)]") or not before


def _last_pair(text: str) -> tuple[int, int] | None:
    """Where the last top-level bracket pair that holds anything opens and closes."""
    found = [(start, end) for start, end in _pairs(text) if end - start > 1]
    if not found:
        return None
    # Of a function the parameters are split before the type that it returns.
    return found[0] if text.startswith("def ") else found[-1]


def _pairs(text: str) -> list[tuple[int, int]]:
    pairs, depth, start = [], 0, 0
    for position, char in _code(text):
        if char in _OPEN:
            if depth == 0:
                start = position
            depth += 1
        elif char in _CLOSE:
            depth -= 1
            if depth == 0:
                pairs.append((start, position))
    return pairs


def _elements(text: str) -> list[str]:
    """The parts between top-level commas."""
    parts, depth, start = [], 0, 0
    for position, char in _code(text):
        if char in _OPEN:
            depth += 1
        elif char in _CLOSE:
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:position].strip())
            start = position + 1
    last = text[start:].strip()
    return [*parts, last] if last else parts


def _code(text: str) -> list[tuple[int, str]]:
    """Characters outside of string literals, with their positions."""
    found = []
    quote, escaped = "", False
    for position, char in enumerate(text):
        if quote:
            if escaped:
                escaped = False
            elif char == "\\":
                escaped = True
            elif char == quote:
                quote = ""
        elif char in "'\"":
            quote = char
        else:
            found.append((position, char))
    return found
