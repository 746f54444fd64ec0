"""Tracing a model, beside torch.export and Torch-Pruning's dependency graph, in one run.

    .venv/bin/python -m benchmarks.trace [--repeats 9] [--models resnet50,…]

Prints, per model, the median CPU seconds of

- ``netloom eval``: ``nl.trace(model, example, mode="eval")``,
- ``netloom first``: the same, with nothing remembered of earlier traces (see `netloom.tracing.plans`),
- ``netloom both``: ``nl.trace(model, example)``, which traces training mode too and merges the two,
- ``export``: ``torch.export.export(model, (example,), strict=False)``,
- ``pruning``: ``torch_pruning.DependencyGraph().build_dependency(model, example)``,

one thread, interleaved, the model in evaluation mode, and the ratios of the peers to ours. Peers are left out where they
are not installed or fail, with the reason. Needs torchvision, timm, transformers, torch-pruning (none is needed by netloom).
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

from benchmarks import torchvision_shim  # noqa: F401  (before torchvision)

import torch  # isort: skip
import torchvision

import netloom as nl
from netloom.tracing import plans


def _llama() -> tuple[torch.nn.Module, Any]:
    from transformers import LlamaConfig, LlamaModel

    config = LlamaConfig(
        hidden_size=256, intermediate_size=512, num_hidden_layers=8, num_attention_heads=8, num_key_value_heads=4,
        vocab_size=1000, max_position_embeddings=128, use_cache=False,
    )  # fmt: skip
    return LlamaModel(config), torch.randint(0, 1000, (2, 64))


def _image(name: str) -> Callable[[], tuple[torch.nn.Module, Any]]:
    return lambda: (getattr(torchvision.models, name)(), torch.randn(2, 3, 224, 224))


MODELS: dict[str, Callable[[], tuple[torch.nn.Module, Any]]] = {
    "resnet50": _image("resnet50"),
    "vit_b_16": _image("vit_b_16"),
    "swin_t": _image("swin_t"),
    "densenet121": _image("densenet121"),
    "llama_small": _llama,
}


def _export(model: torch.nn.Module, example: Any) -> None:
    torch.export.export(model, (example,), strict=False)


def _pruning(model: torch.nn.Module, example: Any) -> None:
    import torch_pruning

    torch_pruning.DependencyGraph().build_dependency(model, example_inputs=example)


SIDES: dict[str, Callable[[Any, Any], Any]] = {
    "netloom eval": lambda model, example: nl.trace(model, example, mode="eval"),
    "netloom both": lambda model, example: nl.trace(model, example),
    "export": _export,
    "pruning": _pruning,
}


def measure(model: torch.nn.Module, example: Any, repeats: int) -> dict[str, Any]:
    """Median CPU seconds per side (one unmeasured run first), or the reason why a side has none."""
    seconds: dict[str, list[float]] = {name: [] for name in SIDES}
    reasons: dict[str, str] = {}
    for turn in range(repeats + 1):
        for name, side in SIDES.items():
            if name in reasons or (name in ("export", "pruning") and turn > 3):
                continue
            start = time.process_time()
            try:
                side(model, example)
            except Exception as error:  # a peer's failure is a result
                reasons[name] = f"{type(error).__name__}: {str(error).splitlines()[0][:80]}"
                continue
            if turn:
                seconds[name].append(time.process_time() - start)
    seconds["netloom first"] = []
    for _ in range(repeats):  # apart from the others, which keep what they remember
        plans.forget()
        start = time.process_time()
        nl.trace(model, example, mode="eval")
        seconds["netloom first"].append(time.process_time() - start)
    return {name: statistics.median(values) if values else reasons.get(name, "") for name, values in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--models", default=",".join(MODELS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}")
    for name in options.models.split(","):
        torch.manual_seed(0)
        model, example = MODELS[name]()
        row = measure(model.eval(), example, options.repeats)
        ours = row["netloom eval"]
        ratios = {
            f"{peer} ÷ {side}": round(row[peer] / row[side], 2)
            for peer in ("export", "pruning")
            for side in ("netloom eval", "netloom first", "netloom both")
            if isinstance(row[peer], float) and isinstance(ours, float)
        }
        shown = {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}
        print(json.dumps({"model": name, **shown, **ratios}, ensure_ascii=False))


if __name__ == "__main__":
    main()
