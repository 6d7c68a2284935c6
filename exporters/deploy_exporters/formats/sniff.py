"""Tell the format of a file outside the store by its name and its first bytes."""

from __future__ import annotations

import zipfile
from pathlib import Path

from deploy_core.errors import UsageError
from deploy_exporters.safety import pickles

_TORCH = (".pt", ".pth", ".ts", ".jit")
_SUFFIXES = {
    ".onnx": "onnx",
    ".tflite": "tflite",
    ".mar": "mar",
    ".keras": "keras",
    ".pt2": "pt2",
    ".pte": "executorch",
    ".xml": "openvino",
}
_BINARY = (".onnx", ".tflite", ".mar", ".keras", ".pt2", ".pte")
_HEAD = 512  # bytes
_LFS = b"version https://git-lfs.github.com/spec/"
_TEXT = frozenset((*b"\t\n\f\r", *range(0x20, 0x7F), *range(0x80, 0x100)))  # UTF-8 among them, no other control
_KNOWN = "known are TorchScript (.pt), .mar, .onnx, SavedModel and OpenVINO folders, .tflite, .pt2, .pte, .mlpackage and .keras"


def format_of(path: Path) -> str:
    """Give the name of the format; `pickle` is none that a runtime takes. Raises UsageError."""
    if not path.exists():
        raise UsageError(f"there is no file {path}")
    if path.is_dir():
        return _folder(path)
    head = _head(path)
    if path.suffix in _TORCH:
        return _torchscript(path)
    if path.suffix in _BINARY and _TEXT.issuperset(head):
        raise UsageError(f"{path} holds text, and no model", hint=_KNOWN)
    if path.suffix in _SUFFIXES:
        return _SUFFIXES[path.suffix]
    if head[4:8] == b"TFL3":
        return "tflite"
    raise UsageError(f"{path} is no model file that is known here", hint=_KNOWN)


def _head(path: Path) -> bytes:
    """Read the first bytes. Raises UsageError if there are none, and for what stands in the place of a file."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint="name a file that can be") from error
    if not head:
        raise UsageError(f"{path} is empty", hint="export it again")
    if head.startswith(_LFS):
        raise UsageError(f"{path} only says where Git LFS keeps the file", hint="git lfs pull brings it")
    return head


def _folder(path: Path) -> str:
    # An ONNX file with its weights in files beside it, OpenVINO's graph with its own.
    for inside, name in (("saved_model.pb", "savedmodel"), ("model.onnx", "onnx"), ("model.xml", "openvino")):
        if (path / inside).is_file():
            return name
    if path.suffix == ".mlpackage":
        return "coreml"
    raise UsageError(f"the folder {path} holds no saved_model.pb, so it is no SavedModel", hint=_KNOWN)


def _torchscript(path: Path) -> str:
    if pickles.is_pickle(path):
        return "pickle"
    if not zipfile.is_zipfile(path):
        raise UsageError(
            f"{path} is not a TorchScript file",
            hint="a pickled model or state_dict cannot be run without its code; a truncated file cannot be run at all",
        )
    with zipfile.ZipFile(path) as archive:
        if any("/code/" in name for name in archive.namelist()):
            return "torchscript"
        if any(name.endswith("data.pkl") for name in archive.namelist()):
            return "pickle"
    raise UsageError(f"{path} is not a TorchScript file", hint="write it with torch.jit.save")
