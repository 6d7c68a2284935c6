"""What every ONNX file gets before it leaves: our names and symbols, no traces of this machine, a check."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx

from deploy_core.errors import ExportError, UsageError
from deploy_core.signature import Signature, TensorSpec
from deploy_exporters import onnx_weights
from deploy_exporters.inside.layers import SCOPES

# A protobuf message ends at 2 GiB; the graph beside the weights needs some of it.
INLINE_BYTES = 1_900_000_000
DATA_SUFFIX = ".data"
SHORT = 128  # bytes: shapes and axes have to lie in the graph, where they are read before the weights


def is_large(weights: int) -> bool:
    """Tell whether weights of that many bytes have to lie in a file beside the graph."""
    return weights > INLINE_BYTES


def wants_external(options: Mapping[str, str]) -> bool:
    """Tell whether the user wants the weights beside the graph."""
    return options.get("external_data") == "always"


def opset_of(options: Mapping[str, str], known: range, default: int) -> int:
    """Give the version of the operator set to write, of those that the converter knows. Raises UsageError."""
    value = int(options.get("opset", default))
    if value not in known:
        raise UsageError(
            f"onnx.opset is '{value}'", hint=f"from this source it is a number from {known[0]} to {known[-1]}"
        )
    return value


def check_names(signature: Signature) -> None:
    """Raise ExportError for an output that has the name of an input, before the converter writes what is no ONNX."""
    both = {spec.name for spec in signature.inputs} & {spec.name for spec in signature.outputs}
    if both:
        raise ExportError(
            f"{', '.join(sorted(both))} is the name of an input and of an output, which ONNX does not allow",
            hint="name the outputs with --output; every file that is made from ONNX needs it, too",
        )


def finish(path: Path, signature: Signature, *, external: bool = False) -> None:
    """Name the dimensions as the signature does, drop metadata, check. Raises ExportError for a frozen dimension.

    The weights lie in a file beside the graph if they are large or if `external` wants it.
    """
    model = onnx_weights.load(path)
    for values, specs in ((model.graph.input, signature.inputs), (model.graph.output, signature.outputs)):
        _check_same([value.name for value in values], [spec.name for spec in specs])
        for value, spec in zip(values, specs, strict=True):
            _name_dimensions(value, spec)
    _strip(model)
    save(model, path, external=external)
    onnx.checker.check_model(str(path), full_check=True)


def save(model: Any, path: Path, *, external: bool = False) -> None:
    """Write a model, its weights in a file beside it if they are large or if `external` wants it."""
    data = path.with_name(path.name + DATA_SUFFIX)
    data.unlink(missing_ok=True)  # onnx would append to it
    if external or is_large(sum(len(tensor.raw_data) for tensor in onnx_weights.tensors(model))):
        onnx.save(
            model, str(path), save_as_external_data=True, location=data.name, size_threshold=SHORT if external else 1024
        )
    else:
        onnx.save(model, str(path))


def _check_same(got: list[str], want: list[str]) -> None:
    if got != want:
        raise ExportError(
            f"the ONNX file has the tensors {', '.join(got)}, the model has {', '.join(want)}",
            hint="an input that the model does not use, or two outputs that are one tensor, get lost",
        )


def _name_dimensions(value: Any, spec: TensorSpec) -> None:
    shape = value.type.tensor_type.shape
    if len(shape.dim) != len(spec.shape):
        raise ExportError(f"the ONNX file has {len(shape.dim)} dimensions in {value.name!r}, the model has {spec}")
    for dim, want in zip(shape.dim, spec.shape, strict=True):
        fixed = dim.dim_value if dim.HasField("dim_value") else None
        if isinstance(want, str) and fixed is not None:
            raise ExportError(
                f"the converter froze {want} of {value.name!r} to {fixed}", hint="its batch is not dynamic"
            )
        if isinstance(want, str):
            dim.dim_param = want
        else:
            dim.dim_value = want


def _strip(model: Any) -> None:
    # torch writes stack traces with the user's paths into every node; the layers that they are of are worth keeping.
    model.doc_string = ""
    del model.metadata_props[:]
    for part in (model.graph, *model.functions):
        for thing in (*part.node, *part.value_info):
            thing.doc_string = ""
            scopes = [each.value for each in thing.metadata_props if each.key == SCOPES]
            del thing.metadata_props[:]
            thing.metadata_props.extend(onnx.StringStringEntryProto(key=SCOPES, value=each) for each in scopes)
    for thing in (model.graph, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del thing.metadata_props[:]
