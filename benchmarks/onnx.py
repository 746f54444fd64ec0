"""Write twelve models of the gallery as ONNX, run them with onnxruntime at two batch sizes, and put the table in docs/onnx.md.

    python benchmarks/onnx.py                # the models that have no result yet, then the table
    python benchmarks/onnx.py --only '*vit*' # some of them, again

Each model runs in a process of its own; its result is one line of benchmarks/results/onnx.jsonl.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]
# This file is not the package of the same name.
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT / "benchmarks"]

RESULTS = ROOT / "benchmarks" / "results" / "onnx.jsonl"
PAGE = ROOT / "docs" / "onnx.md"
BATCHES = (1, 4)
MODELS = """
    torchvision/resnet18 torchvision/mobilenet_v3_small torchvision/densenet121 torchvision/shufflenet_v2_x0_5
    torchvision/vit_b_16 torchvision/swin_t torchvision/googlenet timm/test_convnext timm/mixer_s32_224
    transformers/bert transformers/llama transformers/gpt2
""".split()


def examine(name: str) -> dict[str, Any]:
    """The largest difference at each batch size, relative to the largest value of the output."""
    import onnxruntime
    import torch

    import netloom as nl
    from benchmarks.gallery_models import models
    from netloom.testing import exactness

    torch.manual_seed(0)
    model, example = models()[name]()
    exactness.stir(model.eval())
    network = nl.build(nl.trace(model, example), weights=model)
    path = Path(tempfile.mkdtemp()) / "model.onnx"
    started = time.perf_counter()
    nl.to_onnx(network, path)
    record: dict[str, Any] = {"seconds_to_write": round(time.perf_counter() - started, 1), "differences": []}
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    record["inputs"] = [f"{slot.name} {tuple(slot.shape)}" for slot in session.get_inputs()]
    for batch in BATCHES:
        inputs = exactness.resize_batch(example, batch)
        with torch.no_grad():
            expected = [tensor for _, tensor in exactness.tensors_of(exactness.run(model.eval(), inputs))]
        given = [tensor.numpy() for _, tensor in exactness.tensors_of(inputs)]
        found = session.run(None, {slot.name: value for slot, value in zip(session.get_inputs(), given)})
        differences = [float((torch.from_numpy(a) - b).abs().max() / b.abs().max()) for a, b in zip(found, expected)]
        record["differences"].append(max(differences))
    return record


def read_results() -> dict[str, dict[str, Any]]:
    """The latest record of every model."""
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    return {record["model"]: record for record in map(json.loads, lines)}


def write_table(records: dict[str, dict[str, Any]]) -> None:
    """The part of the page between its marks."""
    import onnxruntime
    import torch

    lines = [
        f"onnxruntime {onnxruntime.__version__} beside the model in torch {torch.__version__} (float32, one",
        "thread): the largest difference, relative to the largest value. Weights are moved off their first values.",
        "",
        f"| model | inputs | batch {BATCHES[0]} | batch {BATCHES[1]} |",
        "|---|---|--:|--:|",
    ]
    for name in MODELS:
        record = records.get(name)
        if record is None:
            lines.append(f"| {name} | | | not run |")
        elif "failure" in record:
            lines.append(f"| {name} | | | {record['failure'][:120].replace('|', '/')} |")
        else:
            shown = " | ".join(f"{value:.1e}" for value in record["differences"])
            lines.append(f"| {name} | {', '.join(record['inputs'])} | {shown} |".replace("'", ""))
    page = PAGE.read_text()
    before, after = page.split("<!-- begin -->")[0], page.split("<!-- end -->")[1]
    PAGE.write_text(before + "<!-- begin -->\n" + "\n".join(lines) + "\n<!-- end -->" + after)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="*", metavar="PATTERN", help="the models whose name fits, again if need be")
    parser.add_argument("--seconds", type=float, default=300, help="time limit of one model (default %(default)s)")
    arguments = parser.parse_args()

    import torch

    from benchmarks.gallery import isolated

    torch.set_num_threads(1)
    records = read_results()
    for name in MODELS:
        if not fnmatch(name, arguments.only) or (name in records and arguments.only == "*"):
            continue
        records[name] = isolated(examine, name, arguments.seconds)
        print(json.dumps(records[name]), flush=True)
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        with RESULTS.open("a") as file:
            file.write(json.dumps(records[name]) + "\n")
    write_table(records)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
