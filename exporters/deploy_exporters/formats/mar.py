"""TorchServe archives, run by their handler with a stand-in for TorchServe; no Java."""

from __future__ import annotations

import json
import tempfile
import traceback
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deploy_core.dtypes import dtype_name
from deploy_core.errors import InputError, UnavailableError, UsageError, reason
from deploy_core.predictor import Intermediate
from deploy_core.signature import Array, Signature, Tensors
from deploy_core.table import require
from deploy_exporters.formats import onnx, torchscript
from deploy_exporters.formats.option import Option, Options
from deploy_exporters.safety import require_safe
from deploy_exporters.safety.mar import HANDLER, foreign_code
from deploy_exporters.steps import mar_files
from deploy_exporters.torchserve_stand_in import Context, Handle, start

FILE = "{name}.mar"
LIBRARY = "torch"
OPTIONS: Options = {
    "handler": Option("FILE.py with a handler of your own in place of ours"),
    "extra-files": Option("FILE[,…] to lie beside the handler"),
    "requirements": Option("FILE.txt with packages for TorchServe to install (install_py_dep_per_model)"),
    "unproved": Option("yes: keep it though a handler of your own does not start or answer here", ("yes",)),
}
TRUST = True
SIGNATURE = "signature.json"
_RUNTIMES = {".pt": ("torch", "torch"), ".onnx": ("onnxruntime", "onnx")}


class Archive:
    """An unpacked archive and its handler."""

    def __init__(
        self, folder: tempfile.TemporaryDirectory[str], handler: object, handle: Handle, context: Context, own: str
    ) -> None:
        self.context = context
        self.handler = handler
        self.signature = Signature.from_json(json.loads((Path(folder.name) / SIGNATURE).read_text()))
        self._folder = folder
        self._handle = handle
        self._own = own

    def predict(self, inputs: Tensors) -> Tensors:
        """Answer one batch, as bytes to the handler and back.

        Raises InputError with what the handler refuses; UnavailableError for a handler that speaks another language.
        """
        from deploy_exporters.deploy_handler import read_safetensors, write_safetensors

        body = write_safetensors({name: _packed(array) for name, array in self.signature.conform(inputs).items()})
        try:
            (answer,) = self.handle([{"body": bytearray(body)}])
            if not isinstance(answer, dict) or "error" not in answer:
                return {name: _unpacked(*tensor) for name, tensor in read_safetensors(bytes(answer)).items()}
        except Exception as error:
            if not self._own:
                raise
            traceback.print_exc()
            raise _only_torchserve(self._own, f"does not answer safetensors bodies: {reason(error)}") from error
        raise InputError(f"the handler of the .mar refused: {answer['error']}")

    def intermediates(self, inputs: Tensors) -> Sequence[Intermediate]:
        """Give the tensors inside the model that our handler asks. Raises UsageError for a handler of the user's own."""
        if self._own:
            raise UsageError(
                f"what the archive's own handler {self._own} asks its model is not known",
                hint="look into another format of the same model",
            )
        model = Path(self._folder.name) / self.context.manifest["model"]["serializedFile"]
        inside = (onnx if model.suffix == ".onnx" else torchscript).load(model, self.signature)
        found: Sequence[Intermediate] = inside.intermediates(inputs)
        return found

    def handle(self, requests: list[Mapping[str, Any]]) -> list[Any]:
        """Hand requests to the handler as TorchServe does."""
        self.context.statuses.clear()
        return self._handle(requests, self.context)

    def close(self) -> None:
        """Remove the unpacked files; may be called twice."""
        self._folder.cleanup()


def check(chosen: Mapping[str, str]) -> None:
    """Raise UsageError for a file that is not there, or cannot be what it is named for."""
    mar_files.added(chosen, dict.fromkeys((HANDLER.name, SIGNATURE), b""))


def load(path: Path, signature: Signature | None = None, *, threads: int | None = None, trust: bool = False) -> Archive:
    """Unpack a .mar of ours and start its handler; `threads` holds for all of torch in this process.

    Without a `signature` it comes from outside the store, where no digest vouches for it: then its handler, which is
    code, must be the one that this toolkit writes, to the byte. Raises UnavailableError for a handler of the user's own
    that does not start here.
    """
    folder = tempfile.TemporaryDirectory(prefix="deploy-mar-")
    try:
        manifest = _unpack(path, Path(folder.name), vouched=trust or signature is not None)
        model = Path(folder.name) / manifest["model"]["serializedFile"]
        if signature is None and model.suffix == ".onnx":
            require_safe(model, "onnx", trust=trust)
        _prepare(model, threads)
        return _started(folder, manifest)
    except BaseException:
        folder.cleanup()
        raise


def version_of(path: Path) -> str:
    """Give the version that TorchServe knows an archive by. Raises UsageError for a file that is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return str(json.loads(archive.read("MAR-INF/MANIFEST.json"))["model"]["modelVersion"])
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path} is not a TorchServe archive: {reason(error)}") from error


def _unpack(path: Path, root: Path, *, vouched: bool) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        manifest = _manifest(path, archive)
        if not vouched and foreign_code(archive, str(manifest["model"]["handler"])):
            raise _not_ours(path)
        for name in archive.namelist():
            if Path(name).name == name:  # what the archive calls a file never becomes a path
                (root / name).write_bytes(archive.read(name))
    return manifest


def _manifest(path: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(archive.read("MAR-INF/MANIFEST.json"))
        model = manifest["model"]
        names = [str(model["handler"]), SIGNATURE, str(model["serializedFile"])]
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path} is not a TorchServe archive: its manifest lacks {error}") from error
    if any(Path(name).name != name or name not in archive.namelist() for name in names):
        raise _not_ours(path)
    if Path(names[2]).suffix not in _RUNTIMES:
        raise _not_ours(path)
    return manifest


def _prepare(model: Path, threads: int | None) -> None:
    module, extra = _RUNTIMES[model.suffix]
    require("running a .mar with such a model", (module,), extra)
    if threads is not None and module == "torch":
        import torch

        torch.set_num_threads(threads)


def _started(folder: tempfile.TemporaryDirectory[str], manifest: dict[str, Any]) -> Archive:
    root, name = Path(folder.name), str(manifest["model"]["handler"])
    context = Context(root, manifest)
    own = "" if name == HANDLER.name else name
    try:
        return Archive(folder, *start(root / name, context, alone=not own), context, own)
    except Exception as error:
        if not own:
            raise
        traceback.print_exc()
        raise _only_torchserve(own, f"does not start here: {reason(error)}") from error


def _only_torchserve(handler: str, why: str) -> UnavailableError:
    return UnavailableError(
        f"the archive's own handler {handler} {why}", hint="only TorchServe can run it: serve it and check the URL"
    )


def _not_ours(path: Path) -> UsageError:
    return UsageError(
        f"{path} carries a handler that is not ours",
        hint="only TorchServe itself can run it: serve it and check the URL",
    )


def _packed(array: Array) -> tuple[str, Array]:
    name = dtype_name(array.dtype)
    own = np.ascontiguousarray(array).reshape(array.shape)
    return name, own.view(np.uint16) if name == "bfloat16" else own


def _unpacked(dtype: str, array: Array) -> Array:
    if dtype != "bfloat16":
        return array
    import ml_dtypes

    return array.view(ml_dtypes.bfloat16)
