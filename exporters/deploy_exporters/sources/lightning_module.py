"""What Lightning ties to a module, so that it can be copied and converted as the torch module that it is.

Lightning itself is not imported: a module that is none has none of these attributes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


def freed(model: torch.nn.Module) -> torch.nn.Module:
    """Let a module of our own go without a trainer: TorchScript asks for every property, and Lightning's raise."""
    for module in model.modules():
        if hasattr(module, "_jit_is_scripting"):
            module._jit_is_scripting = True  # type: ignore[assignment]  # an attribute of the class otherwise
            module._trainer = None  # type: ignore[assignment]
    return model


@contextmanager
def detached(model: torch.nn.Module) -> Iterator[None]:
    """Hold the trainers of a user's module back while it is copied: they hold data loaders, loggers and the model again."""
    trainers: dict[Any, Any] = {m: m.__dict__["_trainer"] for m in model.modules() if "_trainer" in m.__dict__}
    for module in trainers:
        module._trainer = None
    try:
        yield
    finally:
        for module, trainer in trainers.items():
            module._trainer = trainer
