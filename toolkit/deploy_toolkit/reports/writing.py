"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from deploy_core.errors import UsageError, first_line


def require_writable(path: Path) -> None:
    """Raise UsageError for a file that cannot be written there, before a benchmark is run for it."""
    if not path.parent.is_dir():
        raise UsageError(f"{path} cannot be written: there is no folder {path.parent}", hint="make it first")
    if path.is_dir():
        raise UsageError(f"{path} is a folder", hint="name a file in it")


def write(path: Path, data: bytes) -> None:
    """Write a file or replace the one that is there; what is no file, such as `/dev/stdout`, is written to as it is.

    Raises UsageError.
    """
    require_writable(path)
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        _replace(path.resolve(), data)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {first_line(error)}", hint="name another file") from error


def _replace(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.name[:200]}.{os.getpid()}.part")
    try:
        with part.open("xb") as file:
            file.write(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
