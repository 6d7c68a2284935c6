"""The formats: how each kind of file runs in its own runtime.

A format is a module with
    FILE       where its file lies below the format's folder; `{name}` is the model's name
    LIBRARY    the import that makes its runtime, to find a worker that has it already
    OPTIONS    option → one line of help
    load(path, signature=None, *, threads=None) -> Predictor
It imports its runtime only in functions: the parent of the workers reads FILE and OPTIONS, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from deploy_core.artifact import Artifact, digest_of
from deploy_core.changes import Adapted
from deploy_core.errors import DeployError, ExportError, UsageError
from deploy_core.predictor import Predictor
from deploy_core.signature import Signature
from deploy_core.table import Row, Table
from deploy_exporters.formats.sniff import format_of
from deploy_exporters.hosted import Hosted, HostedExact
from deploy_exporters.worker import Workers

__all__ = [
    "FORMATS",
    "PUBLIC",
    "adopt",
    "check_options",
    "file_of",
    "format_of",
    "hosted",
    "load",
    "load_file",
    "split",
]

_HERE = "deploy_exporters.formats"
FORMATS = Table(
    "format",
    {
        "torchscript": Row(f"{_HERE}.torchscript", ("torch",), "torch"),
        "mar": Row(f"{_HERE}.mar", ("torch",), "torch"),
        "onnx": Row(f"{_HERE}.onnx", ("onnxruntime",), "onnx"),
        "savedmodel": Row(f"{_HERE}.savedmodel", ("tensorflow",), "tensorflow"),
        "tflite": Row(f"{_HERE}.tflite", ("ai_edge_litert",), "tflite"),
        # Only for references so far.
        "keras": Row(f"{_HERE}.keras", ("tensorflow",), "tensorflow"),
        "pt2": Row(f"{_HERE}.pt2", ("torch",), "torch"),
    },
)
PUBLIC = ("torchscript", "mar", "onnx", "savedmodel", "tflite")


def load(artifact: Artifact, *, threads: int | None = None) -> Predictor:
    """Load an artifact into this process; it answers as its source model does, whatever its file could not keep.

    Raises UsageError if its file cannot be read.
    """
    return _adapted(artifact, load_file(artifact.format, artifact.path, artifact.file_signature, threads=threads))


def load_file(name: str, path: Path, signature: Signature | None = None, *, threads: int | None = None) -> Predictor:
    """Load a file of that format into this process; without a signature, the file's own. Raises UsageError."""
    module = FORMATS.load(name)
    if not path.exists():
        raise UsageError(f"there is no file {path}")
    try:
        predictor: Predictor = module.load(path, signature, threads=threads)
    except DeployError:
        raise
    except Exception as error:
        raise _unreadable(name, path, error) from error
    return predictor


def hosted(workers: Workers, artifact: Artifact) -> Predictor:
    """Load an artifact in a worker: a file that crashes its runtime is the worker's affair."""
    return _adapted(artifact, _host(workers, artifact.format, artifact.path, artifact.file_signature))


def adopt(workers: Workers, path: Path) -> Artifact:
    """Make an artifact of a file outside the store; its signature is read from the file itself, in a worker."""
    name = format_of(path)
    predictor = _host(workers, name, path, None)
    try:
        return Artifact(name, path, predictor.signature, digest=digest_of(path))
    finally:
        predictor.close()


def split(name: str) -> tuple[str, str]:
    """Give format and variant of an artifact's name: `tflite-int8` is (`tflite`, `int8`)."""
    format_, _, variant = name.partition("-")
    return format_, variant


def file_of(name: str, model: str) -> str:
    """Give where the file of an artifact of that name lies below the artifact's folder."""
    return str(FORMATS.load(split(name)[0]).FILE).format(name=model)


def check_options(formats: tuple[str, ...], options: Mapping[str, Mapping[str, str]]) -> None:
    """Raise UsageError for an option of a format that is not exported, or that the format does not have.

    An option holds for every variant of its format.
    """
    for name, chosen in options.items():
        if name not in {split(each)[0] for each in formats}:
            raise UsageError(f"options are given for {name!r}, which is not among the formats to export")
        known: Mapping[str, str] = FORMATS.load(name).OPTIONS
        for option in chosen:
            if option not in known:
                hint = f"it has {', '.join(known)}" if known else "it has no options"
                raise UsageError(f"format {name} has no option {option!r}", hint=hint)


def _adapted(artifact: Artifact, predictor: Predictor) -> Predictor:
    return Adapted(predictor, artifact.signature, artifact.changes) if artifact.changes else predictor


def _host(workers: Workers, name: str, path: Path, signature: Signature | None) -> Predictor:
    module: ModuleType = FORMATS.load(name)
    if not path.exists():
        raise UsageError(f"there is no file {path}")
    worker = workers.having(module.LIBRARY)
    try:
        number, told, exact = worker.call("deploy_exporters.hosting:load", name, path.absolute(), signature, None)
    except ExportError as error:
        # Whatever its runtime did, down to a crash: what the user sees is a file that does not load.
        raise UsageError(f"{path} cannot be loaded as {name}: {error}", hint=error.hint) from error
    return (HostedExact if exact else Hosted)(worker, number, told)


def _unreadable(name: str, path: Path, error: Exception) -> UsageError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[0][:300] if lines else type(error).__name__
    return UsageError(
        f"{path} cannot be loaded as {name}: {reason}", hint="it may be truncated or of another kind; export it again"
    )
