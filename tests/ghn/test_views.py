"""`hyper_graph`: equal to the original where there is one, and right where the original fails."""

from __future__ import annotations

import hashlib
from typing import Any

import networkx
import numpy as np
import pytest
import torch
from torch import nn

import netloom as nl
from netloom.errors import GraphError
from netloom.ghn.batching import levels
from netloom.ghn.strides import viewed
from tests.ghn.networks import (
    IMAGE,
    Attention,
    Parallel,
    Tied,
    deepnets,
    needs_reference,
    reference,
    tiny,
    torchvision_model,
)


def is_equal(view: Any, expected: Any) -> None:
    """The same types in the same order, shapes, edges, and distances."""
    assert list(view.types) == [node["type"] for node in expected["nodes"]]
    assert [list(shape) if shape else None for shape in view.shapes] == [node["shape"] for node in expected["nodes"]]
    assert [list(edge) for edge in view.edges] == expected["edges_1hop"]
    assert hashlib.sha256(view.distances.tobytes()).hexdigest() == expected["adjacency_uint8_sha256"]
    values, counts = np.unique(view.distances[view.distances > 0], return_counts=True)
    assert dict(zip(map(str, values), counts.tolist())) == expected["distance_histogram"]
    assert view.average_degree == pytest.approx(expected["properties"]["avg_degree"], abs=1e-12)
    assert view.average_path == pytest.approx(expected["properties"]["avg_path"], abs=1e-9)


@needs_reference
def test_tiny_is_as_in_the_original() -> None:
    view = nl.ghn.hyper_graph(tiny(), IMAGE)
    expected = reference("graph_ppuda_tiny.json")
    is_equal(view, expected)
    named = [node["name"] for node in expected["nodes"] if node["module"]]
    assert [node.name for node in view.nodes if node.is_parameter] == named


@needs_reference
@pytest.mark.parametrize("name", ["deepnets_demo", "deepnets_vit"])
def test_networks_of_deepnets_are_as_in_the_original(name: str) -> None:
    """Whether they come from a genotype, or from tracing the network of it."""
    graph = deepnets(name)
    is_equal(nl.ghn.hyper_graph(graph), reference(f"graph_ppuda_{name}.json"))
    is_equal(nl.ghn.hyper_graph(nl.trace(nl.build(graph, seed=0), IMAGE)), reference(f"graph_ppuda_{name}.json"))


@needs_reference
def test_resnet18_is_as_in_the_original() -> None:
    model = torchvision_model("resnet18")
    is_equal(nl.ghn.hyper_graph(model, torch.zeros(1, 3, 224, 224)), reference("graph_ppuda_resnet18.json"))


def test_published_statistics_of_vit() -> None:
    view = nl.ghn.hyper_graph(nl.spaces.DeepNets1M.network("vit", 128, 12, preproc=False, C_mult=1))
    assert (len(view), view.average_degree, view.average_path) == (129, 2.294573643410853, 10.700096899224807)


def test_published_statistics_of_resnet50_at_32_pixels() -> None:
    model = nl.ghn.adapt_to_small_images(torchvision_model("resnet50", num_classes=10))
    view = nl.ghn.hyper_graph(model, IMAGE)
    assert (len(view), view.average_degree, view.average_path) == (126, 2.238095238095238, 11.193269841269842)


# -- distances -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("cutoff", [1, 3, 50])
def test_distances_are_shortest_paths(cutoff: int) -> None:
    view = nl.ghn.hyper_graph(nl.spaces.DeepNets1M("train").sample(np.random.default_rng(3)), virtual_edges=cutoff)
    found = dict(networkx.all_pairs_shortest_path_length(view.to_networkx(), cutoff=cutoff))
    expected = np.zeros_like(view.distances)
    for a, lengths in found.items():
        for b, length in lengths.items():
            expected[a, b] = length
    assert np.array_equal(view.distances, expected)
    assert view.average_path == pytest.approx(networkx.average_shortest_path_length(view.to_networkx().to_undirected()))


def test_nodes_are_in_order_of_computation_and_levels_are_longest_ways() -> None:
    view = nl.ghn.hyper_graph(nl.spaces.DeepNets1M("train").sample(np.random.default_rng(4)))
    assert all(a < b for a, b in view.edges)
    generations = list(networkx.topological_generations(view.to_networkx()))
    expected = {node: number for number, layer in enumerate(generations) for node in layer}
    assert levels(view).tolist() == [expected[node] for node in range(len(view))]
    back = list(networkx.topological_generations(view.to_networkx().reverse()))
    expected = {node: number for number, layer in enumerate(back) for node in layer}
    assert levels(view, reverse=True).tolist() == [expected[node] for node in range(len(view))]


def test_looking_at_a_view_does_not_change_it() -> None:
    """The original's statistics and pictures erase virtual edges."""
    view = nl.ghn.hyper_graph(Tied(), IMAGE)
    before = view.distances.copy()
    _ = view.average_degree, view.average_path, view.to_networkx(), view.virtual_edges, repr(view)
    assert np.array_equal(view.distances, before) and view.distances.max() > 1
    with pytest.raises(ValueError, match="read-only"):
        view.distances[0, 0] = 1


@pytest.mark.parametrize("shape", [(4, 6), (2, 3, 4), (1, 5, 1, 4)])
def test_views_of_tensors_are_those_of_torch(shape: tuple[int, ...]) -> None:
    tensor = torch.zeros(*reversed(shape)).permute(*reversed(range(len(shape))))
    for target in [(tensor.numel(),), (2, tensor.numel() // 2), (*shape, 1), (tensor.numel() // 2, 2)]:
        try:
            tensor.view(target)
            fits = True
        except RuntimeError:
            fits = False
        assert viewed(tuple(tensor.shape), tensor.stride(), target) == fits


# -- what the original loses or refuses ------------------------------------------------------------------------------------
def test_every_attention_has_its_node() -> None:
    """The original loses them all on torch 2."""
    written = nl.ghn.hyper_graph(nn.Sequential(Attention(), Attention(), nn.Flatten(), nn.Linear(40, 10)), torch.zeros(1, 5, 8))
    assert written.counts()["msa"] == 2
    fused = nl.ghn.hyper_graph(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), torch.zeros(1, 5, 8))
    assert fused.counts()["msa"] == 1


def test_two_layers_on_the_input_and_two_heads() -> None:
    view = nl.ghn.hyper_graph(Parallel(), IMAGE)
    assert [view.nodes[b].name for a, b in view.edges if a == 0] == ["left.weight", "right.weight"]
    assert {node.name for node in view.nodes if node.is_class} == {"first.weight", "first.bias", "second.weight"}


def test_a_head_without_bias_is_the_only_class_layer() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 900, 6), nn.ReLU(), nn.Linear(6, 10, bias=False))
    assert [node.name for node in nl.ghn.hyper_graph(model, IMAGE).nodes if node.is_class] == ["4.weight"]


def test_tied_layers_have_a_node_for_each_call() -> None:
    view = nl.ghn.hyper_graph(Tied(), IMAGE)
    assert view.names.count("shared.weight") == 2


def test_slopes_and_frozen_parameters() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.PReLU(8), nn.Conv2d(8, 8, 1))
    model[0].weight.requires_grad_(False)
    view = nl.ghn.hyper_graph(model, IMAGE)
    assert view.types == ("input", "conv", "bias", "conv", "bias")
    assert [loose.name for loose in view.loose] == ["1.weight"]


def test_other_layers_are_taken_for_their_likes() -> None:
    model = nn.Sequential(
        nn.Conv1d(4, 8, 3),
        nn.GroupNorm(2, 8),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.ConvTranspose1d(8, 4, 2),
        nn.InstanceNorm1d(4, affine=True),
    )
    assert nl.ghn.hyper_graph(model, torch.zeros(1, 4, 16)).types == (
        "input",
        "conv",
        "bias",
        "ln",
        "max_pool",
        "conv",
        "bias",
        "ln",
    )


def test_a_network_without_parameters() -> None:
    view = nl.ghn.hyper_graph(nn.Sequential(nn.ReLU(), nn.Flatten()), IMAGE)
    assert view.types == ("input",) and view.edges == () and view.average_path == 0


def test_styles_differ_in_squeeze_and_excitation() -> None:
    x = nl.input(8, 6, 6)
    y = nl.conv2d(x, 8, kernel=3, padding=1, name="stem")
    gate = nl.sigmoid(nl.conv2d(nl.adaptive_avg_pool2d(y, 1), 8, kernel=1, name="gate"))
    graph = nl.Graph(x, nl.linear(nl.flatten(gate * y), 10, name="head"))
    counts = [nl.ghn.hyper_graph(graph, style=style).counts() for style in ("ppuda", "ghn3")]
    assert [(count.get("cse", 0), count.get("glob_avg", 0)) for count in counts] == [(0, 1), (1, 0)]


# -- mistakes --------------------------------------------------------------------------------------------------------------
def test_mistakes_are_named() -> None:
    with pytest.raises(GraphError, match="give an example of its inputs"):
        nl.ghn.hyper_graph(Tied())
    with pytest.raises(GraphError, match="virtual_edges = 0; expected a whole number from 1"):
        nl.ghn.hyper_graph(Tied(), IMAGE, virtual_edges=0)
    with pytest.raises(GraphError, match="style 'other' is none of ppuda, ghn3"):
        nl.ghn.hyper_graph(Tied(), IMAGE, style="other")
