"""JSON: lossless, versioned, described by its schema; what is wrong is refused with its place in the document."""

from __future__ import annotations

import copy
import hashlib
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings

import netloom as nl
from netloom.errors import FormatError, UnknownOperatorError, VersionError
from netloom.graph.graph import Graph
from netloom.graph.packing import pack
from netloom.graph.table import Constant, TensorEntry
from netloom.ops import TensorType
from netloom.testing.graphs import all_operators, call_graphs, graphs
from tests.graph.golden_graphs import FOLDER, GRAPHS, changed
from tests.graph.test_text import details

SCHEMA = json.loads(files("netloom.graph").joinpath("graph.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def document(name: str = "mlp") -> dict[str, Any]:
    return json.loads(GRAPHS[name]().to_json())


# -- round trips ---------------------------------------------------------------------------------------------------------
@given(graphs())
@settings(max_examples=80)
def test_json_gives_the_graph_back(graph: Graph) -> None:
    text = graph.to_json()
    again = Graph.from_json(text)
    assert again == graph
    assert details(again) == details(graph)
    assert again.to_json() == text
    VALIDATOR.validate(json.loads(text))


@pytest.mark.parametrize("name", all_operators())
def test_every_operator_is_written_and_read(name: str) -> None:
    @given(call_graphs(name))
    @settings(max_examples=2)
    def check(graph: Graph) -> None:
        assert details(Graph.from_json(graph.to_json())) == details(graph)

    check()


@pytest.mark.parametrize("name", GRAPHS)
def test_text_bytes_and_the_parsed_object_are_read_alike(name: str) -> None:
    graph = GRAPHS[name]()
    text = graph.to_json(indent=2)
    for given_document in (text, text.encode(), b"\xef\xbb\xbf" + text.encode(), json.loads(text)):
        assert Graph.from_json(given_document) == graph


@pytest.mark.parametrize("name", GRAPHS)
def test_golden_files_read_and_are_written_alike(name: str) -> None:
    golden = (FOLDER / f"{name}.json").read_bytes().decode()
    assert Graph.from_json(golden) == GRAPHS[name]()
    assert GRAPHS[name]().to_json(indent=1) + "\n" == golden


def test_reading_changes_nothing_of_the_document() -> None:
    given_document = document("marked")
    before = copy.deepcopy(given_document)
    Graph.from_json(given_document)
    assert given_document == before


# -- the schema ----------------------------------------------------------------------------------------------------------
def test_the_schema_is_one_and_the_page_shows_it() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    page = (FOLDER.parents[2] / "docs" / "json-schema.md").read_text()
    assert json.loads(page.split("```json\n")[1].split("```")[0]) == SCHEMA


@pytest.mark.parametrize("name", GRAPHS)
def test_golden_files_fit_the_schema(name: str) -> None:
    VALIDATOR.validate(json.loads((FOLDER / f"{name}.json").read_bytes()))


def test_the_schema_names_every_dtype() -> None:
    from netloom.ops.dtypes import DTYPES

    assert set(SCHEMA["$defs"]["dtype"]["enum"]) == set(DTYPES)


# -- constants -----------------------------------------------------------------------------------------------------------
def with_constant(data: bytes) -> Graph:
    constant = Constant.of(TensorType("uint8", (len(data),)), data)
    entry = TensorEntry(constant.type, "buffer", requires_grad=False, constant=constant)
    graph = GRAPHS["mlp"]()
    return changed(graph, tensors={**graph.tensors, "table": entry})


def test_small_constants_stand_inside() -> None:
    data = bytes(range(256)) * 4096
    again = Graph.from_json(with_constant(data).to_json())
    assert again.tensors["table"].constant.data == data


def test_large_constants_stand_beside(tmp_path: Path) -> None:
    data = bytes(range(256)) * 4096 + b"!"
    graph = with_constant(data)
    text = graph.to_json(artifacts=tmp_path / "artifacts")
    (file,) = (tmp_path / "artifacts").iterdir()
    assert file.name == hashlib.sha256(data).hexdigest()
    assert file.read_bytes() == data
    assert len(text) < 10_000
    assert Graph.from_json(text, artifacts=tmp_path / "artifacts").tensors["table"].constant.data == data
    for absent in (None, tmp_path / "elsewhere"):
        again = Graph.from_json(text, artifacts=absent)
        assert again.tensors["table"].constant.data is None
        assert again == graph


@pytest.mark.parametrize("content", [b"short", bytes(2 << 20), bytes((1 << 20) + 1)])
def test_an_artifact_that_is_not_what_it_was_is_refused(tmp_path: Path, content: bytes) -> None:
    text = with_constant(bytes(range(256)) * 4096 + b"!").to_json(artifacts=tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(content)
    with pytest.raises(FormatError, match=r"\$\.tensors\[3\]"):
        Graph.from_json(text, artifacts=tmp_path)


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "A" * 64, 5, "0" * 63, "/" + "0" * 63])
def test_an_artifact_is_named_by_its_digest_alone(tmp_path: Path, name: object) -> None:
    found = document("marked")
    entry = next(tensor for tensor in found["tensors"] if tensor["key"] == "big")
    entry["sha256"] = name
    with pytest.raises(FormatError, match="sha256"):
        Graph.from_json(found, artifacts=tmp_path)


def test_data_that_unfold_beyond_their_type_are_refused() -> None:
    for data in (pack(bytes(50_000_000)), pack(bytes(3)), pack(b"1011"), "", "é", "####", 7):
        found = document("marked")
        entry = next(tensor for tensor in found["tensors"] if tensor["key"] == "mask")
        entry["data"] = data
        with pytest.raises(FormatError, match=r"\$\.tensors\[0\]"):
            Graph.from_json(found)


def test_a_constant_of_absurd_shape_is_refused() -> None:
    found = document("marked")
    entry = next(tensor for tensor in found["tensors"] if tensor["key"] == "mask")
    entry["shape"] = [1 << 40]
    with pytest.raises(FormatError, match="bytes"):
        Graph.from_json(found)


# -- refusals ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("version", [0, 2, 10**30, "1", 1.0, None, True, [1]])
def test_unknown_versions_are_refused(version: object) -> None:
    with pytest.raises(VersionError, match="version"):
        Graph.from_json(document() | {"netloom": version})


def test_unknown_operators_are_refused_by_name() -> None:
    found = document()
    found["steps"][1]["op"] = "lineer"
    with pytest.raises(UnknownOperatorError, match=r"\$\.steps\[1\]\.op: .*'lineer'; did you mean 'linear'"):
        Graph.from_json(found)


@pytest.mark.parametrize(("path", "value", "place"), [
    (("steps",), {}, "$.steps: an object of 0; expected an array"),
    (("steps",), [], "the graph is empty"),
    (("steps", 1), 5, "$.steps[1]: 5; expected an object"),
    (("steps", 1, "name"), None, "$.steps[1].name: null; expected a string"),
    (("steps", 1, "name"), "x", "$.steps[1]: two nodes are called 'x'"),
    (("steps", 1, "args", "out"), -1, "$.steps[1]: linear: out = -1"),
    (("steps", 1, "args", "out"), True, "$.steps[1]: linear: out = True"),
    (("steps", 1, "args", "x"), {"edge": ["y", 0]}, "$.steps[1]: no node before this one is called 'y'"),
    (("steps", 1, "args", "x"), {"edge": ["x", 1]}, "$.steps[1]: 'x' has 1 results"),
    (("steps", 1, "args", "x"), {"edge": ["x"]}, "$.steps[1].args.x.edge: an array of 1; expected an array of 2"),
    (("steps", 1, "args", "x"), {"node": "x"}, "$.steps[1].args.x: the key 'node'; expected one of edge"),
    (("steps", 1, "args", "x"), {}, "$.steps[1].args.x: an object with 0 keys"),
    (("steps", 1, "args", "weight"), {"weight": "none"}, "$.steps[1]: the tensor table has no entry 'none'"),
    (("steps", 1, "args", "weight"), True, "$.steps[1]: linear: weight is True; expected a weight"),
    (("steps", 1, "args", "wait"), 1, "$.steps[1].args: linear has no argument 'wait'"),
    (("steps", 1, "grad"), 1, "$.steps[1].grad: 1; expected true or false"),
    (("steps", 0, "args", "shape"), [{"size": "N+"}], "$.steps[0].args.shape[0].size: size 'N+'"),
    (("steps", 0, "args", "dtype"), {"dtype": "f"}, "$.steps[0]: input: dtype"),
    (("steps", 1, "args", "out"), {"dict": {"a": {"edge": ["fc2", 0]}}}, "$.steps[1]: no node before this one is called 'fc2'"),
    (("tensors", 0, "shape", 0), -1, "$.tensors[0]: the type has an axis of -1"),
    (("tensors", 0, "shape", 0), 33, "fc1.weight"),
    (("tensors", 0, "dtype"), "float31", "$.tensors[0]: the type has the unknown dtype 'float31'"),
    (("tensors", 0, "init"), "normal", "$.tensors[0].init"),
    (("tensors", 0, "init"), [{"edge": ["x", 0]}], "$.tensors[0].init"),
    (("steps", 1, "args", "out"), {"slice": [{"edge": ["x", 0]}, 1]}, "$.steps[1].args.out.slice: an array of 2"),
    (("tensors", 0, "key"), "fc1.bias", "$.tensors[1]: the key 'fc1.bias' comes twice"),
    (("tensors", 0, "alias_of"), "nothing", "alias of 'nothing'"),
    (("arguments", 0, "tree"), {"edge": ["nothing", 0]}, "'nothing'"),
    (("result",), {"edge": ["fc2", 3]}, "'fc2' has 1 results"),
    (("result",), None, "returns no tensor"),
    (("symbols",), {"N": "1"}, "$.symbols.N"),
    (("notes",), ["a", 1], "$.notes[1]"),
    (("surprise",), 1, "$: the key 'surprise'"),
])  # fmt: skip
def test_errors_name_the_place(path: tuple[Any, ...], value: object, place: str) -> None:
    found: Any = document()
    holder = found
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    with pytest.raises(FormatError) as caught:
        Graph.from_json(found)
    assert place in str(caught.value)


@pytest.mark.parametrize("text", [
    "", "nul", "[]", "5", '"netloom"', "{}", '{"netloom": 1}', "{" * 100_000, '{"a":' * 100_000, "[" * 1_000_000,
    '{"netloom": ' + "1" * 5000 + "}", '{"netloom": NaN}', '{"netloom": 1, "netloom": 1}', b"\xff\xfe\x00", b"", 5, None, [1],
])  # fmt: skip
def test_what_is_no_document_is_refused(text: Any) -> None:
    with pytest.raises(FormatError):
        Graph.from_json(text)


def test_deep_and_endless_objects_are_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    deep: Any = 1
    for _ in range(500):
        deep = [deep]
    for value in (endless, deep):
        with pytest.raises(FormatError, match="nested"):
            Graph.from_json(document() | {"result": value})


def test_a_document_that_stops_anywhere_is_refused() -> None:
    text = GRAPHS["mlp"]().to_json()
    for end in range(0, len(text), 7):
        with pytest.raises(FormatError):
            Graph.from_json(text[:end])


def test_values_that_are_not_plain_data_are_not_written() -> None:
    graph = GRAPHS["mlp"]()
    for value in (object(), {1: 2}, {"a": {1}}, 10**5000):
        with pytest.raises(FormatError):
            changed(graph, result=(graph.result, value)).to_json()


def test_the_methods_of_the_graph() -> None:
    x = nl.input(4)
    graph = nl.Graph(x, nl.linear(x, 2))
    assert nl.Graph.from_json(graph.to_json()) == graph
