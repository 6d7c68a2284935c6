"""What coarser numbers cost: figures by plain numpy, the three verdicts, and the rules by which a variant is judged."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from deploy_agreement import ANY, Agreement, Noise, Terms, compare, measured, tolerances, unlike, with_degradation
from deploy_agreement.results.degradation import Degradation, OutputDegradation
from deploy_agreement.variants.degradation import degradation
from deploy_core.errors import UsageError
from deploy_core.signature import Tensors

ROWS = 64
RNG = np.random.default_rng(3)
X = {"x": RNG.normal(size=(ROWS, 6)).astype(np.float32)}
SCORES = RNG.normal(size=(ROWS, 4)).astype(np.float32)
NOISE = Noise({"y": 1e-7}, "|float32 − float64|")
Make = Callable[..., Any]


def _one(want: np.ndarray, got: np.ndarray) -> OutputDegradation:
    (output,) = degradation({"y": want}, {"y": got}, {"y": 0}).outputs
    return output


def _stepped(want: np.ndarray, step: float) -> np.ndarray:
    return (np.round(want / step) * step).astype(want.dtype)


def test_the_figures_are_those_of_plain_numpy() -> None:
    got = SCORES + RNG.normal(scale=0.3, size=SCORES.shape).astype(np.float32)
    found = _one(SCORES, got)
    apart = (got.astype(np.float64) - SCORES).ravel()
    assert found.max_error == pytest.approx(np.abs(apart).max() / SCORES.astype(np.float64).std())
    assert found.rms_error == pytest.approx(np.sqrt((apart**2).mean()) / SCORES.astype(np.float64).std())
    centred = SCORES.astype(np.float64) - SCORES.astype(np.float64).mean(axis=0)
    assert found.lost == pytest.approx(np.sqrt((apart**2).mean() / (centred**2).mean()))
    assert found.flips == sum(int(w.argmax() != g.argmax()) for w, g in zip(SCORES, got, strict=True)) > 0
    assert found.rows == ROWS


@pytest.mark.parametrize(
    ("got", "verdict"),
    [
        (SCORES, "ok"),
        (_stepped(SCORES, 8 / 255), "ok"),
        (_stepped(SCORES, 0.5), "degraded"),
        (_stepped(SCORES, 4.0), "collapsed"),
        (np.zeros_like(SCORES), "collapsed"),
        (np.broadcast_to(SCORES.mean(axis=0), SCORES.shape), "collapsed"),
        (SCORES[::-1], "collapsed"),
        (-SCORES, "collapsed"),
    ],
    ids=["same", "8 bits", "4 bits", "2 bits", "zeros", "the mean", "other rows", "other sign"],
)
def test_verdicts(got: np.ndarray, verdict: str) -> None:
    assert _one(SCORES, got).verdict == verdict


def test_what_varies_counts_and_not_what_differs_between_columns() -> None:
    want = np.array([0.0, 1000.0]) + RNG.normal(size=(ROWS, 2))
    got = np.broadcast_to(want.mean(axis=0), want.shape)
    found = _one(want, got)
    assert found.rms_error is not None
    assert found.rms_error < 0.01
    assert found.verdict == "collapsed"


def test_flips_alone_degrade() -> None:
    want = np.stack([np.full(ROWS, 0.5), np.full(ROWS, 0.501)], axis=1)
    want[::2] = want[::2, ::-1]
    got = want.copy()
    got[:4] = got[:4, ::-1]
    found = _one(want * 1.0, got)
    assert (found.flips, found.flipped, found.verdict) == (4, 4 / ROWS, "degraded")


@pytest.mark.parametrize("shape", [(ROWS,), (ROWS, 1), (ROWS, 3, 2)])
def test_what_does_not_look_like_scores_has_no_flips(shape: tuple[int, ...]) -> None:
    want = RNG.normal(size=shape)
    assert _one(want, want).flips is None


def test_answers_that_are_no_floats() -> None:
    want = np.arange(ROWS, dtype=np.int64) % 10
    got = want.copy()
    got[:2] += 1
    found = _one(want, got)
    assert (found.flips, found.max_error, found.lost, found.verdict) == (2, None, None, "ok")
    assert _one(want, np.full_like(want, 3)).verdict == "collapsed"
    text = np.array([b"a", b"b"] * 4, dtype=object)
    assert _one(text, text).verdict == "ok"


def test_odd_outputs_have_figures_too() -> None:
    constant = np.full((ROWS, 3), 7.0)
    assert _one(constant, constant).verdict == "ok"
    assert _one(constant, constant * 2).rms_error == pytest.approx(1.0)
    masked = np.where(RNG.random((ROWS, 5)) < 0.3, -np.inf, RNG.normal(size=(ROWS, 5)))
    assert _one(masked, masked).verdict == "ok"
    assert _one(SCORES, np.full_like(SCORES, np.nan)).verdict == "collapsed"
    assert _one(SCORES.astype(np.float16), SCORES.astype(np.float16)).verdict == "ok"
    huge = SCORES.astype(np.float64) * 1e100
    assert _one(huge, -huge).verdict == "collapsed"
    one_row = SCORES[:1]
    assert _one(one_row, one_row + 0.001).verdict == "ok"


def test_rows_on_another_axis() -> None:
    want = SCORES.T.copy()
    (found,) = degradation({"y": want}, {"y": np.repeat(want[:, :1], ROWS, axis=1)}, {"y": 1}).outputs
    assert (found.rows, found.constant, found.verdict) == (ROWS, True, "collapsed")


def test_the_limit_is_held_against_the_rms_error_the_flips_and_a_collapse() -> None:
    def beyond(**figures: Any) -> str:
        return Degradation((OutputDegradation("y", 100, **figures),)).beyond(0.01)

    assert not beyond(max_error=0.5, rms_error=0.009, lost=0.01, flips=1)
    assert "off by 1.1% of its spread" in beyond(rms_error=0.011)
    assert "2 of 100 rows" in beyond(rms_error=0.0, flips=2)
    assert beyond(rms_error=0.001, lost=0.6)


def test_the_worst_output_gives_the_verdict() -> None:
    want = {"fine": SCORES, "lost": SCORES}
    found = degradation(want, {"fine": SCORES, "lost": -SCORES}, {"fine": 0, "lost": 0})
    assert found.verdict == "collapsed"
    assert found.why.startswith("output 'lost'")
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["outputs"][1]["verdict"] == "collapsed"


def _model(make: Make, answer: Callable[[np.ndarray], np.ndarray]) -> Any:
    return make("x:float32[batch,6]", "y:float32[batch,6]", lambda inputs: {"y": answer(inputs["x"])})


def test_a_variant_is_measured_and_held_to_that_ever_after(make: Make) -> None:
    coarse = _model(make, lambda x: _stepped(x, 0.1))
    row = measured("tflite-int8", {"y": X["x"]}, coarse, X, noise=NOISE)
    error = float(np.abs(_stepped(X["x"], 0.1).astype(np.float64) - X["x"]).max())
    (output,) = row.outputs
    assert row.ok
    assert output.max_abs == pytest.approx(error)
    assert (output.tolerance.value, output.tolerance.origin) == (
        pytest.approx(2 * error),
        "2 × the error when it was published",
    )
    assert not compare("float", {"y": X["x"]}, coarse, X, noise=NOISE).ok
    limits = tolerances({"y": X["x"]}, {"y": error}, noise=NOISE)
    assert compare("again", {"y": X["x"]}, coarse, X, noise=NOISE, terms=Terms(measured=limits)).ok
    coarser = _model(make, lambda x: _stepped(x, 0.3))
    assert not compare("another", {"y": X["x"]}, coarser, X, noise=NOISE, terms=Terms(measured=limits)).ok


def test_what_is_asked_for_wins(make: Make) -> None:
    coarse = _model(make, lambda x: _stepped(x, 0.1))
    limits = {"y": ANY}
    row = compare("y", {"y": X["x"]}, coarse, X, noise=NOISE, terms=Terms(measured=limits, atol=1e-6))
    assert not row.ok


def test_a_variant_that_changes_nothing_keeps_the_float_tolerance(make: Make) -> None:
    row = measured("same", {"y": X["x"]}, _model(make, np.copy), X, noise=NOISE)
    assert "2 ×" not in row.outputs[0].tolerance.origin
    assert row.outputs[0].tolerance.value > 0


def test_an_integer_may_differ_as_it_did(make: Make) -> None:
    want = {"y": (np.arange(ROWS) % 5).astype(np.int64)}
    found = tolerances(want, {"y": 1.0}, noise=Noise({}, ""))
    assert (found["y"].value, found["y"].origin) == (1.0, "the difference when it was published")


def _frozen(x: np.ndarray) -> np.ndarray:
    if len(x) != ROWS:
        raise UsageError(f"cannot reshape {len(x)} rows")
    return x


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (lambda x: np.full_like(x, np.nan), "nan"),
        (lambda x: x.astype(np.float64), "dtype"),
        (lambda x: x[:, :5], "shape"),
        (_frozen, "frozen-batch"),
    ],
)
def test_the_form_of_a_variant_is_judged_as_strictly(
    make: Make, answer: Callable[[np.ndarray], np.ndarray], kind: str
) -> None:
    row = measured("broken", {"y": X["x"]}, _model(make, answer), X, noise=NOISE)
    assert not row.ok
    assert kind in {problem.kind for problem in row.problems}


def test_the_cost_is_added_to_the_row(make: Make) -> None:
    coarse = _model(make, lambda x: _stepped(x, 0.1))
    row = measured("coarse", {"y": X["x"]}, coarse, X, noise=NOISE)
    full = with_degradation(row, {"y": X["x"]}, coarse, X)
    assert full.degradation is not None
    document = full.to_json()["degradation"]
    assert (document["verdict"], document["size_ratio"], document["outputs"][0]["name"]) == ("ok", None, "y")
    assert row.to_json()["degradation"] is None

    def refuses(inputs: Tensors) -> dict[str, np.ndarray]:
        raise UsageError("no")

    broken = make("x:float32[batch,6]", "y:float32[batch,6]", refuses)
    failed = measured("broken", {"y": X["x"]}, broken, X, noise=NOISE)
    assert with_degradation(failed, {"y": X["x"]}, broken, X) == failed


def test_a_variant_of_other_numbers_than_were_measured_is_told(make: Make) -> None:
    def asked(answer: Callable[[np.ndarray], np.ndarray]) -> Agreement:
        model = _model(make, answer)
        return with_degradation(measured("int8", {"y": X["x"]}, model, X, noise=NOISE), {"y": X["x"]}, model, X)

    row = asked(lambda x: _stepped(x, 0.1))
    assert row.degradation is not None
    errors = {"y": row.degradation.outputs[0].rms_error or 0.0}
    assert not unlike(row, errors)
    moved = asked(lambda x: _stepped(x, 0.1) + np.float32(0.03))  # the greatest error stays within twice what it was
    limits = tolerances({"y": X["x"]}, {"y": row.outputs[0].max_abs or 0.0}, noise=NOISE)
    assert (moved.outputs[0].max_abs or 9.0) < limits["y"].value
    (problem,) = unlike(moved, errors)
    assert (problem.kind, problem.output) == ("unlike-published", "y")
    assert not unlike(asked(np.copy), {"y": 0.0})  # what rounds no more than float32 is never told
