"""The JSON of model metadata, in both directions."""

from __future__ import annotations

from typing import Any

from deploy_core.signature import Signature, TensorSpec
from deploy_dialects.answers import member
from deploy_dialects.malformed import Malformed, shown
from deploy_dialects.shapes import symbolic, wire_dims
from deploy_dialects.tfserving.dtypes import NAMES, dtype_of_name
from deploy_dialects.tfserving.names import METHOD, SIGNATURE
from deploy_dialects.wire import Description, Served


def metadata_json(served: Served) -> dict[str, Any]:
    """Give the answer to GET …/metadata."""
    signature = {
        "inputs": {spec.name: _tensor_info(spec) for spec in served.signature.inputs},
        "outputs": {spec.name: _tensor_info(spec) for spec in served.signature.outputs},
        "method_name": METHOD,
        "defaults": {},
    }
    return {
        "model_spec": {"name": served.name, "signature_name": "", "version": str(served.version)},
        "metadata": {"signature_def": {"signature_def": {SIGNATURE: signature}}},
    }


def read_metadata(answer: dict[str, Any]) -> Description:
    """Read the answer to GET …/metadata, snake_case as TensorFlow Serving or camelCase as OVMS writes it. Raises Malformed."""
    spec = _either(answer, "model_spec", "modelSpec")
    outer = _either(member(answer, "metadata", dict), "signature_def", "signatureDef")
    signatures = _either(outer, "signature_def", "signatureDef")
    if SIGNATURE not in signatures:
        raise Malformed(f"there is no signature {SIGNATURE!r}, only {shown(sorted(signatures))}")
    chosen = signatures[SIGNATURE]
    signature = Signature(_specs(member(chosen, "inputs", dict)), _specs(member(chosen, "outputs", dict)))
    version = spec.get("version")
    return Description(signature, None if version is None else str(version))


def _tensor_info(spec: TensorSpec) -> dict[str, Any]:
    dims = [{"size": str(size), "name": ""} for size in wire_dims(spec.shape)]
    return {
        "dtype": NAMES[spec.dtype],
        "tensor_shape": {"dim": dims, "unknown_rank": False},
        "name": f"{spec.name}:0",
    }


def _specs(infos: dict[str, Any]) -> tuple[TensorSpec, ...]:
    return tuple(_spec(name, info) for name, info in infos.items())


def _spec(name: str, info: Any) -> TensorSpec:
    dtype = dtype_of_name(member(info, "dtype", str))
    shape = _either(info, "tensor_shape", "tensorShape")
    if shape.get("unknown_rank", shape.get("unknownRank", False)):
        raise Malformed(f"tensor {name!r} has an unknown rank; give connect() the signature")
    try:
        dims = [int(dim["size"]) for dim in shape.get("dim", [])]
    except (TypeError, KeyError, ValueError):
        raise Malformed(f"tensor {name!r} has the shape {shown(shape)}") from None
    return TensorSpec(name, dtype, symbolic(name, dims))


def _either(data: Any, snake: str, camel: str) -> dict[str, Any]:
    key = camel if isinstance(data, dict) and camel in data else snake
    value: dict[str, Any] = member(data, key, dict)
    return value
