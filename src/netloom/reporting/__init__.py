"""Reporting: a search as a page that a person reads.

>>> import netloom as nl
>>> space = nl.spaces.Conv(input_shape=(1, 8, 8), conv_num=1, lin_num=1, max_macs=20_000)
>>> result = nl.search(space, "digits", budget=1, recipe={"epochs": 1}, progress=False)
>>> import tempfile
>>> with tempfile.TemporaryDirectory() as directory:
...     page = nl.report(result, directory)
...     page.name, "<html" in page.read_text(encoding="utf-8")
('index.html', True)
"""

from .page import report
from .summary import Candidate, Evaluation, Summary, summarize

__all__ = ["Candidate", "Evaluation", "Summary", "report", "summarize"]
