"""Graphs as JSON: lossless and versioned, every argument written out; ``docs/json-schema.md`` describes the documents.

Constants of up to 1 MiB stand in the document as base64 of their zlib compression, larger ones by their SHA-256, as files of
that name in a folder of artifacts.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import FormatError, UnknownOperatorError, VersionError
from ..ops import operator
from .assembly import Assembly, short
from .graph import Argument, Graph, Step
from .json_values import array, bad, boolean, decode, encode, encode_size, record, shown, string, tensor_type, whole
from .notation import refers
from .packing import MAX_TOTAL, digest, is_digest, num_bytes, pack, unpack
from .step import ENABLED
from .table import INLINE_BYTES, Constant, TensorEntry

VERSION = 1
MAX_DOCUMENT = 256 << 20


def to_json(graph: Graph, *, artifacts: str | os.PathLike[str] | None = None, indent: int | None = None) -> str:
    """The graph as a JSON document.

    ``artifacts`` is a folder for constants of more than 1 MiB, one file each, named by its SHA-256; without it the document
    holds their SHA-256 alone. ``indent`` lays the document out for people.

    >>> import netloom as nl
    >>> x = nl.input(8)
    >>> nl.Graph(x, nl.relu(x)).to_json()[:60]
    '{"netloom": 1, "steps": [{"name": "x", "op": "input", "args"'
    """
    budget = _Budget()
    document = {
        "netloom": VERSION,
        "steps": [_step(step) for step in graph.steps],
        "tensors": [_entry(key, entry, artifacts, budget) for key, entry in graph.tensors.items()],
        "arguments": [{"name": a.name, "tree": encode(a.tree), "keyword": a.keyword} for a in graph.arguments],
        "result": encode(graph.result),
        "train_result": encode(graph.train_result),
        "symbols": dict(graph.symbols),
        "notes": list(graph.notes),
    }
    try:
        return json.dumps(document, indent=indent, allow_nan=False)
    except (ValueError, RecursionError) as error:  # integers of more digits than Python prints
        raise FormatError(f"the graph cannot be written as JSON: {error}") from None


def _step(step: Step) -> dict[str, Any]:
    try:
        found: dict[str, Any] = {"name": step.name, "op": step.op, "args": {k: encode(v) for k, v in step.args.items()}}
    except FormatError as error:
        raise FormatError(f"{step.op} {step.name!r}: {error}") from None
    found["scope"] = step.scope
    return found | {"mode": step.mode, "grad": step.grad, "autocast": step.autocast}


def _entry(key: str, entry: TensorEntry, artifacts: Any, budget: _Budget) -> dict[str, Any]:
    found: dict[str, Any] = {
        "key": key,
        "dtype": entry.type.dtype,
        "shape": [encode_size(size) for size in entry.type.shape],
        "kind": entry.kind,
        "init": encode(entry.init),
        "requires_grad": entry.requires_grad,
        "persistent": entry.persistent,
        "alias_of": entry.alias_of,
    }
    constant = entry.constant
    if constant is not None:
        if constant.type != entry.type:
            raise FormatError(f"tensor {key!r} is {entry.type}, its constant {constant.type}; they must agree")
        found["sha256"] = constant.sha256
        if constant.data is not None and len(constant.data) <= INLINE_BYTES and budget.takes(len(constant.data)):
            found["data"] = pack(constant.data)
        elif constant.data is not None and artifacts is not None:
            _write_artifact(Path(artifacts), constant.sha256, constant.data)
    return found


def _write_artifact(folder: Path, name: str, data: bytes) -> None:
    """Whole or not at all: readers never meet half a file."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / name).exists() and (folder / name).stat().st_size == len(data):
        return
    handle, draft = tempfile.mkstemp(dir=folder, prefix=".writing-")
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    os.replace(draft, folder / name)


class _Budget:
    """What all inline constants of a document may take together."""

    def __init__(self) -> None:
        self.left = MAX_TOTAL

    def takes(self, size: int) -> bool:
        if size > self.left:
            return False
        self.left -= size
        return True


# -- reading -----------------------------------------------------------------------------------------------------------
def from_json(document: str | bytes | Mapping[str, Any], *, artifacts: str | os.PathLike[str] | None = None) -> Graph:
    """The graph of a JSON document, given as text, UTF-8 bytes or the parsed object.

    Constants whose file is not in the folder ``artifacts`` stay without data, and the graph does not build. `VersionError`
    for a document of an unknown version, `UnknownOperatorError` for an operator that is not registered, and for anything
    else that is wrong `FormatError` with the place in the document.
    """
    fields = record(
        _parsed(document), "$", ("netloom", "steps", "tensors", "arguments", "result"), ("train_result", "symbols", "notes"),
    )  # fmt: skip
    assembly = Assembly(_tensors(fields["tensors"], artifacts))
    for i, step in enumerate(array(fields["steps"], "$.steps")):
        _read_step(assembly, step, f"$.steps[{i}]")
    arguments = [_argument(v, f"$.arguments[{i}]") for i, v in enumerate(array(fields["arguments"], "$.arguments"))]
    result = decode(fields["result"], "$.result")
    train_result = decode(fields.get("train_result"), "$.train_result")
    notes = [string(v, f"$.notes[{i}]") for i, v in enumerate(array(fields.get("notes", []), "$.notes"))]
    given = fields.get("symbols", {})
    if type(given) is not dict:
        raise bad("$.symbols", f"{shown(given)}; expected an object")
    symbols = {string(key, "$.symbols"): whole(value, f"$.symbols.{short(key, 80)}") for key, value in given.items()}
    try:
        return assembly.finish(arguments, result, train_result, symbols, notes)
    except FormatError as error:
        raise bad("$", str(error)) from None


def _parsed(document: Any) -> dict[str, Any]:
    """The object of the document, and of a version that is read here."""
    if isinstance(document, bytes | bytearray):
        try:
            document = bytes(document).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise FormatError(f"the document is not UTF-8: {error}") from None
    if isinstance(document, str):
        if len(document) > MAX_DOCUMENT:
            raise FormatError(f"the document has {len(document)} characters; at most {MAX_DOCUMENT} are read")
        try:
            document = json.loads(document, parse_constant=_no_constant, object_pairs_hook=_unique)
        except RecursionError:
            raise FormatError("the document is nested too deeply") from None
        except FormatError:
            raise
        except ValueError as error:  # what is no JSON, and integers of thousands of digits
            raise FormatError(f"the document is not JSON: {short(error)}") from None
    elif isinstance(document, Mapping):
        document = dict(document)
    if type(document) is not dict:
        raise bad("$", f"{shown(document)}; expected an object")
    if "netloom" not in document:
        raise bad("$", 'the key "netloom" with the version is missing; this is no graph of netloom')
    version = document["netloom"]
    if type(version) is not int or version != VERSION:
        raise VersionError(f"$.netloom: version {shown(version)} of the format; this netloom reads version {VERSION}")
    return document


def _no_constant(name: str) -> Any:
    raise FormatError(f'the document holds {name}, which JSON does not have; expected {{"float": "{name}"}}')


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise FormatError(f"the document has an object with the key {twice[:80]!r} twice")
    return found


def _read_step(assembly: Assembly, value: Any, path: str) -> None:
    fields = record(value, path, ("name", "op", "args"), ("scope", "mode", "grad", "autocast"))
    name, op = string(fields["name"], f"{path}.name"), string(fields["op"], f"{path}.op")
    try:
        kind = operator(op[:200])
    except UnknownOperatorError as error:
        raise UnknownOperatorError(f"{path}.op: {error}") from None
    given = fields["args"]
    if type(given) is not dict:
        raise bad(f"{path}.args", f"{shown(given)}; expected an object")
    args = {}
    for key, inside in given.items():
        if key not in kind.by_name:
            raise bad(f"{path}.args", f"{kind.name} has no argument {short(key, 80)!r}; it takes {', '.join(kind.by_name)}")
        args[key] = decode(inside, f"{path}.args.{key}")
    scope = string(fields["scope"], f"{path}.scope") if "scope" in fields else None
    mode, autocast = (string(fields.get(key, ""), f"{path}.{key}") for key in ("mode", "autocast"))
    grad = fields.get("grad", True)
    if grad != ENABLED:
        grad = boolean(grad, f"{path}.grad")
    try:
        assembly.add(name, kind.name, assembly.evaluate(kind.name, args, autocast=autocast), scope, mode, grad, autocast)
    except FormatError as error:
        raise bad(path, str(error)) from None


def _argument(value: Any, path: str) -> Argument:
    fields = record(value, path, ("name", "tree"), ("keyword",))
    keyword = boolean(fields.get("keyword", False), f"{path}.keyword")
    return Argument(string(fields["name"], f"{path}.name"), decode(fields["tree"], f"{path}.tree"), keyword)


def _tensors(value: Any, artifacts: Any) -> dict[str, TensorEntry]:
    found: dict[str, TensorEntry] = {}
    budget = _Budget()
    for i, fields in enumerate(array(value, "$.tensors")):
        path = f"$.tensors[{i}]"
        record(fields, path, ("key", "dtype", "shape", "kind", "init"),
               ("requires_grad", "persistent", "alias_of", "sha256", "data"))  # fmt: skip
        key = string(fields["key"], f"{path}.key")
        if key in found:
            raise bad(path, f"the key {key[:80]!r} comes twice")
        init, alias = decode(fields["init"], f"{path}.init"), fields.get("alias_of")
        if type(init) is not tuple or refers(init):
            raise bad(f"{path}.init", 'expected an array of plain data such as ["normal", 0.0, 0.02]')
        kind = string(fields["kind"], f"{path}.kind")
        type_ = tensor_type(fields["dtype"], fields["shape"], path)
        found[key] = TensorEntry(
            type_,
            kind,
            init,
            boolean(fields.get("requires_grad", kind != "buffer"), f"{path}.requires_grad"),
            boolean(fields.get("persistent", True), f"{path}.persistent"),
            None if alias is None else string(alias, f"{path}.alias_of"),
            _constant(type_, fields, path, artifacts, budget),
        )
    return found


def _constant(type: Any, fields: dict[str, Any], path: str, artifacts: Any, budget: _Budget) -> Constant | None:
    """The constant of an entry, its data checked against the type and the SHA-256."""
    name = fields.get("sha256")
    if name is None:
        if fields.get("data") is not None:
            raise bad(path, "data need the key 'sha256' beside them")
        return None
    if not is_digest(name):
        raise bad(f"{path}.sha256", f"{shown(name)}; expected 64 digits of lower-case hexadecimal")
    try:
        size = num_bytes(type)
        data = None
        if fields.get("data") is not None:
            if size > INLINE_BYTES or not budget.takes(size):
                raise FormatError(f"{size} bytes inside the document; more than {INLINE_BYTES} stand beside it")
            data = unpack(string(fields["data"], f"{path}.data"), size)
        elif artifacts is not None:
            data = _read_artifact(Path(artifacts) / name, size)
        if data is not None and digest(data) != name:
            raise FormatError("the data do not have the SHA-256 that stands beside them")
    except FormatError as error:
        raise bad(path, str(error).removeprefix(f"{path}.")) from None
    return Constant(type, data, name)


def _read_artifact(path: Path, size: int) -> bytes | None:
    try:
        with path.open("rb") as file:
            data = file.read(size + 1)
    except FileNotFoundError:
        return None
    except (OSError, OverflowError, MemoryError) as error:
        raise FormatError(f"the artifact {path} cannot be read: {error}") from None
    if len(data) != size:
        raise FormatError(f"the artifact {path} does not have the {size} bytes of its type")
    return data
