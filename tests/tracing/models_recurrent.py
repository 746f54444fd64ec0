"""Recurrent layers, cells in Python loops, cells of the model's own. FLOPs of recurrent layers go by formula elsewhere."""

from __future__ import annotations

import torch.nn.functional as F

from tests.tracing.cases import Tensor, case, conv, floats, ids, nn, together, torch


@case(floats(7, 5), flops=False, exported=False)
class StackedLSTM(nn.Module):
    """Two layers with dropout between them; last state used."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.fc = nn.LSTM(5, 6, num_layers=2, batch_first=True, dropout=0.3), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        y, (h, c) = self.lstm(x)
        return self.fc(y[:, -1]), (h, c)


@case(floats(7, 5), flops=False, exported=False)
class BidirectionalProjected(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(5, 6, bidirectional=True, proj_size=3, batch_first=True, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.lstm(x)[0].max(dim=1).values


@case(ids(7), flops=False, exported=False)
class TimeFirstGRU(nn.Module):
    """Batch at axis 1 inside the model, an initial state made of the batch size."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.gru = nn.Embedding(11, 5), nn.GRU(5, 4, num_layers=2, bidirectional=True)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens).transpose(0, 1)
        state = torch.zeros(4, x.size(1), 4)
        y, h = self.gru(x, state)
        return y[-1] + h.sum(0).repeat(1, 2)


@case(together(floats(6, 5), floats(3)), flops=False, exported=False)
class StateFromInput(nn.Module):
    """The initial state is computed; a plain RNN with ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.init = nn.RNN(5, 4, nonlinearity="relu", batch_first=True), nn.Linear(3, 4)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        y, _ = self.rnn(x, self.init(context).unsqueeze(0))
        return y.mean(1)


@case(floats(5, 4), flops=False, exported=False)
class SharedLSTM(nn.Module):
    """One LSTM called twice, the second time from the state the first left."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        y, state = self.lstm(x)
        z, _ = self.lstm(y.flip(1), state)
        return z


@case(floats(5, 4), flops=False)
class CellLoop(nn.Module):
    """LSTM, GRU and plain cells in a Python loop over time."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.gru, self.rnn = nn.LSTMCell(4, 6), nn.GRUCell(6, 5), nn.RNNCell(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = c = x.new_zeros(x.shape[0], 6)
        g, r = torch.zeros(x.shape[0], 5), None
        out = []
        for t in range(x.shape[1]):
            h, c = self.lstm(x[:, t, :], (h, c))
            g = self.gru(h, g)
            r = self.rnn(g, r)
            out.append(r)
        return torch.stack(out, 1)


@case(floats(5, 4))
class OwnCell(nn.Module):
    """A minimal gated unit, both directions, with its own parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.u = nn.Parameter(torch.randn(4, 12)), nn.Parameter(torch.randn(6, 12))
        self.b = nn.Parameter(torch.zeros(12))

    def run(self, steps: list[Tensor]) -> list[Tensor]:
        h = torch.zeros_like(steps[0]).new_zeros(steps[0].shape[0], 6)
        states = []
        for x in steps:
            gate, candidate = torch.split(x @ self.w + h @ self.u + self.b, 6, dim=-1)
            gate = gate.sigmoid()
            h = (1 - gate) * h + gate * candidate.tanh()
            states.append(h)
        return states

    def forward(self, x: Tensor) -> Tensor:
        steps = list(x.unbind(1))
        forth, back = self.run(steps), self.run(steps[::-1])[::-1]
        return torch.stack([torch.cat(pair, -1) for pair in zip(forth, back)], dim=1)


@case(floats(6))
class FeedsItself(nn.Module):
    """A decoder that reads its own choice: argmax and embedding in a loop."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.cell, self.out = nn.Embedding(7, 6), nn.GRUCell(6, 6), nn.Linear(6, 7)

    def forward(self, state: Tensor) -> Tensor:
        token = torch.full((state.shape[0],), 1, dtype=torch.long)
        logits = []
        for _ in range(4):
            state = self.cell(self.embed(token), state)
            logits.append(self.out(state))
            token = logits[-1].argmax(-1)
        return torch.stack(logits, 1)


@case(floats(4, 3, 5, 5))
class ConvLSTM(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gates = conv(5, 8)

    def forward(self, x: Tensor) -> Tensor:
        n, time, _, height, width = x.size()
        h, c = (torch.zeros(n, 2, height, width) for _ in range(2))
        for t in range(time):
            i, f, o, g = torch.chunk(self.gates(torch.cat((x[:, t], h), dim=1)), 4, dim=1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        return h


@case(floats(6, 3))
class StateSpaceScan(nn.Module):
    """A selective scan, step by step, with exp and einsum."""

    def __init__(self) -> None:
        super().__init__()
        self.project, self.log_a, self.skip = nn.Linear(3, 7), nn.Parameter(torch.randn(3, 2)), nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        delta, b, c = self.project(x).split([3, 2, 2], dim=-1)
        delta = F.softplus(delta)
        decay = torch.exp(torch.einsum("nld,ds->nlds", delta, -torch.exp(self.log_a)))
        drive = torch.einsum("nld,nls,nld->nlds", delta, b, x)
        state = x.new_zeros(x.size(0), 3, 2)
        out = []
        for t in range(x.size(1)):
            state = decay[:, t] * state + drive[:, t]
            out.append(torch.einsum("nds,ns->nd", state, c[:, t]))
        return torch.stack(out, dim=1) + x * self.skip


@case(lambda n: torch.randn(6, n, 4), free=False, flops=False, exported=False)
class BatchAtAxisOne(nn.Module):
    """The first axis is time, and Python loops over it: what is first cannot be free."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.RNNCell(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = x.new_zeros(x.shape[1], 4)
        for step in x:
            h = self.cell(step, h)
        return h
