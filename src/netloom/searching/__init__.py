"""Searching: strategies propose graphs, executors score them, the loop records everything in the store."""

from .budget import Budget
from .context import Context
from .executors import EXECUTORS
from .objectives import MEASURES, Constraint
from .proposal import Proposal, Result
from .result import Best, SearchResult
from .resuming import resume
from .run import search
from .settings import Settings
from .simulating import simulate
from .strategies.evolution import Evolution
from .strategies.random_search import RandomSearch
from .strategy import STRATEGIES, Strategy, make_strategy

__all__ = [
    "EXECUTORS", "MEASURES", "STRATEGIES", "Best", "Budget", "Constraint", "Context", "Evolution", "Proposal", "RandomSearch",
    "Result", "SearchResult", "Settings", "Strategy", "make_strategy", "resume", "search", "simulate",
]  # fmt: skip
