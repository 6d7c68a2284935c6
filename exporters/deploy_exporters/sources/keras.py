"""A trained Keras model in memory, as a Predictor that also computes in float64; on whatever backend Keras runs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import keras
import numpy as np

from deploy_core.dtypes import dtype_name
from deploy_core.errors import DeployError, ExportError, UsageError, reason
from deploy_core.predictor import Intermediate
from deploy_core.signature import Array, Signature, Tensors
from deploy_exporters.sources import Given, dimensions, examples, keras_file, keras_inputs, probing


class KerasSource:
    """A Keras model with named inputs and outputs, called with training=False."""

    kind = "keras"

    def __init__(self, model: Any, signature: Signature, example: Tensors) -> None:
        self.model = model
        self.signature = signature
        self.example = example

    def predict(self, inputs: Tensors) -> Tensors:
        """Answer one batch."""
        return self._run(self.model, self.signature.conform(inputs))

    def predict_float64(self, inputs: Tensors) -> Tensors:
        """Answer one batch with a clone of the model in double precision. Raises UsageError if it cannot be cloned."""
        arrays = self.signature.conform(inputs)
        wide = {n: a.astype(np.float64) if a.dtype.kind == "f" else a for n, a in arrays.items()}
        try:
            return self._run(self._double, wide)
        except Exception as error:
            raise UsageError(f"the model has no clone in float64: {reason(error)}") from error

    def intermediates(self, inputs: Tensors) -> Sequence[Intermediate]:
        """Give what each layer makes of one batch."""
        from deploy_exporters.inside import keras as inside

        tensors = _tensors(self.signature.conform(inputs))
        names = [spec.name for spec in self.signature.outputs]
        return inside.intermediates(self.model, tensors, lambda: dict(zip(names, self.call(tensors), strict=True)))

    def gradient(self, inputs: Tensors, weights: Tensors) -> Tensors:
        """Give d(Σ weights · outputs) / d(input) for every float input. Raises UsageError where Keras runs on torch."""
        if keras.backend.backend() != "tensorflow":
            raise UsageError(f"Keras on {keras.backend.backend()} is not differentiated here")
        from deploy_exporters.tensorflow_gradient import gradient

        def run(tensors: Mapping[str, Any]) -> dict[str, Any]:
            return dict(zip((spec.name for spec in self.signature.outputs), self.call(tensors), strict=True))

        return gradient(run, self.signature.conform(inputs), weights)

    def close(self) -> None:
        """Nothing is held but memory."""

    def describe(self) -> dict[str, Any]:
        """Give the class, the number of parameters, the digest of the weights, and what code is not of Keras."""
        return {
            "class": f"{type(self.model).__module__}.{type(self.model).__qualname__}",
            "parameters": int(self.model.count_params()),
            "training_id": training_id(self.model),
            "own_code": list(keras_file.own_code(self.model)),
        }

    def call(self, tensors: Mapping[str, Any]) -> tuple[Any, ...]:
        """Call the model with tensors of the backend by name; give its outputs in order."""
        return tuple(keras_inputs.answer(self.model, tensors).values())

    @cached_property
    def _double(self) -> Any:
        if keras_inputs.is_built_from_inputs(self.model):
            clone = type(self.model).from_config(_doubled(self.model.get_config()))
        else:
            clone = self._widened()
        clone.set_weights(self.model.get_weights())
        return clone

    def _widened(self) -> Any:
        """Make a model of a user's class, whose layers take the float type that is set when they are made."""
        before, policy = keras.config.floatx(), keras.config.dtype_policy()
        keras.config.set_floatx("float64")
        keras.config.set_dtype_policy("float64")
        try:
            config = {key: value for key, value in self.model.get_config().items() if key != "dtype"}
            clone = type(self.model).from_config(config)
            self._run(clone, {n: a.astype(np.float64) if a.dtype.kind == "f" else a for n, a in self.example.items()})
        finally:
            keras.config.set_floatx(before)
            keras.config.set_dtype_policy(policy)
        return clone

    def _run(self, model: Any, arrays: Tensors) -> Tensors:
        values = keras_inputs.answer(model, _tensors(arrays)).values()
        named = zip(self.signature.outputs, values, strict=True)
        return {spec.name: np.asarray(keras.ops.convert_to_numpy(value)) for spec, value in named}


def _tensors(arrays: Tensors) -> dict[str, Any]:
    # As tensors of the backend first: Keras would turn float64 arrays into its default float.
    return {name: keras.ops.convert_to_tensor(array, dtype=dtype_name(array.dtype)) for name, array in arrays.items()}


def open_keras(model: Any, given: Given) -> KerasSource:
    """Find out the signature of a model; one that is not built from inputs is told them. Raises UsageError, ExportError."""
    specs = keras_inputs.specs(model, given)
    named = probing.example_of(specs, given)
    source = KerasSource(model, Signature(specs, ()), Signature(specs, ()).conform(named))
    source.example = examples.at_least_two_rows(source.example, static=given.static)
    source.signature = dimensions.told(
        specs, source.example, partial(_probe, source), given.outputs, static=given.static
    )
    examples.check_numbers(source.predict(source.example))
    return source


def training_id(model: Any) -> str:
    """Give one digest for all weights."""
    whole = hashlib.sha256()
    for weight in model.weights:
        array = np.ascontiguousarray(keras.ops.convert_to_numpy(weight.value))
        whole.update(f"{weight.path}:{array.dtype}{list(array.shape)}".encode() + array.tobytes())
    return whole.hexdigest()


def _probe(source: KerasSource, arrays: Tensors, *, after: Tensors | None = None) -> dict[str, Array]:
    try:
        values = keras_inputs.answer(source.model, _tensors(arrays))
    except DeployError:
        raise
    except Exception as error:
        told = f"the model answers {examples.shown(after)}, but not" if after else "the model cannot answer"
        raise ExportError(f"{told} {examples.shown(arrays)}: {reason(error)}") from error
    return {name: np.asarray(keras.ops.convert_to_numpy(value)) for name, value in values.items()}


def _doubled(config: Any) -> Any:
    if isinstance(config, dict):
        return {
            key: "float64" if key == "dtype" and _is_float(value) else _doubled(value) for key, value in config.items()
        }
    if isinstance(config, list | tuple):
        return type(config)(_doubled(value) for value in config)
    return config


def _is_float(dtype: Any) -> bool:
    name = dtype["config"]["name"] if isinstance(dtype, dict) else str(dtype)
    return name.startswith(("float", "bfloat", "mixed"))
