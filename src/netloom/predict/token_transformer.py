"""`TokenTransformer`: a transformer over the calls and edges of a network as tokens.

Tokens are those of `netloom.encode.tokens`, after Kim et al., "Pure Transformers are Powerful Graph Learners", NeurIPS 2022,
with calls contracted as in `netloom.predict.call_graphs`; TART (2025) proposed them for predictors. What the vectors of a
token's ends say is also put into attention as a learned number for each relation of two tokens, and into the feed-forward part
as what comes along and against the edges (NN-Former, CVPR 2025), without which a hundred labels teach little.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..encode.positions import laplacians, orthonormal
from ..errors import PredictorError
from .call_graphs import WIDTH, CallGraphs
from .graph_reading import Reading
from .member_training import ROWS
from .network_predictor import NetworkPredictor
from .predictor import Array, Batch

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from .member_layers import Initial, Parameters

#: Numbers of a position vector.
POSITIONS = 12
_KINDS = ("laplacian", "random")
#: Relations of one token to another: none, itself, call read by a call, call that reads it, edge out of or into a call, call
#: that an edge leaves or reaches.
_NONE, _SELF, _SOURCE, _READER, _EDGE_OUT, _EDGE_IN, _FROM, _TO = range(8)
_RELATIONS = 8
#: Relations that are looked at at once when predicting.
_MOST_ENTRIES = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class TokenBatch:
    """B graphs of up to T tokens, calls first: what they are, vectors of both ends, relations of any two, which there are."""

    features: Array
    first: Array
    second: Array
    is_edge: Array
    relations: Array
    mask: Array


class TokenTransformer(NetworkPredictor):
    """Attention over calls and edges of any graph; see `NetworkPredictor` for the settings.

    ``positions`` are the eigenvectors of each graph's Laplacian with signs drawn anew at every step, or ``"random"``
    orthonormal vectors. With ``edges`` every edge is a token of its own, as in TokenGT: several times as slow, because
    attention looks at all pairs, and the relations of calls say the same.

    >>> import netloom as nl
    >>> nl.predict.TokenTransformer(positions="random")
    TokenTransformer(positions='random')
    """

    kind: ClassVar[str] = "token_transformer"

    def __init__(
        self, *, width: int = 32, layers: int = 3, heads: int = 4, positions: str = "laplacian", edges: bool = False,
        **settings: Any,
    ) -> None:  # fmt: skip
        super().__init__(width=width, layers=layers, **settings)
        if type(heads) is not int or heads < 1 or width % heads:
            raise PredictorError(f"heads = {heads!r}; expected a divisor of width = {width}")
        if positions not in _KINDS:
            raise PredictorError(f"positions = {positions!r}; expected one of {', '.join(_KINDS)}")
        self.heads, self.positions, self.edges = heads, positions, edges

    def _learn_scales(self, batch: Batch) -> None:
        self._reading = Reading.of(batch)

    def _read(self, batch: Batch) -> _Tokens:
        return _Tokens(self._reading(batch), self.positions, self.edges)

    def _at_once(self, read: _Tokens) -> int:
        tokens = int(read.sizes.max(initial=1))
        return max(1, min(ROWS, _MOST_ENTRIES // (tokens * tokens)))

    def _initial(self, make: Initial) -> None:
        width = self.width
        make.linear("calls", WIDTH, width)
        make.linear("ends", 2 * POSITIONS, width, scale=0.3)
        make.table("edge", 1, width)
        for i in range(self.layers):
            make.norm(f"layer{i}.norm", width)
            make.linear(f"layer{i}.read", width, 3 * width)
            make.table(f"layer{i}.relations", _RELATIONS, self.heads, scale=0.5)
            make.linear(f"layer{i}.write", width, width)
            make.norm(f"layer{i}.between", width)
            make.linear(f"layer{i}.up", 3 * width, 2 * width)
            make.linear(f"layer{i}.down", 2 * width, width)
        make.norm("readout.norm", 2 * width + self.num_extra)
        make.linear("readout", 2 * width + self.num_extra, width)
        make.linear("score", width, 1)

    def _forward(self, parameters: Parameters, read: TokenBatch, extra: Tensor, generator: torch.Generator | None) -> Tensor:
        import torch

        from .member_layers import dropout, linear, norm

        relations, mask = torch.from_numpy(read.relations), torch.from_numpy(read.mask)
        (count, tokens), members = mask.shape, len(parameters["edge"])
        ends = self._ends(read, generator)
        is_edge = torch.from_numpy(read.is_edge).view(1, -1, 1)
        x = linear(parameters, "calls", torch.from_numpy(read.features).flatten(0, 1)) * (1 - is_edge)
        x = x + parameters["edge"] * is_edge + linear(parameters, "ends", ends)
        along = (relations == _SOURCE).float() + (relations == _FROM) + (relations == _EDGE_IN)
        against = (relations == _READER).float() + (relations == _TO) + (relations == _EDGE_OUT)
        along, against = (m / m.sum(2, keepdim=True).clamp_min(1).sqrt() for m in (along, against))
        hidden = ~mask[:, None, :]
        one_hot = torch.nn.functional.one_hot(relations, _RELATIONS).float().view(-1, _RELATIONS)
        for i in range(self.layers):
            h = linear(parameters, f"layer{i}.read", norm(parameters, f"layer{i}.norm", x))
            q, k, v = h.view(members, count, tokens, 3, self.heads, -1).permute(3, 0, 1, 4, 2, 5)
            bias = one_hot.expand(members, *one_hot.shape) @ parameters[f"layer{i}.relations"]
            bias = bias.view(members, count, tokens, tokens, self.heads).permute(0, 1, 4, 2, 3)
            scores = (q @ k.transpose(-1, -2)) * q.shape[-1] ** -0.5 + bias
            scores = scores.masked_fill(hidden[None, :, None], -1e9)
            h = (scores.softmax(-1) @ v).transpose(2, 3).reshape(x.shape)
            x = x + dropout(linear(parameters, f"layer{i}.write", h), self.dropout, generator)
            h = norm(parameters, f"layer{i}.between", x)
            grid = h.view(members, count, tokens, -1)
            h = torch.cat([grid, along @ grid, against @ grid], dim=3).flatten(1, 2)
            h = linear(parameters, f"layer{i}.down", torch.relu(linear(parameters, f"layer{i}.up", h)))
            x = x + dropout(h, self.dropout, generator)
        grid = x.view(members, count, tokens, -1)
        last = (mask & ~read_anything(relations)).float()[..., None]
        weights = mask.float()[..., None]
        h = torch.cat([(grid * last).sum(2), (grid * weights).sum(2) / weights.sum(1).clamp_min(1)], dim=2)
        h = torch.cat([h, extra.expand(members, *extra.shape)], dim=2)
        h = torch.relu(linear(parameters, "readout", dropout(norm(parameters, "readout.norm", h), self.dropout, generator)))
        return linear(parameters, "score", h)[..., 0]

    def _ends(self, read: TokenBatch, generator: torch.Generator | None) -> Tensor:
        """Position vectors of both ends of all tokens (B·T, 2 D), with signs drawn anew in training."""
        import torch

        first, second = torch.from_numpy(read.first), torch.from_numpy(read.second)
        if generator is not None:
            signs = torch.randint(0, 2, (len(first), 1, POSITIONS), generator=generator) * 2.0 - 1
            first, second = first * signs, second * signs
        return torch.cat([first, second], dim=2).flatten(0, 1)

    def _settings(self) -> dict[str, Any]:
        return super()._settings() | {"heads": self.heads, "positions": self.positions, "edges": self.edges}

    def _state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        arrays, data = super()._state()
        read, settings = self._reading.as_data()
        return arrays | read, data | {"reading": settings}

    def _restore(self, arrays: dict[str, Array], data: dict[str, Any]) -> None:
        super()._restore(arrays, data)
        self._reading = Reading.from_data(arrays, data["reading"])


def read_anything(relations: Tensor) -> Tensor:
    """Which tokens (B, T) are edges, or calls that something reads."""
    return ((relations == _READER) | (relations == _TO)).any(2)


class _Tokens:
    """Graphs as tokens; positions are worked out once, batches of some graphs when asked for."""

    def __init__(self, graphs: CallGraphs, positions: str, with_edges: bool) -> None:
        self.graphs, self.with_edges = graphs, with_edges
        self.sizes = graphs.sizes + (np.diff(graphs.edge_begins) if with_edges else 0)
        edges = [graphs.edges[a:b] - begin for a, b, begin in zip(graphs.edge_begins, graphs.edge_begins[1:], graphs.begins)]
        sizes = graphs.sizes.tolist()
        if positions == "laplacian":
            # The first eigenvector says nothing but how many neighbours there are.
            vectors = [found[:, 1 : POSITIONS + 1] for found in laplacians(sizes, edges)]
        else:
            by_size = {size: orthonormal(size, POSITIONS, np.random.default_rng(size)) for size in set(sizes)}
            vectors = [by_size[size] for size in sizes]
        self.positions = np.zeros((len(graphs.nodes), POSITIONS), dtype=np.float32)
        for begin, found in zip(graphs.begins, vectors):
            self.positions[begin : begin + len(found), : found.shape[1]] = found

    def __getitem__(self, rows: Array) -> TokenBatch:
        graphs = self.graphs[rows]
        places = np.concatenate([np.arange(self.graphs.begins[row], self.graphs.begins[row + 1]) for row in rows])
        positions = self.positions[places.astype(np.intp)]
        # A graph without calls keeps a token of nothing, so that there is something to attend to.
        num_tokens = np.maximum(self.sizes[rows], 1)
        tokens = int(num_tokens.max(initial=1))
        graph = graphs.graph
        call = np.arange(len(graph)) - graphs.begins[graph]
        features = np.zeros((len(rows), tokens, WIDTH), dtype=np.float32)
        first, second = (np.zeros((len(rows), tokens, POSITIONS), dtype=np.float32) for _ in range(2))
        is_edge = np.zeros((len(rows), tokens), dtype=np.float32)
        features[graph, call] = graphs.nodes
        first[graph, call] = second[graph, call] = positions
        relations = np.zeros((len(rows), tokens, tokens), dtype=np.int64)
        relations[:, np.arange(tokens), np.arange(tokens)] = _SELF
        of_edge = np.repeat(np.arange(len(rows)), np.diff(graphs.edge_begins))
        source, target = (graphs.edges - graphs.begins[of_edge][:, None]).T
        relations[of_edge, target, source] = _SOURCE
        relations[of_edge, source, target] = _READER
        if self.with_edges:
            token = graphs.sizes[of_edge] + np.arange(len(of_edge)) - graphs.edge_begins[of_edge]
            first[of_edge, token], second[of_edge, token] = positions[graphs.edges[:, 0]], positions[graphs.edges[:, 1]]
            is_edge[of_edge, token] = 1
            relations[of_edge, source, token], relations[of_edge, target, token] = _EDGE_OUT, _EDGE_IN
            relations[of_edge, token, source], relations[of_edge, token, target] = _FROM, _TO
        return TokenBatch(features, first, second, is_edge, relations, np.arange(tokens) < num_tokens[:, None])
