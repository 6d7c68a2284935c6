"""LitServe: `POST /predict` of `{name: nested list}`, answered in the same form."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from benchmarks.serving.peers import Model, Ports
from deploy_core.endpoint import Endpoint
from deploy_core.errors import EndpointError
from deploy_core.signature import Signature, Tensors
from deploy_dialects.wire import HttpReply, HttpRequest

_SERVED = """
import litserve
import numpy as np
import onnxruntime


class Served(litserve.LitAPI):
    def setup(self, device):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession({path!r}, options)
        self._names = [output.name for output in self._session.get_outputs()]

    def decode_request(self, request):
        return {{name: np.asarray(value, np.float32) for name, value in request.items()}}

    def predict(self, inputs):
        return dict(zip(self._names, self._session.run(None, inputs)))

    def encode_response(self, outputs):
        return {{name: array.tolist() for name, array in outputs.items()}}


if __name__ == "__main__":
    server = litserve.LitServer(Served(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port={port}, generate_client_file=False, log_level="warning")
"""


def files(model: Model, ports: Ports) -> Mapping[str, str]:
    """Give the one script that it is."""
    return {"served.py": _SERVED.format(path=str(model.onnx), port=ports.http)}


def command(python: Path, ports: Ports) -> tuple[str, ...]:
    """Give what starts it."""
    return (str(python), "served.py")


def spoken(transport: str) -> Any:
    """Give this module: it has the two functions of a dialect."""
    return sys.modules[__name__]


def encode(endpoint: Endpoint, signature: Signature, inputs: Tensors, *, binary: bool) -> HttpRequest:
    """Write a request."""
    body = orjson.dumps({name: array.tolist() for name, array in inputs.items()})
    return HttpRequest("POST", "/predict", {"content-type": "application/json"}, body)


def decode(endpoint: Endpoint, signature: Signature, reply: HttpReply) -> Tensors:
    """Read an answer. Raises EndpointError for one that is none."""
    try:
        answer = orjson.loads(reply.body)
        return {one.name: np.asarray(answer[one.name], np.float32) for one in signature.outputs}
    except (ValueError, KeyError, TypeError) as error:
        raise EndpointError(f"{endpoint} answered {reply.body[:80]!r}", hint="look at the log of LitServe") from error
