"""Edits of published models: torchvision's, timm's, and small configurations of Hugging Face families.

The quick form takes a few sizes of each model, the slow one all, by all amounts and in all modes.
"""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import pytest
import torch
from torch import nn

import netloom as nl
from benchmarks import torchvision_shim  # noqa: F401  (before torchvision and timm)
from netloom.errors import NetloomError
from netloom.ops import Edge
from tests.mutate.edit_checks import BOUND, check_edit, distance, equal, network, outputs
from tests.mutate.small_models import stir

Made = tuple[nn.Module, Any]

VISION = ["resnet18", "mobilenet_v3_small", "shufflenet_v2_x0_5"]
MORE_VISION = ["squeezenet1_1", "densenet121", "efficientnet_b0", "regnet_y_400mf", "convnext_tiny", "swin_t", "mnasnet0_5"]
TIMM = ["test_resnet", "test_vit", "test_convnext", "test_efficientnet_gn"]
MORE_TIMM = ["test_efficientnet", "test_nfnet", "test_byobnet", "test_maxvit", "test_mambaout", "test_vit2", "test_vit_relpos"]
TEXT = ["bert", "gpt2", "llama", "t5"]
MORE_TEXT = ["swin", "roberta", "distilbert", "albert", "opt", "mistral", "qwen2", "gpt_neox"]
QUICK = VISION + TIMM + TEXT
EVERY = QUICK + MORE_VISION + MORE_TIMM + MORE_TEXT

#: Model → patterns of atoms of which growth by one changes what it computes: a layer norm or group norm, or the standard
#: deviation of a weight, is taken over them. All other growth preserves.
NORMED: dict[str, tuple[str, ...]] = {
    "test_vit": ("patch_embed.proj",),
    "test_vit2": ("patch_embed.proj", "reg_token"),
    "test_vit_relpos": ("patch_embed.proj",),
    "test_convnext": ("stem.0", "stages.?.downsample.1"),
    "test_mambaout": ("stem.conv2", "stages.?.downsample.conv"),
    "test_maxvit": ("stem.conv2", "stages.[123].blocks.0.conv.shortcut.expand"),
    "test_efficientnet_gn": ("*:2",),
    "test_nfnet": ("stem.conv?.weight", "stages.*.conv*.weight*"),
    "convnext_tiny": ("features.0.0", "features.[246].1"),
    "swin_t": ("features.0.0", "features.[246].reduction"),
    "swin": ("*.projection", "*.reduction"),
    "bert": ("*.word_embeddings",),
    "albert": ("*.word_embeddings",),
    "distilbert": ("*.word_embeddings",),
    "gpt2": ("transformer.wte", "*.c_attn.bias:2"),
    "opt": ("model.decoder.embed_tokens",),
    "gpt_neox": ("gpt_neox.embed_in",),
}

#: Model → patterns of atoms of which whole multiples change it as well: the standard deviation of weights with zeros in them;
#: registers that attention sees; a layer norm over embeddings that the output shares; queries and keys of one fused projection
#: that is a plain product, which would both be zero and never learn.
NEVER: dict[str, tuple[str, ...]] = {
    "test_nfnet": NORMED["test_nfnet"],
    "test_vit2": ("reg_token",),
    "distilbert": NORMED["distilbert"],
    "gpt2": NORMED["gpt2"],
    "opt": NORMED["opt"],
}

#: Model → patterns of atoms that cannot grow: indices of theirs are tied one by one, by shuffles or by tables of positions.
REFUSED: dict[str, tuple[str, ...]] = {
    "shufflenet_v2_x0_5": ("stage3.0.branch1.2*",),
    "swin_t": ("features.[57].*.relative_position_index*",),
}

#: Models that compute their norms in single precision whatever theirs is.
SINGLE = {"llama", "mistral", "qwen2", "t5"}


def _made(name: str) -> Made:
    torch.manual_seed(0)
    if name in VISION + MORE_VISION:
        torchvision = pytest.importorskip("torchvision")
        return torchvision.models.get_model(name, weights=None, num_classes=5), torch.randn(1, 3, 64, 64)
    if name in TIMM + MORE_TIMM:
        timm = pytest.importorskip("timm")
        model = timm.create_model(name, num_classes=5)
        side = model.default_cfg["input_size"][-1]
        return model, torch.randn(1, 3, side, side)
    pytest.importorskip("transformers")
    from benchmarks import gallery_transformers

    make: Callable[[], Made] = getattr(gallery_transformers, name)
    return make()


def _double(value: torch.Tensor) -> torch.Tensor:
    return value.double() if value.is_floating_point() else value


@cache
def prepared(name: str) -> tuple[nl.Network, Any, list[torch.Tensor]]:
    """The model as a network in double precision, its inputs, and what it gives."""
    model, example = _made(name)
    model = model.double().eval()
    stir(model)
    inputs = {k: _double(v) for k, v in example.items()} if isinstance(example, dict) else (_double(example),)
    net = network(model, inputs)
    return net, inputs, outputs(net, inputs)


def growth(name: str, atom: Any, size: int, new: str) -> bool | None:
    """Whether the plan of this growth says that it preserves; None where it is refused. What it says is held to it."""
    net, inputs, expected = prepared(name)
    edit = nl.edit(net, new=new)
    try:
        edit.ask(atom.id, repr(atom.id), None, size, False)
        plan = edit.plan
    except NetloomError:
        return None
    found = outputs(edit.result, inputs)
    if plan.preserving:
        assert distance(found, expected) < (1e-6 if name in SINGLE else BOUND), (atom.id, size)
    return plan.preserving


def some(name: str, count: int) -> list[Any]:
    """That many of the free atoms, evenly spread."""
    free = nl.edit(prepared(name)[0]).dims().free
    return [free[i * len(free) // count] for i in range(count)] if len(free) > count else list(free)


def is_in(table: dict[str, tuple[str, ...]], name: str, atom: Any) -> bool:
    return any(fnmatchcase(atom.id, pattern) for pattern in table.get(name, ()))


def check_growth(name: str, atoms: list[Any]) -> None:
    assert atoms
    for atom in atoms:
        by_one, twice = growth(name, atom, atom.size + 1, "zero"), growth(name, atom, 2 * atom.size, "zero")
        if is_in(REFUSED, name, atom):
            assert by_one is None and twice is None, atom.id
            continue
        assert by_one is not is_in(NORMED, name, atom), (atom.id, by_one)
        assert twice is not is_in(NEVER, name, atom), (atom.id, twice)


@pytest.mark.parametrize("name", QUICK)
def test_growth(name: str) -> None:
    """What preserves says so, and does."""
    check_growth(name, some(name, 2))


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_growth_of_every_size(name: str) -> None:
    atoms = some(name, 1000)
    check_growth(name, atoms)
    for atom in atoms:
        growth(name, atom, atom.size + max(atom.size // 4, 1), "zero")
        for new in ("copy", "split"):
            for size in (atom.size + 1, 2 * atom.size):
                growth(name, atom, size, new)


def places(net: nl.Network, count: int) -> list[str]:
    """That many nodes with weights, evenly spread."""
    found = [node.name for node in net.graph.nodes if node.weights and node.op in ("linear", "conv2d", "batch_norm")]
    return [found[i * len(found) // count] for i in range(count)]


SMALL = [*TIMM[:2], "gpt2", "t5"]


@pytest.mark.parametrize("name", [*SMALL, *(pytest.param(n, marks=pytest.mark.slow) for n in EVERY if n not in SMALL)])
def test_edits(name: str) -> None:
    """A layer shrinks; an identity stands after each of some layers, and changes no bit; kernels grow."""
    net, inputs, expected = prepared(name)
    atom = next(atom for atom in some(name, 1000) if atom.size > 2 and not is_in(REFUSED, name, atom))
    edit = nl.edit(net)
    edit.drop(atom.id, [atom.size - 1, 1], repr(atom.id))
    check_edit(edit, inputs)
    for place in places(net, 2):
        edit = nl.edit(net)
        type_ = edit.graph.type_of(Edge(place))
        conv = type_.rank == 4 and isinstance(type_.shape[1], int)
        layer = nl.op.conv2d(type_.shape[1], kernel=3, padding=1) if conv else nl.op.linear(type_.shape[-1])
        edit.insert_after(place, layer)
        assert edit.plan.preserving
        found = check_edit(edit, inputs)
        assert distance(found, expected) < 1e-12 if name in SINGLE else equal(found, expected), place
    convs = [node for node in net.graph.nodes if node.op == "conv2d" and len(set(node.attrs["kernel"])) == 1]
    for node in convs[:1]:
        edit = nl.edit(net)
        edit.change(node.name, kernel=node.attrs["kernel"][0] + 2)
        assert edit.plan.preserving
        check_edit(edit, inputs)
