"""What an endpoint answers to raw bytes, in whichever form its dialect has for them."""

from __future__ import annotations

from typing import Any

import numpy as np

from deploy_clients import connect
from deploy_clients.answering import answered
from deploy_clients.asking import exchange
from deploy_clients.client import TRANSPORTS
from deploy_clients.opening import opened
from deploy_core.endpoint import Endpoint
from deploy_core.preprocessing import Raw
from deploy_core.signature import Signature, Tensors
from deploy_core.strings import string_array
from deploy_toolkit.flows.access import Access

Answer = Tensors | dict[str, float]  # outputs by name; or scores by label, which TorchServe's dialect has


def answer_to(endpoint: Endpoint, raw: Raw, signature: Signature, data: bytes, access: Access) -> Answer:
    """Send one raw file. Raises EndpointError for an endpoint that does not take it."""
    tls = access.tls if endpoint.tls else None
    if endpoint.dialect != "torchserve":
        strings = raw.signature(signature)
        binary = (endpoint.dialect, endpoint.transport) == ("oip", "rest")
        with connect(
            endpoint, signature=strings, timeout=access.timeout, binary=binary, headers=access.headers, tls=tls
        ) as client:
            return client.predict({raw.input: string_array([data], (1,))})
    _, dialect, transport = opened(endpoint, TRANSPORTS, access.headers, tls)
    try:
        return _told(endpoint, dialect, transport, signature, data, access.timeout)
    finally:
        transport.close()


def _told(
    endpoint: Endpoint, dialect: Any, transport: Any, signature: Signature, data: bytes, timeout: float
) -> Answer:
    import time

    asking = exchange(dialect.encode_raw(endpoint, data), time.monotonic() + timeout, repeatable=False)
    found: Answer = dialect.decode_raw(endpoint, signature, answered(asking, transport.send))
    return found


def apart(raw: Raw, want: Tensors, got: Answer) -> tuple[float | None, float | None]:
    """Give the greatest and the mean deviation of an answer; None for one of other labels or shapes."""
    if got and all(isinstance(value, float) for value in got.values()):
        return _scores_apart(raw, want, {label: float(np.asarray(score)) for label, score in got.items()})
    if any(np.shape(got[name]) != array.shape for name, array in want.items()):
        return None, None
    offs = [
        np.abs(np.asarray(got[name], np.float64) - array.astype(np.float64)).ravel() for name, array in want.items()
    ]
    every = np.concatenate(offs) if offs else np.zeros(0)
    return (float(every.max()), float(every.mean())) if every.size else (0.0, 0.0)


def _scores_apart(raw: Raw, want: Tensors, got: dict[str, float]) -> tuple[float | None, float | None]:
    scores = dict(zip(raw.labels, want[raw.output][0].astype(np.float64).tolist(), strict=True))
    if not set(got) <= set(scores):
        return None, None
    offs = [abs(score - scores[label]) for label, score in got.items()]
    # A label that is not told may have at most the least score that is told.
    missing = [scores[label] - min(got.values()) for label in scores if label not in got]
    return max(*offs, *missing, 0.0), float(np.mean(offs))
