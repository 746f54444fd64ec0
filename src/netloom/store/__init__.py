"""The store: every network that was ever scored, with how and by which run.

>>> import netloom as nl
>>> store = nl.Store("sqlite://")
>>> len(store.evaluations())
0
"""

from .store import EvaluationKey, EvaluationRecord, Store
from .tables import SCHEMA_VERSION

__all__ = ["SCHEMA_VERSION", "EvaluationKey", "EvaluationRecord", "Store"]
