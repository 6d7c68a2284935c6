"""Whether a file that was just written tells of its own tensors what its manifest will say of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deploy_core.artifact import Artifact
from deploy_core.errors import ExportError
from deploy_core.signature import TensorSpec
from deploy_exporters.formats import adopt
from deploy_exporters.worker import Workers

# The others tell what we wrote into them as a note, or nothing.
TELLING = ("onnx", "savedmodel", "tflite", "openvino")


def require_told(workers: Workers, artifact: Artifact) -> None:
    """Raise ExportError for a file whose names, dtypes or ranks differ from the source's without a recorded change."""
    if artifact.format not in TELLING:
        return
    wanted, told = artifact.file_signature, adopt(workers, artifact.path, trust=True).signature
    found = [*_differences("input", wanted.inputs, told.inputs), *_differences("output", wanted.outputs, told.outputs)]
    if found:
        raise ExportError(
            f"the {artifact.name} file changed what nobody asked for: {'; '.join(found)}",
            hint="a step of its route must keep it, or record the change; tell us",
        )


def _differences(kind: str, wanted: Sequence[TensorSpec], told: Sequence[TensorSpec]) -> Iterator[str]:
    by_name = {spec.name: spec for spec in told}
    missing, extra = [spec for spec in wanted if spec.name not in by_name], set(by_name) - {s.name for s in wanted}
    if missing or extra:
        yield f"its {kind}s are {', '.join(by_name)}, the model's {', '.join(spec.name for spec in wanted)}"
    for spec in wanted:
        own = by_name.get(spec.name, spec)
        # TFLite tells no shape for an output whose rank its converter lost track of.
        ranked = bool(own.shape) or kind == "input"
        if own.dtype != spec.dtype or (ranked and not _fits(own, spec)):
            yield f"{kind} {own} instead of {spec}"


def _fits(own: TensorSpec, wanted: TensorSpec) -> bool:
    """Whether the ranks are equal, and the sizes that both tell."""
    pairs = zip(own.shape, wanted.shape, strict=False)
    numbers = all(a == b for a, b in pairs if isinstance(a, int) and isinstance(b, int))
    return len(own.shape) == len(wanted.shape) and numbers
