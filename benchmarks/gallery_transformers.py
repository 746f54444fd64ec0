"""Small members of Hugging Face families, from configurations alone (nothing is downloaded).

Each function gives ``(model, example_inputs)``, the inputs by keyword with a batch of 2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import transformers as hf
from torch import Tensor, nn

Made = tuple[nn.Module, dict[str, Any]]

#: Sizes that most of the text configurations share.
_TEXT = {
    "vocab_size": 120, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
    "max_position_embeddings": 40,
}  # fmt: skip
_SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def _tokens(length: int = 12, vocabulary: int = 120) -> Tensor:
    return torch.randint(3, vocabulary, (2, length))


def _masked(**more: Any) -> dict[str, Any]:
    """Tokens with a padding mask whose rows differ."""
    mask = torch.ones(2, 12, dtype=torch.long)
    mask[1, 9:] = 0
    return {"input_ids": _tokens(), "attention_mask": mask, **more}


def _pixels(size: int = 32) -> dict[str, Any]:
    return {"pixel_values": torch.randn(2, 3, size, size)}


# -- encoders of text --------------------------------------------------------------------------------------------
def bert() -> Made:
    return hf.BertForSequenceClassification(hf.BertConfig(**_TEXT, num_labels=3)), _masked()


def roberta() -> Made:
    return hf.RobertaModel(hf.RobertaConfig(**{**_TEXT, "max_position_embeddings": 60}, **_SPECIAL)), _masked()


def distilbert() -> Made:
    config = hf.DistilBertConfig(vocab_size=120, dim=32, n_layers=2, n_heads=4, hidden_dim=48, max_position_embeddings=40)
    return hf.DistilBertForMaskedLM(config), _masked()


def albert() -> Made:
    return hf.AlbertModel(hf.AlbertConfig(**_TEXT, embedding_size=16)), _masked()


def electra() -> Made:
    return hf.ElectraForTokenClassification(hf.ElectraConfig(**_TEXT, embedding_size=16)), _masked()


def deberta_v2() -> Made:
    config = hf.DebertaV2Config(**_TEXT, relative_attention=True, pos_att_type=["p2c", "c2p"], max_relative_positions=16)
    return hf.DebertaV2Model(config), _masked()


def modernbert() -> Made:
    config = hf.ModernBertConfig(
        **_TEXT, **_SPECIAL, cls_token_id=1, sep_token_id=2, global_attn_every_n_layers=2, local_attention=8
    )
    return hf.ModernBertForMaskedLM(config), _masked()


def fnet() -> Made:
    config = hf.FNetConfig(
        vocab_size=120, hidden_size=32, num_hidden_layers=2, intermediate_size=48, max_position_embeddings=40
    )
    return hf.FNetModel(config), {"input_ids": _tokens()}


# -- decoders ----------------------------------------------------------------------------------------------------
def gpt2() -> Made:
    config = hf.GPT2Config(vocab_size=120, n_positions=40, n_embd=32, n_layer=2, n_head=4, **_SPECIAL, use_cache=False)
    return hf.GPT2LMHeadModel(config), _masked()


def gpt_neox() -> Made:
    return hf.GPTNeoXForCausalLM(hf.GPTNeoXConfig(**_TEXT, **_SPECIAL, use_cache=False)), _masked()


def opt() -> Made:
    config = hf.OPTConfig(
        vocab_size=120, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, ffn_dim=48, word_embed_proj_dim=32,
        max_position_embeddings=40, use_cache=False, **_SPECIAL,
    )  # fmt: skip
    return hf.OPTForCausalLM(config), _masked()


def bloom() -> Made:
    config = hf.BloomConfig(vocab_size=120, hidden_size=32, n_layer=2, n_head=4, use_cache=False, **_SPECIAL)
    return hf.BloomForCausalLM(config), _masked()


def _causal(config: type, model: type, **more: Any) -> Made:
    """A decoder with two key–value heads for four query heads."""
    return model(config(**_TEXT, **_SPECIAL, num_key_value_heads=2, use_cache=False, **more)), {"input_ids": _tokens()}


def llama() -> Made:
    return _causal(hf.LlamaConfig, hf.LlamaForCausalLM)


def mistral() -> Made:
    return _causal(hf.MistralConfig, hf.MistralForCausalLM, sliding_window=6)


def qwen2() -> Made:
    return _causal(hf.Qwen2Config, hf.Qwen2ForCausalLM)


def qwen3() -> Made:
    return _causal(hf.Qwen3Config, hf.Qwen3ForCausalLM, head_dim=8)


def gemma2() -> Made:
    return _causal(hf.Gemma2Config, hf.Gemma2ForCausalLM, head_dim=8, sliding_window=6)


def phi3() -> Made:
    return _causal(hf.Phi3Config, hf.Phi3ForCausalLM)


def mixtral() -> Made:
    """Mixture of experts, two of four per token."""
    return _causal(hf.MixtralConfig, hf.MixtralForCausalLM, num_local_experts=4, num_experts_per_tok=2)


def qwen3_moe() -> Made:
    experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "head_dim": 8}
    return _causal(hf.Qwen3MoeConfig, hf.Qwen3MoeForCausalLM, **experts)


def mamba() -> Made:
    config = hf.MambaConfig(vocab_size=120, hidden_size=16, num_hidden_layers=2, state_size=4, use_cache=False, **_SPECIAL)
    return hf.MambaForCausalLM(config), {"input_ids": _tokens(8)}


# -- encoder and decoder -----------------------------------------------------------------------------------------
def t5() -> Made:
    config = hf.T5Config(
        vocab_size=120, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, decoder_start_token_id=0, use_cache=False,
        pad_token_id=0, eos_token_id=2,
    )  # fmt: skip
    return hf.T5ForConditionalGeneration(config), _masked(decoder_input_ids=_tokens(7))


def bart() -> Made:
    config = hf.BartConfig(
        vocab_size=120, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=48, decoder_ffn_dim=48, max_position_embeddings=40, use_cache=False,
        **_SPECIAL, decoder_start_token_id=2,
    )  # fmt: skip
    return hf.BartForConditionalGeneration(config), _masked(decoder_input_ids=_tokens(7))


def whisper_encoder() -> Made:
    config = hf.WhisperConfig(
        d_model=32, encoder_layers=2, decoder_layers=1, encoder_attention_heads=4, decoder_attention_heads=4,
        encoder_ffn_dim=48, decoder_ffn_dim=48, num_mel_bins=16, max_source_positions=20, vocab_size=120, **_SPECIAL,
        decoder_start_token_id=1,
    )  # fmt: skip
    return hf.WhisperModel(config).encoder, {"input_features": torch.randn(2, 16, 40)}


def wav2vec2() -> Made:
    config = hf.Wav2Vec2Config(
        vocab_size=40, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
        conv_dim=(16, 16), conv_stride=(5, 2), conv_kernel=(10, 3), num_feat_extract_layers=2, num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=4, apply_spec_augment=False, layerdrop=0.0,
    )  # fmt: skip
    return hf.Wav2Vec2Model(config), {"input_values": torch.randn(2, 400)}


# -- vision, and vision with text ----------------------------------------------------------------------------------
_VISION = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, "image_size": 32}


def vit() -> Made:
    return hf.ViTForImageClassification(hf.ViTConfig(**_VISION, patch_size=8, num_labels=5)), _pixels()


def deit() -> Made:
    return hf.DeiTModel(hf.DeiTConfig(**_VISION, patch_size=8)), _pixels()


def dinov2() -> Made:
    return hf.Dinov2Model(hf.Dinov2Config(**_VISION, patch_size=8)), _pixels()


def swin() -> Made:
    config = hf.SwinConfig(image_size=32, patch_size=2, embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=4)
    return hf.SwinForImageClassification(config), _pixels()


def convnext() -> Made:
    config = hf.ConvNextConfig(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 2, 1], drop_path_rate=0.1)
    return hf.ConvNextForImageClassification(config), _pixels(64)


def resnet() -> Made:
    config = hf.ResNetConfig(embedding_size=8, hidden_sizes=[16, 32], depths=[1, 1])
    return hf.ResNetForImageClassification(config), _pixels()


def segformer() -> Made:
    config = hf.SegformerConfig(
        hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], num_attention_heads=[1, 2, 3, 4], decoder_hidden_size=16
    )
    return hf.SegformerForSemanticSegmentation(config), _pixels(64)


def mobilevit() -> Made:
    config = hf.MobileViTConfig(
        image_size=64, patch_size=2, hidden_sizes=[16, 24, 32], neck_hidden_sizes=[8, 12, 16, 24, 32, 40, 64],
        num_attention_heads=4,
    )  # fmt: skip
    return hf.MobileViTForImageClassification(config), _pixels(64)


def clip() -> Made:
    text = {**_TEXT, **_SPECIAL}
    vision = {**_VISION, "patch_size": 8}
    return hf.CLIPModel(hf.CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)), _masked(**_pixels())


def siglip() -> Made:
    config = hf.SiglipVisionConfig(**_VISION, patch_size=8)
    return hf.SiglipVisionModel(config), _pixels()


def detr() -> Made:
    backbone = hf.ResNetConfig(embedding_size=8, hidden_sizes=[16, 32], depths=[1, 1], out_features=["stage2"])
    config = hf.DetrConfig(
        use_timm_backbone=False, use_pretrained_backbone=False, backbone=None, backbone_config=backbone, d_model=32,
        encoder_layers=1, decoder_layers=1, encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=48,
        decoder_ffn_dim=48, num_queries=6,
    )  # fmt: skip
    return hf.DetrForObjectDetection(config), _pixels(64)


FAMILIES: tuple[Callable[[], Made], ...] = (
    bert, roberta, distilbert, albert, electra, deberta_v2, modernbert, fnet, gpt2, gpt_neox, opt, bloom, llama, mistral,
    qwen2, qwen3, gemma2, phi3, mixtral, qwen3_moe, mamba, t5, bart, whisper_encoder, wav2vec2, vit, deit, dinov2, swin,
    convnext, resnet, segformer, mobilevit, clip, siglip, detr,
)  # fmt: skip
