"""Tasks of tables: mixed columns of numbers, categories and dates, missing values, one or several targets."""

from .frames import from_frame
from .preprocessing import TablePreprocessing

__all__ = ["TablePreprocessing", "from_frame"]
