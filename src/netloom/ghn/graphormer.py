"""Message passing of GHN-3: transformer layers whose attention knows how far apart two nodes are.

Source: Knyazev, Hwang, Lacoste-Julien, "Can We Scale Transformers to Predict Parameters of Diverse ImageNet Models?", ICML
2023; the encoding of edges is that of Graphormer (Ying et al., 2021).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .batching import Union

MAX_DEGREE, MAX_DISTANCE, EDGE_VALUES = 100, 1000, 257
#: Added to the attention logits of nodes that only fill up a batch.
_FILLED_UP = -float(2**15)


class Transformer(nn.Sequential):
    """Layers over node states (N, hid) → (N, hid); the first one also owns the embeddings of degrees and distances."""

    def __init__(self, hid: int, layers: int, heads: int) -> None:
        super().__init__(*(Layer(hid, heads, is_first=number == 0) for number in range(layers)))
        self.heads = heads

    def forward(self, x: Tensor, batch: Union) -> Tensor:
        """States after all layers."""
        places, edges, mask = _dense(batch, x.device)
        first: Layer = self[0]  # type: ignore[assignment]
        states = x.new_zeros(mask.numel(), x.shape[1]).index_copy(0, places, x).view(*mask.shape, -1)
        states = first.placed(states, edges) * mask[..., None]
        bias = first.attn.edge_bias(edges)
        pairs = mask[:, None, :, None] & mask[:, None, None, :]
        bias = bias.masked_fill(~pairs, _FILLED_UP) if not bool(mask.all()) else bias
        for layer in self:
            states = layer(states, bias)
        return states.reshape(-1, x.shape[1]).index_select(0, places)


class Layer(nn.Module):
    """Attention and a perceptron of four times the size, each after a layer norm and added to its input."""

    def __init__(self, hid: int, heads: int, is_first: bool) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(hid, eps=1e-5)
        self.attn = Attention(hid, heads, is_first)
        self.ln2 = nn.LayerNorm(hid, eps=1e-5)
        self.ff = nn.Module()
        self.ff.net = nn.Sequential(nn.Linear(hid, 4 * hid), nn.GELU(), nn.Identity(), nn.Linear(4 * hid, hid))
        if is_first:
            self.centrality_embed_in = nn.Embedding(MAX_DEGREE + 1, hid)
            self.centrality_embed_out = nn.Embedding(MAX_DEGREE + 1, hid)
            self.input_dist_embed = nn.Embedding(MAX_DISTANCE + 1, hid)

    def placed(self, x: Tensor, edges: Tensor) -> Tensor:
        """States (B, N, hid) with where each node stands: its degrees, and its distance from the input."""
        near = edges == 1
        x = x + self.centrality_embed_in(near.sum(1).clamp(max=MAX_DEGREE))
        x = x + self.centrality_embed_out(near.sum(2).clamp(max=MAX_DEGREE))
        placed: Tensor = x + self.input_dist_embed(edges[:, 0].clamp(max=MAX_DISTANCE))
        return placed

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """(B, N, hid), (B, heads, N, N) → (B, N, hid)."""
        x = x + self.attn(self.ln1(x), bias)
        changed: Tensor = x + self.ff.net(self.ln2(x))  # type: ignore[operator]
        return changed


class Attention(nn.Module):
    """Attention of several heads whose logits get a bias for every pair of nodes."""

    def __init__(self, hid: int, heads: int, is_first: bool) -> None:
        super().__init__()
        self.heads = heads
        self.to_qkv = nn.Linear(hid, 3 * hid, bias=False)
        self.to_out = nn.Sequential(nn.Linear(hid, hid))
        if is_first:
            self.edge_embed = nn.Module()
            self.edge_embed.embed = nn.Embedding(EDGE_VALUES, hid)
            with torch.no_grad():
                self.edge_embed.embed.weight.copy_(_waves(EDGE_VALUES, hid))
            self.proj_e = nn.Sequential(nn.Linear(2 * hid, hid), nn.ReLU(), nn.Linear(hid, heads))

    def edge_bias(self, edges: Tensor) -> Tensor:
        """(B, N, N) lengths of paths → (B, heads, N, N). Few pairs of lengths there and back differ: each is worked out
        once."""
        codes = edges * EDGE_VALUES + edges.transpose(1, 2)
        pairs, where = torch.unique(codes, return_inverse=True)
        values = torch.stack((pairs // EDGE_VALUES, pairs % EDGE_VALUES), dim=1) + 2
        table: Tensor = self.proj_e(self.edge_embed.embed(values).flatten(1))  # type: ignore[operator]
        return table.index_select(0, where.flatten()).view(*edges.shape, self.heads).permute(0, 3, 1, 2)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """(B, N, hid), (B, heads, N, N) → (B, N, hid)."""
        batch, nodes, hid = x.shape
        q, k, v = self.to_qkv(x).view(batch, nodes, 3, self.heads, hid // self.heads).permute(2, 0, 3, 1, 4)
        found = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        mixed: Tensor = self.to_out(found.transpose(1, 2).reshape(batch, nodes, hid))
        return mixed


def _waves(count: int, hid: int) -> Tensor:
    """(count, hid) sines and cosines of the number of the row; the first row is zero."""
    rows = torch.arange(count)[:, None]
    rates = torch.exp(torch.arange(0, hid, 2) * (-math.log(10000.0) / hid))
    table = torch.zeros(count, hid)
    table[:, 0::2], table[:, 1::2] = torch.sin(rows * rates), torch.cos(rows * rates)
    table[0] = 0
    return table


def _dense(batch: Union, device: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Where each node is in a padded batch (N,), lengths of paths (B, N', N'), and which places are taken (B, N')."""
    sizes = [len(graph) for graph in batch.graphs]
    most = max(sizes)
    edges = np.zeros((len(sizes), most, most), dtype=np.int64)
    mask = np.zeros((len(sizes), most), dtype=bool)
    for number, graph in enumerate(batch.graphs):
        edges[number, : len(graph), : len(graph)] = graph.distances
        mask[number, : len(graph)] = True
    places = torch.from_numpy(np.flatnonzero(mask))
    return places.to(device), torch.from_numpy(edges).to(device), torch.from_numpy(mask).to(device)
