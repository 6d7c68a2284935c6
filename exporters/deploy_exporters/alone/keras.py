"""Some layers of a Keras model alone: their configurations, their weights, and how they are called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from deploy_core.errors import UsageError, reason
from deploy_core.signature import Signature, Tensors
from deploy_exporters.alone.written_calls import file_of, plain
from deploy_exporters.inside import keras as inside
from deploy_exporters.inside.calls import Calls
from deploy_exporters.sources import examples, keras_file
from deploy_exporters.sources.keras import KerasSource


def part(path: Path, tensors: Sequence[str], values: Tensors, *, signature: Signature, asked: Tensors) -> bytes:
    """Give the calls that make `tensors` where the model is `asked` that. Raises UsageError if they need more than `values`."""
    calls = Calls()
    source = KerasSource(keras_file.read(path), signature, examples.from_specs(signature.inputs))
    given = {name: keras.ops.convert_to_tensor(array) for name, array in signature.conform(asked).items()}
    names = [spec.name for spec in signature.outputs]
    inside.intermediates(source.model, given, lambda: dict(zip(names, source.call(given), strict=True)), calls=calls)
    return file_of(calls, tensors, values, _layer)


def _layer(called: Any) -> dict[str, Any]:
    try:
        told = keras.saving.serialize_keras_object(called)
    except Exception as error:
        raise UsageError(f"{called.name} is not told by its configuration: {reason(error)}") from error
    return {"layer": told, "weights": [plain(each).tolist() for each in getattr(called, "get_weights", list)()]}
