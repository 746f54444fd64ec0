"""Layers as they stand in published code of the last years, with what is peculiar in each."""

from __future__ import annotations

import math

import torch.nn.functional as F

from tests.tracing.cases import Tensor, case, floats, nn, together, torch


@case(floats(7, 12))
class RotaryTables(nn.Module):
    """Angles in buffers that no checkpoint holds, made anew for a longer sequence than was foreseen."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(12, 36, bias=False), nn.Linear(12, 12, bias=False)
        self.register_buffer("frequencies", 1.0 / (10000 ** (torch.arange(0, 6, 2).float() / 6)), persistent=False)
        self.make(4)

    def make(self, length: int) -> None:
        self.length = length
        angles = torch.outer(torch.arange(length, dtype=self.frequencies.dtype), self.frequencies)
        angles = torch.cat([angles, angles], dim=-1)
        self.register_buffer("cosines", angles.cos()[None, None], persistent=False)
        self.register_buffer("sines", angles.sin()[None, None], persistent=False)

    def turned(self, x: Tensor) -> Tensor:
        length = x.shape[-2]
        a, b = x.chunk(2, -1)
        return x * self.cosines[:, :, :length] + torch.cat((-b, a), -1) * self.sines[:, :, :length].to(x.dtype)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        if length > self.length:
            self.make(length)
        q, k, v = self.qkv(x).view(batch, length, 3, 2, 6).permute(2, 0, 3, 1, 4)
        weights = self.turned(q) @ self.turned(k).transpose(2, 3) / math.sqrt(6)
        weights = weights + torch.full((length, length), float("-inf")).triu(1)
        weights = F.softmax(weights, dim=-1, dtype=torch.float32).to(q.dtype)
        return self.out((weights @ v).transpose(1, 2).reshape(batch, length, width))


@case(together(floats(5, 6), lambda n: torch.tensor([[0, 1, 2, 3, 4, 0], [1, 2, 3, 4, 0, 2]])))
class MessagePassing(nn.Module):
    """A graph network on a table of edges: its two rows are no batch, though the example has two samples."""

    def __init__(self) -> None:
        super().__init__()
        self.node, self.edge, self.out = nn.Linear(6, 8), nn.Linear(16, 1), nn.Linear(8, 4)

    def forward(self, x: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
        source, target = edges
        h = self.node(x)
        degree = torch.zeros(x.size(1)).scatter_add_(0, target, torch.ones(target.size(0)))
        scale = degree.clamp(min=1).pow(-0.5)
        sent = h.index_select(1, source) * scale[source][None, :, None]
        received = torch.zeros_like(h).index_add_(1, target, sent) * scale[None, :, None]
        weight = torch.sigmoid(self.edge(torch.cat([h[:, source], h[:, target]], -1))).squeeze(-1)
        return self.out(F.relu(received + h)), weight


@case(floats(6))
class TorchDistributions(nn.Module):
    """torch.distributions: sampled in training, means else; divergence, log-probability and entropy beside."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(6, 8), nn.Linear(4, 6)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        mean, log_variance = self.encoder(x).chunk(2, -1)
        posterior = torch.distributions.Normal(mean, (log_variance * 0.5).exp())
        prior = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
        z = posterior.rsample() if self.training else posterior.mean
        divergence = torch.distributions.kl_divergence(posterior, prior).sum(-1)
        return self.decoder(z), divergence, posterior.log_prob(z), torch.distributions.Categorical(logits=mean).entropy()


class SplineLayer(nn.Module):
    """A layer of a Kolmogorov–Arnold network: B-splines by recursion on a grid that is a buffer."""

    def __init__(self, inputs: int, outputs: int, order: int = 3) -> None:
        super().__init__()
        self.inputs, self.outputs, self.order = inputs, outputs, order
        self.register_buffer("grid", (torch.arange(-order, 4 + order + 1) / 2 - 1).expand(inputs, -1).contiguous())
        self.plain = nn.Parameter(torch.randn(outputs, inputs) / 3)
        self.spline = nn.Parameter(torch.randn(outputs, inputs, 4 + order) / 9)
        self.scale = nn.Parameter(torch.ones(outputs, inputs))

    def bases(self, x: Tensor) -> Tensor:
        assert x.dim() == 2 and x.size(1) == self.inputs
        grid, x = self.grid, x.unsqueeze(-1)
        found = ((x >= grid[:, :-1]) & (x < grid[:, 1:])).to(x.dtype)
        for k in range(1, self.order + 1):
            left = (x - grid[:, : -(k + 1)]) / (grid[:, k:-1] - grid[:, : -(k + 1)]) * found[:, :, :-1]
            right = (grid[:, k + 1 :] - x) / (grid[:, k + 1 :] - grid[:, 1:(-k)]) * found[:, :, 1:]
            found = left + right
        assert found.size() == (x.size(0), self.inputs, 4 + self.order)
        return found.contiguous()

    def forward(self, x: Tensor) -> Tensor:
        spline = (self.spline * self.scale.unsqueeze(-1)).view(self.outputs, -1)
        return F.linear(F.silu(x), self.plain) + F.linear(self.bases(x).view(x.size(0), -1), spline)


@case(floats(5))
def spline_network() -> nn.Module:
    """Two of them in a row."""
    return nn.Sequential(SplineLayer(5, 8), SplineLayer(8, 3))


@case(floats(8, 6), flops=False)
class DiagonalStateSpace(nn.Module):
    """A kernel from complex exponentials, convolved by Fourier transforms of twice the length; a gated way out."""

    def __init__(self) -> None:
        super().__init__()
        self.c = nn.Parameter(torch.view_as_real(torch.randn(6, 4, dtype=torch.cfloat)))
        self.log_step, self.log_decay = nn.Parameter(torch.rand(6)), nn.Parameter(torch.zeros(6, 4))
        self.frequency, self.skip = nn.Parameter(torch.arange(4.0).repeat(6, 1) * math.pi), nn.Parameter(torch.randn(6))
        self.out = nn.Sequential(nn.Conv1d(6, 12, 1), nn.GLU(dim=-2))

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(-1, -2)
        length = x.size(-1)
        a = -torch.exp(self.log_decay) + 1j * self.frequency
        step = a * torch.exp(self.log_step).unsqueeze(-1)
        powers = torch.exp(step.unsqueeze(-1) * torch.arange(length))
        kernel = 2 * torch.einsum("hn, hnl -> hl", torch.view_as_complex(self.c) * (torch.exp(step) - 1.0) / a, powers).real
        y = torch.fft.irfft(torch.fft.rfft(x, n=2 * length) * torch.fft.rfft(kernel, n=2 * length), n=2 * length)
        return self.out(F.gelu(y[..., :length] + x * self.skip.unsqueeze(-1))).transpose(-1, -2)


@case(floats(4, 6, 5))
class DeformableByGather(nn.Module):
    """A deformable convolution without a kernel of its own: four gathered corners, weighted."""

    def __init__(self) -> None:
        super().__init__()
        self.offset, self.weight = nn.Conv2d(4, 18, 3, padding=1), nn.Conv2d(36, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        offset, flat = self.offset(x).view(n, 9, 2, h, w), x.flatten(2)
        dy, dx = torch.meshgrid(torch.arange(-1, 2), torch.arange(-1, 2), indexing="ij")
        rows, columns = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
        y = (rows[None, None] + dy.reshape(1, 9, 1, 1) + offset[:, :, 0]).clamp(0, h - 1)
        x = (columns[None, None] + dx.reshape(1, 9, 1, 1) + offset[:, :, 1]).clamp(0, w - 1)
        top, left = y.floor().long(), x.floor().long()
        bottom, right = (top + 1).clamp(max=h - 1), (left + 1).clamp(max=w - 1)

        def at(row: Tensor, column: Tensor) -> Tensor:
            index = (row * w + column).view(n, 1, -1).expand(-1, c, -1)
            return flat.gather(2, index).view(n, c, 9, h, w)

        v, u = (y - top)[:, None], (x - left)[:, None]
        upper = at(top, left) * (1 - v) * (1 - u) + at(top, right) * (1 - v) * u
        lower = at(bottom, left) * v * (1 - u) + at(bottom, right) * v * u
        return self.weight((upper + lower).reshape(n, c * 9, h, w))


@case(together(floats(3, 8, 8), lambda n: torch.randint(0, 100, (n,)), lambda n: torch.randint(0, 5, (n,))))
class Denoiser(nn.Module):
    """A diffusion model's U-Net: time and class embedded, scale and shift, attention over pixels in the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.time = nn.Sequential(nn.Linear(8, 16), nn.SiLU(), nn.Linear(16, 16))
        self.classes, self.film = nn.Embedding(5, 16), nn.Linear(16, 24)
        self.stem, self.down, self.middle = nn.Conv2d(3, 8, 3, 1, 1), nn.Conv2d(8, 12, 3, 2, 1), nn.Conv2d(12, 12, 3, 1, 1)
        self.up, self.out = nn.ConvTranspose2d(12, 8, 4, 2, 1), nn.Conv2d(16, 3, 3, padding=1)
        self.norm, self.last_norm = nn.GroupNorm(4, 12), nn.GroupNorm(2, 16, eps=1e-6)
        self.qkv, self.proj = nn.Conv1d(12, 36, 1), nn.Conv1d(12, 12, 1)

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        angles = t[:, None].float() * torch.exp(-math.log(10000) * torch.arange(4, dtype=torch.float32) / 4)[None]
        embedding = self.time(torch.cat([angles.cos(), angles.sin()], dim=-1))
        if y is not None:
            embedding = embedding + self.classes(y)
        skips = [self.stem(x)]
        h = self.down(skips[-1])
        scale, shift = self.film(F.silu(embedding))[..., None, None].chunk(2, dim=1)
        h = h + self.middle(F.silu(self.norm(h) * (1 + scale) + shift))
        n, c, *space = h.shape
        pixels = h.reshape(n, c, -1)
        q, k, v = self.qkv(pixels).reshape(n * 3, c, -1).split(c // 3, dim=1)
        small = 1 / math.sqrt(math.sqrt(c // 3))
        weights = torch.softmax(torch.einsum("bct,bcs->bts", q * small, k * small).float(), dim=-1).type(q.dtype)
        attended = torch.einsum("bts,bcs->bct", weights, v).reshape(n, -1, pixels.shape[-1])
        h = (pixels + self.proj(attended)).reshape(n, c, *space)
        return self.out(F.silu(self.last_norm(torch.cat([self.up(h), skips.pop()], dim=1))))


@case(floats(3, 8, 8))
class DetectionHead(nn.Module):
    """Anchors in a buffer, grids kept in a list once their size is known, boxes decoded in place, in evaluation alone."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 6, 3, 2, 1), nn.Conv2d(6, 8, 3, 2, 1)
        self.heads = nn.ModuleList(nn.Conv2d(c, 2 * 7, 1) for c in (6, 8))
        self.register_buffer("anchors", torch.tensor([1.0, 2, 3, 4, 2, 2, 5, 1]).view(2, 2, 2))
        self.grids = [torch.empty(0), torch.empty(0)]

    def forward(self, x: Tensor) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        x = F.silu(self.first(x))
        raw, decoded = [], []
        for i, level in enumerate([x, F.silu(self.second(x))]):
            level = self.heads[i](level)
            n, _, h, w = level.shape
            level = level.view(n, 2, 7, h, w).permute(0, 1, 3, 4, 2).contiguous()
            raw.append(level)
            if not self.training:
                if self.grids[i].shape[2:4] != level.shape[2:4]:
                    rows, columns = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
                    self.grids[i] = torch.stack((columns, rows), 2).expand(1, 2, h, w, 2) - 0.5
                y = level.sigmoid()
                y[..., 0:2] = (y[..., 0:2] * 2 + self.grids[i]) * (2, 4)[i]
                y[..., 2:4] = (y[..., 2:4] * 2) ** 2 * self.anchors[i].view(1, 2, 1, 1, 2)
                decoded.append(y.view(n, -1, 7))
        return raw if self.training else (torch.cat(decoded, 1), raw)


@case(floats(6))
class Flow(nn.Module):
    """Couplings in turn, a matrix with its log-determinant, the density of what comes out."""

    def __init__(self) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 6)) for _ in range(2))
        self.matrix = nn.Parameter(torch.linalg.qr(torch.randn(6, 6))[0])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        volume = x.new_zeros(x.shape[0])
        for i, net in enumerate(self.nets):
            a, b = (x[:, 3:], x[:, :3]) if i % 2 else (x[:, :3], x[:, 3:])
            scale, shift = net(a).chunk(2, 1)
            b = b * torch.tanh(scale).exp() + shift
            volume += torch.tanh(scale).sum(1)
            x = torch.cat([b, a] if i % 2 else [a, b], 1)
        x = x @ self.matrix.T
        return x, volume + torch.slogdet(self.matrix)[1] - 0.5 * (x**2 + math.log(2 * math.pi)).sum(1)
