"""Libraries imported without what they would bring along."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any


def openvino() -> Any:
    """Give OpenVINO without its telemetry, which would tell its maker of every import; it has a stub for that."""
    return _without(("openvino_telemetry",), "openvino")


def onnxruntime() -> Any:
    """Give ONNX Runtime without its telemetry, which would tell its maker of every import and leave a file in TMPDIR."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    return import_module("onnxruntime")


def coremltools() -> Any:
    """Give coremltools without the frameworks that it would import to convert from: seconds, and most of a gigabyte."""
    return _without(("tensorflow", "sklearn", "xgboost"), "coremltools")


def _without(hidden: tuple[str, ...], library: str) -> Any:
    """Import a library while others, unless they are there already, look as if they were not installed."""
    hiding = [name for name in hidden if library not in sys.modules and name not in sys.modules]
    sys.modules.update(dict.fromkeys(hiding))  # type: ignore[arg-type]  # None is Python's word for it
    try:
        return import_module(library)
    finally:
        for name in hiding:
            del sys.modules[name]
