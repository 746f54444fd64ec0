"""`LSTM`: a recurrent network over the calls of a network as a sequence.

Chains of layers with 32-bit codes are read as their codes, row by row (as the public system sophius, A. Korolyov, does). Any
other graph is read as its calls in topological order, contracted as in `netloom.predict.call_graphs`: a row has what the call
is and, because a sequence does not say who reads whom, how many rows back each of the values stands that it reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..encode import layers32
from ..encode.layer_codes import WIDTH as CODE_WIDTH
from ..errors import NetloomError, PredictorError
from .call_graphs import WIDTH, CallGraphs
from .graph_reading import Reading
from .network_predictor import NetworkPredictor
from .predictor import Array, Batch

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from .member_layers import Initial, Parameters

#: Values read from up to so many rows back are told apart; one more column is for those from further back.
REACH = 8
ROWS_OF = ("auto", "layers32", "calls")


class LSTM(NetworkPredictor):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997) over rows, in both directions; settings of `NetworkPredictor`.

    ``rows`` are ``"layers32"`` codes (graphs without one are refused), ``"calls"``, or ``"auto"``: codes where all graphs that
    it is fitted on have one. With ``features=False`` and codes it sees what sophius's predictor sees.

    >>> import netloom as nl
    >>> nl.predict.LSTM(rows="calls")
    LSTM(rows='calls')
    """

    kind: ClassVar[str] = "lstm"

    def __init__(self, *, width: int = 32, layers: int = 1, rows: str = "auto", **settings: Any) -> None:
        super().__init__(width=width, layers=layers, **settings)
        if rows not in ROWS_OF:
            raise PredictorError(f"rows = {rows!r}; expected one of {', '.join(ROWS_OF)}")
        self.rows = rows
        self._reading: Reading | None = None

    def _learn_scales(self, batch: Batch) -> None:
        self._reading = None
        if self.rows == "layers32" or (self.rows == "auto" and _codes(batch, required=False)):
            return
        self._reading = Reading.of(batch)

    def _read(self, batch: Batch) -> Sequences:
        if self._reading is None:
            return _codes(batch) or Sequences(np.zeros((0, CODE_WIDTH), np.float32), np.zeros(1, np.intp))
        return sequences(self._reading(batch))

    def _initial(self, make: Initial) -> None:
        width = self.width
        make.linear("rows", CODE_WIDTH if self._reading is None else WIDTH + REACH + 1, width)
        for i in range(self.layers):
            for way in ("there", "back"):
                name = f"layer{i}.{way}"
                make.linear(f"{name}.read", width if i == 0 else 2 * width, 4 * width, scale=0.6)
                make.linear(f"{name}.keep", width, 4 * width, scale=0.6)
                del make.parameters[f"{name}.keep.bias"]
                # Gates that forget begin open. (Jozefowicz et al., 2015)
                make.parameters[f"{name}.read.bias"][..., width : 2 * width] = 1.0
        make.norm("readout.norm", 4 * width + self.num_extra)
        make.linear("readout", 4 * width + self.num_extra, width)
        make.linear("score", width, 1)

    def _forward(self, parameters: Parameters, read: Sequences, extra: Tensor, generator: torch.Generator | None) -> Tensor:
        import torch

        from .member_layers import dropout, linear, norm

        lengths = torch.from_numpy(np.maximum(read.lengths, 1))
        rows = torch.from_numpy(read.padded())
        members, (count, longest) = len(parameters["rows.weight"]), rows.shape[:2]
        there = torch.arange(longest) < lengths[:, None]
        x = linear(parameters, "rows", rows.flatten(0, 1)).view(members, count, longest, -1)
        # The sequence backwards, its end first, whatever its length is.
        backwards = (lengths[:, None] - 1 - torch.arange(longest)).clamp_min(0)
        picks = backwards[None, :, :, None]
        ends: list[Tensor] = []
        for i in range(self.layers):
            forth, back = _passed(parameters, f"layer{i}", x, x.gather(2, picks.expand(*x.shape)))
            back = back.gather(2, picks.expand(*back.shape))
            last = (lengths - 1).view(1, -1, 1, 1).expand(members, -1, 1, self.width)
            ends = [forth.gather(2, last)[:, :, 0], back[:, :, 0]]
            x = dropout(torch.cat([forth, back], dim=3), self.dropout, generator)
        mean = (x * there[..., None]).sum(2) / lengths[:, None]
        h = torch.cat([*ends, mean, extra.expand(members, *extra.shape)], dim=2)
        h = torch.relu(linear(parameters, "readout", dropout(norm(parameters, "readout.norm", h), self.dropout, generator)))
        return linear(parameters, "score", h)[..., 0]

    def _settings(self) -> dict[str, Any]:
        return super()._settings() | {"rows": self.rows}

    def _state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        arrays, data = super()._state()
        if self._reading is None:
            return arrays, data | {"reading": None}
        read, settings = self._reading.as_data()
        return arrays | read, data | {"reading": settings}

    def _restore(self, arrays: dict[str, Array], data: dict[str, Any]) -> None:
        super()._restore(arrays, data)
        self._reading = None if data["reading"] is None else Reading.from_data(arrays, data["reading"])


def _passed(parameters: Parameters, name: str, forth: Tensor, back: Tensor) -> tuple[Tensor, Tensor]:
    """Hidden states (K, B, L, D) of both directions, each of which reads its rows (K, B, L, I) from the first on.

    All members and both directions go together: sequences are short, and what costs time is the number of calls.
    """
    import torch

    def both(which: str) -> Tensor:
        return torch.cat([parameters[f"{name}.{way}.{which}"] for way in ("there", "back")])

    x = torch.cat([forth, back])
    members, count, longest, _ = x.shape
    read = torch.baddbmm(both("read.bias"), x.flatten(1, 2), both("read.weight")).view(members, count, longest, -1)
    keep = both("keep.weight")
    hidden = cell = read.new_zeros(members, count, keep.shape[1])
    found = []
    for row in read.unbind(2):
        entered, forgotten, shown, new = torch.baddbmm(row, hidden, keep).chunk(4, dim=2)
        cell = forgotten.sigmoid() * cell + entered.sigmoid() * new.tanh()
        hidden = shown.sigmoid() * cell.tanh()
        found.append(hidden)
    there, backward = torch.stack(found, dim=2).chunk(2)
    return there, backward


class Sequences:
    """N sequences of rows, one after the other (M, R), and where each begins (N + 1,)."""

    def __init__(self, rows: Array, begins: Array) -> None:
        self.rows, self.begins = rows, begins

    @property
    def lengths(self) -> Array:
        return np.diff(self.begins)

    def __getitem__(self, which: Array) -> Sequences:
        places = [np.arange(self.begins[i], self.begins[i + 1]) for i in which]
        begins = np.concatenate([[0], np.cumsum([len(part) for part in places])])
        return Sequences(self.rows[np.concatenate([*places, np.zeros(0, dtype=int)]).astype(np.intp)], begins.astype(np.intp))

    def padded(self) -> Array:
        """The sequences as one array (N, L, R), rows of zeros after their ends."""
        lengths = self.lengths
        there = np.arange(max(int(lengths.max(initial=1)), 1)) < lengths[:, None]
        found = np.zeros((*there.shape, self.rows.shape[1]), dtype=np.float32)
        found[there] = self.rows
        return found


def sequences(graphs: CallGraphs) -> Sequences:
    """Calls in topological order: features, and how many values are read from 1, 2, …, 8 and more rows back.

    >>> import netloom as nl
    >>> from netloom.predict.call_graphs import call_graphs
    >>> x = nl.input(4)
    >>> y = nl.linear(x, 4)
    >>> sequences(call_graphs([nl.Graph(x, nl.add(nl.linear(y, 4), y))])).rows[:, WIDTH:WIDTH + 3].tolist()
    [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]
    """
    sources, targets = graphs.edges.T
    back = np.zeros((len(graphs.nodes), REACH + 1), dtype=np.float32)
    np.add.at(back, (targets, np.minimum(targets - sources - 1, REACH)), 1)
    return Sequences(np.hstack([graphs.nodes, back]), graphs.begins)


def _codes(batch: Batch, required: bool = True) -> Sequences | None:
    """The 32-bit rows of graphs; where one has none, None or a `PredictorError` that names it."""
    rows: list[Array] = [np.zeros((0, CODE_WIDTH), dtype=np.uint8)]
    for i, graph in enumerate(batch.graphs):
        try:
            rows.append(layers32.encode(graph))
        except NetloomError as error:
            if not required:
                return None
            mend = "fit LSTM(rows='calls') for graphs of any kind"
            raise PredictorError(f"graph {i} has no 32-bit rows, which this LSTM reads: {error}; {mend}") from None
    lengths = [len(part) for part in rows[1:]]
    return Sequences(np.concatenate(rows).astype(np.float32), np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp))
