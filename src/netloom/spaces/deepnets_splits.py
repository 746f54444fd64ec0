"""The fixed evaluation networks of DeepNets-1M that netloom ships, and how others are kept from being one of them.

The published networks cannot be drawn again; these are netloom's own, drawn once by the same rules (`deepnets_fixing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any, NamedTuple

from ..errors import SpaceError
from .deepnets_architecture import Architecture
from .deepnets_hashing import layout_hash
from .deepnets_layout import Part, layout
from .deepnets_network import calls_of

FILE = "deepnets1m.parquet"


class Fixed(NamedTuple):
    """The networks of a split, in order: as JSON, with their hashes and parameters."""

    architectures: tuple[str, ...]
    hashes: tuple[str, ...]
    num_params: tuple[int, ...]


@lru_cache(maxsize=1)
def fixed_splits() -> dict[str, Fixed]:
    """Split → its fixed networks, out of the file that comes with netloom.

    >>> {name: len(fixed.hashes) for name, fixed in fixed_splits().items()}
    {'val': 500, 'test': 500, 'wide': 100, 'deep': 100, 'dense': 100, 'bnfree': 100}
    """
    columns = _columns()
    found: dict[str, Fixed] = {}
    for name in dict.fromkeys(columns["split"]):
        rows = [i for i, split in enumerate(columns["split"]) if split == name]
        found[name] = Fixed(*(tuple(columns[key][i] for i in rows) for key in ("architecture", "hash", "num_params")))
    return found


@lru_cache(maxsize=1)
def _columns() -> dict[str, list[Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with files(__package__).joinpath(FILE).open("rb") as file:
        return dict(pq.read_table(pa.PythonFile(file)).to_pydict())


@lru_cache(maxsize=4096)
def fixed_network(split: str, index: int) -> Architecture:
    """The architecture of that place in a split; `SpaceError` where there is none."""
    known = fixed_splits()[split].architectures
    if not 0 <= index < len(known):
        raise SpaceError(f"deepnets1m split {split} has networks 0 to {len(known) - 1}, not {index}")
    return Architecture.from_json(known[index])


# -- keeping apart what trains and what is judged ------------------------------------------------------------------------
def is_fixed(base: Architecture, parts: Sequence[Part] | None = None) -> bool:
    """Whether an architecture of the base width is that of one of the fixed networks, whatever its cells are written as."""
    parts = layout(base) if parts is None else parts
    return extent(parts) in _extents() and layout_hash(base, parts) in _base_hashes()


def extent(parts: Sequence[Part]) -> tuple[int, int]:
    """Calls that the logits depend on, and their FLOPs: the same for all layouts of one computation."""
    live = {len(parts)}
    calls = flops = 0
    for number in range(len(parts), 0, -1):
        if number in live:
            part = parts[number - 1]
            live.update(part.operands)
            calls += calls_of(part.graph)
            flops += part.graph.flops
    return calls, flops


@lru_cache(maxsize=1)
def _extents() -> frozenset[tuple[int, int]]:
    columns = _columns()
    return frozenset(zip(columns["base_calls"], columns["base_flops"]))


@lru_cache(maxsize=1)
def _base_hashes() -> frozenset[str]:
    return frozenset(_columns()["base_hash"])
