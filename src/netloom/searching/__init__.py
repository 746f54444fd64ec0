"""Searching: strategies propose graphs, executors score them, the loop records everything in the store."""

from .budget import Budget
from .executors import EXECUTORS
from .result import Best, SearchResult
from .resuming import resume
from .run import search
from .settings import Settings
from .strategy import STRATEGIES, RandomSearch, Strategy

__all__ = [
    "EXECUTORS", "STRATEGIES", "Best", "Budget", "RandomSearch", "SearchResult", "Settings", "Strategy", "resume", "search",
]  # fmt: skip
