"""`NeuralPredictor`: graph convolutions over the calls of a network, in both directions.

Source: Wen et al., "Neural Predictor for Neural Architecture Search", ECCV 2020. What is different here makes it half as wrong:
calls that do nothing are gone before, layers are residual and normalised, and the calls that nothing reads are read out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .call_graphs import WIDTH, CallGraphs
from .graph_reading import Reading
from .network_predictor import NetworkPredictor
from .predictor import Array, Batch

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from .member_layers import Initial, Parameters


class NeuralPredictor(NetworkPredictor):
    """Graph convolutions along and against the edges of any graph; see `NetworkPredictor` for the settings.

    >>> import netloom as nl
    >>> nl.predict.NeuralPredictor(loss="hinge")
    NeuralPredictor(loss='hinge')
    """

    kind: ClassVar[str] = "neural_predictor"

    def __init__(self, *, width: int = 32, layers: int = 3, **settings: Any) -> None:
        super().__init__(width=width, layers=layers, **settings)

    def _learn_scales(self, batch: Batch) -> None:
        self._reading = Reading.of(batch)

    def _read(self, batch: Batch) -> CallGraphs:
        return self._reading(batch)

    def _initial(self, make: Initial) -> None:
        width = self.width
        make.linear("nodes", WIDTH, width)
        for i in range(self.layers):
            make.norm(f"layer{i}.norm", width)
            make.linear(f"layer{i}", 3 * width, width)
        make.norm("readout.norm", 3 * width + self.num_extra)
        make.linear("readout", 3 * width + self.num_extra, width)
        make.linear("score", width, 1)

    def _forward(self, parameters: Parameters, read: CallGraphs, extra: Tensor, generator: torch.Generator | None) -> Tensor:
        import torch

        from .member_layers import dropout, linear, norm, summed

        sources, targets = torch.from_numpy(np.ascontiguousarray(read.edges.T))
        graph, count = torch.from_numpy(read.graph), len(read.nodes)
        incoming = torch.bincount(targets, minlength=count).clamp_min(1)[:, None]
        outgoing = torch.bincount(sources, minlength=count)
        outputs = (outgoing == 0).float()[:, None]
        outgoing = outgoing.clamp_min(1)[:, None]
        x = linear(parameters, "nodes", torch.from_numpy(read.nodes))
        for i in range(self.layers):
            h = norm(parameters, f"layer{i}.norm", x)
            before = summed(h[:, sources], targets, count) / incoming.sqrt()
            after = summed(h[:, targets], sources, count) / outgoing.sqrt()
            h = torch.relu(linear(parameters, f"layer{i}", torch.cat([h, before, after], dim=2)))
            x = x + dropout(h, self.dropout, generator)
        total = summed(x, graph, len(read))
        # A graph that no input reaches through has no nodes.
        sizes = torch.from_numpy(read.sizes)[:, None].clamp_min(1)
        h = torch.cat([summed(x * outputs, graph, len(read)), total / sizes, total / 8], dim=2)
        h = torch.cat([h, extra.expand(len(h), *extra.shape)], dim=2)
        h = torch.relu(linear(parameters, "readout", dropout(norm(parameters, "readout.norm", h), self.dropout, generator)))
        return linear(parameters, "score", h)[..., 0]

    def _state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        arrays, data = super()._state()
        read, settings = self._reading.as_data()
        return arrays | read, data | {"reading": settings}

    def _restore(self, arrays: dict[str, Array], data: dict[str, Any]) -> None:
        super()._restore(arrays, data)
        self._reading = Reading.from_data(arrays, data["reading"])
