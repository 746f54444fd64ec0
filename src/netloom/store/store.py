"""`Store`: everything that was ever scored, in a database."""

from __future__ import annotations

import itertools
import os
import secrets
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ..errors import StoreError
from . import artifacts as files
from . import checking, claiming, cleaning, finding, proposing, querying, recording, running, subjects, tables
from .addresses import is_in_memory, shown, sqlite_file
from .database import Database
from .receiving import Received
from .records import Claim, EvaluationKey, EvaluationRecord, Lineage
from .transfer import Told, export, import_from, merge, no_one

if TYPE_CHECKING:
    import pandas
    from torch import Tensor

    from ..building.network import Network
    from ..graph.graph import Graph
    from ..training import Epoch


class Store:
    """A store at a database URL: ``sqlite:///FILE``, ``sqlite://`` (in memory) or ``postgresql+psycopg://USER@HOST/NAME``.

    Evaluations are filed under an `EvaluationKey`. What a store promises (`netloom.testing.stores` holds it to that):

    1. **Nothing acknowledged is lost.** When `record` has returned, its result outlives a kill of any process and a power cut.
    2. **One result for one key.** Whoever else writes, `record` gives what the store holds from now on; only results that
       depend on the machine (`INEXACT`: out of memory, time limit, killed) are ever replaced.
    3. **Claims are fenced.** Of all who `claim` a key one gets it. While its heartbeats come nobody else does; when they stop
       for the grace period the next one may. A result under a claim that was taken over is refused with `ClaimLostError`.
    4. **Writes are transactions**: what a call writes is there as a whole or not at all, also when the disk is full.
    5. **Deleting a run** deletes no evaluation that another run shares.
    6. **Waiting is the store's business.** A busy database or a server that restarts makes a call slow, not fail, for
       ``wait_seconds``; whether a broken commit succeeded is found out, and never done twice.
    7. **Stored things are data**: JSON, numbers, words and safetensors, nothing that could run.

    Safe for threads, processes and forks; a store pickles as its URL. ``read_only`` asks for no right to write, and is so by
    itself where a file may not be written. Weights are kept at ``artifacts``, a folder or an fsspec URL that the store
    remembers; by default ``FILE.artifacts`` beside an SQLite file. Raises `StoreError` for a URL or database that cannot be
    used, `VersionError` for a store of a newer schema; older ones are brought up to date with their data.

    >>> store = Store("sqlite://")
    >>> store.check()
    []
    """

    def __init__(
        self,
        url: str | os.PathLike[str] = "sqlite://",
        *,
        must_exist: bool = False,
        read_only: bool = False,
        artifacts: str | os.PathLike[str] | None = None,
        wait_seconds: float = 60.0,
    ) -> None:
        place = None if artifacts is None else os.fspath(artifacts)
        if place is not None and "://" not in place:
            place = str(Path(place).absolute())
        #: Files of a store in memory.
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._given = {"must_exist": True, "read_only": read_only, "artifacts": place, "wait_seconds": wait_seconds}
        self._database = Database(
            url, must_exist=must_exist, read_only=read_only, wait_seconds=wait_seconds, artifacts=None if read_only else place
        )
        self.url = self._database.url.render_as_string(hide_password=False)

    def close(self) -> None:
        """Let go of the database; what was in memory is gone."""
        self._database.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Store {self.shown_url}>"

    def __reduce__(self) -> Any:
        if is_in_memory(self._database.url):
            raise StoreError(
                "a store in memory belongs to one process; give others the URL of a file such as sqlite:///runs.db"
            )
        return _reopened, (self.url, self._given)

    @property
    def shown_url(self) -> str:
        """The URL as it may be shown: without its password."""
        return shown(self.url)

    @property
    def read_only(self) -> bool:
        """Whether this store was opened for reading alone, or cannot be written."""
        return self._database.read_only

    # -- evaluations -----------------------------------------------------------------------------------------------
    def find(self, key: EvaluationKey) -> EvaluationRecord | None:
        """The stored result of ``key``, or None."""
        return self._database.read(lambda connection: finding.find(connection, key))

    def evaluation(self, id: int) -> tuple[EvaluationKey, EvaluationRecord]:
        """Key and result of the evaluation number ``id``; `StoreError` where there is none."""
        found = self._database.read(lambda connection: finding.found_by_id(connection, int(id)))
        if found is None:
            raise StoreError(f"store {self.shown_url}: there is no evaluation number {id}")
        return found

    def record(
        self, graph: Graph | str, key: EvaluationKey, result: EvaluationRecord, *, claim: Claim | None = None
    ) -> EvaluationRecord:
        """Store a result (and its graph) and give what the store holds for its key from now on.

        A result that is there already stays, unless its status is one of `INEXACT`. Under a ``claim``, the claim ends with
        the result; one that was taken over raises `ClaimLostError`, and nothing is stored. A hash stands for a graph that
        the store has.

        >>> import netloom as nl
        >>> x = nl.input(4)
        >>> graph, store = nl.Graph(x, nl.linear(x, 2)), Store()
        >>> key = EvaluationKey(graph.hash, task_hash="t", recipe_hash="r", seed=0, fidelity=1)
        >>> store.record(graph, key, EvaluationRecord("ok", 0.9, seconds=1.5)).score
        0.9
        >>> store.record(graph, key, EvaluationRecord("ok", 0.1, seconds=1.5)).score   # the first one stays
        0.9
        """
        item = recording.checked(graph, key, result)
        if claim is not None and claim.key != key:
            raise StoreError(f"the claim is on {claim.key}, the result is of {key}")
        return self._database.write(lambda connection: recording.record(connection, item, claim))

    def record_many(self, items: Iterable[tuple[Graph | str, EvaluationKey, EvaluationRecord]]) -> list[int]:
        """Store many results, 10,000 to a transaction, and give the ids of what the store holds for their keys.

        Otherwise as `record`. An iterator is read as it is written, so that it need not fit in memory.
        """
        ids: list[int] = []
        for batch in subjects.chunks((recording.checked(*item) for item in items), recording.BATCH):
            ids += self._database.write(lambda connection, batch=batch: recording.record_all(connection, batch).ids)  # type: ignore[misc]
        return ids

    def evaluations(
        self, run: str | None = None, *, order: str | None = None, limit: int | None = None, **filters: Any
    ) -> pandas.DataFrame:
        """Every evaluation, or those of one run in the order told, as a DataFrame; filtered and ordered by the database.

        Filters: ``task``, ``recipe`` (an object with a hash, a hash, a name), ``graph``, ``status``, ``init``, ``seed``,
        ``fidelity``, ``evaluator`` (a value or a list of values), ``min_score``, ``max_score``, ``min_params``,
        ``max_params``, ``min_flops``, ``max_flops``, ``since`` (a time in UTC). ``order`` is a column, after ``-`` the highest
        first.

        Columns: ``id``, the fields of the key, ``status``, ``score``, ``seconds``, ``error``, ``created``, ``num_params``,
        ``flops``, ``task`` and ``recipe`` (names); for a run also ``ask``, ``reused``, ``elapsed`` (seconds since the run
        began) and lineage. Raises `StoreError` for a run, filter or column that there is not.

        >>> list(Store().evaluations(status="ok", min_score=0.5, order="-score", limit=10).columns)[:4]
        ['id', 'graph_hash', 'task_hash', 'recipe_hash']
        """
        if run is not None:
            self.run(run)
        return self._database.read(lambda connection: querying.frame(connection, run, filters, order, limit))

    def best(self, n: int = 10, *, run: str | None = None, distinct: bool = True, **filters: Any) -> pandas.DataFrame:
        """The ``n`` best evaluations, highest score first, of equals the smallest network, then the first.

        A network that was scored several times is there once, with its best, unless ``distinct=False``. Filters and columns
        are those of `evaluations`; give ``task=`` where the store has several, for their scores do not compare.
        """
        if isinstance(n, bool) or not isinstance(n, int) or n < 0:
            raise StoreError(f"best(n) with n = {n!r}; expected how many, an integer ≥ 0")
        if run is not None:
            self.run(run)
        return self._database.read(lambda connection: querying.best(connection, n, run, filters, distinct))

    def curve(self, evaluation_id: int) -> tuple[Epoch, ...]:
        """The learning curve of one evaluation."""
        return self._database.read(lambda connection: finding.curve(connection, int(evaluation_id)))

    def curves(self, evaluation_ids: Sequence[int] | None = None) -> pandas.DataFrame:
        """Learning curves as a DataFrame, one row for each epoch: of the evaluations given, or of all."""
        return self._database.read(lambda connection: querying.curves_frame(connection, evaluation_ids))

    def missing(self, keys: Iterable[EvaluationKey], *, retry: bool = False) -> list[EvaluationKey]:
        """Those of ``keys`` that have no result; with ``retry``, also those whose result is one of `INEXACT`."""
        wanted = list(keys)
        return self._database.read(lambda connection: claiming.missing(connection, wanted, retry))

    # -- graphs, tasks, recipes ------------------------------------------------------------------------------------
    def graph(self, hash: str) -> Graph:
        """The graph with this hash, or with the only hash that begins so; `StoreError` where there is none."""
        from ..graph.graph import Graph

        return Graph.from_json(self._database.read(lambda connection: finding.graph_json(connection, hash)))

    def add_graph(self, graph: Graph) -> str:
        """Keep a graph without a result, such as a parent of candidates; gives its hash."""
        self._database.write(lambda connection: subjects.graph_numbers(connection, [graph]))
        return graph.hash

    def add_task(self, task: Any) -> None:
        """Let the store know a task by its name and spec, beside its hash."""
        values = subjects.task_values(task)
        self._database.write(lambda connection: subjects.describe(connection, tables.tasks, task.hash, values))

    def add_recipe(self, recipe: Any, name: str = "") -> None:
        """Let the store know a recipe by its name and its fields, beside its hash."""
        values = subjects.recipe_values(recipe, name)
        self._database.write(lambda connection: subjects.describe(connection, tables.recipes, recipe.hash, values))

    def tasks(self) -> pandas.DataFrame:
        """Every task: ``hash``, ``name``, ``spec``, ``kind`` and the number of its ``evaluations``."""
        return self._database.read(lambda connection: querying.subjects_frame(connection, tables.tasks))

    def recipes(self) -> pandas.DataFrame:
        """Every recipe: ``hash``, ``name``, ``fields`` and the number of its ``evaluations``."""
        return self._database.read(lambda connection: querying.subjects_frame(connection, tables.recipes))

    # -- runs ------------------------------------------------------------------------------------------------------
    def add_run(
        self,
        id: str,
        settings: Mapping[str, Any],
        environment: Mapping[str, Any],
        *,
        strategy: str | None = None,
        seed: int | None = None,
    ) -> None:
        """Begin the record of a run. ``strategy`` and ``seed`` are taken from the settings where they are not given."""
        values = running.run_values(id, settings, environment, strategy, seed)
        self._database.write(lambda connection: running.add(connection, values))

    def update_run(self, id: str, *, status: str, seconds: float) -> None:
        """Note how far a run has come: its status and the seconds it has worked."""
        self._database.write(lambda connection: running.update(connection, id, status, seconds))

    def run(self, id: str) -> dict[str, Any]:
        """Strategy, seed, settings, environment, status, seconds and times of a run; `StoreError` where there is none."""
        return self._database.read(lambda connection: running.get(connection, id))

    def run_ids(self) -> tuple[str, ...]:
        """The ids of all runs, oldest first."""
        query = sa.select(tables.runs.c.id).order_by(tables.runs.c.created, tables.runs.c.id)
        return self._database.read(lambda connection: tuple(connection.execute(query).scalars()))

    def runs(self) -> pandas.DataFrame:
        """Every run, oldest first, with the number of its ``candidates`` and their ``best_score``."""
        return self._database.read(querying.runs_frame)

    def add_proposal(
        self, run: str, ask: int, evaluation_id: int, *, reused: bool, elapsed: float, lineage: Lineage | None = None
    ) -> None:
        """Note that the candidate number ``ask`` of a run came to this evaluation, and where it came from.

        Raises `StoreError` for a second result of one ask, and for parents that the store has not (see `add_graph`).
        """
        came = lineage if lineage is not None else Lineage()
        tries = itertools.count()
        self._database.write(
            lambda connection: running.add_proposal(
                connection, run, ask, evaluation_id, reused=reused, elapsed=elapsed, lineage=came, again=next(tries) > 0
            )
        )

    def proposals(self, run: str) -> pandas.DataFrame:
        """`evaluations` of a run, with ``edit`` (JSON values), ``parents`` (hashes) and ``metrics`` (numbers by name)."""
        self.run(run)
        return self._database.read(lambda connection: proposing.frame(connection, run))

    def graph_texts(self, run: str) -> dict[str, str]:
        """Hash → text notation of every candidate of a run and of their parents, read as they are stored."""
        return self._database.read(lambda connection: proposing.texts(connection, run))

    def lineage(self, graph: Graph | str, *, run: str | None = None) -> pandas.DataFrame:
        """A graph and its ancestors, one row for each time that a run proposed one.

        Columns: ``generation`` (0 for the graph itself), ``graph_hash``, ``score``, ``proposed_by``, ``edit``, ``scored_by``,
        ``predicted_score``, ``initialised_by``, ``run_id``, ``ask``, ``parents`` (hashes).
        """
        hash = graph if isinstance(graph, str) else graph.hash
        return self._database.read(lambda connection: querying.lineage_frame(running.lineage_rows(connection, hash, run)))

    def delete_run(self, id: str, *, keep_evaluations: bool = True) -> int:
        """Remove a run. Its evaluations stay, or, with ``keep_evaluations=False``, those that another run shares.

        Gives the number of evaluations that were removed.
        """
        return self._database.write(lambda connection: running.delete(connection, id, keep_evaluations))

    # -- claims ----------------------------------------------------------------------------------------------------
    def claim(
        self, key: EvaluationKey, *, grace_seconds: float = 60.0, holder: str | None = None, retry: bool = True
    ) -> Claim | None:
        """Take ``key`` to work on it; None where it has a result or another's living claim.

        A result that depends on the machine counts as none unless ``retry=False``. The claim lives while `heartbeat` is
        called at least every ``grace_seconds``, which `holding` does; `record` with ``claim=`` ends it.
        """
        if not grace_seconds > 0:
            raise StoreError(f"grace_seconds = {grace_seconds!r}; expected a number > 0")
        # Looked at without the right to write first: most keys of a long list are taken.
        if self._database.read(lambda connection: claiming.is_taken(connection, key, retry)):
            return None
        named = holder or claiming.this_process()
        nonce = secrets.token_hex(16)
        return self._database.write(
            lambda connection: claiming.claim(
                connection, key, holder=named, nonce=nonce, grace_seconds=float(grace_seconds), retry=retry
            )
        )

    def heartbeat(self, claim: Claim) -> None:
        """Say that the holder of a claim lives; `ClaimLostError` where the claim has ended or was taken over."""
        self._database.write(lambda connection: claiming.beat(connection, claim))

    def holding(self, claim: Claim) -> AbstractContextManager[None]:
        """While inside, a thread gives heartbeats."""
        return claiming.beating(lambda: self.heartbeat(claim), claim.grace_seconds)

    def release(self, claim: Claim) -> None:
        """Give a key back without a result."""
        self._database.write(lambda connection: claiming.release(connection, claim))

    def claims(self) -> pandas.DataFrame:
        """Every claim with its holder and the seconds since its last heartbeat (``silent_seconds``)."""
        return self._database.read(lambda connection: querying.claims_frame(claiming.listed(connection)))

    # -- artifacts -------------------------------------------------------------------------------------------------
    @cached_property
    def _folder(self) -> files.Folder:
        place = self._given["artifacts"] or self._recorded_place()
        file = sqlite_file(self._database.url)
        if place is None and file is not None:
            place = f"{file.absolute()}.artifacts"
        if place is None and is_in_memory(self._database.url):
            self._temporary = tempfile.TemporaryDirectory(prefix="netloom-")
            place = self._temporary.name
        if place is None:
            raise StoreError(
                f"store {self.shown_url} does not know where to keep weights; open it once with artifacts=FOLDER, or an fsspec "
                "URL that all who use it can reach, such as s3://bucket/netloom"
            )
        return files.folder_at(str(place))

    def _recorded_place(self) -> str | None:
        return self._database.read(lambda connection: connection.execute(sa.select(tables.about.c.artifacts)).scalar())

    def add_artifact(self, data: bytes) -> str:
        """Keep a file; gives the SHA-256 of its contents, by which `artifact` finds it."""
        return files.add(self._database, self._folder, data)

    def artifact(self, hash: str) -> bytes:
        """The contents of a file; `StoreError` where it is missing or damaged."""
        return files.read(self._folder, hash)

    def save_weights(self, weights: Network | Mapping[str, Tensor] | Any) -> str:
        """Keep the weights of a network, of any nn.Module, or a dict of tensors; gives their hash.

        The hash goes into ``artifacts={"weights": hash}`` of the result that they belong to, or into ``init`` of the key of
        an evaluation that begins with them.
        """
        return self.add_artifact(files.packed(weights))

    def load_weights(self, hash: str) -> dict[str, Tensor]:
        """Tensors by name; `StoreError` where the file is missing, damaged, or holds no weights."""
        return files.unpacked(self.artifact(hash), hash)

    def network(self, evaluation_id: int) -> Network:
        """The trained network of an evaluation, in evaluation mode; `StoreError` where its weights were not kept."""
        from ..building.network import build

        key, result = self.evaluation(evaluation_id)
        if "weights" not in result.artifacts:
            raise StoreError(f"the weights of evaluation {evaluation_id} were not kept; train graph {key.graph_hash} again")
        return build(self.graph(key.graph_hash), weights=self.load_weights(result.artifacts["weights"])).eval()

    # -- the store as a whole --------------------------------------------------------------------------------------
    def counts(self) -> dict[str, int]:
        """Number of rows of every table of records."""
        return self._database.read(querying.counts)

    def check(self, *, quick: bool = False) -> list[str]:
        """Everything that is wrong with the store, one sentence each; an empty list when it is whole.

        ``quick`` looks at every row and file, but does not read graphs and weights to work out their hashes.
        """
        found, known = self._database.read(
            lambda connection: (checking.problems(connection, quick), checking.known_artifacts(connection))
        )
        return [*found, *checking.artifact_problems(self._folder, known, quick)] if known else found

    def vacuum(self, *, unused: bool = False) -> cleaning.Cleaned:
        """Remove dead claims and files that nothing names, and give room back to the disk.

        ``unused`` also removes graphs, tasks, recipes and artifacts that no evaluation, lineage or key needs.
        """
        has_place = self._given["artifacts"] or self._database.dialect == "sqlite" or self._recorded_place()
        return cleaning.vacuum(self._database, self._folder if has_place else None, unused)

    def export_parquet(
        self, path: str | os.PathLike[str], *, artifacts: bool = False, told: Told = no_one, **filters: Any
    ) -> None:
        """Write the store to a folder of Parquet files, with ``artifacts`` also the weights; or, to a path that ends in
        ``.parquet``, the evaluations that pass the filters (see `evaluations`), each with its graph, curve and recipe.
        """
        export(self._database, self._folder if artifacts else None, Path(path), told, filters)

    def import_parquet(self, path: str | os.PathLike[str], *, told: Told = no_one) -> Received:
        """Take in what `export_parquet` wrote, of this or another store. What the store has already stays as it is.

        Hashes of new graphs and weights are worked out and compared. Raises `StoreError` for files that are no such thing.
        """
        return import_from(self._database, lambda: self._folder, Path(path), told)

    def merge(self, other: Store | str | os.PathLike[str], *, artifacts: bool = True, told: Told = no_one) -> Received:
        """Take in everything of another store: evaluations, runs, lineage and weights. What this one has stays as it is."""
        source = other if isinstance(other, Store) else Store(other, must_exist=True)
        try:
            return merge(self._database, source._database, (lambda: self._folder, lambda: source._folder), artifacts, told)
        finally:
            if source is not other:
                source.close()


def _reopened(url: str, given: dict[str, Any]) -> Store:
    return Store(url, **given)
