"""Proxies that weigh parameters and channels by the gradient of the loss: grad_norm, snip, plain, grasp, fisher; and l2_norm.

θ are the weights (parameters with at least two axes), L the mean loss of the batch.
"""

from __future__ import annotations

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from .probe import Undefined
from .signals import Signals, gradients


def l2_norm(signals: Signals) -> float:
    """Σ over weights of ‖θ‖₂ (Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS", ICLR 2021)."""
    return sum(float(signals.state[key].double().norm()) for key in signals.weight_keys)


def grad_norm(signals: Signals) -> float:
    """Σ over weights of ‖∂L/∂θ‖₂ (Abdelfattah et al. 2021)."""
    return sum(float(gradient.double().norm()) for gradient in signals.weight_gradients.values())


def snip(signals: Signals) -> float:
    """Σ |θ ⊙ ∂L/∂θ| (Lee et al., "SNIP: Single-shot Network Pruning based on Connection Sensitivity", ICLR 2019)."""
    return sum(float((signals.state[k] * g).abs().double().sum()) for k, g in signals.weight_gradients.items())


def plain(signals: Signals) -> float:
    """Σ θ ⊙ ∂L/∂θ, with its sign (Mozer and Smolensky, "Skeletonization", NeurIPS 1988)."""
    return sum(float((signals.state[k] * g).double().sum()) for k, g in signals.weight_gradients.items())


def grasp(signals: Signals) -> float:
    """Σ −θ ⊙ H ∂L/∂θ, H the Hessian of L (Wang et al., "Picking Winning Tickets Before Training", ICLR 2020).

    `Undefined` for networks with calls that cannot be differentiated twice.
    """
    # The fused kernels of attention have no second derivative.
    with sdpa_kernel(SDPBackend.MATH):
        run = signals.run()
        weights = [run.tensors[key] for key in signals.weight_keys]
        first = gradients(signals.loss_of(run), weights, create_graph=True)
        inner = torch.stack([(gradient * gradient.detach()).sum() for gradient in first]).sum() if first else torch.zeros(())
        second = gradients(inner, weights)
    return -sum(float((weight.detach() * h).double().sum()) for weight, h in zip(weights, second))


def fisher(signals: Signals) -> float:
    """Σ over layers and channels of ½ · mean over samples of (Σ over positions of a ⊙ ∂L/∂a)², a being a layer's output.

    Turner et al., "BlockSwap: Fisher-guided Block Substitution for Network Compression on a Budget", ICLR 2020.
    """
    if not signals.layers:
        raise Undefined("no layer has a weight")
    total = 0.0
    for edge, value, gradient in zip(signals.layers, signals.values(signals.layers), signals.layer_gradients):
        axis = signals.graph[edge.node].feature_axis
        sample = signals.sample_axis(edge)
        product = (value.detach() * gradient).double()
        if axis is None or axis == sample:
            product, axis, sample = product.reshape(len(product), -1), 1, 0
        positions = [i for i in range(product.ndim) if i not in (axis, sample)]
        summed = product.sum(positions) if positions else product
        total += float(summed.square().sum()) / (2 * product.shape[sample])
    return total
