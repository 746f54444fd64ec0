"""The unfinished part of a file of samples: a folder beside it, from which the same command goes on.

A part holds what a run of draws gave. It depends on space, seed and its number alone, and it is there whole or not at all:
so it does not matter when a process is killed, nor how many processes there are.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ..errors import SpaceError
from .chain import text_of
from .described import Description, described_graph
from .samples import COLUMNS

if TYPE_CHECKING:
    from ..graph.graph import Graph

#: Draws of one part, but for the first ones, which are shorter where few networks are wanted.
PART = 500
#: Column → its values.
Table = dict[str, list[Any]]


def draws_of(number: int, n: int) -> range:
    """The draws of a part where ``n`` networks are wanted: first as many, then twice as many each time, up to `PART`.

    >>> [draws_of(number, 200) for number in range(4)]
    [range(0, 200), range(200, 600), range(600, 1100), range(1100, 1600)]
    """
    first = min(n, PART)
    growing = (PART // first).bit_length()
    if number < growing:
        start, size = first * (2**number - 1), first * 2**number
    else:
        start, size = first * (2**growing - 1) + (number - growing) * PART, PART
    return range(start, start + size)


def draw_part(space: Any, number: int, settings: Mapping[str, Any]) -> Table:
    """What the draws of one part give: networks within the caps, each once.

    The draw of index i is ``space.sample(numpy.random.default_rng([seed, i]))``.
    """
    import numpy as np

    form, seed = settings["form"], settings["seed"]
    table: Table = {name: [] for name in (*COLUMNS, form)}
    seen: set[str] = set()
    for index in draws_of(number, settings["n"]):
        rng = np.random.default_rng([seed, index])
        try:
            drawn: Any = space.describe(rng) if form == "description" else space.sample(rng)
        except Exception as error:
            raise SpaceError(f"draw {index} of {settings['space']} failed: {type(error).__name__}: {error}") from error
        if not _within(drawn, settings) or drawn.hash in seen:
            continue
        seen.add(drawn.hash)
        known = drawn if form == "description" else _described(drawn, form)
        for column, value in zip(table.values(), (index, *known)):
            column.append(value)
    return table


def _within(drawn: Any, settings: Mapping[str, Any]) -> bool:
    """Whether a graph, or the description of one, keeps the caps."""
    num_params, flops = settings["max_params"], settings["max_flops"]
    return (num_params is None or drawn.num_params <= num_params) and (flops is None or drawn.flops <= flops)


def _described(graph: Graph, form: str) -> Description:
    return described_graph(graph, graph.to_json() if form == "json" else text_of(graph))


class Parts:
    """The folder of parts of one file of samples; held by one process at a time."""

    def __init__(self, out: str, settings: Mapping[str, Any]) -> None:
        self.folder = Path(f"{out}.parts")
        try:
            self.folder.mkdir(exist_ok=True)
            self._lock = self._locked(out)
            self._check(out, settings)
        except OSError as error:
            raise SpaceError(f"cannot write {str(self.folder)!r}: {error.strerror or error}") from None

    def _locked(self, out: str) -> IO[bytes]:
        lock = open(self.folder / "lock", "wb")  # noqa: SIM115  (held open as long as this object lives)
        try:
            import fcntl
        except ImportError:
            return lock
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise SpaceError(f"another process is writing {out!r}; wait for it, or give another name") from None
        return lock

    def _check(self, out: str, settings: Mapping[str, Any]) -> None:
        path = self.folder / "settings.json"
        if path.exists():
            refuse_other(self._read(path, ("format",)), settings, f"{str(self.folder)!r} holds the beginning of")
        else:
            self._put(path, json.dumps(settings, ensure_ascii=False))

    def _put(self, path: Path, text: str) -> None:
        unfinished = path.with_suffix(".tmp")
        try:
            unfinished.write_text(text, encoding="utf-8")
            os.replace(unfinished, path)
        except OSError as error:
            unfinished.unlink(missing_ok=True)
            said = f"cannot write {str(path)!r}: {error.strerror or error}"
            raise SpaceError(f"{said}; make room, and the same command goes on from there") from None

    def _read(self, path: Path, names: Iterable[str]) -> dict[str, Any]:
        """The object of a file of the folder; a machine that lost power may have left less than one."""
        try:
            read = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            read = None
        if not isinstance(read, dict) or any(name not in read for name in names):
            raise SpaceError(f"{str(path)!r} is damaged; remove it, and the same command makes it again")
        return read

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:08}.json"

    def has(self, number: int) -> bool:
        return self._path(number).exists()

    def put(self, number: int, table: Table) -> None:
        self._put(self._path(number), json.dumps(table))

    def get(self, number: int) -> Table:
        return self._read(self._path(number), COLUMNS)

    def close(self) -> None:
        self._lock.close()

    def remove(self) -> None:
        """Delete the folder, when the file is there."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def refuse_other(found: Mapping[str, Any], asked: Mapping[str, Any], what: str) -> None:
    """`SpaceError` where samples were drawn in another way than is asked for now."""
    different = [name for name in asked if found.get(name) != asked[name]]
    if different:
        name = different[0]
        raise SpaceError(
            f"{what} other samples: {name} = {found.get(name)!r} where {asked[name]!r} is asked for; "
            "give another name, or remove it first"
        )


def missing(parts: Parts) -> Iterator[int]:
    """The numbers of parts that are not there yet, in order, without end."""
    number = 0
    while True:
        if not parts.has(number):
            yield number
        number += 1
