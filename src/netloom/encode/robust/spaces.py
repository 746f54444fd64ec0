"""Which notation is that of a space."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import SpaceError
from ...spaces import MLP, Conv, NASBench201
from .cell_space import CellSequences
from .conv_space import ConvSequences
from .mlp_space import MLPSequences
from .sequences import Sequences

if TYPE_CHECKING:
    from ...spaces import Space


def of(space: Space) -> Sequences:
    """The notation of a space: every sequence of its tokens decodes to a network that the space contains.

    For `Conv`, `MLP` and `NASBench201`; `SpaceError` for others, to whose networks `Notation.covering` is near.

    >>> import netloom as nl
    >>> space = nl.spaces.NASBench201()
    >>> notation = of(space)
    >>> len(notation.vocabulary), space.contains(notation.decode([3, 3, 0, 1]))
    (5, True)
    """
    if isinstance(space, Conv):
        return ConvSequences(space)
    if isinstance(space, NASBench201):
        return CellSequences(space)
    if isinstance(space, MLP):
        return MLPSequences(space)
    raise SpaceError(
        f"{type(space).__name__} has no notation of its own; there are some for Conv, MLP and NASBench201, and "
        "Notation.covering(graphs) makes one with the operators of samples"
    )
