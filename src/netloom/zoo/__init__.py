"""Zoos: thousands of trained networks in a folder, with their tasks and learning curves.

>>> from netloom.zoo import ZooConfig
>>> ZooConfig(family="conv").task_specs
('digits',)
"""

from .config import ZooConfig
from .making import make
from .population import Zoo, ZooNetwork
from .records import COLUMNS

__all__ = ["COLUMNS", "Zoo", "ZooConfig", "ZooNetwork", "make"]
