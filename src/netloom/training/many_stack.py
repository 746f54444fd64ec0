"""Many chains of linear layers as one computation: stacked weights, features before samples, padded to common widths.

Layer l of M networks is one batched product of weights (M, out, in) and values (M, in, n). Networks are padded with neurons of
zero weights, which stay zero: see `Layout.mask`. Gradients are written down instead of recorded; all goes to buffers that
are made once for each batch size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from .many_activations import Elementwise, elementwise
from .many_chains import Chain
from .many_layout import Layout

if TYPE_CHECKING:
    from torch import Tensor


class Stack:
    """The weights, gradients and buffers of M networks of equal depth, in the order given.

    ``weights`` and ``grads`` hold every parameter in one flat tensor each, as `Layout` says.
    """

    def __init__(self, chains: Sequence[Chain], dtype: Any, device: Any = "cpu") -> None:
        import torch

        self.layout, self.dtype, self.device = Layout(chains), dtype, torch.device(device)
        self.runs = [_runs(row) for row in self.layout.rows]
        self.weights = torch.zeros(self.layout.size, dtype=dtype, device=self.device)
        self.grads = torch.zeros_like(self.weights)
        self.keep = self.layout.mask(dtype=dtype, device=self.device)
        self.matrices, self.biases = self.layout.views(self.weights)
        self.grad_matrices, self.grad_biases = self.layout.views(self.grads)
        self._passes: dict[tuple[int, bool], list[_Layer]] = {}

    def __len__(self) -> int:
        return len(self.layout)

    def load(self, place: int, state: Mapping[str, Tensor]) -> None:
        """Give one network the weights of a state_dict."""
        for key, view in self.layout.tensors_of(place, (self.matrices, self.biases)):
            view.copy_(state[key])

    # -- computing -------------------------------------------------------------------------------------------------
    def forward(self, x: Tensor, *, learns: bool = True) -> Tensor:
        """What the networks answer: (M, outputs, n) for samples ``x`` (M, features, n), or (features, n) for all alike.

        It lies in a buffer that the next call writes to. `backward` may follow only where ``learns``.
        """
        import torch

        for layer in self._pass(x.shape[-1], learns):
            if x.dim() == 2:
                torch.addmm(layer.flat_bias, layer.flat_matrix, x, out=layer.flat_z)
            else:
                torch.baddbmm(layer.bias, layer.matrix, x, out=layer.z)
            for function, given, out in layer.forwards:
                function.forward(given, out)
            x = layer.a
        return x

    def output_grad(self, samples: int) -> Tensor:
        """Where the gradient of the answers (M, outputs, n) is to be written before `backward`."""
        return self._pass(samples, True)[-1].grad

    def backward(self, x: Tensor) -> None:
        """Fill ``grads`` after `forward` on the same ``x``, from `output_grad`, which it overwrites."""
        import torch

        layers = self._pass(x.shape[-1], True)
        for number in reversed(range(len(layers))):
            layer = layers[number]
            for function, grad, kept in layer.backwards:
                function.backward(grad, kept)
            if number:
                torch.bmm(layer.grad, layers[number - 1].a_transposed, out=layer.grad_matrix)
                torch.bmm(layer.matrix_transposed, layer.grad, out=layers[number - 1].grad)
            elif x.dim() == 2:
                torch.mm(layer.flat_grad, x.mT, out=layer.grad_matrix.flatten(0, 1))
            else:
                torch.bmm(layer.grad, x.mT, out=layer.grad_matrix)
            if self.layout.has_bias[number]:
                torch.sum(layer.grad, -1, out=layer.grad_bias)
        if self.keep is not None:
            self.grads.mul_(self.keep)

    def _pass(self, samples: int, learns: bool) -> list[_Layer]:
        """The layers' buffers for batches of so many samples; those without gradients are let go of when the size changes."""
        found = self._passes.get((samples, learns))
        if found is None:
            if not learns:
                self._passes = {key: layers for key, layers in self._passes.items() if key[1]}
            found = self._passes[samples, learns] = [_Layer(self, number, samples, learns) for number in range(len(self.runs))]
        return found


class _Layer:
    """Buffers of one layer for one batch size, views of its weights, and the calls on slices that apply its activations."""

    def __init__(self, stack: Stack, number: int, samples: int, learns: bool) -> None:
        import torch

        runs = stack.runs[number]

        def empty(count: int) -> Tensor:
            return torch.empty(count, stack.layout.widths[number + 1], samples, dtype=stack.dtype, device=stack.device)

        self.z = empty(len(stack))
        # Written over in place where no backward asks for what was there.
        in_place = all(not (learns and function.keeps_input) for _, _, functions in runs for function in functions)
        self.a = self.z if in_place else empty(len(stack))
        self.grad = empty(len(stack) if learns else 0)
        # Views are made once: making them at every step would cost as much as the products of a few small networks.
        self.matrix, self.bias = stack.matrices[number], stack.biases[number].unsqueeze(2)
        self.grad_matrix, self.grad_bias = stack.grad_matrices[number], stack.grad_biases[number]
        self.matrix_transposed, self.a_transposed = self.matrix.mT, self.a.mT
        self.flat_matrix, self.flat_bias = self.matrix.flatten(0, 1), stack.biases[number].view(-1, 1)
        self.flat_z, self.flat_grad = self.z.flatten(0, 1), self.grad.flatten(0, 1)
        self.forwards: list[tuple[Elementwise, Tensor, Tensor]] = []
        self.backwards: list[tuple[Elementwise, Tensor, Tensor]] = []
        for start, stop, functions in runs:
            given = self.z[start:stop]
            if not functions and not in_place:
                self.forwards.append((_COPY, given, self.a[start:stop]))
            for place, function in enumerate(functions):
                last = place == len(functions) - 1
                out = given if in_place and not learns else self.a[start:stop] if last else empty(stop - start)
                self.forwards.append((function, given, out))
                self.backwards.insert(0, (function, self.grad[start:stop], given if function.keeps_input else out))
                given = out


_COPY = Elementwise(lambda z, out: out.copy_(z), lambda grad, a: None, keeps_input=False)


def _runs(row: Sequence[Any]) -> list[tuple[int, int, tuple[Elementwise, ...]]]:
    """Neighbours with the same activations: from, to, and the functions."""
    found, start = [], 0
    for activations, same in groupby(layer.activations for layer in row):
        stop = start + len(list(same))
        found.append((start, stop, tuple(elementwise(op, attrs) for op, attrs in activations)))
        start = stop
    return found
