"""A small residual CNN (batch norm, stride, global pooling), trained to find a square, in PyTorch and in Keras."""

from __future__ import annotations

from typing import Any

from deploy_toolkit.demo import data


def torch_net() -> tuple[Any, Any]:
    """The trained PyTorch model, and example inputs: [64, 3, 16, 16]."""
    from deploy_toolkit.demo import torch_models

    x, y = data.images()
    return torch_models.trained(torch_models.SimpleCNN, x, y, epochs=8, rate=0.05), x[:64]


def keras_net() -> tuple[Any, Any]:
    """The trained Keras model, and example inputs: [64, 16, 16, 3]."""
    import keras

    from deploy_toolkit.demo import keras_models

    keras.utils.set_random_seed(0)
    x, y = data.images()
    x = x.transpose(0, 2, 3, 1)
    model = keras_models.simple_cnn()
    keras_models.train(model, x, y, epochs=8, rate=0.05)
    return model, x[:64]


def keras_twin() -> tuple[Any, Any]:
    """A Keras model with the trained PyTorch model's weights, on PyTorch's layout: it must predict the same."""
    from deploy_toolkit.demo import keras_models

    source, x = torch_net()
    model = keras_models.simple_cnn(channels_first=True)
    keras_models.carry_weights(source, model)
    return model, x
