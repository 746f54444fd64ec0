"""The parts of a page that need no script, as HTML by the name of their place. Whatever comes from a run is escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from .credit import Credit, Gain, edit_gains, part_credits
from .failures import Failures, grouped_failures
from .measures import measures
from .picture import picture
from .reproducing import command, facts, resume_command
from .wording import count_text, duration, plural, score_text, value_text

if TYPE_CHECKING:
    from ..store import Store
    from .summary import Evaluation, Summary

#: Candidates that a group of failures names.
_NAMED = 12
_STATUS = {"finished": "finished", "interrupted": "stopped early", "exhausted": "ran out of new candidates"}


# What gets credit: how an evaluation names the part that had a say.
def _proposer(evaluation: Evaluation) -> str:
    return evaluation.proposed_by


def _scorer(evaluation: Evaluation) -> str:
    return evaluation.scored_by


def _initialiser(evaluation: Evaluation) -> str:
    return evaluation.initialised_by


_PARTS = (("Proposed by", _proposer), ("Scored by", _scorer), ("First weights by", _initialiser))


def parts(summary: Summary, store: Store | None = None) -> dict[str, str]:
    """Place → HTML. With the store the incumbent is drawn too."""
    return {
        "headline": _headline(summary),
        "tiles": _tiles(summary),
        "best": _best(summary),
        "picture": "" if store is None or summary.incumbent is None else picture(store, summary.incumbent),
        "runners-up": _runners_up(summary),
        "edits": _edits(summary),
        "credit": _credit(summary),
        "failures": _failures(summary),
        "command": _command(summary),
        "facts": "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in facts(summary).items()),
    }


# -- above ---------------------------------------------------------------------------------------------------------------
def _headline(summary: Summary) -> str:
    strategy = str(summary.settings.get("strategy") or "search").partition("?")[0]
    when = str(summary.created)[:16].replace("T", " ")
    status = _STATUS.get(summary.status, summary.status)
    return escape(f"{strategy.capitalize()}, {status} · run {summary.run_id} · began {when} UTC")


def _tiles(summary: Summary) -> str:
    best, failed = summary.incumbent, sum(e.score is None for e in summary.evaluations)
    tiles = [(f"Best {summary.score_name.split(' ', 1)[1]}", score_text(best.score if best else None), "lead")]
    if best is not None:
        tiles.append(("Its parameters", count_text(best.num_params), ""))
    tiles.append(("Candidates", f"{len(summary.candidates):,}", ""))
    if len(summary.evaluations) != len(summary.candidates):
        tiles.append(("Evaluations", f"{len(summary.evaluations):,}", ""))
    tiles += [("Failures", f"{failed:,}", "bad" if failed else ""), ("Time", duration(summary.seconds), "")]
    if summary.seconds >= 60:
        tiles.append(("Evaluations an hour", f"{3600 * len(summary.evaluations) / summary.seconds:,.0f}", ""))
    return "".join(f'<div class="tile {kind}"><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>' for k, v, kind in tiles)


def _best(summary: Summary) -> str:
    best = summary.incumbent
    if best is None:
        why = "The failures below say why." if summary.failed else "The search has told of no candidate yet."
        return f'<p class="empty">No candidate has a score. {why}</p>'
    place = [candidate.hash for candidate in summary.candidates].index(best.hash)
    rows = [(m.title, score_text(m.values[place]) if m.name == "score" else value_text(m.values[place], m.unit))
            for m in measures(summary) if m.values[place] is not None]  # fmt: skip
    rows.append(("Trained for", plural(best.main.fidelity, "epoch")))
    if best.main.initialised_by not in ("", "random"):
        rows.append(("First weights by", best.main.initialised_by))
    if best.main.proposed_by:
        rows.append(("Proposed by", best.main.proposed_by))
    rows.append(("Found after", duration(best.main.elapsed)))
    if best.broken:
        rows.append(("Breaks", ", ".join(best.broken)))
    facts_ = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in rows)
    return (
        f'<dl class="numbers">{facts_}</dl>'
        f'<p class="hash"><code>{escape(best.hash)}</code> {_opener(best.hash, "Everything about it", "quiet")}</p>'
        f'<details class="source"><summary>Its text</summary><pre class="text" tabindex="0">{escape(best.text)}</pre></details>'
    )


def _runners_up(summary: Summary) -> str:
    found = [candidate for candidate in summary.ranked if candidate is not summary.incumbent and not candidate.broken][:5]
    if not found:
        return '<tr><td colspan="3" class="empty">None.</td></tr>'
    return "".join(
        f'<tr data-open="{escape(c.hash)}"><td>{score_text(c.score)}</td><td>{count_text(c.num_params)}</td>'
        f"<td>{_opener(c.hash, 'Show')}</td></tr>"
        for c in found
    )


def _opener(hash: str, words: str, kind: str = "link") -> str:
    return f'<button type="button" class="{kind}" data-open="{escape(hash)}">{escape(words)}</button>'


# -- what paid -----------------------------------------------------------------------------------------------------------
def _edits(summary: Summary) -> str:
    gains = edit_gains(summary)
    if not gains:
        return '<p class="empty">No candidate was made by editing another one.</p>'
    ends = [end for gain in gains for end in (gain.low, gain.high, gain.mean) if end is not None]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    return (
        '<div class="scroll"><table class="plain gains"><thead><tr><th class="left">Edit</th><th class="bar-cell">'
        'Mean, 95 % interval</th><th>Gain</th><th class="narrow-off">Better</th><th class="narrow-off">Best</th>'
        "<th>Children</th></tr></thead>"
        f"<tbody>{''.join(_gain(gain, low, high) for gain in gains)}</tbody></table></div>"
    )


def _gain(gain: Gain, low: float, high: float) -> str:
    better = "–" if gain.better is None else f"{100 * gain.better:.0f} %"
    return (
        f'<tr><td class="left">{escape(gain.kind)}</td><td class="bar-cell">{_gain_bar(gain, low, high)}</td>'
        f'<td>{score_text(gain.mean, sign=True)}</td><td class="narrow-off">{better}</td>'
        f'<td class="narrow-off">{score_text(gain.best, sign=True)}</td><td>{gain.count:,}</td></tr>'
    )


def _gain_bar(gain: Gain, low: float, high: float) -> str:
    """A bar from no gain to the mean, and a line over the interval."""
    if gain.mean is None or high <= low:
        return ""

    def x(value: float) -> float:
        return 2 + 196 * (value - low) / (high - low)

    start, stop = sorted((x(0.0), x(gain.mean)))
    kind = "up" if gain.mean >= 0 else "down"
    line = ""
    if gain.low is not None and gain.high is not None:
        line = f'<line class="interval" x1="{x(gain.low):.1f}" x2="{x(gain.high):.1f}" y1="9" y2="9"/>'
    return (
        f'<svg class="gain" viewBox="0 0 200 18" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="{kind}" x="{start:.1f}" y="3" width="{max(stop - start, 0.8):.1f}" height="12"/>'
        f'<line class="zero" x1="{x(0.0):.1f}" x2="{x(0.0):.1f}" y1="0" y2="18"/>{line}</svg>'
    )


def _credit(summary: Summary) -> str:
    made = []
    for title, part in _PARTS:
        found = part_credits(summary, part)
        if found:
            made.append(_credit_table(title, found, scorers=part is _scorer))
    return "".join(made) or '<p class="empty">The run does not say which part proposed what.</p>'


def _credit_table(title: str, found: tuple[Credit, ...], scorers: bool) -> str:
    more = (
        '<th title="Spearman\'s rank correlation of predicted and found scores">Correlation</th>'
        '<th title="Mean absolute error of the predictions">Error</th>' if scorers else ""
    )  # fmt: skip
    rows = []
    for credit in found:
        correlation = "–" if credit.correlation is None else f"{credit.correlation:.2f}"
        extra = f"<td>{correlation}</td><td>{score_text(credit.error)}</td>" if scorers else ""
        rows.append(
            f'<tr><td class="left">{escape(credit.name)}</td><td>{credit.count:,}</td><td>{credit.records:,}</td>'
            f"<td>{score_text(credit.best)}</td><td>{score_text(credit.mean)}</td>"
            f'<td class="narrow-off">{credit.failed:,}</td>{extra}</tr>'
        )
    return (
        f'<div class="scroll"><table class="plain"><thead><tr><th class="left">{escape(title)}</th><th>Evaluations</th>'
        '<th title="How often it was better than all before">Records</th><th>Best</th><th>Mean</th>'
        f'<th class="narrow-off">Failed</th>{more}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )


# -- failures, and how to repeat it --------------------------------------------------------------------------------------
def _failures(summary: Summary) -> str:
    groups = grouped_failures(summary)
    if not groups:
        words = "every candidate was trained and scored." if summary.candidates else "nothing has been tried."
        return f'<p class="empty">None: {words}</p>'
    return f'<ul class="failures">{"".join(map(_failure, groups))}</ul>'


def _failure(group: Failures) -> str:
    members = {evaluation.hash: evaluation for evaluation in reversed(group.evaluations)}
    shown = list(reversed(members.values()))[:_NAMED]
    links = " ".join(_opener(e.hash, f"#{e.ask}") for e in shown)
    more = f" and {len(members) - _NAMED:,} more" if len(members) > _NAMED else ""
    trace = ""
    if group.traceback.strip() and group.traceback.strip() != group.message:
        trace = f'<details><summary>Traceback</summary><pre class="text">{escape(group.traceback[:20_000])}</pre></details>'
    return (
        f'<li><span class="status bad">{escape(group.status.replace("_", " "))}</span> '
        f'<b>{plural(len(group.evaluations), "evaluation")}</b> <span class="hint">{duration(group.seconds)} spent</span>'
        f'<p class="why">{escape(group.message[:2_000]) or "No message."}</p>{trace}<p>{links}{more}</p></li>'
    )


def _command(summary: Summary) -> str:
    found = command(summary)
    hint = ""
    if found is None:
        shown = (
            '<p class="empty">This search used a space, data or a recipe that exist in one Python program only; '
            "run that program again with the settings below.</p>"
        )
    else:
        shown = f'<pre class="command" id="command" tabindex="0">{escape(found)}</pre>'
        if any(unit in str(summary.settings.get("budget", "")) for unit in "smh"):
            hint = (
                '<p class="hint">A budget in time trains as many candidates as the machine has time for; '
                f"<code>--budget {len(summary.candidates)}</code> asks for as many as there are here.</p>"
            )
    onward = resume_command(summary)
    if onward is not None:
        hint += f'<p class="hint">To go on where it stopped:</p><pre class="command">{escape(onward)}</pre>'
    return shown + hint
