"""Graphs of DeepNets-1M networks against plain PyTorch modules: the same computation, the same names, the same numbers."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import netloom as nl
from netloom.errors import SpaceError
from netloom.spaces.deepnets_architecture import Architecture
from netloom.spaces.deepnets_genotype import OPERATIONS, as_genotype, parse_operation
from netloom.spaces.deepnets_network import network
from netloom.spaces.deepnets_sampling import draw
from tests.spaces.models_deepnets import Published

DeepNets1M = nl.spaces.DeepNets1M
NO_DATA = "NETLOOM_DATA is not set: it names the folder with the reference material of hypernetworks"


def published(a: Architecture) -> Published:
    given = a.to_dict()
    shape = given.pop("input_shape")
    return Published(**given, is_imagenet_input=shape[1] == 224)


def assert_same(a: Architecture) -> None:
    """The graph is what tracing the published module gives, to the name."""
    module, graph = published(a), network(a)
    graph.check()
    traced = nl.trace(module, torch.rand(2, *a.input_shape))
    assert graph.hash == traced.hash
    assert list(graph.tensors) == list(traced.tensors)
    assert [(key, tuple(value.shape)) for key, value in module.state_dict().items()] == [
        (key, entry.type.shape) for key, entry in graph.tensors.items()
    ]
    # A trace calls the one slice of a module after the module.
    names = [step.name.replace("gate", "sigmoid").removesuffix(".getitem") for step in traced.steps]
    assert [step.name.removesuffix(".getitem") for step in graph.steps] == names
    assert (graph.num_params, graph.flops) == (traced.num_params, traced.flops)


@pytest.mark.parametrize("split", ["val", "deep", "dense", "bnfree", "search"])
def test_samples_are_the_published_modules(split: str) -> None:
    for i in range(3):
        a = draw(split, np.random.default_rng([8, i]), 10, (3, 32, 32))
        assert_same(a.resized(C=24 if i else 16, norm="bn-track" if i == 2 else a.norm))


@pytest.mark.parametrize("operation", [name for name in OPERATIONS if name != "none"])
def test_every_operation_is_the_published_one(operation: str) -> None:
    genotype = {
        "normal": [["conv_3x3", 0], [operation, 1], [operation, 2], ["none", 0]], "normal_concat": [2, 3],
        "reduce": [[operation, 0], ["max_pool_3x3", 1], ["none", 1], ["none", 0]], "reduce_concat": [2, 3],
    }  # fmt: skip
    for stem_type in (0, 1):
        # The published classifier of a network with attention and without global pooling does not fit its 11×11 positions.
        glob_avg = bool(stem_type) or operation == "msa"
        assert_same(Architecture(genotype, 4, C=16, stem_type=stem_type, norm="bnorm", glob_avg=glob_avg, fc_layers=2))


def test_computes_what_the_published_module_computes() -> None:
    a = draw("val", np.random.default_rng([8, 1]), 10, (3, 32, 32)).resized(C=16)
    module = published(a).eval()
    built = nl.build(network(a), weights=module.state_dict()).eval()
    x = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(built(x), module(x))


@pytest.mark.parametrize("size", [32, 224])
@pytest.mark.parametrize(
    "settings",
    [
        {"genotype": "darts", "n_cells": 8, "C": 16, "stem_type": 1},
        {"genotype": "vit", "n_cells": 3, "C": 32, "preproc": False, "C_mult": 1},
        {"genotype": "conv_5x5~0 cse~1 > 2 / skip_connect~1 avg_pool_3x3~0 > 2", "n_cells": 4, "C": 16, "preproc": False,
         "C_mult": 1, "stem_type": 1, "glob_avg": False},
        {"genotype": "conv_1x1~0 dil_conv_3x3~1 > 2 / max_pool_3x3~1 skip_connect~0 > 2", "n_cells": 5, "C": 16,
         "stem_pool": True, "norm": None},
    ],
)  # fmt: skip
def test_small_and_large_images(settings: dict[str, Any], size: int) -> None:
    assert_same(Architecture(**settings, input_shape=(3, size, size)))


def test_published_parameter_counts() -> None:
    assert DeepNets1M.network("darts", 36, 20).num_params == 3_349_342
    assert DeepNets1M.network("darts", 48, 14, 1000, input_shape=(3, 224, 224), stem_type=1).num_params == 4_718_752
    assert DeepNets1M.network("vit", 128, 12, preproc=False, C_mult=1).num_params == 1_012_234


def test_reference_networks() -> None:
    folder = os.environ.get("NETLOOM_DATA")
    if not folder:
        pytest.skip(NO_DATA)
    reference = json.loads((Path(folder) / "ghn" / "reference.json").read_text())
    for name, args in reference["net_args"].items():
        graph = network(Architecture.from_dict(args))
        stored = json.loads((Path(folder) / "ghn" / f"graph_ppuda_{name}.json").read_text())
        shapes = {node["name"]: node["shape"] for node in stored["nodes"] if node["module"]}
        assert shapes and all(list(graph.tensors[key].type.shape) == shape for key, shape in shapes.items())
        unnamed = set(graph.tensors) - set(shapes)  # of norms, the weight alone has a node
        assert all(re.fullmatch(r".*(op\.\d|\.bn|stem\.1|ln\d)\.bias", key) for key in unnamed)


# -- named networks ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [32, 224])
@pytest.mark.parametrize("name", ["resnet50", "convnext_base"])
def test_named_networks_are_torchvisions(name: str, size: int) -> None:
    from benchmarks import torchvision_shim  # noqa: F401  (before torchvision)

    models = pytest.importorskip("torchvision.models")
    model = getattr(models, name)(num_classes=1000 if size == 224 else 10)
    if size == 32 and name == "resnet50":
        model.conv1, model.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    elif size == 32:
        model.features[0][0].stride = (1, 1)
    graph = nl.spaces.named_network(name, input_shape=(3, size, size))
    traced = nl.trace(model, torch.rand(2, 3, size, size))
    assert graph.hash == traced.hash and list(graph.tensors) == list(traced.tensors)
    assert graph.num_params == traced.num_params == sum(p.numel() for p in model.parameters())


def test_named_networks_of_cells_take_channels_and_cells() -> None:
    graph = nl.spaces.named_network("darts", channels=16, cells=8, num_classes=7, input_shape=(3, 32, 32))
    assert graph.hash == DeepNets1M.network("darts", 16, 8, 7).hash
    with pytest.raises(SpaceError, match="did you mean 'resnet50'"):
        nl.spaces.named_network("resnet5")
    with pytest.raises(SpaceError, match="channels"):
        nl.spaces.named_network("resnet50", channels=3)


# -- genotypes in all their forms, and what is none ----------------------------------------------------------------------
def test_genotypes_are_read_in_every_form() -> None:
    darts = as_genotype("darts")
    fields = darts.to_dict()
    for form in (fields, json.dumps(fields), str(darts), SimpleNamespace(**fields), darts, "DARTS"):
        assert as_genotype(form) == darts
    fields["normal_concat"] = range(2, 6)
    assert as_genotype(fields) == darts
    assert parse_operation("max_pool_5x5") == ("max_pool", 5)


CONV = [("conv_3x3", 0), ("conv_3x3", 1)]


@pytest.mark.parametrize(
    ("genotype", "said"),
    [
        ((CONV, [2], [("conv_4x4", 0), ("msa", 1)], [2]), "no operation 'conv_4x4'"),
        ((CONV, [2], [("sep_conv", 0), ("msa", 1)], [2]), "did you mean 'sep_conv_"),
        ((CONV, [2], [("cse", 0), ("msa", 2)], [2]), "there are states 0 to 1"),
        ((CONV, [3], CONV, [2]), "there are states 0 to 2"),
        ((CONV, [], CONV, [2]), "concat"),
        ((CONV, [2, 2], CONV, [2]), "twice"),
        ((CONV[:1], [2], CONV, [2]), "two \\(operation, state\\) pairs"),
        ((CONV, [2], [("cse",), ("msa", 1)], [2]), "expected a pair"),
        ((CONV, [2], [("cse", "0"), ("msa", 1)], [2]), "state '0'"),
    ],
)  # fmt: skip
def test_what_is_no_genotype(genotype: tuple, said: str) -> None:
    with pytest.raises(SpaceError, match=said):
        nl.spaces.Genotype(*genotype)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"genotype": "resnet"}, "darts"),
        ({"genotype": {"normal": CONV}}, "without 'normal_concat'"),
        ({"channels": 0}, "C = 0"),
        ({"cells": "many"}, "n_cells = 'many'"),
        ({"ks": 4}, "odd"),
        ({"norm": "layer"}, "norm = 'layer'"),
        ({"stem_typ": 1}, "did you mean 'stem_type'"),
        ({"preproc": False}, "preproc=False needs"),
        ({"input_shape": (3, 30, 30)}, "even sizes"),
        ({"input_shape": (3, 32, 32), "is_imagenet_input": True}, "give one of them"),
        ({"genotype": "none~0 none~1 > 2 / none~0 none~1 > 2"}, "'none' cuts"),
        ({"genotype": "vit", "channels": 4}, "heads of msa"),
    ],
)  # fmt: skip
def test_settings_that_make_no_network(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SpaceError, match=said):
        DeepNets1M.network(**{"genotype": "darts", "channels": 16, "cells": 8} | given)
