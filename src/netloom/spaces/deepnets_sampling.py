"""How the splits of DeepNets-1M draw an architecture: the rules of the paper's generator, without building a network.

The published generator draws logits of all operations on all edges and keeps the best. Their distribution does not tell
operations apart, so that what it keeps is an operation at random on two different states at random, which is drawn here.
(Knyazev et al., "Parameter prediction for unseen deep architectures", NeurIPS 2021, section 3 and appendix A)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from ..errors import SpaceError
from .deepnets_architecture import Architecture
from .deepnets_genotype import OPERATIONS, Choice, Genotype
from .deepnets_layout import Part, layout
from .deepnets_operations import Shape
from .deepnets_splits import is_fixed

if TYPE_CHECKING:
    import numpy

T = TypeVar("T")

#: Channels and hidden units for which the generator counts parameters.
BASE_CHANNELS, BASE_HIDDEN = 32, 256
#: Parameters that a network of an evaluation split has at least: its channels are the fewest, in sixteens, that reach it.
LEAST_PARAMS, CHANNEL_STEP, MOST_CHANNELS = 2_500_000, 16, 4096
#: What the trained networks choose from.
TRAIN_CHANNELS = tuple(range(32, 129, 16))
TRAIN_HIDDEN = tuple(range(64, 513, 64))
#: Operations without weights, which come first.
_POOLS = 4
_LARGE_CONVOLUTIONS = ("conv_5x5", "conv_7x7")


@dataclass(frozen=True, slots=True)
class Rule:
    """What the generator of a split draws from: numbers of cells and steps, and how large a network may be.

    Networks with more cells than a threshold, one of ``thresholds``, are deep: they have at most ``deep_steps`` steps.
    ``stream`` keeps the random numbers of splits apart. ``norms`` says whether ``"some"`` small networks have no norm, or
    ``"all"`` networks have one or ``"none"``; ``widths`` whether they are ``"few"`` channels at random, or as ``"many"`` as it
    takes to have 2.5 million parameters, times ``widen``. What ``trains`` must not be among the evaluation networks.
    """

    stream: int
    size: int
    cells: tuple[int, int] = (4, 18)
    steps: tuple[int, int] = (1, 4)
    deep_steps: int = 2
    thresholds: tuple[int, ...] = (7, 8, 9, 10)
    max_params: int = 10**7
    norms: str = "some"
    widths: str = "many"
    widen: int = 1
    trains: bool = False


#: Split → its rule; ``size`` is the number of networks that the paper has of it.
RULES: dict[str, Rule] = {
    "train": Rule(1, 10**6, widths="few", trains=True),
    "val": Rule(2, 500),
    "test": Rule(3, 500),
    "wide": Rule(4, 100, widen=4),
    "deep": Rule(5, 100, cells=(10, 36), thresholds=(18,), max_params=10**8),
    "dense": Rule(6, 100, steps=(2, 10), deep_steps=6, max_params=10**8),
    "bnfree": Rule(7, 100, norms="none"),
    "search": Rule(8, 10**5, cells=(6, 20), steps=(1, 6), deep_steps=3, thresholds=(10,), norms="all", trains=True),
}


def rule_of(split: str, max_cells: int | None = None) -> Rule:
    """The rule of a split, or of its networks of at most ``max_cells`` cells: where it has none so shallow, from 1 on.

    >>> rule_of("train").cells, rule_of("train", 6).cells, rule_of("train", 2).cells
    ((4, 18), (4, 6), (1, 2))
    """
    rule = RULES[split]
    if max_cells is None:
        return rule
    low, high = rule.cells
    return replace(rule, cells=(low if max_cells >= low else 1, min(high, max_cells)))


class _Numbers:
    """Random choices out of a stream of numbers in [0, 1): the generator's, apart from those of every other ``stream``."""

    __slots__ = ("_own", "_left")

    def __init__(self, rng: numpy.random.Generator, stream: int) -> None:
        import numpy

        entropy = [stream, *rng.integers(0, 1 << 32, 4, dtype=numpy.uint32).tolist()]
        self._own = numpy.random.Generator(numpy.random.PCG64(numpy.random.SeedSequence(entropy)))
        self._left: Iterator[float] = iter(())

    def number(self) -> float:
        found = next(self._left, None)
        if found is None:
            self._left = iter(self._own.random(128).tolist())
            found = next(self._left)
        return found

    def below(self, end: int) -> int:
        """A whole number from 0 to ``end`` - 1."""
        return int(self.number() * end)

    def of(self, values: Sequence[T]) -> T:
        """One of the values."""
        return values[int(self.number() * len(values))]

    def half(self) -> bool:
        return self.number() > 0.5


def draw(
    split: str, rng: numpy.random.Generator, num_classes: int, input_shape: Shape, channels: int | None = None,
    max_cells: int | None = None,
) -> Architecture:  # fmt: skip
    """A random architecture of a split, sized as the split sizes its networks; a function of the generator's state alone.

    ``channels`` gives all that many, and four times as many hidden units; ``max_cells`` bounds their depth.
    What the splits that networks are trained on give is never one of the fixed evaluation networks, of whatever width.

    >>> import numpy
    >>> found = draw("deep", numpy.random.default_rng(0), 10, (3, 32, 32))
    >>> found.n_cells in range(10, 37), found.C % 16
    (True, 0)
    """
    rule = rule_of(split, max_cells)
    numbers = _Numbers(rng, rule.stream)
    usual = input_shape in ((3, 32, 32), (3, 224, 224))
    for _ in range(100_000):
        base = _candidate(rule, numbers)
        if base is None or (rule.trains and is_fixed(base)):
            continue
        sized = _sized(rule, base, numbers) if channels is None else base.resized(C=channels, fc_dim=4 * channels)
        found = sized.resized(num_classes=num_classes, input_shape=input_shape)
        if usual or _fits(found):
            return found
    raise SpaceError(f"deepnets1m space: no network fits input_shape = {input_shape}; use sizes such as (3, 32, 32)")


def draw_base(split: str, rng: numpy.random.Generator) -> Architecture:
    """A random architecture of a split, of the base width."""
    rule, numbers = RULES[split], _Numbers(rng, RULES[split].stream)
    while True:
        base = _candidate(rule, numbers)
        if base is not None:
            return base


def _fits(a: Architecture) -> bool:
    try:
        layout(a)
    except SpaceError:
        return False
    return True


# -- a candidate, and whether the generator keeps it ---------------------------------------------------------------------
def _candidate(rule: Rule, numbers: _Numbers) -> Architecture | None:
    """An architecture of the base width; None where the generator draws again."""
    low, high = rule.cells
    cells = low + numbers.below(high - low + 1)
    deep = cells > numbers.of(rule.thresholds)
    least, most = rule.steps[0], rule.deep_steps if deep else rule.steps[1]
    steps = least + numbers.below(most - least + 1)
    genotype = _genotype(steps, numbers)
    if not plausible(genotype):
        return None
    C_mult = 1 + numbers.below(2)
    is_vit = genotype.has("msa")
    preproc = steps > 1 or C_mult > 1 or _preprocessed(rule, is_vit, numbers)
    glob_avg = is_vit or deep or numbers.number() > 0.1
    shallow = cells <= low + 1 and steps <= rule.deep_steps
    norm = {"none": None, "all": "bnorm"}.get(rule.norms, "bnorm")
    if rule.norms == "some" and shallow and numbers.half():
        norm = None
    stem_type = numbers.below(2)
    candidate = Architecture(
        genotype, cells, BASE_CHANNELS, ks=3 + 2 * numbers.below(3), stem_type=stem_type,
        stem_pool=stem_type == 0 and numbers.half(), norm=norm, preproc=preproc, C_mult=C_mult,
        fc_layers=1 + numbers.below(2), fc_dim=BASE_HIDDEN, glob_avg=glob_avg,
    )  # fmt: skip
    return candidate if is_small_enough(candidate, rule) else None


def _genotype(steps: int, numbers: _Numbers) -> Genotype:
    only_pool = numbers.half()
    drop_concat = steps > 1 and numbers.half()
    first = 0 if steps > 1 else 1  # without other steps 'none' would cut the cell
    normal = _choices(steps, OPERATIONS[first:], numbers)
    reduce = _choices(steps, OPERATIONS[first : _POOLS if only_pool else None], numbers)
    last = steps + 1
    concat = tuple(state for state in range(2, last) if not drop_concat or numbers.half())
    return Genotype(normal, (*concat, last), reduce, (*concat, last))


def _choices(steps: int, operations: Sequence[str], numbers: _Numbers) -> tuple[Choice, ...]:
    """Two operations for each step, on two different states."""
    made: list[Choice] = []
    for step in range(steps):
        first, second = numbers.below(step + 2), numbers.below(step + 1)
        made.append((numbers.of(operations), first))
        made.append((numbers.of(operations), second + (second >= first)))
    return tuple(made)


def _preprocessed(rule: Rule, is_vit: bool, numbers: _Numbers) -> bool:
    if rule.norms == "all":  # the split for searches
        return numbers.number() > (0.8 if is_vit else 0.2)
    return not is_vit or numbers.number() > 0.8


def plausible(genotype: Genotype, convolves: bool = False) -> bool:
    """Whether the generator keeps the cells: those that train badly or take too much memory go.

    That is squeeze-and-excitation without any convolution or twice in a cell, two large convolutions in a cell, and cells
    without anything to learn. ``convolves`` where a convolution is known of otherwise.
    """
    normal, reduce = ([name for name, _ in choices] for choices in (genotype.normal, genotype.reduce))
    convolves = convolves or any("conv" in name for name in normal + reduce)
    if genotype.has("cse") and not convolves:
        return False
    for names in (normal, reduce):
        if names.count("cse") > 1 or sum(name in _LARGE_CONVOLUTIONS for name in names) > 1:
            return False
    return convolves or genotype.has("msa") or genotype.has("cse")


def is_small_enough(base: Architecture, rule: Rule) -> bool:
    """Whether a network of the base width computes something, and is small enough for small images and large."""
    try:
        small = base_params(base)
        if small > rule.max_params:
            return False
        # Without global pooling the head sees up to 3.1 times as many pixels of large images; patches have 256 instead of 9.
        if 3.1 * small + 1000 * BASE_CHANNELS <= rule.max_params:
            return True
        return count_params(layout(base.resized(input_shape=(3, 224, 224)))) <= rule.max_params
    except SpaceError:
        return False


def count_params(parts: Sequence[Part]) -> int:
    """Parameters of the network of these parts."""
    return sum([part.graph.num_params for part in parts])


@lru_cache(maxsize=256)
def base_layout(base: Architecture) -> list[Part]:
    """The layout of an architecture of the base width, which several rules look at."""
    return layout(base)


def base_params(a: Architecture) -> int:
    """Parameters of an architecture where it has the base width."""
    return count_params(base_layout(based(a)))


# -- its width ---------------------------------------------------------------------------------------------------------
def _sized(rule: Rule, base: Architecture, numbers: _Numbers) -> Architecture:
    if rule.widths == "few":
        channels, hidden = train_widths(base)
        C = numbers.of(channels)
        if len(channels) == len(TRAIN_CHANNELS) and C <= 64:
            hidden = TRAIN_HIDDEN
        return base.resized(C=C, fc_dim=numbers.of(hidden))
    return base.resized(C=rule.widen * evaluation_channels(base))


def train_widths(base: Architecture, more_params: float = 0) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The channels, and the hidden units, that a trained network of this architecture may have: fewer for larger ones.

    ``more_params`` are parameters of the base width that the architecture does not know of.
    """
    millions = (base_params(base) + more_params) / 10**6
    large = any(base.genotype.has(name) for name in _LARGE_CONVOLUTIONS)
    if millions > 0.8 or not base.glob_avg or large or base.n_cells > 12:
        count = 1
    elif millions > 0.4 or base.n_cells > 10:
        count = 2
    else:
        count = 3 if millions > 0.2 or base.n_cells > 8 else len(TRAIN_CHANNELS)
    return TRAIN_CHANNELS[:count], TRAIN_HIDDEN[:4]


def evaluation_channels(base: Architecture) -> int:
    """The fewest channels, in steps of 16, with which the network has 2.5 million parameters on CIFAR-10.

    >>> from netloom.spaces.deepnets_genotype import named
    >>> evaluation_channels(Architecture(named("darts"), 20, stem_type=1))
    32
    """
    narrow = based(base)

    def params(steps: int) -> int:
        return count_params(layout(narrow.resized(C=steps * CHANNEL_STEP)))

    # Parameters grow about as the square of the channels: start where that would give enough.
    steps = max(1, round(BASE_CHANNELS / CHANNEL_STEP * (LEAST_PARAMS / max(base_params(base), 1)) ** 0.5))
    while steps > 1 and params(steps - 1) >= LEAST_PARAMS:
        steps -= 1
    while steps < MOST_CHANNELS // CHANNEL_STEP and params(steps) < LEAST_PARAMS:
        steps += 1
    return steps * CHANNEL_STEP


def based(a: Architecture) -> Architecture:
    """The architecture in the form in which the generator counts it."""
    return a.resized(C=BASE_CHANNELS, fc_dim=BASE_HIDDEN, num_classes=10, input_shape=(3, 32, 32))
