"""Message passing of GHN-1 and GHN-2: a forward and a backward sweep over a graph, with a gated unit at every node.

A node hears from the nodes before it after those have been updated. Nodes of one level (no way leads from one to the other) do
not hear each other, so a sweep goes level by level, over all graphs of a batch at once; what a node says is computed once.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .batching import Sweep, Union


class Perceptron(nn.Module):
    """Linear layers with a ReLU after each, or after all but the last."""

    def __init__(self, sizes: tuple[int, ...], last_activation: bool = True) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip(sizes, sizes[1:]):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.fc = nn.Sequential(*(layers if last_activation else layers[:-1]))

    def forward(self, x: Tensor) -> Tensor:
        """(N, first size) → (N, last size)."""
        made: Tensor = self.fc(x)
        return made


class GatedGNN(nn.Module):
    """Node states (N, hid) → (N, hid). Source: Zhang et al., 2019; virtual edges: Knyazev et al., 2021, equation 4."""

    def __init__(self, hid: int, ve: bool) -> None:
        super().__init__()
        inner = hid // 2 if ve else hid
        self.mlp = Perceptron((hid, inner, hid))
        if ve:
            self.mlp_ve = Perceptron((hid, inner, hid))
        self.ve = ve
        self.gru = nn.GRUCell(hid, hid)

    def forward(self, x: Tensor, batch: Union) -> Tensor:
        """States after both sweeps."""
        for sweep in (batch.forward, batch.backward):
            if sweep is not None:
                x = self.swept(x.index_select(0, sweep.order), sweep).index_select(0, sweep.back)
        return x

    def swept(self, x: Tensor, sweep: Sweep) -> Tensor:
        """One sweep over states in order of levels."""
        hid = x.shape[1]
        # What does not depend on messages is computed for all nodes at once.
        from_state = torch.addmm(self.gru.bias_hh, x, self.gru.weight_hh.t())
        old_gates, old_fresh = from_state[:, : 2 * hid], from_state[:, 2 * hid :]
        weight, bias = self.gru.weight_ih.t(), self.gru.bias_ih
        speak = self.speaker()
        heard, pushes = x.new_zeros(x.shape), [push.to(x.dtype) for push in sweep.pushes]
        states: list[Tensor] = []
        bounds = sweep.bounds
        for i, (start, stop) in enumerate(zip(bounds, bounds[1:])):
            from_heard = torch.addmm(bias, heard[: stop - start], weight)
            gates = torch.sigmoid(from_heard[:, : 2 * hid] + old_gates[start:stop])
            fresh = torch.tanh(torch.addcmul(from_heard[:, 2 * hid :], gates[:, :hid], old_fresh[start:stop]))
            state = torch.lerp(fresh, x[start:stop], gates[:, hid:])
            states.append(state)
            if i < len(pushes):
                heard = torch.addmm(heard[stop - start :], pushes[i], speak(state))
        return torch.cat(states)

    def speaker(self) -> Callable[[Tensor], Tensor]:
        """States (k, hid) → what nodes say, (k, hid), or (2k, hid) along edges and along virtual edges by turns."""
        if not self.ve:
            return self.mlp
        (first, _, second, _), (far_first, _, far_second, _) = self.mlp.fc, self.mlp_ve.fc
        # Both perceptrons as one of twice the width.
        before = torch.cat((first.weight, far_first.weight)).t()  # type: ignore[arg-type]
        before_bias = torch.cat((first.bias, far_first.bias))  # type: ignore[arg-type]
        after = torch.block_diag(second.weight, far_second.weight).t()
        after_bias = torch.cat((second.bias, far_second.bias))  # type: ignore[arg-type]

        def speak(state: Tensor) -> Tensor:
            inner = torch.relu(torch.addmm(before_bias, state, before))
            return torch.relu(torch.addmm(after_bias, inner, after)).view(-1, state.shape[1])

        return speak
