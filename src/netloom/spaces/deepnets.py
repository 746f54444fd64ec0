"""DeepNets-1M: a million networks of diverse cells, and the splits on which hypernetworks are judged.

Source: Knyazev, Drozdzal, Taylor, Romero-Soriano, "Parameter prediction for unseen deep architectures", NeurIPS 2021.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import SpaceError
from .deepnets_architecture import LARGE, Architecture
from .deepnets_genotype import as_genotype
from .deepnets_network import network
from .deepnets_sampling import RULES, draw

if TYPE_CHECKING:
    import numpy

    from ..graph.graph import Graph


@dataclass(frozen=True)
class DeepNets1M:
    """The networks of a split of DeepNets-1M, on images (channels, height, width).

    ``split`` is ``train``, ``val``, ``test``, ``wide``, ``deep``, ``dense``, ``bnfree``, ``search`` or ``predefined``.

    >>> import numpy
    >>> space = DeepNets1M(split="test")
    >>> graph = space.sample(numpy.random.default_rng(0))
    >>> graph.outputs[0].shape, graph.num_params > 2_500_000
    ((Size('N'), 10), True)
    """

    split: str = "train"
    num_classes: int = 10
    input_shape: tuple[int, int, int] = (3, 32, 32)

    SETTINGS: ClassVar[tuple[str, ...]] = ("split", "num_classes", "input_shape")
    READERS: ClassVar[dict[str, Any]] = {"split": ("a split such as train or test", str)}

    def __post_init__(self) -> None:
        object.__setattr__(self, "input_shape", tuple(self.input_shape))
        if self.split not in RULES and self.split != "predefined":
            raise SpaceError(f"deepnets1m space: split = {self.split!r}; expected {', '.join(RULES)} or predefined")

    @property
    def spec(self) -> str:
        """The text that `netloom.spaces.load` makes this space from."""
        size = "x".join(map(str, self.input_shape))
        return f"deepnets1m?split={self.split}&num_classes={self.num_classes}&input_shape={size}"

    def sample(self, rng: numpy.random.Generator) -> Graph:
        """A random network of the split; a function of the generator's state alone."""
        return network(self.draw(rng))

    def draw(self, rng: numpy.random.Generator) -> Architecture:
        """The architecture of `sample`, without its graph."""
        return draw(self.split, rng, self.num_classes, self.input_shape)

    @staticmethod
    def network(
        genotype: Any, channels: int, cells: int, num_classes: int = 10, *, input_shape: tuple[int, int, int] | None = None,
        is_imagenet_input: bool | None = None, **settings: Any,
    ) -> Graph:  # fmt: skip
        """The network of a genotype with ``cells`` cells, the first of them with ``channels`` channels.

        ``genotype`` is a `Genotype`, a name (``"darts"``, ``"vit"``), its text or JSON, or anything with ``normal``,
        ``normal_concat``, ``reduce`` and ``reduce_concat``. ``settings`` are those of `Architecture`; images have 32 pixels
        unless ``input_shape`` says otherwise, or ``is_imagenet_input`` (224). Raises `SpaceError`.

        >>> DeepNets1M.network("vit", 128, 12, preproc=False, C_mult=1).num_params
        1012234
        """
        if input_shape is None:
            input_shape = (3, 224, 224) if is_imagenet_input else (3, 32, 32)
        elif is_imagenet_input is not None and is_imagenet_input != (max(input_shape[1:]) >= LARGE):
            what = f"is_imagenet_input = {is_imagenet_input} with input_shape = {input_shape}"
            raise SpaceError(f"deepnets1m network: {what}; give one of them")
        given = {"genotype": as_genotype(genotype), "C": channels, "n_cells": cells, "num_classes": num_classes}
        return network(Architecture.from_dict({**settings, **given, "input_shape": input_shape}))
