"""Encodings: graphs as numbers, and back where an inverse exists.

>>> import netloom as nl
>>> x = nl.input(8)
>>> nl.encode.features([nl.Graph(x, nl.linear(x, 2))])["live.linear"].tolist()
[1.0]
"""

from . import layers32
from .named_features import features
from .padding import padded

__all__ = ["features", "layers32", "padded"]
