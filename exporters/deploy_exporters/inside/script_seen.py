"""What was seen while a TorchScript program ran: each tensor by the name of who made it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from deploy_core.predictor import Intermediate
from deploy_core.signature import Array
from deploy_exporters.inside import layers, script_nodes
from deploy_exporters.inside.calls import Call as Made
from deploy_exporters.inside.calls import Calls, plain
from deploy_exporters.inside.kept import Kept
from deploy_exporters.inside.torch_values import attributes, copied, holds_tensor, special


@dataclass(frozen=True)
class Call:
    """What an operator was given, as it was before it ran."""

    layer: str
    inputs: tuple[str, ...]
    weights: Mapping[str, Array]
    attributes: Mapping[str, Any]
    arguments: Any = None  # as `Calls` has them, if they are wanted


class Seen:
    """Names of tensors: torch gives the same tensor as the same Python object wherever a graph passes it on."""

    def __init__(self, kept: Kept, *, strip: bool, calls: Calls | None = None) -> None:
        self._calls = calls
        self._kept = kept
        self._strip = strip
        self._names: dict[int, str] = {}
        self._taken: set[str] = set()  # by weights: one function may make a weight of another, and then a tensor
        self._weights: dict[int, Array] = {}
        self._alive: list[torch.Tensor] = []  # so that no other gets its identity
        self._silent = False

    def name(self, tensor: torch.Tensor, name: str) -> None:
        """Let a tensor go by a name."""
        self._names[id(tensor)] = name
        self._alive.append(tensor)

    def weight(self, value: Any, name: str) -> None:
        """Take note of a weight, or of a list of them."""
        for own, tensor in _tensors(value, self._layer(name)):
            if id(tensor) not in self._weights:
                self.name(tensor, own)
                self._taken.add(own)
                self._weights[id(tensor)] = copied(tensor)

    def call(self, node: Any, path: str, given: Sequence[Any]) -> Call:
        """Take note of what an operator is given; a tensor that nobody made is one that is written into the program."""
        for value, one in zip(node.inputs(), given, strict=True):
            if isinstance(one, torch.Tensor) and id(one) not in self._names:
                self.weight(one, value.debugName())
        arguments = script_nodes.arguments(node, given)
        tensors = [tensor for _, tensor in _tensors(list(given), "")]
        names = tuple(dict.fromkeys(self._names[id(each)] for each in tensors if id(each) in self._names))
        weights = {self._names[id(each)]: self._weights[id(each)] for each in tensors if id(each) in self._weights}
        own = None if self._calls is None else plain(arguments, self._told)
        return Call(self._layer(path) or layers.of_weights(weights), names, weights, attributes(arguments), own)

    def made(self, call: Call, node: Any, made: Sequence[Any]) -> None:
        """Keep what an operator made; of weights alone it makes another weight."""
        for place, (value, one) in enumerate(zip(node.outputs(), made, strict=True)):
            for number, (name, tensor) in enumerate(_tensors(one, self._named(call.layer, value.debugName()))):
                self._keep(call, node.kind(), name, tensor)
                if self._calls is not None and id(tensor) not in self._weights:
                    inner = () if isinstance(one, torch.Tensor) else (number,)
                    path = (place,) * (len(made) > 1) + inner
                    self._calls.made[name] = Made(script_nodes.operator(node), call.arguments, path)

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Keep nothing for a while."""
        before, self._silent = self._silent, True
        try:
            yield
        finally:
            self._silent = before

    def told(self, outputs: Mapping[str, torch.Tensor]) -> list[Intermediate]:
        """Give what was kept, the outputs by these names and at the end."""
        known = {name: self._names[id(tensor)] for name, tensor in outputs.items() if id(tensor) in self._names}
        if self._calls is not None:
            self._calls.outputs.update(known)
            self._calls.weights.update({self._names[key]: array for key, array in self._weights.items()})
        return self._kept.told(known)

    def _keep(self, call: Call, kind: str, name: str, tensor: torch.Tensor) -> None:
        if call.inputs and len(call.weights) == len(call.inputs):
            self.weight(tensor, name)
            return
        self.name(tensor, name)
        if not self._silent:
            found = Intermediate(name, copied(tensor), kind, call.inputs, call.attributes, call.weights, call.layer)
            self._kept.add(found)

    def _told(self, value: Any) -> Any:
        return special(value, lambda tensor: self._names.get(id(tensor), ""))

    def _layer(self, path: str) -> str:
        return layers.without_flat(path) if self._strip else path

    def _named(self, layer: str, value: str) -> str:
        name = plain = f"{layer}/{value}" if layer else value
        number = 1
        while name in self._kept or name in self._taken:  # a module or a function that is called again
            number += 1
            name = f"{plain} ({number})"
        return name


def _tensors(value: Any, name: str) -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(value, torch.Tensor):
        yield name, value
    elif isinstance(value, list | tuple) and holds_tensor(value):
        for number, each in enumerate(value):
            yield from _tensors(each, f"{name}.{number}")
