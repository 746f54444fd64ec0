"""`report`: the HTML page of a search."""

from __future__ import annotations

import base64
import hashlib
import string
from functools import lru_cache
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import StoreError
from ..store import Store
from .compact import embedded, page_data
from .parts import parts
from .picture import style
from .summary import Summary, summarize

if TYPE_CHECKING:
    import os

    from ..searching import SearchResult

_SCRIPTS = (
    "elements.js", "run.js", "drawing.js", "network.js", "plot.js", "charts.js", "lineage.js", "candidates.js", "detail.js",
    "start.js",
)  # fmt: skip


def report(result: SearchResult | Store | str, directory: str | os.PathLike[str], run: str | None = None) -> Path:
    """Write the page of a run to ``directory``/index.html and give its path.

    ``result`` is what `nl.search` returned, or a store (or its URL) and ``run`` one of its runs (default: the latest). The page
    holds everything it needs: no network, no other file. Raises `StoreError` where there is no such run, or the
    page cannot be written.
    """
    store, run, opened = opened_store(result, run)
    try:
        page = render(summarize(store, run), store)
    finally:
        if opened:
            store.close()
    path = Path(directory) / "index.html"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8", newline="\n")
    except OSError as error:
        raise StoreError(f"the report cannot be written to {path}: {error.strerror or error}") from None
    return path


def opened_store(result: Any, run: str | None) -> tuple[Store, str | None, bool]:
    """The store and run that are meant, and whether the store was opened for it; `StoreError` for what is neither."""
    if isinstance(result, Store):
        return result, run, False
    if isinstance(result, str | Path):
        return Store(result, must_exist=True), run, True
    if isinstance(getattr(result, "store", None), Store) and isinstance(getattr(result, "run_id", None), str):
        return result.store, run or result.run_id, False
    raise StoreError(f"a report needs what nl.search returned, a store, or its URL (sqlite:///runs.db), not {result!r:.80}")


def render(summary: Summary, store: Store | None = None, *, live: int | None = None) -> str:
    """The page as text. With the store the incumbent is drawn; ``live`` is the version that a server of news gives it."""
    code = "\n".join(['"use strict";', *map(_asset, (*_SCRIPTS, *(("live.js",) if live is not None else ())))])
    library = _asset("uplot.min.js").partition("*/")[2]  # without the address in its first line
    places = {f"part_{name.replace('-', '_')}": html for name, html in parts(summary, store).items()}
    return string.Template(_asset("page.html")).substitute(
        places,
        title=escape(f"Search on {summary.task_name}"),
        policy=_policy(library, code, live is not None),
        style="\n".join((_asset("uplot.min.css"), _asset("page.css"), _asset("details.css"), style())),
        licence=escape(_asset("UPLOT_LICENSE")),
        data=embedded(page_data(summary) | ({} if live is None else {"version": live})),
        library=library,
        script=code,
    )


def _policy(library: str, code: str, live: bool) -> str:
    """What the page may do: run these two scripts and no other, ask nobody; while live, ask its own server."""
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in (library, code))
    asks = "; connect-src 'self'" if live else ""
    return f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {hashes}{asks}"


def look() -> str:
    """The style of pages, light and dark, drawings of networks included: for other pages that are to look alike."""
    return "\n".join((_asset("page.css"), style()))


@lru_cache(maxsize=32)
def _asset(name: str) -> str:
    return (files("netloom.reporting") / "assets" / name).read_text(encoding="utf-8").strip()
