"""A model's file with TFLite metadata: names, ranges over the golden rows, labels, licence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deploy_core.dtypes import dtype_name
from deploy_core.errors import UsageError
from deploy_core.signature import Array, Tensors, TensorSpec
from deploy_exporters.packaging.contents import Contents
from deploy_exporters.packaging.embedding import has_metadata, with_metadata
from deploy_exporters.packaging.graph import graph
from deploy_exporters.packaging.metadata import ModelFacts, TensorFacts, metadata
from deploy_exporters.packaging.text import described


def described_model(contents: Contents, inputs: Tensors, outputs: Tensors) -> bytes:
    """Give the file with metadata; one that was described by its maker stays as it is. Raises UsageError, ExportError."""
    lies = graph(contents.model)
    if has_metadata(contents.model):
        if contents.labels:
            raise UsageError("the file has TFLite metadata of its own", hint="leave out --labels, or export the model")
        return contents.model
    signature = contents.signature
    facts = ModelFacts(
        name=contents.name,
        description=described(contents),
        version=str(contents.version),
        license=_first_line(contents.license),
        inputs=_facts(contents, signature.inputs, lies.inputs, inputs),
        outputs=_facts(contents, signature.outputs, lies.outputs, outputs),
    )
    files = {contents.labels.file: contents.labels.content} if contents.labels else {}
    return with_metadata(contents.model, metadata(facts), files)


def _facts(
    contents: Contents, specs: Sequence[TensorSpec], order: Sequence[str], arrays: Tensors
) -> tuple[TensorFacts, ...]:
    by_name = {spec.name: spec for spec in specs}
    labels = contents.labels
    return tuple(
        TensorFacts(
            name,
            f"{by_name[name]}, as it was trained",
            _range(arrays[name]),
            labels.file if labels and labels.output == name else "",
        )
        for name in order
    )


def _range(array: Array) -> tuple[float, float] | None:
    """Give the least and the greatest finite value; none for what has no order."""
    if dtype_name(array.dtype) in ("string", "complex64", "complex128"):
        return None
    values = array.astype(np.float64)
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else None


def _first_line(license_: bytes | None) -> str:
    if license_ is None:
        return "not stated"
    lines = (line.strip() for line in license_.decode(errors="replace").splitlines())
    return next((line for line in lines if line), "not stated")
