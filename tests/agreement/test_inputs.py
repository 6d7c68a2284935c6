from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from deploy_agreement import enough_rows, golden_inputs, same_inputs
from deploy_agreement.probing.inputs import drawn_inputs
from deploy_core.errors import InputError
from deploy_core.signature import Signature, TensorSpec


def _signature(*specs: str) -> Signature:
    return Signature(tuple(map(TensorSpec.parse, specs)), ())


def _one(spec: str, example: np.ndarray, **options: int) -> np.ndarray:
    signature = _signature(spec)
    (array,) = golden_inputs(signature, {signature.inputs[0].name: example}, **options).values()
    assert array.dtype == example.dtype
    return array


RNG = np.random.default_rng(1)


def test_the_users_own_rows_come_first() -> None:
    example = RNG.normal(size=(5, 6)).astype(np.float32)
    golden = _one("x:float32[batch,6]", example)
    assert golden.shape == (64, 6)
    np.testing.assert_array_equal(golden[:5], example)
    assert len(np.unique(golden, axis=0)) == 64


def test_a_long_example_is_cut_and_a_fitting_one_stays() -> None:
    example = RNG.normal(size=(100, 2)).astype(np.float32)
    np.testing.assert_array_equal(_one("x:float32[batch,2]", example), example[:64])
    np.testing.assert_array_equal(_one("x:float32[batch,2]", example, rows=100), example)


def test_few_rows_are_topped_up_and_enough_stay() -> None:
    signature = _signature("x:float32[batch,2]", "scale:float32[1]")
    few = {"x": np.ones((1, 2), np.float32), "scale": np.ones(1, np.float32)}
    topped = enough_rows(signature, few)
    assert topped["x"].shape == (64, 2)
    np.testing.assert_array_equal(topped["x"][:1], few["x"])
    many = {**few, "x": RNG.normal(size=(70, 2)).astype(np.float32)}
    assert enough_rows(signature, many) is many
    fixed = {"x": np.ones((3, 2), np.float32)}
    assert enough_rows(_signature("x:float32[3,2]"), fixed) is fixed


def test_the_seed_decides() -> None:
    example = RNG.normal(size=(1, 6)).astype(np.float32)
    first, again, other = (_one("x:float32[batch,6]", example, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_floats_keep_to_the_features_of_the_example() -> None:
    example = (RNG.normal(size=(50, 3)) * [1, 100, 0] + [0, 1000, 7]).astype(np.float32)
    golden = _one("x:float32[batch,3]", example, rows=4000)[50:]
    np.testing.assert_allclose(golden.mean(axis=0), example.mean(axis=0), atol=0.1 * example.std(axis=0).max())
    np.testing.assert_allclose(golden.std(axis=0), example.std(axis=0), rtol=0.2, atol=1e-3)
    assert (golden[:, 2] == 7).all()
    assert golden.min() >= example.min()
    assert golden.max() <= example.max()


@pytest.mark.parametrize("value", [0.0, 1.0, -30.0])
@pytest.mark.parametrize("rows", [1, 3])
def test_a_constant_example_still_gives_different_rows(value: float, rows: int) -> None:
    golden = _one("x:float32[batch,6]", np.full((rows, 6), value, np.float32))
    assert len(np.unique(golden[rows:], axis=0)) == 64 - rows
    assert value == 0 or (np.sign(golden) == np.sign(value)).all()


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "uint64"])
def test_integers_fill_the_range(dtype: str) -> None:
    golden = _one(f"x:{dtype}[batch,4]", np.array([[3, 7, 5, 3]], dtype), rows=200)
    assert set(np.unique(golden)) == {3, 4, 5, 6, 7}
    limits = np.iinfo(dtype)
    extreme = _one(f"x:{dtype}[batch,1]", np.array([[limits.min], [limits.max]], dtype))
    assert extreme[2:].min() < extreme[2:].max()


def test_integer_features_have_ranges_of_their_own() -> None:
    golden = _one("x:int64[batch,2]", np.array([[0, 50], [3, 99]]))
    assert golden[:, 0].max() <= 3
    assert golden[:, 1].min() >= 50


def test_the_other_dtypes() -> None:
    bools = _one("x:bool[batch,2]", np.array([[True, False]]))
    assert set(np.unique(bools)) == {False, True}
    words = np.empty((1, 3), object)
    words[:] = [[b"a", b"b", b"c"]]
    assert set(_one("x:string[batch,3]", words).ravel()) == {b"a", b"b", b"c"}
    assert np.isfinite(_one("x:bfloat16[batch,3]", np.ones((1, 3), ml_dtypes.bfloat16)).astype(float)).all()
    assert _one("x:complex64[batch]", np.array([1 + 2j, 3 - 1j], np.complex64)).shape == (64,)
    assert _one("x:float16[batch,0]", np.empty((2, 0), np.float16)).shape == (64, 0)


def test_same_symbols_same_size_and_what_is_no_batch_stays() -> None:
    signature = _signature("ids:int64[batch,seq]", "mask:bool[batch,seq]", "heat:float32[]", "table:float32[3]")
    example = {
        "ids": np.ones((2, 9), np.int64), "mask": np.ones((2, 9), bool), "heat": np.array(2.0, np.float32),
        "table": np.arange(3, dtype=np.float32),
    }  # fmt: skip
    golden = golden_inputs(signature, example)
    assert {name: array.shape for name, array in golden.items()} == {
        "ids": (64, 9), "mask": (64, 9), "heat": (), "table": (3,)
    }  # fmt: skip
    np.testing.assert_array_equal(golden["table"], example["table"])


def test_a_batch_on_another_axis() -> None:
    golden = _one("x:float32[seq,batch,2]", RNG.normal(size=(5, 1, 2)).astype(np.float32))
    assert golden.shape == (5, 64, 2)
    assert golden.flags.c_contiguous


def test_a_fixed_batch_stays() -> None:
    assert _one("x:float32[4,2]", np.ones((4, 2), np.float32)).shape == (4, 2)


def test_examples_that_do_not_fit() -> None:
    with pytest.raises(InputError, match="has shape"):
        _one("x:float32[batch,6]", np.ones((1, 5), np.float32))
    with pytest.raises(InputError, match="NaN or infinity"):
        _one("x:float32[batch,1]", np.array([[np.nan]], np.float32))
    with pytest.raises(InputError, match="has no rows"):
        _one("x:float32[batch,1]", np.empty((0, 1), np.float32))


def test_same_inputs() -> None:
    left = {"x": np.ones(3, np.float32)}
    assert same_inputs(left, {"x": np.ones(3, np.float32)})
    assert not same_inputs(left, {"x": np.ones(3, np.float64)})
    assert not same_inputs(left, {"y": np.ones(3, np.float32)})
    assert not same_inputs(left, {"x": np.zeros(3, np.float32)})


def test_rows_of_numbers_are_topped_up_beside_those_that_hold_none() -> None:
    signature = Signature((TensorSpec.parse("x:float32[batch,2]"), TensorSpec.parse("mask:float32[batch,2]")), ())
    given = {
        "x": np.array([[1, 2], [np.nan, 3], [np.inf, 5], [2, 4]], np.float32),
        "mask": np.array([[0, -np.inf]] * 4, np.float32),
    }
    with pytest.raises(InputError, match="NaN or infinity"):
        golden_inputs(signature, given)
    found = enough_rows(signature, given, rows=64)
    np.testing.assert_array_equal(found["x"][:4], given["x"])
    drawn = found["x"][4:]
    assert len(drawn) == 60
    assert ((drawn >= 1) & (drawn <= 4)).all(), "like the rows of numbers"
    assert len(np.unique(drawn)) > 50
    assert set(found["mask"].ravel().tolist()) == {0.0, -np.inf}, "an infinity in every row is a value like others"
    further = drawn_inputs(signature, given, 20)
    assert np.isfinite(further["x"]).all()
