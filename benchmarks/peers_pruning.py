"""Torch-Pruning on 55 models: what `benchmarks.mutate_gallery` sets beside netloom.

Its default settings (`BasePruner`, L2 group magnitude, ratio 0.5, the classifier ignored). Its result is compared with the
original whose removed channels have weights of zero, wherever no norm reduces over them; and of queries and keys is looked at
whether whole heads went, the same positions of every head, or neither, which regroups what stays into other heads.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks import torchvision_shim  # noqa: F401  (before torchvision and timm)

import timm  # isort: skip
import torch
import torchvision
from torch import nn

from netloom.testing import exactness

Made = tuple[nn.Module, Any]

#: torchvision's classifiers → side of the image.
_TORCHVISION = {
    **dict.fromkeys("""resnet18 resnext50_32x4d densenet121 googlenet mobilenet_v2 mobilenet_v3_small mnasnet1_0
        shufflenet_v2_x1_0 squeezenet1_0 efficientnet_b0 efficientnet_v2_s regnet_y_400mf convnext_tiny""".split(), 128),
    **dict.fromkeys("alexnet vgg11_bn inception_v3 vit_b_16 swin_t swin_v2_t maxvit_t".split(), 224),
}  # fmt: skip
_SEGMENTATION = ("deeplabv3_resnet50", "lraspp_mobilenet_v3_large")
_TIMM = {
    **dict.fromkeys("""resnet26d efficientnet_b0 mobilenetv3_large_100 convnextv2_atto res2net50_26w_4s ghostnet_100
        hrnet_w18_small repvgg_a0 poolformer_s12 ecaresnet26t skresnet18 dla34 cspresnet50 nfnet_f0 rexnet_100""".split(), 128),
    **dict.fromkeys("""vit_tiny_patch16_224 mixer_s16_224 xcit_nano_12_p16_224 levit_128s swin_tiny_patch4_window7_224
        fastvit_t8""".split(), 224),
}  # fmt: skip
_HEADS = {"num_attention_heads": 8, "vocab_size": 1000}
_EAGER = {"attn_implementation": "eager"}
_DECODER = {**_HEADS, **_EAGER, "hidden_size": 256, "num_hidden_layers": 2, "use_cache": False}
_LLAMA = {**_DECODER, "hidden_size": 512, "intermediate_size": 1376, "num_hidden_layers": 4}


def torchvision_model(name: str, side: int) -> Made:
    options = {"aux_logits": False, "init_weights": False} if name in ("googlenet", "inception_v3") else {}
    return torchvision.models.get_model(name, weights=None, **options), torch.randn(1, 3, side, side)


def segmentation_model(name: str) -> Made:
    model = torchvision.models.get_model(name, weights=None, weights_backbone=None, num_classes=21)
    return model, torch.randn(1, 3, 128, 128)


def timm_model(name: str, side: int) -> Made:
    return timm.create_model(name, pretrained=False), torch.randn(1, 3, side, side)


def _text(model: str, config: str, decoder: bool = False, **options: Any) -> Made:
    import transformers

    ids = torch.randint(0, 900, (1, 16))
    made = getattr(transformers, model)(getattr(transformers, config)(**options))
    return made, {"input_ids": ids, "decoder_input_ids": ids} if decoder else {"input_ids": ids}


def _hugging_face() -> dict[str, Callable[[], Made]]:
    llama = partial(_text, "LlamaForCausalLM", "LlamaConfig")
    gpt2 = {"n_layer": 3, "n_embd": 384, "n_head": 6, "vocab_size": 1000, "use_cache": False, **_EAGER}
    opt = {**_DECODER, "ffn_dim": 512, "word_embed_proj_dim": 256}
    t5 = {"d_model": 256, "d_kv": 32, "d_ff": 512, "num_layers": 2, "num_heads": 8, "vocab_size": 1000, "use_cache": False}
    return {
        "bert_base": partial(_text, "BertForSequenceClassification", "BertConfig", **_EAGER),
        "distilbert": partial(_text, "DistilBertForSequenceClassification", "DistilBertConfig", n_layers=3, **_EAGER),
        "llama_gqa": partial(llama, **_LLAMA, num_key_value_heads=2),
        "llama_mha": partial(llama, **_LLAMA, num_key_value_heads=8),
        "llama_tied": partial(llama, **_DECODER, intermediate_size=512, num_key_value_heads=8, tie_word_embeddings=True),
        "gpt2": partial(_text, "GPT2LMHeadModel", "GPT2Config", **gpt2),
        "qwen2": partial(_text, "Qwen2ForCausalLM", "Qwen2Config", **_DECODER, intermediate_size=512, num_key_value_heads=2),
        "opt": partial(_text, "OPTForCausalLM", "OPTConfig", **opt),
        "t5": partial(_text, "T5ForConditionalGeneration", "T5Config", decoder=True, **t5),
        "vit_hf": _vit,
    }


def _vit() -> Made:
    import transformers

    sizes = {"hidden_size": 192, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 384}
    model = transformers.ViTForImageClassification(transformers.ViTConfig(**sizes, **_EAGER))
    return model, {"pixel_values": torch.randn(1, 3, 224, 224)}


class Recurrent(nn.Module):
    """Embedding, LSTM, and a linear layer on its last state."""

    def __init__(self) -> None:
        super().__init__()
        self.emb, self.lstm, self.fc = nn.Embedding(100, 32), nn.LSTM(32, 64, batch_first=True), nn.Linear(64, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.lstm(self.emb(x))[0][:, -1])  # type: ignore[no-any-return]


def models() -> dict[str, Callable[[], Made]]:
    """The 55 models: name → function that builds it; timing ones of `benchmarks.mutate` are among them in other sizes."""
    return {
        **{f"torchvision/{name}": partial(torchvision_model, name, side) for name, side in _TORCHVISION.items()},
        **{f"torchvision/{name}": partial(segmentation_model, name) for name in _SEGMENTATION},
        "torchvision/r3d_18": lambda: (torchvision.models.get_model("r3d_18", weights=None), torch.randn(1, 3, 8, 64, 64)),
        **{f"timm/{name}": partial(timm_model, name, side) for name, side in _TIMM.items()},
        **{f"transformers/{name}": made for name, made in _hugging_face().items()},
        "lstm_embed": lambda: (Recurrent(), torch.randint(0, 100, (2, 7))),
    }


# -- the peer ----------------------------------------------------------------------------------------------------------
def pruned_by_peer(model: nn.Module, example: Any, output: torch.Tensor, original: nn.Module | None = None) -> dict[Any, Any]:
    """Prune ``model`` in place. Where a copy of it is given as ``original``, the weights of what goes become zero there.

    Gives (layer, whether its rows) → the indices that are left.
    """
    import torch_pruning

    pruner = torch_pruning.pruner.BasePruner(
        model, example_inputs=example, importance=torch_pruning.importance.GroupMagnitudeImportance(p=2), pruning_ratio=0.5,
        ignored_layers=classifiers(model, output),
    )  # fmt: skip
    names = {id(module): name for name, module in model.named_modules()}
    left: dict[Any, list[int]] = {}
    for group in pruner.step(interactive=True):
        for dependency, indices in group:
            name = names.get(id(dependency.target.module))
            if original is not None and name is not None:
                rows = pruner.DG.is_out_channel_pruning_fn(dependency.handler)
                _blank(original.get_submodule(name), (name, rows), sorted({int(i) for i in indices}), left)
        group.prune()
    return left


def _blank(layer: nn.Module, key: tuple[str, bool], indices: list[int], left: dict[Any, list[int]]) -> None:
    """Zeros for rows or columns of a layer, numbered as it is at this point of the pruning."""
    weight = getattr(layer, "weight", None)
    if not isinstance(weight, nn.Parameter) or getattr(layer, "groups", 1) > 1:
        return
    norm = weight.dim() == 1
    if norm and not (key[1] and isinstance(layer, nn.modules.batchnorm._BatchNorm)):
        return
    if not norm and not isinstance(layer, nn.Linear | nn.modules.conv._ConvNd):
        return
    axis = 0 if norm or key[1] != getattr(layer, "transposed", False) else 1
    now = left.setdefault(key, list(range(weight.shape[axis])))
    gone = [now[i] for i in indices]
    left[key] = [index for i, index in enumerate(now) if i not in set(indices)]
    with torch.no_grad():
        weight.index_fill_(axis, torch.tensor(gone, dtype=torch.int64), 0.0)
        if key[1] and getattr(layer, "bias", None) is not None:
            layer.bias[gone] = 0


def classifiers(model: nn.Module, output: torch.Tensor) -> list[nn.Module]:
    """The last layers, whose width is the task's."""
    widths, words = {output.shape[-1], output.shape[min(1, output.dim() - 1)]}, ("classifier", "fc", "head", "score")
    found = [
        layer for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d) and layer.weight.shape[0] in widths and any(word in name for word in words)
        and not any(word in name for word in ("mlp", "layers.", "blocks."))
    ]  # fmt: skip
    return found or [[layer for layer in model.modules() if isinstance(layer, nn.Linear | nn.Conv2d)][-1]]


def first_tensor(output: Any) -> torch.Tensor:
    return getattr(output, "logits", None) if hasattr(output, "logits") else next(exactness.tensors_of(output))[1]


def examine(name: str) -> dict[str, Any]:
    """What becomes of one model: where it failed, or how its output compares with the masked original."""
    torch.manual_seed(0)
    model, example = models()[name]()
    exactness.stir(model.eval())
    original = copy.deepcopy(model)
    with torch.no_grad():
        output = first_tensor(exactness.run(model, example))
    before, started = _num_params(model), time.process_time()
    try:
        left = pruned_by_peer(model, example, output, original)
    except TimeoutError:
        raise
    except Exception as error:
        return {"failed": "pruning", "why": f"{type(error).__name__}: {str(error)[:160]}"}
    record: dict[str, Any] = {"seconds_cpu": round(time.process_time() - started, 3), "kept": _num_params(model) / before}
    try:
        with torch.no_grad():
            found = first_tensor(exactness.run(model, example))
            expected = first_tensor(exactness.run(original, example))
    except Exception as error:
        return {**record, "failed": "forward", "why": f"{type(error).__name__}: {str(error)[:160]}"}
    if found.shape != output.shape:
        return {**record, "failed": "forward", "why": f"the output is {tuple(found.shape)}, not {tuple(output.shape)}"}
    error = (found - expected).abs().max().item() / (expected.abs().max().item() + 1e-12)
    return {**record, "error": error, "normalised": _normalised(original), "mixed": _mixed_heads(original, left)}


def _num_params(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _normalised(model: nn.Module) -> bool:
    """Whether a layer takes statistics over features, so that zeros are not as good as nothing."""
    kinds = (nn.LayerNorm, nn.GroupNorm, nn.MultiheadAttention, nn.LSTM, nn.Embedding)
    words = ("RMSNorm", "LayerNorm", "LayerNorm2d", "GroupNorm", "Grn", "GlobalResponseNorm")
    return any(isinstance(layer, kinds) or type(layer).__name__.endswith(words) for layer in model.modules())


def _mixed_heads(model: nn.Module, left: dict[Any, list[int]]) -> list[str]:
    """The query and key layers of which neither whole heads nor the same positions of all heads are left."""
    found = []
    for path, module in model.named_modules():
        for child in ("qkv", "query", "key", "q_lin", "k_lin", "q_proj", "k_proj", "q", "k"):
            layer, kept = getattr(module, child, None), left.get((f"{path}.{child}".lstrip("."), True))
            heads = _heads(module, child)
            if not isinstance(layer, nn.Linear) or kept is None or not heads:
                continue
            width = layer.out_features // (heads * (3 if child == "qkv" else 1))
            sets = [frozenset(i % width for i in kept if i // width == head) for head in range(layer.out_features // width)]
            if len(set(sets)) > 1 and not all(len(inside) in (0, width) for inside in sets):
                found.append(f"{path}.{child}")
    return found


def _heads(module: nn.Module, child: str) -> int:
    config = getattr(module, "config", None)
    if child.startswith("k") and isinstance(getattr(config, "num_key_value_heads", None), int):
        return int(config.num_key_value_heads)
    for holder in (module, config):
        for word in ("num_heads", "num_attention_heads", "n_heads"):
            if isinstance(getattr(holder, word, None), int):
                return int(getattr(holder, word))
    return 0


def verdict(record: dict[str, Any] | None) -> tuple[str, str]:
    """One word for a record, and the reason behind it."""
    if record is None:
        return "not run", ""
    if "failure" in record:
        return ("timeout" if "no result" in record["failure"] else "fails"), record["failure"]
    if "failed" in record:
        return f"{record['failed']} fails", record["why"]
    if record["kept"] > 0.9:
        return "prunes nothing", ""
    if record["mixed"]:
        return "mixes heads", f"{record['mixed'][0]} and {len(record['mixed']) - 1} more"
    if record["error"] < 1e-3:
        return "equal", ""
    return ("runs", "") if record["normalised"] else ("wrong values", f"relative error {record['error']:.1e}")
