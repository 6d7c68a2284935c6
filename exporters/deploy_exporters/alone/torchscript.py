"""Some operators of a TorchScript program, or of the one in a .mar, as calls of their own."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from deploy_core.errors import UsageError
from deploy_core.signature import Signature, Tensors
from deploy_exporters import jit
from deploy_exporters.alone.written_calls import file_of
from deploy_exporters.deploy_handler import load, to_tensor
from deploy_exporters.inside import torchscript as inside
from deploy_exporters.inside.calls import Calls

_MANIFEST = "MAR-INF/MANIFEST.json"


def part(path: Path, tensors: Sequence[str], values: Tensors, *, signature: Signature, asked: Tensors) -> bytes:
    """Give the calls that make `tensors` where the program is `asked` that. Raises UsageError if they need more than `values`."""
    calls = Calls()
    with _program(path) as file:
        script, _ = load(file, "cpu")
        given = {name: to_tensor(array) for name, array in signature.conform(asked).items()}
        names = [spec.name for spec in signature.outputs]
        inside.intermediates(script, given, names, layers=jit.layers(file), calls=calls)
    return file_of(calls, tensors, values, _operator)


def _operator(called: tuple[str, str]) -> tuple[str, str]:
    if called[0].startswith("prim::"):
        raise UsageError(f"{called[0]} is no operator that is called by itself")
    return called


@contextmanager
def _program(path: Path) -> Generator[Path]:
    if path.suffix != ".mar":
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="deploy-alone-") as folder, zipfile.ZipFile(path) as archive:
        name = json.loads(archive.read(_MANIFEST))["model"]["serializedFile"]
        yield Path(archive.extract(name, folder))
