"""Encodings: graphs as numbers, and back where an inverse exists.

>>> import netloom as nl
>>> x = nl.input(8)
>>> nl.encode.features([nl.Graph(x, nl.linear(x, 2))])["live.linear"].tolist()
[1.0]
"""

from . import layers32, robust
from .adjacency_arrays import adjacency
from .named_features import features
from .padding import padded
from .path_counts import paths
from .token_sequences import tokens
from .weisfeiler_lehman import wl

__all__ = ["adjacency", "features", "layers32", "padded", "paths", "robust", "tokens", "wl"]
