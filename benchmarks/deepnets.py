"""DeepNets-1M: networks drawn per CPU second, repeats left out, beside ppuda's generator in the same process, one thread.

    OMP_NUM_THREADS=1 python benchmarks/deepnets.py [PPUDA]
    OMP_NUM_THREADS=1 python benchmarks/deepnets.py --statistics 10000

PPUDA is the folder of a checkout of facebookresearch/ppuda, which needs einops, h5py and torchvision. Without it the rate is
set beside the 9.3 networks a second that it was measured to make elsewhere. ``--statistics`` prints the table of the docs.
"""

from __future__ import annotations

import contextlib
import io
import runpy
import sys
import tempfile
import time
import types
from collections import Counter
from pathlib import Path

import numpy as np

import netloom as nl

#: Networks a second that ppuda made on a machine of the same kind, unloaded.
STATED = 9.3


def ours(n: int = 500) -> float:
    """Networks of `train` per CPU second, each with its hash, costs and the text that makes it, repeats left out."""
    with tempfile.TemporaryDirectory() as folder:
        nl.spaces.sample_many("deepnets1m?split=train", 200, out=Path(folder) / "warm.parquet")
        start = time.process_time()
        samples = nl.spaces.sample_many("deepnets1m?split=train", n, seed=1, out=Path(folder) / "nets.parquet")
        return len(samples) / (time.process_time() - start)


def theirs(folder: str, n: int = 10) -> float:
    """Networks of its `val` per CPU second."""
    from benchmarks import torchvision_shim  # noqa: F401  (before torchvision)

    for name in ("matplotlib", "matplotlib.pyplot", "matplotlib.cm"):  # for drawing alone
        if name not in sys.modules:
            with contextlib.suppress(ImportError):
                __import__(name)
                continue
            sys.modules[name] = types.ModuleType(name)
    sys.modules["matplotlib"].pyplot = sys.modules["matplotlib.pyplot"]
    sys.modules["matplotlib"].cm = sys.modules["matplotlib.cm"]
    sys.path.insert(0, folder)
    import ppuda.deepnets1m.graph  # noqa: F401  (its imports are not counted)
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as out, contextlib.redirect_stdout(io.StringIO()):
        sys.argv = ["net_generator.py", "val", str(n), out + "/nets"]
        start = time.process_time()
        runpy.run_path(f"{folder}/experiments/net_generator.py", run_name="__main__")
        return n / (time.process_time() - start)


def statistics(n: int) -> None:
    """The published table, and the same of netloom's networks."""
    for split in ("train", "val", "test", "wide", "deep", "dense", "bnfree", "predefined"):
        space = nl.spaces.DeepNets1M(split)
        count = n if split == "train" else len(space)
        kinds: Counter[str] = Counter()
        rows = []
        for i in range(count):
            view = nl.ghn.hyper_graph(space[i])
            rows.append((len(view.nodes), view.average_degree, view.average_path))
            kinds.update(node.type for node in view.nodes)
        nodes, degree, path = np.array(rows).T
        print(
            f"{split:10} {count:6,}  {nodes.min():.0f}-{nodes.max():.0f}  {nodes.mean():.1f} ± {nodes.std():.1f}"
            f"  {degree.mean():.2f} ± {degree.std():.2f}  {path.mean():.1f} ± {path.std():.1f}"
        )
        print(
            "   ", ", ".join(f"{kind} {100 * number / nodes.sum():.2f} %" for kind, number in kinds.most_common()), flush=True
        )


def main() -> None:
    if sys.argv[1:2] == ["--statistics"]:
        statistics(int(sys.argv[2]))
        return
    rate = ours()
    print(f"netloom: {rate:.0f} networks per CPU second; {rate / STATED:.0f} times the {STATED} stated for ppuda")
    if len(sys.argv) > 1:
        peer = theirs(sys.argv[1])
        print(f"ppuda: {peer:.1f} networks per CPU second in this run; netloom makes {rate / peer:.0f} times as many")


if __name__ == "__main__":
    main()
