"""Where the weights of many chains lie in one flat tensor: all matrices layer by layer, then all biases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .many_activations import at_zero
from .many_chains import Chain

if TYPE_CHECKING:
    from torch import Tensor

#: Matrices (M, out, in) and biases (M, out) of every layer, as views of a flat tensor.
Views = tuple[list["Tensor"], list["Tensor"]]


class Layout:
    """The places of the weights of M chains of equal depth, padded with zeros to the widths of the widest.

    >>> from netloom.training.many_chains import Dense
    >>> narrow, wide = (Chain((Dense(4, n, "w", "b"),), (4,), "float32") for n in (2, 3))
    >>> layout = Layout([narrow, wide])
    >>> layout.widths, layout.size, layout.size_of_matrices
    ([4, 3], 30, 24)
    """

    def __init__(self, chains: Sequence[Chain]) -> None:
        self.chains = tuple(chains)
        #: For each layer, that layer of every chain.
        self.rows = list(zip(*(chain.layers for chain in chains)))
        self.widths = [max(chain.in_features for chain in chains)]
        self.widths += [max(layer.out_features for layer in row) for row in self.rows]
        self.has_bias = [any(layer.bias is not None for layer in row) for row in self.rows]

    def __len__(self) -> int:
        return len(self.chains)

    @property
    def size_of_matrices(self) -> int:
        """Numbers in all matrices together."""
        return len(self) * sum(fan_in * out for fan_in, out in zip(self.widths, self.widths[1:]))

    @property
    def size(self) -> int:
        """Numbers in a flat tensor."""
        return self.size_of_matrices + len(self) * sum(self.widths[1:])

    def views(self, flat: Tensor) -> Views:
        """The layers in a flat tensor."""
        count, start = len(self), 0
        matrices, biases = [], []
        for fan_in, out in zip(self.widths, self.widths[1:]):
            matrices.append(flat[start : start + count * out * fan_in].view(count, out, fan_in))
            start += count * out * fan_in
        for out in self.widths[1:]:
            biases.append(flat[start : start + count * out].view(count, out))
            start += count * out
        return matrices, biases

    def tensors_of(self, place: int, views: Views) -> Iterator[tuple[str, Tensor]]:
        """Key and view of each tensor of one network, padding left out."""
        for layer, matrix, bias in zip(self.chains[place].layers, *views):
            yield layer.weight, matrix[place, : layer.out_features, : layer.in_features]
            if layer.bias is not None:
                yield layer.bias, bias[place, : layer.out_features]

    def state_of(self, place: int, flat: Tensor) -> dict[str, Tensor]:
        """Copies of the tensors of one network, by key."""
        return {key: view.clone() for key, view in self.tensors_of(place, self.views(flat))}

    @cached_property
    def owners(self) -> Tensor:
        """For each number of a flat tensor, the place of its network: int64 (size,)."""
        import torch

        places = torch.arange(len(self))
        sizes = [fan_in * out for fan_in, out in zip(self.widths, self.widths[1:])] + self.widths[1:]
        return torch.cat([places.repeat_interleave(size) for size in sizes])

    def mask(self, **options: Any) -> Tensor | None:
        """1 at weights that exist, 0 at padding, flat; None where the gradients of padding are zero of themselves.

        They are where every activation of a padded layer is 0 at 0; a sigmoid's padding neurons give ½ to the layer behind.
        """
        import torch

        needed = False
        for row, biased in zip(self.rows, self.has_bias):
            padded = len({layer.out_features for layer in row}) > 1
            needed |= padded and any(at_zero(layer.activations)[0] != 0 for layer in row)
            needed |= biased and any(layer.bias is None for layer in row)
        if not needed:
            return None
        keep = torch.zeros(self.size, **options)
        views = self.views(keep)
        for place in range(len(self)):
            for _, view in self.tensors_of(place, views):
                view.fill_(1)
        return keep
