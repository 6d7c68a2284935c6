from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from deploy_agreement.figures import deviation, eps, figures, relative, spread, ulps


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
def test_one_step_to_the_next_number_is_one_ulp(dtype: type) -> None:
    values = np.array([1.0, 1.5, 3.14159, 100.25, 1e-3, 0.75, 2.0, 1024.0, -5.5, -1e-2], dtype)
    up = np.nextafter(values, np.array(np.inf, dtype))
    for steps, moved in ((1, up), (2, np.nextafter(up, np.array(np.inf, dtype)))):
        # Below a power of two the numbers lie closer; the last place of the wanted value counts.
        positive = values > 0
        np.testing.assert_array_equal(ulps(values, deviation(values, moved), 0.0)[positive], steps)
    assert eps(np.dtype(dtype).name) == float(ml_dtypes.finfo(dtype).eps)


def test_ulps_agree_with_numpys_spacing() -> None:
    rng = np.random.default_rng(0)
    want = rng.normal(size=1000).astype(np.float32) * np.float32(10) ** rng.integers(-20, 20, 1000)
    got = want + rng.integers(-50, 50, 1000) * np.spacing(np.abs(want))
    np.testing.assert_allclose(ulps(want, deviation(want, got), 0.0), deviation(want, got) / np.spacing(np.abs(want)))


def test_small_values_are_counted_at_the_spread() -> None:
    want = np.array([1e-9, 1.0], np.float32)
    got = np.array([1e-9 + 2.0**-23, 1.0], np.float32)
    assert figures(want, deviation(want, got), 0.0).max_ulp > 1e8
    assert figures(want, deviation(want, got), 1.0).max_ulp == pytest.approx(1.0)


def test_zero_and_denormals_give_finite_figures() -> None:
    want = np.zeros(3, np.float32)
    found = figures(want, np.array([0, 1e-45, 1], np.float32), 0.0)
    assert found.max_abs == 1.0
    assert found.max_rel == 0.0
    assert np.isfinite(found.max_ulp)


def test_nan_and_infinity() -> None:
    inf, nan = np.inf, np.nan
    want = np.array([inf, -inf, inf, nan, nan, 1, 1], np.float32)
    got = np.array([inf, -inf, -inf, nan, 1, nan, 1], np.float32)
    np.testing.assert_array_equal(deviation(want, got), [0, 0, inf, inf, inf, inf, 0])
    np.testing.assert_array_equal(relative(want, deviation(want, got)), [0, 0, 0, 0, 0, inf, 0])


def test_what_is_infinitely_far_off_beside_a_denormal_is_so_without_a_word() -> None:
    want = np.array([1e-310, 1.0])
    np.testing.assert_array_equal(relative(want, deviation(want, np.ones(2))), [np.inf, 0.0])


def test_integers_beyond_float64() -> None:
    want = np.array([2**62, 2**63 - 1, -5], np.int64)
    np.testing.assert_array_equal(deviation(want, want + np.array([1, -1, 0])), [1, 1, 0])
    big = np.array([0, 2**64 - 1], np.uint64)
    np.testing.assert_array_equal(deviation(big, big[::-1]), [2.0**64, 2.0**64])
    least, beside = np.array([-(2**63), 5_229_034_986_739_764_735]), np.array([2**63 - 1, 5_229_034_986_739_764_736])
    np.testing.assert_array_equal(deviation(least, beside), [2.0**64, 1.0])


def test_strings_and_booleans() -> None:
    text = np.array(["a", "é"])
    data = np.array([b"a", "é".encode()], object)
    np.testing.assert_array_equal(deviation(text, data), [0, 0])
    np.testing.assert_array_equal(deviation(data, np.array([b"b", "é"], object)), [1, 0])
    np.testing.assert_array_equal(deviation(np.array([True, False]), np.array([True, True])), [0, 1])


def test_complex_numbers() -> None:
    want = np.array([3 + 4j], np.complex64)
    assert figures(want, deviation(want, want + np.complex64(0.5j)), 0.0).max_abs == 0.5
    assert figures(want, deviation(want, want + np.complex64(0.5j)), 0.0).max_rel == pytest.approx(0.1)


def test_spread_of_values_whose_squares_are_infinite() -> None:
    np.testing.assert_allclose(spread(np.array([1e300, 3e300])), 1e300, rtol=1e-12)


def test_spread() -> None:
    assert spread(np.array([1.0, 3.0, np.inf, np.nan], np.float32)) == 1.0
    assert spread(np.array([b"a"], object)) == spread(np.array([True, False])) == spread(np.empty(0, np.float32)) == 0.0
