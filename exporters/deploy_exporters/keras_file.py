"""What a .keras file holds, and what it only names: the code of a user's own classes and functions is not in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from deploy_core.errors import UnsafeError, UsageError
from deploy_exporters.sources import Source

_UNKNOWN = re.compile(r"Could not locate (class|function) '(\w+)'")
_BY_NAME = "name the model as FILE.py:ATTRIBUTE, where its classes and functions are defined"


def read(path: Path, *, trust: bool = False) -> Any:
    """Read a .keras file. Raises UsageError if it needs code that is not in it, UnsafeError if it brings untrusted code."""
    try:
        return keras.models.load_model(path, compile=False, safe_mode=not trust)
    except Exception as error:
        told = str(error).strip()
        if unknown := _UNKNOWN.search(told):
            raise UsageError(
                f"{path} needs the {unknown[1]} {unknown[2]}, which a .keras file does not contain", hint=_BY_NAME
            ) from error
        if "Python lambda" in told:
            raise UnsafeError(f"{path} holds a lambda, and reading it would run that code", hint=_BY_NAME) from error
        reason = told.splitlines()[0][:200] if told else type(error).__name__
        raise UsageError(
            f"{path} cannot be read as a Keras model: {reason}", hint="it may be truncated; write it again"
        ) from error


def read_source(source: Source) -> Any:
    """Read the .keras file of a source, as `read` does."""
    return read(source.file, trust=source.trust or bool(source.note))


def own_code(model: Any) -> tuple[str, ...]:
    """Name the classes and functions that a model has from its user and not from Keras."""
    return tuple(dict.fromkeys(_own(keras.saving.serialize_keras_object(model))))


def _own(config: Any) -> Iterator[str]:
    if isinstance(config, dict):
        if config.get("class_name") == "__lambda__":
            yield "lambda"
        elif "class_name" in config and "module" in config and str(config["module"]).partition(".")[0] != "keras":
            named = config["class_name"] if config["class_name"] != "function" else config["config"]
            yield str(named)
    for inner in config.values() if isinstance(config, dict) else config if isinstance(config, list | tuple) else ():
        yield from _own(inner)
