"""A trained Keras model in memory, as a Predictor that also computes in float64; on whatever backend Keras runs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import keras
import numpy as np

from deploy_core.errors import ExportError, UsageError
from deploy_core.signature import BATCH, Array, Signature, Tensors, TensorSpec
from deploy_exporters import dimensions, examples, keras_file, probing


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
        """Answer one batch with a clone of the model in double precision."""
        arrays = self.signature.conform(inputs)
        return self._run(
            self._double, {n: a.astype(np.float64) if a.dtype.kind == "f" else a for n, a in arrays.items()}
        )

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
        return _call(self.model, tensors)

    @cached_property
    def _double(self) -> Any:
        clone = type(self.model).from_config(_doubled(self.model.get_config()))
        clone.set_weights(self.model.get_weights())
        return clone

    def _run(self, model: Any, arrays: Tensors) -> Tensors:
        # As tensors of the backend first: Keras would turn float64 arrays into its default float.
        tensors = {name: keras.ops.convert_to_tensor(array, dtype=array.dtype.name) for name, array in arrays.items()}
        values = _call(model, tensors)
        named = zip(self.signature.outputs, values, strict=True)
        return {spec.name: np.asarray(keras.ops.convert_to_numpy(value)) for spec, value in named}


def open_keras(model: Any, example: object | None, inputs: Sequence[TensorSpec], outputs: Sequence[str]) -> KerasSource:
    """Find out the signature of a model, which knows its own inputs. Raises UsageError, ExportError."""
    specs = probing.agreed(input_specs(model), inputs)
    named = examples.from_specs(specs) if example is None else _named(example, specs)
    source = KerasSource(model, Signature(specs, ()), Signature(specs, ()).conform(named))
    source.example = examples.at_least_two_rows(source.example)
    names = output_names(model)
    source.signature = dimensions.told(specs, source.example, partial(_probe, source, names), outputs)
    examples.check_numbers(source.predict(source.example))
    return source


def input_specs(model: Any) -> tuple[TensorSpec, ...]:
    """Give the inputs of a built model: keys of a dict, else the names of its input tensors. Raises UsageError."""
    tensors = _inputs(model)
    return tuple(_spec(name, tensor) for name, tensor in tensors.items())


def output_names(model: Any) -> tuple[str, ...]:
    """Give the names of the outputs: keys of a dict, else what Keras calls them."""
    functional = getattr(model, "_functional", None) or model
    structure = getattr(functional, "_outputs_struct", None)
    if any(isinstance(part, Mapping | list | tuple) for part in _parts(structure)):
        raise UsageError(
            f"the Keras model {model.name!r} nests its outputs", hint="give it a list or a dict of outputs"
        )
    if isinstance(structure, Mapping):
        return tuple(structure)
    names = tuple(getattr(functional, "output_names", ()))
    return names if len(set(names)) == len(names) else tuple(f"output_{index}" for index in range(len(names)))


def training_id(model: Any) -> str:
    """Give one digest for all weights."""
    whole = hashlib.sha256()
    for weight in model.weights:
        array = np.ascontiguousarray(keras.ops.convert_to_numpy(weight.value))
        whole.update(f"{weight.path}:{array.dtype}{list(array.shape)}".encode() + array.tobytes())
    return whole.hexdigest()


def _inputs(model: Any) -> dict[str, Any]:
    structure = _input_structure(model)
    if structure is None:
        raise UsageError(
            f"the Keras model {model.name!r} is not built from inputs, so it does not say what it takes",
            hint="functional and sequential models with keras.Input do; wrap it in one",
        )
    if not all(isinstance(tensor, keras.KerasTensor) for tensor in _parts(structure)):
        raise UsageError(f"the Keras model {model.name!r} nests its inputs", hint="give it a list or a dict of inputs")
    if isinstance(structure, Mapping):
        return dict(structure)
    return {tensor.name: tensor for tensor in _parts(structure)}


def _parts(structure: Any) -> Iterable[Any]:
    if isinstance(structure, Mapping):
        return structure.values()
    return structure if isinstance(structure, list | tuple) else [structure]


def _input_structure(model: Any) -> Any:
    functional = getattr(model, "_functional", None) or model
    return getattr(functional, "_inputs_struct", None)


def _call(model: Any, tensors: Mapping[str, Any]) -> tuple[Any, ...]:
    structure = _input_structure(model)
    if isinstance(structure, Mapping):
        value = model(dict(tensors), training=False)
    elif isinstance(structure, list | tuple):
        value = model(list(tensors.values()), training=False)
    else:
        value = model(next(iter(tensors.values())), training=False)
    if isinstance(value, Mapping):
        return tuple(value[name] for name in output_names(model))
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _probe(
    source: KerasSource, names: Sequence[str], arrays: Tensors, *, after: Tensors | None = None
) -> dict[str, Array]:
    try:
        values = source.call({name: keras.ops.convert_to_tensor(array) for name, array in arrays.items()})
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
        told = f"the model answers {examples.shown(after)}, but not" if after else "the model cannot answer"
        raise ExportError(f"{told} {examples.shown(arrays)}: {reason}") from error
    return {name: np.asarray(keras.ops.convert_to_numpy(value)) for name, value in zip(names, values, strict=True)}


def _spec(name: str, tensor: Any) -> TensorSpec:
    own = [BATCH, *(f"{name}_{axis}" for axis in range(1, len(tensor.shape)))]
    shape = tuple(dim if size is None else size for dim, size in zip(own, tensor.shape, strict=False))
    spec = TensorSpec(name, str(tensor.dtype), shape)
    hint = "give keras.Input no batch_size; a model without one takes the batch it is first called with: put one in"
    dimensions.require_free_batch([spec], "the Keras model", hint=hint)
    return spec


def _named(example: Any, specs: Sequence[TensorSpec]) -> dict[str, object]:
    if isinstance(example, Mapping):
        return dict(example)
    if not isinstance(example, tuple) and (len(specs) == 1 or not isinstance(example, list)):
        example = (example,)  # a list for an only input is its rows
    if len(example) != len(specs):
        raise UsageError(
            f"{len(example)} example inputs are given, the model takes {len(specs)}: {', '.join(map(str, specs))}",
            hint="give them in this order, or by name",
        )
    return dict(zip((spec.name for spec in specs), example, strict=True))


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
