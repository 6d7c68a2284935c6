"""Whole torch modules that somebody pickled, read only from a file that is trusted: reading runs what is in it."""

from __future__ import annotations

import sys
from typing import Any

import torch

from deploy_core.errors import UsageError, reason
from deploy_exporters.sources import Source

_HINT = "name the model as FILE.py:ATTRIBUTE, where its class is defined and its weights are loaded"


def read(source: Source) -> Any:
    """Read a pickled torch module. Raises UsageError for weights alone, and for classes that cannot be imported."""
    sys.path.insert(0, str(source.folder))
    try:
        found = torch.load(source.file, map_location="cpu", weights_only=not source.trust)
    except Exception as error:
        raise UsageError(f"{source.file} cannot be read as a pickled model: {reason(error)}", hint=_HINT) from error
    if not isinstance(found, torch.nn.Module):
        raise UsageError(f"{source.file} holds pickled weights, not a model", hint=_HINT)
    return found
