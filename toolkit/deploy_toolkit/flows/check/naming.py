"""What is written for a subject is named after it."""

from __future__ import annotations

import re

_LONG = 100  # characters of each word: a file's name may have 255 bytes


def slug(*words: str) -> str:
    """Give a name for a file or folder: of each word what may stand in one, its end where it is long."""
    return "-".join(re.sub(r"[^A-Za-z0-9._-]+", "-", word)[-_LONG:].strip("-.") or "input" for word in words)
