"""How long `import netloom` and `netloom --help` take: wall seconds of whole processes, less a bare interpreter's.

    python benchmarks/import_time.py [--runs 15]

Prints medians and writes benchmarks/results/import_time.json. The budget of each is 0.3 s.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "import_time.json"
BUDGET_SECONDS = 0.3
COMMANDS = {
    "bare interpreter": "pass",
    "import netloom": "import netloom",
    "netloom --help": "import sys; sys.argv = ['netloom', '--help']; from netloom.cli.main import main; sys.exit(main())",
}


def seconds(code: str) -> float:
    """Wall seconds of one process."""
    started = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15, help="processes per command, interleaved (default %(default)s)")
    runs = parser.parse_args().runs
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(runs):
        for name, code in COMMANDS.items():
            taken[name].append(seconds(code))
    medians = {name: statistics.median(times) for name, times in taken.items()}
    bare = medians["bare interpreter"]
    for name, median in medians.items():
        verdict = "" if name == "bare interpreter" else "  within budget" if median < BUDGET_SECONDS else "  OVER BUDGET"
        print(f"{name:18} {median:.3f} s (best {min(taken[name]):.3f}), {median - bare:+.3f} s over the interpreter{verdict}")
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps({"runs": runs, "median_seconds": medians, "python": sys.version.split()[0]}, indent=1) + "\n")
    return 0 if max(medians.values()) < BUDGET_SECONDS else 1


if __name__ == "__main__":
    raise SystemExit(main())
