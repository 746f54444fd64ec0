"""Attention in all forms: fused modules, masks, position biases, rotary embeddings, windows, caches."""

from __future__ import annotations

import math

import torch.nn.functional as F

from tests.tracing.cases import Tensor, case, conv, floats, ids, nn, together, torch


@case(floats(5, 8))
class SelfAttention(nn.Module):
    """nn.MultiheadAttention with its averaged weights, and once without them."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.MultiheadAttention(8, 2, dropout=0.2, batch_first=True)
        self.b = nn.MultiheadAttention(8, 4, batch_first=True, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y, weights = self.a(x, x, x)
        return x + self.b(y, y, y, need_weights=False)[0], weights


@case(together(floats(5, 8), lambda n: torch.arange(5).expand(n, 5) >= torch.randint(2, 6, (n, 1))))
class MaskedAttention(nn.Module):
    """A float mask, a boolean mask, and key padding from the input."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = (nn.MultiheadAttention(8, 2, batch_first=True) for _ in range(2))
        self.register_buffer("causal", torch.triu(torch.ones(5, 5, dtype=torch.bool), 1), persistent=False)

    def forward(self, x: Tensor, padding: Tensor) -> tuple[Tensor, Tensor]:
        bias = torch.zeros(5, 5).masked_fill(self.causal, float("-inf"))
        y, _ = self.a(x, x, x, attn_mask=bias, need_weights=False)
        return self.b(y, x, x, key_padding_mask=padding, attn_mask=self.causal, average_attn_weights=False)


@case(together(floats(4, 8), floats(6, 5), floats(6, 3)))
class CrossAttention(nn.Module):
    """Other widths for keys and values, a learned extra key, a zero row."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.MultiheadAttention(8, 2, kdim=5, vdim=3, batch_first=True, add_zero_attn=True)
        self.b = nn.MultiheadAttention(8, 2, add_bias_kv=True)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        y, _ = self.a(q, k, v)
        y = y.transpose(0, 1)
        return self.b(y, y, y)[0].transpose(0, 1)


@case(floats(5, 8))
class TorchEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True, norm_first=True, activation="gelu")
        self.encoder = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(8), enable_nested_tensor=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder(x, mask=nn.Transformer.generate_square_subsequent_mask(x.shape[1]), is_causal=True)


@case(together(floats(5, 8), floats(6, 8)))
class TorchDecoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Transformer(8, 2, 1, 1, 16, dropout=0.1, batch_first=True)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        return self.model(source, target, tgt_mask=nn.Transformer.generate_square_subsequent_mask(target.size(1)))


@case(floats(5, 24))
class FusedForms(nn.Module):
    """scaled_dot_product_attention: causal, with scale, with masks of both kinds, with dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(24, 72)

    def forward(self, x: Tensor) -> Tensor:
        n, length, dim = x.shape
        q, k, v = self.qkv(x).reshape(n, length, 3, 4, dim // 4).permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        y = F.scaled_dot_product_attention(y, k, v, scale=0.5, dropout_p=0.2 if self.training else 0.0)
        mask = torch.ones(length, length, dtype=torch.bool).tril(1)
        y = F.scaled_dot_product_attention(q, y, v, attn_mask=mask)
        y = F.scaled_dot_product_attention(q, k, y, attn_mask=torch.randn(1, 1, length, length) * 0 + q @ k.mT)
        return y.transpose(1, 2).flatten(2)


@case(floats(5, 16), flops=False)
class GroupedQuery(nn.Module):
    """Fewer key heads than query heads, by the flag and by repeating (the counter refuses the flag's form)."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.kv = nn.Linear(16, 16), nn.Linear(16, 16)

    def forward(self, x: Tensor) -> Tensor:
        n, length, _ = x.shape
        q = self.q(x).view(n, length, 4, 4).transpose(1, 2)
        k, v = self.kv(x).view(n, length, 2, 2, 4).permute(3, 0, 2, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, enable_gqa=True)
        k = k[:, :, None].expand(n, 2, 2, length, 4).reshape(n, 4, length, 4)
        weights = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(4), dim=-1, dtype=torch.float32).to(q.dtype)
        return (y + weights @ v.repeat_interleave(2, dim=1)).transpose(1, 2).contiguous().view(n, length, -1)


@case(floats(16, 8))
class RelativeBias(nn.Module):
    """Swin's table of relative positions on a 4×4 window."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(8, 24)
        self.table = nn.Parameter(torch.randn(49, 2))
        coords = torch.stack(torch.meshgrid(torch.arange(4), torch.arange(4), indexing="ij")).flatten(1)
        relative = (coords[:, :, None] - coords[:, None, :]).permute(1, 2, 0) + 3
        self.register_buffer("index", relative[..., 0] * 7 + relative[..., 1])

    def forward(self, x: Tensor) -> Tensor:
        n, length, dim = x.shape
        q, k, v = self.qkv(x).reshape(n, length, 3, 2, 4).permute(2, 0, 3, 1, 4)
        bias = self.table[self.index.view(-1)].view(length, length, -1).permute(2, 0, 1).contiguous()
        weights = (q * 4**-0.5) @ k.transpose(-2, -1) + bias.unsqueeze(0)
        return (weights.softmax(-1) @ v).transpose(1, 2).reshape(n, length, dim)


def rotate_half(x: Tensor) -> Tensor:
    """The second half of the features, negated, before the first."""
    half = x.shape[-1] // 2
    return torch.cat((-x[..., half:], x[..., :half]), dim=-1)


@case(floats(6, 2, 8))
class Rotary(nn.Module):
    """Rotary embeddings three ways: halves, interleaved pairs, complex numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("frequencies", 1.0 / (100 ** (torch.arange(0, 8, 2).float() / 8)), persistent=False)
        self.fc = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        q = self.fc(x).transpose(1, 2)
        angles = torch.arange(x.shape[1], dtype=torch.float32)[:, None] * self.frequencies[None]
        cos, sin = (f(torch.cat([angles, angles], -1)) for f in (torch.cos, torch.sin))
        halves = q * cos + rotate_half(q) * sin
        even, odd = q[..., ::2], q[..., 1::2]
        c, s = angles.cos(), angles.sin()
        pairs = torch.stack([even * c - odd * s, even * s + odd * c], -1).flatten(-2)
        turns = torch.polar(torch.ones_like(angles), angles)
        turned = torch.view_as_real(torch.view_as_complex(q.float().reshape(*q.shape[:-1], -1, 2)) * turns).flatten(3)
        return halves + pairs - turned


@case(ids(6))
class LinearBiases(nn.Module):
    """ALiBi: slopes and distances made in forward."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.qkv = nn.Embedding(11, 8), nn.Linear(8, 24, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        n, length, _ = x.shape
        q, k, v = (t.view(n, length, 2, 4).transpose(1, 2) for t in self.qkv(x).chunk(3, dim=-1))
        slopes = torch.tensor([2.0 ** (-4 * (h + 1)) for h in range(2)]).view(1, 2, 1, 1)
        distance = torch.arange(length).view(1, -1) - torch.arange(length).view(-1, 1)
        scores = torch.einsum("bhid,bhjd->bhij", q, k) / 2 + slopes * distance
        scores = scores.masked_fill(distance > 0, torch.finfo(scores.dtype).min)
        return torch.einsum("bhij,bhjd->bhid", F.softmax(scores, -1), v).transpose(1, 2).reshape(n, length, -1)


@case(floats(6, 8))
class LinearAttention(nn.Module):
    """Kernel features and cumulative sums; no length × length matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(8, 24)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, 2, 4)).unbind(2)
        q, k = F.elu(q) + 1, F.elu(k) + 1
        state = torch.cumsum(torch.einsum("nlhd,nlhe->nlhde", k, v), dim=1)
        normal = torch.einsum("nlhd,nlhd->nlh", q, k.cumsum(1)).clamp(min=1e-6).unsqueeze(-1)
        return (torch.einsum("nlhd,nlhde->nlhe", q, state) / normal).flatten(2)


@case(floats(8, 8, 6))
class ShiftedWindows(nn.Module):
    """Roll, cut into windows, mask across the seam, put together, roll back."""

    def __init__(self, window: int = 4, shift: int = 2) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)

    def partition(self, x: Tensor) -> Tensor:
        n, h, w, c = x.shape
        x = x.view(n, h // self.window, self.window, w // self.window, self.window, c)
        return x.permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, self.window * self.window, c)

    def mask(self, h: int, w: int) -> Tensor:
        regions = torch.zeros((1, h, w, 1))
        parts = (slice(0, -self.window), slice(-self.window, -self.shift), slice(-self.shift, None))
        for i, rows in enumerate(parts):
            for j, columns in enumerate(parts):
                regions[:, rows, columns, :] = 3 * i + j
        flat = self.partition(regions).squeeze(-1)
        gap = flat.unsqueeze(1) - flat.unsqueeze(2)
        return gap.masked_fill(gap != 0, -100.0).masked_fill(gap == 0, 0.0)

    def forward(self, x: Tensor) -> Tensor:
        n, h, w, c = x.shape
        rolled = torch.roll(x, shifts=(-self.shift, -self.shift), dims=(1, 2))
        windows = self.partition(rolled)
        mask = self.mask(h, w).repeat(n, 1, 1).repeat_interleave(2, dim=0)
        windows, _ = self.attention(windows, windows, windows, attn_mask=mask, need_weights=False)
        count = int(windows.shape[0] / (h * w / self.window / self.window))
        y = windows.view(count, h // self.window, w // self.window, self.window, self.window, -1)
        y = y.permute(0, 1, 3, 2, 4, 5).contiguous().view(count, h, w, -1)
        return x + torch.roll(y, (self.shift, self.shift), (1, 2))


@case(lambda n: (torch.randn(n, 1, 8), [(torch.randn(n, 2, 3, 4), torch.randn(n, 2, 3, 4)) for _ in range(2)]))
class KeyValueCache(nn.Module):
    """One decoding step: keys and values from before come in a list of pairs, the longer ones go out."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.ModuleList(nn.Linear(8, 24) for _ in range(2))

    def forward(self, x: Tensor, past: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        present = []
        for layer, (k_old, v_old) in zip(self.qkv, past):
            q, k, v = (t.view(*t.shape[:2], 2, 4).transpose(1, 2) for t in layer(x).split(8, dim=2))
            k, v = torch.cat((k_old, k), dim=-2)[:, :, -3:], torch.cat((v_old, v), dim=-2)[:, :, -3:]
            present.append((k, v))
            x = x + F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape)
        return x, present


@case(together(ids(6), lambda n: (torch.arange(6).expand(n, 6) < torch.randint(2, 7, (n, 1))).long()))
class PaddedTokens(nn.Module):
    """BERT's way of masks: integer mask, extended, turned into large negative numbers; type and position tables."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places, self.types = nn.Embedding(11, 8, padding_idx=0), nn.Embedding(9, 8), nn.Embedding(2, 8)
        self.register_buffer("ids", torch.arange(9).expand((1, -1)), persistent=False)
        self.norm, self.qkv, self.pool = nn.LayerNorm(8, eps=1e-12), nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, tokens: Tensor, mask: Tensor, kinds: Tensor | None = None) -> tuple[Tensor, Tensor]:
        shape = tokens.size()
        if kinds is None:
            kinds = torch.zeros(shape, dtype=torch.long, device=tokens.device)
        x = self.norm(self.words(tokens) + self.types(kinds) + self.places(self.ids[:, : shape[1]]))
        extended = (1.0 - mask[:, None, None, :].to(x.dtype)) * torch.finfo(x.dtype).min
        q, k, v = self.qkv(x).view(*shape, 3, 2, 4).permute(2, 0, 3, 1, 4)
        y = torch.softmax(q @ k.mT / math.sqrt(q.size(-1)) + extended, -1) @ v
        y = y.permute(0, 2, 1, 3).contiguous().view(*shape, -1)
        return y, torch.tanh(self.pool(y[:, 0]))


@case(floats(7, 8))
class BucketedBias(nn.Module):
    """T5's logarithmic buckets of distance, by integer and float arithmetic on constants."""

    def __init__(self) -> None:
        super().__init__()
        self.bias, self.fc = nn.Embedding(8, 2), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        n, length, _ = x.shape
        distance = torch.arange(length)[None, :] - torch.arange(length)[:, None]
        bucket = (distance > 0).to(torch.long) * 4
        distance = torch.abs(distance)
        large = 2 + (torch.log(distance.float() / 2) / math.log(4) * 2).to(torch.long)
        large = torch.min(large, torch.full_like(large, 3))
        bucket += torch.where(distance < 2, distance, large)
        scores = self.bias(bucket).permute(2, 0, 1).unsqueeze(0)
        y = self.fc(x).view(n, length, 2, 4).transpose(1, 2)
        return ((y @ y.mT + scores).softmax(-1) @ y).transpose(1, 2).flatten(2)


@case(floats(3, 8, 8))
class LatentQueries(nn.Module):
    """Perceiver: learned queries attend over pixels; multi-query keys without heads."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.latents, self.kv = conv(3, 8), nn.Parameter(torch.randn(4, 8)), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        pixels = self.conv(x).flatten(2).transpose(1, 2)
        q = self.latents.expand(x.size(0), 4, 8).reshape(x.size(0), 4, 2, 4).transpose(1, 2)
        k, v = self.kv(pixels).chunk(2, -1)
        scores = torch.matmul(q, k.unsqueeze(1).transpose(-1, -2)).div_(2.0)
        return torch.matmul(scores.softmax(-1), v.unsqueeze(1)).mean((1, 2))
