"""How a Keras model takes its inputs and names its outputs: built from keras.Input, or a class with a `call`."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import keras

from deploy_core.errors import UsageError
from deploy_core.signature import BATCH, TensorSpec
from deploy_exporters.sources import Given, dimensions, examples, probing

_NO_INPUTS = ("training", "mask")


def is_built_from_inputs(model: Any) -> bool:
    """Whether a model is functional or sequential, and so tells its own inputs."""
    return _structure(model) is not None


def specs(model: Any, given: Given) -> tuple[TensorSpec, ...]:
    """Give the inputs: the model's own, else those that are given, or as the example, or as it was called. Raises UsageError."""
    if is_built_from_inputs(model):
        own = tuple(_spec(name, tensor, static=given.static) for name, tensor in _inputs(model).items())
        return probing.agreed(own, given.inputs)
    if given.inputs:
        examples.check_batch(given.inputs, static=given.static)
        return given.inputs
    if given.example is not None:
        return tuple(TensorSpec.of(name, array) for name, array in _arrays(model, given.example).items())
    return _as_called(model)


def answer(model: Any, tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Call a model with tensors of the backend by name; give its outputs by name, in order."""
    value = _called(model, tensors)
    named = _named(value)
    if any(isinstance(part, Mapping | list | tuple) for part in named.values()):
        raise UsageError(
            f"the Keras model {model.name!r} nests its outputs", hint="give it a list or a dict of outputs"
        )
    functional = getattr(model, "_functional", None) or model
    if isinstance(value, Mapping):
        order = getattr(functional, "_outputs_struct", None)
        return {name: named[name] for name in order} if isinstance(order, Mapping) else named
    own = tuple(getattr(functional, "output_names", None) or named)
    return dict(zip(own if len(set(own)) == len(named) else named, named.values(), strict=True))


def _named(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return dict(zip(value._fields, value, strict=True))
    if isinstance(value, list | tuple):
        return {f"output_{index}": part for index, part in enumerate(value)}
    return {"output": value}


def _called(model: Any, tensors: Mapping[str, Any]) -> Any:
    structure = _structure(model)
    if structure is None:
        return _called_by_arguments(model, tensors)
    if isinstance(structure, Mapping):
        return model(dict(tensors), training=False)
    if isinstance(structure, list | tuple):
        return model(list(tensors.values()), training=False)
    return model(next(iter(tensors.values())), training=False)


def _called_by_arguments(model: Any, tensors: Mapping[str, Any]) -> Any:
    """Call a model of a user's class: by arguments of these names, else with its one argument, a tensor or a dict."""
    arguments = _arguments(model)
    if set(tensors) <= set(arguments):
        first = arguments[0]  # Keras wants the first argument by position
        rest = {name: tensor for name, tensor in tensors.items() if name != first}
        return model(*([tensors[first]] if first in tensors else []), **rest, training=False)
    return model(next(iter(tensors.values())) if len(tensors) == 1 else dict(tensors), training=False)


def _arguments(model: Any, *, needed: bool = False) -> tuple[str, ...]:
    parameters = inspect.signature(model.call).parameters.values()
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    own = (p for p in parameters if p.kind not in kinds and p.name not in _NO_INPUTS)
    return tuple(p.name for p in own if not needed or p.default is inspect.Parameter.empty)


def _arrays(model: Any, example: object) -> dict[str, Any]:
    import numpy as np

    if isinstance(example, Mapping):
        return {name: np.asarray(value) for name, value in example.items()}
    values = example if isinstance(example, tuple) else (example,)
    names = _arguments(model)
    if len(values) > len(names):
        raise UsageError(f"{len(values)} example inputs are given, the model takes {', '.join(names)}")
    return {name: np.asarray(value) for name, value in zip(names, values, strict=False)}


def _as_called(model: Any) -> tuple[TensorSpec, ...]:
    """Give the inputs with which a model of a user's class was built: Keras keeps their shapes."""
    shapes = getattr(model, "_build_shapes_dict", None) or {}
    shape = next(iter(shapes.values()), None) if len(shapes) == 1 and len(_arguments(model, needed=True)) < 2 else None
    if isinstance(shape, Mapping):
        named = dict(shape)
    elif isinstance(shape, list | tuple) and shape and all(isinstance(dim, int | None) for dim in shape):
        named = {_arguments(model)[0]: shape}
    else:
        raise UsageError(
            f"the Keras model {model.name!r} is not built from inputs, so it does not say what it takes",
            hint="give --input NAME:DTYPE[batch,…] or --example FILE.npz, or build it from keras.Input",
        )
    return tuple(TensorSpec(name, keras.config.floatx(), (BATCH, *dims[1:])) for name, dims in named.items())


def _inputs(model: Any) -> dict[str, Any]:
    structure = _structure(model)
    if not all(isinstance(tensor, keras.KerasTensor) for tensor in _parts(structure)):
        raise UsageError(f"the Keras model {model.name!r} nests its inputs", hint="give it a list or a dict of inputs")
    if isinstance(structure, Mapping):
        return dict(structure)
    return {tensor.name: tensor for tensor in _parts(structure)}


def _parts(structure: Any) -> Iterable[Any]:
    if isinstance(structure, Mapping):
        return structure.values()
    return structure if isinstance(structure, list | tuple) else [structure]


def _structure(model: Any) -> Any:
    functional = getattr(model, "_functional", None) or model
    return getattr(functional, "_inputs_struct", None)


def _spec(name: str, tensor: Any, *, static: bool) -> TensorSpec:
    own = [BATCH, *(f"{name}_{axis}" for axis in range(1, len(tensor.shape)))]
    shape = tuple(dim if size is None else size for dim, size in zip(own, tensor.shape, strict=False))
    spec = TensorSpec(name, str(tensor.dtype), shape)
    hint = "give keras.Input no batch_size; a model without one takes the batch it is first called with: put one in"
    dimensions.require_free_batch([spec], "the Keras model", hint=hint, static=static)
    return spec
