"""``netloom report``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..errors import StoreError
from ..reporting import report, summarize
from ..reporting.outcome import outcome
from ..store import Store
from .store_arguments import DEFAULT_STORE


def run(given: argparse.Namespace) -> int:
    """Write the page and say where it is, serve it, or print the outcome."""
    url, wanted = _subject(given)
    with Store(url, must_exist=True) as store:
        if given.watch:
            return _watch(store, wanted, given)
        if given.json:
            found = outcome(summarize(store, wanted))
            if given.out is not None:
                found["page"] = str(report(store, given.out, run=wanted))
            print(json.dumps(found, ensure_ascii=False, indent=2, allow_nan=False))
            return 0
        print(report(store, given.out or "report", run=wanted))
    return 0


def _subject(given: argparse.Namespace) -> tuple[str, str | None]:
    """The store and the run that the words mean: one with ``://`` and the file of a database are stores, others runs."""
    url, wanted = given.store, None
    for word in given.words:
        is_store = "://" in word or (word.endswith((".db", ".sqlite", ".sqlite3")) and Path(word).is_file())
        if is_store and url is None:
            url = word
        elif not is_store and wanted is None:
            wanted = word
        else:
            what = "two stores" if is_store else "two runs"
            raise StoreError(f"{what} were given, {word!r} after {(url if is_store else wanted)!r}; expected one")
    if url is not None and "://" not in url:
        url = f"sqlite:///{url}"
    return url or DEFAULT_STORE, wanted


def _watch(store: Store, wanted: str | None, given: argparse.Namespace) -> int:
    from ..reporting.watching import Watch

    if given.json or given.out is not None:
        raise StoreError("--watch serves the page; --out and --json go without it")
    with Watch(store, wanted, host=given.host, port=given.port) as watch:
        print(f"watching at {watch.url}   (Ctrl-C ends)", flush=True)
        try:
            watch.wait()
        except KeyboardInterrupt:
            print()
    return 0
