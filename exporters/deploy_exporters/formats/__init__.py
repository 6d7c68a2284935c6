"""The formats: how each kind of file runs in its own runtime.

A format is a module with
    FILE       where its file lies below the format's folder; `{name}` is the model's name
    LIBRARY    the import that makes its runtime, to find a worker that has it already
    OPTIONS    option → Option: a line of help, and what it may be
    load(path, signature=None, *, threads=None) -> Predictor
    check(chosen)  raises UsageError for what `Option.values` cannot tell of the chosen options, if there is such a thing
    GPU        True if `load` also takes `device`: where it is to run
    TRUST      True if `load` also takes `trust`: whether code that its files may hold is allowed to run
It imports its runtime only in functions: the parent of the workers reads FILE and OPTIONS, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from deploy_core.artifact import Artifact, digest_of
from deploy_core.changes import adapted
from deploy_core.device import CPU, Device
from deploy_core.errors import DeployError, ExportError, UnsafeError, UsageError, first_line
from deploy_core.predictor import Predictor
from deploy_core.signature import Signature
from deploy_core.table import Row, Table
from deploy_exporters.formats import option
from deploy_exporters.formats.sniff import format_of
from deploy_exporters.formats.untold import UntoldError
from deploy_exporters.hosted import host
from deploy_exporters.safety import require_safe
from deploy_exporters.worker import Workers

__all__ = [
    "FORMATS",
    "PUBLIC",
    "UNHEARD",
    "adopt",
    "check_options",
    "file_of",
    "format_of",
    "hosted",
    "load",
    "load_file",
    "runs_as",
    "split",
]

_HERE = "deploy_exporters.formats"
FORMATS = Table(
    "format",
    {
        "torchscript": Row(f"{_HERE}.torchscript", ("torch",), "torch"),
        "mar": Row(f"{_HERE}.mar", (), "torch"),
        "onnx": Row(f"{_HERE}.onnx", ("onnxruntime",), "onnx"),
        "savedmodel": Row(f"{_HERE}.savedmodel", ("tensorflow",), "tensorflow"),
        "tflite": Row(f"{_HERE}.tflite", ("ai_edge_litert",), "tflite"),
        "pt2": Row(f"{_HERE}.pt2", ("torch",), "torch"),
        "openvino": Row(f"{_HERE}.openvino", ("openvino",), "openvino"),
        "executorch": Row(f"{_HERE}.executorch", ("executorch", "torch"), "executorch"),
        "coreml": Row(f"{_HERE}.coreml", (), "coreml"),
        "keras": Row(f"{_HERE}.keras", ("tensorflow",), "tensorflow"),
    },
    internal=("keras",),  # only for references
)
PUBLIC = ("torchscript", "mar", "onnx", "savedmodel", "tflite", "pt2", "openvino", "executorch", "coreml")
UNHEARD = ("coreml",)  # written only: no runtime here


def load(artifact: Artifact, *, threads: int | None = None, device: Device = CPU) -> Predictor:
    """Load an artifact into this process; it answers as its source model does, whatever its file could not keep.

    Raises UsageError if its file cannot be read.
    """
    loaded = load_file(artifact.format, artifact.path, artifact.file_signature, threads=threads, device=device)
    return _adapted(artifact, loaded)


def load_file(
    name: str,
    path: Path,
    signature: Signature | None = None,
    *,
    threads: int | None = None,
    trust: bool = False,
    device: Device = CPU,
) -> Predictor:
    """Load a file of that format into this process. Raises UsageError.

    Without a `signature` it is a file from outside, which tells its own and which no digest vouches for: UnsafeError is
    raised for one that would do more than compute, unless `trust` allows it.
    """
    module = FORMATS.load(name)
    if not path.exists():
        raise UsageError(f"there is no file {path}")
    if signature is None:
        require_safe(path, name, trust=trust)
    more: dict[str, Any] = {"trust": trust or signature is not None} if getattr(module, "TRUST", False) else {}
    if device.on_gpu:
        _require_gpu(name, module)
        more["device"] = device
    try:
        predictor: Predictor = module.load(path, signature, threads=threads, **more)
    except DeployError:
        raise
    except Exception as error:
        raise _unreadable(name, path, error) from error
    return predictor


def _require_gpu(name: str, module: ModuleType) -> None:
    if not getattr(module, "GPU", False):
        able = ", ".join(other for other in PUBLIC if getattr(import_module(FORMATS[other].module), "GPU", False))
        raise UsageError(f"{name} files do not run on a GPU here", hint=f"{able} files do")


def hosted(workers: Workers, artifact: Artifact) -> Predictor:
    """Load an artifact in a worker: a file that crashes its runtime is the worker's affair."""
    return _adapted(artifact, _host(workers, artifact.format, artifact.path, artifact.file_signature))


def adopt(workers: Workers, path: Path, *, trust: bool = False, like: Signature | None = None) -> Artifact:
    """Make an artifact of a file outside the store; its signature is read from the file itself, in a worker.

    A file that does not tell it, as those of other tools, is taken to have that of `like`, if it is given. Raises what
    `runs_as` does, and UsageError for a file that is damaged.
    """
    name = runs_as(path, trust=trust)
    try:
        predictor = _host(workers, name, path, None, trust=trust)
    except UntoldError:
        if like is None:
            raise
        predictor = _host(workers, name, path, like)  # what it holds was looked at a moment ago
    try:
        return Artifact(name, path, predictor.signature, digest=digest_of(path))
    finally:
        predictor.close()


def runs_as(path: Path, *, trust: bool = False) -> str:
    """Give the format that a runtime would take a file for, without opening it. Raises UsageError for what is no model.

    Raises UnsafeError for pickled objects that would do more than compute, unless `trust` allows it.
    """
    name = format_of(path)
    if name not in FORMATS:
        require_safe(path, name, trust=trust)
        raise UsageError(f"{path} holds pickled Python objects, which no runtime runs", hint="deploy export takes it")
    return name


def split(name: str) -> tuple[str, str]:
    """Give format and variant of an artifact's name: `tflite-int8` is (`tflite`, `int8`)."""
    format_, _, variant = name.partition("-")
    return format_, variant


def file_of(name: str, model: str) -> str:
    """Give where the file of an artifact of that name lies below the artifact's folder."""
    return str(FORMATS.load(split(name)[0]).FILE).format(name=model)


def check_options(formats: tuple[str, ...], options: Mapping[str, Mapping[str, str]]) -> None:
    """Raise UsageError for an option of a format that is not exported, that the format does not have, or of a wrong value.

    An option holds for every variant of its format. Nothing heavy is imported to find out.
    """
    for name, chosen in options.items():
        if name not in {split(each)[0] for each in formats}:
            raise UsageError(f"options are given for {name!r}, which is not among the formats to export")
        module = FORMATS.load(name)
        option.check(name, module.OPTIONS, chosen, formats)
        if hasattr(module, "check"):
            module.check(chosen)


def _adapted(artifact: Artifact, predictor: Predictor) -> Predictor:
    return adapted(predictor, artifact.signature, artifact.changes) if artifact.changes else predictor


def _host(workers: Workers, name: str, path: Path, signature: Signature | None, *, trust: bool = False) -> Predictor:
    module: ModuleType = FORMATS.load(name)
    if not path.exists():
        raise UsageError(f"there is no file {path}")
    worker = workers.having(module.LIBRARY)
    try:
        number, told, able = worker.call("deploy_exporters.hosting:load", name, path.absolute(), signature, trust)
    except UnsafeError:
        raise
    except ExportError as error:
        # Whatever its runtime did, down to a crash: what the user sees is a file that does not load.
        raise UsageError(f"{path} cannot be loaded as {name}: {error}", hint=error.hint) from error
    return host(worker, number, told, able)


def _unreadable(name: str, path: Path, error: Exception) -> UsageError:
    return UsageError(
        f"{path} cannot be loaded as {name}: {first_line(error)}",
        hint="it may be truncated or of another kind; export it again",
    )
