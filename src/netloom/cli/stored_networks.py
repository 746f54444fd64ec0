"""Networks by where they are kept: a hash in a store, a number in a zoo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import StoreError, TraceError

if TYPE_CHECKING:
    from ..building.network import Network
    from ..graph.graph import Graph

HASH, ZOO = "nl1:", "zoo:"


def is_hash(name: str) -> bool:
    """Whether ``name`` is a hash of a graph, ``nl1:…``, or ``URL#nl1:…``."""
    return name.rpartition("#")[2].startswith(HASH)


def is_zoo(name: str) -> bool:
    """Whether ``name`` is ``zoo:FOLDER#NUMBER``."""
    return name.startswith(ZOO)


def stored_graph(name: str, url: str | None) -> Graph:
    """The graph with that hash (or the only one whose hash begins so) in the store that ``name`` or ``url`` says."""
    from ..store import Store

    place, _, wanted = name.rpartition("#")
    place = place or (url or "")
    if not place:
        raise StoreError(f"{name[:80]!r} is a hash; say which store it is in: --store URL, or URL#{wanted[:12]}…")
    with Store(place, must_exist=True) as store:
        return store.graph(wanted)


def zoo_network(name: str) -> Network:
    """The trained network of that number in a zoo, with its weights."""
    from ..zoo import Zoo

    folder, hash_sign, number = name.removeprefix(ZOO).rpartition("#")
    if not hash_sign or not number.isdecimal():
        raise TraceError(f"{name[:80]!r}: expected zoo:FOLDER#NUMBER, such as zoo:{Path('my_zoo')}#12")
    zoo = Zoo(folder)
    found = [place for place, known in enumerate(zoo.numbers) if int(known) == int(number)]
    if not found:
        raise TraceError(f"{name[:80]!r}: the zoo has no network {number}; it has {len(zoo)}")
    made: Network = zoo[found[0]].network
    return made
