"""Core ML packages: written here, run by Apple's systems only."""

from __future__ import annotations

from pathlib import Path

from deploy_core.errors import UnavailableError
from deploy_core.predictor import Predictor
from deploy_core.signature import Signature
from deploy_exporters.formats.option import Options

FILE = "model.mlpackage"  # a folder, as Xcode wants it
LIBRARY = "coremltools"
OPTIONS: Options = {}


def load(path: Path, signature: Signature | None = None, *, threads: int | None = None) -> Predictor:
    """Raise UnavailableError: no library runs it here."""
    raise UnavailableError(
        "Core ML runs on Apple's systems only: this file was written, and nobody has asked it",
        hint="open it in Xcode, and compare it with the version's golden outputs there",
    )
