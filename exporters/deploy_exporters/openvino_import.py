"""OpenVINO, imported without its telemetry: it would tell its maker of every import and conversion."""

from __future__ import annotations

import sys
from typing import Any

_TELEMETRY = "openvino_telemetry"


def openvino() -> Any:
    """Give the module; where the telemetry package cannot be imported, OpenVINO uses a stub of its own."""
    if "openvino" not in sys.modules:
        sys.modules.setdefault(_TELEMETRY, None)  # type: ignore[arg-type]  # None is Python's word for "not to be had"
    import openvino

    return openvino
