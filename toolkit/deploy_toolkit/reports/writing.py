"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from deploy_core.errors import UsageError, first_line


def require_writable(path: Path) -> None:
    """Raise UsageError for a file that cannot be written there, before anything is done for it: it is tried."""
    if not path.parent.is_dir():
        raise UsageError(f"{path} cannot be written: there is no folder {path.parent}", hint="make it first")
    if path.is_dir():
        raise UsageError(f"{path} is a folder", hint="name a file in it")
    try:
        _try(path)
    except OSError as error:
        raise _refused(path, error) from error


def require_folder(folder: Path) -> None:
    """Raise UsageError for a folder, which may be a new one, in which no file could be written: that is tried."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is no folder", hint="name a folder, which may be a new one")
    there = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
    try:
        _try(there / "file")
    except OSError as error:
        raise UsageError(f"{folder} cannot be written to: {first_line(error)}", hint="name another folder") from error


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
        raise _refused(path, error) from error


def _refused(path: Path, error: OSError) -> UsageError:
    return UsageError(f"{path} cannot be written: {first_line(error)}", hint="name another file")


def _try(path: Path) -> None:
    """Do all that writing does but for the last step. Raises OSError; who may write is not all that decides, as in /proc."""
    if path.exists() and not path.is_file():
        if not os.access(path, os.W_OK):  # opening a pipe would wait for its reader
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return
    part = _part(path.resolve())
    part.touch(exist_ok=False)
    part.unlink()


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name[:200]}.{os.getpid()}.part")


def _replace(path: Path, data: bytes) -> None:
    part = _part(path)
    try:
        with part.open("xb") as file:
            file.write(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
