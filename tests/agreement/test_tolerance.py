"""A tolerance for each element: small columns are held to their own noise, and honest arithmetic is not accused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from benchmarks.tolerance.__main__ import main as measured_by_benchmark
from benchmarks.tolerance.arithmetic import HONEST
from benchmarks.tolerance.models import Computed, model

from deploy_agreement import Element, Noise, Promise, Terms, again, compare, noise, promise, times_more, tolerance
from deploy_agreement.comparing.elements import POINTS, WORST
from deploy_core.signature import Tensors

Make = Callable[..., Any]
Answer = Callable[[Tensors], dict[str, np.ndarray]]
RNG = np.random.default_rng(3)
X = {"x": RNG.normal(size=(64, 16)).astype(np.float32)}
WEIGHTS = RNG.normal(size=(16, 4)).astype(np.float32)
SCALES = np.array([1.0, 1e-4, 1e-3, 10.0], np.float32)
SPEC = ("x:float32[batch,16]", "y:float32[batch,4]")


def columns(dtype: type = np.float32, scales: np.ndarray = SCALES, **faults: float) -> Answer:
    """A dense layer whose columns have other scales; `faults` are factors by column, as `c1=1.01`."""
    weights = WEIGHTS * scales
    for name, factor in faults.items():
        weights[:, int(name[1])] *= np.float32(factor)
    return lambda inputs: {"y": inputs["x"].astype(dtype) @ weights.astype(dtype)}


@pytest.fixture(scope="module")
def source(make: Make) -> Any:
    return make(*SPEC, columns(), columns(np.float64))


@pytest.fixture(scope="module")
def measured(source: Any) -> Noise:
    return noise(source, X)


def judged(make: Make, source: Any, answer: Answer, measured: Noise, **options: Any) -> Any:
    return compare("it", source.predict(X), make(*SPEC, answer), X, noise=measured, **options)


def test_a_percent_of_a_small_column_beside_a_large_one_is_found(make: Make, source: Any, measured: Noise) -> None:
    for column in range(4):
        found = judged(make, source, columns(**{f"c{column}": 1.01}), measured)
        assert not found.ok, column
        assert found.outputs[0].worst.place[1] == column
    # By one number for the whole output it would not be.
    one_number = Noise(measured.greatest(), "")
    assert judged(make, source, columns(c1=1.01), one_number).ok


def test_no_column_a_thousand_times_smaller_can_be_wrong_by_half(make: Make) -> None:
    for largest in (1e-6, 1e-3, 1.0, 1e3, 1e6):
        scales = np.array([largest, largest / 1e3, largest, largest], np.float32)
        source = make(*SPEC, columns(scales=scales), columns(np.float64, scales=scales))
        found = judged(make, source, columns(scales=scales, c1=1.002), noise(source, X))
        assert not found.ok, largest


def test_noise_has_an_element_for_each_that_has_a_place(make: Make, measured: Noise) -> None:
    values = np.asarray(measured.values["y"])
    assert values.shape == (1, 4)
    assert values[0, 1] < 1e-3 * values[0, 0]
    assert measured.greatest() == {"y": values.max()}

    def steps(inputs: Tensors) -> dict[str, np.ndarray]:
        return {"y": inputs["x"][:, :, None] * np.float32([1 / 3, 2e-3]), "all": inputs["x"].sum(axis=1)}

    def exact(inputs: Tensors) -> dict[str, np.ndarray]:
        return steps({"x": inputs["x"].astype(np.float64)})

    free = make("x:float32[batch,steps]", "y:float32[batch,steps,2] all:float32[batch]", steps, exact)
    found = noise(free, X).values
    assert np.shape(found["y"]) == (1, 1, 2)
    assert isinstance(found["all"], float)


@pytest.mark.parametrize("seed", range(24))
def test_honest_arithmetic_is_not_accused(seed: int) -> None:
    made = model(seed)
    source, x = Computed(made), {"x": made.x}
    measured, want = noise(source, x), source.predict(x)
    for how in HONEST[seed % 2 :: 2]:
        if not how.tile or "convolutions" in made.kind:
            found = compare(how.name, want, Computed(made, how), x, noise=measured, batches=())
            assert found.outputs[0].needed_times < 0.9, (made.kind, how.name, found.why)


def test_what_depends_on_the_batch_is_no_noise(make: Make) -> None:
    def leaking(inputs: Tensors, dtype: type = np.float32) -> dict[str, np.ndarray]:
        y = inputs["x"].astype(dtype) @ WEIGHTS.astype(dtype)
        return {"y": y + dtype(1e-4) * y.mean(axis=0)}

    source = make(*SPEC, leaking, lambda inputs: leaking(inputs, np.float64))
    measured = noise(source, X)
    assert measured.greatest()["y"] < 1e-5
    assert not compare("it", source.predict(X), source, X, noise=measured).ok


def _activated(act: Callable[[np.ndarray], np.ndarray], shift: np.ndarray) -> Callable[[type], Answer]:
    def of(dtype: type, order: int = 1) -> Answer:
        def answer(inputs: Tensors) -> dict[str, np.ndarray]:
            x, w = inputs["x"].astype(dtype)[:, ::order], WEIGHTS.astype(dtype)[::order]
            return {"y": act(np.ascontiguousarray(x) @ np.ascontiguousarray(w) + shift.astype(dtype))}

        return answer

    return of


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-values)))


@pytest.mark.parametrize(
    ("act", "shift"),
    [
        (lambda h: np.maximum(h, 0), [0, -1e3, -9, 4]),
        (_sigmoid, [0, 60, -60, -12]),
        (np.tanh, [0, 40, -40, 9]),
    ],
    ids=["ReLU", "sigmoid", "tanh"],
)
def test_elements_without_noise_of_their_own_are_not_held_to_nothing(
    make: Make, act: Callable[[np.ndarray], np.ndarray], shift: list[float]
) -> None:
    of: Any = _activated(act, np.array(shift, np.float32))
    source = make(*SPEC, of(np.float32), of(np.float64))
    measured = noise(source, X)
    assert (np.asarray(measured.values["y"]) > 0).all()
    for honest in (of(np.float32, -1), lambda i: {"y": of(np.float64)(i)["y"].astype(np.float32)}):
        found = judged(make, source, honest, measured)
        assert found.outputs[0].needed_times < 0.9, found.why

    def last_place(inputs: Tensors) -> dict[str, np.ndarray]:
        y = of(np.float32)(inputs)["y"]
        return {"y": np.nextafter(y, np.float32(-1))}

    assert judged(make, source, last_place, measured).ok


def test_an_element_that_one_row_moves_gets_the_noise_of_its_neighbours(make: Make) -> None:
    off = np.zeros((64, 4))
    off[:, 0] = RNG.normal(size=64) * 1e-7
    off[5, 1] = 1e-12

    def answer(inputs: Tensors) -> dict[str, np.ndarray]:
        return {"y": inputs["x"][:, :4]}

    def exact(inputs: Tensors) -> dict[str, np.ndarray]:
        return {"y": inputs["x"][:, :4] + off}

    frozen = make("x:int64[batch,16]", SPEC[1], answer, exact)
    values = np.asarray(noise(frozen, X).values["y"])
    assert values[0, 0] == pytest.approx(np.abs(off[:, 0]).max())
    assert values[0, 1] > 1e-8


def test_the_worst_element_is_named_with_its_own_rule(make: Make, source: Any, measured: Noise) -> None:
    def off(inputs: Tensors) -> dict[str, np.ndarray]:
        y = columns()(inputs)["y"]
        y[inputs["x"][:, 0] == X["x"][40, 0], 1] += np.float32(1e-5)
        return {"y": y}

    (output,) = judged(make, source, off, measured).outputs
    worst = output.worst
    assert (worst.place, output.worst_row, output.worst_batch) == ((40, 1), 40, 64)
    assert worst.got - worst.want == pytest.approx(1e-5, rel=1e-3)
    assert worst.limit < 1e-6 < output.tolerance.value
    assert output.needed_times == pytest.approx(1e-5 / worst.limit, rel=1e-3)
    assert output.needed == pytest.approx(1e-5, rel=1e-3)
    assert f"off by 1e-05 at [40, 1], tolerated is {worst.limit:.2g}" in output.beyond
    far = {"y": SCALES * 0 + np.array([[0, 0, 0, 5000]], np.float32)}
    mixed = tolerance(far["y"] + source.predict(X)["y"], measured.values["y"], noise_origin="measured")
    assert mixed.at((3, 1)) == "8 × noise (measured)"
    assert mixed.origin == mixed.at((0, 3)) == "16 × eps × the mean"


def test_what_is_needed_is_a_factor_of_what_is_derived(make: Make, source: Any, measured: Noise) -> None:
    answer = columns(c0=1.0 + 1e-6)
    needed = judged(make, source, answer, measured).outputs[0].needed_times
    assert needed > 0
    for slack, ok in ((1.001, True), (0.999, False)):
        scaled = {"y": tolerance(source.predict(X)["y"], np.asarray(measured.values["y"]) * needed * slack)}
        assert judged(make, source, answer, measured, terms=Terms(measured=scaled)).ok == ok


def test_points_hold_the_worst_and_are_the_same_again(make: Make) -> None:
    wide = {"x": RNG.normal(size=(64, 900)).astype(np.float32)}
    spec = ("x:float32[batch,900]", "y:float32[batch,900]")
    off = RNG.normal(size=900).astype(np.float32) * 1e-3
    wrong = make(*spec, lambda i: {"y": i["x"] + off})
    first, second = (
        compare("it", {"y": wide["x"]}, wrong, wide, noise=Noise({}, "")).outputs[0].points for _ in range(2)
    )
    assert first is not None
    assert second is not None
    assert len(first.want) == len(first.got) == len(first.limit) == POINTS
    np.testing.assert_array_equal(first.got, second.got)
    apart = np.abs(first.got - first.want)
    assert (apart[:WORST] >= np.abs(off).max() * 0.99).all()
    assert (
        len(
            compare("it", {"y": wide["x"][:2]}, wrong, {"x": wide["x"][:2]}, noise=Noise({}, ""), batches=())
            .outputs[0]
            .points.want
        )
        == 1800
    )  # type: ignore[union-attr]
    text = make("x:float32[batch,900]", "y:string[batch]", lambda i: {"y": np.array([b"a"] * len(i["x"]), object)})
    (output,) = compare("it", text.predict(wide), text, wide, noise=Noise({}, "")).outputs
    assert (output.ok, output.points) == (True, None)
    assert output.worst == Element((0,), "a", "a", 0.0)


def test_nan_and_infinity_where_they_are_wanted(make: Make) -> None:
    def log(inputs: Tensors) -> dict[str, np.ndarray]:
        with np.errstate(invalid="ignore", divide="ignore"):
            return {"y": np.log(np.round(inputs["x"]))}

    spec = ("x:float32[batch,16]", "y:float32[batch,16]")
    source, want = make(*spec, log, lambda i: log({"x": i["x"].astype(np.float64)})), log(X)
    assert np.isnan(want["y"]).any()
    assert np.isinf(want["y"]).any()
    measured = noise(source, X, nan_agrees=True)
    assert np.isfinite(np.asarray(measured.values["y"])).all()
    assert not compare("it", want, source, X, noise=measured).ok
    found = compare("it", want, source, X, noise=measured, terms=Terms(nan_agrees=True))
    assert found.ok, found.why
    json.dumps(found.to_json(), allow_nan=False)
    for wrong in (np.nan_to_num(want["y"]), np.where(np.isinf(want["y"]), np.nan, want["y"])):
        other = make(*spec, lambda i, wrong=wrong: {"y": wrong.astype(np.float32)})
        found = compare("it", want, other, X, noise=measured, terms=Terms(nan_agrees=True), batches=())
        assert not found.ok
        assert ("nan" in {p.kind for p in found.problems}) == bool(np.isnan(wrong).any())


def test_half_precision_is_scaled_for_each_element(make: Make, source: Any, measured: Noise) -> None:
    half = judged(make, source, lambda i: {"y": columns(np.float16)(i)["y"].astype(np.float32)}, measured)
    assert not half.ok
    assert judged(make, source, columns(np.float16), measured, terms=Terms(precision="float16")).ok
    assert not judged(make, source, columns(np.float16, c2=1.5), measured, terms=Terms(precision="float16")).ok


def test_noise_that_does_not_fit_is_that_of_the_noisiest_element() -> None:
    want = RNG.normal(size=(8, 5)).astype(np.float32)
    found = tolerance(want, np.array([[1e-3, 1e-6]]))
    assert (found.value, found.each) == (pytest.approx(8e-3), None)


def test_other_sizes_are_held_to_the_same_elements(make: Make) -> None:
    tail = np.array([1.0, 1e-4], np.float32)

    def steps(inputs: Tensors, dtype: type = np.float32, off: float = 1.0) -> dict[str, np.ndarray]:
        x = inputs["x"].astype(dtype)
        return {"y": np.cumsum(x * dtype(1 / 3), axis=1)[..., None] * (tail * np.array([1, off])).astype(dtype)}

    spec = ("x:float32[batch,steps]", "y:float32[batch,steps,2]")
    source = make(*spec, steps, lambda i: steps(i, np.float64))
    measured = noise(source, X)
    times, most = times_more(measured, source, {"x": np.tile(X["x"][:3], 4)})
    assert times["y"] >= 1 < most["y"] / 1e-9
    made: Promise = promise(source, X, measured)
    stored = json.loads(json.dumps(made.to_json()))
    assert all(isinstance(value, float) for one in stored["sizes"] for value in one["noise"].values())
    for one, other in zip(made.sized, again(source, X, measured, stored), strict=True):
        np.testing.assert_array_equal(one.noise.values["y"], other.noise.values["y"])
        wrong = make(*spec, lambda i: steps(i, off=1.01))
        assert compare("it", one.outputs, source, one.inputs, noise=other.noise, batches=()).ok
        assert not compare("it", one.outputs, wrong, one.inputs, noise=other.noise, batches=()).ok
    former = {"sizes": [{"sizes": {"steps": 3}, "noise": {"y": 2.0}}]}
    assert [one.noise.values["y"] for one in again(source, X, measured, former)] == [2.0]


@pytest.mark.parametrize("channels", [1, -1], ids=["NCHW", "NHWC"])
def test_empty_places_of_an_image_get_the_noise_of_their_channel_and_no_other(make: Make, channels: int) -> None:
    image = {"x": RNG.normal(size=(64, 3, 12, 12)).astype(np.float32)}
    image["x"][:, :, :2] = 0
    scale = np.array([1.0, 1e-4, 1.0]).reshape(3, 1, 1)

    def answer(inputs: Tensors, dtype: type = np.float32) -> dict[str, np.ndarray]:
        x = inputs["x"].astype(dtype) * scale.astype(dtype)
        return {"y": np.moveaxis(np.cumsum(x * dtype(1 / 3), axis=3), 1, channels)}

    shape = "3,12,12" if channels == 1 else "12,12,3"
    source = make("x:float32[batch,3,12,12]", f"y:float32[batch,{shape}]", answer, lambda i: answer(i, np.float64))
    values = np.moveaxis(np.asarray(noise(source, image).values["y"]), channels, 1)
    assert values.shape == (1, 3, 12, 12)
    assert values[0, 0, 0].min() > 0.5 * np.median(values[0, 0])
    assert values[0, 1].max() < 1e-3 * values[0, 0].min()


@pytest.mark.parametrize("inputs", ["float32", "float16"])
def test_the_benchmark_counts_pairs_and_faults(inputs: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert measured_by_benchmark(["--seeds", "1", "--inputs", inputs]) == 0
    (row,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("| all"))
    pairs, accused = row.split("|")[2:4]
    assert (int(pairs), int(accused)) == (6, 0)
    assert row.split("|")[9].strip() == "1 of 1", "of a fault of 1 %"
