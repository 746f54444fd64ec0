"""Zero-cost proxies: numbers of an untrained network on one batch that go along with how well it will do when trained."""

from __future__ import annotations

from .running import PROXIES, proxies, proxies_many

__all__ = ["PROXIES", "proxies", "proxies_many"]
