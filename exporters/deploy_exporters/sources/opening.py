"""Open a source inside a worker: read its file, or import and call the user's code, then find out what it is."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, Protocol

from deploy_core.errors import UsageError
from deploy_core.signature import Signature, Tensors
from deploy_exporters.formats.sniff import format_of
from deploy_exporters.safety import require_safe
from deploy_exporters.sources import HANDED_OVER, Given, Source, kind_of, user_code


class Opened(Protocol):
    """What every kind of source model can do."""

    kind: str
    signature: Signature
    example: Tensors

    def predict(self, inputs: Tensors) -> Tensors:
        """Answer one batch."""

    def predict_float64(self, inputs: Tensors) -> Tensors:
        """Answer one batch in double precision. Raises UsageError where that cannot be had."""

    def describe(self) -> dict[str, Any]:
        """Give what the manifest says of the source; a `training_id` at least."""

    def close(self) -> None:
        """Let go of memory; may be called twice."""


@dataclass(frozen=True)
class Opener:
    """Two functions, each `module:name` in this package.

    `open(model, given) -> Opened` finds out the signature; `read(source) -> model` reads a file.
    """

    open: str
    read: str = ""


# What a model is, in a file or in memory; each `Opened` tells its kind, which is where ROUTES begin.
OPENERS: Mapping[str, Opener] = {
    "torch": Opener("torch:open_torch"),
    "pickle": Opener("torch:open_torch", "pickled:read"),
    "pt2": Opener("pt2:open_pt2", "pt2:read"),
    "torchscript": Opener("torchscript:open_torchscript", "torchscript:read"),
    "keras": Opener("keras:open_keras", "keras_file:read_source"),
    "onnx": Opener("onnx:open_onnx", "onnx:read"),
    "savedmodel": Opener("savedmodel:open_savedmodel", "savedmodel:read"),
    "tflite": Opener("file:open_file", "file:read"),
    "mar": Opener("file:open_file", "file:read"),
}


def require_safe_source(source: Source) -> tuple[str, ...]:
    """Raise UnsafeError for a file that would do more than compute; give what is trusted in it. Nothing reads it yet."""
    if source.path is None or source.attribute or source.note:
        return ()  # the user's own module, a model of theirs that was in memory a moment ago, or a stored file
    return require_safe(source.path, format_of(source.path), trust=source.trust)


def open_source(source: Source, given: Given) -> Opened:
    """Open a source. Raises UsageError if there is no model, ExportError if it cannot answer."""
    if source.inside:
        model, own = import_module("deploy_exporters.archived").model_inside(source.file), source.example
        opener = OPENERS[kind_of(model) or ""]
    elif source.path is not None and not source.attribute and source.path.suffix != HANDED_OVER:
        opener = OPENERS[format_of(source.path)]
        model, own = _function(opener.read)(source), source.example
    else:
        model, own = _model_and_example(source)
        opener = OPENERS[kind_of(model) or ""]
    opened: Opened = _function(opener.open)(model, replace(given, example=own) if given.example is None else given)
    return opened


def _function(name: str) -> Any:
    module, _, function = name.partition(":")
    return getattr(import_module(f"deploy_exporters.sources.{module}"), function)


def _model_and_example(source: Source) -> tuple[Any, object | None]:
    if source.attribute:
        found = user_code.attribute(source)
    else:
        sys.path.insert(0, str(source.folder))
        found = pickle.loads(source.file.read_bytes())  # written by our own hand_over a moment ago
    if kind_of(found) is None and callable(found) and not isinstance(found, type):
        found = user_code.called(source, found)
    model, example = found if isinstance(found, tuple) and len(found) == 2 else (found, None)
    if kind_of(model) is None:
        raise UsageError(
            f"{source.location} is {_what(model)}, which is no model",
            hint="name a torch.nn.Module, a Keras model, or a function that returns one",
        )
    if example is None:
        example = next((e for e in _own_examples(model) if e is not None), None)
    return model, example


def _own_examples(model: object) -> list[object]:
    # `example_input_array` is Lightning's word for it.
    return [getattr(model, name, None) for name in ("example", "example_input_array")]


def _what(value: object) -> str:
    return f"the class {value.__qualname__}" if isinstance(value, type) else f"of type {type(value).__qualname__}"
