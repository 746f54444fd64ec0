"""DeepNets-1M: a million networks of diverse cells, and the splits on which hypernetworks are judged.

Source: Knyazev, Drozdzal, Taylor, Romero-Soriano, "Parameter prediction for unseen deep architectures", NeurIPS 2021.
"""

from __future__ import annotations

import difflib
import json
import operator
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import SpaceError
from .deepnets_architecture import LARGE, Architecture
from .deepnets_description import describe
from .deepnets_genotype import Genotype, as_genotype
from .deepnets_membership import may_be_drawn
from .deepnets_named import architecture, named_network
from .deepnets_network import network
from .deepnets_operations import Shape
from .deepnets_reading import read_architecture, read_architectures
from .deepnets_sampling import RULES, draw
from .deepnets_splits import fixed_network, fixed_splits
from .described import Description, described_graph

if TYPE_CHECKING:
    import numpy

    from ..graph.graph import Graph

SPLITS = (*RULES, "predefined")
PREDEFINED = ("resnet50", "vit")
#: The stream of numbers behind the networks of `train` and `search` by their index.
_SEED = 1


@dataclass(frozen=True)
class DeepNets1M:
    """The networks of a split of DeepNets-1M, on images (channels, height, width).

    ``split`` is ``train`` or ``search`` (a million and 100,000 networks, drawn when asked for), ``val``, ``test``, ``wide``,
    ``deep``, ``dense``, ``bnfree`` (500, 500 and 100 each, which come with netloom), or ``predefined`` (ResNet-50 and a vision
    transformer). ``space[i]`` is network i of the split; samples follow its rules and are new ones. Random numbers of
    different splits are independent, and nothing of ``train`` and ``search`` computes what an evaluation network computes.
    Images of 96 pixels and more get the paper's networks for ImageNet. ``channels`` makes all networks that narrow, and
    ``max_cells`` those that are drawn no deeper: for small machines. Raises `SpaceError`.

    >>> import numpy
    >>> space = DeepNets1M(split="test")
    >>> graph = space.sample(numpy.random.default_rng(0))
    >>> graph.outputs[0].shape, graph.num_params > 2_500_000, space.contains(graph)
    ((Size('N'), 10), True, True)
    >>> len(space), space.genotype(space[0]).steps
    (500, 2)
    """

    split: str = "train"
    num_classes: int = 10
    input_shape: tuple[int, int, int] = (3, 32, 32)
    channels: int | None = None
    max_cells: int | None = None

    SETTINGS: ClassVar[tuple[str, ...]] = ("split", "num_classes", "input_shape", "channels", "max_cells")
    READERS: ClassVar[dict[str, Any]] = {"split": ("the name of a split", str)}

    def __post_init__(self) -> None:
        if isinstance(self.input_shape, list):
            object.__setattr__(self, "input_shape", tuple(self.input_shape))
        try:
            object.__setattr__(self, "split", _split(self.split))
        except ValueError as error:
            raise SpaceError(f"deepnets1m space: {error}") from None
        Architecture(as_genotype("vit"), 1, 8, self.num_classes, input_shape=self.input_shape)  # says what is wrong
        self._check_sizes()

    def _check_sizes(self) -> None:
        fixed = self.split == "predefined" or self.split in fixed_splits()
        for name, step in (("channels", 8), ("max_cells", 1)):
            value = getattr(self, name)
            if value is None:
                continue
            if not isinstance(value, int) or value < 1 or value % step:
                expected = "a multiple of 8, for the heads of attention" if step == 8 else "a whole number from 1"
                raise SpaceError(f"deepnets1m space: {name} = {value!r}; expected {expected}")
            if self.split == "predefined" or (name == "max_cells" and fixed):
                raise SpaceError(f"deepnets1m space: the networks of {self.split} are fixed; leave {name} out")

    @property
    def spec(self) -> str:
        """The text that `netloom.spaces.load` makes this space from."""
        size = "x".join(map(str, self.input_shape))
        text = f"deepnets1m?split={self.split}&num_classes={self.num_classes}&input_shape={size}"
        given = {"channels": self.channels, "max_cells": self.max_cells}
        return text + "".join(f"&{name}={value}" for name, value in given.items() if value is not None)

    # -- networks and architectures ------------------------------------------------------------------------------------
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
        >>> DeepNets1M.network("darts", channels=36, cells=20, num_classes=10).num_params
        3349342
        """
        if input_shape is None:
            input_shape = (3, 224, 224) if is_imagenet_input else (3, 32, 32)
        elif is_imagenet_input is not None and is_imagenet_input != (max(input_shape[1:]) >= LARGE):
            what = f"is_imagenet_input = {is_imagenet_input} with input_shape = {input_shape}"
            raise SpaceError(f"deepnets1m network: {what}; give one of them")
        unknown = sorted(settings.keys() - Architecture.__dataclass_fields__.keys())
        if unknown:
            known = [name for name in Architecture.__dataclass_fields__ if name not in ("genotype", "C", "n_cells")]
            near = difflib.get_close_matches(unknown[0], known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            raise SpaceError(f"deepnets1m network: no setting {unknown[0]!r}; {hint}")
        given = {"genotype": as_genotype(genotype), "C": channels, "n_cells": cells, "num_classes": num_classes}
        return network(Architecture.from_dict({**settings, **given, "input_shape": input_shape}))

    def architecture(self, of: Graph | int) -> Architecture:
        """The architecture of a network of DeepNets-1M, whatever its nodes are called, or of network i of the split.

        Operations that nothing depends on come back as ``none``. `SpaceError` for graphs that are no such networks.

        >>> DeepNets1M("deep").architecture(3).n_cells in range(10, 37)
        True
        """
        if isinstance(of, int):
            return self._indexed(of)
        found = read_architecture(of)
        if found is None:
            raise SpaceError(f"{of!r} is no network of DeepNets-1M; those come from sample, network or an index")
        return found

    def genotype(self, of: Graph | int) -> Genotype:
        """The cells of `architecture`.

        >>> graph = DeepNets1M.network("darts", channels=16, cells=8)
        >>> DeepNets1M().genotype(graph) == as_genotype("darts")
        True
        """
        return self.architecture(of).genotype

    # -- a split, by index ---------------------------------------------------------------------------------------------
    def __len__(self) -> int:
        return len(PREDEFINED) if self.split == "predefined" else RULES[self.split].size

    def __iter__(self) -> Iterator[Graph]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: int) -> Graph:
        """Network ``index`` of the split, from the end where it is negative; IndexError beyond."""
        try:
            index = operator.index(index)
        except TypeError:
            raise TypeError(f"deepnets1m split {self.split} is indexed by a whole number, not {index!r:.40}") from None
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"deepnets1m split {self.split} has networks 0 to {len(self) - 1}, not {index}")
        if self.split == "predefined":
            return _named(PREDEFINED[place], self.input_shape, self.num_classes)
        return network(self._indexed(place))

    def _indexed(self, index: Any) -> Architecture:
        if self.split == "predefined":
            if index != 1:
                raise SpaceError(f"network {index} of predefined has no cells; network 1, the vision transformer, has")
            return architecture("vit", self.input_shape, self.num_classes, 128, 12)
        if self.split in fixed_splits():
            found = fixed_network(self.split, index)
            wider = self.split == "wide" and max(self.input_shape[1:]) >= LARGE
            made = found.resized(
                num_classes=self.num_classes, input_shape=self.input_shape, C=found.C // 2 if wider else found.C
            )  # fmt: skip
            return made if self.channels is None else made.resized(C=self.channels, fc_dim=4 * self.channels)
        if not 0 <= index < len(self):
            raise SpaceError(f"deepnets1m split {self.split} has networks 0 to {len(self) - 1}, not {index}")
        return self.draw(_generator(_SEED, index))

    # -- a space -------------------------------------------------------------------------------------------------------
    def sample(self, rng: numpy.random.Generator) -> Graph:
        """A random network by the rules of the split; a function of the generator's state alone."""
        if self.split == "predefined":
            return self[int(rng.integers(len(self)))]
        return network(self.draw(rng))

    def draw(self, rng: numpy.random.Generator) -> Architecture:
        """The architecture of `sample`, without its graph; not of ``predefined``, which has a network without cells."""
        if self.split == "predefined":
            raise SpaceError("deepnets1m split predefined has no rules to draw by; take its networks by index")
        return draw(self.split, rng, self.num_classes, self.input_shape, self.channels, self.max_cells)

    def contains(self, graph: Graph) -> bool:
        """Whether the rules of the split may give this network, whatever its nodes are called."""
        shapes = [tuple(node.shape[1:]) for node in (*graph.inputs, *graph.outputs)]
        if shapes != [self.input_shape, (self.num_classes,)]:
            return False
        if self.split == "predefined":
            return any(graph.hash == known.hash for known in self)
        return any(
            may_be_drawn(self.split, found, graph, self.channels, self.max_cells) for found in read_architectures(graph)
        )  # fmt: skip

    # -- many, without their graphs ------------------------------------------------------------------------------------
    def describe(self, rng: numpy.random.Generator) -> Description:
        """What `sample` gives, without its graph: hash, costs, and the text that `described` reads."""
        if self.split != "predefined":
            return describe(self.draw(rng))
        index = int(rng.integers(len(self)))
        shape = list(self.input_shape)
        text = json.dumps({"name": PREDEFINED[index], "num_classes": self.num_classes, "input_shape": shape})
        return described_graph(self[index], text)

    @staticmethod
    def described(text: str) -> Graph:
        """The network of a description's text.

        >>> import numpy
        >>> space = DeepNets1M()
        >>> found = space.describe(numpy.random.default_rng(0))
        >>> space.described(found.text).hash == found.hash
        True
        """
        if text.startswith('{"name"'):
            settings = json.loads(text)
            return _named(settings["name"], tuple(settings["input_shape"]), settings["num_classes"])
        return network(Architecture.from_json(text))


@lru_cache(maxsize=16)
def _named(name: str, input_shape: Shape, num_classes: int) -> Graph:
    return named_network(name, input_shape=input_shape, num_classes=num_classes)


def _split(text: str | os.PathLike[str]) -> str:
    name = str(text).lower()
    if name not in SPLITS:
        near = difflib.get_close_matches(name, SPLITS, 1)
        raise ValueError(
            f"split = {text!r:.80}; " + (f"did you mean {near[0]!r}?" if near else f"expected {', '.join(SPLITS)}")
        )
    return name


def _generator(seed: int, index: int) -> numpy.random.Generator:
    import numpy

    return numpy.random.default_rng([seed, index])
