"""A source that is a file some runtime runs as it is: its Predictor, and what the manifest says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy_core.artifact import digest_of
from deploy_core.errors import UsageError
from deploy_core.predictor import HasFloat64, HasIntermediates, Intermediate, Predictor
from deploy_core.signature import Signature, Tensors
from deploy_exporters import formats
from deploy_exporters.sources import Given, Source, probing


@dataclass(frozen=True)
class ModelFile:
    """A file of a format, loaded; `told` is its own signature."""

    format: str
    path: Path
    predictor: Predictor
    told: Signature


class FileSource:
    """A file as a source: the kind is its format. It computes in float64 where its runtime does."""

    def __init__(self, file: ModelFile, signature: Signature, example: Tensors) -> None:
        self.kind = file.format
        self.path = file.path
        self.signature = signature
        self.example = example
        self._predictor = file.predictor

    def predict(self, inputs: Tensors) -> Tensors:
        """Answer one batch."""
        return self._predictor.predict(self.signature.conform(inputs))

    def predict_float64(self, inputs: Tensors) -> Tensors:
        """Answer one batch in double precision. Raises UsageError where the runtime has none."""
        if not isinstance(self._predictor, HasFloat64):
            raise UsageError(f"the runtime of {self.kind} cannot compute it in float64")
        return self._predictor.predict_float64(self.signature.conform(inputs))

    def intermediates(self, inputs: Tensors) -> Sequence[Intermediate]:
        """Give the tensors inside for one batch. Raises UsageError where the runtime shows none."""
        if not isinstance(self._predictor, HasIntermediates):
            raise UsageError(f"a file of kind {self.kind} cannot be looked into", hint="look into a file made from it")
        return self._predictor.intermediates(self.signature.conform(inputs))

    def close(self) -> None:
        """Let go of the file."""
        self._predictor.close()

    def describe(self) -> dict[str, Any]:
        """Give the digest of the file."""
        return {"training_id": digest_of(self.path)}


def read(source: Source) -> ModelFile:
    """Load the file of a source. Raises UsageError."""
    name = formats.format_of(source.file)
    predictor = formats.load_file(name, source.file, trust=source.trust or bool(source.note))
    return ModelFile(name, source.file, predictor, predictor.signature)


def open_file(model: ModelFile, given: Given, kind: type[FileSource] | None = None) -> FileSource:
    """Find out the signature of a file, whose tensors keep their names. Raises UsageError, ExportError."""
    own = [spec.name for spec in model.told.outputs]
    if given.outputs and set(given.outputs) != set(own):
        raise UsageError(
            f"a file of kind {model.format} keeps the names of its outputs: {', '.join(own)}", hint="leave --output out"
        )
    order = probing.in_order(own, given.outputs)

    def ask(arrays: Tensors) -> Tensors:
        answer = model.predictor.predict(arrays)
        return {name: answer[name] for name in order}

    signature, rows = probing.signature_of(model.told.inputs, ask, given)
    return (kind or FileSource)(model, signature, rows)
