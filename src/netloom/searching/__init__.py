"""Searching: strategies propose graphs, executors score them, the loop records everything in the store."""

from .budget import Budget
from .context import Context
from .executors import EXECUTORS
from .fitness import Fitness
from .objectives import MEASURES, Constraint
from .proposal import Proposal, Result
from .recipe_mutations import BatchSizeMutation, LearningRateMutation, OptimizerMutation, RecipeMutation
from .result import Best, SearchResult
from .resuming import resume
from .run import search
from .selection import Combined, Elite, Selection, StochasticUniversal, Tournament
from .settings import Settings
from .simulating import simulate
from .strategies.asha import ASHA
from .strategies.bandit import Bandit
from .strategies.closed_loop import ClosedLoop
from .strategies.cma_es import CMAES
from .strategies.evolution import Evolution
from .strategies.filtered import Filtered
from .strategies.generator import GeneratorSearch
from .strategies.genetic import Genetic
from .strategies.guided import Guided
from .strategies.hyperband import Hyperband
from .strategies.local_search import LocalSearch
from .strategies.nsga2 import NSGA2
from .strategies.predictor_search import PredictorSearch
from .strategies.random_search import RandomSearch
from .strategies.successive_halving import SuccessiveHalving
from .strategy import STRATEGIES, Strategy, make_strategy

__all__ = [
    "ASHA", "Bandit", "BatchSizeMutation", "Best", "Budget", "CMAES", "ClosedLoop", "Combined", "Constraint", "Context",
    "EXECUTORS", "Elite", "Evolution", "Filtered", "Fitness", "GeneratorSearch", "Genetic", "Guided", "Hyperband",
    "LearningRateMutation", "LocalSearch", "MEASURES", "NSGA2", "OptimizerMutation", "PredictorSearch", "Proposal",
    "RandomSearch", "RecipeMutation", "Result", "STRATEGIES", "SearchResult", "Selection", "Settings", "StochasticUniversal",
    "Strategy", "SuccessiveHalving", "Tournament", "make_strategy", "resume", "search", "simulate",
]  # fmt: skip
