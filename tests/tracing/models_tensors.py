"""Tensor programs: einsum, indexing, routing, scans, Fourier layers, complex numbers, sampling of grids."""

from __future__ import annotations

import torch.nn.functional as F

from tests.tracing.cases import Tensor, case, conv, floats, ids, nn, together, torch


@case(together(floats(4, 6), floats(5, 6)))
class Einsums(nn.Module):
    """Traces, diagonals, outer products, ellipses, three operands, the sublist form."""

    def __init__(self) -> None:
        super().__init__()
        self.core = nn.Parameter(torch.randn(6, 6, 3))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        pairs = torch.einsum("nid,njd->nij", a, b)
        cubic = torch.einsum("nid,njk,dko->nijo", a, b, self.core)
        square = torch.einsum("nii->ni", pairs[:, :, :4])
        total = torch.einsum("...ij->...", pairs)
        sublist = torch.einsum(a, [0, 1, 2], b, [0, 3, 2], [0, 3, 1])
        return (cubic * pairs.unsqueeze(-1)).sum(-1).mT + sublist + square.sum(-1)[:, None, None] + total[:, None, None]


@case(floats(5, 6))
class Indexing(nn.Module):
    """Integers, slices with steps, lists, index tensors, masks from constants, None and ellipsis, mixed."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)
        self.register_buffer("rows", torch.tensor([[0, 4], [2, 1]]))
        self.register_buffer("keep", torch.tensor([True, False, True, True, False, True]))

    def forward(self, x: Tensor) -> Tensor:
        y = self.fc(x)
        a = y[:, self.rows]
        b = y[:, [0, 2], [1, 3]]
        c = y[..., self.keep][:, None, 1:-1:2, -4:]
        d = y[:, torch.tensor([1, 3]), :][:, -1, ...]
        e = x.index_select(1, self.rows[0])
        return a.sum((1, 2, 3)) + b.sum(1) + c.sum((1, 2, 3)) + d.sum(-1) + y[:, 2, 3] + e.sum((1, 2))


@case(together(floats(6, 4), ids(3, high=6)))
class GatherScatter(nn.Module):
    """Rows chosen by an index input; sums into bins; take_along_dim; index_add and scatter_reduce."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        y = self.fc(x)
        picked = torch.gather(y, 1, index.unsqueeze(-1).expand(-1, -1, 4))
        placed = torch.zeros_like(y).scatter(1, index.unsqueeze(-1).expand(-1, -1, 4), picked * 2)
        added = torch.zeros_like(y).scatter_add(1, index.unsqueeze(-1).repeat(1, 1, 4), picked)
        best = torch.take_along_dim(y, y.argsort(dim=1, descending=True, stable=True)[:, :2], dim=1)
        batch = torch.arange(x.shape[0]).unsqueeze(1)
        reduced = y.scatter_reduce(1, index.unsqueeze(-1).expand_as(picked), picked, "amax", include_self=False)
        return placed + added + best.sum(1, keepdim=True) + y[batch, index].mean(1, keepdim=True) + reduced


@case(floats(5, 6))
class DenseExperts(nn.Module):
    """Top-2 routing with one-hot masks; every expert sees every token."""

    def __init__(self) -> None:
        super().__init__()
        self.router = nn.Linear(6, 4, bias=False)
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(6, 8), nn.SiLU(), nn.Linear(8, 6)) for _ in range(4))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        tokens = x.reshape(-1, x.shape[-1])
        probabilities = F.softmax(self.router(tokens), dim=1, dtype=torch.float)
        weights, chosen = torch.topk(probabilities, 2, dim=-1)
        weights /= weights.sum(dim=-1, keepdim=True)
        mask = F.one_hot(chosen, num_classes=4).permute(2, 1, 0)
        result = torch.zeros_like(tokens)
        for e, expert in enumerate(self.experts):
            gate = (mask[e].t() * weights).sum(1, keepdim=True)
            result += expert(tokens) * gate
        load = mask.sum((1, 2)).float() / tokens.shape[0]
        return result.view_as(x), 4 * (load * probabilities.mean(0)).sum()


@case(floats(8, 6))
class CapacityRouting(nn.Module):
    """Switch routing with a capacity: positions by cumulative sum, dispatch by einsum."""

    def __init__(self) -> None:
        super().__init__()
        self.router, self.up = nn.Linear(6, 3), nn.Parameter(torch.randn(3, 6, 6))

    def forward(self, x: Tensor) -> Tensor:
        gate, expert = self.router(x).softmax(-1).max(-1)
        hot = F.one_hot(expert, 3)
        position = (hot.cumsum(1) - 1) * hot
        kept = hot * (position < 4)
        slots = F.one_hot(position.sum(-1), 8)[..., :4].to(x.dtype)
        dispatch = torch.einsum("nte,ntc->ntec", kept.to(x.dtype), slots)
        sent = torch.einsum("ntec,ntd->necd", dispatch, x)
        return torch.einsum("ntec,necd->ntd", dispatch * gate[..., None, None], torch.einsum("necd,edf->necf", sent, self.up))


@case(floats(7, 5))
class ScansAndMasks(nn.Module):
    """cumsum, cumprod, cummax, logcumsumexp, where in all forms, triangular parts, flips, differences."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.fc(x)
        z = y.cumsum(1) + torch.cumprod(torch.tanh(y), dim=1) + y.cummax(dim=1).values + y.flip(1).logcumsumexp(1)
        z = torch.where(y > 0, z, y.neg()) + torch.where(x > 0, 1.0, -1.0) + torch.diff(y, dim=1, prepend=y[:, :1])
        z = z.masked_fill(torch.ones(7, 5, dtype=torch.bool).triu(2), 0.5).tril(1)
        middle = (x < 0.5) & ~(x < -0.5) | x.isnan()
        return z.nan_to_num(0.0) + middle.float() + torch.logaddexp(y, x) + y.logsumexp(1, keepdim=True)


@case(floats(3, 8, 8), flops=False)
class FourierLayer(nn.Module):
    """A Fourier neural operator: complex parameters on the low frequencies."""

    def __init__(self) -> None:
        super().__init__()
        self.low, self.high = (nn.Parameter(torch.randn(3, 3, 3, 3, dtype=torch.cfloat) / 9) for _ in range(2))
        self.skip = conv(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        spectrum = torch.fft.rfft2(x)
        out = torch.zeros(x.shape[0], 3, x.size(-2), x.size(-1) // 2 + 1, dtype=torch.cfloat, device=x.device)
        out[:, :, :3, :3] = torch.einsum("nixy,ioxy->noxy", spectrum[:, :, :3, :3], self.low)
        out[:, :, -3:, :3] = torch.einsum("nixy,ioxy->noxy", spectrum[:, :, -3:, :3], self.high)
        return F.gelu(torch.fft.irfft2(out, s=(x.size(-2), x.size(-1))) + self.skip(x))


@case(floats(8, 6), flops=False)
class FourierMixing(nn.Module):
    """FNet and a global filter: real parts, view_as_complex, shifts, norms of the transform."""

    def __init__(self) -> None:
        super().__init__()
        self.filter, self.fc = nn.Parameter(torch.randn(5, 6, 2)), nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        mixed = torch.fft.fft(torch.fft.fft(x, dim=-1), dim=1).real
        spectrum = torch.fft.rfft(self.fc(x), dim=1, norm="ortho") * torch.view_as_complex(self.filter)
        angle = torch.angle(spectrum).sum(1, keepdim=True) + spectrum.abs().sum(1, keepdim=True)
        return torch.fft.irfft(spectrum, n=x.shape[1], dim=1, norm="ortho") + mixed + angle + torch.fft.fftshift(x, dim=1)


@case(floats(5, 4))
class ComplexArithmetic(nn.Module):
    """Complex linear layer from two real ones; conjugates, products, parts returned complex."""

    def __init__(self) -> None:
        super().__init__()
        self.real, self.imag = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z = torch.complex(self.real(x), self.imag(x))
        w = z * z.conj() + 1j * z.exp() * torch.tensor(0.5 + 2j)
        return w, w.real - (z @ z.mH).imag.sum(-1, keepdim=True)


@case(floats(3, 8, 8))
class SpatialTransformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.locate, self.conv = nn.Linear(3 * 64, 6), conv(3, 4)
        nn.init.zeros_(self.locate.weight)
        self.locate.bias.data.copy_(torch.tensor([1, 0.1, 0, 0, 0.9, 0], dtype=torch.float))

    def forward(self, x: Tensor) -> Tensor:
        theta = self.locate(x.flatten(1)).view(-1, 2, 3)
        grid = F.affine_grid(theta, x.size(), align_corners=False)
        return self.conv(F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False))


@case(floats(4, 6, 5))
class DeformableSampling(nn.Module):
    """Offsets predicted per pixel, a grid made of coordinates, several samples per point."""

    def __init__(self) -> None:
        super().__init__()
        self.offset, self.value, self.weight = conv(4, 6), conv(4, 4, 1), conv(4, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        n, _, h, w = x.shape
        ys, xs = torch.meshgrid(torch.linspace(-1, 1, h), torch.linspace(-1, 1, w), indexing="ij")
        grid = torch.stack((xs, ys), -1).unsqueeze(0).repeat(n, 1, 1, 1)
        offsets = self.offset(x).view(n, 3, 2, h, w).permute(1, 0, 3, 4, 2).tanh() * 0.3
        samples = [F.grid_sample(self.value(x), grid + o, align_corners=True) for o in offsets]
        weights = self.weight(x).softmax(1).unsqueeze(2)
        return (torch.stack(samples, 1) * weights).sum(1)


@case(together(ids(6), floats(6)))
class BagsAndBuckets(nn.Module):
    """Embedding bags with weights, bucketize and searchsorted against constants, counts by comparison."""

    def __init__(self) -> None:
        super().__init__()
        self.bag, self.bins = nn.EmbeddingBag(11, 4, mode="sum"), nn.Embedding(5, 4)
        self.register_buffer("edges", torch.linspace(-1, 1, 4))

    def forward(self, tokens: Tensor, values: Tensor) -> Tensor:
        bins = torch.bucketize(values, self.edges)
        other = torch.searchsorted(self.edges, values.contiguous(), right=True)
        counts = (tokens.unsqueeze(-1) == torch.arange(4)).sum(1)
        return self.bag(tokens, per_sample_weights=values) + self.bins(bins).mean(1) + self.bins(other).amax(1) + counts / 6


@case(floats(6, 3))
class PointCloud(nn.Module):
    """Edge convolution: pairwise distances, nearest neighbours, gathered differences, maximum."""

    def __init__(self) -> None:
        super().__init__()
        self.edge = nn.Sequential(nn.Linear(6, 8), nn.LeakyReLU(0.2))

    def forward(self, x: Tensor) -> Tensor:
        n, points, dim = x.shape
        near = torch.cdist(x, x).topk(3, dim=-1, largest=False)[1]
        flat = (near + torch.arange(n).view(-1, 1, 1) * points).view(-1)
        neighbours = x.reshape(n * points, -1)[flat, :].view(n, points, 3, dim)
        centre = x.view(n, points, 1, dim).repeat(1, 1, 3, 1)
        return self.edge(torch.cat((neighbours - centre, centre), dim=3)).max(dim=2)[0]


@case(floats(5, 6))
class Statistics(nn.Module):
    """Reductions with their variants: std, median, norms, quantiles, arg functions, any and all, prod."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.fc(x)
        std, mean = torch.std_mean(y, dim=1)
        rest = y.median(1).values + y.kthvalue(2, dim=1).values + y.prod(1)
        rest = rest + torch.linalg.vector_norm(y, ord=3, dim=1) + y.norm(dim=1)
        rest = rest + y.var(1, correction=0) + torch.quantile(y, 0.3, dim=1) + (y > 0).any(1) * (y < 5).all(1)
        low, high = torch.aminmax(y, dim=2)
        return std * mean + rest + (high - low).mean(1, keepdim=True), y.argmax(-1) * 2 + y.argmin(1).sum(-1, keepdim=True)


@case(floats(3, 6, 5))
class Coordinates(nn.Module):
    """CoordConv, sine positions made in forward, constants written as lists."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = conv(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        n, _, h, w = x.shape
        x = (x - torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)) / x.new_tensor([[[0.2]], [[0.3]], [[0.4]]])
        rows = torch.linspace(-1, 1, h).view(1, 1, h, 1).expand(n, 1, h, w)
        columns = (torch.arange(w, dtype=x.dtype) / (w - 1) * 2 - 1).repeat(n, 1, h, 1)
        y = self.conv(torch.cat([x, rows, columns], 1))
        scale = 10000 ** (2 * (torch.arange(4) // 2) / 4)
        return y + (torch.cumsum(torch.ones(h, w), 0)[None] / scale[:, None, None]).sin()


@case(floats(4, 4))
class LinearAlgebra(nn.Module):
    """Products under their many names, a determinant, an inverse, a Kronecker product."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(4, 4) / 4 + torch.eye(4))
        self.v = nn.Parameter(torch.randn(4))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.baddbmm(x, x, self.w.expand(x.size(0), 4, 4), beta=0.5, alpha=2) + torch.bmm(x, x.mT)
        y = y + torch.tensordot(x, self.w, dims=([2], [0])) + torch.outer(self.v, self.v)
        y = y + torch.kron(self.w[:2, :2], torch.eye(2))
        y = y + (x @ self.v).unsqueeze(-1) + torch.mv(self.w, self.v) + torch.inverse(self.w) + torch.linalg.det(self.w)
        return y + torch.linalg.multi_dot([self.w, self.w.t(), self.w]) + torch.dot(self.v, self.v) + torch.trace(self.w)


@case(ids(6, high=20))
class IntegerArithmetic(nn.Module):
    """Hash embeddings: integer products, remainders, floor divisions, shifts and bits."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(7, 4) for _ in range(2))

    def forward(self, tokens: Tensor) -> Tensor:
        mixed = (tokens * 31 + 17) ^ (tokens >> 1)
        y = self.tables[0](mixed % 7) + self.tables[1](torch.div(mixed, 7, rounding_mode="floor") % 7)
        return y * (tokens // 3 - 2).sign().unsqueeze(-1) + (tokens & 1).unsqueeze(-1) + 2 ** tokens.clamp(max=3).unsqueeze(-1)
