"""Dropout: values, or whole feature maps, set to zero at random in training."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

from ..errors import ShapeError
from .arguments import MODULE, attr, flag, tensor
from .checks import real
from .dims import Dims
from .operator import TensorType, pretty
from .pointwise import Unary

_F = "x:input, p=0.5, training={}, inplace=False"
_TORCH = "x:input, p, training:train"


class Dropout(Unary):
    """Each value zero with probability p, the others scaled by 1 / (1 − p). (Srivastava et al. 2014)"""

    name = "dropout"
    zero_terms = ("x",)
    params = (tensor("x"), attr("p", real(0, 1), 0.5), attr("training", flag, MODULE))
    takes = "f"
    code = "F.dropout({x}, {p}, {training})"
    effect = "random"
    calls = {"F.dropout": _F.format(True), "torch.dropout": _TORCH}

    def infer(self, a: SimpleNamespace) -> TensorType:
        # Where nothing is dropped, or everything, torch takes any dtype.
        return super().infer(a) if a.training is True and 0 < a.p < 1 and a.x.numel != 0 else a.x

    def join_modes(self, evaluation: Mapping[str, Any], training: Mapping[str, Any]) -> dict[str, Any] | None:
        # Code that asks for the mode itself often says p=0.0 in evaluation, where p does not count.
        differing = {name for name in training if training[name] != evaluation[name]}
        if differing <= {"p", "training"} and evaluation["training"] is False and training["training"] is True:
            return {**training, "training": MODULE}
        return None


class AlphaDropout(Dropout):
    """Dropout that keeps mean and variance under selu. (Klambauer et al. 2017)"""

    name = "alpha_dropout"
    code = "F.alpha_dropout({x}, {p}, {training})"
    calls = {"F.alpha_dropout": _F.format(False), "torch.alpha_dropout": _TORCH}

    def terms(self, a: SimpleNamespace, label: str, dims: Dims) -> tuple[str, ...]:
        return _unless_dropped(a)


class _FeatureDropout(Dropout):
    """Base of dropouts of whole channels (axis 1)."""

    ranks: ClassVar[tuple[int, ...]] = ()
    least: ClassVar[int] = 2

    def infer(self, a: SimpleNamespace) -> TensorType:
        if (a.x.rank < self.least and a.training is True and 0 < a.p < 1) or (self.ranks and a.x.rank not in self.ranks):
            expected = " or ".join(map(str, self.ranks)) or f"at least {self.least}"
            raise ShapeError(f"{pretty(a.x.shape)} has {a.x.rank} axes where {expected} are expected; reshape it")
        return super().infer(a)


class FeatureDropout(_FeatureDropout):
    """Each channel (axis 1) of each sample zero with probability p, the others scaled by 1 / (1 − p)."""

    name = "feature_dropout"
    zero_terms = ("x",)
    code = "torch.feature_dropout({x}, {p}, {training})"
    calls = {"torch.feature_dropout": _TORCH}


class Dropout1d(_FeatureDropout):
    """Dropout of whole channels of (N, C, L) or (C, L). (Tompson et al. 2015)"""

    name = "dropout1d"
    zero_terms = ("x",)
    ranks = (2, 3)
    code = "F.dropout1d({x}, {p}, {training})"
    calls = {"F.dropout1d": _F.format(True)}


class Dropout2d(_FeatureDropout):
    """Dropout of whole channels (axis 1) of (N, C, H, W). (Tompson et al. 2015)"""

    name = "dropout2d"
    zero_terms = ("x",)
    code = "F.dropout2d({x}, {p}, {training})"
    calls = {"F.dropout2d": _F.format(True)}


class Dropout3d(_FeatureDropout):
    """Dropout of whole channels (axis 1) of (N, C, D, H, W). (Tompson et al. 2015)"""

    name = "dropout3d"
    zero_terms = ("x",)
    least = 1  # torch takes four axes and fewer for one sample
    code = "F.dropout3d({x}, {p}, {training})"
    calls = {"F.dropout3d": _F.format(True)}


class FeatureAlphaDropout(_FeatureDropout):
    """Alpha dropout of whole channels (axis 1)."""

    name = "feature_alpha_dropout"
    code = "F.feature_alpha_dropout({x}, {p}, {training})"
    calls = {"F.feature_alpha_dropout": _F.format(False), "torch.feature_alpha_dropout": _TORCH}

    def terms(self, a: SimpleNamespace, label: str, dims: Dims) -> tuple[str, ...]:
        return _unless_dropped(a)


def _unless_dropped(a: SimpleNamespace) -> tuple[str, ...]:
    """Alpha dropout moves zeros too, to keep the mean."""
    return ("x",) if a.training is False or a.p == 0 else ()
