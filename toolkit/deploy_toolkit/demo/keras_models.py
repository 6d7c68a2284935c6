"""The demo's models in Keras, their training, and how to carry PyTorch's weights over."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from deploy_toolkit.demo.data import IMAGE, Floats

EPSILON = 1e-5  # torch's; Keras' own default is 1e-3


def simple_net() -> Any:
    """Give Dense(3, relu) – Dense(1) on [batch, 6]."""
    features = keras.Input((6,), name="features")
    hidden = layers.Dense(3, activation="relu", name="hidden")(features)
    return keras.Model(features, layers.Dense(1, name="output")(hidden), name="simplenet")


def simple_cnn(*, channels_first: bool = False) -> Any:
    """Give the residual CNN on [batch, 16, 16, 3], or on torch's [batch, 3, 16, 16] (transposed inside)."""
    image = keras.Input((3, IMAGE, IMAGE) if channels_first else (IMAGE, IMAGE, 3), name="image")
    x = layers.Permute((2, 3, 1), name="to_channels_last")(image) if channels_first else image
    for name, after in (("block1", 8), ("block2", 16)):
        x = _block(x, after, name)
    pooled = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, layers.Dense(2, name="output")(pooled), name="simplecnn")


def _block(x: Any, after: int, name: str) -> Any:
    # Keras' "same" pads only below and to the right at stride 2; torch's padding=1 is a border all round.
    padded = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
    inner = layers.Conv2D(after, 3, strides=2, use_bias=False, name=f"{name}_conv1")(padded)
    inner = layers.BatchNormalization(epsilon=EPSILON, momentum=0.9, name=f"{name}_norm1")(inner)
    inner = layers.ReLU(name=f"{name}_relu1")(inner)
    inner = layers.Conv2D(after, 3, padding="same", use_bias=False, name=f"{name}_conv2")(inner)
    inner = layers.BatchNormalization(epsilon=EPSILON, momentum=0.9, name=f"{name}_norm2")(inner)
    shortcut = layers.Conv2D(after, 1, strides=2, name=f"{name}_shortcut")(x)
    return layers.ReLU(name=f"{name}_relu2")(layers.Add(name=f"{name}_add")([inner, shortcut]))


def train(model: Any, x: Floats, y: Floats, *, epochs: int, rate: float) -> list[float]:
    """Fit by SGD with momentum on the mean squared error, in batches of 64; give the losses."""
    model.compile(optimizer=keras.optimizers.SGD(rate, momentum=0.9), loss="mse")
    history = model.fit(x, y, batch_size=64, epochs=epochs, verbose=0)
    return [float(loss) for loss in history.history["loss"]]


def carry_weights(source: Any, target: Any) -> None:
    """Copy the weights of the torch model into the Keras model of the same architecture (layers matched by name)."""
    state = {name: value.detach().cpu().numpy() for name, value in source.state_dict().items()}
    for layer in target.layers:
        if layer.weights:
            layer.set_weights(_keras_weights(layer, state, layer.name.replace("_", ".")))


def _keras_weights(layer: Any, state: dict[str, Any], name: str) -> list[Any]:
    if isinstance(layer, layers.BatchNormalization):
        return [state[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
    kernel = state[f"{name}.weight"]
    # torch: [out, in, h, w] and [out, in]; Keras: [h, w, in, out] and [in, out].
    kernel = np.transpose(kernel, (2, 3, 1, 0)) if kernel.ndim == 4 else kernel.T
    return [kernel, state[f"{name}.bias"]] if f"{name}.bias" in state else [kernel]
