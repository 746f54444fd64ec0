"""Zero-cost proxies on cells of NAS-Bench-201 beside those of a published table, and both beside the accuracy.

    NETLOOM_DATA=/path/to/data OMP_NUM_THREADS=1 python -m benchmarks.proxies [--cells 250] [--seed 0]

The cells are random rows of ``nb201_proxies.parquet`` (NAS-Bench-Suite-Zero, CIFAR-10), the batch 32 training images of
CIFAR-10. Prints, for each proxy: Spearman's ρ and Kendall's τ of our values with the test accuracy after 200 epochs, the same
of the table's column on the same cells, and ρ of ours with the table's, whose batches and weights were others; CPU seconds a
cell. Values that are no number (a cell that passes no signal) rank last. Takes about 3 CPU seconds a cell; values go to
``results/proxies.jsonl`` line by line, and a run that was stopped goes on there.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results" / "proxies.jsonl"
#: Ours → the table's column; zen is not in the table.
COLUMNS = {
    "synflow": "c10_synflow", "snip": "c10_snip", "grad_norm": "c10_grad_norm", "jacov": "c10_jacov", "nwot": "c10_nwot",
    "zen": None, "l2_norm": "c10_l2_norm", "fisher": "c10_fisher", "grasp": "c10_grasp", "plain": "c10_plain",
    "epe": "c10_epe_nas",
}  # fmt: skip
#: What the table has for a cell that passes no signal.
NO_SIGNAL = -1e8


def measure(folder: Path, cells: int, seed: int) -> list[dict[str, Any]]:
    """One record for each cell: its index, proxies and CPU seconds; those of an earlier run are read."""
    import pandas as pd

    import netloom as nl

    table = pd.read_parquet(folder / "nb201_proxies.parquet").dropna(subset=["c10_nwot"])
    wanted = table["arch"].sample(cells, random_state=seed).astype(int).tolist()
    strings = pd.read_parquet(folder / "nb201.parquet", columns=["arch", "cellstr"]).set_index("arch")["cellstr"]
    known = [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    done = {record["arch"]: record for record in known if record["seed"] == seed}
    space, batch = nl.spaces.NASBench201(), _batch(folder, seed)
    with RESULTS.open("a") as file:
        for i, arch in enumerate(wanted):
            if arch in done:
                continue
            start = time.process_time()
            found = nl.measure.proxies(space.from_string(strings[arch]), batch, seed=seed)
            record = {"arch": arch, "seed": seed, "cpu_seconds": round(time.process_time() - start, 3)}
            done[arch] = record | {name: value if np.isfinite(value) else None for name, value in found.items()}
            print(json.dumps(done[arch]), file=file, flush=True)
            print(f"\r{i + 1}/{cells}", end="", flush=True)
    print("\r", end="")
    return [done[arch] for arch in wanted]


def _batch(folder: Path, seed: int) -> Any:
    import torch

    import netloom as nl

    part = nl.tasks.load(f"cifar10:{folder}").train
    order = torch.randperm(len(part), generator=torch.Generator().manual_seed(seed))[:32]
    return next(iter(part.batches(32, order=order)))


def compare(folder: Path, records: list[dict[str, Any]]) -> None:
    """Print the table of correlations."""
    import pandas as pd
    from scipy.stats import kendalltau, spearmanr

    ours = pd.DataFrame(records).set_index("arch")
    table = pd.read_parquet(folder / "nb201_proxies.parquet").set_index("arch").loc[ours.index]
    accuracy = pd.read_parquet(folder / "nb201.parquet").set_index("arch").loc[ours.index]["c10_test200"]
    print(f"{len(ours)} cells, {ours['cpu_seconds'].median():.2f} CPU seconds each (median)\n")
    print(f"{'':10} {'with accuracy: ours':>28} {'table':>16} {'ours, table':>12}")
    print(f"{'':10} {'ρ':>19} {'τ':>8} {'ρ':>8} {'τ':>7} {'ρ':>12}")
    for name, column in COLUMNS.items():
        mine = _ranked(ours[name])
        row = f"{name:10} {spearmanr(mine, accuracy)[0]:19.3f} {kendalltau(mine, accuracy)[0]:8.3f}"
        if column is not None:
            theirs = _ranked(table[column])
            row += f" {spearmanr(theirs, accuracy)[0]:8.3f} {kendalltau(theirs, accuracy)[0]:7.3f}"
            row += f" {spearmanr(mine, theirs)[0]:12.3f}"
        print(row)


def _ranked(column: Any) -> Any:
    """A column with what stands for no number below all others."""
    values = column.astype(float).replace([np.inf, -np.inf, NO_SIGNAL], np.nan)
    return values.fillna(values.min() - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=250)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    folder = Path(os.environ["NETLOOM_DATA"])
    compare(folder, measure(folder, given.cells, given.seed))


if __name__ == "__main__":
    main()
