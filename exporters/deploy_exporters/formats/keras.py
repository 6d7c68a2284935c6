"""Keras' own files, run by Keras."""

from __future__ import annotations

from pathlib import Path

from deploy_core.predictor import Predictor
from deploy_core.signature import Signature
from deploy_exporters.formats.option import Options
from deploy_exporters.sources import examples

FILE = "model.keras"
LIBRARY = "tensorflow"
TRUST = True
OPTIONS: Options = {}


def load(
    path: Path, signature: Signature | None = None, *, threads: int | None = None, trust: bool = False
) -> Predictor:
    """Load a .keras file; `trust` runs Python code in it; how many threads it takes is the backend's own affair."""
    from deploy_exporters.sources import Given, keras_file
    from deploy_exporters.sources.keras import KerasSource, open_keras

    model = keras_file.read(path, trust=trust)
    if signature is None:
        return open_keras(model, Given())
    return KerasSource(model, signature, examples.from_specs(signature.inputs))
