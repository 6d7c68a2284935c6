"""ONNX → TensorFlow: a SavedModel that keeps the batch dynamic, and the tensor names, layout and dtypes as they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from deploy_core.signature import Signature

if TYPE_CHECKING:
    import onnx

__all__ = ["savedmodel_from_onnx", "unsupported"]


def unsupported(model: onnx.ModelProto) -> tuple[str, ...]:
    """Name every operator of the model that has no translation, sorted; subgraphs are looked into."""
    from deploy_exporters.translation.model import unknown_operators

    return unknown_operators(model)


def savedmodel_from_onnx(onnx_path: Path, folder: Path, signature: Signature) -> None:
    """Write a SavedModel whose `serving_default` has exactly the names, dtypes and shapes of `signature`.

    Raises ExportError, before anything is written, naming all operators that have no translation.
    """
    from deploy_exporters.translation.savedmodel import write

    write(onnx_path, folder, signature)
