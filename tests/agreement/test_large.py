"""Comparing outputs of many parts: what is said of them is what plain numpy says of the whole."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from deploy_agreement import Noise, Terms, compare, noise
from deploy_agreement.comparing.elements import POINTS, WORST
from deploy_agreement.results.outputs import OutputAgreement

Make = Callable[..., Any]
ROWS, SHAPE = 4, (150, 67)  # 40,200 elements, more than a part
PLACE = (3, 149, 66)  # the last
ROW = {"row": np.arange(ROWS, dtype=np.float32)[:, None]}
RNG = np.random.default_rng(0)


def _judged(make: Make, want: np.ndarray, got: np.ndarray, **terms: Any) -> OutputAgreement:
    name = "string" if want.dtype == object else want.dtype.name
    answering = make(
        "row:float32[batch,1]",
        f"y:{name}[batch,150,67]",
        lambda inputs: {"y": got[inputs["row"][:, 0].round().astype(int)]},
    )
    row = compare("it", {"y": want}, answering, ROW, noise=Noise({"y": 1e-6}, "given"), terms=Terms(**terms))
    return row.outputs[0]


def _values(dtype: Any = np.float32) -> np.ndarray:
    values = RNG.normal(size=(ROWS, *SHAPE))
    return np.asarray(values + 1j * values[::-1] if np.dtype(dtype).kind == "c" else values).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64, np.complex64])
def test_figures_are_those_of_the_whole(make: Make, dtype: Any) -> None:
    want = _values(dtype)
    got = (want * (1 + 0.01 * RNG.integers(-1, 2, want.shape))).astype(dtype)
    got[PLACE] = want[PLACE] + np.array(5, dtype)
    output = _judged(make, want, got)
    wide = np.complex128 if np.dtype(dtype).kind == "c" else np.float64
    apart, size = np.abs(want.astype(wide) - got.astype(wide)), np.abs(want.astype(wide))
    assert not output.ok
    assert output.compared == want.size * (ROWS + 3 * (1 + 2 + 3 + 7)) // ROWS
    assert (output.max_abs, output.needed) == (apart.max(), apart.max())
    assert output.max_rel == (apart / np.where(size > 0, size, np.inf)).max()
    assert output.worst is not None
    assert (output.worst.place, output.worst_row) == (PLACE, 3)
    assert output.worst.limit == output.tolerance.value
    assert output.needed_times == apart[PLACE] / output.tolerance.value


def test_each_element_is_held_to_its_own_tolerance_and_its_relative_part(make: Make) -> None:
    want = _values()
    got = (want * np.float32(1 + 1e-3)).astype(np.float32)
    apart, allowed = np.abs(want.astype(float) - got), 1e-4 + 5e-4 * np.abs(want.astype(float))
    output = _judged(make, want, got, atol=1e-4, rtol=5e-4)
    times = apart / allowed
    assert output.needed_times == pytest.approx(times.max(), rel=1e-12)
    assert output.needed == pytest.approx((apart - (allowed - 1e-4)).max(), rel=1e-9)
    assert output.worst is not None
    assert output.worst.place == np.unravel_index(times.argmax(), want.shape)
    assert output.ok == bool((apart <= allowed).all())


@pytest.mark.parametrize("place", [(0, 0, 0), (3, 10, 5), PLACE])
@pytest.mark.parametrize("came", [np.nan, np.inf, -np.inf])
def test_one_value_that_is_no_number_is_found_wherever_it_lies(make: Make, place: Any, came: float) -> None:
    want = _values()
    got = want.copy()
    got[place] = came
    output = _judged(make, want, got)
    assert (output.ok, output.max_abs, output.needed_times) == (False, np.inf, np.inf)
    assert output.worst is not None
    assert output.worst.place == place
    want[place] = came
    assert _judged(make, want, got).ok == bool(np.isinf(came))
    assert _judged(make, want, got, nan_agrees=True).ok


def test_numbers_flags_and_text_must_be_equal(make: Make) -> None:
    integers, flags = RNG.integers(2**62, 2**63 - 1, (ROWS, *SHAPE)), RNG.integers(0, 2, (ROWS, *SHAPE)).astype(bool)
    words = np.array([b"a", b"b\0"], object)[flags.astype(int)]
    for want, other in ((integers, integers[PLACE] - 1), (flags, ~flags[PLACE]), (words, b"c")):
        assert _judged(make, want, want.copy()).ok
        got = want.copy()
        got[PLACE] = other
        output = _judged(make, want, got)
        assert (output.ok, output.max_abs, output.worst_row) == (False, 1.0, 3)


def test_answers_that_agree_are_not_kept(make: Make) -> None:
    want = _values()
    kept: list[weakref.ref[np.ndarray]] = []
    alive: list[int] = []

    def answer(inputs: Any) -> dict[str, np.ndarray]:
        alive.append(sum(one() is not None for one in kept))
        found = want[inputs["row"][:, 0].astype(int)]
        kept.append(weakref.ref(found))
        return {"y": found}

    answering = make("row:float32[batch,1]", "y:float32[batch,150,67]", answer)
    assert compare("it", {"y": want}, answering, ROW, noise=Noise({}, "")).ok
    assert max(alive) <= 2  # the whole batch, and the last
    assert len(kept) == 13


def test_points_hold_the_worst_of_all_parts(make: Make) -> None:
    want = _values()
    got = want + RNG.normal(scale=1e-7, size=want.shape).astype(np.float32)
    points = _judged(make, want, got).points
    assert points is not None
    assert POINTS / 2 < len(points.want) <= POINTS
    shown = np.sort(np.abs(points.want - points.got))[::-1]
    worst = np.sort(np.abs(want.astype(float) - got).ravel())[::-1]
    assert shown[0] == worst[0]
    assert shown[WORST - 1] >= worst[WORST // 4]  # a row is answered up to five times
    alone = _judged(make, want, want.copy()).points
    assert alone is not None
    assert (alone.want == alone.got).all()


def test_noise_is_that_of_the_whole(make: Make) -> None:
    weights = RNG.normal(size=(30, 12_000))
    x = {"x": RNG.normal(size=(8, 30)).astype(np.float32)}

    def answer(inputs: Any) -> dict[str, np.ndarray]:
        return {"y": (inputs["x"].astype(np.float32) @ weights.astype(np.float32)).astype(np.float32)}

    def exact(inputs: Any) -> dict[str, np.ndarray]:
        return {"y": inputs["x"].astype(np.float64) @ weights.astype(np.float32).astype(np.float64)}

    model = make("x:float32[batch,30]", "y:float32[batch,12000]", answer, exact)
    measured = noise(model, x).values["y"]
    apart = np.abs(exact(x)["y"] - answer(x)["y"]).max(axis=0, keepdims=True)
    assert np.shape(measured) == (1, 12_000)
    assert (measured >= apart).all()
    assert np.max(measured) < 20 * apart.max()
