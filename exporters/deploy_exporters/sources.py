"""Which trained model is meant: SOURCE on the command line, or a model in memory that is handed to the worker."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy_core.errors import UsageError

FILES = {".pt2": "a torch.export program", ".keras": "a Keras model"}
_KNOWN = f"a source is FILE.py:ATTRIBUTE, MODULE:ATTRIBUTE or a file ({', '.join(FILES)})"
_MODULE = re.compile(r"^(?P<module>[^\W\d]\w*(\.[^\W\d]\w*)*):(?P<attribute>[^\W\d]\w*(\.[^\W\d]\w*)*)$")
_SCRIPT = re.compile(r"^(?P<path>.+\.py):(?P<attribute>[^\W\d]\w*(\.[^\W\d]\w*)*)$")


@dataclass(frozen=True)
class Source:
    """Plain data that a worker can open: an attribute of a module or script, or a file.

    `location` is what the user wrote; `folder` comes first when modules are searched; `note` says how it was handed over.
    """

    location: str
    folder: Path
    path: Path | None = None
    module: str = ""
    attribute: str = ""
    note: str = ""
    example: object | None = field(default=None, compare=False)


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
    if path.suffix not in FILES:
        raise UsageError(f"{text!r} is not a source", hint=_KNOWN)
    path = _existing(path, text)
    return Source(text, path.parent, path=path)


def hand_over(model: object, folder: Path, example: Mapping[str, object] | object | None) -> Source:
    """Write a model in memory to `folder` in a form that a worker can open, with its example inputs.

    Imports no framework: a model of torch or Keras has its framework in memory already.
    Raises UsageError if that cannot be done.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kind = kind_of(model)
    if kind == "torch":
        from deploy_exporters import handover

        return handover.torch_model(model, folder, example)
    if kind == "keras":
        path = folder / "model.keras"
        model.save(path)  # type: ignore[attr-defined]  # a Keras model, as kind_of found
        return Source(_class(model), folder, path=path, note="handed over as .keras", example=example)
    return pickled(model, folder, example)


def pickled(model: object, folder: Path, example: object | None, *, why: str = "") -> Source:
    """Hand a model over by cloudpickle."""
    import cloudpickle

    path = folder / "model.pkl"
    try:
        path.write_bytes(cloudpickle.dumps((model, example)))
    except Exception as error:
        raise UsageError(
            f"a {_class(model)} cannot be handed to the worker: {type(error).__name__}: {error}",
            hint="write it to a file (.keras, .pt2) or name it as file.py:attribute",
        ) from error
    return Source(_class(model), Path.cwd(), path=path, note=f"handed over by cloudpickle{why and f' ({why})'}")


def kind_of(model: object) -> str | None:
    """Tell `torch` or `keras`, without importing either; None if it is no model that we know."""
    if isinstance(model, type):
        return None
    torch, keras = sys.modules.get("torch"), sys.modules.get("keras")
    if keras is not None and isinstance(model, keras.Model):
        return "keras"
    if torch is not None and isinstance(model, (torch.nn.Module, torch.export.ExportedProgram)):
        return "torch"
    return None


def _existing(path: Path, text: str) -> Path:
    if not path.exists():
        raise UsageError(f"{text!r}: there is no file {path}", hint=_KNOWN)
    return path.resolve()


def _class(model: object) -> str:
    return f"{type(model).__module__}.{type(model).__qualname__}"
