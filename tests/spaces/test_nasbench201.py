"""NAS-Bench-201: the published counts, what the networks compute, the strings of cells, equal cells."""

from __future__ import annotations

import os
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import netloom as nl
from netloom.errors import SpaceError
from netloom.spaces import NASBench201, load, nasbench201_cell
from netloom.spaces.nasbench201_cell import OPERATIONS
from netloom.testing.spaces import renamed
from tests.spaces.models_nasbench201 import Published

SMALL = NASBench201(num_classes=3, C=2, N=1, input_shape=(3, 8, 8))
CELLS = [nasbench201_cell.write(cell) for cell in product(OPERATIONS, repeat=6)]
cells = st.sampled_from(CELLS)
#: Zeros in all places where they matter: at the output, before a convolution, a pool and a copy; dead convolutions; copies.
ODD = [
    "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
    "|none~0|+|none~0|nor_conv_3x3~1|+|none~0|avg_pool_3x3~1|skip_connect~2|",
    "|none~0|+|skip_connect~0|avg_pool_3x3~1|+|none~0|nor_conv_1x1~1|skip_connect~2|",
    "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|none~0|none~1|none~2|",
    "|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|none~1|none~2|",
    "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|",
    "|avg_pool_3x3~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|nor_conv_1x1~2|",
]


def table() -> Any:
    """The published table."""
    folder = os.environ.get("NETLOOM_DATA")
    if folder is None:
        pytest.skip("NETLOOM_DATA is unset: the table of NAS-Bench-201 is not at hand")
    import pandas

    return pandas.read_parquet(Path(folder) / "nb201.parquet")


# -- counts ------------------------------------------------------------------------------------------------------------
def check_counts(rows: Any) -> None:
    space = NASBench201()
    wrong = [
        row.cellstr
        for row in rows.itertuples()
        if (graph := space.from_string(row.cellstr)).num_params != row.params_c10 or graph.flops != 2 * row.macs_c10
    ]
    assert wrong == []


def test_parameters_and_macs_are_the_published_ones() -> None:
    check_counts(table().sample(300, random_state=0))


@pytest.mark.slow
def test_parameters_and_macs_of_all_cells_are_the_published_ones() -> None:
    rows = table()
    assert sorted(rows.cellstr) == sorted(CELLS)
    check_counts(rows)


def test_isomorphic_cells_are_those_of_the_table() -> None:
    rows = table()
    found = rows.cellstr.map(NASBench201.unique_string)
    assert found.nunique() == rows.iso_class.nunique() == 6466
    assert rows.groupby(found).iso_class.nunique().max() == 1


@pytest.mark.slow
def test_numbers_of_different_networks_are_those_in_the_docs() -> None:
    tiny = NASBench201(num_classes=2, C=1, N=1, input_shape=(1, 4, 4))
    assert len({tiny.from_string(cell).hash for cell in CELLS}) == 7387
    assert len({tiny.from_string(cell, dead=False).hash for cell in CELLS}) == 6662


def test_known_counts_without_the_table() -> None:
    """From the linear form of the published counts: skeleton, and what each convolution adds."""
    space = NASBench201()
    for cell in ODD:
        ones, threes = cell.count("nor_conv_1x1"), cell.count("nor_conv_3x3")
        graph = space.from_string(cell)
        assert graph.num_params == 73_306 + 28_000 * ones + 243_040 * threes
        assert graph.flops == 2 * (7_783_040 + 3_932_160 * ones + 35_389_440 * threes)


# -- what the networks compute -----------------------------------------------------------------------------------------
def check_computes_the_same(cell: str) -> None:
    torch.manual_seed(0)
    model = Published(cell, C=2, N=1, num_classes=3)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    for name, buffer in model.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.uniform_(0.5, 2.0)
    x = torch.randn(3, 3, 8, 8)
    whole = nl.build(SMALL.from_string(cell), weights=model.state_dict())
    living = SMALL.from_string(cell, dead=False)
    part = nl.build(living, weights={key: value for key, value in model.state_dict().items() if key in living.tensors})
    assert list(whole.state_dict()) == list(model.state_dict())
    with torch.no_grad():
        for training in (False, True):
            expected = model.train(training)(x)
            for network in (whole, part):
                assert torch.equal(network.train(training)(x), expected), cell
    for key, value in whole.state_dict().items():
        assert torch.equal(value, model.state_dict()[key]), f"{cell}: {key} after a step of training"


@pytest.mark.parametrize("cell", ODD)
def test_odd_cells_compute_what_the_published_network_computes(cell: str) -> None:
    check_computes_the_same(cell)


@settings(max_examples=8)
@given(cells)
def test_cells_compute_what_the_published_network_computes(cell: str) -> None:
    check_computes_the_same(cell)


def test_a_traced_model_is_a_member() -> None:
    """Where no edge is ``none`` and no sum begins at a literal zero, tracing gives the space's own graph, names included."""

    class Plain(Published):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.stem(x)
            for cell in self.cells:
                if not hasattr(cell, "layers"):
                    x = cell(x)
                    continue
                layers, first = cell.layers, x
                second = layers[0](first)
                third = layers[1](first) + layers[2](second)
                x = layers[3](first) + layers[4](second) + layers[5](third)
            return self.classifier(torch.flatten(self.global_pooling(self.lastact(x)), 1))

    cell = "|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|avg_pool_3x3~2|"
    traced = nl.trace(Plain(cell, C=2, N=1, num_classes=3), torch.zeros(2, 3, 8, 8))
    assert traced.hash == SMALL.from_string(cell).hash and SMALL.contains(traced) and SMALL.to_string(traced) == cell
    assert set(traced.tensors) == set(SMALL.from_string(cell).tensors)


# -- graphs ------------------------------------------------------------------------------------------------------------
@settings(max_examples=12)
@given(cells)
def test_graphs_made_from_pieces_are_sound(cell: str) -> None:
    for dead in (True, False):
        graph = SMALL.from_string(cell, dead=dead)
        graph.check()
        again = nl.Graph.from_json(graph.to_json())
        assert again == graph and (again.flops, again.num_params) == (graph.flops, graph.num_params)


def test_networks_of_other_sizes_share_nothing() -> None:
    cell = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|nor_conv_1x1~1|none~2|"
    sizes = product((2, 4), (2, 3), ((1, 8, 8), (3, 4, 8)))
    spaces = [NASBench201(C=width, N=1, num_classes=n, input_shape=shape) for width, n, shape in sizes]
    graphs = [space.from_string(cell) for space in spaces]
    for graph in graphs:
        graph.check()
    assert len({graph.hash for graph in graphs}) == len(spaces)


def test_a_network_without_its_dead_convolutions_is_that_of_another_cell() -> None:
    dead = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|none~2|"
    alive = "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
    assert SMALL.from_string(dead, dead=False) == SMALL.from_string(alive) != SMALL.from_string(dead)
    assert SMALL.to_string(SMALL.from_string(dead)) == dead


# -- strings -----------------------------------------------------------------------------------------------------------
@given(cells)
def test_strings_round_trip(cell: str) -> None:
    assert nasbench201_cell.write(nasbench201_cell.parse(cell)) == cell


def test_the_space_lists_every_cell_once() -> None:
    listed = list(SMALL)
    assert len(listed) == len(set(listed)) == len(SMALL) == 15_625


@settings(max_examples=8)
@given(cells)
def test_members_are_found_under_any_names(cell: str) -> None:
    graph = SMALL.from_string(cell)
    found = SMALL.to_string(renamed(graph))
    assert SMALL.contains(graph) and SMALL.from_string(found).hash == graph.hash
    assert SMALL.to_string(SMALL.from_string(found)) == found


def test_strangers_are_no_members() -> None:
    cell = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|nor_conv_1x1~1|none~2|"
    graph = SMALL.from_string(cell)
    assert not NASBench201(num_classes=3, C=2, N=2, input_shape=(3, 8, 8)).contains(graph)
    assert not NASBench201(num_classes=4, C=2, N=1, input_shape=(3, 8, 8)).contains(graph)
    wider = graph.to_text().replace("conv2d(2, kernel=1", "conv2d(2, kernel=(1, 3), padding=(0, 1)")
    assert not SMALL.contains(nl.Graph.from_text(wider))
    with pytest.raises(SpaceError, match="is no network of 'nasbench201"):
        SMALL.to_string(nl.Graph(x := nl.input(3, 8, 8), nl.linear(nl.flatten(x), 3)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1 nodes; expected 3"),
        ("|none~0|+|none~0|none~1|", "2 nodes; expected 3"),
        ("|none~0|+|none~0|none~1|+|none~0|none~1|nor_conv_5x5~2|", "no operator 'nor_conv_5x5'; did you mean 'nor_conv_3x3'"),
        ("|none~0|+|none~0|none~1|+|none~0|none~1|", "must read nodes 0 to 2"),
        ("|none~0|+|none~1|none~0|+|none~0|none~1|none~2|", "must read nodes 0 to 1"),
        ("|none~0|+none~0|none~1|+|none~0|none~1|none~2|", "cannot read node 2"),
        ("|none~0|x+|none~0|none~1|+|none~0|none~1|none~2|", "cannot read node 1"),
        (7, "expected a string"),
    ],
)
def test_other_strings_are_refused(text: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        SMALL.from_string(text)


@pytest.mark.parametrize(
    ("given_settings", "message"),
    [({"C": 0}, "C = 0"), ({"N": 1.5}, "N = 1.5"), ({"num_classes": True}, "num_classes = True"),
     ({"input_shape": (3, 30, 32)}, "multiples of 4"), ({"input_shape": (32, 32)}, "expected \\(channels")],
)  # fmt: skip
def test_impossible_settings_are_refused(given_settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        NASBench201(**given_settings)


def test_spec_and_sampling() -> None:
    assert load(SMALL.spec) == SMALL
    assert load("nasbench201?N=1", input_shape=(1, 8, 8), num_classes=4) == NASBench201(4, N=1, input_shape=(1, 8, 8))
    rng = np.random.default_rng(0)
    drawn = [SMALL.to_string(SMALL.sample(rng)) for _ in range(3)]
    assert len(set(drawn)) == 3 and SMALL.to_string(SMALL.sample(np.random.default_rng(0))) == drawn[0]


def test_operators_are_drawn_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NASBench201, "_network", lambda self, cell, dead=True: cell)
    rng = np.random.default_rng(0)
    drawn: Any = [SMALL.sample(rng) for _ in range(4000)]
    for place in range(6):
        counts = np.unique([cell[place] for cell in drawn], return_counts=True)[1]
        assert len(counts) == 5 and ((counts - 800) ** 2 / 800).sum() < 23.5, "chi-square of 4 degrees of freedom, 99.99 %"
