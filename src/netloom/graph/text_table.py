"""The part of the textual notation that is about tensors: ``@key = …`` lines, ``order``, and blocks of data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..errors import FormatError
from ..ops import TensorType
from .assembly import check_type
from .notation import CALLS, IDENTIFIER, MAX_CONSTANT, refers
from .packing import MAX_TOTAL, is_digest, num_bytes, unpack
from .scanner import Scanner
from .table import Constant, TensorEntry
from .text import usual_entry


@dataclass(slots=True)
class _Declared:
    """A line ``@key = kind type (fields)``; ``digest`` is the SHA-256 of a constant."""

    scan: Scanner
    type: TensorType
    kind: str
    fields: dict[str, Any]
    digest: str | None = None


@dataclass(slots=True)
class _Block:
    scan: Scanner
    lines: list[str]


class TableReader:
    """What the text declares of the tensor table."""

    def __init__(self) -> None:
        self.declared: dict[str, _Declared] = {}
        self.blocks: dict[str, _Block] = {}

    # -- lines -----------------------------------------------------------------------------------------------------
    def entry(self, scan: Scanner) -> None:
        """``@key = kind type (field=value, …)``."""
        key = scan.weight().key
        if key in self.declared:
            raise scan.error(f"expected each tensor once, and line {self.declared[key].scan.line} declares {key[:100]!r}", 0)
        scan.expect("=")
        kind = scan.name("'parameter' or 'buffer'", IDENTIFIER)
        scan.peek()
        start = scan.position
        type = scan.tensor_type()
        try:
            check_type(type, "the tensor")
        except FormatError as error:
            raise scan.error(str(error), start) from None
        found = _Declared(scan, type, kind, {})
        if scan.accept("("):
            while not scan.accept(")"):
                self._field(scan, found)
                if not scan.accept(",") and scan.peek() != ")":
                    raise scan.error(f"expected ',' or ')', {scan.found()}")
        scan.end()
        self.declared[key] = found

    def _field(self, scan: Scanner, into: _Declared) -> None:
        scan.peek()
        start = scan.position
        name = scan.word()
        if name not in ("init", "requires_grad", "persistent", "alias", "value"):
            raise scan.error("expected init, requires_grad, persistent, alias or value", start)
        if name in into.fields or (name == "value" and into.digest):
            raise scan.error(f"expected {name} once", start)
        scan.expect("=")
        scan.peek()
        start = scan.position
        if name == "init":
            into.fields["init"] = _init(scan)
        elif name == "alias":
            into.fields["alias_of"] = scan.weight().key
        elif name == "value":
            digest = scan.string()
            if not is_digest(digest):
                raise scan.error("expected a SHA-256: 64 digits of lower-case hexadecimal", start)
            into.digest = digest
        else:
            value = scan.value()
            if not isinstance(value, bool):
                raise scan.error("expected true or false", start)
            into.fields[name] = value

    def block(self, scan: Scanner) -> list[str]:
        """``data SHA256``; gives the list that takes the lines below it."""
        scan.peek()
        start, digest = scan.position, scan.source[scan.position : scan.position + 64]
        scan.position += len(digest)
        if not is_digest(digest):
            raise scan.error("expected a SHA-256: 64 digits of lower-case hexadecimal", start)
        if digest in self.blocks:
            raise scan.error(f"expected each block once, and line {self.blocks[digest].scan.line} begins the same one", start)
        scan.end()
        self.blocks[digest] = _Block(scan, [])
        return self.blocks[digest].lines

    # -- entries ---------------------------------------------------------------------------------------------------
    def read_constants(self) -> None:
        """Unpack the blocks into the entries that name them; their types bound what may unfold."""
        unfolded: dict[tuple[str, int], bytes] = {}
        used: set[str] = set()
        total = 0
        for declared in self.declared.values():
            digest = declared.digest
            if digest is None:
                continue
            block = self.blocks.get(digest)
            used.add(digest)
            try:
                size = num_bytes(declared.type)
                data = None
                if block is not None and (digest, size) not in unfolded:
                    total += size
                    if size > MAX_CONSTANT or total > MAX_TOTAL:
                        raise FormatError(f"{size} bytes, {total} so far; at most {MAX_CONSTANT} and {MAX_TOTAL} are read")
                    unfolded[digest, size] = unpack("".join(block.lines), size)
                if block is not None:
                    data = unfolded[digest, size]
                    if Constant.of(declared.type, data).sha256 != digest:
                        raise FormatError("the data below this line do not have the SHA-256 that it states")
                declared.fields["constant"] = Constant(declared.type, data, digest)
            except FormatError as error:
                raise (block or declared).scan.error(str(error), 0) from None
        for digest, block in self.blocks.items():
            if digest not in used:
                raise block.scan.error("expected a tensor with this value; no line '@key = …' has it", 0)

    def type(self, key: str) -> TensorType | None:
        """The declared type of an entry."""
        return self.declared[key].type if key in self.declared else None

    def merged(self, key: str, fresh: TensorEntry | None) -> TensorEntry:
        """An entry: what the text says of it, the rest as the operator makes it."""
        declared = self.declared.get(key)
        if declared is None:
            if fresh is None:
                raise FormatError(f"the tensor table has no entry {key[:100]!r}")
            return fresh
        return replace(usual_entry(declared.type, declared.kind, fresh), **declared.fields)


def _init(scan: Scanner) -> tuple[Any, ...]:
    """``normal(0.0, 0.02)``, or a tuple."""
    start = scan.position
    rule = scan.word()
    if rule is not None and rule not in CALLS and scan.accept("("):
        value = (rule, *scan.items(")", 0)[0])
    else:
        scan.position = start
        value = scan.value()
    if type(value) is not tuple or refers(value):
        raise scan.error("expected a rule such as normal(0.0, 0.02)", start)
    return value


def read_order(scan: Scanner, usual: list[str]) -> list[str]:
    """``order @a .. @c, @x``: all of ``usual``, rearranged in runs."""
    place = {key: i for i, key in enumerate(usual)}
    found: list[str] = []
    while scan.peek():
        ends = [_place(scan, place)]
        if scan.accept(".."):
            ends.append(_place(scan, place))
        found += usual[ends[0] : ends[-1] + 1]
        if len(found) > len(usual):
            break
        if not scan.accept(",") and scan.peek():
            raise scan.error(f"expected ',' or the end of the line, {scan.found()}")
    if len(found) != len(usual) or set(found) != set(usual):
        raise scan.error(f"expected an order of all {len(usual)} tensors, each once", 0)
    return found


def _place(scan: Scanner, place: dict[str, int]) -> int:
    scan.peek()
    start = scan.position
    key = scan.weight().key
    if key not in place:
        raise scan.error(f"expected the key of a tensor, and {key[:100]!r} is none", start)
    return place[key]

