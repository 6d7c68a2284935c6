"""Keras models written by hand as users write them, and those of `keras.applications` at small sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

_MOVED = ("bias", "beta", "gamma", "moving_mean", "moving_variance")


def _settled(model: Any) -> Any:
    """Move biases, scales and running statistics off their initial values."""
    random = np.random.default_rng(1)
    for weight in model.weights:
        if weight.path.rpartition("/")[2] in _MOVED:
            value = np.asarray(weight.value)
            weight.assign(value + np.abs(random.standard_normal(value.shape)) * 0.05)
    return model


def _model(inputs: Any, outputs: Any) -> Any:
    return _settled(keras.Model(inputs, outputs))


def _floats(*shape: int) -> Any:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def _numbers(rows: int, length: int, words: int) -> Any:
    return np.random.default_rng(0).integers(0, words, (rows, length)).astype(np.int32)


def _seed() -> None:
    keras.utils.set_random_seed(0)


def _recurrent(layer: Any, length: int | None = 9) -> Any:
    _seed()
    steps = keras.Input((length, 8), name="steps")
    states = layer(steps)
    return _model(steps, layers.Dense(4, name="scores")(states)), {"steps": _floats(3, 9, 8)}


def dense() -> object:
    """Dense layers with batch norm."""
    _seed()
    body: Sequence[Any] = [
        layers.Dense(32, "relu"),
        layers.BatchNormalization(),
        layers.Dropout(0.2),
        layers.Dense(3, "softmax"),
    ]
    return _settled(keras.Sequential([keras.Input((12,), name="features"), *body])), {"features": _floats(4, 12)}


def lstm() -> object:
    """An LSTM over any number of steps."""
    return _recurrent(layers.LSTM(16, return_sequences=True), None)


def gru() -> object:
    """A GRU over any number of steps."""
    return _recurrent(layers.GRU(16), None)


def bidirectional() -> object:
    """LSTMs in both directions."""
    return _recurrent(layers.Bidirectional(layers.LSTM(8, return_sequences=True)))


def conv_lstm() -> object:
    """A recurrent convolution over frames."""
    _seed()
    frames = keras.Input((4, 8, 8, 2), name="frames")
    x = layers.ConvLSTM2D(4, 3, padding="same")(frames)
    return _model(frames, layers.Dense(3, name="scores")(layers.Flatten()(x))), {"frames": _floats(2, 4, 8, 8, 2)}


def conv1d() -> object:
    """Causal dilated convolutions over any number of samples."""
    _seed()
    signal = keras.Input((None, 3), name="signal")
    x = signal
    for index in range(3):
        x = layers.Conv1D(12, 2, dilation_rate=2**index, padding="causal", activation="tanh")(x)
    pooled = layers.GlobalAveragePooling1D()(x)
    return _model(signal, layers.Dense(4, name="scores")(pooled)), {"signal": _floats(3, 20, 3)}


def conv3d() -> object:
    """Convolutions over volumes."""
    _seed()
    volume = keras.Input((8, 10, 10, 1), name="volume")
    x = layers.MaxPooling3D()(layers.Conv3D(6, 3, padding="same", activation="relu")(volume))
    x = layers.GlobalAveragePooling3D()(layers.Conv3D(8, 3, strides=2)(x))
    return _model(volume, layers.Dense(3, name="scores")(x)), {"volume": _floats(2, 8, 10, 10, 1)}


def unet() -> object:
    """Down and up again, with skips; any height and width that four divides."""
    _seed()
    image = keras.Input((16, 24, 3), name="image")
    one = layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    two = layers.Conv2D(16, 3, padding="same", activation="relu")(layers.MaxPooling2D()(one))
    deep = layers.Conv2D(24, 3, padding="same", activation="relu")(layers.MaxPooling2D()(two))
    x = layers.Concatenate()([layers.Conv2DTranspose(16, 3, 2, padding="same")(deep), two])
    x = layers.Concatenate()([layers.UpSampling2D(interpolation="bilinear")(x), one])
    return _model(image, layers.Conv2D(2, 1, name="mask")(x)), {"image": _floats(2, 16, 24, 3)}


def two_inputs() -> object:
    """Words and numbers in, a dict of two heads out."""
    _seed()
    words, numbers = keras.Input((7,), name="words", dtype="int32"), keras.Input((5,), name="numbers")
    pooled = layers.GlobalMaxPooling1D()(layers.Embedding(50, 8)(words))
    x = layers.Concatenate()([pooled, layers.Normalization(mean=0.5, variance=2.0)(numbers)])
    x = layers.LayerNormalization()(layers.Dense(16, "gelu")(x))
    heads = {"price": layers.Dense(1)(x), "kind": layers.Dense(3, "softmax")(x)}
    return _model({"words": words, "numbers": numbers}, heads), {"words": _numbers(4, 7, 50), "numbers": _floats(4, 5)}


def attention() -> object:
    """A transformer block over embedded words, any number of them, with padding hidden."""
    _seed()
    words = keras.Input((None,), name="words", dtype="int32")
    embedded = layers.Embedding(60, 16, mask_zero=True)(words)
    seen = layers.MultiHeadAttention(2, 8)(embedded, embedded)
    x = layers.LayerNormalization()(layers.Add()([embedded, seen]))
    x = layers.LayerNormalization()(layers.Add()([x, layers.Dense(16)(layers.Dense(32, "gelu")(x))]))
    return _model(words, layers.Dense(4, name="scores")(x)), {"words": _numbers(3, 9, 60)}


def separable() -> object:
    """Separable and depthwise convolutions."""
    _seed()
    image = keras.Input((24, 24, 3), name="image")
    x = layers.SeparableConv2D(12, 3, strides=2, padding="same", activation="swish")(image)
    x = layers.PReLU(shared_axes=[1, 2])(layers.DepthwiseConv2D(5, depth_multiplier=2, padding="same")(x))
    x = layers.GlobalMaxPooling2D()(layers.GroupNormalization(4)(x))
    return _model(image, layers.Dense(5, name="scores")(x)), {"image": _floats(2, 24, 24, 3)}


@keras.saving.register_keras_serializable("zoo")
class Gate(keras.Model):
    """A subclassed model whose class is registered."""

    def __init__(self, width: int = 16, **more: Any) -> None:
        super().__init__(**more)
        self.width = width
        self.value, self.gate, self.head = layers.Dense(width), layers.Dense(width, "sigmoid"), layers.Dense(3)

    def call(self, features: Any) -> Any:
        """Give logits."""
        return self.head(self.value(features) * self.gate(features))

    def get_config(self) -> dict[str, Any]:
        """Give what makes it again."""
        return {**super().get_config(), "width": self.width}


def subclassed() -> object:
    """A subclassed model that has been called."""
    _seed()
    model, example = Gate(), _floats(4, 6)
    model(example)
    return _settled(model), {"features": example}


def _application(name: str, size: int, **options: Any) -> Any:
    _seed()
    made = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), **options)
    return _settled(made), {
        made.inputs[0].name: np.random.default_rng(0).uniform(0, 255, (2, size, size, 3)).astype(np.float32)
    }


def mobilenet_v2() -> object:
    """Inverted residuals."""
    return _application("MobileNetV2", 64, alpha=0.35, classes=10)


def mobilenet_v3() -> object:
    """Inverted residuals with squeeze and excite."""
    return _application("MobileNetV3Small", 64, classes=10)


def efficientnet() -> object:
    """Compound scaling."""
    return _application("EfficientNetB0", 64, classes=10)


def resnet() -> object:
    """Residual blocks, the second version."""
    return _application("ResNet50V2", 64, classes=10)


def densenet() -> object:
    """Every layer joined to every other."""
    return _application("DenseNet121", 64, classes=10)


def nasnet() -> object:
    """Cells found by search."""
    return _application("NASNetMobile", 64, classes=10)


def xception() -> object:
    """Separable convolutions throughout."""
    return _application("Xception", 96, classes=10)


def inception() -> object:
    """Branches of several kernel sizes."""
    return _application("InceptionV3", 96, classes=10)


def convnext() -> object:
    """Large depthwise kernels with layer norm."""
    return _application("ConvNeXtTiny", 64, classes=10)


def vgg() -> object:
    """Plain convolutions."""
    return _application("VGG16", 48, include_top=False, pooling="avg")
