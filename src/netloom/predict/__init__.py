"""Performance predictors: scores of architectures from scores of others.

All have one interface, `Predictor`: ``fit(graphs, scores)``, ``predict(graphs)``, ``score``, ``save``; `load` reads one back.
`Ensemble` is the default.
"""

from .agreement import kendall_tau, precision_at, r2
from .curve_extrapolator import CurveExtrapolator
from .ensemble import Ensemble
from .gaussian_process import GaussianProcess
from .lstm import LSTM
from .neural_predictor import NeuralPredictor
from .predictor import Predictor
from .proxy_rank import ProxyRank
from .saving import load
from .token_transformer import TokenTransformer
from .trees import Trees

#: Kind, as files name it → class.
KINDS: dict[str, type[Predictor]] = {
    kind.kind: kind
    for kind in (CurveExtrapolator, Ensemble, GaussianProcess, LSTM, NeuralPredictor, ProxyRank, TokenTransformer, Trees)
}

__all__ = [
    "CurveExtrapolator", "Ensemble", "GaussianProcess", "KINDS", "LSTM", "NeuralPredictor", "Predictor", "ProxyRank",
    "TokenTransformer", "Trees", "kendall_tau", "load", "precision_at", "r2",
]  # fmt: skip
