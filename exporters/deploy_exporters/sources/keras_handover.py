"""Hand a Keras model in memory to the worker: as .keras with its user's classes beside it, else as a SavedModel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from deploy_core.errors import UsageError, reason
from deploy_exporters.sources import Given, Source, keras_file, keras_inputs
from deploy_exporters.sources.keras import open_keras


def hand_over(model: Any, name: str, folder: Path, given: Given) -> Source:
    """Write a model; one of a user's own class is built by the example first, if it was not. Raises UsageError."""
    if not model.built and (given.example is not None or given.inputs):
        open_keras(model, given)
    path = folder / "model.keras"
    try:
        classes = keras_file.write_classes(model, path)
        model.save(path)
        if classes or not keras_inputs.is_built_from_inputs(model):
            _require_read_back(model, path, classes)
    except Exception as error:
        return _as_savedmodel(model, name, folder, given, why=reason(error))
    return Source(name, folder, path=path, note="handed over as .keras", example=given.example)


def _require_read_back(model: Any, path: Path, classes: dict[str, Any]) -> None:
    """Raise unless the file has all that the model has: Keras writes classes whose reading loses their weights."""
    again = keras_file.read(path, trust=True, code=classes).get_weights()
    own = model.get_weights()
    if len(own) != len(again) or not all(np.array_equal(a, b) for a, b in zip(own, again, strict=True)):
        raise ValueError("the .keras file loses weights")


def _as_savedmodel(model: Any, name: str, folder: Path, given: Given, *, why: str) -> Source:
    if keras.backend.backend() != "tensorflow":
        raise UsageError(f"a {name} cannot be written as .keras: {why}", hint="name it as file.py:attribute")
    from deploy_exporters.steps.job import Job
    from deploy_exporters.steps.keras import savedmodel_from_keras

    source = open_keras(model, given)
    path = folder / "model"
    savedmodel_from_keras(source, Job(None, path, source.signature, (), "model"))
    return Source(name, folder, path=path, note=f"handed over as a SavedModel ({why})", example=source.example)
