"""Which tensors a dialect over a transport cannot carry, as clients ask that are not told to ask by raw bytes."""

from __future__ import annotations

from collections.abc import Mapping

from deploy_core.signature import Signature, TensorSpec
from deploy_dialects.oip.datatypes import ONLY_BINARY

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


# Of those with a choice, what their raw bytes do not carry.
NOT_BINARY: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("oip", "rest"): _COMPLEX,
    ("torchserve", "rest"): _SAFETENSORS,
}


def not_carried(dialect: str, transport: str, signature: Signature) -> tuple[TensorSpec, ...]:
    """Give the inputs and outputs of a model that cannot travel this way."""
    without = NOT_CARRIED[dialect, transport]
    return tuple(spec for spec in (*signature.inputs, *signature.outputs) if spec.dtype in without)


def only_binary(dialect: str, signature: Signature) -> bool:
    """Tell whether a model has tensors that a dialect carries as raw bytes and in no other form."""
    return dialect == "oip" and any(spec.dtype in ONLY_BINARY for spec in (*signature.inputs, *signature.outputs))


def has_choice(dialect: str, transport: str, signature: Signature) -> bool:
    """Tell whether all tensors of a model go both ways: as this dialect's text, and as its raw bytes."""
    without = NOT_BINARY.get((dialect, transport))
    specs = (*signature.inputs, *signature.outputs)
    return (
        without is not None and not only_binary(dialect, signature) and all(one.dtype not in without for one in specs)
    )
