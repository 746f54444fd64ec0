"""Which functions an opaque node may call.

A document can name any function; it runs only if it is one of torch's pure tensor functions listed here, or one that the
user registered. A trace registers, for this process, the custom autograd functions it met in the user's own model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import UntrustedError

_registered: dict[str, Callable[..., Any]] = {}
_HOLDERS = ("torch", "Tensor", "torch.nn.functional", "torch._C._nn", "torch.special", "torch.linalg", "torch.fft")
#: Pure functions of tensors without an operator of their own, by their last name.
PURE = frozenset("""
    addr alpha_dropout baddbmm binary_cross_entropy binary_cross_entropy_with_logits bincount block_diag bucketize
    cartesian_prod cauchy cdist celu chain_matmul cholesky cholesky_inverse cholesky_solve clamp combinations
    constant_pad_nd copysign cosine_embedding_loss cosine_similarity cov corrcoef cross cross_entropy ctc_loss cummax cummin
    cumulative_trapezoid deg2rad det diagflat diff dist eig eigh eigvals eigvalsh embedding_bag erfcx exponential
    fake_quantize_per_channel_affine fake_quantize_per_tensor_affine feature_alpha_dropout fliplr flipud frobenius_norm
    gammaln gaussian_nll_loss gcd ger geqrf hinge_embedding_loss householder_product huber_loss hypot i0e i1 i1e igamma
    igammac inner inv isin kl_div kron l1_loss lcm ldexp log_ndtr logaddexp logaddexp2 logcumsumexp logdet lstsq lu
    lu_factor lu_solve margin_ranking_loss matrix_exp matrix_norm matrix_power matrix_rank mse_loss multi_dot
    multi_margin_loss multigammaln multilabel_margin_loss multilabel_soft_margin_loss mvlgamma nanmedian nanquantile ndtr
    ndtri nextafter nll_loss nuclear_norm orgqr ormqr pairwise_distance pdist pinv pinverse poisson_nll_loss polygamma prelu
    qr quantile rad2deg renorm rot90 segment_reduce sgn signbit sinc slogdet smooth_l1_loss soft_margin_loss solve
    solve_triangular sparse_sampled_addmm spherical_bessel_j0 stft istft svd svdvals take tensorinv tensorsolve trace
    trapezoid trapz triangular_solve triplet_margin_loss triplet_margin_with_distance_loss tri unravel_index vander vecdot
    xlog1py xlogy zeta max_unpool1d max_unpool2d max_unpool3d fractional_max_pool2d fractional_max_pool3d grid_sample
    rms_norm local_response_norm _convolution native_layer_norm native_batch_norm native_group_norm _grouped_mm grouped_mm
    scaled_grouped_mm upsample bilinear gumbel_softmax multi_head_attention_forward affine_grid lp_pool3d softmin
    pixel_unshuffle native_channel_shuffle hardshrink histc histogram float_power fmax fmin cumprod logit erfinv nan_to_num
    diag_embed diagonal_scatter select_scatter slice_scatter index_reduce put index_put scatter_reduce masked_scatter
    take_along_dim rfft irfft rfft2 irfft2 rfftn irfftn fft ifft fft2 ifft2 fftn ifftn hfft ihfft fftshift ifftshift fftfreq
    rfftfreq norm vector_norm cond matmul tensordot einsum __getitem__
""".split())  # fmt: skip


#: Derivatives have no public names: those of torch's kernels, ``torch.ops.aten.NAME_backward.OVERLOAD``, are pure functions.
_KERNELS = "torch.ops.aten."

#: The target of an item assignment whose index no operator takes (``x[:, :length] = value`` with a computed length).
SETITEM = "netloom.setitem"


#: The target of ``torch.autograd.grad``.
GRADIENT = "netloom.gradient"


def allow(name: str, function: Callable[..., Any]) -> None:
    """Let opaque nodes with target ``name`` call ``function`` in this process."""
    _registered[name] = function


def function_named(name: str) -> Callable[..., Any]:
    """The function behind a target; `UntrustedError` where nobody allowed it."""
    if name in _registered:
        return _registered[name]
    if name == SETITEM:
        from ..ops.functions import setitem

        return setitem
    if name == GRADIENT:
        from ..ops.functions import gradient

        return gradient
    holder, _, last = name.rpartition(".")
    if holder in _HOLDERS and last in PURE:
        import torch

        found: Any = torch.Tensor if holder == "Tensor" else torch
        for part in [] if holder in ("torch", "Tensor") else holder.split(".")[1:]:
            found = getattr(found, part, None)
        found = getattr(found, last, None)
        if callable(found):
            return found  # type: ignore[no-any-return]
    if holder.startswith(_KERNELS) and holder.endswith("_backward"):
        import torch

        kernel = getattr(getattr(torch.ops.aten, holder.removeprefix(_KERNELS), None), last, None)
        if isinstance(kernel, torch._ops.OpOverload) and not kernel._schema.is_mutable:
            return kernel
    raise UntrustedError(
        f"the graph calls {name!r}, which is not on netloom's list of pure tensor functions; if you trust it, allow it with "
        f"netloom.building.register({name!r}, function) and build again"
    )
