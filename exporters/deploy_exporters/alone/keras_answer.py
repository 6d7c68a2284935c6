"""Calling layers of Keras as a file tells."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np


def answer(model: bytes, inputs: Mapping[str, Any]) -> Any:
    """Give what the layers make of arrays by name; each is made anew of its configuration, and gets its weights."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras

    told = json.loads(str(np.load(io.BytesIO(model))["calls"]))
    tensors = {each["tensor"]: keras.ops.convert_to_tensor(inputs[name]) for name, each in told["inputs"].items()}
    made: Any = None
    for step in told["steps"]:
        layer = keras.saving.deserialize_keras_object(step["called"]["layer"])
        given = value(step["arguments"], tensors)
        made = layer(*given["args"], **given["kwargs"])
        if weights := step["called"]["weights"]:
            # It has them only once it was called.
            layer.set_weights([np.array(each, like.dtype) for each, like in zip(weights, layer.weights, strict=True)])
            made = layer(*given["args"], **given["kwargs"])
        made = keras.tree.flatten(made)[step["place"][0]]
        tensors[step["name"]] = made
    return np.asarray(keras.ops.convert_to_numpy(made))


def value(told: Any, tensors: Mapping[str, Any]) -> Any:
    """Give an argument of a call: a tensor, or plain data."""
    if isinstance(told, list):
        return [value(each, tensors) for each in told]
    if isinstance(told, dict):
        return (
            tensors[told["tensor"]] if "tensor" in told else {key: value(each, tensors) for key, each in told.items()}
        )
    return told
