"""Showing how a search goes: a live panel on a terminal, plain lines anywhere else."""

from __future__ import annotations

import json
import sys
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from .budget import Budget, Spent

if TYPE_CHECKING:
    from .proposal import Result


@dataclass(slots=True)
class Standing:
    """Where a search stands: what a progress display needs to know."""

    run_id: str
    budget: Budget
    used: Spent = field(default_factory=Spent)
    #: Failures by their kind.
    failures: Counter[str] = field(default_factory=Counter)
    best: Result | None = None
    #: What became the incumbent, and by which edit, latest last.
    accepted: list[tuple[float, str]] = field(default_factory=list)

    def accept(self, result: Result) -> None:
        """A new incumbent."""
        edit = result.lineage.edit
        told = ", ".join(edit.get("titles", ())) or edit.get("kind", "") if isinstance(edit, dict) else ""
        self.best = result
        self.accepted.append((result.score or 0.0, told or result.lineage.proposed_by or "random"))

    @property
    def candidates_an_hour(self) -> float:
        """How fast it goes."""
        return 3600 * self.used.evaluations / self.used.seconds if self.used.seconds > 0 else 0.0

    def count(self, result: Result, multiply_adds: float) -> None:
        """Take a new candidate into account."""
        self.used.evaluations += 1
        if result.score is None:
            self.failures[result.status] += 1
        if not result.reused:
            self.used.epochs += result.epochs
            self.used.multiply_adds += multiply_adds


class Progress(Protocol):
    """Gets told what happens; used as a context around the search."""

    def __enter__(self) -> Progress: ...

    def __exit__(self, *error: object) -> None: ...

    def told(self, standing: Standing, result: Result, error: str) -> None: ...

    def note(self, message: str) -> None: ...


class Silent:
    """Shows nothing."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def told(self, standing: Standing, result: Result, error: str) -> None:
        return None

    def note(self, message: str) -> None:
        return None


class PlainLines(Silent):
    """One line for each candidate."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr

    def told(self, standing: Standing, result: Result, error: str) -> None:
        best = "-" if standing.best is None else f"{standing.best.score:.4f}"
        self.note(
            f"[{standing.used.evaluations:>4}] {result_text(result):<22} {result.graph.num_params:>10,} parameters  "
            f"{result.seconds:5.1f} s  best {best}  {budget_text(standing)}"
        )

    def note(self, message: str) -> None:
        self._stream.write(message + "\n")
        self._stream.flush()


class LivePanel(Silent):
    """A panel that stays in place: budget, incumbent, and the latest candidates."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(stderr=True)
        self._live = Live(console=self._console, refresh_per_second=8)
        self._latest: deque[tuple[int, str, int, float]] = deque(maxlen=8)

    def __enter__(self) -> LivePanel:
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def told(self, standing: Standing, result: Result, error: str) -> None:
        number = standing.used.evaluations
        self._latest.append((number, result_text(result), result.graph.num_params, result.seconds))
        self._live.update(self._panel(standing))

    def note(self, message: str) -> None:
        self._live.console.print(message, highlight=False, markup=False)

    def _panel(self, standing: Standing) -> Any:
        from rich.console import Group
        from rich.panel import Panel
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
        for title, side in (("candidate", "right"), ("score", "right"), ("parameters", "right"), ("seconds", "right")):
            table.add_column(title, justify=side)  # type: ignore[arg-type]
        for number, result, num_params, seconds in self._latest:
            table.add_row(str(number), result, f"{num_params:,}", f"{seconds:.1f}")
        spent = standing.budget.spent(standing.used)
        best = "none yet"
        if standing.best is not None:
            best = f"[bold green]{standing.best.score:.4f}[/]  {standing.best.graph.num_params:,} parameters"
        failed = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in standing.failures.most_common())
        head = f"{budget_text(standing)}   best {best}   [dim]{standing.candidates_an_hour:,.0f} candidates an hour[/]"
        edits = Table(box=None, pad_edge=False, show_header=False, expand=True)
        edits.add_column(justify="right", width=9)
        edits.add_column(overflow="ellipsis", no_wrap=True)
        for score, text in standing.accepted[:-4:-1]:
            edits.add_row(f"{score:.4f}", Text(text))
        bar = ProgressBar(total=1.0, completed=min(spent, 1.0))
        parts: list[Any] = [head, bar, "", table, "", "[dim]accepted last[/]", edits]
        if failed:
            parts.append(f"[red]without a score: {failed}[/]")
        return Panel(Group(*parts), title=f"netloom search {standing.run_id}", title_align="left")


class JsonLines(Silent):
    """One JSON object for each candidate, for programs that read along."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout

    def told(self, standing: Standing, result: Result, error: str) -> None:
        lineage = result.lineage
        self._say(
            event="candidate", run=standing.run_id, number=standing.used.evaluations, graph=result.graph.hash,
            score=result.score, status=result.status, seconds=round(result.seconds, 3), epochs=result.epochs,
            num_params=result.graph.num_params, flops=result.graph.flops, reused=result.reused,
            proposed_by=lineage.proposed_by, edit=lineage.edit, parents=list(lineage.parents),
            error=error.strip().splitlines()[0] if error.strip() else "",
            best=None if standing.best is None else standing.best.score, spent=standing.budget.spent(standing.used),
        )  # fmt: skip

    def note(self, message: str) -> None:
        self._say(event="note", text=message)

    def _say(self, **values: Any) -> None:
        self._stream.write(json.dumps(values) + "\n")
        self._stream.flush()


def make_progress(show: bool | str) -> Progress:
    """The display for this process's error stream; ``"json"``: lines for programs on its output stream."""
    if show == "json":
        return JsonLines()
    if not show:
        return Silent()
    return LivePanel() if sys.stderr.isatty() else PlainLines()


def result_text(result: Result) -> str:
    """``0.9417``, with what is special about it."""
    score = result.status if result.score is None else f"{result.score:.4f}"
    if result.score is not None and result.status != "ok":
        score += f" ({result.status})"
    return f"{score} (known)" if result.reused else score


def budget_text(standing: Standing) -> str:
    """``14 s of 1m`` or ``7 of 25 candidates``; of several limits the one that is nearest."""
    budget, used = standing.budget, standing.used
    parts = []
    if budget.seconds is not None:
        parts.append((used.seconds / budget.seconds, f"{used.seconds:.0f} s of {Budget(budget.seconds)}"))
    if budget.evaluations is not None:
        share = used.evaluations / budget.evaluations
        parts.append((share, f"{used.evaluations} of {budget.evaluations} candidates"))
    if budget.epochs is not None:
        parts.append((used.epochs / budget.epochs, f"{used.epochs:.0f} of {budget.epochs} epochs"))
    if budget.multiply_adds is not None:
        share = used.multiply_adds / budget.multiply_adds
        parts.append((share, f"{used.multiply_adds:.2g} of {budget.multiply_adds:.2g} multiply–adds"))
    return max(parts)[1] if parts else f"{used.evaluations} candidates"
