"""What machine a measurement was made on."""

from __future__ import annotations

import os
import platform
from functools import lru_cache
from pathlib import Path
from typing import Any


def machine_name(device: Any = "cpu") -> str:
    """Processor or accelerator, and torch's version: measurements are comparable where this is equal.

    >>> machine_name().rpartition(", ")[2].startswith("torch ")
    True
    """
    import torch

    kind = torch.device(device)
    name = torch.cuda.get_device_name(kind) if kind.type == "cuda" else f"{_processor()}, {os.cpu_count()} logical cores"
    return f"{name}, torch {torch.__version__}"


@lru_cache(maxsize=1)
def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    except OSError:
        pass
    return platform.processor() or platform.machine() or "unknown processor"
