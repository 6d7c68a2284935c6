"""What is computed part by part is what plain numpy computes of the whole."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest

from deploy_agreement.blocks import MOST, along, blocks, least
from deploy_agreement.figures import deviation, figures, nan_count, relative, spread, ulps
from deploy_agreement.scales import scales

SHAPES = [(70_001,), (3, 50, 333), (2, 40_001), (40_001, 2), (1, 1, 45_000, 1), (5, 0, 7), (0,), (), (4, 5)]
RNG = np.random.default_rng(0)
FLOATS = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64, np.complex64, np.complex128]
INTEGERS = [np.int8, np.uint8, np.int64, np.uint64, np.bool_]


def _drawn(shape: tuple[int, ...], dtype: type, seed: int) -> np.ndarray:
    """Values of the dtype, every hundredth of which is special, with equal ones in both seeds."""
    rng, same = np.random.default_rng(seed), np.random.default_rng(99)
    if np.dtype(dtype).kind in "iub":
        whole = np.dtype(np.uint8) if dtype is np.bool_ else np.dtype(dtype)
        top = 2 if dtype is np.bool_ else np.iinfo(whole).max
        one, other = (each.integers(0, top, shape, whole) for each in (same, rng))
        return np.where(same.random(shape) < 0.5, one, other).astype(dtype)
    values = np.asarray(same.normal(size=shape) * (1 + 1e-3 * rng.integers(0, 2, shape)))
    if np.dtype(dtype).kind == "c":
        values = np.asarray(values + 1j * same.normal(size=shape))
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, 6e4])
    return np.asarray(np.where(rng.random(shape) < 0.01, rng.choice(special, shape), values)).astype(dtype)


def _wide(array: np.ndarray) -> np.ndarray:
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def _plain_deviation(want: np.ndarray, got: np.ndarray, nan_agrees: bool) -> np.ndarray:
    if want.dtype.kind in "bO":
        return np.asarray(want != got, np.float64)
    if want.dtype in (np.int64, np.uint64):  # which float64 does not hold
        return np.asarray(np.abs(want.astype(object) - got.astype(object)), np.float64)
    with np.errstate(all="ignore"):
        apart, equal = np.asarray(np.abs(_wide(want) - _wide(got))), np.asarray(want == got)
        nan = np.isnan(_wide(want)) & np.isnan(_wide(got))
    apart = apart if want.dtype.kind in "fcV" else np.maximum(apart, 1.0)
    return np.where(equal | (nan_agrees & nan), 0.0, np.where(np.isnan(apart), np.inf, apart))


@pytest.mark.parametrize("shape", SHAPES)
def test_parts_are_every_element_once_in_order(shape: tuple[int, ...]) -> None:
    numbers = np.arange(math.prod(shape)).reshape(shape)
    parts = [numbers[block] for block in blocks(shape)]
    np.testing.assert_array_equal(np.concatenate([part.ravel() for part in parts]), numbers.ravel())
    assert all(part.size <= MOST and part.ndim == len(shape) for part in parts)
    assert (len(parts) > 1) == (numbers.size > MOST)


@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
def test_deviations(dtype: type) -> None:
    for shape in SHAPES:
        want, got = _drawn(shape, dtype, 0), _drawn(shape, dtype, 1)
        for nan_agrees in (False, True):
            apart = deviation(want, got, nan_agrees=nan_agrees)
            assert apart.dtype == np.float64
            assert apart.shape == want.shape
            np.testing.assert_array_equal(apart, _plain_deviation(want, got, nan_agrees))
        assert not deviation(want, want, nan_agrees=True).any()


def test_deviations_of_text() -> None:
    want = np.array([b"a", b"b\0", "é", b""] * 10_000, object).reshape(100, 400)
    got = want.copy()
    got[3, 5], got[99, 399] = b"other", b"\0"
    apart = deviation(want, got)
    assert np.argwhere(apart).tolist() == [[3, 5], [99, 399]]


@pytest.mark.parametrize("dtype", FLOATS)
def test_figures_and_their_scales(dtype: type) -> None:
    want, got = _drawn((3, 50, 333), dtype, 0), _drawn((3, 50, 333), dtype, 1)
    name = np.dtype(dtype).name
    apart, size = deviation(want, got), np.abs(_wide(want))
    with np.errstate(all="ignore"):
        plain = np.where(np.isfinite(size) & (size > 0), apart / size, 0.0)
        least = 2.0**-14 if name == "float16" else 2.0**-1022 if name in ("float64", "complex128") else 2.0**-126
        at = np.where(np.isfinite(size), np.maximum(size, max(0.01, least)), 1.0)
        step = float(ml_dtypes.finfo(dtype).eps) if np.dtype(dtype).kind != "c" else float(np.finfo(dtype).eps)
        last = apart / np.ldexp(step, np.frexp(at)[1] - 1)
    np.testing.assert_array_equal(relative(want, apart), plain)
    np.testing.assert_array_equal(ulps(want, apart, 0.01), last)
    found = figures(want, apart, 0.01)
    assert (found.max_abs, found.max_rel, found.max_ulp) == (apart.max(), plain.max(), last.max())
    assert nan_count(want) == np.isnan(_wide(want)).sum()


@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
@pytest.mark.parametrize("axes", [(), (0,), (1,), (0, 2), (0, 1, 2)])
def test_scales_along_axes(dtype: type, axes: tuple[int, ...]) -> None:
    want = _drawn((3, 50, 333), dtype, 0)
    of = scales(want, axes)
    if dtype is np.bool_:
        assert not of.spread.any()
        return
    values = _wide(want)
    finite, bare = np.isfinite(values), np.where(np.isfinite(values), values, 0.0)
    count = np.maximum(finite.sum(axis=axes, keepdims=True), 1)
    mean = bare.sum(axis=axes, keepdims=True) / count
    centred = np.where(finite, values - mean, 0.0) if finite.any() else bare
    spreads = np.sqrt((np.abs(centred) ** 2).sum(axis=axes, keepdims=True) / count)
    np.testing.assert_array_equal(of.greatest, np.abs(bare).max(axis=axes, keepdims=True))
    np.testing.assert_allclose(of.mean, np.abs(mean), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(of.spread, spreads, rtol=1e-12, atol=1e-12)
    if values.dtype.kind == "f":
        np.testing.assert_array_equal(of.low, values.min(axis=axes, keepdims=True))
        np.testing.assert_array_equal(of.high, values.max(axis=axes, keepdims=True))


@pytest.mark.parametrize("shape", [(64, 0), (3, 0, 2), (0, 5), (0,)])
def test_scales_of_what_has_no_elements(shape: tuple[int, ...]) -> None:
    of = scales(np.zeros(shape, np.float32), (0,))
    assert of.spread.shape == (1, *shape[1:])
    assert not of.spread.any()


def test_scales_of_what_squares_overflow() -> None:
    want = np.full((2, 40_000), 1e300)
    want[:, ::2] *= -1
    assert spread(want) == pytest.approx(1e300)
    assert scales(want, (0,)).mean == pytest.approx(1e300)
    assert spread(np.zeros((0, 3), np.float32)) == 0.0
    assert [spread(np.array(3.0, dtype)) for dtype in (np.float32, np.float64, np.complex64)] == [0.0] * 3


def test_the_least_are_those_of_a_stable_sort() -> None:
    for keys in (
        RNG.integers(0, 50, 5000),
        RNG.normal(size=5000),
        np.zeros(30),
        np.array([3.0, -np.inf, 3.0]),
        np.zeros(0),
    ):
        np.testing.assert_array_equal(least(keys, 12), np.argsort(keys, kind="stable")[:12])


def test_where_figures_of_a_part_belong() -> None:
    block = (slice(1, 2), slice(0, 5), ...)
    assert along(block, (0,)) == (slice(None), slice(0, 5), ...)
