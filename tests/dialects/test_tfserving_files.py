"""What TensorFlow Serving reads from files: warm-up records as TensorFlow reads them, configurations read strictly."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deploy_dialects.malformed import Malformed
from deploy_dialects.messages import message
from deploy_dialects.tfserving.files import empty, read_file, write_file, write_models
from deploy_dialects.tfserving.records import crc32c, read_records, write_records
from deploy_dialects.tfserving.warmup import read_warmup, write_warmup

# What TensorFlow's own reader and TensorFlow Serving's own messages make of a file of ours, and we of one of theirs.
_ORACLE = """
import sys
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

ours, theirs = sys.argv[1:]
logs = [prediction_log_pb2.PredictionLog.FromString(record.numpy()) for record in tf.data.TFRecordDataset(ours)]
for log in logs:
    assert log.WhichOneof("log_type") == "predict_log"
    request = log.predict_log.request
    spec = request.model_spec
    print(spec.name, spec.signature_name, tf.make_ndarray(request.inputs["x"]).tolist(), request.inputs["s"].string_val)
with tf.io.TFRecordWriter(theirs) as writer:
    for log in logs:
        writer.write(log.SerializeToString())
    other = prediction_log_pb2.PredictionLog()
    other.classify_log.request.model_spec.name = "m"
    writer.write(other.SerializeToString())
"""


def test_tensorflow_reads_our_warm_up_and_we_read_theirs(tmp_path: Path) -> None:
    asked = [
        {"x": np.arange(rows * 2, dtype=np.float32).reshape(rows, 2), "s": np.array([b"\xff"] * rows, dtype=object)}
        for rows in (1, 3)
    ]
    data = write_warmup("m", asked)
    (tmp_path / "ours").write_bytes(data)
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", _ORACLE, str(tmp_path / "ours"), str(tmp_path / "theirs")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "m serving_default [[0.0, 1.0]] [b'\\xff']",
        "m serving_default [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]] [b'\\xff', b'\\xff', b'\\xff']",
    ]
    theirs = (tmp_path / "theirs").read_bytes()
    kind = message("tfserving", "tensorflow.serving.PredictRequest")
    assert [kind.FromString(one) for one in read_warmup(theirs)] == [kind.FromString(one) for one in read_warmup(data)]
    assert len(list(read_records(theirs))) == 3
    assert write_warmup("m", asked) == data


def test_checksums_are_the_known_ones() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"") == 0


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data[:5], lambda data: data + b"\0"])
def test_a_cut_record_is_malformed(change: object) -> None:
    with pytest.raises(Malformed):
        list(read_records(change(write_records([b"one", b"two"]))))  # type: ignore[operator]


def test_every_flipped_bit_is_seen() -> None:
    data = write_records([b"a record"])
    for at in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[at // 8] ^= 1 << at % 8
        with pytest.raises(Malformed):
            list(read_records(bytes(damaged)))


def test_models_go_there_and_back() -> None:
    text = write_models({"m": ("/models/m", (1, 3), {'sta"ble': 3, "old": 1})})
    (config,) = read_file("models", text).model_config_list.config
    assert (config.name, config.base_path, config.model_platform) == ("m", "/models/m", "tensorflow")
    assert list(config.model_version_policy.specific.versions) == [1, 3]
    assert dict(config.version_labels) == {'sta"ble': 3, "old": 1}
    batching = empty("batching")
    batching.max_batch_size.value = 8
    assert write_file(batching) == "max_batch_size {\n  value: 8\n}\n"


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("models", "model_config_lst {}", 'no field named "model_config_lst"'),
        ("models", "model_config_list { config { name: 'a' name: 'b' } }", "multiple"),
        ("models", "model_config_list { config { base_path: 5 } }", "1:41"),
        ("models", "model_config_list { config { model_version_policy { latest {} all {} } } }", "oneof"),
        ("models", "model_config_list {", "Expected"),
        ("models", "!!python/object:os.system", "Expected"),
        ("models", "[type.googleapis.com/x]: 3", "extensions"),
        ("models", "\0", "Expected"),
        ("batching", "max_batch_size: 8", "Expected"),
        ("batching", "max_batch_sizes { value: 8 }", "no field"),
        ("batching", "max_batch_size { value: 9223372036854775808 }", "1:25"),
        ("monitoring", "prometheus_config { enable: maybe }", "maybe"),
    ],
)
def test_what_does_not_belong_is_malformed(kind: str, text: str, said: str) -> None:
    with pytest.raises(Malformed, match=r"Error parsing text-format tensorflow\.serving") as raised:
        read_file(kind, text)
    assert said in str(raised.value)
