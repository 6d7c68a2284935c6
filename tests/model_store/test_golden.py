from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from deploy_core.dtypes import dtype_name
from deploy_core.errors import TamperedError
from deploy_model_store.golden import Golden, read_golden, write_golden

DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64", "complex64", "complex128",
)  # fmt: skip


def _every_dtype() -> dict[str, np.ndarray]:
    """Arrays of every dtype and layout, by a name that says which."""
    arrays = {name: np.arange(6).reshape(2, 3).astype(name) for name in DTYPES}
    grid = np.arange(24, dtype=np.float32).reshape(4, 6)
    strings = np.empty((2, 2), object)
    strings[:] = [["a", b"\xff\x00"], ["", "ü" * 300]]
    return arrays | {
        "bfloat16": np.array([[1.5, -2.25, np.inf]], ml_dtypes.bfloat16),
        "string": strings,
        "unicode": np.array(["one", "two"]),
        "no strings": np.empty((0, 2), object),
        "empty": np.zeros((0, 3), np.int8),
        "0-d": np.array(2.5, np.float32),
        "0-d bfloat16": np.array(2.5, ml_dtypes.bfloat16),
        "0-d string": np.array(b"one", object),
        "transposed": grid.T,
        "strided": grid[::2, ::-3],
        "broadcast": np.broadcast_to(np.float32(3), (4, 2)),
        "big-endian": np.arange(5, dtype=">i4"),
        "nan": np.array([np.nan, -np.inf, -0.0], np.float32),
    }


ARRAYS = _every_dtype()


def _round_trip(golden: Golden, folder: Path) -> Golden:
    facts = write_golden(golden, folder / "golden.safetensors")
    return read_golden(folder / "golden.safetensors", facts)


@pytest.mark.parametrize("name", ARRAYS)
def test_every_dtype_and_layout_comes_back_as_it_was(name: str, tmp_path: Path) -> None:
    want = ARRAYS[name]
    got = _round_trip(Golden({"x": want}, {}), tmp_path).inputs["x"]
    assert got.shape == want.shape
    assert dtype_name(got.dtype) == dtype_name(want.dtype.newbyteorder("="))
    if dtype_name(got.dtype) == "string":
        assert got.ravel().tolist() == [v.encode() if isinstance(v, str) else v for v in want.ravel().tolist()]
    else:
        assert got.tobytes() == want.astype(want.dtype.newbyteorder("=")).tobytes()
    assert got.flags.writeable


def test_all_at_once_keep_their_order_and_names(tmp_path: Path) -> None:
    golden = Golden(ARRAYS, dict(reversed(ARRAYS.items())), {"a": 0.1, "b/c": 3e-300, "d": 0.0}, "float64, 64 rows")
    got = _round_trip(golden, tmp_path)
    assert list(got.inputs) == list(ARRAYS)
    assert list(got.outputs) == list(reversed(ARRAYS))
    assert got.noise == golden.noise
    assert got.noise_origin == golden.noise_origin


def test_other_readers_find_native_dtypes(tmp_path: Path) -> None:
    from safetensors import safe_open

    write_golden(Golden({"x": ARRAYS["transposed"], "s": ARRAYS["string"]}, {"y": ARRAYS["0-d"]}), tmp_path / "g")
    with safe_open(tmp_path / "g", "numpy") as file:
        np.testing.assert_array_equal(file.get_tensor("input/x"), ARRAYS["transposed"])
        assert file.get_tensor("output/y").shape == ()
        assert file.get_tensor("input/s").dtype == np.uint8


@pytest.mark.parametrize("keep", [0, 4, 40, -1])
def test_a_cut_file_is_named(keep: int, tmp_path: Path) -> None:
    path = tmp_path / "golden.safetensors"
    facts = write_golden(Golden({"x": ARRAYS["float32"]}, {}), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(TamperedError, match=r"golden\.safetensors cannot be read"):
        read_golden(path, facts)


def test_noise_of_each_element_comes_back_and_so_does_one_number(tmp_path: Path) -> None:
    each = np.array([[1e-7, 0.0, 3e-300]])
    golden = Golden({"x": ARRAYS["float32"]}, {}, {"each": each, "one": 2e-7, "single": np.array([[5.0]])}, "float64")
    got = _round_trip(golden, tmp_path).noise
    np.testing.assert_array_equal(got["each"], each)
    assert isinstance(got["one"], float)
    assert got["one"] == 2e-7
    assert np.shape(got["single"]) == (1, 1)
    assert golden.greatest_noise == {"each": 1e-7, "one": 2e-7, "single": 5.0}


def test_noise_of_a_store_written_before_is_one_number(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"noise/y": np.array([3e-7])}, tmp_path / "golden.safetensors")
    facts = {"tensors": {"noise/y": {"dtype": "float64", "shape": [1]}}, "noise_origin": "|float32 − float64|"}
    assert read_golden(tmp_path / "golden.safetensors", facts).noise == {"y": 3e-7}


def test_what_variants_answered_comes_back_and_older_stores_have_none(tmp_path: Path) -> None:
    answers = {
        "tflite-int8": {"a/b": ARRAYS["float32"], "best": ARRAYS["int64"]},
        "onnx-float16": {"a/b": ARRAYS["nan"]},
    }
    golden = Golden({"x": ARRAYS["float32"]}, {}, answers=answers, answered_by={"tflite-int8": "a runtime"})
    facts = write_golden(golden, tmp_path / "golden.safetensors")
    got = read_golden(tmp_path / "golden.safetensors", facts)
    assert got.answered_by == golden.answered_by
    assert {by: list(given) for by, given in got.answers.items()} == {by: list(given) for by, given in answers.items()}
    for by, given in answers.items():
        for name, array in given.items():
            np.testing.assert_array_equal(got.answers[by][name], array)
    older = write_golden(Golden({"x": ARRAYS["float32"]}, {}), tmp_path / "older")
    del older["answered_by"]
    read = read_golden(tmp_path / "older", older)
    assert (read.answers, read.answered_by) == ({}, {})
