"""Which trained model is meant: SOURCE on the command line, or a model in memory that is handed to the worker."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

from deploy_core.errors import UsageError
from deploy_core.signature import TensorSpec

FILES = {
    ".pt2": "a torch.export program",
    ".keras": "a Keras model",
    ".pt": "a TorchScript program",
    ".ts": "a TorchScript program",
    ".jit": "a TorchScript program",
    ".pth": "a TorchScript program",
    ".onnx": "an ONNX file",
    ".tflite": "a TensorFlow Lite file",
    ".mar": "a TorchServe archive",
}
FOLDERS = {"saved_model.pb": "a SavedModel", "model.onnx": "an ONNX file with its weights beside it"}
HANDED_OVER = ".pkl"  # what `handover` writes where nothing else will do; nobody else's pickle is read
_KNOWN = f"a source is FILE.py:ATTRIBUTE, MODULE:ATTRIBUTE, a file ({', '.join(FILES)}) or the folder of a SavedModel"
_MODULE = re.compile(r"^(?P<module>[^\W\d]\w*(\.[^\W\d]\w*)*):(?P<attribute>[^\W\d]\w*(\.[^\W\d]\w*)*)$")
_SCRIPT = re.compile(r"^(?P<path>.+\.py):(?P<attribute>[^\W\d]\w*(\.[^\W\d]\w*)*)$")
# The first class that fits: on Keras' torch backend a Keras model is a torch module, too.
_CLASSES = (
    ("keras", "Model", "keras"),
    ("torch.export", "ExportedProgram", "pt2"),
    ("torch.jit", "ScriptModule", "torchscript"),
    ("torch.nn", "Module", "torch"),
)


@dataclass(frozen=True)
class Given:
    """What a user says of a source model that it may not know itself.

    `inputs` name its dimensions, `outputs` override the names of its own; `static` fixes every dimension to the size
    that it has in the example.
    """

    example: object | None = None
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[str, ...] = ()
    static: bool = False


@dataclass(frozen=True)
class Source:
    """Plain data that a worker can open: an attribute of a module or script, or a file.

    `location` is what the user wrote; `folder` comes first when modules are searched; `note` says how it was handed
    over; `trust` allows what may run code of the file's own, `static` that every dimension has one size; `signature` names the one of a SavedModel that is meant;
    `inside` says that the model in an archive is meant, and not the archive.
    """

    location: str
    folder: Path
    path: Path | None = None
    module: str = ""
    attribute: str = ""
    note: str = ""
    example: object | None = field(default=None, compare=False)
    trust: bool = False
    static: bool = False
    signature: str = ""
    inside: bool = False

    @property
    def file(self) -> Path:
        """`path`, of a source that is a file."""
        assert self.path is not None
        return self.path


def find(text: str) -> Source:
    """Read SOURCE as the command line takes it. Raises UsageError; the module itself is imported by the worker."""
    if script := _SCRIPT.match(text):
        path = _existing(Path(script["path"]), text)
        return Source(text, path.parent, path=path, attribute=script["attribute"])
    if (module := _MODULE.match(text)) and not Path(text).exists():
        return Source(text, Path.cwd(), module=module["module"], attribute=module["attribute"])
    path = Path(text)
    if path.suffix == ".py":
        raise UsageError(f"{text!r} names no attribute", hint=f"write {text}:ATTRIBUTE, e.g. {text}:model")
    if path.suffix not in FILES and not any((path / name).is_file() for name in FOLDERS):
        raise UsageError(f"{text!r} is not a source", hint=_KNOWN)
    path = _existing(path, text)
    return Source(text, path.parent, path=path)


def kind_of(model: object) -> str | None:
    """Tell what a model in memory is, without importing its library; None if it is no model that we know."""
    if isinstance(model, type):
        return None
    for module, name, kind in _CLASSES:
        library = sys.modules.get(module.partition(".")[0])
        if library is not None and isinstance(model, getattr(sys.modules.get(module, library), name, ())):
            return kind
    return None


def _existing(path: Path, text: str) -> Path:
    if not path.exists():
        raise UsageError(f"{text!r}: there is no file {path}", hint=_KNOWN)
    return path.resolve()
