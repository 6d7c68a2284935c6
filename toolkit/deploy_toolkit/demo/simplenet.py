"""Linear(6, 3) – ReLU – Linear(3, 1), trained on a small regression, in PyTorch and in Keras."""

from __future__ import annotations

from typing import Any

from deploy_toolkit.demo import data


def torch_net() -> tuple[Any, Any]:
    """The trained PyTorch model, and example inputs."""
    from deploy_toolkit.demo import torch_models

    x, y = data.features()
    return torch_models.trained(torch_models.SimpleNet, x, y, epochs=40, rate=0.02), x[:64]


def keras_net() -> tuple[Any, Any]:
    """The trained Keras model, and example inputs."""
    import keras

    from deploy_toolkit.demo import keras_models

    keras.utils.set_random_seed(1)
    x, y = data.features()
    model = keras_models.simple_net()
    keras_models.train(model, x, y, epochs=40, rate=0.02)
    return model, x[:64]


def keras_twin() -> tuple[Any, Any]:
    """A Keras model with the trained PyTorch model's weights: it must predict the same."""
    from deploy_toolkit.demo import keras_models

    source, x = torch_net()
    model = keras_models.simple_net()
    keras_models.carry_weights(source, model)
    return model, x
