"""Whatever runs a network to learn about it without training: latency, memory, zero-cost proxies."""

from __future__ import annotations

from .zero_cost import PROXIES, proxies, proxies_many

__all__ = ["PROXIES", "proxies", "proxies_many"]
