"""The statistics of a segment call by call: what `netloom.encode.segment_statistics` works out for many segments at once."""

from __future__ import annotations

import math
from collections import Counter
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netloom.encode.segment_sequences import sequences
from netloom.encode.segment_statistics import COUNTED
from netloom.encode.signal_flow import Segment
from netloom.encode.vocabulary import HEAVY, KINDS, LABELS, MAIN, NONLINEAR, POOLS

_HEAVY, _POOLS = COUNTED.index("heavy"), COUNTED.index("pools")


def _is_main(label: int) -> bool:
    return LABELS[label].kind < len(MAIN)


@cache
def _counted(label: int) -> NDArray[Any]:
    """What one call of a label adds to every entry of `COUNTED`."""
    kind, _, reach = LABELS[label]
    name = KINDS[kind]
    found = np.zeros(len(COUNTED))
    if name in MAIN:
        found[MAIN.index(name)] = 1
    found[_HEAVY:] = name in HEAVY, name in POOLS, reach, 1, name in NONLINEAR
    return found


class _Place:
    """What holds of all paths from the segment's entry to one call."""

    __slots__ = ("longest", "shortest", "mean", "log_paths", "flow", "least_part", "mean_part", "variance")

    def __init__(
        self, longest: NDArray[Any], shortest: NDArray[Any], mean: NDArray[Any], log_paths: float, flow: NDArray[Any],
        least_part: NDArray[Any], mean_part: NDArray[Any], variance: float,
    ) -> None:  # fmt: skip
        self.longest, self.shortest, self.mean, self.log_paths = longest, shortest, mean, log_paths
        self.flow, self.least_part, self.mean_part, self.variance = flow, least_part, mean_part, variance


def statistics(segment: Segment) -> NDArray[Any]:
    """One number for each of `NAMES`.

    *longest*, *shortest* and *mean* are over all paths through the segment; *flow* is the mean in which each path into a sum
    counts by the variance it brings at initialisation. *skips* are edges that reach a sum with no main call on the way.
    """
    nothing = np.zeros(len(COUNTED))
    places = [_Place(nothing, nothing, nothing, 0.0, nothing, nothing, nothing, 1.0)]
    skipping = [True]
    live = np.zeros(len(KINDS))
    fan_out: Counter[int] = Counter()
    num_edges = skips = 0
    for i, (label, *distances) in enumerate(segment, 1):
        sources = [i - distance for distance in distances]
        live[LABELS[label].kind] += 1
        num_edges += len(sources)
        fan_out.update(sources)
        joined = len(sources) > 1
        if joined:
            skips += sum(skipping[source] for source in sources)
        skipping.append(not _is_main(label) and (joined or not sources or skipping[sources[0]]))
        places.append(_passed(label, [places[source] for source in sources] or [places[0]]))
    end = places[-1]
    last = len(segment[-1]) - 1
    scalars = (
        end.log_paths, math.log(len(sequences(segment))), num_edges, skips, fan_out[0], last,
        max(fan_out.values(), default=0), float(end.shortest[_HEAVY] == 0 < end.longest[_HEAVY]),
        float(end.shortest[_POOLS] > 0), math.log(max(end.variance, 1e-6)), _log_gradient(segment, places),
    )  # fmt: skip
    return np.concatenate([live, end.longest, end.shortest, end.mean, end.flow, end.least_part, end.mean_part, scalars])


def _is_main(label: int) -> bool:
    return LABELS[label].kind < len(MAIN)


def _passed(label: int, sources: list[_Place]) -> _Place:
    """Where paths are after one more call."""
    first, here = sources[0], _counted(label)
    longest, shortest, mean, log_paths = first.longest, first.shortest, first.mean, first.log_paths
    flow, variance, least, parts = first.flow, first.variance, first.least_part, first.mean_part
    if len(sources) > 1:
        longest = np.max([place.longest for place in sources], axis=0)
        shortest = np.min([place.shortest for place in sources], axis=0)
        # Shares, not numbers, of paths: a dense block has more paths than a float can count.
        largest = max(place.log_paths for place in sources)
        paths = np.exp([place.log_paths - largest for place in sources])
        mean = paths @ np.array([place.mean for place in sources]) / paths.sum()
        log_paths = largest + math.log(paths.sum())
        variance = sum(place.variance for place in sources)
        flow = np.sum([place.variance / variance * place.flow for place in sources], axis=0)
        if KINDS[LABELS[label].kind] == "cat":
            variance /= len(sources)
            least = np.min([place.least_part for place in sources], axis=0)
            parts = np.mean([place.mean_part for place in sources], axis=0)
        else:
            least = np.max([place.least_part for place in sources], axis=0)
            parts = np.max([place.mean_part for place in sources], axis=0)
    variance = min(variance * _gain(label, variance), _LARGEST)
    return _Place(longest + here, shortest + here, mean + here, log_paths, flow + here, least + here, parts + here, variance)


_LARGEST = 1e100
#: Variance after a call as a share of the variance before, for independent normal values: E[relu(x)²] less its squared mean.
_RELU_GAIN = 0.5 - 0.5 / math.pi
_AVERAGE_GAIN = 0.35


def _gain(label: int, variance: float) -> float:
    kind = KINDS[LABELS[label].kind]
    if kind.endswith("_norm"):
        return 1 / max(variance, 1e-6)
    return _RELU_GAIN if kind == "relu" else _AVERAGE_GAIN if kind == "avg_pool" else 1.0


def _log_gradient(segment: Segment, places: list[_Place]) -> float:
    """Logarithm of the squared gradient at the entry for a unit gradient at the end, by the same rules."""
    gradient = [0.0] * (len(segment) + 1)
    gradient[-1] = 1.0
    for i in range(len(segment), 0, -1):
        label, *distances = segment[i - 1]
        if distances:
            passed = gradient[i] * _gain(label, places[i - distances[0]].variance)
            for distance in distances:
                gradient[i - distance] = min(gradient[i - distance] + passed, _LARGEST)
    return math.log(max(gradient[0], 1e-6))
