"""The page of a tour: HTML that needs nothing but itself, and no script. Whatever comes from a task or a network is escaped."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import NetloomError, StoreError
from ..reporting.page import look
from ..reporting.picture import drawing
from .ablation import STEPS, Ablation
from .chart import chart
from .chart import style as chart_style

if TYPE_CHECKING:
    from .guided_tour import Tour

_STYLE = """
.wide{display:block}.narrow{display:none}
@media(max-width:700px){.wide{display:none}.narrow{display:block}.pair,.pair.uneven{grid-template-columns:minmax(0,1fr)}}
.ablation{width:100%;height:auto;margin-top:10px}
@media(max-width:700px){table.words,table.words tbody,table.words tr,table.words td{display:block}
table.words thead{display:none}
table.words tr{padding:8px 0;border-bottom:1px solid var(--grid)}
table.words.plain td,table.words.plain td.number{border:0;padding:1px 0;text-align:left;white-space:normal}
table.words td:empty{display:none}
table.words td[data-title]:not([data-title=""])::before{content:attr(data-title) ": ";color:var(--muted)}}
.card p{margin:8px 0;max-width:78ch}.good{color:var(--good)}.bad{color:var(--bad)}.muted{color:var(--muted)}
table.words td,table.words th{white-space:normal;text-align:left}
table.words td.number,table.words th.number{text-align:right;white-space:nowrap}
.go{display:flex;flex-wrap:wrap;gap:8px 18px;margin-top:6px}.go a{color:var(--accent);font-weight:600}
"""


def write_page(tour: Tour) -> Path:
    """Write the page of a tour; `StoreError` where that is not possible."""
    html = page(tour)
    try:
        tour.page.parent.mkdir(parents=True, exist_ok=True)
        tour.page.write_text(html, encoding="utf-8", newline="\n")
    except OSError as error:
        raise StoreError(f"the page of the tour cannot be written to {tour.page}: {error.strerror or error}") from None
    return tour.page


def page(tour: Tour) -> str:
    """The page as text."""
    title = escape(f"A tour of netloom on {tour.task.name}")
    parts = [_head(tour), _network(tour), _weights(tour), _sizes(tour), _ablation(tour), _finale(tour), _onwards(tour)]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{title}</title>\n<style>{look()}{_STYLE}{chart_style()}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(parts)
        + '\n<footer class="hint">Made by netloom.</footer>\n</main>\n</body>\n</html>\n'
    )


def _head(tour: Tour) -> str:
    rival = max(tour.rivals, key=lambda each: each.score, default=None)
    name = escape(tour.task.score_name)
    tiles = [(f"Test {name}, read once", f"{tour.test_score:.4f}", "lead")]
    if rival is not None:
        tiles.append((f"Best of {len(tour.rivals)} without a search", f"{rival.score:.4f}", ""))
    quickest = min((each.seconds for each in tour.predicted if not each.why), default=None)
    if quickest is not None:
        tiles.append(("Weights predicted in", f"{quickest:.2f} s", ""))
    change = next((size.change for size in tour.sized if size.change is not None), None)
    if change is not None:
        tiles.append(("Change of outputs by growing", f"{change:.1g}", ""))
    tiles.append(("Networks tried", f"{sum(len(run.best) for run in tour.ablation.runs):,}", ""))
    tiles.append(("Time", f"{tour.seconds / 60:.1f} min", ""))
    shown = "".join(f'<div class="tile {kind}"><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>' for k, v, kind in tiles)
    return (
        f"<header><h1>A tour of netloom on {escape(tour.task.name)}</h1>"
        f'<p class="sub">{escape(repr(tour.task)[1:-1])}. Architectures are values here: drawn, filled with weights, grown, '
        "pruned, trained, compared and found. Every number below was measured just now.</p>"
        f'<dl class="tiles">{shown}</dl></header>'
    )


def _network(tour: Tour) -> str:
    graph = tour.graph
    try:
        picture = drawing(graph)
    except NetloomError as error:
        picture = f'<p class="empty">It cannot be drawn: {escape(str(error))}</p>'
    facts = f"{graph.num_params:,} parameters, {graph.flops:,} FLOPs a sample, {len(graph.nodes)} nodes"
    return (
        f'<section class="pair uneven"><div class="card"><h2>1 · A network is a value</h2>'
        f'<div class="frame" tabindex="0" aria-label="Drawing of the network">{picture}</div></div>'
        f'<div class="card"><h2>The same as text</h2><p class="facts">{escape(facts)}</p>'
        f'<pre class="text" tabindex="0">{escape(graph.to_text())}</pre>'
        f'<p class="hash"><code>{escape(graph.hash)}</code></p></div></section>'
    )


def _weights(tour: Tour) -> str:
    rows: list[list[str | tuple[str, str]]] = []
    for each in tour.predicted:
        if each.why:
            rows.append([each.part, each.subject, "none fits", each.why])
        else:
            gain = (each.score or 0.0) - (each.random_score or 0.0)
            told = f"{each.score:.3f} with predicted weights, {each.random_score:.3f} with random ones"
            kind = "good" if gain > 0.02 else "bad" if gain < -0.02 else "muted"
            rows.append([each.part, each.subject, f"{each.num_params:,} weights in {each.seconds:.2f} s", (told, kind)])
    if not rows:
        return ""
    table = _table(("Part", "For", "Predicted", f"Validation {tour.task.score_name}, before any training"), rows)
    return (
        '<section class="card"><h2>2 · Weights that nobody trained</h2><p>A hypernetwork reads the graph and predicts all of '
        "its weights; a Netformer reads the data and writes a perceptron. Both were trained elsewhere, on other networks.</p>"
        f"{table}</section>"
    )


def _sizes(tour: Tour) -> str:
    rows: list[list[str | tuple[str, str]]] = []
    for size in tour.sized:
        change = "" if size.change is None else f"{size.change:.2g}"
        rows.append([size.what, f"{size.num_params:,}", f"{size.flops:,}", f"{size.score:.4f}", change])
    head = ("", "Parameters", "FLOPs", f"Validation {tour.task.score_name}", "Largest change of an output")
    return (
        '<section class="card"><h2>3 · More neurons, and fewer</h2><p>Growing keeps what the network computes: the new neurons '
        "say nothing yet. Pruning does not, and a short training makes up for it.</p>"
        f"{_table(head, rows, numbers=range(1, 5))}</section>"
    )


def _ablation(tour: Tour) -> str:
    ablation = tour.ablation
    rows: list[list[str | tuple[str, str]]] = []
    for step in STEPS:
        if step.name in ablation.left_out:
            rows.append([step.name, step.about, "left out", (ablation.left_out[step.name], "muted"), "", ""])
            continue
        runs, gain = ablation.of(step.name), ablation.gain(step.name)
        final = sum(ablation.final(step.name)) / len(runs)
        kind = "muted" if gain is None or abs(gain[0]) < 0.002 else "good" if gain[0] > 0 else "bad"
        told = ("the baseline", "muted") if gain is None else (_gain(gain), kind)
        seconds = sum(run.seconds for run in runs)
        count = sum(len(run.best) for run in runs)
        spent = f"{seconds:.0f} s{_cut_short(ablation, step.name)}"
        rows.append([step.name, step.about, f"{final:.4f}", told, f"{count:,}", spent])
    head = ("Step", "What is new", f"Best validation {ablation.score_name}", "Against the step above", "Candidates", "Time")
    words = _verdict(ablation)
    if tour.correlation is not None:
        words += (
            f" The predictor had a say in {tour.predictions} candidates; the rank correlation (Kendall's τ) of what it said "
            f"with what came out was {tour.correlation:+.2f}."
        )
    return (
        f'<section class="card"><h2>4 · What each part buys, at equal budget</h2><p>{escape(words)}</p>'
        f'<div class="wide">{chart(ablation)}</div><div class="narrow">{chart(ablation, narrow=True)}</div>'
        f'<div class="scroll">{_table(head, rows, numbers=(2, 4, 5))}</div>'
        '<p class="hint">One search for each step says little about differences of a point or two; '
        "<code>benchmarks/ablation.py</code> does the same with several seeds.</p></section>"
    )


def _cut_short(ablation: Ablation, step: str) -> str:
    """What is said of searches that the clock ended before they had spent what others had."""
    most = max(run.spent[-1] for run in ablation.runs)
    least = min(run.spent[-1] for run in ablation.of(step))
    return "" if least >= 0.9 * most else f", stopped by the clock at {least:.0f} of {most:.0f} {ablation.unit.split()[0]}"


def _verdict(ablation: Ablation) -> str:
    """What paid and what did not, in a sentence or two."""
    gains = {step: gain[0] for step in ablation.steps if (gain := ablation.gain(step)) is not None}
    paid = [f"{step[2:]} {gain:+.3f}" for step, gain in gains.items() if gain >= 0.002]
    lost = [f"{step[2:]} {gain:+.3f}" for step, gain in gains.items() if gain < -0.002]
    even = [step[2:] for step, gain in gains.items() if abs(gain) < 0.002]
    each = f"{ablation.budget} candidates" if ablation.unit == "candidates" else ablation.budget.split(", ")[-1]
    parts = [f"{len(ablation.steps)} searches of {each} each, every one with one part more."]
    if paid:
        parts.append(f"Gains here: {', '.join(paid)}.")
    if lost:
        parts.append(f"Losses: {', '.join(lost)}.")
    if even:
        parts.append(f"No difference: {', '.join(even)}.")
    if ablation.left_out:
        parts.append(f"Left out: {'; '.join(f'{step[2:]}, for {why}' for step, why in ablation.left_out.items())}.")
    return " ".join(parts)


def _gain(gain: tuple[float, float | None]) -> str:
    mean, half = gain
    return f"{mean:+.4f}" + ("" if half is None else f" ± {half:.4f}")


def _finale(tour: Tour) -> str:
    ahead = "good" if all(tour.test_score > rival.score for rival in tour.rivals) else ""
    own = f"netloom: {tour.best_graph.num_params:,} parameters, of the search “{tour.best_step}”, then trained at length"
    rows: list[list[str | tuple[str, str]]] = [[own, (f"{tour.test_score:.4f}", ahead)]]
    rows += [[rival.name, f"{rival.score:.4f}"] for rival in tour.rivals]
    table = _table(("", f"Test {tour.task.score_name}"), rows, numbers=(1,))
    link = escape(Path(os.path.relpath(tour.report, tour.page.parent)).as_posix())
    return (
        '<section class="pair"><div class="card"><h2>5 · The best network</h2><p>All choices were made on the validation part; '
        f"the test part of {tour.task.num_test:,} samples was read for this table alone.</p>{table}</div>"
        '<div class="card"><h2>How it came to be</h2><p>Every candidate is in a store with its parents, the edits that made '
        "it, and which part proposed, scored and initialised it. The report shows all of them, and plays the incumbent’s "
        f'lineage step by step.</p><p class="go"><a href="{link}">The report of the best evolving search</a>'
        f'<a href="{link}#lineage-card">Its lineage</a></p></div></section>'
    )


def _onwards(tour: Tour) -> str:
    commands = [
        "netloom search digits --propose space,mutation,crossover --score predictor --init auto --budget 10m --report out",
        "netloom search my.csv --target y --budget 10m --save best.safetensors",
        "netloom tour photos/                          # your own images, a folder for each class",
        "netloom tour my_models:net --task digits      # your own network",
    ]
    shown = escape("\n".join(commands))
    return f'<section class="card"><h2>Onwards</h2><pre class="command" tabindex="0">{shown}</pre></section>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str | tuple[str, str]]], numbers: Iterable[int] = ()) -> str:
    right = set(numbers)

    def cell(place: int, value: str | tuple[str, str]) -> str:
        text, kind = value if isinstance(value, tuple) else (value, "")
        title = escape(head[place]) if place else ""
        return f'<td data-title="{title}" class="{"number " if place in right else ""}{kind}">{escape(text)}</td>'

    titles = "".join(f'<th class="{"number" if i in right else ""}">{escape(title)}</th>' for i, title in enumerate(head))
    body = "".join(f"<tr>{''.join(cell(i, value) for i, value in enumerate(row))}</tr>" for row in rows)
    return f'<table class="plain words"><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>'
