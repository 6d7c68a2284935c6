"""Which tensors a dialect over a transport cannot carry, as clients ask that are not told to ask by raw bytes."""

from __future__ import annotations

from collections.abc import Mapping

from deploy_core.signature import Signature, TensorSpec

_COMPLEX = ("complex64", "complex128")
_SAFETENSORS = ("complex128", "string")

# By the protocols' own rules. OIP has 16-bit floats as raw bytes only: for them readiness asks so.
NOT_CARRIED: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("tfserving", "rest"): ("float16", "bfloat16", *_COMPLEX),
    ("tfserving", "grpc"): (),
    ("oip", "rest"): _COMPLEX,
    ("oip", "grpc"): _COMPLEX,
    ("torchserve", "rest"): _COMPLEX,
    ("torchserve", "grpc"): _SAFETENSORS,
}


def not_carried(dialect: str, transport: str, signature: Signature) -> tuple[TensorSpec, ...]:
    """Give the inputs and outputs of a model that cannot travel this way."""
    without = NOT_CARRIED[dialect, transport]
    return tuple(spec for spec in (*signature.inputs, *signature.outputs) if spec.dtype in without)
