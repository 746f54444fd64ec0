"""Which networks the generator of a split of DeepNets-1M may draw."""

from __future__ import annotations

from ..graph.graph import Graph
from .deepnets_architecture import Architecture
from .deepnets_genotype import OPERATIONS
from .deepnets_layout import layout, operators
from .deepnets_sampling import (
    BASE_CHANNELS,
    BASE_HIDDEN,
    CHANNEL_STEP,
    LEAST_PARAMS,
    TRAIN_CHANNELS,
    TRAIN_HIDDEN,
    Rule,
    based,
    count_params,
    is_small_enough,
    plausible,
    rule_of,
    train_widths,
)  # fmt: skip
from .deepnets_splits import is_fixed


def may_be_drawn(split: str, a: Architecture, graph: Graph, channels: int | None = None, max_cells: int | None = None) -> bool:
    """Whether the generator of a split may draw the network of ``graph``, read as the architecture ``a``.

    ``channels`` are those that all networks have, where they are not those of the split; ``max_cells`` bounds their depth.

    Operations that nothing depends on are not in ``a``; what they may have been is allowed for.
    """
    rule = rule_of(split, max_cells)
    dead = Dead(a, graph)
    return (
        _cells_fit(rule, a)
        and _settings_fit(rule, a, dead)
        and is_small_enough(based(a), rule)
        and _widths_fit(rule, a, dead, channels)
        and not (rule.trains and is_fixed(based(a)))
    )


class Dead:
    """What the graph has beyond the network of an architecture: tensors of operations that nothing depends on."""

    def __init__(self, a: Architecture, graph: Graph) -> None:
        self.num_params = max(graph.num_params - count_params(layout(a)), 0)
        used = {weight.key for step in graph.steps for weight in step.weights}
        unused = [entry for key, entry in graph.tensors.items() if key not in used]
        self.convolves = any(len(entry.type.shape) == 4 for entry in unused) or self.num_params > 0


def _cells_fit(rule: Rule, a: Architecture) -> bool:
    genotype, (low, high) = a.genotype, rule.cells
    if not low <= a.n_cells <= high or any(name not in OPERATIONS for name, _ in genotype.choices):
        return False
    most = rule.deep_steps if a.n_cells > max(rule.thresholds) else rule.steps[1]
    if genotype.steps > most or len(genotype.reduce) != len(genotype.normal):
        return False
    if genotype.steps == 1 and genotype.has("none"):
        return False
    concat = genotype.normal_concat
    if (
        concat != genotype.reduce_concat
        or concat[-1] != genotype.steps + 1
        or min(concat) < 2
        or list(concat) != sorted(concat)
    ):
        return False
    pairs = zip(genotype.choices[::2], genotype.choices[1::2])
    return all(first[1] != second[1] for first, second in pairs)


def _settings_fit(rule: Rule, a: Architecture, dead: Dead) -> bool:
    genotype = a.genotype
    if not plausible(genotype, dead.convolves):
        return False
    if a.ks not in (3, 5, 7) or a.C_mult not in (1, 2) or a.fc_layers not in (1, 2) or (a.stem_pool and a.stem_type == 1):
        return False
    if not a.preproc and (genotype.steps > 1 or a.C_mult > 1):
        return False
    if not a.glob_avg and (a.is_vit or a.n_cells > max(rule.thresholds)):
        return False
    if a.norm == "bn-track":
        return False
    has_norms = any("batch_norm" in operators(part.graph) for part in layout(a.resized(norm="bnorm")))
    if not has_norms:
        return True
    if rule.norms == "some" and a.norm is None:
        return a.n_cells <= rule.cells[0] + 1 and genotype.steps <= rule.deep_steps
    return (a.norm is None) == (rule.norms == "none")


def _widths_fit(rule: Rule, a: Architecture, dead: Dead, channels: int | None) -> bool:
    if channels is not None:
        return a.C == channels and (a.fc_layers == 1 or a.fc_dim == 4 * channels)
    return _train_widths_fit(a, dead) if rule.widths == "few" else _evaluation_widths_fit(rule, a, dead)


def _train_widths_fit(a: Architecture, dead: Dead) -> bool:
    # Of what nothing depends on only the parameters are known, and at the base width there were at least these.
    least = dead.num_params * min(1.0, (BASE_CHANNELS / a.C) ** 2)
    channels, hidden = train_widths(a, least)
    if len(channels) == len(TRAIN_CHANNELS) and a.C <= 64:
        hidden = TRAIN_HIDDEN
    return a.C in channels and (a.fc_layers == 1 or a.fc_dim in hidden)


def _evaluation_widths_fit(rule: Rule, a: Architecture, dead: Dead) -> bool:
    C, rest = divmod(a.C, rule.widen)
    if rest or C % CHANNEL_STEP or (a.fc_layers == 2 and a.fc_dim != BASE_HIDDEN):
        return False

    def params(channels: int) -> float:
        narrow = based(a).resized(C=channels)
        return count_params(layout(narrow)) + dead.num_params * (channels / a.C) ** 2

    # What is dead grows at least in proportion to the channels, at most with their square.
    enough = params(C) + dead.num_params * (C / a.C - (C / a.C) ** 2) >= LEAST_PARAMS
    return enough and (C == CHANNEL_STEP or params(C - CHANNEL_STEP) < LEAST_PARAMS)
