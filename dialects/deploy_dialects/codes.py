"""The code tables: a canonical gRPC code name and the HTTP status that says the same, per dialect."""

from __future__ import annotations

from collections.abc import Mapping

_COMMON = {
    "OK": 200,
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INTERNAL": 500,
    "DATA_LOSS": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}

STATUSES: Mapping[str, Mapping[str, int]] = {
    "tfserving": _COMMON,
    "oip": _COMMON,
    # TorchServe answers 503 for whatever goes wrong in a handler, 400 for a bad token, 507 when memory is out.
    "torchserve": {**_COMMON, "UNAUTHENTICATED": 400, "INTERNAL": 503, "RESOURCE_EXHAUSTED": 507},
}


def status_of(dialect: str, code: str) -> int:
    """Give the HTTP status of a code in a dialect; an unknown code is a server's own fault, 500."""
    return STATUSES[dialect].get(code, 500)
