"""Signatures, endpoints and tables: what fits, what does not, and what people are told."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from deploy_core.dtypes import DTYPES, dtype_name, numpy_dtype
from deploy_core.endpoint import Endpoint
from deploy_core.errors import InputError, UnavailableError, UsageError
from deploy_core.signature import Signature, TensorSpec
from deploy_core.table import Row, Table

SIGNATURE = Signature(
    inputs=(TensorSpec("a", "float32", ("batch", 2)), TensorSpec("b", "int64", ("batch",))),
    outputs=(TensorSpec("y", "float32", ("batch",)),),
)


def test_a_signature_survives_json() -> None:
    assert Signature.from_json(SIGNATURE.to_json()) == SIGNATURE


def test_lists_take_the_dtype_of_the_spec() -> None:
    arrays = SIGNATURE.conform({"a": [[1, 2]], "b": [3]})
    assert arrays["a"].dtype == np.float32
    assert arrays["b"].dtype == np.int64


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"a": [[1, 2]]}, "missing b"),
        ({"a": [[1, 2]], "b": [1], "c": [1]}, "unknown c"),
        ({"a": [[1, 2, 3]], "b": [1]}, r"shape \[1, 3\]"),
        ({"a": [1, 2], "b": [1]}, r"shape \[2\]"),
        ({"a": [[1, 2]], "b": [1, 2]}, "batch = 2"),
        ({"a": np.ones((1, 2)), "b": [1]}, "dtype float64"),
        ({"a": [["x", "y"]], "b": [1]}, "cannot be read as float32"),
        ({"a": [[1, 2]], "b": [1.5]}, "without loss"),
        ({"a": [[1, 2]], "b": [2**63]}, "int64"),
        ({"a": [[1, 2]], "b": [True]}, "without loss"),
        ({"a": [[1, 2], [3]], "b": [1]}, "cannot be read"),
        ({"a": [[None, 2]], "b": [1]}, "float32"),
        ({"a": [[1e300, 2]], "b": [1]}, "without loss"),
        ({"a": [[1j, 2]], "b": [1]}, "complex"),
    ],
)
def test_what_does_not_fit_is_said(inputs: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        SIGNATURE.conform(inputs)


@pytest.mark.parametrize("inputs", [np.zeros((1, 2), np.float32), [[1, 2]], None])
def test_inputs_without_names_are_said(inputs: Any) -> None:
    with pytest.raises(InputError, match="not named") as caught:
        SIGNATURE.conform(inputs)
    assert caught.value.hint == "give {'a': …, 'b': …}"


def test_infinity_may_be_asked_for() -> None:
    inf, nan = float("inf"), float("nan")
    array = TensorSpec("a", "bfloat16", ("batch",)).conform([inf, -inf, nan, 3.0e38])
    np.testing.assert_allclose(array.astype(np.float32), [inf, -inf, nan, 3.0e38], rtol=0.01)


def test_text_becomes_bytes() -> None:
    array = TensorSpec("s", "string", ("batch",)).conform(["é", b"\xff"])
    assert array.tolist() == ["é".encode(), b"\xff"]


@pytest.mark.parametrize("name", DTYPES)
def test_every_dtype_name_is_numpys_and_back(name: str) -> None:
    assert dtype_name(numpy_dtype(name)) == name


def test_bfloat16_is_no_void() -> None:
    assert dtype_name(np.dtype(ml_dtypes.bfloat16)) == "bfloat16"


@pytest.mark.parametrize("text", ["image:float32[batch,3,64,64]", "t:int64[batch,length]", "s:float32[]"])
def test_a_spec_is_read_and_written(text: str) -> None:
    assert str(TensorSpec.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["image", "image:float32", ":float32[1]", "x:float31[1]", "x:float32[-1,6]", "x:float32[batch,,6]", "x:float32[?]"],
)
def test_a_bad_spec_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        TensorSpec.parse(text)


@pytest.mark.parametrize(
    "url",
    [
        "tfserving+grpc://127.0.0.1:8500/simplenet",
        "oip+rests://host.example:443/net@3",
        "torchserve+rest://[::1]:8080/a%20b@stable",
    ],
)
def test_an_endpoint_is_read_and_written(url: str) -> None:
    assert str(Endpoint.parse(url)) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:80/m",
        "oip+rest://h/m",
        "oip+rest://h:1/",
        "nope+rest://h:1/m",
        "oip+rest://h:99999/m",
        "oip+rest://u:p@h:1/m",
    ],
)
def test_a_bad_endpoint_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        Endpoint.parse(url)


def test_a_table_tells_what_is_missing() -> None:
    rows = {"here": Row("json"), "gone": Row("json", needs=("no_such_module_x",), extra="onnx"), "ours": Row("json")}
    table = Table("format", rows, internal=("ours",))
    assert table.load("ours").__name__ == "json"
    assert table.load("here").__name__ == "json"
    with pytest.raises(UsageError, match="unknown format 'nope'") as unknown:
        table.load("nope")
    assert unknown.value.hint == "known: gone, here"
    with pytest.raises(UnavailableError, match="no_such_module_x") as missing:
        table.load("gone")
    assert missing.value.hint == "pip install 'deploy-toolkit[onnx]'"


def test_inputs_are_repeated_or_cut_to_other_sizes() -> None:
    signature = Signature((TensorSpec.parse("ids:int64[batch,seq,2]"), TensorSpec.parse("scale:float32[]")), ())
    inputs = {"ids": np.arange(12).reshape(2, 3, 2), "scale": np.float32(3).reshape(())}
    assert signature.symbols == ("batch", "seq")
    assert signature.sizes(inputs) == {"batch": 2, "seq": 3}
    grown = signature.sized(inputs, {"seq": 4, "batch": 3, "other": 9})
    assert grown["ids"][:, :, 0].tolist() == [[0, 2, 4, 0], [6, 8, 10, 6], [0, 2, 4, 0]]
    assert signature.sized(inputs, {"seq": 1})["ids"].tolist() == [[[0, 1]], [[6, 7]]]
    assert grown["scale"].shape == ()
    words = Signature((TensorSpec.parse("t:string[n]"),), ())
    assert words.sized({"t": np.array([b"a", b""], object)}, {"n": 3})["t"].tolist() == [b"a", b"", b"a"]
