"""Whole models: the number of sizes that are free, what they are, and half of each removed."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import netloom as nl
from benchmarks import torchvision_shim  # noqa: F401  (before torchvision)
from netloom.mutate import Dimensions, analyse, shrink
from tests.mutate.mask_oracle import check_removal, comparable, halves

torchvision = pytest.importorskip("torchvision")


def vision(name: str, **options: Any) -> nl.Graph:
    model = torchvision.models.get_model(name, weights=None, **options).eval()
    side = options.get("image_size", 64)
    return nl.trace(model, torch.randn(2, 3, side, side))


def removed(graph: nl.Graph, *inputs: torch.Tensor, dims: Dimensions) -> None:
    """Half of every free atom goes: the network runs; and of those over which nothing normalises, outputs are compared."""
    kept = halves(dims)
    if not check_removal(graph, kept, inputs, dims):
        assert check_removal(graph, comparable(dims, kept), inputs, dims)


#: Free atoms: one for each set of layers whose widths agree. EfficientNet: stem, head, 7 stages, 15 expansions, 16 squeezes;
#: the vision transformer: its embedding, and heads, width of a head and hidden layer in each of 12 blocks.
FREE = {
    "resnet18": 12, "resnet50": 37, "densenet121": 120, "mobilenet_v2": 25, "efficientnet_b0": 1 + 1 + 7 + 15 + 16,
    "convnext_tiny": 22, "vit_b_16": 1 + 12 * 3,
}  # fmt: skip


@pytest.mark.parametrize("name", FREE)
def test_free_atoms_of_published_models(name: str) -> None:
    dims = analyse(vision(name, **({"image_size": 64} if name.startswith("vit") else {})))
    dims.check()
    assert len(dims.free) == FREE[name]


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "shufflenet_v2_x0_5"])
def test_removals_from_published_models(name: str) -> None:
    graph = vision(name, num_classes=10)
    x = torch.randn(2, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    removed(graph, x, dims=analyse(graph))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet50", "densenet121", "efficientnet_b0", "convnext_tiny", "swin_t", "swin_v2_t"])
def test_removals_from_larger_models(name: str) -> None:
    test_removals_from_published_models(name)


def test_stages_of_a_residual_network_move_together() -> None:
    dims = analyse(vision("resnet18"))
    stage = ["conv1.weight", "layer1.0.conv2.weight", "layer1.1.conv2.weight"]
    assert [dims.of(key)[0] for key in stage] == ["conv1"] * 3
    assert "(through bn1, relu, maxpool" in dims.explain("conv1")


def test_the_channels_of_an_input_and_the_classes_stay() -> None:
    dims = analyse(vision("resnet18"))
    assert dims[dims.of("conv1.weight")[1]].frozen == "axis 1 of the result of input 'x'"
    assert dims[dims.of("fc.weight")[0]].frozen == "axis 1 of an output"


@pytest.mark.parametrize("name, free", [("bert", 11), ("llama", 10), ("gpt2", 9), ("swin", 18), ("t5", 19)])
def test_transformers(name: str, free: int) -> None:
    pytest.importorskip("transformers")
    from benchmarks import gallery_transformers

    torch.manual_seed(0)
    model, example = getattr(gallery_transformers, name)()
    graph = nl.trace(model.eval(), example)
    dims = analyse(graph)
    dims.check()
    assert len(dims.free) == free
    inputs = {key: value.double() if value.is_floating_point() else value for key, value in example.items()}
    kept = halves(dims)
    if not check_removal(graph, kept, inputs, dims):
        assert check_removal(graph, comparable(dims, kept), inputs, dims)


def test_key_heads_of_llama_keep_their_query_heads_and_rotations_go_in_pairs() -> None:
    pytest.importorskip("transformers")
    from benchmarks.gallery_transformers import llama

    model, example = llama()
    dims = analyse(nl.trace(model.eval(), example))
    query, key = (dims.of(f"model.layers.0.self_attn.{name}_proj.weight")[0] for name in "qk")
    heads, shared, width = query.parts
    assert key.parts == (heads, width) and dims.sizes[heads] == 2 and dims.sizes[shared] == 2
    assert width.parts[0] == width.parts[1]
    assert dims.of("model.layers.1.self_attn.q_proj.weight")[0].parts[2] == width, "all layers share the table of angles"


def test_a_smaller_model_has_the_atoms_of_the_larger_one() -> None:
    graph = vision("resnet18")
    dims = analyse(graph)
    smaller, _ = shrink(graph, halves(dims), dims)
    kept = halves(dims)
    assert {a.id: a.size for a in analyse(smaller).free} == {a.id: len(kept[a.id]) for a in dims.free}
