"""What a report shows of a run, read from the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import StoreError
from ..searching.settings import Settings

if TYPE_CHECKING:
    from ..store import Store
    from ..training import Epoch


@dataclass(frozen=True, slots=True)
class Candidate:
    """One network of a run with its result; ``rank`` counts from 1 and is None where there is no score."""

    rank: int | None
    ask: int
    hash: str
    text: str
    num_params: int
    flops: int
    score: float | None
    status: str
    error: str
    seconds: float
    elapsed: float
    reused: bool
    curve: tuple[Epoch, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """A run: its record, and its different candidates in the order told."""

    run_id: str
    status: str
    seconds: float
    created: str
    settings: Settings
    environment: dict[str, str]
    command: str | None
    candidates: tuple[Candidate, ...]

    @property
    def ranked(self) -> tuple[Candidate, ...]:
        """The candidates that have a score, best first."""
        return tuple(sorted((c for c in self.candidates if c.rank is not None), key=lambda c: c.rank or 0))

    @property
    def failed(self) -> tuple[Candidate, ...]:
        """The candidates that have none."""
        return tuple(c for c in self.candidates if c.rank is None)

    @property
    def best_for_size(self) -> tuple[Candidate, ...]:
        """The candidates that no other beats or equals with as few parameters, smallest first (the Pareto front)."""
        front: list[Candidate] = []
        for candidate in sorted(self.ranked, key=lambda c: (c.num_params, c.rank)):
            if not front or (candidate.score or 0.0) > (front[-1].score or 0.0):
                front.append(candidate)
        return tuple(front)


def summarize(store: Store, run: str | None = None) -> Summary:
    """The summary of a run of the store, the latest where none is named; `StoreError` where there is none."""
    if run is None:
        ids = store.run_ids()
        if not ids:
            raise StoreError(f"store {store!r} has no runs to report; begin with: netloom search --store {store.shown_url}")
        run = ids[-1]
    record = store.run(run)
    settings = Settings.from_data(record["settings"])
    rows = store.evaluations(run).drop_duplicates("graph_hash")
    order = rows[rows["score"].notna()].sort_values(["score", "num_params", "id"], ascending=[False, True, True])
    ranks = {id: rank for rank, id in enumerate(order["id"], 1)}
    return Summary(
        run_id=run,
        status=record["status"],
        seconds=float(record["seconds"]),
        created=record["created"],
        settings=settings,
        environment=dict(record["environment"]),
        command=settings.command(store.shown_url),
        candidates=tuple(_candidate(store, row, ranks.get(row.id)) for row in rows.itertuples()),
    )


def _candidate(store: Store, row: Any, rank: int | None) -> Candidate:
    return Candidate(
        rank=rank,
        ask=int(row.ask),
        hash=row.graph_hash,
        text=store.graph(row.graph_hash).to_text(),
        num_params=int(row.num_params),
        flops=int(row.flops),
        score=None if rank is None else float(row.score),
        status=row.status,
        error=row.error,
        seconds=float(row.seconds),
        elapsed=float(row.elapsed),
        reused=bool(row.reused),
        curve=store.curve(int(row.id)),
    )
