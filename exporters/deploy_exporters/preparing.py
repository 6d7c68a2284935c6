"""The preprocessing of the training side: a function of the user's own, or a list of them, run in the worker."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deploy_core.errors import ExportError, UsageError
from deploy_core.signature import Array
from deploy_exporters.sources import Source
from deploy_exporters.sources.user_code import attribute

Stage = tuple[str, Array]  # what the function is called, and what it gave
_PATHS = ("path", "file", "filename", "file_name", "fname")


def looked_up(source: Source) -> list[dict[str, Any]] | None:
    """Give the steps if that is what the attribute holds, None for functions. Raises UsageError for anything else."""
    found = attribute(source)
    if isinstance(found, Sequence) and found and all(isinstance(each, Mapping) for each in found):
        return [dict(each) for each in found]
    _functions(source, found)
    return None


def prepared(source: Source, files: Sequence[tuple[str, bytes]]) -> list[list[Stage]]:
    """Give what each function makes of each file, the last first of all what the model gets. Raises UsageError, ExportError."""
    functions = _functions(source, attribute(source))
    return [_stages(source, functions, name, data) for name, data in files]


def _functions(source: Source, found: Any) -> list[Callable[..., Any]]:
    steps = getattr(found, "transforms", found)  # of a Compose of torchvision
    many = list(steps) if isinstance(steps, Sequence) else [found]
    if not many or not all(callable(each) for each in many):
        raise UsageError(
            f"{source.location} is {type(found).__name__}, which prepares nothing",
            hint="name a function that takes bytes or a path, a list of functions, or a list of steps",
        )
    return many


def _stages(source: Source, functions: Sequence[Callable[..., Any]], name: str, data: bytes) -> list[Stage]:
    with tempfile.TemporaryDirectory(prefix="deploy-raw-") as folder:
        value: Any = data
        if _takes_path(functions[0]):
            value = Path(folder) / (Path(name).name or "raw")
            value.write_bytes(data)
        stages = []
        for function in functions:
            value = _called(source, function, value)
            stages.append((_name(function), _array(source, value)))
    return stages


def _takes_path(function: Callable[..., Any]) -> bool:
    """Tell by the first parameter's annotation, else by its name; bytes are the rule."""
    try:
        first = next(iter(inspect.signature(function).parameters.values()), None)
    except (ValueError, TypeError):
        return False
    if first is None:
        return False
    if first.annotation is inspect.Parameter.empty:
        return first.name.lower() in _PATHS
    return str(getattr(first.annotation, "__name__", first.annotation)) in ("Path", "str", "pathlib.Path", "PathLike")


def _called(source: Source, function: Callable[..., Any], value: Any) -> Any:
    try:
        return function(value)
    except Exception as error:
        raise ExportError(
            f"{source.location}: {_name(function)} raised {type(error).__name__}: {error}",
            hint="it gets the bytes of a raw file, or its path if its parameter says so, and gives what the model takes",
        ) from error


def _name(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


def _array(source: Source, value: Any) -> Array:
    if isinstance(value, Mapping):
        if len(value) != 1:
            raise UsageError(
                f"{source.location} gives {', '.join(map(str, value)) or 'nothing'}", hint="raw bytes make one input"
            )
        value = next(iter(value.values()))
    value = value.detach().cpu() if hasattr(value, "detach") else value
    array = np.asarray(value)
    if array.dtype.kind not in "iufb":
        raise UsageError(
            f"{source.location} gives {type(value).__name__}, which is no array", hint="give an array, or a tensor"
        )
    return np.ascontiguousarray(array).reshape(array.shape)
