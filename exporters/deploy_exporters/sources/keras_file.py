"""What a .keras file holds, and what it only names: the code of a user's own classes and functions is not in it."""

from __future__ import annotations

import json
import pickle
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras

from deploy_core.errors import UnsafeError, UsageError, first_line
from deploy_exporters.sources import Source

CLASSES = ".classes"  # the suffix of the file beside model.keras
_UNKNOWN = re.compile(r"Could not locate (class|function) '(\w+)'")
# What is told of every model that cannot go from Keras to torch for its own code.
REGISTERED = (
    "a model of a user's own classes reaches torch where its class is registered "
    "(keras.saving.register_keras_serializable) and its module imports under the torch backend"
)
_BY_NAME = "name the model as FILE.py:ATTRIBUTE, where its classes and functions are defined"


class MissingCodeError(UsageError):
    """A .keras file names a class or function that is neither in it nor registered."""


def read(path: Path, *, trust: bool = False, code: Mapping[str, Any] | None = None) -> Any:
    """Read a .keras file; `code` holds classes by the name under which the file asks for them.

    Raises MissingCodeError if it needs code that is not in it, UnsafeError if it brings untrusted code, else UsageError.
    """
    try:
        return keras.models.load_model(path, custom_objects=code, compile=False, safe_mode=not trust)
    except Exception as error:
        told = str(error).strip()
        if unknown := _UNKNOWN.search(told):
            raise MissingCodeError(
                f"{path} needs the {unknown[1]} {unknown[2]}, which a .keras file does not contain", hint=_BY_NAME
            ) from error
        if "Python lambda" in told:
            raise UnsafeError(f"{path} holds a lambda, and reading it would run that code", hint=_BY_NAME) from error
        raise UsageError(
            f"{path} cannot be read as a Keras model: {first_line(error)}", hint="it may be truncated; write it again"
        ) from error


def read_source(source: Source) -> Any:
    """Read the .keras file of a source, as `read` does, with the classes that were handed over beside it."""
    return read(source.file, trust=source.trust or bool(source.note), code=classes_beside(source))


def write_classes(model: Any, path: Path) -> dict[str, Any]:
    """Write the classes of a model that are not Keras' own beside its .keras file; give them by name."""
    import cloudpickle

    kinds = {type(layer) for layer in model._flatten_layers()}
    own = {
        keras.saving.get_registered_name(kind): kind for kind in kinds if kind.__module__.partition(".")[0] != "keras"
    }
    if own:
        path.with_suffix(CLASSES).write_bytes(cloudpickle.dumps(own))
    return own


def classes_beside(source: Source) -> dict[str, Any]:
    """Give the classes that our own hand_over wrote beside the file of a source; none of anybody else's."""
    path = source.file.with_suffix(CLASSES)
    if not source.note or not path.exists():
        return {}
    sys.path.insert(0, str(Path.cwd()))
    found: dict[str, Any] = pickle.loads(path.read_bytes())
    return found


def own_code(model: Any) -> tuple[str, ...]:
    """Name the classes and functions that a model has from its user and not from Keras."""
    try:
        config = keras.saving.serialize_keras_object(model)
    except NotImplementedError:  # a class with arguments that Keras cannot write
        return (type(model).__name__,)
    return tuple(dict.fromkeys(_own(config)))


def is_own(path: Path) -> bool:
    """Whether a .keras file asks for classes or functions that are not Keras'."""
    with zipfile.ZipFile(path) as archive:
        return any(True for _ in _own(json.loads(archive.read("config.json"))))


def _own(config: Any) -> Iterator[str]:
    if isinstance(config, dict):
        if config.get("class_name") == "__lambda__":
            yield "lambda"
        elif "class_name" in config and "module" in config and str(config["module"]).partition(".")[0] != "keras":
            named = config["class_name"] if config["class_name"] != "function" else config["config"]
            yield str(named)
    for inner in config.values() if isinstance(config, dict) else config if isinstance(config, list | tuple) else ():
        yield from _own(inner)
