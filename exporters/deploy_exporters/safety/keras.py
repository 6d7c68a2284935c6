"""Keras files: layers that bring Python code, and those whose code is not in the file."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deploy_exporters.safety import archive, hdf5
from deploy_exporters.safety.danger import Danger, some

_BY_NAME = "name the model as FILE.py:ATTRIBUTE, where its classes and functions are defined"
_CODE = {"__lambda__": "a Python lambda", "TFSMLayer": "a SavedModel of its own"}
_KERAS = ("keras", "builtins")


def dangers(path: Path) -> Iterator[Danger]:
    """Give the layers of a .keras or .h5 file that are code of their own, and what of it lies outside."""
    if not zipfile.is_zipfile(path):
        yield from hdf5.dangers(path)
        yield from _config(_of_hdf5(path))
        return
    with zipfile.ZipFile(path) as opened:
        yield from archive.dangers(opened)
        yield from _config(json.loads(opened.read("config.json")))
        for name in opened.namelist():
            if name.endswith((".h5", ".hdf5")):
                yield from hdf5.dangers(io.BytesIO(opened.read(name)))


def _of_hdf5(path: Path) -> Any:
    import h5py  # type: ignore[import-untyped]

    with h5py.File(path, "r") as opened:
        return json.loads(opened.attrs.get("model_config", "{}"))


def _config(config: Any) -> Iterator[Danger]:
    code, unknown = [], []
    for layer, part in _objects(config):
        name, module = str(part["class_name"]), part.get("module", "keras")
        if name in _CODE or _is_old_lambda(part):
            code.append(f"layer {layer!r} holds {_CODE.get(name, 'a Python lambda')}")
        elif not (name.startswith("__") or str(module).partition(".")[0] in _KERAS):  # builtins: Keras' own functions
            unknown.append(f"{part['config'] if name == 'function' else name} (layer {layer!r})")
    if code:
        yield Danger(f"{some(code)}, and reading it runs that code", _BY_NAME)
    if unknown:
        yield Danger(f"it needs code that it does not hold: {some(unknown)}", _BY_NAME)


def _is_old_lambda(part: dict[str, Any]) -> bool:
    # As Keras 2 wrote it.
    return isinstance(part["config"], dict) and part["config"].get("function_type") == "lambda"


def _objects(value: Any, layer: str = "model") -> Iterator[tuple[str, dict[str, Any]]]:
    """Give every serialised object in a config, with the name of the layer that it belongs to."""
    todo = [(layer, value)]
    while todo:
        layer, value = todo.pop()
        if isinstance(value, dict):
            if isinstance(inner := value.get("config"), dict):
                module = value.get("module")  # none: a class of the user's own
                layer = str(inner.get("name", layer)) if module is None or "layers" in module else layer
            if "class_name" in value and "config" in value:
                yield layer, value
            todo += [(layer, each) for key, each in value.items() if key not in ("compile_config", "build_config")]
        elif isinstance(value, list):
            todo += [(layer, each) for each in value]
