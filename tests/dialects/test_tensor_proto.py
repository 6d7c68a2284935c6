"""TensorProto against TensorFlow itself, which runs once, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy_core.dtypes import DTYPES
from deploy_dialects.malformed import Malformed
from deploy_dialects.messages import message
from deploy_dialects.tfserving.tensor_proto import read_tensor, write_tensor

_PROTO = "tensorflow.TensorProto"
_SHAPES = ((2, 3), (0, 3), (), (1,))

# Reads our protos and writes each three ways: read by make_ndarray, then as make_tensor_proto writes the values.
_ORACLE = """
import sys, json, base64
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
answers = {}
for name, text in json.load(sys.stdin).items():
    proto = tensor_pb2.TensorProto.FromString(base64.b64decode(text))
    try:
        array = tf.make_ndarray(proto)
    except Exception as error:
        answers[name] = {"error": type(error).__name__}
        continue
    texts = array.dtype.kind in "OSU"
    raw = [base64.b64encode(tf.compat.as_bytes(v)).decode() for v in array.ravel()] if texts else array.tobytes().hex()
    again = tf.make_tensor_proto(array, dtype=proto.dtype, shape=array.shape)
    answers[name] = {"raw": raw, "shape": array.shape, "again": base64.b64encode(again.SerializeToString()).decode()}
json.dump(answers, sys.stdout)
"""


def _raw(array: np.ndarray[Any, Any]) -> Any:
    if array.dtype == object:
        return [_b64(value) for value in array.ravel().tolist()]
    return array.tobytes().hex()


def _b64(data: bytes) -> str:
    import base64

    return base64.b64encode(data).decode()


def _unb64(text: str) -> bytes:
    import base64

    return base64.b64decode(text)


def _proto(dtype: str, array: np.ndarray[Any, Any], typed: bool) -> Any:
    proto = message("tfserving", _PROTO)()
    write_tensor(proto, array, typed=typed)
    return proto


def _short(number: int, shape: tuple[int, ...], field: str, values: list[Any]) -> Any:
    proto = message("tfserving", _PROTO)(dtype=number)
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    getattr(proto, field).extend(values)
    return proto


SHORT = {
    "last repeats": _short(1, (2, 3), "float_val", [1.0, 2.0]),
    "one for all": _short(3, (2, 3), "int_val", [7]),
    "none is zero": _short(1, (2,), "float_val", []),
    "no string": _short(7, (2,), "string_val", []),
    "half bits": _short(19, (2,), "half_val", [15360, 16384]),
    "bfloat16 bits": _short(14, (2,), "half_val", [16256, 49152]),
    "complex pair": _short(8, (2,), "scomplex_val", [1.0, 2.0, 3.0, 4.0]),
    "bools": _short(10, (3,), "bool_val", [True, False]),
    "uint64": _short(23, (1,), "uint64_val", [2**64 - 1]),
}


@pytest.fixture(scope="module")
def oracle(sample: Callable[..., Any]) -> dict[str, Any]:
    """What TensorFlow makes of our protos."""
    asked = {
        f"{dtype} {shape} {typed}": _proto(dtype, sample(dtype, shape), typed)
        for dtype in DTYPES
        for shape in _SHAPES
        for typed in (False, True)
    }
    texts = {name: _b64(proto.SerializeToString()) for name, proto in {**asked, **SHORT}.items()}
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", _ORACLE],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
        cwd=Path(__file__).parent,
    )
    assert done.returncode == 0, done.stderr
    answers: dict[str, Any] = json.loads(done.stdout)
    return answers


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize("shape", _SHAPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_tensorflow_reads_what_we_write_and_we_read_what_it_writes(
    oracle: dict[str, Any], sample: Callable[..., Any], dtype: str, shape: tuple[int, ...], typed: bool
) -> None:
    array = sample(dtype, shape)
    answer = oracle[f"{dtype} {shape} {typed}"]
    assert "error" not in answer
    assert answer["raw"] == _raw(array)
    assert tuple(answer["shape"]) == shape
    ours = read_tensor("x", message("tfserving", _PROTO).FromString(_unb64(answer["again"])))
    assert (ours.shape, ours.dtype, _raw(ours)) == (shape, array.dtype, _raw(array))


@pytest.mark.parametrize("name", SHORT)
def test_typed_values_mean_what_tensorflow_makes_of_them(oracle: dict[str, Any], name: str) -> None:
    array = read_tensor("x", SHORT[name])
    assert (_raw(array), list(array.shape)) == (oracle[name]["raw"], oracle[name]["shape"])


def test_typed_values_are_typed_and_content_is_content() -> None:
    array = np.array([1.5, -2.0], np.float32)
    typed, content = _proto("float32", array, True), _proto("float32", array, False)
    assert (list(typed.float_val), typed.tensor_content) == ([1.5, -2.0], b"")
    assert (list(content.float_val), content.tensor_content) == ([], b"\0\0\xc0\x3f\0\0\0\xc0")


def _changed(proto: Any, **changes: Any) -> Any:
    copy = type(proto).FromString(proto.SerializeToString())
    for name, value in changes.items():
        setattr(copy, name, value)
    return copy


def _unknown_rank() -> Any:
    proto = message("tfserving", _PROTO)(dtype=1, float_val=[1.0])
    proto.tensor_shape.unknown_rank = True
    return proto


@pytest.mark.parametrize(
    "proto",
    [
        pytest.param(_short(1, (2,), "float_val", [1.0, 2.0, 3.0]), id="more values than shape"),
        pytest.param(_changed(_short(1, (2,), "float_val", []), tensor_content=b"\0" * 4), id="content too short"),
        pytest.param(_changed(_short(1, (2,), "float_val", []), tensor_content=b"\0" * 12), id="content too long"),
        pytest.param(_changed(_short(7, (1,), "string_val", []), tensor_content=b"a"), id="content of strings"),
        pytest.param(_changed(_short(10, (1,), "bool_val", []), tensor_content=b"\2"), id="no bool"),
        pytest.param(_unknown_rank(), id="unknown rank"),
        pytest.param(_short(20, (1,), "float_val", []), id="DT_RESOURCE"),
        pytest.param(_short(21, (1,), "float_val", []), id="DT_VARIANT"),
        pytest.param(_short(0, (1,), "float_val", []), id="DT_INVALID"),
        pytest.param(_short(101, (1,), "float_val", []), id="DT_FLOAT_REF"),
        pytest.param(_short(9999, (1,), "float_val", []), id="no such dtype"),
        pytest.param(_short(1, (-1,), "float_val", [1.0]), id="negative dimension"),
        pytest.param(_short(1, (1, 2**40), "float_val", [1.0]), id="a terabyte from one value"),
        pytest.param(_short(1, (2**40, 2**40), "float_val", [1.0]), id="overflow"),
        pytest.param(_short(1, (2**4, 2**60 + 2), "float_val", [1.0]), id="overflow to a small number"),
        pytest.param(_short(1, (2**40, 2**40, 0), "float_val", []), id="overflow beside a zero"),
        pytest.param(_short(1, (1,) * 1000, "float_val", [1.0]), id="a thousand dimensions"),
        pytest.param(_short(6, (1,), "int_val", [300]), id="300 as int8"),
        pytest.param(_short(4, (1,), "int_val", [-1]), id="-1 as uint8"),
        pytest.param(_short(19, (1,), "half_val", [65536]), id="half of 17 bits"),
        pytest.param(_short(8, (1,), "scomplex_val", [1.0]), id="half a complex number"),
    ],
)
def test_a_tensor_that_is_none(proto: Any) -> None:
    with pytest.raises(Malformed):
        read_tensor("x", proto)
