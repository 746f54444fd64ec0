"""Many chains of linear layers as one computation: stacked weights, features before samples, padded to common widths.

Layer l of M networks is one batched product of weights (M, out, in) and values (M, in, n). Networks are padded with neurons of
zero weights, which stay zero: see `Layout.mask`. Gradients are written down instead of recorded; all goes to buffers that
are made once for each batch size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from .many_activations import Elementwise, elementwise
from .many_chains import Chain
from .many_layout import Layout

if TYPE_CHECKING:
    from torch import Tensor


#: Slices for each activation of a layer up to which they cost less than gathering and putting back.
MOST_SLICES = 6


class Stack:
    """The weights, gradients and buffers of M networks of equal depth, in the order given.

    ``weights`` and ``grads`` hold every parameter in one flat tensor each, as `Layout` says.
    """

    def __init__(self, chains: Sequence[Chain], dtype: Any, device: Any = "cpu") -> None:
        import torch

        self.layout, self.dtype, self.device = Layout(chains), dtype, torch.device(device)
        self.runs = [_runs(row, self.device) for row in self.layout.rows]
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
        in_place = all(not (learns and function.keeps_input) for _, functions in runs for function in functions)
        self.a = self.z if in_place else empty(len(stack))
        self.grad = empty(len(stack) if learns else 0)
        # Views are made once: making them at every step would cost as much as the products of a few small networks.
        self.matrix, self.bias = stack.matrices[number], stack.biases[number].unsqueeze(2)
        self.grad_matrix, self.grad_bias = stack.grad_matrices[number], stack.grad_biases[number]
        self.matrix_transposed, self.a_transposed = self.matrix.mT, self.a.mT
        self.flat_matrix, self.flat_bias = self.matrix.flatten(0, 1), stack.biases[number].view(-1, 1)
        self.flat_z, self.flat_grad = self.z.flatten(0, 1), self.grad.flatten(0, 1)
        #: Calls of ``forward(given, out)`` and ``backward(grad, kept)``, in the order of each pass.
        self.forwards: list[tuple[Elementwise, Tensor, Tensor]] = []
        self.backwards: list[tuple[Elementwise, Tensor, Tensor]] = []
        for places, functions in runs:
            if not isinstance(places, slice):
                self._apply_scattered(places, functions, empty, learns)
                continue
            given, grad = self.z[places], self.grad[places] if learns else self.grad
            if not functions and not in_place:
                self.forwards.append((_COPY, given, self.a[places]))
            last = given if in_place and not learns else self.a[places]
            self._apply(functions, given, last, grad, empty)

    def _apply(
        self, functions: tuple[Elementwise, ...], given: Tensor, last: Tensor, grad: Tensor, empty: Callable[[int], Tensor]
    ) -> None:
        """Add the calls of functions in a row; the result of the last goes to ``last``."""
        for place, function in enumerate(functions):
            out = last if place == len(functions) - 1 else empty(len(given))
            self.forwards.append((function, given, out))
            self.backwards.insert(0, (function, grad, given if function.keeps_input else out))
            given = out

    def _apply_scattered(
        self, places: Tensor, functions: tuple[Elementwise, ...], empty: Callable[[int], Tensor], learns: bool
    ) -> None:
        """The same for networks that are no neighbours: their values are gathered, and put back."""
        if not functions:
            functions = (_COPY,)
        given, out, grad = empty(len(places)), empty(len(places)), empty(len(places) if learns else 0)
        taking, putting = _taking(places), _putting(places)
        self.forwards.append((taking, self.z, given))
        # Backwards run in the opposite order: what is inserted first is called last.
        self.backwards.insert(0, (putting, self.grad, grad))
        self._apply(functions, given, out, grad, empty)
        self.backwards.insert(0, (taking, grad, self.grad))
        self.forwards.append((putting, out, self.a))


_COPY = Elementwise(lambda z, out: out.copy_(z), lambda grad, a: None, keeps_input=False)

#: Which networks, as a slice or as places int64 (m,), and the functions in a row that they apply.
Run = tuple[Any, tuple[Elementwise, ...]]


def _taking(places: Tensor) -> Elementwise:
    """From the values or gradients of all networks to those of some."""
    import torch

    return Elementwise(
        lambda whole, part: torch.index_select(whole, 0, places, out=part),
        lambda part, whole: torch.index_select(whole, 0, places, out=part),
        keeps_input=False,
    )


def _putting(places: Tensor) -> Elementwise:
    """From the values or gradients of some networks to those of all."""
    return Elementwise(
        lambda part, whole: whole.index_copy_(0, places, part),
        lambda whole, part: whole.index_copy_(0, places, part),
        keeps_input=False,
    )


def _runs(row: Sequence[Any], device: Any) -> list[Run]:
    """Which networks apply which activations: neighbours as slices, unless those would be many short ones."""
    import torch

    runs: list[Run] = []
    by_functions: dict[tuple[Elementwise, ...], list[int]] = {}
    start = 0
    for activations, same in groupby(layer.activations for layer in row):
        stop = start + len(list(same))
        functions = tuple(elementwise(op, attrs) for op, attrs in activations)
        runs.append((slice(start, stop), functions))
        by_functions.setdefault(functions, []).extend(range(start, stop))
        start = stop
    if len(runs) <= MOST_SLICES * len(by_functions):
        return runs
    return [(torch.tensor(places, device=device), functions) for functions, places in by_functions.items()]
