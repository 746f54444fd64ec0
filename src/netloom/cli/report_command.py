"""``netloom report``."""

from __future__ import annotations

import argparse

from ..reporting import report
from ..store import Store


def run(given: argparse.Namespace) -> int:
    """Write the page and say where it is."""
    with Store(given.store, must_exist=True) as store:
        print(report(store, given.out, run=given.run))
    return 0
