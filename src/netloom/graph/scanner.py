"""Reading one line of the textual notation: names, literals, values.

A hand-written recursive descent that is bounded in depth and never looks at a character more than a few times.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable
from itertools import islice
from typing import Any

from ..errors import FormatError, TextError
from ..ops import DType, Edge, Size, Slice, TensorType, Weight
from ..ops.dtypes import DTYPES
from .notation import CALLS, IDENTIFIER, LINE_NAME, LITERALS, MAX_DEPTH, MAX_DIGITS, RESERVED, WORD

_BLANKS = (" ", "\t")
_BLANK = re.compile(r"[ \t]*+")
_NUMBER = re.compile(r"-?(?:[0-9]++(\.[0-9]*+)?|(\.[0-9]++))([eE][+-]?[0-9]++)?")
_STRING = {mark: re.compile(rf"{mark}([^{mark}\\]*+(?:\\.[^{mark}\\]*+)*+){mark}", re.DOTALL) for mark in '"`'}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "`": "`"}
_SIZE_TOKEN = re.compile(r"[ \t]*+(?:[0-9]++|[A-Za-z_][A-Za-z0-9_]*+|//|[-+*()])")
#: A plain node or number with nothing after it that could belong to it: most values of most texts.
_SIMPLE = re.compile(rf"[ \t]*+(?:({WORD.pattern})|(-?[0-9]{{1,18}}+))(?=[,)\]}}])")
_OPERATORS = ("+", "-", "*", "//")
_MAX_SIZE_TEXT = 500
_NEAR, _NEAR_LENGTH = 500, 64


class Scanner:
    """A position in one line. ``results`` maps the names of nodes above to how many results they have."""

    def __init__(self, source: str, line: int, symbols: set[str], results: dict[str, int]) -> None:
        self.source, self.line, self.symbols, self.results = source, line, symbols, results
        self.position = 0

    # -- characters ------------------------------------------------------------------------------------------------
    def error(self, message: str, at: int | None = None) -> TextError:
        """What to raise about the character at ``at``, or here."""
        return TextError(message, self.line, (self.position if at is None else at) + 1, self.source)

    def blank(self) -> None:
        if self.source[self.position : self.position + 1] in _BLANKS:
            self.position = _BLANK.match(self.source, self.position).end()  # type: ignore[union-attr]

    def peek(self) -> str:
        """The next character that is not blank; "" at the end of the line or before a comment."""
        char = self.source[self.position : self.position + 1]
        if char in _BLANKS:
            self.blank()
            char = self.source[self.position : self.position + 1]
        return "" if char == "#" else char

    def accept(self, word: str) -> bool:
        self.blank()
        if self.source.startswith(word, self.position):
            self.position += len(word)
            return True
        return False

    def expect(self, word: str, what: str = "") -> None:
        if not self.accept(word):
            raise self.error(f"expected {what or repr(word)}, {self.found()}")

    def found(self) -> str:
        """What stands here, for a message."""
        if not self.peek():
            return "not the end of the line"
        return f"not {self.source[self.position : self.position + 20].split(' ')[0]!r}"

    def end(self) -> None:
        if self.peek():
            raise self.error(f"expected the end of the line, {self.found()}")

    def match(self, pattern: re.Pattern[str]) -> str | None:
        self.blank()
        found = pattern.match(self.source, self.position)
        if found is None:
            return None
        self.position = found.end()
        return found.group()

    # -- names -----------------------------------------------------------------------------------------------------
    def word(self) -> str | None:
        """An identifier, if one comes next."""
        return self.match(IDENTIFIER)

    def name(self, what: str, pattern: re.Pattern[str] = LINE_NAME) -> str:
        """A bare name, or any string in backquotes."""
        if self.peek() == "`":
            return self.string("`")
        name = self.match(pattern)
        if name is None:
            raise self.error(f"expected {what}, {self.found()}")
        return name

    def string(self, mark: str = '"') -> str:
        if self.peek() != mark:
            raise self.error(f"expected a string in {mark} marks, {self.found()}")
        start = self.position
        if self.match(_STRING[mark]) is None:
            raise self.error(f"expected a closing {mark} before the end of the line", start)
        text = self.source[start + 1 : self.position - 1]
        return _ESCAPE.sub(lambda found: self.unescape(found, start + 1), text) if "\\" in text else text

    def unescape(self, found: re.Match[str], start: int) -> str:
        code = found.group(1)
        if len(code) > 1:
            number = int(code[1:], 16)
            if number <= 0x10FFFF:
                return chr(number)
        elif code in _ESCAPED:
            return _ESCAPED[code]
        raise self.error(r"expected an escape such as \n, \" or \u00e9", start + found.start())

    def integer(self, what: str) -> int:
        start = self.position
        value = self.number() if self.peek() and self.peek() in "-0123456789" else None
        if type(value) is not int:
            self.position = start
            raise self.error(f"expected {what}, {self.found()}")
        return value

    # -- values ----------------------------------------------------------------------------------------------------
    def value(self, depth: int = 0) -> Any:
        """Any value: a literal, a node, a weight, a tuple, a list, a dict, a size or a slice."""
        simple = _SIMPLE.match(self.source, self.position)
        if simple is not None:
            word, number = simple.groups()
            if number is not None or (word in self.results and word not in self.symbols and word not in RESERVED):
                self.position = simple.end()
                return Edge(word) if number is None else int(number)
        if depth >= MAX_DEPTH:
            raise self.error(f"expected no more than {MAX_DEPTH} levels of brackets")
        parts = [None if self.peek() == ":" else self.part(depth)]
        while len(parts) < 3 and self.accept(":"):
            # "", a comment and closing brackets end a slice whose last part is left out.
            parts.append(None if self.peek() in ("", ",", ")", "]", "}", ":") else self.part(depth))
        return parts[0] if len(parts) == 1 else Slice(*parts)

    def part(self, depth: int) -> Any:
        char = self.peek()
        start = self.position
        value = self.primary(char, depth)
        self.blank()
        if type(value) in (int, Size) and self.source.startswith(_OPERATORS, self.position):
            return self.expression(start)
        return value

    def primary(self, char: str, depth: int) -> Any:
        if char == '"':
            return self.string()
        if char == "`":
            return self.edge(self.position, self.string("`"))
        if char == "@":
            return self.weight()
        if char == "(":
            return self.read_tuple(depth)
        if char == "[":
            self.position += 1
            return self.items("]", depth)[0]
        if char == "{":
            return self.read_dict(depth)
        if self.source.startswith("...", self.position):
            self.position += 3
            return Ellipsis
        if char and char in "0123456789.-":
            return self.signed()
        return self.bare(depth)

    def signed(self) -> Any:
        start = self.position
        if self.source.startswith("-inf", start) and IDENTIFIER.match(self.source, start + 1).end() == start + 4:  # type: ignore[union-attr]
            self.position += 4
            return -math.inf
        if _NUMBER.match(self.source, start) is None and self.source[start] == "-":
            return self.expression(start)
        return self.number()

    def number(self) -> int | float:
        found = _NUMBER.match(self.source, self.position)
        if found is None:
            raise self.error(f"expected a value, {self.found()}")
        text = found.group()
        if len(text) > MAX_DIGITS:
            raise self.error(f"expected a number of at most {MAX_DIGITS} digits")
        start, self.position = self.position, found.end()
        if LINE_NAME.match(self.source, self.position) or self.source.startswith(".", self.position):
            raise self.error("expected a number; the name of a node that begins with a digit stands in backquotes", start)
        return int(text) if found.lastindex is None else float(text)

    def bare(self, depth: int) -> Any:
        start = self.position
        word = self.match(WORD)
        if word is None:
            raise self.error(f"expected a value, {self.found()}")
        if word in LITERALS:
            return LITERALS[word]
        if word == "nan":
            return math.nan
        if word in CALLS and self.source.startswith("(", self.position):
            return self.call(word, start, depth)
        if word in DTYPES:
            return DType(word)
        if word in self.symbols:
            return Size.symbol(word)
        return self.edge(start, word)

    def edge(self, start: int, name: str) -> Edge:
        """``name`` or ``name[index]``."""
        if name not in self.results:
            near = [other for other in islice(reversed(self.results), _NEAR) if len(other) < _NEAR_LENGTH]
            close = difflib.get_close_matches(name, near, 1) if len(name) < _NEAR_LENGTH else []
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise self.error(f"expected the name of a node above, and {name[:100]!r} is none{hint}", start)
        index = 0
        if self.source.startswith("[", self.position):
            self.position += 1
            index = self.integer("the index of a result")
            self.expect("]")
        if not 0 <= index < self.results[name]:
            raise self.error(f"expected a result of {name[:100]!r} ({self.results[name]} in all), not {str(index)[:20]}", start)
        return Edge(name, index)

    def weight(self) -> Weight:
        self.expect("@")
        if self.source[self.position : self.position + 1] in (" ", "\t"):
            raise self.error("expected the key of a tensor right after @")
        return Weight(self.name("the key of a tensor"))

    def call(self, word: str, start: int, depth: int) -> Any:
        """``size("…")``, ``dtype("…")``, ``slice(a, b, c)``, ``complex(re, im)``."""
        self.expect("(")
        given, _ = self.items(")", depth)
        if word == "slice" and len(given) == 3:
            return Slice(*given)
        if word == "complex" and len(given) == 2 and all(type(v) in (int, float) for v in given):
            try:
                return complex(*given)
            except OverflowError:
                pass
        elif word == "dtype" and len(given) == 1 and type(given[0]) is str:
            return DType(given[0])
        elif word == "size" and len(given) == 1 and type(given[0]) is str:
            return self.parsed_size(given[0], start)
        form = {"slice": "(start, stop, step)", "complex": "(real, imaginary)", "dtype": '("name")', "size": '("4*N")'}[word]
        raise self.error(f"expected {word}{form}", start)

    # -- containers --------------------------------------------------------------------------------------------------
    def items(self, close: str, depth: int) -> tuple[list[Any], bool]:
        """Values up to the closing bracket, and whether a comma came last."""
        found: list[Any] = []
        comma = False
        while not self.accept(close):
            if found and not comma:
                raise self.error(f"expected ',' or {close!r}, {self.found()}")
            found.append(self.value(depth + 1))
            comma = self.accept(",")
        return found, comma

    def read_tuple(self, depth: int) -> Any:
        self.expect("(")
        found, comma = self.items(")", depth)
        if len(found) == 1 and not comma:
            return found[0]
        return tuple(found)

    def read_dict(self, depth: int) -> dict[str, Any]:
        self.expect("{")
        found: dict[str, Any] = {}
        while not self.accept("}"):
            self.peek()
            start = self.position
            key = self.string() if self.peek() == '"' else self.match(IDENTIFIER)
            if key is None:
                raise self.error(f"expected a key or '}}', {self.found()}")
            if key in found:
                raise self.error(f"expected each key once, and {key[:100]!r} comes again", start)
            self.expect(":")
            found[key] = self.value(depth + 1)
            if not self.accept(",") and self.peek() != "}":
                raise self.error(f"expected ',' or '}}', {self.found()}")
        return found

    # -- sizes and types ---------------------------------------------------------------------------------------------
    def expression(self, start: int) -> Any:
        """The free size that begins at ``start``, up to the first thing that cannot belong to one."""
        position, level = start, 0
        while found := _SIZE_TOKEN.match(self.source, position):
            token = found.group().strip()
            level += (token == "(") - (token == ")")
            if level < 0:
                break
            if IDENTIFIER.match(token) and token not in self.symbols:
                raise self.error(f"expected a free symbol of an input's type, and {token[:100]!r} is none", position)
            position = found.end()
            if position - start > _MAX_SIZE_TEXT:
                break
        value = self.parsed_size(self.source[start:position], start)
        self.position = position
        return value

    def parsed_size(self, text: str, at: int) -> Any:
        try:
            return Size.parse(text)
        except FormatError as error:
            message = str(error)
        except (ArithmeticError, ValueError) as error:
            message = f"size {text[:100]!r}: {error}"
        raise self.error(message, at)

    def tensor_type(self, declared: Callable[[frozenset[str]], None] | None = None) -> TensorType:
        """``float32[N, 3]``; ``declared`` is told the free symbols in it."""
        self.blank()
        start = self.position
        dtype = self.match(IDENTIFIER)
        if dtype not in DTYPES:
            raise self.error("expected a type such as float32[N, 3]", start)
        self.expect("[", "'[' and the shape")
        close = self.source.find("]", self.position)
        if close < 0:
            raise self.error("expected ']' after the shape", len(self.source.rstrip()))
        inside, at = self.source[self.position : close], self.position
        shape = []
        for entry in inside.split(",") if inside.strip() else ():
            size = self.parsed_size(entry.strip() or "?", at)
            if isinstance(size, Size) and declared is not None:
                declared(size.symbols)
            shape.append(size)
            at += len(entry) + 1
        self.position = close + 1
        return TensorType(dtype, tuple(shape))
