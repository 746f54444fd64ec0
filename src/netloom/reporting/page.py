"""`report`: the HTML page of a search."""

from __future__ import annotations

import json
import string
from dataclasses import asdict
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import StoreError
from ..searching import SearchResult
from ..store import Store
from .summary import Candidate, Summary, summarize

if TYPE_CHECKING:
    import os

#: The runners-up that are shown beside the incumbent.
RUNNERS_UP = 5


def report(result: SearchResult | Store | str, directory: str | os.PathLike[str], run: str | None = None) -> Path:
    """Write the page of a run to ``directory``/index.html and give its path.

    ``result`` is what `nl.search` returned, or a store (or its URL) and ``run`` one of its runs (default: the latest). The page
    holds everything it needs: no network, no other file. Raises `StoreError` where there is no such run, or the
    page cannot be written.
    """
    if isinstance(result, SearchResult):
        store, run = result.store, run or result.run_id
    else:
        store = Store(result, must_exist=True) if isinstance(result, str) else result
    page = render(summarize(store, run))
    path = Path(directory) / "index.html"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8", newline="\n")
    except OSError as error:
        raise StoreError(f"the report cannot be written to {path}: {error.strerror or error}") from None
    return path


def render(summary: Summary) -> str:
    """The page as text."""
    ranked = summary.ranked
    parts = {
        "title": escape(f"Search on {summary.settings.task_name}"),
        "style": _asset("page.css"),
        "headline": _headline(summary),
        "tiles": _tiles(summary),
        "best": _best(ranked),
        "front": _rows(summary.best_for_size),
        "runners_up": _rows(ranked[1 : 1 + RUNNERS_UP]),
        "failures": _failures(summary.failed),
        "command": _command(summary),
        "facts": _facts(summary),
        "data": _embedded(summary),
        "script": "\n".join(_asset(name) for name in ("elements.js", "charts.js", "candidates.js")),
    }
    return string.Template(_asset("page.html")).substitute(parts)


def _asset(name: str) -> str:
    return (files("netloom.reporting") / "assets" / name).read_text(encoding="utf-8")


def _embedded(summary: Summary) -> str:
    """The candidates as JSON that is safe inside a script element: no ``<``, so no end tag, whatever the data say."""
    front = {candidate.hash for candidate in summary.best_for_size}
    rows = [{**asdict(c), "curve": _curve(c), "front": c.hash in front} for c in summary.candidates]
    text = json.dumps({"run": summary.run_id, "seconds": summary.seconds, "candidates": rows}, allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _curve(candidate: Candidate) -> list[dict[str, float]]:
    """A learning curve, without what was not measured in an epoch: JSON has no nan."""
    points = (asdict(point) for point in candidate.curve)
    return [{name: value for name, value in point.items() if value == value} for point in points]


# -- the parts that are written without a script --------------------------------------------------------------------
def _headline(summary: Summary) -> str:
    settings = summary.settings
    status = {"finished": "finished", "interrupted": "stopped early", "exhausted": "ran out of new candidates"}
    when = summary.created[:16].replace("T", " ")
    return escape(
        f"{settings.strategy.capitalize()} search, {status.get(summary.status, summary.status)} · "
        f"run {summary.run_id} · began {when} UTC"
    )


def _tiles(summary: Summary) -> str:
    ranked, failed = summary.ranked, summary.failed
    tiles = [("Best validation accuracy", f"{ranked[0].score:.4f}" if ranked else "none", "lead")]
    if ranked:
        tiles.append(("Its parameters", f"{ranked[0].num_params:,}", ""))
    tiles += [
        ("Candidates", f"{len(summary.candidates):,}", ""),
        ("Without a score", f"{len(failed):,}", ""),
        ("Time", duration(summary.seconds), ""),
    ]
    return "".join(
        f'<div class="tile {kind}"><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>' for name, value, kind in tiles
    )


def _best(ranked: tuple[Candidate, ...]) -> str:
    if not ranked:
        return '<p class="empty">No candidate has a score. The failures below say why.</p>'
    best = ranked[0]
    return (
        f'<p class="facts"><b>{best.score:.4f}</b> accuracy · {best.num_params:,} parameters · '
        f"{best.flops:,} FLOPs · trained in {best.seconds:.1f} s</p>"
        f'<pre class="text" tabindex="0">{escape(best.text)}</pre>'
        f'<p class="hash"><code>{escape(best.hash)}</code>'
        f'<button type="button" class="quiet" data-open="{escape(best.hash)}">Curve and details</button></p>'
    )


def _rows(candidates: tuple[Candidate, ...]) -> str:
    if not candidates:
        return '<tr><td colspan="4" class="empty">None.</td></tr>'
    return "".join(
        f'<tr data-open="{escape(c.hash)}"><td>{c.score:.4f}</td><td>{c.num_params:,}</td><td>{c.flops:,}</td>'
        f'<td><button type="button" class="link" data-open="{escape(c.hash)}">Show</button></td></tr>'
        for c in candidates
    )


def _failures(failed: tuple[Candidate, ...]) -> str:
    if not failed:
        return '<p class="empty">None: every candidate was trained and scored.</p>'
    groups: dict[tuple[str, str], list[Candidate]] = {}
    for candidate in failed:
        groups.setdefault((candidate.status, candidate.error), []).append(candidate)
    items = []
    for (status, error), members in sorted(groups.items(), key=lambda group: -len(group[1])):
        links = " ".join(
            f'<button type="button" class="link" data-open="{escape(c.hash)}">#{c.ask}</button>' for c in members[:12]
        )
        more = f" and {len(members) - 12} more" if len(members) > 12 else ""
        count = f"{len(members)} candidate{'s' if len(members) > 1 else ''}"
        items.append(
            f'<li><span class="status bad">{escape(status.replace("_", " "))}</span> <b>{count}</b>'
            f"<p>{escape(error) or 'No message.'}</p><p>{links}{more}</p></li>"
        )
    return f'<ul class="failures">{"".join(items)}</ul>'


def _command(summary: Summary) -> str:
    if summary.command is None:
        return (
            '<p class="empty">This search used a space, data or a recipe that exist in one Python program only; '
            "run that program again with the settings below.</p>"
        )
    hint = ""
    if summary.settings.limits.seconds is not None:
        hint = (
            '<p class="hint">A budget in time trains as many candidates as the machine has time for; '
            f"<code>--budget {len(summary.candidates)}</code> asks for as many as there are here.</p>"
        )
    return f'<pre class="command" id="command" tabindex="0">{escape(summary.command)}</pre>{hint}'


def _facts(summary: Summary) -> str:
    data = summary.settings.to_data()
    recipe: dict[str, Any] = data.pop("recipe")
    facts = {key.replace("_", " "): value for key, value in data.items() if value not in (None, "")}
    facts |= {f"recipe: {key.replace('_', ' ')}": value for key, value in recipe.items() if value is not None}
    facts |= {("data" if key == "task" else key): value for key, value in summary.environment.items()}
    return "".join(f"<div><dt>{escape(key)}</dt><dd>{escape(str(value))}</dd></div>" for key, value in facts.items())


def duration(seconds: float) -> str:
    """A time for people.

    >>> duration(8.25), duration(75), duration(3 * 3600 + 120)
    ('8.2 s', '1 min 15 s', '3 h 2 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


