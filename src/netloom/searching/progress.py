"""Showing how a search goes: a live panel on a terminal, plain lines anywhere else."""

from __future__ import annotations

import sys
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TextIO

if TYPE_CHECKING:
    from ..graph.graph import Graph
    from ..store import EvaluationRecord
    from .budget import Budget


@dataclass(slots=True)
class Standing:
    """Where a search stands: what a progress display needs to know."""

    run_id: str
    budget: Budget
    seconds: float = 0.0
    candidates: int = 0
    failures: int = 0
    best_score: float | None = None
    best_graph: Graph | None = None


class Progress(Protocol):
    """Gets told what happens; used as a context around the search."""

    def __enter__(self) -> Progress: ...

    def __exit__(self, *error: object) -> None: ...

    def told(self, standing: Standing, graph: Graph, record: EvaluationRecord, reused: bool) -> None: ...

    def note(self, message: str) -> None: ...


class Silent:
    """Shows nothing."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def told(self, standing: Standing, graph: Graph, record: EvaluationRecord, reused: bool) -> None:
        return None

    def note(self, message: str) -> None:
        return None


class PlainLines(Silent):
    """One line for each candidate."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr

    def told(self, standing: Standing, graph: Graph, record: EvaluationRecord, reused: bool) -> None:
        best = "-" if standing.best_score is None else f"{standing.best_score:.4f}"
        self.note(
            f"[{standing.candidates:>4}] {result_text(record, reused):<22} {graph.num_params:>10,} parameters  "
            f"{record.seconds:5.1f} s  best {best}  {budget_text(standing)}"
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

    def told(self, standing: Standing, graph: Graph, record: EvaluationRecord, reused: bool) -> None:
        self._latest.append((standing.candidates, result_text(record, reused), graph.num_params, record.seconds))
        self._live.update(self._panel(standing))

    def note(self, message: str) -> None:
        self._live.console.print(message, highlight=False, markup=False)

    def _panel(self, standing: Standing) -> Any:
        from rich.console import Group
        from rich.panel import Panel
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
        for title, side in (("candidate", "right"), ("score", "right"), ("parameters", "right"), ("seconds", "right")):
            table.add_column(title, justify=side)  # type: ignore[arg-type]
        for number, result, num_params, seconds in self._latest:
            table.add_row(str(number), result, f"{num_params:,}", f"{seconds:.1f}")
        spent = standing.budget.spent(standing.seconds, standing.candidates)
        best = "none yet"
        if standing.best_graph is not None:
            best = f"[bold green]{standing.best_score:.4f}[/]  {standing.best_graph.num_params:,} parameters"
        head = f"{budget_text(standing)}   best {best}   [dim]{standing.failures} failed[/]"
        bar = ProgressBar(total=1.0, completed=min(spent, 1.0))
        return Panel(Group(head, bar, "", table), title=f"netloom search {standing.run_id}", title_align="left")


def make_progress(show: bool) -> Progress:
    """The display for this process's error stream."""
    if not show:
        return Silent()
    return LivePanel() if sys.stderr.isatty() else PlainLines()


def result_text(record: EvaluationRecord, reused: bool) -> str:
    """``0.9417``, with what is special about it."""
    score = record.status if record.score is None else f"{record.score:.4f}"
    if record.score is not None and record.status != "ok":
        score += f" ({record.status})"
    return f"{score} (known)" if reused else score


def budget_text(standing: Standing) -> str:
    """``14 s of 1m`` or ``7 of 25``."""
    if standing.budget.seconds is not None:
        return f"{standing.seconds:.0f} s of {standing.budget}"
    return f"{standing.candidates} of {standing.budget} candidates"
