"""Tell the format of a file outside the store by its name and its first bytes."""

from __future__ import annotations

import zipfile
from pathlib import Path

from deploy_core.errors import UsageError

_SUFFIXES = {".onnx": "onnx", ".tflite": "tflite", ".mar": "mar", ".keras": "keras", ".pt2": "pt2"}
_KNOWN = "known are TorchScript (.pt), .mar, .onnx, SavedModel folders, .tflite, .keras and .pt2"


def format_of(path: Path) -> str:
    """Give the name of the format. Raises UsageError."""
    if not path.exists():
        raise UsageError(f"there is no file {path}")
    if path.is_dir():
        if (path / "saved_model.pb").is_file():
            return "savedmodel"
        if (path / "model.onnx").is_file():
            return "onnx"  # with its weights in files beside it
        raise UsageError(f"the folder {path} holds no saved_model.pb, so it is no SavedModel", hint=_KNOWN)
    if path.suffix in (".pt", ".pth", ".ts"):
        return _torchscript(path)
    if path.suffix in _SUFFIXES:
        return _SUFFIXES[path.suffix]
    with path.open("rb") as file:
        if file.read(8)[4:] == b"TFL3":
            return "tflite"
    raise UsageError(f"{path} is no model file that is known here", hint=_KNOWN)


def _torchscript(path: Path) -> str:
    if not zipfile.is_zipfile(path):
        raise UsageError(
            f"{path} is not a TorchScript file",
            hint="a pickled model or state_dict cannot be run without its code; a truncated file cannot be run at all",
        )
    with zipfile.ZipFile(path) as archive:
        if any("/code/" in name for name in archive.namelist()):
            return "torchscript"
    raise UsageError(
        f"{path} holds pickled weights, not a TorchScript program", hint="export the model: FILE.py:ATTRIBUTE"
    )
