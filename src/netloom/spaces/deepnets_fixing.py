"""Draws the fixed evaluation networks of DeepNets-1M that netloom ships: ``python -m netloom.spaces.deepnets_fixing FILE``.

Evaluation networks are all different, whatever their width; the wide ones are the first of ``test`` with four times the
channels, as in the paper. What comes out depends on nothing but this seed and the rules.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from typing import Any

from .deepnets_architecture import Architecture
from .deepnets_hashing import layout_hash
from .deepnets_layout import layout
from .deepnets_sampling import RULES, count_params, draw_base, evaluation_channels
from .deepnets_splits import extent

SEED = 1
#: In the order of the rows; networks of ``wide`` come from ``test``.
SPLITS = ("val", "test", "wide", "deep", "dense", "bnfree")
COLUMNS = ("split", "index", "hash", "num_params", "base_hash", "base_calls", "base_flops", "architecture")


def fixed_rows(splits: Sequence[str] = SPLITS, limit: int | None = None) -> dict[str, list[Any]]:
    """The columns of the file, for the first ``limit`` networks of each split."""
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    seen: set[str] = set()
    bases: dict[str, list[Architecture]] = {}
    for split in splits:
        count = min(RULES[split].size, limit or RULES[split].size)
        bases[split] = bases["test"][:count] if split == "wide" else _different(split, count, seen)
        for index, base in enumerate(bases[split]):
            parts = layout(base)
            sized = base.resized(C=RULES[split].widen * evaluation_channels(base))
            whole = layout(sized)
            hashes = layout_hash(sized, whole), layout_hash(base, parts)
            row = (split, index, hashes[0], count_params(whole), hashes[1], *extent(parts), sized.to_json())
            for name, value in zip(COLUMNS, row):
                columns[name].append(value)
    return columns


def _different(split: str, count: int, seen: set[str]) -> list[Architecture]:
    """So many architectures of a split whose hashes are not among those seen, which theirs join."""
    import numpy

    found: list[Architecture] = []
    for number in itertools.count():
        if len(found) == count:
            break
        base = draw_base(split, numpy.random.default_rng([SEED, number]))
        base_hash = layout_hash(base, layout(base))
        if base_hash not in seen:
            seen.add(base_hash)
            found.append(base)
    return found


def write(path: str) -> None:
    """Write the file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(fixed_rows()), path, compression="zstd", compression_level=19)


if __name__ == "__main__":
    write(sys.argv[1])
