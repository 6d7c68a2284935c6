"""Documents for machines as text: JSON that every reader takes, in which no bare NaN or Infinity stands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def text(document: Mapping[str, Any], *, indent: int | None = 2) -> str:
    """Write a document. Raises ValueError for NaN and infinities, which JSON does not know: a document has them as words."""
    return json.dumps(document, indent=indent, allow_nan=False)
