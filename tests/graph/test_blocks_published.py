"""The blocks of published models are those their authors wrote; found without a look at the names that prove it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import pytest
import torch

import netloom as nl
from netloom.graph.block_labels import MAX_LINES
from netloom.graph.blocks import Block


def repeats(block: Block) -> Iterator[Block]:
    """The repeats that no other repeat contains."""
    if block.kind == "repeat":
        yield block
    else:
        for part in block.parts:
            yield from repeats(part)


def modules(prefix: str, *stages: Any, start: int = 0) -> list[list[str]]:
    """``modules("layer{}.{}", 2, 3, start=1)``: the paths of the instances of each stage, numbered within it."""
    return [[prefix.format(stage, i) for i in range(count)] for stage, count in enumerate(stages, start)]


def numbered(prefix: str, *stages: range) -> list[list[str]]:
    return [[f"{prefix}{i}" for i in stage] for stage in stages]


def paths(steps: Iterable[Any]) -> set[str]:
    return {step.name.partition("@")[0] for step in steps}


def check(graph: nl.Graph, expected: list[list[str]]) -> list[Block]:
    """The repeats are the expected ones, instance by instance: each is all steps of its module and no others."""
    root = graph.blocks()
    found = list(repeats(root))
    assert [repeat.count for repeat in found] == list(map(len, expected))
    for repeat, modules in zip(found, expected):
        for part, module in zip(repeat.parts, modules):
            under = [step for step in graph.steps if step.name == module or step.name.startswith(module + ".")]
            assert paths(part.steps) == paths(under)
    assert str(root).count("\n") < MAX_LINES
    return found


# -- torchvision -------------------------------------------------------------------------------------------------------
@cache
def vision(name: str, side: int = 224, **options: Any) -> nl.Graph:
    try:
        from benchmarks import torchvision_shim  # noqa: F401  (before torchvision)

        import torchvision  # isort: skip
    except ImportError:
        pytest.skip("torchvision is not installed")
    with torch.device("cpu" if name.startswith("regnet") else "meta"):
        model = getattr(torchvision.models, name)(weights=None, **options)
    return nl.trace(model, torch.zeros(2, 3, side, side))


VISION: dict[str, list[list[str]]] = {
    "resnet18": modules("layer{}.{}", 2, 2, 2, 2, start=1),
    "resnet50": modules("layer{}.{}", 3, 4, 6, 3, start=1),
    "mobilenet_v2": numbered("features.", range(2, 4), range(4, 7), range(7, 11), range(11, 14), range(14, 17)),
    "efficientnet_b0": [[f"features.{stage}.{i}" for i in range(count)] for stage, count in zip(range(2, 7), (2, 2, 3, 3, 4))],
    "convnext_tiny": [[f"features.{2 * stage + 1}.{i}" for i in range(count)] for stage, count in enumerate((3, 3, 9, 3))],
    "vit_b_16": [[f"encoder.layers.encoder_layer_{i}" for i in range(12)]],
    "densenet121": [
        [f"features.denseblock{block}.denselayer{i}" for i in range(1, count + 1)]
        for block, count in enumerate((6, 12, 24, 16), 1)
    ],
    "shufflenet_v2_x0_5": modules("stage{}.{}", 4, 8, 4, start=2),
    "regnet_x_400mf": [[f"trunk_output.block{b}.block{b}-{i}" for i in range(n)] for b, n in ((2, 2), (3, 7), (4, 12))],
    "inception_v3": [["Mixed_5c", "Mixed_5d"], [f"Mixed_6{c}" for c in "bcde"], ["Mixed_7b", "Mixed_7c"]],
    "googlenet": [["inception4b", "inception4c"]],
}


#: The others are traced by `make test-slow`.
QUICK = {"resnet50", "mobilenet_v2", "vit_b_16", "densenet121", "convnext_tiny"}


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in VISION])
def test_vision(name: str) -> None:
    options: dict[str, Any] = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    graph = vision(name, 299 if name == "inception_v3" else 224, **options)
    if name == "inception_v3":  # its other modules hold repeats of their own
        found = [repeat for repeat in repeats(graph.blocks()) if not repeat.prefix]
        assert [[part.prefix for part in repeat.parts] for repeat in found] == VISION[name]
    else:
        check(graph, VISION[name])


def test_first_blocks_of_stages_differ() -> None:
    root = vision("resnet50").blocks()
    for stage in repeats(root):
        first, *rest = stage.parts
        assert not stage.exact and len(first) == len(rest[0]) + 2
        assert len({part.summary for part in rest}) == 1 and first.summary is not rest[0].summary
        assert stage.typical in rest
    assert [stage.label for stage in repeats(root)] == ["layer1", "layer2", "layer3", "layer4"]
    assert root.summary.num_params == 25_557_032


def test_pairs_of_windows() -> None:
    stages = list(repeats(vision("swin_t").blocks()))
    assert [stage.count for stage in stages] == [2, 2, 3, 2]
    pairs = [part.prefix for pair in stages[2].parts for part in pair.parts]
    assert all(pair.kind == "repeat" and pair.count == 2 for pair in stages[2].parts)
    assert pairs == [f"features.5.{i}" for i in range(6)]
    others = [[part.prefix for part in stages[i].parts] for i in (0, 1, 3)]
    assert others == [[f"features.{stage}.{i}" for i in range(2)] for stage in (1, 3, 7)]


def test_convolutions_between_pools() -> None:
    root = vision("vgg16").blocks()
    assert [repeat.count for repeat in repeats(root)] == [2, 2, 3, 3, 3, 2]
    assert all([step.op for step in part.steps[:2]] == ["conv2d", "relu"] for r in [*repeats(root)][:5] for part in r.parts)


# -- transformers ------------------------------------------------------------------------------------------------------
def language(name: str, **sizes: Any) -> nl.Graph:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    ids = torch.ones(2, 6, dtype=torch.long)
    config = getattr(transformers, f"{name}Config")(vocab_size=32, bos_token_id=0, eos_token_id=1, **sizes)
    suffix = {"GPT2": "LMHeadModel", "Llama": "ForCausalLM", "T5": "ForConditionalGeneration"}.get(name, "Model")
    inputs = {"input_ids": ids}
    if name == "Bert":
        inputs["attention_mask"] = torch.ones_like(ids)
    if name == "T5":
        inputs["decoder_input_ids"] = ids
    return nl.trace(getattr(transformers, f"{name}{suffix}")(config), inputs)


@pytest.mark.parametrize(("name", "sizes", "expected"), [
    ("Bert", {"hidden_size": 16, "num_hidden_layers": 12, "num_attention_heads": 2, "intermediate_size": 32},
     [[f"encoder.layer.{i}" for i in range(12)]]),
    pytest.param("GPT2", {"n_embd": 16, "n_layer": 4, "n_head": 2}, [[f"transformer.h.{i}" for i in range(4)]],
                 marks=pytest.mark.slow),
    pytest.param("Llama", {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "num_key_value_heads": 1,
                           "intermediate_size": 32}, [[f"model.layers.{i}" for i in range(4)]], marks=pytest.mark.slow),
    ("T5", {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 3, "num_heads": 2},
     [[f"{part}.block.{i}" for i in range(3)] for part in ("encoder", "decoder")]),
])  # fmt: skip
def test_language(name: str, sizes: dict[str, Any], expected: list[list[str]]) -> None:
    found = check(language(name, **sizes), expected)
    # The first block of each half of T5 works out the position bias that the others read.
    assert [repeat.exact for repeat in found] == [name != "T5"] * len(expected)


@pytest.mark.slow
def test_mixer() -> None:
    timm = pytest.importorskip("timm")
    graph = nl.trace(timm.create_model("mixer_s32_224"), torch.zeros(2, 3, 224, 224))
    (found,) = check(graph, [[f"blocks.{i}" for i in range(8)]])
    assert found.exact and [part.kind for part in found.parts[0].parts] == ["group", "group"]


# -- small models, as people write them ----------------------------------------------------------------------------------
class Pieces(torch.nn.Module):
    """A layer applied four times, a cell unrolled over time."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.cell = torch.nn.LSTMCell(16, 8)
        self.head = torch.nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(4):
            x = self.layer(x)
        h = c = x.new_zeros(x.shape[0], 8)
        results = []
        for t in range(x.shape[1]):
            h, c = self.cell(x[:, t], (h, c))
            results.append(self.head(h))
        return torch.stack(results, 1)


def test_shared_layer_and_unrolled_cell() -> None:
    graph = nl.trace(Pieces(), torch.zeros(2, 5, 16))
    layers, cells = repeats(graph.blocks())
    assert (layers.count, layers.exact, cells.count) == (4, True, 5)
    assert layers.summary.num_params == layers.parts[0].summary.num_params
    assert [step.op for step in cells.parts[2].steps] == ["getitem", "lstm_cell", "linear"]
