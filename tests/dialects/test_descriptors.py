"""The committed descriptor sets are what their sources say, and live beside TensorFlow without touching it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from deploy_dialects.messages import message, parsed

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "dialects/deploy_dialects/descriptors"
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}


def _child(*arguments: str) -> str:
    path = os.pathsep.join(str(ROOT / room) for room in ("core", "dialects"))
    environment = {**os.environ, **_QUIET, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("protocol", ["tfserving", "tfserving_files", "oip", "torchserve"])
def test_the_sets_are_what_their_sources_say(protocol: str, tmp_path: Path) -> None:
    _child("-m", "deploy_dialects.descriptors.make", protocol, str(tmp_path))
    made = FileDescriptorSet.FromString((tmp_path / f"{protocol}.binpb").read_bytes())
    committed = FileDescriptorSet.FromString((FOLDER / f"{protocol}.binpb").read_bytes())
    assert {file.name: file for file in made.file} == {file.name: file for file in committed.file}


# Both orders in one go: our pool first, then TensorFlow, then a fresh pool of ours.
_BESIDE = """
import sys
from deploy_dialects.messages import message, pool
ours = message("tfserving", "tensorflow.serving.PredictRequest")()
assert "tensorflow" not in sys.modules
ours.model_spec.name = "m"
ours.model_spec.version.value = 3
ours.inputs["x"].dtype = 1
ours.inputs["x"].float_val.append(1.5)

import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, get_model_metadata_pb2

theirs = predict_pb2.PredictRequest.FromString(ours.SerializeToString())
assert tf.make_ndarray(theirs.inputs["x"]) == 1.5
assert (theirs.model_spec.name, theirs.model_spec.version.value) == ("m", 3)
pool.cache_clear(); message.cache_clear()
again = message("tfserving", "tensorflow.serving.PredictRequest").FromString(theirs.SerializeToString())
assert again.inputs["x"].float_val[:] == [1.5]
assert again.SerializeToString(deterministic=True) == theirs.SerializeToString(deterministic=True)
print("ok")
"""


def test_beside_tensorflow() -> None:
    assert _child("-c", _BESIDE).strip() == "ok"


@pytest.mark.parametrize(
    "module", ["tfserving.rest", "tfserving.grpc", "oip.rest", "oip.grpc", "torchserve.rest", "torchserve.grpc"]
)
def test_no_dialect_imports_a_framework(module: str) -> None:
    look = (
        f"import sys, deploy_dialects.{module}; print([n for n in ('tensorflow', 'torch', 'grpc') if n in sys.modules])"
    )
    assert _child("-c", look).strip() == "[]"


def test_a_rest_dialect_needs_no_protobuf() -> None:
    look = (
        "import sys, deploy_dialects.oip.rest, deploy_dialects.tfserving.rest; print('google.protobuf' in sys.modules)"
    )
    assert _child("-c", look).strip() == "False"


def test_field_numbers_of_the_specification() -> None:
    """The protocol's numbers, from the KServe v2 specification and Triton's grpc_service.proto."""
    request = message("oip", "inference.ModelInferRequest").DESCRIPTOR
    numbers = {field.name: field.number for field in request.fields}
    assert numbers == {
        "model_name": 1,
        "model_version": 2,
        "id": 3,
        "parameters": 4,
        "inputs": 5,
        "outputs": 6,
        "raw_input_contents": 7,
    }
    parameter = message("oip", "inference.InferParameter").DESCRIPTOR
    assert [field.number for field in parameter.fields] == [1, 2, 3, 4, 5]


def test_bytes_that_are_no_message() -> None:
    with pytest.raises(ValueError, match=r"no inference\.ModelInferRequest"):
        parsed(message("oip", "inference.ModelInferRequest"), b"\xff\xff")
