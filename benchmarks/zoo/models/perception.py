"""Vision and speech models of `transformers`, their configurations made small."""

from __future__ import annotations

from typing import Any

import transformers
from torch import nn

from benchmarks.zoo.models.seeded import floats, seed, settled

_VIT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 8,
}


def _vision(model: type[Any], config: Any, size: int = 32) -> tuple[nn.Module, Any]:
    seed()
    return settled(model(config)), {"pixel_values": floats(2, 3, size, size)}


def vit() -> object:
    """A classifier of patches."""
    return _vision(transformers.ViTForImageClassification, transformers.ViTConfig(**_VIT, num_labels=5))


def deit() -> object:
    """A classifier with a token for distillation."""
    return _vision(transformers.DeiTForImageClassificationWithTeacher, transformers.DeiTConfig(**_VIT, num_labels=5))


def beit() -> object:
    """Relative positions in a table."""
    config = transformers.BeitConfig(**_VIT, use_relative_position_bias=True, num_labels=5)
    return _vision(transformers.BeitForImageClassification, config)


def dinov2() -> object:
    """Positions that are interpolated."""
    return _vision(
        transformers.Dinov2Model,
        transformers.Dinov2Config(**{k: v for k, v in _VIT.items() if k != "intermediate_size"}, mlp_ratio=2),
    )


def swin() -> object:
    """Shifted windows."""
    config = transformers.SwinConfig(
        image_size=32, patch_size=2, embed_dim=12, depths=[2, 2], num_heads=[2, 4], window_size=4, num_labels=5
    )
    return _vision(transformers.SwinForImageClassification, config)


def mobilevit() -> object:
    """Convolutions around a transformer."""
    config = transformers.MobileViTConfig(
        image_size=64,
        hidden_sizes=[16, 20, 24],
        neck_hidden_sizes=[8, 12, 16, 20, 24, 28, 32],
        num_attention_heads=2,
        intermediate_size=32,
        num_labels=5,
    )
    return _vision(transformers.MobileViTForImageClassification, config, 64)


def convnext() -> object:
    """Depthwise convolutions with layer norm."""
    config = transformers.ConvNextConfig(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 2, 1], num_labels=5)
    return _vision(transformers.ConvNextForImageClassification, config, 96)


def resnet() -> object:
    """Bottleneck blocks."""
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[16, 32, 48, 64], depths=[1, 1, 1, 1], num_labels=5
    )
    return _vision(transformers.ResNetForImageClassification, config, 96)


def regnet() -> object:
    """Grouped convolutions."""
    config = transformers.RegNetConfig(
        embedding_size=8, hidden_sizes=[16, 32, 48, 64], depths=[1, 1, 1, 1], groups_width=8, num_labels=5
    )
    return _vision(transformers.RegNetForImageClassification, config)


def mobilenet_v2() -> object:
    """Padding as TensorFlow does it."""
    config = transformers.MobileNetV2Config(depth_multiplier=0.35, image_size=64, num_labels=5)
    return _vision(transformers.MobileNetV2ForImageClassification, config, 64)


def segformer() -> object:
    """A mask from four scales."""
    config = transformers.SegformerConfig(
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 2, 2, 4],
        decoder_hidden_size=16,
        num_labels=4,
    )
    return _vision(transformers.SegformerForSemanticSegmentation, config, 96)


def poolformer() -> object:
    """Pooling where others attend."""
    config = transformers.PoolFormerConfig(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], num_labels=5)
    return _vision(transformers.PoolFormerForImageClassification, config, 64)


def levit() -> object:
    """Attention that shrinks the image."""
    config = transformers.LevitConfig(
        image_size=64,
        hidden_sizes=[16, 24, 32],
        num_attention_heads=[2, 3, 4],
        depths=[1, 1, 1],
        key_dim=[8, 8, 8],
        num_labels=5,
    )
    return _vision(transformers.LevitForImageClassification, config, 64)


def yolos() -> object:
    """A detector: boxes and logits."""
    seed()
    config = transformers.YolosConfig(**{**_VIT, "image_size": [32, 48]}, num_detection_tokens=6, num_labels=5)
    return settled(transformers.YolosForObjectDetection(config)), {"pixel_values": floats(2, 3, 32, 48)}


def clip_vision() -> object:
    """The image side of CLIP."""
    config = transformers.CLIPVisionConfig(**_VIT, projection_dim=16)
    return _vision(transformers.CLIPVisionModelWithProjection, config)


def dpt() -> object:
    """Depth of every pixel from the states of four layers."""
    config = transformers.DPTConfig(
        **{**_VIT, "num_hidden_layers": 4},
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 12, 16, 16],
        fusion_hidden_size=8,
    )
    return _vision(transformers.DPTForDepthEstimation, config)


def whisper_encoder() -> object:
    """The encoder of a speech recogniser, over a spectrogram."""
    seed()
    config = transformers.WhisperConfig(
        d_model=32,
        encoder_layers=2,
        encoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_layers=1,
        decoder_attention_heads=4,
        decoder_ffn_dim=64,
        num_mel_bins=16,
        max_source_positions=24,
        vocab_size=100,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    model = settled(transformers.WhisperModel(config)).get_encoder()  # type: ignore[operator]
    return model, {"input_features": floats(2, 16, 48)}


_SPEECH = {
    "vocab_size": 20,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "conv_dim": (16, 16, 16),
    "conv_stride": (5, 4, 2),
    "conv_kernel": (10, 8, 4),
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}


def wav2vec2() -> object:
    """Letters from sound; any length."""
    seed()
    return settled(transformers.Wav2Vec2ForCTC(transformers.Wav2Vec2Config(**_SPEECH))), {
        "input_values": floats(2, 800)
    }


def hubert() -> object:
    """States from sound; any length."""
    seed()
    return settled(transformers.HubertModel(transformers.HubertConfig(**_SPEECH))), {"input_values": floats(2, 800)}


def audio_spectrogram() -> object:
    """A classifier of spectrograms."""
    seed()
    config = transformers.ASTConfig(
        **{k: v for k, v in _VIT.items() if k != "image_size"},
        max_length=32,
        num_mel_bins=16,
        frequency_stride=8,
        time_stride=8,
        num_labels=5,
    )
    return settled(transformers.ASTForAudioClassification(config)), {"input_values": floats(2, 32, 16)}
