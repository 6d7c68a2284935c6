"""TFLite metadata: what a file says of itself, as the metadata schema (identifier M001, version 1.5.0) has it.

Field numbers are those of `metadata_schema.fbs` in tflite-support.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_AXIS_LABELS = 2  # AssociatedFileType.TENSOR_AXIS_LABELS
_FEATURE = 1  # ContentProperties.FeatureProperties
_PARSER = "1.0.0"  # nothing here is younger than the schema's first version


@dataclass(frozen=True)
class TensorFacts:
    """One tensor: its range over the golden rows, if it holds numbers, and the file of its labels, if it has one."""

    name: str
    description: str
    range: tuple[float, float] | None = None
    labels: str = ""


@dataclass(frozen=True)
class ModelFacts:
    """A model; `inputs` and `outputs` stand in the order of the file's own subgraph."""

    name: str
    description: str
    version: str
    license: str
    inputs: Sequence[TensorFacts]
    outputs: Sequence[TensorFacts]


def metadata(facts: ModelFacts) -> bytes:
    """Give the metadata as a flatbuffer of its own; the same facts give the same bytes."""
    from flatbuffers import Builder

    builder = Builder(1024)
    inputs = _vector(builder, [_tensor(builder, tensor) for tensor in facts.inputs])
    outputs = _vector(builder, [_tensor(builder, tensor) for tensor in facts.outputs])
    graph = _vector(builder, [_table(builder, {2: inputs, 3: outputs})])
    name, description, version, parser = (
        builder.CreateString(text) for text in (facts.name, facts.description, facts.version, _PARSER)
    )
    license_ = builder.CreateString(facts.license)
    model = _table(builder, {0: name, 1: description, 2: version, 3: graph, 5: license_, 7: parser})
    builder.Finish(model, file_identifier=b"M001")
    return bytes(builder.Output())


def _tensor(builder: Any, facts: TensorFacts) -> int:
    name, description = builder.CreateString(facts.name), builder.CreateString(facts.description)
    content = _table(builder, {1: _table(builder, {})}, {0: _FEATURE})
    fields = {0: name, 1: description, 3: content}
    if facts.range is not None:
        least, greatest = (builder.CreateNumpyVector(np.array([value], "<f4")) for value in facts.range)
        fields[5] = _table(builder, {0: greatest, 1: least})
    if facts.labels:
        file = builder.CreateString(facts.labels)
        told = builder.CreateString(f"the labels of {facts.name}, one a line")
        fields[6] = _vector(builder, [_table(builder, {0: file, 1: told}, {2: _AXIS_LABELS})])
    return _table(builder, fields)


def _table(builder: Any, offsets: Mapping[int, int], enums: Mapping[int, int] | None = None) -> int:
    small = enums or {}
    builder.StartObject(max((*offsets, *small), default=-1) + 1)
    for field, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(field, offset, 0)
    for field, value in small.items():
        builder.PrependUint8Slot(field, value, 0)
    return int(builder.EndObject())


def _vector(builder: Any, offsets: Iterable[int]) -> int:
    found = list(offsets)
    builder.StartVector(4, len(found), 4)
    for offset in reversed(found):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())
