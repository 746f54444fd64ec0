"""Which sequences of main calls the paths through segments pass, and how often."""

from __future__ import annotations

from functools import lru_cache

from .signal_flow import Segment
from .vocabulary import LABELS, MAIN

#: Sequences of main labels that are kept apart; the rarest beyond are left out.
MOST_SEQUENCES = 256

#: How often paths pass which sequence of main labels.
Sequences = dict[tuple[int, ...], float]


def _is_main(label: int) -> bool:
    return LABELS[label].kind < len(MAIN)


@lru_cache(maxsize=200_000)
def sequences(segment: Segment) -> Sequences:
    """How many paths through the segment pass which sequence of main calls, everything else contracted."""
    found: list[Sequences] = [{(): 1.0}]
    for i, (label, *distances) in enumerate(segment, 1):
        if len(distances) == 1:
            paths = found[i - distances[0]]
        elif not distances:
            paths = found[0]
        else:
            paths = {}
            for distance in distances:
                for path, count in found[i - distance].items():
                    paths[path] = paths.get(path, 0.0) + count
        if _is_main(label):
            paths = {(*path, label): count for path, count in paths.items()}
        if len(paths) > MOST_SEQUENCES:
            paths = dict(sorted(paths.items(), key=lambda item: -item[1])[:MOST_SEQUENCES])
        found.append(paths)
    return found[-1]


@lru_cache(maxsize=200_000)
def joined_sequences(segments: tuple[Segment, ...]) -> Sequences:
    """The sequences through segments one after the other."""
    paths: Sequences = {(): 1.0}
    for segment in segments:
        following = sequences(segment)
        if len(following) == 1:
            ((tail, times),) = following.items()
            paths = {(*path, *tail): count * times for path, count in paths.items()}
        else:
            longer: Sequences = {}
            for path, count in paths.items():
                for tail, times in following.items():
                    key = (*path, *tail)
                    longer[key] = longer.get(key, 0.0) + count * times
            paths = longer
        if len(paths) > MOST_SEQUENCES:
            paths = dict(sorted(paths.items(), key=lambda item: -item[1])[:MOST_SEQUENCES])
    return paths
