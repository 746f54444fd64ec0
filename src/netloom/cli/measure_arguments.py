"""The arguments of ``netloom measure``. Imports argparse alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_DESCRIPTION = """\
Run a network to learn about it without training: how long a call takes, how much memory it needs, and zero-cost proxies.

NETWORK is a graph file (.json, .txt, .nl), which gets fresh weights from --seed, MODULE:FUNCTION, or a network saved as
.safetensors. Latency is the median of repeated calls after a warm-up; how well the median is known is told with it. Memory is
the most that a call holds at once. Proxies are computed on one batch of a task and need --task.

proxies: synflow, snip, grad_norm, jacov, nwot, zen, l2_norm, fisher, grasp, plain, epe
"""
_EXAMPLES = """\
  netloom measure small.json
  netloom measure torchvision.models:resnet18 --batch 8 --threads 1 --train
  netloom measure small.json --by-node                              where the time goes, call by call
  netloom measure small.json --task digits                          proxies too, all of them
  netloom measure small.json --task digits --proxies synflow,nwot --json
"""


def add_measure(commands: Any, command: Callable[..., Any]) -> None:
    """Add the command to the parser."""
    made = command(commands, "measure", "measure_command", "measure NETWORK [--batch N] [--threads N] [--task TASK] …",
                   _DESCRIPTION, _EXAMPLES)  # fmt: skip
    made.add_argument("network", metavar="NETWORK", help="MODULE:FUNCTION, a graph file, or a saved network")
    made.add_argument("--input", metavar="SIZES", help="shape of one sample (default: 3x224x224, unless a pair comes back)")
    made.add_argument("--batch", type=int, default=1, metavar="N", help="samples of one call (default: 1)")
    made.add_argument("--threads", type=int, metavar="N", help="threads of torch (default: as torch chooses)")
    made.add_argument("--train", action="store_true", help="forward and backward instead of forward alone")
    made.add_argument("--repeats", type=int, metavar="N", help="calls to time (default: until the median is known to 2 %%)")
    made.add_argument("--warm-up", type=int, default=3, metavar="N", help="calls before that (default: 3)")
    made.add_argument("--device", help="cpu, cuda, … (default: cpu)")
    made.add_argument("--by-node", action="store_true", help="time every call by itself as well")
    made.add_argument("--task", help="compute proxies on a batch of this task, as 'netloom data' lists them")
    made.add_argument("--data-dir", metavar="DIR", help="where data sets are kept")
    made.add_argument("--proxies", metavar="NAMES", help="which, separated by commas (default: all)")
    made.add_argument("--proxy-batch", type=int, default=32, metavar="N", help="samples for proxies (default: 32)")
    made.add_argument("--seed", type=int, default=0, help="of fresh weights and of the task's batch (default: 0)")
    made.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    made.add_argument("-o", "--out", metavar="FILE", help="write to FILE instead of the screen")
