"""Genotypes of DeepNets-1M: which operations the normal and the reduction cell of a network make, and on which values.

A cell sums two operations at each of its steps. States 0 and 1 are the outputs of the two cells before, state 2 + i is the
sum of step i; the listed states side by side are the cell's output. (Liu et al., "DARTS", ICLR 2019; Knyazev et al.,
"Parameter prediction for unseen deep architectures", NeurIPS 2021)
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ..errors import SpaceError

#: The operations of a cell, in the order in which the paper's generator counts them.
OPERATIONS = (
    "none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5",
    "conv_1x1", "conv_7x1_1x7", "conv_3x3", "conv_5x5", "conv_7x7", "msa", "cse",
)  # fmt: skip
#: Operations that may be built beside those that are sampled take any kernel: ``sep_conv_7x7``, ``max_pool_5x5``.
KINDS = ("max_pool", "avg_pool", "sep_conv", "dil_conv", "conv")
WITHOUT_KERNEL = ("none", "skip_connect", "msa", "cse")

#: An operation and the state that it reads.
Choice = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Genotype:
    """The two cells of a network: (operation, state) pairs, two for each step, and the states that make the output.

    `SpaceError` for cells that cannot be: unknown operations, states that come later, nothing to put out.

    >>> genotype = Genotype((("conv_3x3", 0), ("skip_connect", 1)), (2,), (("max_pool_3x3", 0), ("none", 1)), (2,))
    >>> genotype.steps, genotype.has("msa")
    (1, False)
    """

    normal: tuple[Choice, ...]
    normal_concat: tuple[int, ...]
    reduce: tuple[Choice, ...]
    reduce_concat: tuple[int, ...]

    def __post_init__(self) -> None:
        for name in ("normal", "reduce"):
            choices, concat = _cell(name, getattr(self, name), getattr(self, f"{name}_concat"))
            object.__setattr__(self, name, choices)
            object.__setattr__(self, f"{name}_concat", concat)

    @property
    def steps(self) -> int:
        """Sums of the normal cell."""
        return len(self.normal) // 2

    @property
    def choices(self) -> tuple[Choice, ...]:
        """The operations of both cells with the states that they read."""
        return self.normal + self.reduce

    def has(self, operation: str) -> bool:
        """Whether one of the cells makes the operation."""
        return any(name == operation for name, _ in self.normal) or any(name == operation for name, _ in self.reduce)

    def to_dict(self) -> dict[str, Any]:
        """Lists by the four names, as the authors' files hold them.

        >>> named("vit").to_dict()["normal"]
        [['none', 0], ['msa', 1]]
        """
        return {
            "normal": [list(choice) for choice in self.normal],
            "normal_concat": list(self.normal_concat),
            "reduce": [list(choice) for choice in self.reduce],
            "reduce_concat": list(self.reduce_concat),
        }

    def __str__(self) -> str:
        cells = ((self.normal, self.normal_concat), (self.reduce, self.reduce_concat))
        return " / ".join(
            " ".join(f"{name}~{i}" for name, i in cell) + f" > {','.join(map(str, kept))}" for cell, kept in cells
        )


FIELDS = ("normal", "normal_concat", "reduce", "reduce_concat")


def as_genotype(given: Any) -> Genotype:
    """A genotype from itself, its name, its text, a mapping of the four names, or anything with them as attributes.

    >>> as_genotype("vit") == as_genotype(as_genotype("vit").to_dict()) == as_genotype(str(as_genotype("vit")))
    True
    """
    if isinstance(given, Genotype):
        return given
    if isinstance(given, str):
        return _from_text(given)
    if not isinstance(given, Mapping):
        missing = [name for name in FIELDS if not hasattr(given, name)]
        given = {name: getattr(given, name) for name in FIELDS if name not in missing}
    missing = [name for name in FIELDS if name not in given]
    if missing:
        raise SpaceError(f"deepnets1m genotype without {missing[0]!r}; expected {', '.join(FIELDS)}")
    return Genotype(*(given[name] for name in FIELDS))


def _from_text(text: str) -> Genotype:
    """A name, JSON, or what ``str`` of a genotype gives."""
    if text.lower() in NAMED:
        return named(text)
    if text.lstrip().startswith("{"):
        try:
            return as_genotype(json.loads(text))
        except json.JSONDecodeError as error:
            raise SpaceError(f"deepnets1m genotype {text[:80]!r}: no JSON ({error})") from None
    cells: list[Any] = []
    for cell in text.split("/"):
        choices, arrow, concat = cell.partition(">")
        pairs = [choice.rpartition("~") for choice in choices.split()]
        if not arrow or not pairs or not all(state.isdecimal() for _, _, state in pairs):
            expected = f"a name ({', '.join(sorted(NAMED))}), JSON, or cells as 'conv_3x3~0 skip_connect~1 > 2'"
            raise SpaceError(f"deepnets1m genotype {text[:80]!r}: expected {expected}")
        cells.append([(name, int(state)) for name, _, state in pairs])
        cells.append([int(state) for state in concat.split(",") if state.strip().isdecimal()])
    if len(cells) != 4:
        expected = "a normal and a reduction cell"
        raise SpaceError(f"deepnets1m genotype {text[:80]!r}: {len(cells) // 2} cells; expected {expected}")
    return Genotype(*cells)


# -- checks ------------------------------------------------------------------------------------------------------------
def _cell(name: str, choices: Any, concat: Any) -> tuple[tuple[Choice, ...], tuple[int, ...]]:
    """A cell in normal form; `SpaceError` where there is none such."""
    what = f"deepnets1m genotype: {name} cell"
    if isinstance(choices, str) or not isinstance(choices, Sequence) or len(choices) < 2 or len(choices) % 2:
        raise SpaceError(f"{what} {choices!r:.200}: expected two (operation, state) pairs for each step")
    made: list[Choice] = []
    for i, choice in enumerate(choices):
        if isinstance(choice, str) or not isinstance(choice, Sequence) or len(choice) != 2:
            raise SpaceError(f"{what}: {choice!r:.80} at place {i}; expected a pair of operation and state")
        operation, state = choice
        parse_operation(operation)
        made.append((operation, _state(f"{what}: {operation} at place {i} reads", state, 2 + i // 2)))
    if not isinstance(concat, Sequence | range) or isinstance(concat, str) or not len(concat):
        raise SpaceError(f"{what}: concat {concat!r:.80}; expected the states that make the output")
    kept = tuple(_state(f"{what}: concat holds", state, 2 + len(made) // 2) for state in concat)
    if len(set(kept)) != len(kept):
        raise SpaceError(f"{what}: concat {list(kept)} holds a state twice")
    return tuple(made), kept


def _state(what: str, state: Any, end: int) -> int:
    try:
        number = state.__index__()
    except AttributeError:
        number = -1
    if isinstance(state, bool) or not 0 <= number < end:
        raise SpaceError(f"{what} state {state!r:.40}; there are states 0 to {end - 1}")
    return int(number)


@lru_cache(maxsize=1024)
def parse_operation(operation: str) -> tuple[str, int]:
    """The kind of an operation and its kernel, 0 where it has none; ``conv2`` is a row of weights, then a column.

    >>> parse_operation("sep_conv_5x5"), parse_operation("conv_7x1_1x7"), parse_operation("msa")
    (('sep_conv', 5), ('conv2', 7), ('msa', 0))
    """
    if operation in WITHOUT_KERNEL:
        return operation, 0
    if operation == "conv_7x1_1x7":
        return "conv2", 7
    kind, _, size = operation.rpartition("_") if isinstance(operation, str) else ("", "", "")
    height, _, width = size.partition("x")
    if kind not in KINDS or not height.isdecimal() or height != width or int(height) % 2 == 0:
        near = difflib.get_close_matches(str(operation), OPERATIONS, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(OPERATIONS)}"
        raise SpaceError(f"deepnets1m genotype: no operation {str(operation)[:40]!r}; {hint}")
    return kind, int(height)


# -- published cells ---------------------------------------------------------------------------------------------------
_DARTS = (
    "sep_conv_3x3~0 sep_conv_3x3~1 sep_conv_3x3~0 sep_conv_3x3~1 sep_conv_3x3~1 skip_connect~0 skip_connect~0 dil_conv_3x3~2"
    " > 2,3,4,5 / "
    "max_pool_3x3~0 max_pool_3x3~1 skip_connect~2 max_pool_3x3~1 max_pool_3x3~0 skip_connect~2 skip_connect~2 max_pool_3x3~1"
    " > 2,3,4,5"
)
#: Name → the cells as text: DARTS (second order) of Liu et al. 2019, and the cells of the paper's vision transformer.
NAMED = {"darts": _DARTS, "vit": "none~0 msa~1 > 2 / none~0 avg_pool_3x3~1 > 2"}


@lru_cache(maxsize=8)
def named(name: str) -> Genotype:
    """The published genotype of that name: ``"darts"`` or ``"vit"``; `SpaceError` for others.

    >>> print(named("vit"))
    none~0 msa~1 > 2 / none~0 avg_pool_3x3~1 > 2
    """
    found = NAMED.get(str(name).lower())
    if found is None:
        raise SpaceError(f"no genotype is called {str(name)[:40]!r}; there are {', '.join(sorted(NAMED))}")
    return _from_text(found)
