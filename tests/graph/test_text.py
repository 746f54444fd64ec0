"""The textual notation: what is written is read back, people can write it, and mistakes are pointed at."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import netloom as nl
from netloom.errors import FormatError, TextError
from netloom.graph.graph import Argument, Graph, Step
from netloom.graph.table import Constant, TensorEntry
from netloom.ops import DType, Edge, Size, Slice, TensorType, Weight
from netloom.testing.graphs import all_operators, call_graphs, graphs
from tests.graph.golden_graphs import FOLDER, GRAPHS, changed, opaque_args

HEADER = "netloom 1\nx = input float32[N, 3, 8, 8]\n"


def read(body: str) -> Graph:
    return Graph.from_text(HEADER + body)


def refused(body: str) -> TextError:
    with pytest.raises(TextError) as caught:
        read(body)
    return caught.value


def details(graph: Graph) -> str:
    """Every stored detail, types of numbers and the order of the tensors included."""
    steps, tensors, arguments, *rest = graph._key()
    return repr((steps, list(tensors.items()), arguments, rest))


# -- round trips -------------------------------------------------------------------------------------------------------
@given(graphs())
@settings(max_examples=150)
def test_text_gives_the_graph_back(graph: Graph) -> None:
    text = graph.to_text()
    again = Graph.from_text(text)
    assert again == graph
    assert details(again) == details(graph)
    assert again.to_text() == text


@pytest.mark.parametrize("name", all_operators())
def test_every_operator_is_written_and_read(name: str) -> None:
    @given(call_graphs(name))
    @settings(max_examples=5)
    def check(graph: Graph) -> None:
        assert details(Graph.from_text(graph.to_text())) == details(graph)

    check()


@given(graphs(max_size=6), st.data())
@settings(max_examples=80)
def test_any_names_are_written_and_read(graph: Graph, data: st.DataObject) -> None:
    count = len(graph.steps)
    names = data.draw(st.lists(st.text(max_size=6), min_size=count, max_size=count, unique=True))
    rename = {step.name: name for step, name in zip(graph.steps, names)}

    def renamed(value: object) -> object:
        if type(value) is Edge:
            return Edge(rename[value.node], value.index)
        if type(value) in (tuple, list):
            return type(value)(map(renamed, value))
        return {k: renamed(v) for k, v in value.items()} if type(value) is dict else value

    steps = [replace(s, name=rename[s.name], args={k: renamed(v) for k, v in s.args.items()}) for s in graph.steps]
    arguments = [Argument(a.name, renamed(a.tree), a.keyword) for a in graph.arguments]
    hostile = changed(graph, steps=steps, arguments=arguments, result=renamed(graph.result))
    assert details(Graph.from_text(hostile.to_text())) == details(hostile)
    assert details(Graph.from_json(hostile.to_json())) == details(hostile)


DATA = st.one_of(st.none(), st.integers(), st.just(4 * Size.symbol("N")), st.text(max_size=3), st.floats(allow_nan=False))
PLAIN = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.just(math.nan), st.just(...),
        st.text(max_size=8), st.complex_numbers(allow_nan=False),
        st.builds(DType, st.sampled_from(["float32", "odd"]) | st.text(max_size=4)),
        st.sampled_from([Size.symbol("N"), 4 * Size.symbol("N") + 1, Size.symbol("q") // 3 * 5, Size.symbol("inf")]),
        st.sampled_from([Edge("x"), Edge("y"), Weight("w")]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(tuple), st.lists(inner, max_size=3),
        st.builds(Slice, DATA, DATA | st.builds(Slice, DATA, DATA, DATA), DATA),
        st.dictionaries(st.text(max_size=5), inner, max_size=3),
    ),
    max_leaves=12,
)  # fmt: skip


@given(PLAIN)
@settings(max_examples=300)
def test_any_plain_data_is_written_and_read(value: object) -> None:
    args = opaque_args(4) | {"args": (value,), "kwargs": ()}
    steps = [
        Step("x", "input", {"dtype": DType("float32"), "shape": (Size.symbol("N"), 2)}),
        Step("y", "relu", {"x": Edge("x")}),
        Step("call", "opaque", args),
    ]
    tensors = {"w": TensorEntry(TensorType("float32", (2,)))}
    graph = Graph.make(steps, tensors, [Argument("x", Edge("x"))], (Edge("call"), value), symbols={"N": 1})
    assert details(Graph.from_text(graph.to_text())) == details(graph)
    assert details(Graph.from_json(graph.to_json())) == details(graph)


@pytest.mark.parametrize("symbol", ["slice", "float32", "true", "nan", "size", "x"])
def test_symbols_that_are_words_of_the_notation(symbol: str) -> None:
    size = Size.symbol(symbol)
    args = opaque_args(2) | {"args": (size, 2 * size + 1, Slice(Slice(), size, size), DType("float32"), Edge("x"), True)}
    steps = [Step("x", "input", {"dtype": DType("float32"), "shape": (size, 2)})]
    steps += [Step("call", "opaque", args | {"kwargs": ()})]
    graph = Graph.make(steps, {}, [Argument("x", Edge("x"))], (Edge("call"), size), symbols={symbol: 5})
    assert details(Graph.from_text(graph.to_text())) == details(graph)


def test_order_of_tensors_is_kept() -> None:
    graph = GRAPHS["residual"]()
    keys = sorted(graph.tensors, reverse=True)
    turned = changed(graph, tensors={key: graph.tensors[key] for key in keys})
    assert "order " in turned.to_text() and "order " not in graph.to_text()
    assert list(Graph.from_text(turned.to_text()).tensors) == keys


def test_constants_are_kept_by_value_and_shared() -> None:
    graph = GRAPHS["marked"]()
    twin = TensorEntry(graph.tensors["mask"].type, "buffer", constant=graph.tensors["mask"].constant)
    text = changed(graph, tensors={**graph.tensors, "twin": twin}).to_text()
    again = Graph.from_text(text)
    assert again.tensors["twin"].constant.data == bytes((1, 0, 1, 1))
    assert text.count("\ndata ") == 1
    assert again.tensors["big"].constant.data is None


# -- golden files --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", GRAPHS)
def test_golden_files_read_and_are_written_alike(name: str) -> None:
    golden = (FOLDER / f"{name}.txt").read_bytes().decode()
    assert Graph.from_text(golden) == GRAPHS[name]()
    assert GRAPHS[name]().to_text() == golden


# -- what people write ---------------------------------------------------------------------------------------------------
def test_written_by_hand() -> None:
    graph = Graph.from_text("""
        # a network
        netloom 1
        x = input float32[N, 3, 8, 8]   # an image
        conv = conv2d (16, kernel = 3, padding=(1, 1),)
        0 = relu
        sum = add(`0`, conv)
        half = mul(0.5)
        out = linear(out=10, x=half, bias=true)
        return (out)
    """)
    x = nl.input(3, 8, 8, name="x")
    conv = nl.conv2d(x, 16, kernel=3, padding=1, name="conv")
    half = nl.mul(nl.add(nl.relu(conv, name="0"), conv, name="sum"), 0.5, name="half")
    assert graph == nl.Graph(x, nl.linear(half, 10, name="out"))


def test_windows_line_ends_are_read() -> None:
    graph = GRAPHS["marked"]()
    assert Graph.from_text(graph.to_text().replace("\n", "\r\n")) == graph


def test_a_chain_takes_a_line_per_layer_without_operands() -> None:
    x = nl.input(3, 8, 8)
    y = nl.relu(nl.batch_norm(nl.conv2d(x, 4, kernel=3)))
    lines = nl.Graph(x, y).to_text().splitlines()
    assert [line.partition("  #")[0] for line in lines[2:]] == [
        "conv2d = conv2d(4, kernel=3)",
        "batch_norm = batch_norm",
        "relu = relu",
        "return relu",
    ]


def test_a_node_prints_as_its_line() -> None:
    node = GRAPHS["residual"]()["layer1.0.downsample"]
    assert str(node).startswith("layer1.0.downsample = conv2d(stem.2, 32, kernel=1, stride=2)  (N, 32, 16, 16)")


# -- mistakes ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("body", "line", "column", "expected"), [
    ("y = conv3d2(16)\nreturn y", 3, 5, "did you mean 'conv3d'"),
    ("y = relu(z)\nreturn y", 3, 10, "'z' is none"),
    ("first = relu\ny = add(frist, x)\nreturn y", 4, 9, "did you mean 'first'"),
    ("y = conv2d(16, kernel=30)\nreturn y", 3, 16, "exceeds the input"),
    ("y = conv2d(16, kernel=3)\nz = add(x, y)\nreturn z", 4, 5, "broadcast"),
    ("y = conv2d(16, kernel=0)\nreturn y", 3, 16, "kernel"),
    ("y = conv2d(16, kernle=3)\nreturn y", 3, 16, "did you mean 'kernel'"),
    ("y = conv2d(16, kernel=3\nreturn y", 3, 24, "expected ',' or ')'"),
    ("y = conv2d(16, kernel=3, kernel=3)\nreturn y", 3, 26, "once"),
    ("y = conv2d(kernel=3, 16)\nreturn y", 3, 22, "values without a name come first"),
    ("y = relu(1, 2)\nreturn y", 3, 10, "at most 0 values"),
    ("x = relu\nreturn x", 3, 1, "a new name"),
    ("y = relu sometimes\nreturn y", 3, 10, "no_grad"),
    ("y = relu no_grad no_grad\nreturn y", 3, 18, "once"),
    ("y = flatten\nreturn y[1]", 4, 8, "result of 'y'"),
    ("y = reshape((N, M))\nreturn y", 3, 17, "'M' is none"),
    ("y = reshape((N, 3*M))\nreturn y", 3, 19, "'M' is none"),
    ("y = reshape((N, 3N))\nreturn y", 3, 17, "backquotes"),
    ("y = opaque(\"f\", args=(@v,), types=((\"bool\", ()),))\nreturn y", 3, 5, "no entry 'v'"),
    ("y = mul(\"a)\nreturn y", 3, 9, 'closing "'),
    ("y = mul(\"\\q\")\nreturn y", 3, 10, "escape"),
    ("y = mul(" + "(" * 60 + "\nreturn y", 3, 59, "levels of brackets"),
    ("y = mul(" + "9" * 5000 + ")\nreturn y", 3, 9, "4300 digits"),
    ("y = getitem((x:2,))\nreturn y", 3, 5, "the bounds of a slice must be numbers"),
    ("@w = parameter float32[3] (init=(x, 1))\nreturn x", 3, 34, "node above"),
    ("@w = parameter float32[3] (init=normal(@v))\nreturn x", 3, 33, "a rule such as"),
    ("retrun x", 3, 1, "did you mean 'return'"),
    ("return x\nreturn x", 4, 1, "line 3 is one"),
    ("return (x, none", 3, 16, "expected ',' or ')'"),
    ("return none", 3, 1, "at least one output"),
    ("@w = parameter floot32[3]\nreturn x", 3, 16, "a type such as"),
    ("@w = parameter float32[3] (frozen=true)\nreturn x", 3, 28, "requires_grad"),
    ("@w = parameter float32[3]\n@w = parameter float32[3]\nreturn x", 4, 1, "line 3 declares"),
    ("@w = parameter float32[3] (alias=@v)\nreturn x", 4, 1, "alias of 'v'"),
    ("order @w\nreturn x", 3, 7, "'w' is none"),
    ("note hello\nreturn x", 3, 6, "a string"),
])  # fmt: skip
def test_errors_point_at_the_place(body: str, line: int, column: int, expected: str) -> None:
    error = refused(body)
    assert (error.line, error.column) == (line, column), str(error)
    assert expected in str(error)
    assert error.source == (HEADER + body).split("\n")[line - 1]


def test_an_error_quotes_the_line_under_a_caret() -> None:
    text = str(refused("y = linear(0.5)\nreturn y"))
    assert text.endswith("  y = linear(0.5)\n" + " " * 13 + "^")


HEADLESS = ["", "netloom", "netlum 1", "netloom 2\nx = input float32[N]\nreturn x", "netloom 1", "netloom 1.0"]


@pytest.mark.parametrize("text", HEADLESS)
def test_a_text_without_its_header_or_end_is_refused(text: str) -> None:
    with pytest.raises(TextError):
        Graph.from_text(text)


def test_a_text_that_stops_anywhere_is_refused() -> None:
    text = GRAPHS["marked"]().to_text()
    for end in range(text.index("@mask =")):
        try:
            Graph.from_text(text[:end])
        except TextError:
            continue
        assert "train_return" in text[:end] or "return" in text[:end]


def test_values_that_are_not_plain_data_are_not_written() -> None:
    graph = GRAPHS["mlp"]()
    with pytest.raises(FormatError, match="object"):
        changed(graph, result=(graph.result, object())).to_text()
    with pytest.raises(FormatError, match="digits"):
        changed(graph, result=(graph.result, 10**5000)).to_text()
    deep: tuple[object, ...] = ()
    for _ in range(80):
        deep = (deep,)
    with pytest.raises(FormatError, match="nested"):
        changed(graph, result=(graph.result, deep)).to_text()


# -- hostile data --------------------------------------------------------------------------------------------------------
def test_data_that_unfold_beyond_their_type_are_refused() -> None:
    from netloom.graph.packing import pack

    constant = Constant.of(TensorType("uint8", (8,)), bytes(8))
    line = f'@w = buffer uint8[8] (value="{constant.sha256}")\ndata {constant.sha256}\n  '
    assert read(f"return x\n{line}{pack(bytes(8))}").tensors["w"].constant.data == bytes(8)
    for data in (pack(bytes(50_000_000)), pack(bytes(7)), pack(b"elsewise"), "", "@@@@", pack(bytes(8))[:-8]):
        assert "line 5" in str(refused(f"return x\n{line}{data}"))


def test_a_constant_too_large_to_unfold_is_refused() -> None:
    text = f'return x\n@w = buffer uint8[9999999999999] (value="{"0" * 64}")\ndata {"0" * 64}\n  eJwDAAAAAAE='
    assert "9999999999999 bytes" in str(refused(text))


def test_a_size_that_would_grow_without_end_is_refused() -> None:
    size = "N"
    for _ in range(18):
        size = f"({size}+1)*(N+1)//3"
    assert refused(f"y = reshape(({size}, 1))\nreturn y").line == 3


def test_the_documentation_reads() -> None:
    page = (FOLDER.parents[2] / "docs" / "json-schema.md").read_text()
    example = page.split("```text\n")[1].split("```")[0]
    graph = Graph.from_text(example)
    assert [step.op for step in graph.steps] == ["input", "conv2d", "batch_norm", "relu", "add", "flatten", "linear"]
    error = page.split("```text\n")[2].split("```")[0]
    with pytest.raises(TextError) as caught:
        Graph.from_text("netloom 1\nstem = input float32[N, 3]\nnorm = add(stme, x)\nreturn norm")
    assert str(caught.value).split() == error.split()
