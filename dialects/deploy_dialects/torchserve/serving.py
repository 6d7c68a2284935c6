"""The server half for both transports: one body in, a prediction or a description asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from deploy_core.errors import InputError
from deploy_core.preprocessing import Raw
from deploy_core.signature import Tensors
from deploy_dialects.json_text import read_object, write_json
from deploy_dialects.malformed import Malformed, ask, ask_raw, refusing, shown
from deploy_dialects.torchserve import bodies
from deploy_dialects.wire import Ask, Plane, Refused, Served

Reply = TypeVar("Reply")
Wrap = Callable[[bytes, str], Reply]


def find(plane: Plane, name: str, version: str | None) -> Served:
    """Find a version of a model. Raises Refused NOT_FOUND."""
    try:
        return plane.find(name, version)
    except Refused as refused:
        if refused.code != "NOT_FOUND":
            raise
    if any(served.name == name for served in plane.served()):
        raise Refused("NOT_FOUND", f"Model version: {shown(version)} does not exist for model: {shown(name)}")
    raise Refused("NOT_FOUND", f"Model not found: {shown(name)}")


def predict(served: Served, body: bytes, wrap: Wrap[Reply]) -> Reply | Ask[Reply]:
    """Answer one body; `wrap` makes the reply from bytes and their content type. Raises Refused."""
    if bodies.is_binary(body):
        with refusing():
            inputs = bodies.read_binary(body)
        return ask(served, inputs, lambda outputs: wrap(_written(bodies.write_binary, outputs), bodies.BINARY))
    if served.raw is not None and body[:64].lstrip()[:1] != b"{":
        return ask_raw(served, [body], lambda outputs: wrap(_labelled(served.raw, outputs), bodies.JSON))
    with refusing():
        data = read_object(body)
        if data.get("describe") is True:
            return wrap(bodies.description_json(served.signature, str(served.version)), bodies.JSON)
        inputs = bodies.read_lists(_inputs(data), served.signature.inputs)
    return ask(served, inputs, lambda outputs: wrap(_written(bodies.write_outputs, outputs), bodies.JSON))


def _labelled(raw: Raw | None, outputs: Tensors) -> bytes:
    """Give what our handler gives for raw bytes: the likeliest labels with their scores, or the outputs."""
    return write_json(raw.answer(outputs)) if raw and raw.labels else _written(bodies.write_outputs, outputs)


def _inputs(data: Mapping[str, Any]) -> Any:
    if not isinstance(data.get("inputs"), Mapping):  # in the words of our handler
        raise Malformed('the body has no "inputs": send {"inputs": {NAME: nested list}} or safetensors bytes')
    return data["inputs"]


def _written(write: Callable[[Tensors], bytes], outputs: Tensors) -> bytes:
    try:
        return write(outputs)
    except InputError as error:
        raise Refused("INVALID_ARGUMENT", str(error)) from error
