"""Makes torchvision importable where only its plain wheel is at hand, beside a CPU build of torch.

The wheel's compiled part does not load there, and its Python part then asks for the schemas of four operators that
no model in the gallery calls. Defining the schemas is enough. Import this module before torchvision or timm.
"""

from __future__ import annotations

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "roi_align(Tensor input, Tensor rois, float spatial_scale, int pooled_height, int pooled_width, int sampling_ratio,"
    " bool aligned) -> Tensor",
    "_roi_align_backward(Tensor grad, Tensor rois, float spatial_scale, int pooled_height, int pooled_width,"
    " int batch_size, int channels, int height, int width, int sampling_ratio, bool aligned) -> Tensor",
)


def _loads() -> bool:
    try:
        import torchvision  # noqa: F401
    except (RuntimeError, AttributeError, OSError):
        return False
    except ImportError:
        return True  # not installed: for the importer to say
    return True


def _define() -> torch.library.Library:
    library = torch.library.Library("torchvision", "DEF")
    for schema in _SCHEMAS:
        library.define(schema)
    return library


#: Kept, because the definitions live as long as this object.
LIBRARY = None if _loads() else _define()
