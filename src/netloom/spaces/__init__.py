"""Spaces: where graphs come from.

>>> import netloom as nl, numpy as np
>>> space = nl.spaces.Conv(input_shape=(1, 8, 8), num_classes=10)
>>> space.contains(space.sample(np.random.default_rng(0)))
True
"""

from .conv import Conv
from .deepnets import DeepNets1M
from .deepnets_genotype import Genotype
from .deepnets_hdf5 import read_published
from .deepnets_named import named_network
from .function_space import FunctionSpace, from_function
from .loading import load, names
from .mlp import MLP
from .nasbench201 import NASBench201
from .samples import Samples, read_samples
from .sampling import sample_many
from .space import Space

__all__ = [
    "Conv", "DeepNets1M", "FunctionSpace", "Genotype", "MLP", "NASBench201", "Samples", "Space", "from_function", "load",
    "named_network", "names", "read_published", "read_samples", "sample_many",
]  # fmt: skip
