"""Architectures read back off graphs, whatever those are called and however their cells were written."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import netloom as nl
from netloom.errors import SpaceError
from netloom.spaces.deepnets_architecture import Architecture
from netloom.spaces.deepnets_network import network
from netloom.spaces.deepnets_reading import read_architecture
from netloom.spaces.deepnets_sampling import draw
from netloom.testing.spaces import renamed
from tests.spaces.models_deepnets import Published

DeepNets1M = nl.spaces.DeepNets1M


@pytest.mark.parametrize("split", ["train", "deep", "dense", "bnfree", "search"])
def test_what_is_read_makes_the_same_network(split: str) -> None:
    for i in range(8):
        graph = network(draw(split, np.random.default_rng([21, i]), 10, (3, 32, 32)))
        found = read_architecture(renamed(graph))
        assert found is not None and network(found).hash == graph.hash


#: Cells whose operations all count, so that they come back as they were.
CELLS = (
    "darts",
    "conv_1x1~0 sep_conv_5x5~1 > 2 / cse~1 dil_conv_3x3~0 > 2",
    "conv_7x1_1x7~1 conv_7x7~0 msa~0 cse~2 > 2,3 / skip_connect~0 avg_pool_3x3~1 max_pool_3x3~2 conv_3x3~1 > 2,3",
)


@pytest.mark.parametrize("cells", CELLS)
@pytest.mark.parametrize("settings", [{}, {"norm": None, "stem_type": 1}, {"stem_pool": True, "norm": "bnorm", "fc_layers": 2}])
def test_genotypes_come_back(cells: str, settings: dict) -> None:
    a = Architecture(nl.spaces.DeepNets1M().genotype(DeepNets1M.network(cells, 16, 7)), 7, C=16, **settings)
    found = read_architecture(renamed(network(a)))
    assert found is not None
    assert {frozenset(pair) for pair in _steps(found.genotype.normal)} == {
        frozenset(pair) for pair in _steps(a.genotype.normal)
    }
    assert (found.n_cells, found.C, found.norm, found.fc_layers) == (7, 16, a.norm, a.fc_layers)
    if not a.is_vit:
        assert (found.stem_type, found.stem_pool, found.ks) == (a.stem_type, a.stem_pool, a.ks)


def _steps(choices: tuple) -> list:
    return list(zip(choices[::2], choices[1::2]))


@pytest.mark.parametrize(
    ("what", "cells"),
    [
        ("cells that read only the one before them", "conv_3x3~1 none~0 skip_connect~2 none~0 > 2,3 / max_pool_3x3~1 none~0 "
         "avg_pool_3x3~1 none~0 > 2,3"),
        ("cells that read only the one before that", "conv_3x3~0 none~1 cse~2 none~0 > 3 / max_pool_3x3~0 conv_5x5~1 none~0 "
         "none~1 > 2"),
        ("a reduction that makes nothing", "conv_3x3~0 conv_5x5~1 conv_3x3~2 none~0 > 2,3 / none~0 none~1 none~0 none~1 > 2,3"),
        ("attention that nothing reads", "msa~0 none~1 conv_3x3~0 conv_5x5~1 > 3 / max_pool_3x3~0 none~1 cse~1 conv_1x1~0 > 3"),
        ("zeros among the outputs", "none~0 none~1 conv_3x3~0 conv_5x5~1 > 2,3 / max_pool_3x3~0 none~1 cse~1 conv_1x1~0 > 2,3"),
        ("copies among the outputs", "skip_connect~0 none~1 conv_3x3~0 conv_5x5~2 > 2,3 / "
         "cse~1 none~0 conv_1x1~1 skip_connect~2 > 2,3"),
    ],
)  # fmt: skip
def test_unusual_cells(what: str, cells: str) -> None:
    for n_cells in (6, 7, 9):
        graph = DeepNets1M.network(cells, 16, n_cells, norm="bnorm")
        found = read_architecture(renamed(graph))
        assert found is not None and network(found).hash == graph.hash, what


def test_reads_a_traced_module() -> None:
    genotype = DeepNets1M().genotype(DeepNets1M.network("darts", 16, 6))
    module = Published(C=16, num_classes=10, genotype=genotype.to_dict(), n_cells=6, is_imagenet_input=False)
    traced = nl.trace(module, torch.rand(2, 3, 32, 32))
    assert DeepNets1M().genotype(traced) == genotype
    assert DeepNets1M().architecture(traced).n_cells == 6


def test_other_networks_are_refused() -> None:
    x = nl.input(3, 32, 32)
    strangers = [
        nl.Graph(x, nl.linear(nl.flatten(nl.relu(nl.conv2d(x, 8, kernel=3))), 10)),
        nl.Graph(x, nl.flatten(x)),
        nl.spaces.named_network("resnet50", input_shape=(3, 32, 32)),
        nl.spaces.NASBench201().sample(np.random.default_rng(0)),
        nl.spaces.Conv().sample(np.random.default_rng(0)),
    ]
    for graph in strangers:
        assert read_architecture(graph) is None and not DeepNets1M("train").contains(graph)
        with pytest.raises(SpaceError, match="no network of DeepNets-1M"):
            DeepNets1M().genotype(graph)
