"""MLServer: the Open Inference Protocol over both transports, with a runtime of ours around ONNX Runtime."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.serving.peers import Model, Ports
from deploy_dialects.tables import DIALECTS

_SERVED = """
import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse


class Served(MLModel):
    async def load(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(self.settings.parameters.uri, options)
        self._names = [output.name for output in self._session.get_outputs()]
        return True

    async def predict(self, payload):
        inputs = {one.name: NumpyCodec.decode_input(one) for one in payload.inputs}
        outputs = zip(self._names, self._session.run(None, inputs))
        return InferenceResponse(
            id=payload.id,
            model_name=self.name,
            outputs=[NumpyCodec.encode_output(name, array) for name, array in outputs],
        )
"""


def files(model: Model, ports: Ports) -> Mapping[str, str]:
    """Give its two settings files and the runtime."""
    settings = {
        "host": "127.0.0.1",
        "http_port": ports.http,
        "grpc_port": ports.grpc,
        "metrics_port": ports.metrics,
        "parallel_workers": 0,
        "debug": False,
    }
    one = {"name": model.name, "implementation": "served.Served", "parameters": {"uri": str(model.onnx)}}
    return {"settings.json": json.dumps(settings), "model-settings.json": json.dumps(one), "served.py": _SERVED}


def command(python: Path, ports: Ports) -> tuple[str, ...]:
    """Give what starts it."""
    return (str(python.with_name("mlserver")), "start", ".")


def spoken(transport: str) -> Any:
    """Give the dialect."""
    return DIALECTS.load(f"oip+{transport}")
