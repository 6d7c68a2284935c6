"""Which artifact of a version the embedded server runs, and by what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from deploy_core.artifact import Artifact
from deploy_core.errors import UnavailableError
from deploy_model_store import Version


@dataclass(frozen=True)
class Runtime:
    """What runs a format: the module it needs, the extra that brings it, and how it is called on the wire.

    `parallel` says that one loaded model may run in several threads at once.
    """

    format: str
    needs: str
    extra: str
    platform: str
    parallel: bool = False


# In order of preference: what loads and runs fastest first.
RUNTIMES = (
    Runtime("onnx", "onnxruntime", "onnx", "onnxruntime_onnx", parallel=True),
    Runtime("torchscript", "torch", "torch", "pytorch_torchscript"),
    Runtime("tflite", "ai_edge_litert", "tflite", "tflite"),
    Runtime("savedmodel", "tensorflow", "tensorflow", "tensorflow_savedmodel"),
)


def choose(version: Version, wanted: str = "", *, anywhere: bool = False) -> tuple[Artifact, Runtime]:
    """Give the artifact to serve, `wanted` by name or the one of the best installed runtime, and what runs it.

    With `anywhere` it is the best runtime, installed here or not: the server is to run elsewhere. Raises UsageError if
    there is no such artifact, UnavailableError if no installed runtime runs one.
    """
    known = {runtime.format: runtime for runtime in RUNTIMES}
    if wanted:
        artifacts = [version.artifact(wanted)]
    else:
        plain = {artifact.format: artifact for artifact in version.artifacts if not artifact.variant}
        artifacts = [plain[format_] for format_ in known if format_ in plain]
    runnable = [(artifact, known[artifact.format]) for artifact in artifacts if artifact.format in known]
    for artifact, runtime in runnable:
        if anywhere or find_spec(runtime.needs) is not None:
            return artifact, runtime
    raise _nothing_runs(version, [runtime for _, runtime in runnable])


def _nothing_runs(version: Version, missing: Sequence[Runtime]) -> UnavailableError:
    if missing:
        names = ", ".join(runtime.needs for runtime in missing)
        return UnavailableError(
            f"{version} needs {names} to be served", hint=f"pip install 'deploy-toolkit[{missing[0].extra}]'"
        )
    formats = [runtime.format for runtime in RUNTIMES]
    variants = [artifact.name for artifact in version.artifacts if artifact.variant and artifact.format in formats]
    if variants:
        return UnavailableError(
            f"{version} has only variants with coarser numbers", hint=f"--set artifact={variants[0]} serves one"
        )
    return UnavailableError(
        f"{version} has no artifact that the embedded server runs", hint=f"export one of {', '.join(formats)}"
    )
