"""TorchServe archives, run by their own handler with a stand-in for TorchServe; no Java."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from deploy_core.errors import DeployError, InputError, UsageError
from deploy_core.signature import Signature, Tensors

FILE = "{name}.mar"
LIBRARY = "torch"
TRUST = True
OPTIONS: Mapping[str, str] = {}
HANDLER = Path(__file__).parents[1] / "deploy_handler.py"


class Context:
    """What a handler sees of TorchServe; the status and content type of each answer are kept by index."""

    def __init__(self, folder: Path, manifest: Mapping[str, Any]) -> None:
        self.manifest = manifest
        self.system_properties = {"model_dir": str(folder), "gpu_id": None, "batch_size": 1}
        self.statuses: dict[int, int] = {}
        self.content_types: dict[int, str] = {}

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        """Keep the status of one answer."""
        self.statuses[idx] = code

    def set_response_content_type(self, idx: int, value: str) -> None:
        """Keep the content type of one answer."""
        self.content_types[idx] = value


class Archive:
    """An unpacked archive and its handler."""

    def __init__(self, folder: tempfile.TemporaryDirectory[str], handler: Any, context: Context) -> None:
        self.context = context
        self.handler = handler
        self.signature = Signature.from_json(handler.signature)
        self._folder = folder

    def predict(self, inputs: Tensors) -> Tensors:
        """Answer one batch, as bytes to the handler and back. Raises InputError with what the handler refuses."""
        from deploy_exporters.deploy_handler import read_safetensors, to_tensor, write_safetensors
        from deploy_exporters.torch_source import to_array

        tensors = {name: to_tensor(array) for name, array in self.signature.conform(inputs).items()}
        (answer,) = self.handle([{"body": bytearray(write_safetensors(tensors))}])
        if isinstance(answer, dict):
            raise InputError(f"the handler of the .mar refused: {answer['error']}")
        return {name: to_array(tensor) for name, tensor in read_safetensors(answer).items()}

    def handle(self, requests: list[Mapping[str, Any]]) -> list[Any]:
        """Hand requests to the handler as TorchServe does."""
        self.context.statuses.clear()
        answers: list[Any] = self.handler.handle(requests, self.context)
        return answers

    def close(self) -> None:
        """Remove the unpacked files; may be called twice."""
        self._folder.cleanup()


def load(path: Path, signature: Signature | None = None, *, threads: int | None = None, trust: bool = False) -> Archive:
    """Unpack a .mar of ours and start its handler; `threads` holds for all of torch in this process.

    Without a `signature` it comes from outside the store, where no digest vouches for it: then its handler, which is
    code, must be the one that this toolkit writes, to the byte.
    """
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    folder = tempfile.TemporaryDirectory(prefix="deploy-mar-")
    try:
        return _started(path, folder, vouched=trust or signature is not None)
    except BaseException:
        folder.cleanup()
        raise


def _started(path: Path, folder: tempfile.TemporaryDirectory[str], *, vouched: bool) -> Archive:
    root = Path(folder.name)
    with zipfile.ZipFile(path) as archive:
        manifest = _manifest(path, archive)
        if not vouched and archive.read(HANDLER.name) != HANDLER.read_bytes():
            raise _not_ours(path)
        for name in (HANDLER.name, "signature.json", manifest["model"]["serializedFile"]):
            # Under our own names: what the archive calls them never becomes a path.
            (root / Path(name).name).write_bytes(archive.read(name))
    context = Context(root, manifest)
    handler = _handler(root / HANDLER.name)()
    handler.initialize(context)
    return Archive(folder, handler, context)


def _manifest(path: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(archive.read("MAR-INF/MANIFEST.json"))
        ours = manifest["model"]["handler"] == HANDLER.name and "signature.json" in archive.namelist()
        serialized = manifest["model"]["serializedFile"]
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path} is not a TorchServe archive: its manifest lacks {error}") from error
    if not ours or "/" in serialized:
        raise _not_ours(path)
    return manifest


def _not_ours(path: Path) -> UsageError:
    return UsageError(
        f"{path} carries a handler that is not ours",
        hint="only TorchServe itself can run it: serve it and check the URL",
    )


def _handler(path: Path) -> Any:
    spec = spec_from_file_location("deploy_handler_of_mar", path)
    if spec is None or spec.loader is None:
        raise DeployError(f"the handler {path} cannot be loaded")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.DeployHandler
