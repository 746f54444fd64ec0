"""Performance predictors: scores of architectures from scores of others.

All have one interface, `Predictor`: ``fit(graphs, scores)``, ``predict(graphs)``, ``score``, ``save``; `load` reads one back.
`Ensemble` is the default.
"""

from .agreement import kendall_tau, precision_at, r2
from .ensemble import Ensemble
from .gaussian_process import GaussianProcess
from .predictor import Predictor
from .saving import load
from .trees import Trees

#: Kind, as files name it → class.
KINDS: dict[str, type[Predictor]] = {kind.kind: kind for kind in (Ensemble, GaussianProcess, Trees)}

__all__ = ["Ensemble", "GaussianProcess", "KINDS", "Predictor", "Trees", "kendall_tau", "load", "precision_at", "r2"]
