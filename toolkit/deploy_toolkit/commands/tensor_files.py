"""Tensors by name, as users give them: `.npz`, or `.json`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy_core.errors import UsageError, first_line

if TYPE_CHECKING:
    from deploy_core.signature import Array

# What other files begin with; anything else without a NUL is text.
_BEGINNINGS = {
    b"PK": "it is a zip archive that is cut off or damaged",
    b"\x93NUMPY": "it is a single array (.npy), which has no name",
    b"\x80": "it is a pickle, which could run code when it is read",
    b"\x89HDF": "it is an HDF5 file",
}


def read(path: Path) -> Mapping[str, Array]:
    """Read `.npz`, or `.json` as `{name: nested list}`. Raises UsageError, UnsafeError."""
    import zipfile
    import zlib

    if not path.is_file():
        what = "is a folder" if path.exists() else "does not exist"
        raise UsageError(f"{path} {what}", hint="give an .npz file, or a .json file {name: nested list}")
    try:
        found = _json(path) if path.suffix == ".json" else _npz(path)
    except (ValueError, OSError, EOFError, RecursionError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise _nothing(path, first_line(error)) from error
    if not found:
        raise _nothing(path, "it is empty")
    return found


def read_all(path: Path) -> dict[str, Mapping[str, Array]]:
    """Read a file, or every `.npz` in a folder, by the name of the file. Raises UsageError, UnsafeError."""
    if not path.is_dir():
        return {path.name: read(path)}
    files = sorted(path.glob("*.npz"))
    if not files:
        raise UsageError(f"{path} holds no .npz file", hint="write each with numpy.savez(path, name=array)")
    return {file.name: read(file) for file in files}


def _json(path: Path) -> Mapping[str, Array]:
    import json

    found = json.loads(path.read_text())
    if not isinstance(found, dict):
        raise ValueError(f"it holds a {type(found).__name__}, not {{name: nested list}}")
    return found


def _npz(path: Path) -> Mapping[str, Array]:
    import zipfile

    import numpy as np

    from deploy_exporters.safety import require_safe

    if not zipfile.is_zipfile(path):
        raise ValueError(_kind_of(path))
    require_safe(path, "npz")
    with np.load(path, allow_pickle=False) as file:
        found = {name: _array(file, name) for name in file.files}
    if others := [name for name, value in found.items() if not isinstance(value, np.ndarray)]:
        raise ValueError(f"it is an archive of other files, such as {others[0]}")
    return found


def _array(file: Mapping[str, Any], name: str) -> Any:
    try:
        return file[name]
    except ValueError as error:
        # numpy's advice is to read the pickle.
        raise ValueError(f"{name!r} holds Python objects" if "allow_pickle" in str(error) else str(error)) from error


def _kind_of(path: Path) -> str:
    with path.open("rb") as opened:
        head = opened.read(1024)
    if not head:
        return "it is empty"
    known = (kind for beginning, kind in _BEGINNINGS.items() if head.startswith(beginning))
    return next(known, "it is a file of another kind" if b"\0" in head else "it is a text file")


def _nothing(path: Path, why: str) -> UsageError:
    how = "write it as {name: nested list}" if path.suffix == ".json" else "write it with numpy.savez(path, name=array)"
    return UsageError(f"{path} holds no named tensors: {why}", hint=how)
