"""`sensitivity`: how much the outputs of a trained network hang on each of its neurons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import FormatError

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    from ..building.network import Network


def sensitivity(network: Network, x: Any, *, outputs: int | None = None, seed: int = 0) -> dict[str, NDArray[numpy.float64]]:
    """For every hidden layer, by name, the sensitivities of its neurons: ``mean |∂y_k / ∂z_c|`` over ``x`` and outputs k.

    z_c is the neuron's pre-activation: what the linear layer gives. ``outputs`` looks at so many of the outputs, drawn with
    ``seed``; all by default. It is the value `netloom.mutate.SeReNe` of one batch, the same that pruning and growth decide by.
    Source: Tartaglione et al. 2021 (arXiv 2102.03773), SeReNe: sensitivity based regularization of neurons.

    >>> import netloom as nl, torch
    >>> x = nl.input(3)
    >>> graph = nl.Graph(x, nl.linear(nl.tanh(nl.linear(x, 4, name="hidden")), 1, name="out"))
    >>> found = sensitivity(nl.build(graph, seed=0), torch.randn(100, 3))
    >>> {name: values.shape for name, values in found.items()}
    {'hidden': (4,)}
    """
    import torch

    from ..mutate import SeReNe

    if not isinstance(network, torch.nn.Module):
        raise FormatError(f"sensitivities are those of a network, not of a {type(network).__name__}")
    try:
        samples = torch.as_tensor(x)
    except (TypeError, ValueError, RuntimeError):
        raise FormatError(f"samples are a {type(x).__name__}; expected a tensor or an array, a sample in each row") from None
    if samples.dim() < 1 or not len(samples):
        raise FormatError("sensitivities are means over samples; there is none")
    if not samples.isfinite().all():
        raise FormatError("samples hold cells that are not finite; leave their rows out")
    if type(seed) is not int or seed < 0 or (outputs is not None and (type(outputs) is not int or outputs < 1)):
        raise FormatError(f"outputs = {outputs!r}, seed = {seed!r}; expected whole numbers, 1 or more (None: all), 0 or more")
    given = next(iter(network.parameters()), torch.zeros(0))
    samples = samples.to(given.device, given.dtype).requires_grad_()
    value = SeReNe(network, outputs=2**31 if outputs is None else outputs, seed=seed)
    was_training = network.training
    network.eval()
    try:
        with torch.enable_grad(), value:
            network(samples)
    except RuntimeError as error:
        raise FormatError(f"the network cannot take samples of shape {tuple(samples.shape)}: {error}") from None
    finally:
        network.train(was_training)
    found = {key: tensor for key, tensor in value.state.items() if key.startswith("values/")}
    return {key.removeprefix("values/"): tensor.detach().double().cpu().numpy() for key, tensor in found.items()}
