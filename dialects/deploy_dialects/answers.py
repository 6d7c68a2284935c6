"""Client side: what an endpoint answered, checked before anyone believes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deploy_core.dtypes import dtype_name
from deploy_core.endpoint import Endpoint
from deploy_core.errors import EndpointError
from deploy_core.signature import Array, Signature, Tensors, TensorSpec
from deploy_dialects.json_text import read_object
from deploy_dialects.malformed import Malformed, doubting, shown
from deploy_dialects.wire import HttpReply

_HINTS = {
    400: "the server refused the request itself; compare the inputs with the model's signature",
    401: "the server wants authorization: --token-file, --header, or headers of connect()",
    403: "the server wants other authorization: --token-file, --header, or headers of connect()",
    404: "is the model of that name and version loaded?",
    405: "the server was started not to do that; TorchServe lets models come and go with enable_model_api=true",
    413: "the server takes no request of that size; send smaller batches",
    429: "the server is out of capacity; try again later",
    503: "the server is not ready, or the model failed on these inputs; its log says which",
}
_LONGEST = 500


def refusal(endpoint: Endpoint, reply: HttpReply) -> EndpointError:
    """Give the error for a reply whose status is not 200, with the server's own words."""
    hint = _HINTS.get(reply.status, "the server's log says more")
    if b"InvalidKeyException" in reply.body:  # TorchServe's, with status 400
        hint = "it wants a key of its own: set DEPLOY_TORCHSERVE_KEYS to the key_file.json that it has written"
    if 300 <= reply.status < 400:
        hint = "redirects are not followed; name the final address in the URL"
    return EndpointError(
        f"{endpoint} answered HTTP {reply.status}: {_words(reply.body)}", hint=hint, status=reply.status
    )


def body_of(endpoint: Endpoint, reply: HttpReply) -> bytes:
    """Give the body of a reply of status 200. Raises EndpointError."""
    if reply.status != 200:
        raise refusal(endpoint, reply)
    return reply.body


def object_of(endpoint: Endpoint, reply: HttpReply) -> dict[str, Any]:
    """Give the JSON object of a reply of status 200. Raises EndpointError."""
    body = body_of(endpoint, reply)
    with doubting(endpoint):
        answer = read_object(body)
        check_no_error(answer)
    return answer


def check_no_error(answer: Mapping[str, Any]) -> None:
    """Raise Malformed for an error that came under HTTP 200."""
    if set(answer) == {"error"}:
        raise Malformed(f"an error under HTTP 200: {shown(answer['error'])}")


def member(data: object, key: str, kind: type) -> Any:
    """Give a member of a JSON object that must be there and of that type. Raises Malformed."""
    if not isinstance(data, Mapping):
        raise Malformed(f"{shown(data)} is where an object with {key!r} should be")
    if key not in data:
        raise Malformed(f"{key!r} is missing")
    value = data[key]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        raise Malformed(f"{key!r} is {shown(value)}")
    return value


def checked(signature: Signature, outputs: Mapping[str, Array]) -> Tensors:
    """Give the outputs in the signature's order. Raises Malformed if names, dtypes or shapes are not the signature's."""
    wanted = [spec.name for spec in signature.outputs]
    if set(wanted) != set(outputs):
        raise Malformed(f"the outputs are {shown(sorted(outputs))}, the signature has {shown(wanted)}")
    for spec in signature.outputs:
        check_output(spec, outputs[spec.name])
    # What was read off a buffer is read-only; a caller of predict() gets arrays of its own.
    return {name: array if (array := outputs[name]).flags.writeable else array.copy() for name in wanted}


def check_output(spec: TensorSpec, array: Array) -> None:
    """Raise Malformed unless the array is what the spec says."""
    if dtype_name(array.dtype) != spec.dtype:
        raise Malformed(f"output {spec.name!r} has dtype {dtype_name(array.dtype)}, the signature says {spec}")
    fits = len(array.shape) == len(spec.shape) and all(
        want == got for want, got in zip(spec.shape, array.shape, strict=True) if isinstance(want, int)
    )
    if not fits:
        raise Malformed(f"output {spec.name!r} has shape {list(array.shape)}, the signature says {spec}")


def spec_named(specs: tuple[TensorSpec, ...], name: object) -> TensorSpec:
    """Give the spec of that name. Raises Malformed."""
    for spec in specs:
        if spec.name == name:
            return spec
    raise Malformed(f"there is no tensor {shown(name)}; the model has {', '.join(s.name for s in specs)}")


def _words(body: bytes) -> str:
    """Find the server's message in an error body; else give the body's beginning."""
    try:
        answer = read_object(body)
    except Malformed:
        return shown(body[:_LONGEST].decode(errors="replace")) if body else "an empty body"
    for key in ("error", "message", "detail"):
        if key in answer:
            return str(answer[key])[:_LONGEST]
    return shown(answer)
