"""Names, versions and paths that lead nowhere."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deploy_dialects.wire import HttpReply, HttpRequest

NAMES = ["..", "%2e%2e%2f", "a%2Fb", "%00", "x" * 4096, "%D0%BC", "m%3Apredict", "%ff", "M", "m%20", "%"]


@pytest.fixture
def get(dialects: Any) -> Any:
    def send(dialect: str, method: str, path: str, body: bytes = b"{}") -> HttpReply:
        plane = dialects.plane_of("x:float32[batch]", "y:float32[batch]", labels=("stable",))
        reply = dialects.run(dialects.Road(dialect, "rest").module, plane, HttpRequest(method, path, {}, body), None)
        assert isinstance(reply, HttpReply)
        return reply

    return send


@pytest.mark.parametrize("name", NAMES, ids=lambda n: n[:12])
def test_names(get: Any, name: str) -> None:
    for dialect, method, path in (
        ("tfserving", "GET", f"/v1/models/{name}"),
        ("tfserving", "GET", f"/v1/models/{name}/metadata"),
        ("tfserving", "POST", f"/v1/models/{name}:predict"),
        ("oip", "GET", f"/v2/models/{name}"),
        ("oip", "GET", f"/v2/models/{name}/ready"),
        ("oip", "POST", f"/v2/models/{name}/infer"),
        ("torchserve", "POST", f"/predictions/{name}"),
    ):
        reply = get(dialect, method, path)
        assert reply.status in (400, 404)
        assert json.loads(reply.body)
        assert len(reply.body) < 5000


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ("18446744073709551616", 400),
        ("-1", 400),
        ("x", 400),
        ("3", 404),
        ("0", 404),
        ("1" * 5000, 400),
        ("²", 400),
        ("1/2", 400),
    ],
    ids=lambda v: str(v)[:12],
)
def test_tfserving_versions(get: Any, version: str, status: int) -> None:
    assert get("tfserving", "GET", f"/v1/models/m/versions/{version}").status == status
    assert get("tfserving", "POST", f"/v1/models/m/versions/{version}:predict").status == status


def test_tfserving_versions_may_begin_with_zeros(get: Any) -> None:
    assert get("tfserving", "GET", "/v1/models/m/versions/0002/metadata").status == 200


@pytest.mark.parametrize(
    "version", ["18446744073709551616", "-1", "x", "3", "0", "a%2Fb", "%ff", "1" * 5000], ids=lambda v: v[:12]
)
def test_versions_elsewhere(get: Any, version: str) -> None:
    assert get("oip", "GET", f"/v2/models/m/versions/{version}").status in (400, 404)
    assert get("oip", "POST", f"/v2/models/m/versions/{version}/infer").status in (400, 404)
    assert get("torchserve", "POST", f"/predictions/m/{version}").status in (400, 404)


def test_texts_that_clients_of_tensorflow_serving_wait_for(get: Any) -> None:
    def text(method: str, path: str) -> str:
        return str(json.loads(get("tfserving", method, path).body)["error"])

    assert text("POST", "/v1/models/z:predict") == "Servable not found for request: Latest(z)"
    assert text("POST", "/v1/models/m/versions/9:predict") == "Servable not found for request: Specific(m, 9)"
    assert "Unrecognized servable version label" in text("POST", "/v1/models/m/labels/canary:predict")
    assert text("GET", "/v1/models/z") == "Could not find any versions of model z"
    assert text("GET", "/v1/models/m/versions/9") == "Could not find version 9 of model m"
    assert text("GET", "/v1/models") == "Missing model name in request."
    assert text("GET", "/v1/models/m:predict") == "Malformed request: GET /v1/models/m:predict"
    assert text("GET", "/v1/nothing") == "Malformed request: GET /v1/nothing"
    assert "to numeric" in text("GET", "/v1/models/m/versions/99999999999999999999")


def test_classify_and_regress_are_not_there(get: Any) -> None:
    for verb in ("classify", "regress"):
        assert get("tfserving", "POST", f"/v1/models/m:{verb}").status == 501


def test_oip_wrong_methods(get: Any) -> None:
    reply = get("oip", "GET", "/v2/models/m/infer")
    assert (reply.status, reply.headers["allow"]) == (405, "POST")
    assert get("oip", "GET", "/v2/nothing").status == 404
    assert get("oip", "POST", "/v2/health/live").status == 405


def test_answers_of_the_status_paths(get: Any) -> None:
    def answer(dialect: str, path: str) -> Any:
        reply = get(dialect, "GET", path)
        assert reply.status == 200
        return json.loads(reply.body)

    states = answer("tfserving", "/v1/models/m")["model_version_status"]
    assert [state["version"] for state in states] == ["2", "1"]
    assert states[0]["state"] == "AVAILABLE"
    assert states[0]["status"] == {"error_code": "OK", "error_message": ""}
    assert answer("oip", "/v2/health/live") == {"live": True}
    assert answer("oip", "/v2/health/ready") == {"ready": True}
    assert answer("oip", "/v2")["extensions"] == ["binary_tensor_data"]
    assert answer("oip", "/v2/models/m/versions/1/ready") == {"name": "m", "ready": True}
    assert answer("oip", "/v2/models/m") == {
        "name": "m",
        "versions": ["1", "2"],
        "platform": "onnx",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1]}],
    }
    assert answer("torchserve", "/ping") == {"status": "Healthy"}
