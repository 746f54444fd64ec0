"""Feed mutated and random documents to the readers: only netloom's own errors, never a hang, never memory without bound.

    python benchmarks/fuzz.py --cases 1000000             # everything, in one process
    python benchmarks/fuzz.py --start 500000 --cases 1000  # a part of it: every case follows from its number alone

Prints one line per 10,000 cases and a summary; exit status 1 where a case broke a promise, with its number to repeat it.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from netloom.errors import FormatError, NetloomError, TextError
from netloom.graph.graph import Graph
from netloom.graph.notation import LITERALS, RESERVED
from netloom.ops import REGISTRY

GOLDEN = Path(__file__).resolve().parents[1] / "tests" / "golden" / "v1"
SLOW_SECONDS = 5.0
#: Growth of the process beyond this over a whole run means that some document made it allocate without bound.
MAX_GROWTH_BYTES = 1 << 30

_WORDS = (
    *sorted(RESERVED), *LITERALS, "netloom 1", "return ", "takes ", "order ", "data ", "note ", "symbols ", "input", "@", "`",
    '"', "\\", "(", ")", "[", "]", "{", "}", ",", ":", "::", "=", "*", "//", "-", "...", "..", "#", "\n", "\r\n", " ", "\t",
    "\0", "é", "\ud800", "size(", "dtype(", "slice(", "complex(", "N", "N*N", "(N+1)//2", "x", "x[1]", "x[-1]", "1e999", "-1",
    "0", "1", "2**63", "9223372036854775808", "99999999999999999999", "9" * 5000, "0.5", "1e-300", "-0.0", "in ", "no_grad",
    "train", "eval", "mode ", "autocast ", "float32[N, 3]", "(" * 70, "[" * 70, "{a:" * 70, "a" * 3000, "null", "true",
    '{"edge": ["x", 0]}', '{"size": "N"}', '{"slice": [1, 2, 3]}', '{"weight": "w"}', '{"list": []}', '{"dict": {}}',
    '{"float": "nan"}', '{"complex": [1.0, 2.0]}',
)  # fmt: skip


@cache
def corpus() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The golden documents: texts, and JSON without indentation."""
    texts = tuple(path.read_bytes().decode() for path in sorted(GOLDEN.glob("*.txt")))
    documents = tuple(json.dumps(json.loads(path.read_bytes())) for path in sorted(GOLDEN.glob("*.json")))
    return texts, documents


# -- cases ---------------------------------------------------------------------------------------------------------------
def case(number: int) -> tuple[str, Any]:
    """``("text" | "json", document)`` of a case."""
    rng = random.Random(number)
    texts, documents = corpus()
    kind = rng.random()
    if kind < 0.1:
        return "text", _calls(rng)
    if kind < 0.5:
        return "text", _mutated(rng.choice(texts), texts, rng)
    if kind < 0.7:
        return "json", _mutated(rng.choice(documents), documents, rng)
    if kind < 0.95:
        return "json", _altered(json.loads(rng.choice(documents)), rng)
    text = _noise(rng)
    return ("text", "netloom 1\n" + text) if rng.random() < 0.5 else ("json", text)


def _mutated(document: str, others: tuple[str, ...], rng: random.Random) -> str:
    """A document after one to four edits of its characters, words and lines."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        document = rng.choice(_EDITS)(document, others, rng)
    return document


def _span(document: str, rng: random.Random, longest: int = 40) -> tuple[int, int]:
    start = rng.randrange(len(document) + 1)
    return start, min(len(document), start + rng.randrange(longest))


def _insert(document: str, others: tuple[str, ...], rng: random.Random) -> str:
    start, end = _span(document, rng, 6)
    word = rng.choice(_WORDS) if rng.random() < 0.8 else rng.choice(tuple(REGISTRY))
    return document[:start] + word + document[end if rng.random() < 0.5 else start :]


def _delete(document: str, others: tuple[str, ...], rng: random.Random) -> str:
    start, end = _span(document, rng)
    return document[:start] + document[end:]


def _repeat(document: str, others: tuple[str, ...], rng: random.Random) -> str:
    start, end = _span(document, rng)
    return document[:end] + document[start:end] * rng.choice((1, 2, 100)) + document[end:]


def _splice(document: str, others: tuple[str, ...], rng: random.Random) -> str:
    other = rng.choice(others)
    (start, end), (first, last) = _span(document, rng), _span(other, rng, 200)
    return document[:start] + other[first:last] + document[end:]


def _character(document: str, others: tuple[str, ...], rng: random.Random) -> str:
    start, _ = _span(document, rng)
    return document[:start] + chr(rng.choice((rng.randrange(128), rng.randrange(0x110000)))) + document[start + 1 :]


def _digit(document: str, others: tuple[str, ...], rng: random.Random) -> str:
    places = [i for i, char in enumerate(document) if char.isdigit()]
    if not places:
        return document
    place = rng.choice(places)
    number = rng.choice(("0", "-1", "1", "7", "63", "1000000007", "9223372036854775807", "1e6", "0.25", "N"))
    return document[:place] + number + document[place + 1 :]


def _swap_lines(document: str, others: tuple[str, ...], rng: random.Random) -> str:
    lines = document.split("\n")
    a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[a], lines[b] = lines[b], lines[a]
    return "\n".join(lines)


def _truncate(document: str, others: tuple[str, ...], rng: random.Random) -> str:
    return document[: rng.randrange(len(document) + 1)]


_EDITS: tuple[Callable[[str, tuple[str, ...], random.Random], str], ...] = (
    _insert, _insert, _insert, _delete, _repeat, _splice, _character, _digit, _digit, _swap_lines, _truncate,
)  # fmt: skip


def _noise(rng: random.Random) -> str:
    if rng.random() < 0.3:
        return "".join(chr(rng.randrange(0x300)) for _ in range(rng.randrange(200)))
    words = (*_WORDS, *rng.sample(tuple(REGISTRY), 5))
    return "".join(rng.choice(words) for _ in range(rng.randrange(40)))


def _calls(rng: random.Random) -> str:
    """A network of one to three calls of any operators with arguments that seldom make sense."""
    dims = rng.choices(("N", "0", "1", "2", "3", "4", "8", "1000000007", "N*N", "2*N"), k=rng.randrange(6))
    lines = ["netloom 1", f"x = input {rng.choice(('float32', 'float32', 'int64', 'bool', 'complex64'))}[{', '.join(dims)}]"]
    for i in range(rng.randrange(1, 4)):
        kind = REGISTRY[rng.choice(tuple(REGISTRY))]
        given = []
        for param in kind.params:
            if param.kind in ("tensor", "tensors") and (param.required or rng.random() < 0.3):
                given.append(f"{param.name}={_operand(rng, i, param.kind == 'tensors')}")
            elif param.kind == "weight":
                given += [f"{param.name}={rng.choice(('true', 'false', 'x'))}"] if rng.random() < 0.3 else []
            elif param.required or rng.random() < 0.3:
                given.append(f"{param.name}={rng.choice(_VALUES)}")
        lines.append(f"y{i} = {kind.name}({', '.join(given)})")
    return "\n".join([*lines, f"return y{i}"])


def _operand(rng: random.Random, count: int, several: bool) -> str:
    names = ("x", *(f"y{i}" for i in range(count)))
    return f"({', '.join(rng.choices(names, k=rng.randrange(1, 4)))},)" if several else rng.choice(names)


_VALUES = (
    "0", "1", "1", "2", "2", "3", "-1", "-2", "7", "1000000007", "9223372036854775807", "9" * 4000, "0.5", "0.0", "-1.5",
    "inf", "nan", "true", "false", "none", '"module"', '"same"', '"sum"', '"ij,jk->ik"', '"nearest"', '""', "N", "2*N",
    "(N+1)//2", "float32", "int64", "()", "(1,)", "(2, 2)", "(1, 0)", "(0, 1, 2)", "(-1, 2)", "(N, -1)", "(1, 1, 1, 1)",
    "((0, 1), (1, 0))", "(:, 0)", "(..., none)", "(1:2, ::2)", "x", "(x, x)", "(x,)", "complex(1.0, 2.0)", "...", "[1, 2]",
    "{a: 1}", "size(\"T\")", "@w", "(true, false)",
)  # fmt: skip


# -- JSON by its structure -------------------------------------------------------------------------------------------------
def _altered(document: Any, rng: random.Random) -> Any:
    """A parsed document with one to three of its parts replaced, removed, renamed or repeated."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = list(_places(document))
        if not places:
            break
        holder, key = rng.choice(places)
        action = rng.random()
        if action < 0.5:
            holder[key] = _anything(rng)
        elif action < 0.7:
            del holder[key]
        elif action < 0.85 and isinstance(holder, dict):
            holder[_anything(rng) if rng.random() < 0.1 and not isinstance(key, str) else rng.choice(_KEYS)] = holder.pop(key)
        else:
            other, place = rng.choice(places)
            holder[key] = copy.deepcopy(other[place])
    return document


_KEYS = ("edge", "weight", "size", "slice", "list", "dict", "float", "complex", "ellipsis", "dtype", "name", "op", "x", "y", "")


def _places(tree: Any) -> Any:
    """Every (container, key) of a document."""
    stack = [tree]
    while stack:
        holder = stack.pop()
        for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
            yield holder, key
            if isinstance(holder[key], dict | list):
                stack.append(holder[key])


def _anything(rng: random.Random) -> Any:
    number = rng.choice((0, 1, -1, 2, 3, 17, 10**6, 2**31, 2**63, -(2**63), 10**20, 10**4000, 0.0, -0.5, 1e300, float("nan")))
    return rng.choice((
        number, number, None, True, False, "", "N", "x", "conv2d", "a" * 300, "\ud800", rng.choice(tuple(REGISTRY)), [],
        [number] * 3, {}, {"edge": ["x", number]}, {"edge": [number]}, {"weight": "fc.weight"},
        {"size": rng.choice(("N", "N*N+1", "N//0", "", "((("))}, {"slice": [number, None, None]}, {"dtype": "float64"},
        {"float": "inf"}, {"list": [1, "a"]}, {"dict": {"a": None}}, {"a": 1, "b": 2}, _deep(rng.choice((3, 70, 200))),
        b"bytes", (1,), [[1, 2], [3]],
    ))  # fmt: skip


def _deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


# -- running -------------------------------------------------------------------------------------------------------------
def attempt(kind: str, document: Any) -> str:
    """How one case ends: ``"read"`` or the name of the error; anything else that it does is raised."""
    try:
        graph = Graph.from_text(document) if kind == "text" else Graph.from_json(document)
    except TextError:
        return "TextError"
    except NetloomError as error:
        if kind == "text":
            raise AssertionError(f"from_text raised {type(error).__name__}") from error
        return type(error).__name__
    try:
        text = graph.to_text()
    except FormatError:
        return "read, not written"
    try:
        again = Graph.from_text(text)
    except TextError as error:
        raise AssertionError(f"the text of a graph that was read is not read: {error}") from error
    if again != graph and "nan" not in repr(graph._key()):
        raise AssertionError("a graph that was read is not the one that its text gives back")
    return "read"


def run(start: int, count: int, report: Callable[[str], None] = print) -> tuple[Counter[str], list[str]]:
    """Run ``count`` cases from number ``start``; gives how they ended, and what broke a promise."""
    ends: Counter[str] = Counter()
    broken: list[str] = []
    began, before = time.perf_counter(), _peak_bytes()
    for number in range(start, start + count):
        kind, document = case(number)
        clock = time.perf_counter()
        try:
            ends[f"{kind}: {attempt(kind, document)}"] += 1
        except Exception as error:
            broken.append(f"case {number} ({kind}): {type(error).__name__}: {str(error)[:300]}")
        seconds = time.perf_counter() - clock
        if seconds > SLOW_SECONDS:
            broken.append(f"case {number} ({kind}): took {seconds:.1f} s")
        if (number + 1) % 10_000 == 0:
            done, spent = number + 1 - start, time.perf_counter() - began
            report(f"{done} cases, {done / spent:.0f} a second, {len(broken)} broken; continue with --start {number + 1}")
    if _peak_bytes() - before > MAX_GROWTH_BYTES:
        broken.append(f"memory grew by {(_peak_bytes() - before) >> 20} MiB")
    return ends, broken


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--start", type=int, default=0, help="number of the first case")
    options = parser.parse_args()
    began = time.perf_counter()
    ends, broken = run(options.start, options.cases)
    seconds = time.perf_counter() - began
    print(f"{options.cases} cases in {seconds:.0f} s, peak memory {_peak_bytes() >> 20} MiB")
    for end, count in ends.most_common():
        print(f"  {count:9}  {end}")
    for line in broken[:50]:
        print(line)
    print(f"{len(broken)} broken promises")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
