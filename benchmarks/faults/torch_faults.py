"""Faults in a TorchScript file: the honest model with something changed, or with something wrong around it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from benchmarks.faults.fault import Fault, Plant
    from benchmarks.faults.ground import Ground

Change = Callable[[Any], Any]  # of the model in place, or gives another one


def changed(change: Change) -> Plant:
    """Plant by changing the honest model before it is written."""

    def plant(fault: Fault, ground: Ground) -> AbstractContextManager[str]:
        return _written(fault, ground, change)

    return plant


@contextmanager
def _written(fault: Fault, ground: Ground, change: Change) -> Generator[str]:
    yield str(write(fault, ground, change))


def write(fault: Fault, ground: Ground, change: Change) -> Any:
    """Write the changed model; give the path."""
    from deploy_exporters import jit

    path = ground.faulty / f"{fault.name}.pt"
    jit.save(jit.script(made(ground, fault.model, change)), path, ground.signature(fault.model))
    return path


def made(ground: Ground, name: str, change: Change) -> nn.Module:
    """Give the honest model, changed."""
    import torch

    model = copy.deepcopy(ground.model(name))
    with torch.no_grad():
        other = change(model)
    return other if isinstance(other, nn.Module) else model


def transpose(layer: str) -> Change:
    """Transpose a square weight."""

    def change(model: Any) -> None:
        weight = model.get_submodule(layer).weight
        weight.copy_(weight.T.clone())

    return change


def swap(one: str, other: str) -> Change:
    """Swap two layers of one shape."""

    def change(model: Any) -> None:
        left, right = model.get_submodule(one), model.get_submodule(other)
        setattr(model, one, right)
        setattr(model, other, left)

    return change


def put(name: str, layer: nn.Module) -> Change:
    """Put another layer in the place of one."""

    def change(model: Any) -> None:
        setattr(model, name, layer)

    return change


def epsilon(name: str, value: float) -> Change:
    """Give a norm another epsilon."""

    def change(model: Any) -> None:
        model.get_submodule(name).eps = value

    return change


def around(wrapper: Callable[[Any], nn.Module]) -> Change:
    """Put something wrong around the honest model."""
    return wrapper
