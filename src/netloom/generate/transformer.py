"""`TokenTransformer`: an autoregressive transformer over tokens, conditioned on a few numbers.

Vaswani et al., "Attention is all you need", 2017, as a decoder alone, normalised before each part (Xiong et al., 2020).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Bumps that each number of a condition is seen through, from −3 to 3.
_BUMPS = 13

#: Keys and values (B, H, T, D) of each layer.
Cache = list[tuple[Tensor, Tensor]]


class Conditioning(nn.Module):
    """Conditions (B, C), NaN where nothing is asked, as a vector (B, W)."""

    centres: Tensor

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.register_buffer("centres", torch.linspace(-3, 3, _BUMPS), persistent=False)
        self.read = nn.Linear(count * (_BUMPS + 2), width)
        self.mix = nn.Linear(width, width)

    def forward(self, conditions: Tensor) -> Tensor:
        known = ~conditions.isnan()
        values = torch.where(known, conditions.clamp(-4, 4), torch.zeros_like(conditions))
        bumps = torch.exp(-2 * (values[..., None] - self.centres).square())
        seen = torch.cat([bumps, values[..., None], torch.ones_like(values)[..., None]], dim=-1) * known[..., None]
        mixed: Tensor = self.mix(functional.silu(self.read(seen.flatten(1))))
        return mixed


class Block(nn.Module):
    """Causal attention, then two linear layers, each added to what came in."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend, self.merge = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor, past: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """``past``: keys and values of the tokens before, of which ``x`` (B, 1, W) is the next."""
        batch, length, width = x.shape
        parts = self.attend(self.before(x)).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        if past is not None:
            key, value = torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)
        found = functional.scaled_dot_product_attention(query, key, value, is_causal=past is None)
        x = x + self._dropped(self.merge(found.transpose(1, 2).reshape(batch, length, width)))
        x = x + self._dropped(self.narrow(functional.gelu(self.widen(self.between(x)))))
        return x, (key, value)

    def _dropped(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout, self.training)


class TokenTransformer(nn.Module):
    """Logits of the next token (V + 1 of them; number 0 ends a sequence) after tokens (number 0 begins one).

    Tokens of the vocabulary are numbered from 1 here.
    """

    def __init__(self, vocabulary: int, most_tokens: int, conditions: int, width: int, layers: int, heads: int, dropout: float):
        super().__init__()
        self.tokens = nn.Embedding(vocabulary + 1, width)
        self.places = nn.Embedding(most_tokens + 1, width)
        self.conditioning = Conditioning(conditions, width)
        self.blocks = nn.ModuleList([Block(width, heads, dropout) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)
        self.next = nn.Linear(width, vocabulary + 1)

    def forward(self, tokens: Tensor, conditions: Tensor) -> Tensor:
        """Logits (B, T, V + 1) for tokens (B, T) and conditions (B, C)."""
        x = self.tokens(tokens) + self.places.weight[: tokens.shape[1]] + self.conditioning(conditions)[:, None]
        for block in self.blocks:
            x, _ = block(x)
        logits: Tensor = self.next(self.norm(x))
        return logits

    def step(self, tokens: Tensor, place: int, condition: Tensor, cache: Cache | None) -> tuple[Tensor, Cache]:
        """Logits (B, V + 1) after one more token (B,), and what the next step needs; ``condition`` (B, W) of `conditioning`."""
        x = (self.tokens(tokens) + self.places.weight[place] + condition)[:, None]
        kept: Cache = []
        for i, block in enumerate(self.blocks):
            x, past = block(x, None if cache is None else cache[i])
            kept.append(past)
        return self.next(self.norm(x))[:, 0], kept

    def initialise(self, generator: torch.Generator) -> None:
        """Fresh weights: normal ones of 0.02, smaller where they are added up over layers. (Radford et al., 2019)"""
        with torch.no_grad():
            for name, value in self.named_parameters():
                if value.dim() < 2:
                    value.fill_(1.0 if "norm" in name or "before" in name or "between" in name else 0.0)
                    if name.endswith("bias"):
                        value.zero_()
                    continue
                scale = 0.02 if not name.startswith("conditioning") else 1 / math.sqrt(value.shape[1])
                if name.endswith(("merge.weight", "narrow.weight")):
                    scale /= math.sqrt(2 * len(self.blocks))
                value.normal_(0, scale * (3 if "tokens" in name or "places" in name else 1), generator=generator)
