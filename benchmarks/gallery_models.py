"""Models of torchvision, timm and transformers: one or two of every family, small and from random weights.

`models` gives name → function returning ``(model, example_inputs)``. Sizes are the smallest at which a family still does
what it does, so that all of them together take minutes. timm's come with stochastic depth where they know it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks import torchvision_shim  # noqa: F401  (before torchvision and timm)

import timm  # isort: skip
import torch
import torchvision
from torch import nn

Made = tuple[nn.Module, Any]

#: At least one model of every file of timm: those that take images of any size,
_TIMM = """
    test_byobnet mobileone_s1 eca_halonext26ts test_convnext convnextv2_atto cpubone_nano crossvit_tiny_240 csatv2
    cs3darknet_focus_s cspnext_tiny davit_tiny deepseek_vit_412m edgenext_xx_small efficientformer_l1
    test_efficientnet test_efficientnet_evos tf_efficientnet_b0 efficientvim_m1 fasternet_t0 fastvit_t8
    focalnet_tiny_srf gemma4_vit_167m hardcorenas_a hgnetv2_b0 sam2_hiera_tiny iformer_t inception_next_atto
    lowformer_b0 test_mambaout mambaout_femto poolformer_s12 caformer_s18 mobilenetv3_small_050
    mobilenetv4_hybrid_medium mobilenetv5_base mobilevit_xxs mobilevitv2_050 naflexvit_base_patch16_siglip
    nextvit_small test_nfnet nf_regnet_b0 pvt_v2_b0 pvt_v2_b2_li qwen3_vit_88m rdnet_tiny regnety_008_tv regnetz_005
    res2net50_48w_2s resnest14d test_resnet ecaresnet26t resnetv2_18 resnetv2_50x1_bit rexnet_100 skresnet18
    starnet_s050 tiny_vit_5m_224 tresnet_m ese_vovnet19b_slim_dw xception41p
""".split()

#: those that are built for one size, given as ``img_size``,
_TIMM_SIZED = """
    eca_botnext26ts_256 lambda_resnet26rpt_256 beit_base_patch16_224 cait_xxs24_224 coat_tiny coat_lite_tiny
    convit_tiny deit_tiny_distilled_patch16_224 efficientformerv2_s0 efficientvit_m0 eva02_tiny_patch14_224
    vit_tiny_patch16_dinov3_qkvb gcvit_xxtiny hiera_tiny_224 levit_128s levit_conv_128s test_coatnet test_maxvit
    gmlp_ti16_224 mixer_s32_224 resmlp_12_224 mvitv2_tiny nest_tiny pit_ti_224 sequencer2d_s swiftformer_xs
    swin_tiny_patch4_window7_224 swin_s3_tiny_224 swinv2_tiny_window8_256 swinv2_cr_tiny_ns_224 tnt_s_patch16_224
    twins_svt_small twins_pcpvt_small visformer_tiny test_vit test_vit2 test_vit3 vit_tiny_r_s16_p8_224
    test_vit_relpos vit_srelpos_small_patch16_224 samvit_base_patch16_224 vitamin_small_224 volo_d1_224
    xcit_nano_12_p8_224
""".split()

#: and those without stochastic depth.
_TIMM_PLAIN = """
    convmixer_768_32 densenet121 dla46x_c dpn48b efficientvit_b0 efficientvit_m0 ghostnet_050 ghostnetv3_050
    hrnet_w18_small inception_resnet_v2 inception_v3 inception_v4 lcnetv2_small nasnetalarge pnasnet5large
    repghostnet_050 repvit_m1 selecsls42 legacy_seresnet18 shvit_s1 vgg11_bn legacy_xception
""".split()

#: Side of the images where 64 is too small.
_TIMM_SIDE = {
    "eca_halonext26ts": 256, "crossvit_tiny_240": 240, "deepseek_vit_412m": 224, "efficientformer_l1": 224,
    "inception_resnet_v2": 96, "inception_v3": 96, "inception_v4": 96,
}  # fmt: skip

#: Transformers that exist in large sizes alone: two of their equal blocks are enough.
_TIMM_SHALLOW = {
    "beit_base_patch16_224", "deepseek_vit_412m", "gemma4_vit_167m", "naflexvit_base_patch16_siglip", "qwen3_vit_88m",
    "samvit_base_patch16_224",
}  # fmt: skip

_TORCHVISION = """
    alexnet convnext_tiny densenet121 efficientnet_b0 efficientnet_v2_s googlenet inception_v3 maxvit_t mnasnet0_5
    mobilenet_v2 mobilenet_v3_small regnet_x_400mf regnet_y_400mf resnet18 resnet50 resnext50_32x4d shufflenet_v2_x0_5
    squeezenet1_1 swin_t swin_v2_t vgg11_bn vit_b_16 wide_resnet50_2
""".split()
_TORCHVISION_OPTIONS: dict[str, dict[str, Any]] = {
    "googlenet": {"init_weights": False},
    "inception_v3": {"init_weights": False},
    "vit_b_16": {"image_size": 64},
}
_TORCHVISION_SIDE = {"inception_v3": 299, "maxvit_t": 224}

_SEGMENTATION = ("deeplabv3_mobilenet_v3_large", "deeplabv3_resnet50", "fcn_resnet50", "lraspp_mobilenet_v3_large")

#: Video: (frames, side).
_VIDEO = {"mc3_18": (4, 32), "r2plus1d_18": (4, 32), "r3d_18": (4, 32), "s3d": (16, 224), "swin3d_t": (4, 32)}


def timm_model(name: str) -> Made:
    """The model of timm called ``name``, with an image of the size it needs."""
    side = _TIMM_SIDE.get(name, 64)
    options: dict[str, Any] = {"num_classes": 10}
    if name in _TIMM_SIZED:
        options["img_size"] = side
    if name not in _TIMM_PLAIN:
        options["drop_path_rate"] = 0.1
    if name in _TIMM_SHALLOW:
        options["depth"] = 2
    return timm.create_model(name, **options), torch.randn(2, 3, side, side)


def torchvision_model(name: str) -> Made:
    """The classification model of torchvision called ``name``."""
    side = _TORCHVISION_SIDE.get(name, 64)
    options = _TORCHVISION_OPTIONS.get(name, {})
    model = torchvision.models.get_model(name, weights=None, num_classes=10, **options)
    return model, torch.randn(2, 3, side, side)


def segmentation_model(name: str) -> Made:
    """A segmentation model of torchvision, with its auxiliary head where it has one."""
    options = {} if name.startswith("lraspp") else {"aux_loss": True}
    model = torchvision.models.get_model(name, weights=None, weights_backbone=None, num_classes=4, **options)
    return model, torch.randn(2, 3, 64, 64)


def video_model(name: str) -> Made:
    """A video model of torchvision on a short clip (N, 3, frames, side, side)."""
    frames, side = _VIDEO[name]
    return torchvision.models.get_model(name, weights=None, num_classes=10), torch.randn(2, 3, frames, side, side)


def multiscale_video_transformer(version: int) -> Made:
    """torchvision's MViT of version 1 or 2 in small; its named models are bound to 16 frames of 224 × 224."""
    from torchvision.models.video.mvit import MSBlockConfig, MViT

    blocks = [
        MSBlockConfig(1, 16, 16, (3, 3, 3), (3, 3, 3), (1, 1, 1), (1, 4, 4)),
        MSBlockConfig(2, 16, 32, (3, 3, 3), (3, 3, 3), (1, 2, 2), (1, 2, 2)),
        MSBlockConfig(2, 32, 32, (3, 3, 3), (3, 3, 3), (1, 1, 1), (1, 2, 2)),
    ]
    second = version == 2
    model = MViT(
        (64, 64), 4, blocks, residual_pool=second, residual_with_cls_embed=not second, rel_pos_embed=second,
        proj_after_attn=second, num_classes=10, stochastic_depth_prob=0.2,
    )  # fmt: skip
    return model, torch.randn(2, 3, 4, 64, 64)


def optical_flow_model() -> Made:
    """RAFT: two images in, a list of flows out, a recurrent unit in a Python loop."""
    return torchvision.models.optical_flow.raft_small(), (torch.randn(2, 3, 128, 128), torch.randn(2, 3, 128, 128), 2)


def models() -> dict[str, Callable[[], Made]]:
    """Every model of the gallery: name → function that builds it."""
    from benchmarks.gallery_transformers import FAMILIES

    found: dict[str, Callable[[], Made]] = {}
    found.update({f"torchvision/{name}": partial(torchvision_model, name) for name in _TORCHVISION})
    found.update({f"torchvision/{name}": partial(segmentation_model, name) for name in _SEGMENTATION})
    found.update({f"torchvision/{name}": partial(video_model, name) for name in _VIDEO})
    found.update({f"torchvision/mvit_v{version}": partial(multiscale_video_transformer, version) for version in (1, 2)})
    found["torchvision/raft_small"] = optical_flow_model
    found.update({f"timm/{name}": partial(timm_model, name) for name in sorted({*_TIMM, *_TIMM_SIZED, *_TIMM_PLAIN})})
    found.update({f"transformers/{family.__name__}": family for family in FAMILIES})
    return found
