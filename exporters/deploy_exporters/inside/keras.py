"""Looking into a Keras model, on whatever backend it runs: every layer is watched while the model is called."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partialmethod
from typing import Any
from unittest.mock import patch

import keras
import numpy as np

from deploy_core.predictor import Intermediate
from deploy_core.signature import Array
from deploy_exporters.inside.calls import Call, Calls, plain
from deploy_exporters.inside.kept import Kept

_RUN = Callable[[], Mapping[str, Any]]


def intermediates(
    model: Any, inputs: Mapping[str, Any], run: _RUN, *, most_bytes: int | None = None, calls: Calls | None = None
) -> list[Intermediate]:
    """Give what each layer makes while `run` calls the model with tensors of the backend and gives its named outputs.

    A recurrent layer is one operator. `calls` are filled. Raises UsageError if all take more than `most_bytes`.
    """
    watch = _Watch(model, Kept(most_bytes), Calls() if calls is None else calls)
    for name, tensor in inputs.items():
        watch.name(tensor, name)
    with watch.calls():
        outputs = run()
    return watch.told(outputs)


@dataclass
class _Watch:
    """Which layers are running, outermost first, and what they made; tensors are known by their identity."""

    model: Any
    kept: Kept
    made: Calls
    path: list[str] = field(default_factory=list)
    silent: int = 0
    names: dict[int, str] = field(default_factory=dict)
    alive: list[Any] = field(default_factory=list)

    def name(self, tensor: Any, name: str) -> None:
        """Let a tensor go by a name."""
        self.names[id(tensor)] = name
        self.alive.append(tensor)

    @contextmanager
    def calls(self) -> Iterator[None]:
        """Watch every call of a layer or of an operation."""
        watch = self

        def called(self: Any, before: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            return watch.call(self, before, args, kwargs)

        with _patched(keras.Layer, called), _patched(keras.Operation, called):
            yield

    def call(self, layer: Any, before: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a layer, and keep what it makes; a layer is an operation, too, and called as one by itself."""
        if layer is self.model or (isinstance(layer, keras.Layer) and before.__qualname__.startswith("Operation")):
            return before(layer, *args, **kwargs)
        inputs = tuple(
            dict.fromkeys(self.names[id(each)] for each in _leaves((args, kwargs)) if id(each) in self.names)
        )
        given = plain({"args": args, "kwargs": kwargs}, self._told)
        self.path.append(layer.name)
        self.silent += isinstance(layer, keras.layers.RNN)
        try:
            made = before(layer, *args, **kwargs)
        finally:
            self.silent -= isinstance(layer, keras.layers.RNN)
            path = "/".join(self.path)
            self.path.pop()
        if not self.silent:
            self._keep(layer, path, inputs, made, given)
        return made

    def told(self, outputs: Mapping[str, Any]) -> list[Intermediate]:
        """Give what was kept, the outputs by their names and at the end."""
        for name, tensor in outputs.items():
            if id(tensor) not in self.names:
                self._add(tensor, name, type(self.model).__name__, (), {}, {}, "")
        self.made.outputs.update({name: self.names[id(tensor)] for name, tensor in outputs.items()})
        return self.kept.told(self.made.outputs)

    def _told(self, value: Any) -> Any:
        return {"tensor": self.names[id(value)]} if id(value) in self.names else {"object": repr(type(value))}

    def _keep(self, layer: Any, path: str, inputs: tuple[str, ...], made: Any, given: Any) -> None:
        tensors = [each for each in _leaves(made) if keras.ops.is_tensor(each)]
        weights = _weights(layer)
        for number, tensor in enumerate(tensors):
            name = path if len(tensors) == 1 else f"{path}.{number}"
            own, name = (*inputs, *weights), self._free(name)
            self.made.made[name] = Call(layer, given, (number,))
            self._add(tensor, name, type(layer).__name__, own, _attributes(layer), weights, path)

    def _add(
        self,
        tensor: Any,
        name: str,
        operator: str,
        inputs: tuple[str, ...],
        attributes: dict[str, Any],
        weights: dict[str, Array],
        layer: str,
    ) -> None:
        self.kept.add(Intermediate(name, _array(tensor), operator, inputs, attributes, weights, layer))
        self.name(tensor, name)

    def _free(self, name: str) -> str:
        free, number = name, 1
        while free in self.kept:  # a layer that is called again
            number += 1
            free = f"{name} ({number})"
        return free


def _patched(owner: Any, called: Callable[..., Any]) -> Any:
    return patch.object(owner, "__call__", partialmethod(called, owner.__call__))


def _leaves(value: Any) -> list[Any]:
    leaves: list[Any] = keras.tree.flatten(value)
    return leaves


def _array(tensor: Any) -> Array:
    return np.array(keras.ops.convert_to_numpy(tensor))


def _weights(layer: Any) -> dict[str, Array]:
    """Give the weights that are a layer's own, and not of a layer inside of it that shows them itself."""
    if not isinstance(layer, keras.Layer):
        return {}
    inner = () if isinstance(layer, keras.layers.RNN) else layer._flatten_layers(include_self=False)
    shown = {id(weight) for each in inner for weight in each.weights}
    return {weight.path: np.array(weight.numpy()) for weight in layer.weights if id(weight) not in shown}


def _attributes(layer: Any) -> dict[str, Any]:
    try:
        config = layer.get_config()
    except NotImplementedError:  # a layer of a user's own that was never to be saved
        return {}
    named = {name: _plain(value) for name, value in config.items() if name not in ("name", "trainable")}
    return {name: value for name, value in named.items() if value is not _Nothing and value is not None}


class _Nothing:
    """What stands for a part of a configuration that is an object."""


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        parts = tuple(map(_plain, value))
        return _Nothing if _Nothing in parts else parts
    if isinstance(value, Mapping) and "class_name" in value and "name" in value.get("config", {}):
        return value["config"]["name"]  # a dtype policy, an activation
    return _Nothing
