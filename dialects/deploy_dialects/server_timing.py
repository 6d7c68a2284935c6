"""The header `Server-Timing` (W3C) of an answer over REST, and the same as trailing metadata of one over gRPC.

A request asks for it by a header of its own, or metadata, of any value: no server of ours pays for what nobody reads.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

ASKED = "want-server-timing"
TOLD = "server-timing"
_QUOTED = re.compile(
    r'"(?:[^"\\]|\\.)*+(?:"|$)', re.DOTALL
)  # to the end, if nothing ends it: else many quotes take long


def written(parts: Mapping[str, float]) -> str:
    """Write parts of so many seconds each, in their order; the header has milliseconds."""
    return ", ".join([f"{name};dur={seconds * 1e3:.4f}" for name, seconds in parts.items()])


def read(header: str) -> dict[str, float]:
    """Give the seconds of each part that has a duration; what is malformed is left out, and of a name the first counts."""
    found: dict[str, float] = {}
    for metric in _QUOTED.sub("", header).split(","):
        name, *parameters = [piece.strip() for piece in metric.split(";")]
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip().lower() == "dur" and name and (seconds := _seconds(value)) is not None:
                found.setdefault(name, seconds)
    return found


def _seconds(milliseconds: str) -> float | None:
    try:
        seconds = float(milliseconds) / 1e3
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
