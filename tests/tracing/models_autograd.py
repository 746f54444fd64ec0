"""What bears on gradients: custom functions, checkpoints, stopped gradients, tensor hooks; autocast; torch.func."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from tests.tracing.cases import Tensor, case, conv, floats, head, nn, torch


class Round(torch.autograd.Function):
    """Rounds forward, passes the gradient straight through, within bounds."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.round()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * (x.abs() <= 1)


@case(floats(6))
class StraightThrough(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        return Round.apply(self.fc(x)) + Round.apply(self.fc.weight).sum()


@case(floats(6))
class ApplyKeptAsAttribute(nn.Module):
    """``apply`` bound before any trace begins: as an attribute, a global alias, and inside a plain function."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.quantize = nn.Linear(6, 6), Round.apply

    def forward(self, x: Tensor) -> Tensor:
        return self.quantize(self.fc(x)) + round_through(x)


round_through = Round.apply


class Reverse(torch.autograd.Function):
    """Gradient reversal: a non-tensor argument, and None for its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad.neg() * ctx.strength, None


@case(floats(6))
class GradientReversal(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.label, self.domain = nn.Linear(6, 6), nn.Linear(6, 3), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = F.relu(self.body(x))
        return self.label(features), self.domain(Reverse.apply(features, 0.3))


class TwoResults(torch.autograd.Function):
    """Several results, one of them not differentiable, and an argument that may be None."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor | None, name: str) -> tuple[Tensor, Tensor]:
        values, indices = x.max(dim=-1)
        ctx.save_for_backward(indices)
        ctx.shape = x.shape
        ctx.mark_non_differentiable(indices)
        return (values if bias is None else values + bias), indices

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Any) -> tuple[Tensor, None, None]:
        (indices,) = ctx.saved_tensors
        out = grad.new_zeros(ctx.shape).scatter_(-1, indices.unsqueeze(-1), 2 * grad.unsqueeze(-1))
        return out, None, None


@case(floats(5, 6))
class FunctionWithTwoResults(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        values, indices = TwoResults.apply(self.fc(x), None, "first")
        return values * 3, indices


class MemorySavingSwish(torch.autograd.Function):
    """Swish that keeps its input alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * torch.sigmoid(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        x = ctx.saved_tensors[0]
        s = torch.sigmoid(x)
        return grad * (s * (1 + x * (1 - s)))


class InPlaceFunction(torch.autograd.Function):
    """Writes to its argument and says so."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.mark_dirty(x)
        return x.mul_(2)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * 5


@case(floats(3, 6, 6))
class FunctionsInBlocks(nn.Module):
    """Custom functions twice in shared blocks, one that works in place."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = conv(3, 4), conv(4, 4), head(4)

    def forward(self, x: Tensor) -> Tensor:
        x = MemorySavingSwish.apply(self.a(x))
        x = x + MemorySavingSwish.apply(self.b(x))
        y = x * 1
        InPlaceFunction.apply(y)
        return self.head(y + x)


@case(floats(6))
class Checkpointed(nn.Module):
    """Checkpoints of both kinds, with dropout inside; functions and modules."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Dropout(0.3))
        self.b, self.c = nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = checkpoint(self.a, x, use_reentrant=False)
        x = checkpoint(lambda v: F.gelu(self.b(v)), x, use_reentrant=True)
        return checkpoint(self.c, x, use_reentrant=False, preserve_rng_state=False)


@case(floats(6))
class CheckpointedInTraining(nn.Module):
    """The checkpoint is there in training alone: the same computation either way."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(6, 6), nn.Tanh()) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=True) if self.training else block(x)
        return x


@case(floats(6))
class StopGradient(nn.Module):
    """SimSiam: targets detached; a region without gradients; one with them again inside."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.predictor = nn.Linear(6, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        z = self.encoder(x)
        p = self.predictor(z)
        with torch.no_grad():
            target = F.normalize(self.encoder(x * 2), dim=-1)
            with torch.enable_grad():
                inner = self.predictor(z * 3)
        return -(p * z.detach()).sum(-1), target, inner


@case(floats(6))
class PartlyFrozen(nn.Module):
    """requires_grad off for some weights; a decorated method; set_grad_enabled by a flag."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen, self.free = nn.Linear(6, 6).requires_grad_(False), nn.Linear(6, 6)
        self.free.bias.requires_grad = False
        self.tune = False

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor:
        return torch.tanh(self.frozen(x))

    def forward(self, x: Tensor) -> Tensor:
        with torch.set_grad_enabled(self.tune):
            gate = torch.sigmoid(self.free(x))
        return self.free(self.features(x)) * gate


@case(floats(6))
class GradientScaledByHook(nn.Module):
    """A hook on an activation halves its gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        y = self.fc(x)
        if y.requires_grad:
            y.register_hook(lambda grad: grad * 0.5)
        return torch.tanh(y)


@case(floats(6), flops=False, exported=False)
class GradientInForward(nn.Module):
    """A force field: the result is a gradient of an energy, in evaluation too."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            x = x.detach().requires_grad_(True)
            energy = self.b(torch.tanh(self.a(x))).sum(-1)
            (force,) = torch.autograd.grad(energy.sum(), x, create_graph=self.training)
        return energy.detach(), -force


@case(floats(2), flops=False, exported=False)
class Derivatives(nn.Module):
    """Physics-informed: a field, its slopes, a second derivative."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        with torch.enable_grad():
            x = x.detach().clone()
            x.requires_grad = True
            u = self.net(x)
            (slopes,) = torch.autograd.grad(u, x, torch.ones_like(u), create_graph=True)
            second = torch.autograd.grad(slopes[:, 0].sum(), [x], create_graph=True)[0][:, :1]
        return u, slopes, second


@case(floats(6), flops=False, exported=False)
class InnerDescent(nn.Module):
    """Steps down the energy of a latent made in forward; gradients by weights, one of which has none."""

    def __init__(self) -> None:
        super().__init__()
        self.energy, self.decoder = nn.Linear(4, 6), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, None]:
        with torch.enable_grad():
            z = torch.zeros(x.shape[0], 4, requires_grad=True)
            for _ in range(3):
                loss = ((self.energy(z) - x) ** 2).sum()
                z = z - 0.1 * torch.autograd.grad(loss, z, create_graph=True)[0]
            weights = [self.energy.weight, self.decoder.weight]
            found, none = torch.autograd.grad(loss, weights, allow_unused=True, create_graph=True)
        return self.decoder(z), found, none


@case(floats(6), flops=False, exported=False)
class GradientPenalty(nn.Module):
    """The norm of the slope by the inputs, in training alone."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.net(x)
        if not self.training:
            return y, y.new_zeros(())
        z = x.detach().requires_grad_()
        slope = torch.autograd.grad(self.net(z).sum(), z, create_graph=True)[0]
        return y, ((slope.norm(2, dim=1) - 1) ** 2).mean()


@case(floats(6))
class GradientsOnAndOff(nn.Module):
    """Regions inside regions; set_grad_enabled as a function and as a region, by the mode."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        before = torch.is_grad_enabled()
        torch.set_grad_enabled(False)
        first = self.a(x)
        torch.set_grad_enabled(before)
        with torch.set_grad_enabled(self.training):
            second = self.b(x)
            with torch.no_grad():
                third = self.a(second)
                with torch.enable_grad():
                    fourth = self.b(third)
                third = third * 2
            second = second + 1
        return first, second, third, fourth, self.a(x)


@case(floats(3, 6, 6))
class AutocastRegion(nn.Module):
    """bfloat16 inside a region, float32 inside the region's island, float32 outside."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.fc = conv(3, 4), conv(4, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            x = F.relu(self.a(x))
            with torch.autocast("cpu", enabled=False):
                x = x + self.b(x.float())
            y = self.fc(x.mean((2, 3)))
        return y.float() * self.fc.weight.sum()


@case(floats(4, 6))
class MappedFunction(nn.Module):
    """torch.vmap over positions, and one over an ensemble of weights."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.weights = nn.Linear(6, 6), nn.Parameter(torch.randn(3, 6, 2))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.vmap(lambda v: torch.tanh(self.fc(v)) - v.mean(), in_dims=1, out_dims=1)(x)
        return torch.vmap(lambda w: y @ w)(self.weights).sum(0)


@case(floats(4))
class FunctionalCall(nn.Module):
    """torch.func.functional_call with scaled parameters; weights of a template stacked and mapped."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        scaled = {name: p * self.scale for name, p in self.inner.named_parameters()}
        return torch.func.functional_call(self.inner, scaled, (x,)) + self.inner(x)
