"""A torch module as converters want it: tensors in by position under their names, a tuple of tensors out."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from deploy_core.errors import UsageError
from deploy_exporters.deploy_handler import argument, flatten

_FIXED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class Flat(torch.nn.Module):
    """Calls a model with tensors by name and gives its outputs as a flat tuple."""

    def __init__(self, model: torch.nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.model = model
        self.names = tuple(names)

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Answer one batch."""
        return tuple(tensor for _, tensor in flatten(call(self.model, dict(zip(self.names, tensors, strict=True)))))


def flat(model: torch.nn.Module, names: Sequence[str]) -> Flat:
    """Give a Flat whose `forward` names its arguments, which is where tracing and torch.export look for names."""
    arguments = [argument(name) for name in names]
    if len(set(arguments)) < len(arguments):
        raise UsageError(f"to torch the inputs {', '.join(names)} have equal names", hint="rename one of them")

    def forward(self: Flat, *tensors: torch.Tensor, **named: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return Flat.forward(self, *tensors, *(named[name] for name in arguments if name in named))

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, kind) for name in ("self", *arguments)]
    forward.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    kind_of_flat = type("Flat", (Flat,), {"forward": forward})
    instance: Flat = kind_of_flat(model, names)
    return instance


def call(model: torch.nn.Module, tensors: Mapping[str, torch.Tensor]) -> Any:
    """Call a model with tensors by name; a `*args` takes them in order."""
    parameters = inspect.signature(model.forward).parameters.values()
    first = [p.name for p in parameters if p.kind is inspect.Parameter.POSITIONAL_ONLY]
    if any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters):
        return model(*tensors.values())
    return model(*(tensors[n] for n in first if n in tensors), **{n: t for n, t in tensors.items() if n not in first})


def input_names(model: torch.nn.Module, count: int) -> tuple[str, ...]:
    """Give the names of the first `count` arguments of `forward`. Raises UsageError if it takes fewer."""
    parameters = list(inspect.signature(model.forward).parameters.values())
    if any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters):
        return ("input",) if count == 1 else tuple(f"input_{index}" for index in range(count))
    names = [p.name for p in parameters if p.kind in _FIXED]
    if count > len(names):
        raise UsageError(f"{count} example inputs are given, the model takes {len(names)}: {', '.join(names)}")
    return tuple(names[:count])


def check_arguments(model: torch.nn.Module, names: Sequence[str]) -> None:
    """Raise UsageError if the model has no argument of one of these names, or needs one more."""
    parameters = list(inspect.signature(model.forward).parameters.values())
    if any(p.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD) for p in parameters):
        return
    known = [p.name for p in parameters]
    unknown = [name for name in names if name not in known]
    missing = [p.name for p in parameters if p.default is inspect.Parameter.empty and p.name not in names]
    if unknown or missing:
        wrong = [f"{word} {', '.join(which)}" for word, which in (("unknown", unknown), ("missing", missing)) if which]
        raise UsageError(f"wrong inputs: {'; '.join(wrong)}", hint=f"the arguments of forward are {', '.join(known)}")
