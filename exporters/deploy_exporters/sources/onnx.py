"""An ONNX file as a source; it may keep its weights in files beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx

from deploy_core.artifact import digest_of
from deploy_core.errors import UsageError, first_line
from deploy_exporters import formats, onnx_weights
from deploy_exporters.formats import onnx as onnx_format
from deploy_exporters.sources import Given, Source
from deploy_exporters.sources.file import FileSource, ModelFile, open_file
from deploy_exporters.steps import onnx_file


class OnnxSource(FileSource):
    """An ONNX file with what else belongs to it."""

    @property
    def beside(self) -> dict[str, Path]:
        """The files that hold its weights, by the name that the graph has for them."""
        return {name: self.path.parent / name for name in onnx_weights.locations(self.path)}

    def describe(self) -> dict[str, Any]:
        """Give the digest of the file, and of those beside it."""
        parts = [digest_of(path) for path in (self.path, *self.beside.values())]
        return {"training_id": parts[0], "external_data": dict(zip(self.beside, parts[1:], strict=True))}


def read(source: Source) -> ModelFile:
    """Load an ONNX file. Raises UsageError for one that is not valid."""
    path = source.file / onnx_format.FILE if source.file.is_dir() else source.file
    predictor = formats.load_file("onnx", path, trust=source.trust or bool(source.note))
    try:
        model = onnx_weights.load(path)
        if not onnx_file.is_large(model.ByteSize()):  # the checker has the limit of protobuf
            onnx.checker.check_model(model, full_check=True)
    except Exception as error:
        raise UsageError(f"{path} is not valid ONNX: {first_line(error)}", hint="write it again") from error
    return ModelFile("onnx", path, predictor, predictor.signature)


def open_onnx(model: ModelFile, given: Given) -> OnnxSource:
    """Find out the signature of an ONNX file, whose tensors keep their names. Raises UsageError, ExportError."""
    opened = open_file(model, given, OnnxSource)
    assert isinstance(opened, OnnxSource)
    return opened
