"""`sample_many`: different networks of a space by the thousand, into a file, by several processes, whatever interrupts them."""

from __future__ import annotations

import os
import pickle
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from ..errors import SpaceError
from .described import DescribedSpace
from .loading import load
from .samples import Samples, ending, read_samples, write_samples
from .sampling_parts import Parts, Table, draw_part, draws_of, missing, refuse_other

if TYPE_CHECKING:
    from .space import Space

#: A space is taken to have no more networks where so many draws in a row, and so many for each network found, gave none.
_PATIENCE, _PATIENCE_EACH = 10_000, 10
#: Draws that are looked at again to say why none was kept.
_LOOKED_AT = 200

#: Told how many networks are found, after each part.
Tell = Callable[[int], None]


def sample_many(
    space: Space | str,
    n: int,
    *,
    seed: int = 0,
    max_params: int | None = None,
    max_flops: int | None = None,
    processes: int = 1,
    out: str | os.PathLike[str] | None = None,
    form: str | None = None,
    progress: bool = False,
) -> Samples:
    """``n`` networks of ``space``, no two with one hash, in the order of the draws that gave them first.

    Draw i is ``space.sample(numpy.random.default_rng([seed, i]))``; draws above ``max_params`` or ``max_flops`` are left
    out. The result depends on neither ``processes`` nor interruptions: killed and called again, it goes on from what
    lies in ``OUT.parts``. ``out`` is a ``.parquet``, ``.jsonl`` or ``.txt`` file; without it the samples are kept in memory.
    ``form`` is how networks are written in it: "text", "json" (what ``.jsonl`` has unless told otherwise), or "description",
    from which the space makes them again (what ``.parquet`` and ``.jsonl`` have for spaces of large networks). A space that
    gives nothing new for long (10,000 draws, and ten times as many as there are networks) has no more: ``result.is_short``
    then. ``progress`` shows a bar on a terminal.

    Raises `SpaceError` for settings that make no sense, and where ``out`` holds samples that were drawn otherwise.

    >>> import netloom as nl
    >>> samples = sample_many(nl.spaces.Conv(input_shape=(1, 8, 8)), 100, max_params=20_000)
    >>> len(set(samples.hashes)), max(samples.records["num_params"]) <= 20_000, samples[0].outputs[0].shape
    (100, True, (Size('N'), 10))
    """
    _check(n, seed, processes, form, max_params, max_flops)
    loaded = load(space, max_params=max_params, max_flops=max_flops) if isinstance(space, str) else space
    form = _form(loaded, out, form)
    settings = _settings(space, loaded, n, seed, max_params, max_flops, form)
    if out is None:
        with tempfile.TemporaryDirectory() as folder:
            return _sample(space, loaded, settings, processes, os.path.join(folder, "samples.jsonl"), progress)
    path = os.fspath(out)
    if ending(path) == ".txt" and form != "text":
        raise SpaceError(f"form = {form!r} does not go into {path!r}; use a name that ends in .jsonl or .parquet")
    if os.path.exists(path):
        found = read_samples(path)
        refuse_other(found.settings, settings, f"{path!r} holds")
        _leftover(path)
        return found
    return _sample(space, loaded, settings, processes, path, progress)


def _form(space: Space, out: str | os.PathLike[str] | None, form: str | None) -> str:
    """How the networks are written."""
    describes = isinstance(space, DescribedSpace) and bool(space.spec)
    if form == "description" and not describes:
        raise SpaceError(f"form = 'description': {space!r:.120} does not describe its networks; use 'text' or 'json'")
    if form is not None:
        return form
    if describes and (out is None or ending(out) != ".txt"):
        return "description" if out is not None else "text"
    return "json" if out is not None and ending(out) == ".jsonl" else "text"


def _check(n: int, seed: int, processes: int, form: str | None, max_params: Any, max_flops: Any) -> None:
    for name, value, low in (("n", n, 1), ("seed", seed, 0), ("processes", processes, 1)):
        if type(value) is not int or value < low:
            raise SpaceError(f"{name} = {value!r}; expected an integer ≥ {low}")
    for name, value in (("max_params", max_params), ("max_flops", max_flops)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0):
            raise SpaceError(f"{name} = {value!r}; expected a number ≥ 0, or None for no cap")
    if form not in (None, "text", "json", "description"):
        raise SpaceError(f"form = {form!r}; expected 'text', 'json' or 'description'")


def _settings(
    given: Space | str, space: Space, n: int, seed: int, max_params: Any, max_flops: Any, form: str
) -> dict[str, Any]:
    """What the samples depend on; goes into the file."""
    from .. import __version__

    name = getattr(space, "spec", "") or given
    if not isinstance(name, str):
        name = f"{type(space).__module__}:{type(space).__qualname__}"
    return {
        "format": 1, "space": name, "n": n, "seed": seed, "max_params": max_params, "max_flops": max_flops, "form": form,
        "netloom": __version__, "numpy": version("numpy"),
    }  # fmt: skip


def _leftover(path: str) -> None:
    """Remove the parts of a file that is complete: a process was killed between the two."""
    shutil.rmtree(f"{path}.parts", ignore_errors=True)


def _sample(given: Space | str, space: Space, settings: dict[str, Any], processes: int, path: str, progress: bool) -> Samples:
    parts = Parts(path, settings)
    try:
        found = _Found(settings["n"])
        with _bar(progress, settings["n"]) as tell, _drawing(given, space, settings, processes, parts) as advance:
            number = 0
            while not found.complete:
                while not parts.has(number):
                    advance(number)
                found.add(number, parts.get(number))
                tell(found.count)
                number += 1
        if not found.count:
            raise _none_found(space, settings, found.draws)
        drawn = settings | {"found": found.count, "draws": found.draws}
        write_samples(path, drawn, _kept(parts, number, found), str(parts.folder / "unfinished"))
        samples = read_samples(path)
        parts.remove()
        return samples
    finally:
        parts.close()


def _none_found(space: Space, settings: Mapping[str, Any], draws: int) -> SpaceError:
    """What to say where every draw was above a cap."""
    import numpy as np

    graphs = [space.sample(np.random.default_rng([settings["seed"], index])) for index in range(_LOOKED_AT)]
    caps = " and ".join(f"{name} = {settings[name]:,}" for name in ("max_params", "max_flops") if settings[name] is not None)
    num_params, flops = min(graph.num_params for graph in graphs), min(graph.flops for graph in graphs)
    return SpaceError(
        f"none of {draws:,} draws of {settings['space']} is within {caps}: the smallest of {_LOOKED_AT} has "
        f"{num_params:,} parameters, the cheapest {flops:,} FLOPs; raise the caps"
    )


class _Found:
    """Which of the networks drawn so far are kept, in order."""

    def __init__(self, n: int) -> None:
        self.n, self.count, self.draws = n, 0, 0
        self.complete = False
        self._last_new = -1
        self._seen: set[bytes] = set()
        self.kept: list[list[int]] = []

    def add(self, number: int, table: Table) -> None:
        """Look at the next part; ``number`` is its own."""
        rows: list[int] = []
        self.kept.append(rows)
        for row, (index, hash) in enumerate(zip(table["index"], table["hash"])):
            if self._gave_up(index):
                break
            digest = hash.encode()
            if digest not in self._seen:
                self._seen.add(digest)
                rows.append(row)
                self.count, self._last_new, self.draws = self.count + 1, index, index + 1
                if self.count == self.n:
                    self.complete = True
                    return
        self._gave_up(draws_of(number, self.n).stop)

    def _gave_up(self, index: int) -> bool:
        """Whether nothing new has come for so long, before the draw of that index, that nothing more will."""
        limit = self._last_new + 1 + max(_PATIENCE, _PATIENCE_EACH * self.count)
        if index >= limit:
            self.complete, self.draws = True, limit
        return self.complete


def _kept(parts: Parts, count: int, found: _Found) -> Iterator[Mapping[str, list[Any]]]:
    for number in range(count):
        table, rows = parts.get(number), found.kept[number]
        yield {name: [column[row] for row in rows] for name, column in table.items()}


# -- drawing -----------------------------------------------------------------------------------------------------------
@contextmanager
def _drawing(
    given: Space | str, space: Space, settings: Mapping[str, Any], processes: int, parts: Parts
) -> Iterator[Callable[[int], None]]:
    """A function that is called until the part of a number is there: it draws a part, or waits for one."""
    if processes == 1:
        yield lambda number: parts.put(number, draw_part(space, number, settings))
        return
    from .sampling_worker import Worker

    try:
        setup = pickle.dumps((given if isinstance(given, str) else space, dict(settings)))
    except Exception as error:
        what = f"the space {settings['space']} cannot be sent to other processes ({error})"
        raise SpaceError(f"{what}; use processes=1, or make it importable as MODULE:NAME") from None
    workers: dict[Any, Worker] = {}
    failures: dict[int, Exception] = {}
    numbers = missing(parts)

    def advance(number: int) -> None:
        # A draw that failed beyond what is needed in the end is nobody's concern.
        if number in failures:
            raise failures[number]
        _one_answer(workers, numbers, parts, failures)

    try:
        for _ in range(processes):
            worker = Worker(setup)
            workers[worker.connection] = worker
            worker.ask(next(numbers))
        yield advance
    finally:
        for worker in workers.values():
            worker.close()


def _one_answer(workers: Mapping[Any, Any], numbers: Iterator[int], parts: Parts, failures: dict[int, Exception]) -> None:
    from multiprocessing.connection import wait

    worker = workers[wait(list(workers))[0]]
    try:
        number, answer = worker.answer()
    except (EOFError, OSError):
        raise SpaceError(f"a process that drew samples ended with code {worker.process.wait()}; call again to go on") from None
    if isinstance(answer, Exception):
        failures[number] = answer
    else:
        parts.put(number, answer)
    worker.ask(next(numbers))


@contextmanager
def _bar(show: bool, n: int) -> Iterator[Tell]:
    """A progress bar on the error stream where that is a terminal; nothing elsewhere."""
    if not show or not sys.stderr.isatty():
        yield lambda found: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("networks"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=n)
        yield lambda found: bar.update(task, completed=found)
