"""``netloom search``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import SearchError
from ..searching import SearchResult, resume, search
from ..spaces import load
from ..store import Store
from .arguments import DEFAULT_STORE

_DEFAULTS: dict[str, Any] = {
    "space": "conv", "task": "digits", "strategy": "random", "budget": "60s", "recipe": "express", "seed": 0,
}  # fmt: skip


def run(given: argparse.Namespace) -> int:
    """Search or resume, then say what was found and where everything is."""
    url = given.store or DEFAULT_STORE
    if given.report is not None and Path(given.report).exists() and not Path(given.report).is_dir():
        raise SearchError(f"--report {given.report}: there is a file of that name; give a directory")
    result = _resumed(given, url) if given.resume else _searched(given, url)
    _tell(result, url)
    if given.report is not None:
        from ..reporting import report

        print(f"report      {report(result, given.report)}")
    return 0


def _searched(given: argparse.Namespace, url: str) -> SearchResult:
    asked = {name: getattr(given, name) for name in _DEFAULTS}
    settings = _DEFAULTS | {name: value for name, value in asked.items() if value is not None}
    return search(
        **settings,
        store=Store(url),
        executor=given.executor or "inprocess",
        candidate_seconds=given.candidate_seconds,
        progress=not given.quiet,
    )


def _resumed(given: argparse.Namespace, url: str) -> SearchResult:
    for name in ("task", "strategy", "recipe", "seed", "candidate_seconds"):
        if getattr(given, name) is not None:
            flag = "--" + name.replace("_", "-")
            raise SearchError(f"{flag} cannot be changed for a run that is resumed; leave it out, or start a new search")
    space = None if given.space is None else load(given.space)
    return resume(given.resume, url, space=space, budget=given.budget, executor=given.executor, progress=not given.quiet)


def _tell(result: SearchResult, url: str) -> None:
    candidates = result.evaluations.drop_duplicates("graph_hash")
    failed = int(candidates["score"].isna().sum())
    count = len(candidates)
    print(f"run         {result.run_id}: {result.status}, {count} candidates in {result.seconds:.0f} s, {failed} failed")
    if failed < len(candidates):
        best = result.best
        print(f"best        {best.score:.4f} on the validation part, {best.graph.num_params:,} parameters, {best.graph.hash}")
        print("\n".join("    " + line for line in best.graph.to_text().splitlines()))
    print(f"store       {url}")
    if result.status != "finished":
        print(f"to go on    netloom search --resume {result.run_id} --store {url}")
