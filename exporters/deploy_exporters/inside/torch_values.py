"""How the tensors, arguments and operators of torch are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from deploy_core.signature import Array
from deploy_exporters.sources.torch import to_array


def copied(tensor: torch.Tensor) -> Array:
    """Give a tensor as an array of its own: an operator further on may work in place."""
    plain = tensor.detach().to_dense() if tensor.layout is not torch.strided else tensor.detach()
    return to_array((plain.dequantize() if plain.is_quantized else plain).clone())


def bound(schema: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Give the arguments of a call by the names that the operator's schema has, those left out at their defaults."""
    positional = [argument.name for argument in schema.arguments if not argument.kwarg_only]
    defaults = {each.name: each.default_value for each in schema.arguments if each.has_default_value()}
    given = {**defaults, **dict(zip(positional, args, strict=False)), **kwargs}
    return {each.name: given[each.name] for each in schema.arguments if each.name in given}


def attributes(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Give what is not a tensor among the arguments, as plain data; a tensor that was left out is None."""
    return {name: plain(value) for name, value in arguments.items() if not holds_tensor(value)}


def plain(value: Any) -> Any:
    """Give a Python value of torch's as plain data: dtypes, layouts and devices by name."""
    if isinstance(value, list | tuple):
        return tuple(map(plain, value))
    if value is None or isinstance(value, bool | int | float | complex | str):
        return value
    return str(value).removeprefix("torch.")


def special(value: Any, name: Callable[[torch.Tensor], str]) -> Any:
    """Give an argument of a call that is no plain data by its name: a tensor, a dtype, a layout, a device."""
    if isinstance(value, torch.Tensor):
        return {"tensor": name(value)}
    if isinstance(value, torch.device):
        return {"device": str(value)}
    if isinstance(value, torch.dtype | torch.layout | torch.memory_format):
        return {"torch": str(value).removeprefix("torch.")}
    return {"object": repr(value)}


def holds_tensor(value: Any) -> bool:
    """Tell whether a value is a tensor, or a list with one in it."""
    return isinstance(value, torch.Tensor) or (isinstance(value, list | tuple) and any(map(holds_tensor, value)))
