"""The examples of Netformer run, and say what they should."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(name: str, *arguments: str, folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "examples" / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_train_then_inference(tmp_path: Path) -> None:
    said = run("netformer_train.py", "--networks", "80", "--steps", "60", folder=tmp_path)
    assert (tmp_path / "former.safetensors").exists()
    found = re.search(r"functional R²: median ([-\d.]+)", said)
    assert found and float(found[1]) > 0.1
    said = run("netformer_inference.py", "--model", "former.safetensors", "-n", "3", folder=tmp_path)
    assert said.count("network ") == 3
    for measure in ("edge accuracy", "cosine distance, weights", "cosine distance, values"):
        assert re.search(rf"{measure} +[-\d.]+", said)


def test_inference_with_the_netformer_that_comes_with_netloom(tmp_path: Path) -> None:
    said = run("netformer_inference.py", folder=tmp_path)
    found = re.search(r"functional R², median +([-\d.]+)", said)
    assert found and float(found[1]) > 0.8
