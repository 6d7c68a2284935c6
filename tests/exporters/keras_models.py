"""Small Keras models to export, each with fixed weights."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers


def _seeded(model: keras.Model) -> keras.Model:
    random = np.random.default_rng(5)
    model.set_weights(
        [random.uniform(0.05, 0.95, w.shape).astype(w.dtype) - 0.3 * (w.ndim > 1) for w in model.get_weights()]
    )
    return model


def simple() -> keras.Model:
    return _seeded(
        keras.Sequential(
            [keras.Input((6,), name="x"), layers.Dense(3, activation="relu"), layers.Dense(1, name="y")], name="simple"
        )
    )


def _block(x: keras.KerasTensor, width: int) -> keras.KerasTensor:
    inner = layers.BatchNormalization()(layers.Conv2D(width, 3, padding="same", use_bias=False)(x))
    return layers.ReLU()(layers.Add()([x, inner]))


def cnn() -> keras.Model:
    image = keras.Input((16, 16, 3), name="input image.1")  # no identifier
    x = layers.Conv2D(8, 3, strides=2)(layers.ZeroPadding2D(1)(image))
    x = _block(_block(x, 8), 8)
    return _seeded(
        keras.Model(image, layers.Dense(4, name="class-scores")(layers.GlobalAveragePooling2D()(x)), name="cnn")
    )


def grouped() -> keras.Model:
    """A convolution that Keras has XLA compile, then an ordinary one, with weights that outweigh all else in a file."""
    image = keras.Input((8, 8, 4), name="image")
    x = layers.Conv2D(96, 3, groups=4, activation="relu")(image)
    x = layers.Conv2D(256, 3)(x)
    return _seeded(keras.Model(image, layers.Dense(3, name="scores")(layers.GlobalAveragePooling2D()(x))))


def heads() -> keras.Model:
    """Two inputs of different dtypes, a dict of two outputs, a GELU."""
    tokens = keras.Input((7,), name="tokens", dtype="int32")
    weight = keras.Input((1,), name="weight")
    pooled = layers.Multiply()([layers.GlobalAveragePooling1D()(layers.Embedding(11, 5)(tokens)), weight])
    outputs = {"scores": layers.Dense(4, activation="softmax")(pooled), "pooled": layers.Activation("gelu")(pooled)}
    return _seeded(keras.Model({"tokens": tokens, "weight": weight}, outputs, name="heads"))


class Twice(layers.Layer):
    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        return x * 2


def own_code() -> keras.Model:
    """A layer and a lambda whose code is in no .keras file."""
    inner = [Twice(), layers.Lambda(lambda x: x + 1), layers.Dense(1, name="y")]
    return _seeded(keras.Sequential([keras.Input((6,), name="x"), *inner], name="own_code"))


def two() -> keras.Model:
    a, b = keras.Input((6,), name="a"), keras.Input((6,), name="b")
    return _seeded(keras.Model([a, b], layers.Dense(1, name="y")(layers.Add()([a, b]))))


def nested() -> keras.Model:
    x = keras.Input((6,), name="x")
    return keras.Model(x, {"p": layers.Dense(2)(x), "q": [layers.Dense(3)(x), layers.Dense(3)(x)]})


def called() -> keras.Model:
    model = keras.Sequential([layers.Dense(1)])
    model(np.zeros((5, 6), np.float32))
    return model


@keras.saving.register_keras_serializable("tests")
class Registered(keras.Model):
    """A class of its own that torch can run, too."""

    def __init__(self, width: int = 3, **options: object) -> None:
        super().__init__(**options)
        self.width = width
        self.first = layers.Dense(width, activation="relu")
        self.second = layers.Dense(2)

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        return self.second(self.first(inputs))


class Unregistered(keras.Model):
    """Two arguments, a dict of outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(3)

    def call(self, a: keras.KerasTensor, b: keras.KerasTensor, training: bool = False) -> dict[str, keras.KerasTensor]:
        return {"sum": self.dense(a) + b, "mean": keras.ops.mean(a, axis=1)}


@keras.saving.register_keras_serializable("tests")
class OfTensorflow(keras.Model):
    """A class whose own code calls TensorFlow."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self.dense = layers.Dense(3)

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        import tensorflow as tf

        return tf.nn.elu(self.dense(inputs))


class NoConfig(keras.Model):
    """A class that Keras cannot write."""

    def __init__(self, layer: layers.Layer) -> None:
        super().__init__()
        self.layer = layer

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        return self.layer(inputs)


def _called(model: keras.Model, *example: np.ndarray) -> keras.Model:
    model(*example)
    return _seeded(model)


def registered() -> keras.Model:
    return _called(Registered(), np.ones((5, 6), np.float32))


def never_built() -> keras.Model:
    keras.utils.set_random_seed(5)
    return Registered()


def unregistered() -> keras.Model:
    return _called(Unregistered(), np.ones((5, 6), np.float32), np.ones((5, 3), np.float32))


def of_tensorflow() -> keras.Model:
    return _called(OfTensorflow(), np.ones((5, 6), np.float32))


def no_config() -> keras.Model:
    return _called(NoConfig(layers.Dense(2)), np.ones((5, 6), np.float32))


def words() -> tuple[keras.Model, dict[str, np.ndarray]]:
    text = keras.Input((1,), dtype="string", name="text")
    tokens = layers.TextVectorization(output_sequence_length=4, vocabulary=["good", "bad", "très"])(text)
    hidden = layers.GlobalAveragePooling1D()(layers.Embedding(8, 3)(tokens))
    model = keras.Model(text, layers.Dense(2, name="scores")(hidden), name="words")
    return model, {"text": np.array([["good"], ["very bad, good"], ["très bad"], [""]], object)}
