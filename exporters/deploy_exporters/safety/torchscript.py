"""TorchScript archives: pickles that are more than weights, and programs that read or write files."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from deploy_exporters.safety import archive, pickles
from deploy_exporters.safety.danger import Danger, some

# The only operators of torch that take the name of a file.
_FILE = re.compile(r"\b(?:torch|aten)[\s\\]*\.[\s\\]*(save|from_file)\b")
_COMMENT = re.compile(r"#[^\n]*")


def dangers(path: Path) -> Iterator[Danger]:
    """Give what loading or running a TorchScript file would do besides computing."""
    with zipfile.ZipFile(path) as opened:
        yield from of(opened)


def of(opened: zipfile.ZipFile) -> Iterator[Danger]:
    """Give the dangers of an archive that is open already."""
    yield from archive.dangers(opened)
    yield from pickles.entries(opened)
    for name in opened.namelist():
        if "code/" in name and name.endswith(".py"):
            yield from _program(name, opened.read(name).decode(errors="replace"))


def _program(name: str, text: str) -> Iterator[Danger]:
    # With and without comments: one can stand inside a name, and what looks like one can stand inside a string.
    found = sorted({operator for each in (text, _COMMENT.sub("", text)) for operator in _FILE.findall(each)})
    if found:
        called = some([f"torch.{operator}" for operator in found])
        yield Danger(f"the program {name} calls {called}, which opens files", "take that call out of its forward")
