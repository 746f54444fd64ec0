"""`Graph` → `Network`, an ordinary nn.Module."""

from __future__ import annotations

from ..graph.trusted import allow as register

__all__ = ["register"]
