"""The store: every network that was ever scored, with how and by which run.

>>> import netloom as nl
>>> store = nl.Store("sqlite://")
>>> len(store.evaluations())
0
"""

from .records import INEXACT, Claim, EvaluationKey, EvaluationRecord, Lineage
from .store import Store
from .tables import SCHEMA_VERSION

__all__ = ["INEXACT", "SCHEMA_VERSION", "Claim", "EvaluationKey", "EvaluationRecord", "Lineage", "Store"]
