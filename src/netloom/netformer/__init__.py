"""Netformer: a generative model of trained networks. Learn a zoo; encode, decode, interpolate, sample and search in it."""

from .config import Family, Settings
from .datasheet import datasheet as describe
from .latent_space import Latent
from .measures import Report
from .model import Netformer
from .populations import Population
from .quality import WeightPredictor
from .saving import load

__all__ = ["Family", "Latent", "Netformer", "Population", "Report", "Settings", "WeightPredictor", "describe", "load"]
