"""Streams of DeepNets-1M networks: their statistics beside the published ones, files, hashes without graphs, references."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netloom as nl
from netloom.cli.main import main
from netloom.cli.networks import load_graph, load_model
from netloom.errors import FormatError, SpaceError
from netloom.spaces.deepnets_architecture import Architecture
from netloom.spaces.deepnets_description import describe
from netloom.spaces.deepnets_network import network
from netloom.spaces.deepnets_reference import graph_of
from netloom.spaces.deepnets_sampling import RULES, draw, draw_base
from netloom.spaces.described import described_graph

DeepNets1M = nl.spaces.DeepNets1M


# -- statistics ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "count, few, many, degree, path",
    [(120, 35, 25, 0.05, 1.8), pytest.param(10_000, 14, 10, 0.05, 0.6, marks=pytest.mark.slow)],
)
def test_statistics_are_the_published_ones(count: int, few: float, many: float, degree: float, path: float) -> None:
    space = DeepNets1M("train")
    nodes, degrees, paths, kinds = np.zeros(count), np.zeros(count), np.zeros(count), Counter()
    for i in range(count):
        view = nl.ghn.hyper_graph(space.sample(np.random.default_rng([4, i])))
        nodes[i], degrees[i], paths[i] = len(view.nodes), view.average_degree, view.average_path
        kinds.update(node.type for node in view.nodes)
    # Published for 1,000: 192.3 ± 94.9 nodes, degree 2.3 ± 0.1, path 14.5 ± 4.8. 120 are held to four
    # standard errors; 10,000 have six per cent fewer nodes (docs/deepnets.md).
    assert abs(nodes.mean() - 192.3) < few and abs(nodes.std() - 94.9) < many
    assert abs(degrees.mean() - 2.3) < degree and abs(paths.mean() - 14.5) < path
    share = {kind: count / nodes.sum() for kind, count in kinds.items()}
    # Of regenerated splits, conv and conv 1×1 together, attention where the original loses it.
    expected = {"conv": 0.36, "bn": 0.25, "sum": 0.115, "bias": 0.065, "sep_conv": 0.06, "concat": 0.04, "dil_conv": 0.027}
    for kind, value in expected.items():
        assert abs(share[kind] - value) < 0.035, (kind, share[kind])
    assert 0.002 < share["msa"] < 0.01 and 0.002 < share["cse"] < 0.008


def test_shares_of_settings_are_those_of_the_original_generator() -> None:
    drawn = [draw_base("val", np.random.default_rng([5, i])) for i in range(600)]
    shares = {
        "msa": np.mean([a.is_vit for a in drawn]), "cse": np.mean([a.genotype.has("cse") for a in drawn]),
        "none": np.mean([a.genotype.has("none") for a in drawn]), "no preproc": np.mean([not a.preproc for a in drawn]),
        "no glob_avg": np.mean([not a.glob_avg for a in drawn]), "no norm": np.mean([a.norm is None for a in drawn]),
    }  # fmt: skip
    # Measured on 1,000 networks of the original: msa 28–30 %, cse 26, none 31–40, no preproc 4–5, no pool 1.6–2, no norm 3–4.
    expected = {"msa": 0.29, "cse": 0.26, "none": 0.355, "no preproc": 0.045, "no glob_avg": 0.018, "no norm": 0.035}
    for name, value in expected.items():
        assert abs(shares[name] - value) < 4 * (value * (1 - value) / 600) ** 0.5 + 0.03, (name, shares[name])
    assert 10.5 < np.mean([a.n_cells for a in drawn]) < 11.7  # 11.1
    steps = Counter(a.genotype.steps for a in drawn)
    assert steps[1] > 200 and steps[2] > 200 and 15 < steps[3] < 90 and 15 < steps[4] < 90


@pytest.mark.parametrize("split", list(RULES))
def test_rules_of_the_splits(split: str) -> None:
    rule = RULES[split]
    for i in range(25):
        a = draw(split, np.random.default_rng([6, i]), 10, (3, 32, 32))
        genotype = a.genotype
        assert rule.cells[0] <= a.n_cells <= rule.cells[1]
        limit = rule.deep_steps if a.n_cells > max(rule.thresholds) else rule.steps[1]
        assert rule.steps[0] <= genotype.steps <= limit and genotype.normal_concat == genotype.reduce_concat
        assert genotype.normal_concat[-1] == genotype.steps + 1
        for cell in (genotype.normal, genotype.reduce):
            names = [name for name, _ in cell]
            assert names.count("cse") <= 1 and sum(name in ("conv_5x5", "conv_7x7") for name in names) <= 1
            assert all(first[1] != second[1] for first, second in zip(cell[::2], cell[1::2]))
            assert genotype.steps > 1 or "none" not in names
        assert a.preproc or (genotype.steps == 1 and a.C_mult == 1)
        assert (a.norm is None) >= (split == "bnfree") and (split != "search" or a.norm == "bnorm")
        if split == "train":
            assert a.C in range(32, 129, 16) and a.fc_dim in range(64, 513, 64)
            assert a.C == 32 or (a.n_cells <= 12 and a.glob_avg)


# -- hashes, counts and files without graphs -----------------------------------------------------------------------------
@pytest.mark.parametrize("split", ["train", "dense", "wide", "bnfree"])
def test_descriptions_say_what_the_graph_says(split: str) -> None:
    space = DeepNets1M(split)
    for i in range(12):
        found = space.describe(np.random.default_rng([7, i]))
        graph = space.described(found.text)
        assert graph == space.sample(np.random.default_rng([7, i]))
        assert found[:5] == described_graph(graph, "")[:5]


def test_hash_of_cells_that_are_alike() -> None:
    # Operands that may change places and look alike are where a hash has to search.
    cells = "max_pool_3x3~0 max_pool_3x3~1 conv_3x3~0 conv_3x3~1 > 2,3 / conv_1x1~1 conv_1x1~0 cse~2 skip_connect~1 > 2,3"
    for norm in ("bnorm", None, "bn-track"):
        a = Architecture(DeepNets1M().genotype(DeepNets1M.network(cells, 16, 4)), 4, C=16, norm=norm)
        assert describe(a).hash == network(a).hash


def test_streams_into_a_file_by_several_processes(tmp_path: Path) -> None:
    one = nl.spaces.sample_many("deepnets1m?split=train", 40, seed=3, out=tmp_path / "one.parquet")
    two = nl.spaces.sample_many("deepnets1m?split=train", 40, seed=3, processes=2, out=tmp_path / "two.parquet")
    assert one.hashes == two.hashes and len(set(one.hashes)) == 40 and one.form == "description"
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    assert one[7].hash == one.hashes[7] and DeepNets1M().contains(one[7])
    assert (tmp_path / "one.parquet").stat().st_size < 40 * 1000
    whole = nl.spaces.sample_many("deepnets1m?split=train", 2, seed=3, out=tmp_path / "whole.jsonl", form="json")
    assert whole[0] == one[0] and whole.form == "json"
    assert len(nl.spaces.sample_many("deepnets1m?split=predefined", 2, out=tmp_path / "p.jsonl")) == 2


def test_repeats_are_left_out(tmp_path: Path) -> None:
    class Repeating(DeepNets1M):
        def draw(self, rng: np.random.Generator) -> Architecture:
            return super().draw(np.random.default_rng(int(rng.integers(5))))

    samples = nl.spaces.sample_many(Repeating(), 5)
    assert len(set(samples.hashes)) == 5 and samples.settings["draws"] > 5


def test_form_of_spaces_that_describe_nothing(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match="does not describe"):
        nl.spaces.sample_many("conv", 2, out=tmp_path / "a.parquet", form="description")
    with pytest.raises(SpaceError, match="does not go into"):
        nl.spaces.sample_many("deepnets1m", 2, out=tmp_path / "a.txt", form="description")


def test_sampling_needs_no_torch() -> None:
    code = (
        "import sys, numpy, netloom as nl; nl.spaces.DeepNets1M('val').describe(numpy.random.default_rng(0)); "
        "nl.spaces.DeepNets1M().sample(numpy.random.default_rng(0)).hash; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# -- the command, and networks by reference ------------------------------------------------------------------------------
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "nets.parquet"
    assert main(["sample", "--space", "deepnets1m", "--split", "bnfree", "-n", "5", "--out", str(out), "--quiet"]) == 0
    assert "5 networks" in capsys.readouterr().out
    samples = nl.spaces.read_samples(out)
    assert samples.settings["space"].startswith("deepnets1m?split=bnfree")
    assert all("batch_norm" not in {node.op for node in graph} for graph in samples)
    assert main(["sample", "--space", "conv", "--split", "val"]) == 2
    assert "no split" in capsys.readouterr().err
    assert main(["sample", "--space", "deepnets1m", "--split", "vall"]) == 2
    assert "did you mean 'val'" in capsys.readouterr().err


def test_networks_by_reference(capsys: pytest.CaptureFixture[str]) -> None:
    assert load_graph("deepnets1m:test/12") == DeepNets1M("test")[12]
    assert load_graph("deepnets1m:predefined/0").num_params == load_graph("resnet50", "3x32x32").num_params == 23_520_842
    assert load_graph("resnet50").num_params == 25_557_032
    model, inputs = load_model("darts?channels=8&cells=4&input_shape=3x32x32")
    assert model.eval()(inputs if not isinstance(inputs, tuple) else inputs[0]).shape[1:] == (10,)
    assert main(["trace", "vit", "--input", "3x32x32", "--to", "outline"]) == 0
    assert "1,012,234" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("deepnets1m:test", "SPLIT/INDEX"),
        ("deepnets1m:test/500", "networks 0 to 499"),
        ("deepnets1m:tests/5", "did you mean 'test'"),
        ("deepnets1m:test/5?cells=3", "leave that out"),
        ("darts?depth=3", "settings are input_shape"),
        ("vit?input_shape=32", "sizes such as"),
    ],
)
def test_references_that_name_nothing(text: str, said: str) -> None:
    with pytest.raises(SpaceError, match=said):
        graph_of(text)


def test_samples_of_a_space_that_reads_no_descriptions() -> None:
    samples = nl.spaces.sample_many("deepnets1m", 1)
    records = {name: list(samples.records[name]) for name in samples.records if name != "text"} | {"description": ["{}"]}
    other = nl.spaces.Samples({"space": "conv", "form": "description"}, records)
    with pytest.raises(FormatError, match="does not read"):
        other[0]


# -- narrow and shallow ones ---------------------------------------------------------------------------------------------
def test_narrow_and_shallow_networks_are_drawn_and_known() -> None:
    space = DeepNets1M("train", 10, (1, 8, 8), channels=8, max_cells=2)
    assert space.spec == "deepnets1m?split=train&num_classes=10&input_shape=1x8x8&channels=8&max_cells=2"
    found = [space.draw(np.random.default_rng(seed)) for seed in range(20)]
    assert {a.C for a in found} == {8} and {a.n_cells for a in found} == {1, 2}
    graph = space.sample(np.random.default_rng(3))
    assert space.contains(graph) and not DeepNets1M("train", 10, (1, 8, 8), channels=8).contains(graph)
    assert not DeepNets1M("train", 10, (1, 8, 8), channels=16, max_cells=2).contains(graph)
    assert DeepNets1M("test", channels=8)[4].num_params < DeepNets1M("test")[4].num_params


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"channels": 12}, "channels = 12; expected a multiple of 8"),
        ({"max_cells": 0}, "max_cells = 0; expected a whole number from 1"),
        ({"split": "test", "max_cells": 6}, "the networks of test are fixed; leave max_cells out"),
        ({"split": "predefined", "channels": 8}, "the networks of predefined are fixed; leave channels out"),
    ],
)
def test_sizes_that_no_split_has(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(SpaceError, match=said):
        DeepNets1M(**settings)
