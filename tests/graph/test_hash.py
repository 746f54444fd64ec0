"""The canonical hash: equal exactly when two graphs are the same computation up to names and order."""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import netloom as nl
from netloom.errors import GraphError
from netloom.graph import hashing, straight, symmetry
from netloom.graph.builder import call
from netloom.graph.graph import Argument, Graph, Step
from netloom.graph.table import Constant, TensorEntry
from netloom.graph.tree import edges
from netloom.ops import DType, Edge, Size, TensorType, Weight
from tests.graph.graph_variants import disguised, random_graph, rewired, same_computation
from tests.graph.hashed_graphs import GRAPHS, line_up, undirected

GOLDEN = Path(__file__).parents[1] / "golden" / "hashes.json"


# -- properties over random graphs ---------------------------------------------------------------------------------------
@given(st.integers(0, 10**6), st.integers(2, 25))
def test_disguises_keep_the_hash(seed: int, size: int) -> None:
    rng = random.Random(seed)
    graph = random_graph(rng, size)
    assert {disguised(graph, rng).hash for _ in range(4)} == {graph.hash}


@settings(max_examples=400)
@given(st.integers(0, 10**6), st.integers(2, 10))
def test_hash_agrees_with_isomorphism_on_near_misses(seed: int, size: int) -> None:
    rng = random.Random(seed)
    graph = random_graph(rng, size)
    other = disguised(rewired(graph, rng), rng)
    assert (graph.hash == other.hash) == same_computation(graph, other)


@pytest.mark.parametrize("size", [2, 3, 4])
def test_hash_agrees_with_isomorphism_on_all_pairs(size: int) -> None:
    graphs = [random_graph(random.Random(1000 * size + i), size) for i in range(60)]
    classes: dict[str, list[Graph]] = {}
    for graph in graphs:
        classes.setdefault(graph.hash, []).append(graph)
    assert 5 < len(classes) < len(graphs)
    for members in classes.values():
        assert all(same_computation(members[0], other) for other in members[1:])
    for a, b in itertools.combinations([members[0] for members in classes.values()], 2):
        assert not same_computation(a, b)


def test_random_graphs_use_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """The properties above would prove little if random graphs never had ties."""
    calls = []
    found = symmetry.canonical_order
    monkeypatch.setattr(symmetry, "canonical_order", lambda *args: calls.append(1) or found(*args))
    for seed in range(300):
        _ = random_graph(random.Random(seed), 12).hash
    assert 5 < len(calls) < 295


# -- what counts and what does not -------------------------------------------------------------------------------------
def conv(**attributes: Any) -> Graph:
    x = nl.input(3, 8, 8)
    return nl.Graph(x, nl.conv2d(x, 4, **{"kernel": 3, **attributes}))


def test_form_and_version() -> None:
    assert conv().hash.startswith("nl1:")
    assert len(conv().hash) == 4 + 32 and int(conv().hash[4:], 16) >= 0


def test_attributes_in_normal_form_are_equal() -> None:
    same = {conv(kernel=3).hash, conv(kernel=(3, 3)).hash, conv(kernel=[3, 3], stride=1, padding=(0, 0)).hash}
    assert len(same) == 1
    different = [conv(), conv(kernel=1), conv(stride=2), conv(padding=1), conv(bias=False), conv(dilation=2)]
    assert len({graph.hash for graph in different}) == len(different)


def test_input_type_and_place_count() -> None:
    def difference(keyword: bool, swap: bool) -> Graph:
        a, b = nl.input(4), nl.input(4)
        y = nl.sub(b, a) if swap else nl.sub(a, b)
        return nl.Graph({"a": a, "b": b} if keyword else (a, b), y)

    hashes = {difference(keyword, swap).hash for keyword in (False, True) for swap in (False, True)}
    hashes |= {GRAPHS["identity"]().hash, nl.Graph(*[nl.input(5)] * 2).hash, nl.Graph(*[nl.input(4, dtype="float64")] * 2).hash}
    assert len(hashes) == 7
    a, b = nl.input(4), nl.input(4)
    assert nl.Graph({"b": b, "a": a}, nl.sub(a, b)).hash == difference(True, False).hash


def test_containers_of_results_count() -> None:
    x = nl.input(4)
    y, z = nl.relu(x), nl.sigmoid(x)
    results: list[Any] = [y, (y,), [y], {"y": y}, {"z": y}, (y, z), (z, y), (y, y), {"y": y, "z": z}, (y, None), (y, 0)]
    assert len({nl.Graph(x, result).hash for result in results}) == len(results)
    assert nl.Graph(x, {"y": y, "z": z}).hash == nl.Graph(x, {"z": z, "y": y}).hash


def test_training_result_counts_only_where_it_differs() -> None:
    x = nl.input(4)
    graph = nl.Graph(x, (nl.relu(x), nl.sigmoid(x)))
    relu, sigmoid = graph.result

    def with_results(result: Any, train: Any) -> str:
        return Graph.make(graph.steps, graph.tensors, graph.arguments, result, train_result=train).hash

    assert with_results(relu, None) == with_results(relu, relu)
    assert len({with_results(relu, None), with_results(relu, sigmoid), with_results(sigmoid, relu)}) == 3


@pytest.mark.parametrize("change", [{"mode": "train"}, {"grad": False}, {"grad": "enabled"}, {"autocast": "cpu:bfloat16"}])
def test_modes_count(change: dict[str, Any]) -> None:
    graph = conv()
    steps = [replace(step, **change) if step.op == "conv2d" else step for step in graph.steps]
    assert Graph.make(steps, graph.tensors, graph.arguments, graph.result).hash != graph.hash


def test_types_of_tensors_count_and_their_rules_do_not() -> None:
    graph = conv()

    def with_weight(**change: Any) -> str:
        tensors = {key: replace(entry, **change) if "weight" in key else entry for key, entry in graph.tensors.items()}
        types = {step.name: graph.types(step.name) for step in graph.steps}
        return Graph.make(graph.steps, tensors, graph.arguments, graph.result, types=types).hash

    assert with_weight(init=("constant", 1.0), requires_grad=False, persistent=False) == graph.hash
    entry = graph.tensors["conv2d.weight"]
    constant = Constant.of(entry.type, bytes(4 * 108))
    other = Constant.of(entry.type, b"\1" * (4 * 108))
    changed = [with_weight(kind="buffer"), with_weight(constant=constant), with_weight(constant=other)]
    changed.append(with_weight(type=TensorType("float64", entry.type.shape)))
    assert len({*changed, graph.hash}) == 5


def test_dead_nodes_and_unused_tensors_do_not_count() -> None:
    x = nl.input(4)
    graph = nl.Graph(x, nl.relu(x))
    spare = Step("spare", "relu", {"x": Edge("x")})
    tensors = {"unused": TensorEntry(TensorType("float32", (3,)))}
    assert Graph.make([*graph.steps, spare], tensors, graph.arguments, graph.result).hash == graph.hash


def test_dead_nodes_that_write_count() -> None:
    x = nl.input(4)
    graph = nl.Graph(x, (nl.relu(x), nl.batch_norm(x)))
    parts = (graph.steps, graph.tensors, graph.arguments)
    written = Graph.make(*parts, graph.result[0])
    assert written.hash != nl.Graph(x, nl.relu(x)).hash
    frozen = [replace(s, args={**s.args, "training": False}) if s.op == "batch_norm" else s for s in graph.steps]
    assert Graph.make(frozen, *parts[1:], graph.result[0]).hash == nl.Graph(x, nl.relu(x)).hash


def test_order_of_calls_that_write_the_same_buffers_counts() -> None:
    """Two calls of one batch norm move its statistics in turn; two calls of one linear layer have no order."""

    def siamese(op: str, *attributes: Any) -> list[str]:
        x, z = nl.input(4, name="x"), nl.input(4, name="z")
        first = call(op, x, *attributes)
        second = call(op, z, *attributes, like=first)
        graph = nl.Graph((x, z), nl.sub(first, second))
        a, b = [i for i, step in enumerate(graph.steps) if step.op == op]
        steps = list(graph.steps)
        steps[a], steps[b] = steps[b], steps[a]
        return [graph.hash, Graph.make(steps, graph.tensors, graph.arguments, graph.result).hash]

    assert len(set(siamese("linear", 3))) == 1
    assert len(set(siamese("batch_norm"))) == 2


def test_aliases_are_their_canonical_entry() -> None:
    x = nl.input(4)
    first = nl.linear(x, 4, bias=False)
    tied = nl.Graph(x, call("linear", first, 4, bias=False, like=first))
    untied = nl.Graph(x, nl.linear(nl.linear(x, 4, bias=False), 4, bias=False))
    key, other = untied.tensors
    tensors = {**untied.tensors, other: replace(untied.tensors[other], alias_of=key)}
    assert Graph.make(untied.steps, tensors, untied.arguments, untied.result).hash == tied.hash != untied.hash


# -- commutative operands ------------------------------------------------------------------------------------------------
def test_commutative_operands_may_swap() -> None:
    x = nl.input(4)
    a, b = nl.linear(x, 4), nl.relu(x)
    assert nl.Graph(x, nl.add(a, b)).hash == nl.Graph(x, nl.add(b, a)).hash
    assert nl.Graph(x, nl.mul(x, 2.0)).hash == nl.Graph(x, nl.mul(2.0, x)).hash
    assert nl.Graph(x, nl.sub(a, b)).hash != nl.Graph(x, nl.sub(b, a)).hash


def test_scaled_sum_does_not_commute() -> None:
    x = nl.input(4)
    a, b = nl.linear(x, 4), nl.relu(x)
    assert nl.Graph(x, nl.add(a, b, alpha=2)).hash != nl.Graph(x, nl.add(b, a, alpha=2)).hash


def test_outputs_of_one_node_may_swap() -> None:
    x = nl.input(4)
    a, b, _ = nl.split(nl.cat(x, x, x, dim=1), 4, dim=1)
    hashes = {nl.Graph(x, nl.add(*pair)).hash for pair in ((a, b), (b, a))}
    assert len(hashes) == 1 and nl.Graph(x, nl.add(a, a)).hash not in hashes


# -- pairs that weaker hashes confuse -----------------------------------------------------------------------------------
PAIRS: dict[str, tuple[Callable[[], Graph], Callable[[], Graph]]] = {}


def pair(function: Callable[[int], Graph]) -> Callable[[int], Graph]:
    PAIRS[function.__name__] = (lambda: function(0), lambda: function(1))
    return function


@pair
def shared_or_duplicated(which: int) -> Graph:
    x = nl.input(4)
    a = nl.relu(x)
    return nl.Graph(x, nl.add(a, nl.relu(x) if which else a))


@pair
def swapped_weights(which: int) -> Graph:
    """Both use two layers twice; in one each branch repeats its layer, in the other each uses both."""
    x = nl.input(4)
    a, b = nl.linear(x, 4), nl.linear(x, 4)
    a2, b2 = (call("linear", nl.relu(v), 4, like=w) for v, w in (((a, a), (b, b)) if not which else ((a, b), (b, a))))
    return nl.Graph(x, nl.add(a2, b2))


@pair
def same_subtrees_shared_elsewhere(which: int) -> Graph:
    """(p+q)·(p+q) against (p+q)·(p+r), where p, q, r are equal but separate nodes."""
    x = nl.input(4)
    p, q, r, s = (nl.relu(x) for _ in range(4))
    return nl.Graph(x, nl.cat(nl.add(p, q), nl.add(p, r) if which else nl.add(r, s), dim=1))


@pair
def twins_with_crossed_readers(which: int) -> Graph:
    """Two equal branches that a later layer reads in the same or in the other pairing."""
    x = nl.input(4)
    a, b = nl.linear(x, 4), nl.linear(x, 4)
    c, d = nl.relu(a), nl.relu(b)
    first = nl.sub(a, d if which else c)
    second = nl.sub(b, c if which else d)
    return nl.Graph(x, nl.mul(first, second))


@pair
def ordered_after_commuting(which: int) -> Graph:
    """a+b fixes no order of a and b; a-b does, once for both sums."""
    x = nl.input(4)
    a, b, c, d = (nl.linear(x, 4) for _ in range(4))
    u = nl.sub(nl.mul(a, c), nl.mul(b, d))
    return nl.Graph(x, nl.sub(u, nl.mul(a, d) if which else nl.mul(a, c)))


@pair
def two_triangles_or_a_hexagon(which: int) -> Graph:
    """All vertices have two neighbours: one-directional digests and plain refinement see no difference."""
    return undirected(networkx.disjoint_union_all([networkx.cycle_graph(3)] * 2) if which else networkx.cycle_graph(6))


@pair
def shrikhande_or_rook(which: int) -> Graph:
    """Strongly regular graphs with equal parameters (16, 6, 2, 2)."""
    if which:
        return undirected(networkx.line_graph(networkx.complete_bipartite_graph(4, 4)))
    square = list(itertools.product(range(4), repeat=2))
    links = [((i, j), ((i + a) % 4, (j + b) % 4)) for i, j in square for a, b in ((0, 1), (1, 0), (1, 1))]
    return undirected(networkx.Graph(links))


@pair
def cai_furer_immerman(which: int) -> Graph:
    """The gadgets of Cai, Fürer and Immerman (1992) over K4, straight and with one twist."""
    base = networkx.complete_graph(4)
    found = networkx.Graph()
    for v in base:
        around = [tuple(sorted((v, u))) for u in base[v]]
        for bits in itertools.product((0, 1), repeat=3):
            if sum(bits) % 2 == (which and v == 0):
                found.add_edges_from(((v, bits), (v, edge, bit)) for edge, bit in zip(around, bits))
    found.add_edges_from(((u, (u, v), bit), (v, (u, v), bit)) for u, v in base.edges for bit in (0, 1))
    return undirected(found)


@pytest.mark.parametrize("name", PAIRS)
def test_confusable_pairs_differ(name: str) -> None:
    first, second = (make() for make in PAIRS[name])
    assert first.hash != second.hash
    rng = random.Random(0)
    for graph in (first, second):
        assert {disguised(graph, rng).hash for _ in range(2)} == {graph.hash}


@pytest.mark.parametrize("name", [name for name in PAIRS if len(PAIRS[name][0]().steps) < 20])
def test_confusable_pairs_are_not_isomorphic(name: str) -> None:
    assert not same_computation(*(make() for make in PAIRS[name]))


# -- work --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("stages", [1, 40, 400])
def test_symmetric_stages_in_sequence_take_polynomial_time(stages: int) -> None:
    """Two to the power of ``stages`` orders, all alike."""
    x = y = nl.input(4)
    for _ in range(stages):
        y = nl.add(nl.linear(y, 4), nl.linear(y, 4))
    graph = nl.Graph(x, y)
    assert disguised(graph, random.Random(1)).hash == graph.hash


def test_crossed_towers_take_polynomial_time() -> None:
    """Swapping the towers as a whole is the only symmetry; choices at one level decide those at all others."""
    x = a = b = nl.input(4)
    sums = []
    for _ in range(30):
        a, b = nl.relu(nl.linear(nl.sub(a, b), 4)), nl.relu(nl.linear(nl.sub(b, a), 4))
        sums.append(nl.add(a, b))
    graph = nl.Graph(x, nl.cat(*sums, dim=1))
    assert disguised(graph, random.Random(1)).hash == graph.hash


def test_ten_thousand_nodes_in_a_row() -> None:
    steps = [Step("x", "input", {"dtype": DType("float32"), "shape": (Size.symbol("N"), 4)})]
    for i in range(10_000):
        args = {"x": Edge(steps[-1].name), "y": Edge(steps[max(0, i - 3)].name), "alpha": 1}
        steps.append(Step(f"n{i}", "add", args) if i % 3 else Step(f"n{i}", "relu", {"x": Edge(steps[-1].name)}))
    graph = Graph.make(steps, {}, [Argument("x", Edge("x"))], Edge("n9999"), symbols={"N": 1})
    assert len(edges(graph.result)) == 1 and graph.hash.startswith("nl1:")


def test_too_much_symmetry_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(symmetry, "MAX_WORK", 1000)
    graph = cai_furer_immerman(0)
    with pytest.raises(GraphError, match="so symmetrically that its hash takes more than 1,000 steps"):
        _ = graph.hash


def test_chains_are_read_in_one_pass_to_the_same_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    found = straight.straight_walk
    walked: list[Any] = []
    for name in ("identity", "perceptron", "convolutions", "tied", "residual"):
        graph = GRAPHS[name]()
        monkeypatch.setattr(hashing, "straight_walk", lambda *_: None)
        general = hashing.graph_hash(graph)
        monkeypatch.setattr(hashing, "straight_walk", lambda *args: walked.append(found(*args)) or walked[-1])
        assert hashing.graph_hash(graph) == general
    assert [walk is not None for walk in walked] == [True, True, True, False, False]


@pytest.mark.parametrize("change", [{"mode": "train"}, {"grad": False}, {"grad": "enabled"}, {"autocast": "cpu:bfloat16"}])
def test_chains_with_anything_special_are_none(change: dict[str, Any]) -> None:
    graph = GRAPHS["perceptron"]()
    assert graph.hash and straight.straight_walk(graph)
    steps = [replace(step, **change) if step.op == "relu" else step for step in graph.steps]
    assert straight.straight_walk(Graph.make(steps, graph.tensors, graph.arguments, graph.result)) is None


# -- free symbols ------------------------------------------------------------------------------------------------------
def sized(*shapes: tuple[Any, ...], result: int = 0) -> Graph:
    symbols = {s: 3 for shape in shapes for size in shape if isinstance(size, Size) for s in size.symbols}
    steps = [Step(f"x{i}", "input", {"dtype": DType("float32"), "shape": shape}) for i, shape in enumerate(shapes)]
    steps += [Step(f"y{i}", "relu", {"x": Edge(f"x{i}")}) for i in range(len(shapes))]
    returned = tuple(Edge(f"y{i}") for i in range(len(shapes) - result))
    return Graph.make(
        steps, {}, [Argument(f"x{i}", Edge(f"x{i}")) for i in range(len(shapes))], returned, symbols=symbols
    )  # fmt: skip


def test_free_symbols_are_renamed_but_told_apart() -> None:
    n, s, t = map(Size.symbol, "NST")
    assert sized((n, s), (n, t)).hash == sized((t, n), (t, s)).hash
    assert len({sized((n, s), (n, t)).hash, sized((n, s), (n, s)).hash, sized((n, s), (s, n)).hash}) == 3
    assert sized((n, 4 * s)).hash == sized((t, 4 * n)).hash != sized((n, 2 * s)).hash


def test_symbols_that_first_appear_in_a_product() -> None:
    n, s, t = map(Size.symbol, "NST")
    graphs = [sized((a * b + a, b)) for a, b in itertools.permutations((n, s, t), 2)]
    assert len({graph.hash for graph in graphs}) == 1
    assert graphs[0].hash != sized((n * s + n, n)).hash


def test_an_input_that_nothing_reads_does_not_number_the_symbols() -> None:
    n, s, t = map(Size.symbol, "NST")
    assert sized((n, 2), (4, 4), result=1).hash == sized((s, 2), (n, t), result=1).hash


def test_symbols_that_cannot_be_told_apart_are_refused() -> None:
    total: Any = 0
    for name in "ABCDEFGH":
        total = total + Size.symbol(name)
    with pytest.raises(GraphError, match="cannot be told apart"):
        _ = sized((total,)).hash


# -- stability ---------------------------------------------------------------------------------------------------------
def test_golden_hashes() -> None:
    """A change here is a new version of the hash: raise its prefix, keep the old file."""
    golden = json.loads(GOLDEN.read_text())
    assert {name: make().hash for name, make in GRAPHS.items()} == golden


@pytest.mark.parametrize("seed", ["0", "1", "random"])
def test_processes_agree(seed: str) -> None:
    code = (
        "import json; from tests.graph.hashed_graphs import GRAPHS; print(json.dumps({n: m().hash for n, m in GRAPHS.items()}))"
    )
    root = Path(__file__).parents[2]
    env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join([str(root / "src"), str(root)])}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True, cwd=root)
    assert json.loads(done.stdout) == json.loads(GOLDEN.read_text())


def test_golden_graphs_all_differ() -> None:
    assert len({make().hash for make in GRAPHS.values()}) == len(GRAPHS)


# -- refusals ----------------------------------------------------------------------------------------------------------
def test_what_is_no_plain_data_is_refused() -> None:
    graph = conv()
    steps = [replace(s, args={**s.args, "groups": object()}) if s.op == "conv2d" else s for s in graph.steps]
    broken = Graph.make(steps, graph.tensors, graph.arguments, graph.result, types={s.name: graph.types(s.name) for s in steps})
    with pytest.raises(GraphError, match="is no plain data"):
        _ = broken.hash


def test_a_symbol_of_no_input_goes_by_its_name() -> None:
    graph = conv()

    def padded(size: Any) -> str:
        steps = [replace(s, args={**s.args, "padding": (size, 0)}) if s.op == "conv2d" else s for s in graph.steps]
        types = {s.name: graph.types(s.name) for s in steps}
        return Graph.make(steps, graph.tensors, graph.arguments, graph.result, types=types).hash

    assert len({padded(Size.symbol(name)) for name in ("N", "n0", "T")}) == 3


def test_missing_tensors_are_refused() -> None:
    graph = conv()
    types = {step.name: graph.types(step.name) for step in graph.steps}
    broken = Graph.make(graph.steps, {}, graph.arguments, graph.result, types=types)
    with pytest.raises(GraphError, match="'conv2d.weight', which the table does not have"):
        _ = broken.hash
    around = {key: replace(entry, alias_of=key) for key, entry in graph.tensors.items()}
    with pytest.raises(GraphError, match="which the table does not have"):
        _ = Graph.make(graph.steps, around, graph.arguments, graph.result, types=types).hash


def test_numbers_of_all_kinds_differ() -> None:
    x = nl.input(4, dtype="int64")
    values = (1, 1.0, True, 1j, -0.0, 0.0, 0, float("nan"), float("inf"))
    hashes = [line_up("add", x, value).hash for value in values]
    assert len(set(hashes)) == len(values)


def test_weights_in_tuples_are_tensors() -> None:
    x = nl.input(5, 4)
    graph = nl.Graph(x, nl.lstm(x, 3)[0])
    assert disguised(graph, random.Random(0)).hash == graph.hash
    key, other = [k for k, e in graph.tensors.items() if e.type.shape == (12,)][:2]
    tied = {**graph.tensors, other: replace(graph.tensors[other], alias_of=key)}
    assert Graph.make(graph.steps, tied, graph.arguments, graph.result).hash != graph.hash
    assert all(isinstance(w, Weight) for step in graph.steps if step.op == "lstm" for w in step.args["weights"])
