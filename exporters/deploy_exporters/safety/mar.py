"""TorchServe archives: handlers and packages, which are code, and the model inside."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

from deploy_core.preprocessing import MODULES
from deploy_exporters.safety import archive, pickles, torchscript
from deploy_exporters.safety.danger import Danger, some

HANDLER = Path(__file__).parents[1] / "deploy_handler.py"
_OURS = MODULES  # what runs beside the handler, by its name in the archive
_CODE = (".py", ".pyc", ".pyd", ".so")  # what a handler can import of what lies beside it
_HOW = "serve it with TorchServe and check the URL"


def dangers(path: Path) -> Iterator[Danger]:
    """Give what TorchServe, or our stand-in for it, would run of an archive."""
    with zipfile.ZipFile(path) as opened:
        yield from archive.dangers(opened)
        model = json.loads(opened.read("MAR-INF/MANIFEST.json"))["model"]
        yield from _code(opened, str(model["handler"]))
        body = opened.read(str(model["serializedFile"])) if "serializedFile" in model else b""
        yield from _serialized(str(model.get("serializedFile", "")), body)


def foreign_code(opened: zipfile.ZipFile, handler: str) -> list[str]:
    """Name the code in an archive that is not our own, to the byte; a handler of another name is not ours."""
    code = [name for name in opened.namelist() if name.endswith(_CODE)]
    foreign = [name for name in code if opened.read(name) != _OURS.get(name, HANDLER).read_bytes()]
    return foreign if handler in (HANDLER.name, *foreign) else [*foreign, handler]


def _code(opened: zipfile.ZipFile, handler: str) -> Iterator[Danger]:
    if foreign := foreign_code(opened, handler):
        yield Danger(f"it carries a handler that is not ours: {some(foreign)}", _HOW)
    if "requirements.txt" in opened.namelist():
        yield Danger("its requirements.txt has TorchServe install packages", _HOW)


def _serialized(name: str, body: bytes) -> Iterator[Danger]:
    if name.endswith((".pt", ".pth", ".ts")) and body[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(body)) as inner:
            yield from torchscript.of(inner)
    elif name.endswith((".pt", ".pth", ".pkl", ".bin")):
        yield from pickles.of(name, body)
