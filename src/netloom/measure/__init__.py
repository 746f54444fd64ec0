"""Whatever runs a network to learn about it without training: latency, memory, zero-cost proxies.

Everything runs on a copy; what is given comes back as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .activations import activation_bytes
from .costs import Cost, activation_cost, latency_cost, measured, memory_cost
from .latency_predictor import LatencyPredictor
from .machine import machine_name
from .nodes import latency_by_node, node_graphs
from .timing import Latency, latency
from .zero_cost import PROXIES, proxies, proxies_many

if TYPE_CHECKING:
    from .peaks import Memory, memory

__all__ = [
    "Cost", "Latency", "LatencyPredictor", "Memory", "PROXIES", "activation_bytes", "activation_cost", "latency",
    "latency_by_node", "latency_cost", "machine_name", "measured", "memory", "memory_cost", "node_graphs", "proxies",
    "proxies_many",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    # Watching storages needs torch at import.
    if name in ("Memory", "memory"):
        from . import peaks

        return getattr(peaks, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
