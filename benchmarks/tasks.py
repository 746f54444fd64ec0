"""Loading CIFAR-10 from its Parquet files, and feeding it, beside what PyTorch users do.

    NETLOOM_DATA=FOLDER python -m benchmarks.tasks [--rounds 5]

FOLDER holds `cifar10_train.parquet` and `cifar10_test.parquet` (60,000 JPEG images in all). Measured, wall and CPU seconds:

* the first load (decoded in parallel, moments and digests worked out, written to an empty cache) and later ones (medians of
  fresh processes, imports left out), beside a plain loop over the same rows with Pillow;
* an epoch of shuffled batches of 256 of the train part, beside a `DataLoader` over a `TensorDataset` of the same floats;
* an epoch of random resized crops of 224 from JPEG photographs of 500 × 375, streamed by this process's threads, beside
  Pillow and numpy doing the same one by one.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

_LOAD = """
import json, sys, time
import torch, numpy, pyarrow.parquet, safetensors.torch, PIL.JpegImagePlugin
import netloom as nl, netloom.tasks.images.specs
torch.set_num_threads(1)
wall, cpu = time.perf_counter(), time.process_time()
task = nl.tasks.load("cifar10:" + sys.argv[1])
print(json.dumps({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "hash": task.hash}))
"""
PHOTOS, PHOTO_SIZE = 256, (500, 375)


@contextmanager
def measured(found: dict[str, float]) -> Iterator[None]:
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    found["wall"], found["cpu"] = time.perf_counter() - wall, time.process_time() - cpu


def loads(data: str, cache: str, rounds: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first load with an empty cache, and the median of later ones."""

    def once() -> dict[str, Any]:
        environment = {**os.environ, "NETLOOM_CACHE": cache}
        done = subprocess.run([sys.executable, "-c", _LOAD, data], env=environment, check=True, capture_output=True, text=True)
        return json.loads(done.stdout.splitlines()[-1])

    first, later = once(), [once() for _ in range(rounds)]
    assert all(one["hash"] == first["hash"] for one in later)
    return first, {key: statistics.median(one[key] for one in later) for key in ("wall", "cpu")}


def plain_loop(data: str) -> dict[str, float]:
    """Pillow, row by row, into one array."""
    import pyarrow.parquet as pq
    from PIL import Image

    found: dict[str, float] = {}
    with measured(found):
        for part in ("train", "test"):
            table = pq.ParquetFile(Path(data) / f"cifar10_{part}.parquet").read()
            files = [row["bytes"] for row in table["img"].to_pylist()]
            pixels = np.empty((len(files), 3, 32, 32), np.uint8)
            for place, file in enumerate(files):
                pixels[place] = np.asarray(Image.open(io.BytesIO(file)).convert("RGB")).transpose(2, 0, 1)
    return found


def epochs(data: str, rounds: int) -> dict[str, float]:
    """CPU seconds of an epoch of shuffled batches: ours, and a DataLoader's over the same tensors."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    import netloom as nl

    task = nl.tasks.load(f"cifar10:{data}")
    loader = DataLoader(TensorDataset(task.train.x, task.train.y), batch_size=256, shuffle=True)  # type: ignore[union-attr]
    times: dict[str, list[float]] = {"netloom": [], "DataLoader": []}
    for _ in range(rounds):
        for name, make in (
            ("netloom", lambda: task.train.batches(256, order=torch.randperm(len(task.train)))),
            ("DataLoader", lambda: iter(loader)),
        ):
            begin = time.process_time()
            assert sum(len(y) for _, y in make()) == len(task.train)
            times[name].append(time.process_time() - begin)
    return {name: statistics.median(found) for name, found in times.items()}


def photographs(folder: Path) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    for place in range(PHOTOS):
        small = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        path = folder / ("train" if place % 8 else "val") / f"n{place // 8 % 2}" / f"{place}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        small.resize(PHOTO_SIZE, Image.Resampling.BICUBIC).save(path, quality=90)


def streaming(folder: Path) -> dict[str, dict[str, float]]:
    """Seconds of an epoch of random resized crops from photographs."""
    from PIL import Image

    import netloom as nl
    from netloom.tasks.images.decoding import Frame, random_box

    task = nl.tasks.load(f"imagenet:{folder}?valid=1")
    found: dict[str, dict[str, float]] = {"netloom": {}, "Pillow": {}}
    with measured(found["netloom"]):
        for _ in task.train.batches(32, seed=0):
            pass
    rng, frame = np.random.default_rng(0), Frame(3, 224, 224)
    mean, sd = (np.array(v, np.float32)[:, None, None] for v in ((123.7, 116.3, 103.5), (58.4, 57.1, 57.4)))
    with measured(found["Pillow"]):
        for path in sorted((folder / "train").rglob("*.jpg"))[: len(task.train)]:
            image = Image.open(path).convert("RGB")
            crop = image.crop(tuple(map(int, random_box(*image.size, frame, rng))))
            pixels = np.asarray(crop.resize((224, 224), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
            (pixels.astype(np.float32) - mean) / sd
    return found


def row(name: str, theirs: dict[str, float], ours: dict[str, float], label: Callable[[float], str] = "{:.2f}".format) -> None:
    for kind in ("wall", "cpu"):
        if kind in ours:
            ratio = theirs[kind] / ours[kind]
            print(
                f"{name:<44} {kind:<4}  netloom {label(ours[kind]):>8} s  peer {label(theirs[kind]):>8} s  ratio {ratio:6.1f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    data = os.environ.get("NETLOOM_DATA")
    if data is None:
        sys.exit("NETLOOM_DATA is not set: it names the folder with cifar10_train.parquet and cifar10_test.parquet")
    with tempfile.TemporaryDirectory() as cache:
        os.environ["NETLOOM_CACHE"] = cache
        first, later = loads(data, cache, rounds)
        peer = plain_loop(data)
        row("CIFAR-10 from Parquet, the first time; Pillow", peer, first)
        row("CIFAR-10 from the cache; Pillow", peer, later)
        found = epochs(data, rounds)
        row("an epoch of batches; DataLoader", {"cpu": found["DataLoader"]}, {"cpu": found["netloom"]})
        with tempfile.TemporaryDirectory() as folder:
            photographs(Path(folder))
            seconds = streaming(Path(folder))
            row(f"{PHOTOS} photographs as crops of 224; Pillow", seconds["Pillow"], seconds["netloom"])


if __name__ == "__main__":
    main()
