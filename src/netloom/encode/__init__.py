"""Encodings: graphs as numbers, and back where an inverse exists.

>>> import netloom as nl
>>> x = nl.input(8)
>>> nl.encode.features([nl.Graph(x, nl.linear(x, 2))])["live.linear"].tolist()
[1.0]
"""

from . import layers32, robust
from .adjacency_arrays import adjacency
from .canonical_form import canonical
from .named_features import features
from .neuron_sensitivity import sensitivity
from .padding import padded
from .path_counts import paths
from .token_sequences import tokens
from .trained_edges import edges, network_of_edges
from .trained_neurons import network_of_neurons, neurons
from .weisfeiler_lehman import wl

__all__ = [
    "adjacency", "canonical", "edges", "features", "layers32", "network_of_edges", "network_of_neurons", "neurons", "padded",
    "paths", "robust", "sensitivity", "tokens", "wl",
]  # fmt: skip
