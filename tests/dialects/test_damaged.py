"""Honest bytes, damaged at random from fixed seeds: either side answers or refuses, and never anything else."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from deploy_core.endpoint import Endpoint
from deploy_core.errors import EndpointError
from deploy_dialects.json_text import write_json
from deploy_dialects.torchserve import rest as torchserve
from deploy_dialects.wire import HttpReply, Refused

ROUNDS = 300
_TOKENS = (
    b"[",
    b"]",
    b"{",
    b"}",
    b'"',
    b":",
    b",",
    b"-",
    b"1e999",
    b"NaN",
    b"null",
    b"true",
    b"\xff",
    b"\0",
    b"99999999999",
)


def damaged(body: bytes, seed: int) -> Iterator[bytes]:
    """Give the body with bytes flipped, cut, doubled or tokens put in."""
    chance = random.Random(seed)
    for _ in range(ROUNDS):
        data = bytearray(body)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(data) + 1)
            match chance.randrange(4):
                case 0:
                    data[at : at + 1] = bytes([chance.randrange(256)])
                case 1:
                    del data[at : at + chance.randint(1, 8)]
                case 2:
                    data[at:at] = chance.choice(_TOKENS)
                case _:
                    data[at:at] = data[at : at + chance.randint(1, 20)]
        yield bytes(data)


def _echo(got: Any) -> Any:
    return {"y": got["x"], "s": got["t"]}


@pytest.mark.parametrize("binary", [False, True])
def test_damaged_requests_and_answers(dialects: Any, road: Any, binary: bool) -> None:
    strings = (road.endpoint.dialect, road.endpoint.transport) != ("torchserve", "grpc") and not (
        road.endpoint.dialect == "torchserve" and binary
    )
    kind = "string" if strings else "int8"
    plane = dialects.plane_of(f"x:float32[batch,2] t:{kind}[batch]", f"y:float32[batch,2] s:{kind}[batch]")
    signature = plane._served[0].signature
    inputs = {"x": np.array([[1, 2], [3, 4]], np.float32), "t": dialects.sample(kind, (2,))}
    request = road.module.encode(road.endpoint, signature, inputs, binary=binary and road.has_binary)
    reply = dialects.run(road.module, plane, request, _echo)
    for body in damaged(request.body, 1):
        _served(dialects, road, plane, replace(request, body=body))
    for body in damaged(reply.body if isinstance(reply, HttpReply) else reply, 2):
        _read(road, signature, replace(reply, body=body) if isinstance(reply, HttpReply) else body)


def test_damaged_descriptions(dialects: Any, road: Any) -> None:
    plane = dialects.plane_of("x:float32[batch,2] t:int8[batch]", "y:float32[batch,2]")
    reply = dialects.run(road.module, plane, road.module.describe(road.endpoint), None)
    for body in damaged(reply.body if isinstance(reply, HttpReply) else reply, 3):
        damaged_reply = replace(reply, body=body) if isinstance(reply, HttpReply) else body
        with suppress(EndpointError):
            road.module.read_description(road.endpoint, damaged_reply)


@pytest.mark.parametrize(
    "damage",
    [
        {"name": None},
        {"name": 3},
        {"name": ["x"]},
        {"shape": ["batch", None]},
        {"shape": [-1, 2]},
        {"shape": [2.0]},
        {"shape": [True]},
    ],
)
def test_a_description_with_members_of_another_type(damage: dict[str, Any]) -> None:
    spec = {"name": "x", "dtype": "float32", "shape": ["batch", 2]}
    for inputs, outputs in (([spec | damage], [spec]), ([spec], [spec | damage])):
        body = write_json({"signature": {"inputs": inputs, "outputs": outputs}, "version": "1"})
        with pytest.raises(EndpointError, match="is no signature"):
            torchserve.read_description(Endpoint("torchserve", "rest", "127.0.0.1", 1, "m"), HttpReply(200, {}, body))


def _served(dialects: Any, road: Any, plane: Any, request: Any) -> None:
    with suppress(Refused):
        reply = dialects.run(road.module, plane, request, _echo)
        assert isinstance(reply, bytes) or reply.status in (200, 400, 404)


def _read(road: Any, signature: Any, reply: Any) -> None:
    with suppress(EndpointError):
        assert list(road.module.decode(road.endpoint, signature, reply)) == ["y", "s"]
