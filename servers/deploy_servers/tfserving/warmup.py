"""The golden inputs of a version as the requests that TensorFlow Serving asks it before it serves it."""

from __future__ import annotations

from deploy_core.artifact import Artifact
from deploy_core.signature import BATCH, Tensors
from deploy_model_store import Version

_MOST_BYTES = 1 << 20  # of one request: what is lazy is done at the first one, whatever its size


def inputs(version: Version, artifact: Artifact, most_rows: int) -> list[Tensors]:
    """Give what to ask: one row, and as many as may come together; none if there are no golden inputs."""
    golden = version.golden.inputs
    if not golden:
        return []
    if any(spec.shape[:1] != (BATCH,) or BATCH in spec.shape[1:] for spec in version.signature.inputs):
        return [_as_in_file(golden, artifact)]
    sizes = _sizes(version, min(most_rows, version.golden.rows))
    return [_as_in_file({name: array[:size] for name, array in golden.items()}, artifact) for size in sizes]


def _sizes(version: Version, most: int) -> list[int]:
    least, promised = version.agreement.get("promised", {}).get("ranges", {}).get(BATCH, (1, most))
    row = sum(array.nbytes // len(array) for array in version.golden.inputs.values() if len(array))
    greatest = min(most, int(promised), max(int(least), _MOST_BYTES // max(row, 1)))
    return sorted({size for size in (int(least), greatest) if 0 < size <= most})


def _as_in_file(tensors: Tensors, artifact: Artifact) -> Tensors:
    changes = {change.tensor: change for change in artifact.changes}
    return {name: changes[name].to_file(array) if name in changes else array for name, array in tensors.items()}
