"""Noise without float64 is of the size of noise with it, so that honest files outside a store are not accused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from deploy_agreement import compare, noise
from deploy_agreement.rows import rows_of
from deploy_agreement.tolerances.running import by_one
from deploy_core.errors import InputError
from deploy_core.signature import Tensors

X = {"x": np.random.default_rng(1).normal(size=(64, 6)).astype(np.float32)}
SPEC = ("x:float32[batch,6]", "y:float32[batch,1]")


@pytest.mark.parametrize("seed", range(20))
def test_noise_by_nudged_inputs_is_about_that_by_float64(
    seed: int, make: Callable[..., Any], simplenet: Callable[..., Any]
) -> None:
    net = simplenet(seed)
    with_float64 = noise(make(*SPEC, net.run, simplenet(seed, np.float64).run), X).values["y"]
    without = noise(make(*SPEC, net.run), X).values["y"]
    # A nudge is a whole ULP where rounding is half a one, and both are maxima over 64 rows.
    assert 0.5 * with_float64 <= without <= 8 * with_float64


def test_integers_are_not_nudged_and_some_noise_is_assumed(make: Callable[..., Any]) -> None:
    def answer(inputs: Any) -> dict[str, np.ndarray]:
        assert inputs["n"].dtype == np.int64
        return {"y": inputs["n"].astype(np.float32)}

    model = make("n:int64[batch,1]", "y:float32[batch,1]", answer)
    rows = {"n": np.arange(64).reshape(64, 1)}
    found = noise(model, rows)
    assert found.values["y"] == 4 * 2.0**-23 * 63
    assert "at least 4 × eps of a value" in found.origin
    exact = make("n:int64[batch,1]", "y:float32[batch,1]", answer, answer)
    assert noise(exact, rows).values["y"] == 0.0


def test_inputs_in_float64_are_nudged_as_the_float32_that_they_become(make: Callable[..., Any], simplenet: Any) -> None:
    net = simplenet(0)
    wide = make(
        "x:float64[batch,6]", "y:float32[batch,1]", lambda inputs: net.run({"x": inputs["x"].astype(np.float32)})
    )
    as_float32, as_float64 = noise(make(*SPEC, net.run), X), noise(wide, {"x": X["x"].astype(np.float64)})
    assert as_float64.values == as_float32.values


def test_of_many_rows_only_some_are_asked_for_one_by_one(make: Callable[..., Any], simplenet: Any) -> None:
    many = {"x": np.random.default_rng(2).normal(size=(1000, 6)).astype(np.float32)}
    model = make(*SPEC, simplenet(0).run)
    assert noise(model, many).origin.endswith("1000 rows")
    assert len(model.asked) < 120


def test_the_range_of_float64_is_no_bound(make: Callable[..., Any]) -> None:
    def answer(inputs: Any) -> dict[str, np.ndarray]:
        return {"y": np.concatenate([inputs["x"] * 1.7e308, inputs["x"] / 3], axis=1)}

    rows = {"x": np.array([[1.0], [-1.0], [0.5]])}
    assert np.isfinite(noise(make("x:float64[batch,1]", "y:float64[batch,2]", answer), rows).values["y"]).all()


@pytest.mark.parametrize("half", [np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)], ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_halves_are_exact_to_a_model_that_computes_in_float32(
    half: np.dtype[Any], seed: int, make: Callable[..., Any], simplenet: Any
) -> None:
    """A step of a half is 8,192 or 65,536 of float32: what that moves is no rounding."""
    net, exact = simplenet(seed), simplenet(seed, np.float64)
    spec = (f"x:{half}[batch,6]", "y:float32[batch,1]")
    rows = {"x": X["x"].astype(half)}
    given = (
        lambda inputs: net.run({"x": inputs["x"].astype(np.float32)}),
        lambda inputs: exact.run({"x": inputs["x"].astype(np.float64)}),
    )
    with_float64 = noise(make(*spec, *given), rows).values["y"]
    without = noise(make(*spec, given[0]), rows)
    as_float32 = noise(make(*SPEC, net.run, exact.run), {"x": rows["x"].astype(np.float32)}).values["y"]
    assert 0.25 * as_float32 <= with_float64 <= 2 * as_float32
    assert 0.5 * with_float64 <= without.values["y"] <= 4 * with_float64
    assert without.origin.startswith("spread over batch sizes and inputs one ULP away")


def test_a_model_that_computes_in_halves_rounds_as_they_do(make: Callable[..., Any], simplenet: Any) -> None:
    """Also where it answers in float32, as long as a half holds all that it answers."""
    net = simplenet(0, np.float16)
    rows = {"x": X["x"].astype(np.float16)}
    narrow = noise(make("x:float16[batch,6]", "y:float16[batch,1]", net.run), rows).values["y"]
    wide = make("x:float16[batch,6]", "y:float32[batch,1]", lambda i: {"y": net.run(i)["y"].astype(np.float32)})
    assert noise(wide, rows).values["y"] == narrow > 1e-3


def test_an_input_in_float32_beside_a_half_is_moved_by_steps_of_its_own(
    make: Callable[..., Any], simplenet: Any
) -> None:
    net = simplenet(0)

    def answer(inputs: Any) -> dict[str, np.ndarray]:
        return {"y": net.run({"x": np.concatenate([inputs["a"], inputs["b"].astype(np.float32)], axis=1)})["y"]}

    both = make("a:float32[batch,3] b:float16[batch,3]", "y:float32[batch,1]", answer)
    rows = {"a": X["x"][:, :3], "b": X["x"][:, 3:].astype(np.float16)}
    as_one = noise(make(*SPEC, net.run), X).values["y"]
    assert 0.25 * as_one <= noise(both, rows).values["y"] <= 2 * as_one


def test_a_running_sum_may_be_added_up_one_by_one(make: Any) -> None:
    """torch sums in float64 and rounds each sum once; runtimes add one by one in float32, and round each time."""

    def sums(dtype: Any, *, axis: int = 1) -> Any:
        return lambda inputs: {"y": np.cumsum(inputs["x"], axis=axis, dtype=dtype).astype(np.float32)}

    spec = ("x:float32[batch,512]", "y:float32[batch,512]")
    source = make(*spec, sums(np.float64), lambda inputs: {"y": np.cumsum(inputs["x"].astype(np.float64), axis=1)})
    inputs = {"x": np.random.default_rng(0).normal(size=(64, 512)).astype(np.float32)}
    want, measured = source.predict(inputs), noise(source, inputs)
    assert compare("honest", want, make(*spec, sums(np.float32)), inputs, noise=measured).ok
    weight = make(*spec, lambda given: {"y": np.cumsum(given["x"] * np.float32(1.001), axis=1, dtype=np.float32)})
    assert not compare("fault", want, weight, inputs, noise=measured).ok
    lost = make(*spec, lambda given: {"y": np.cumsum(np.where(np.arange(512) == 300, 0, given["x"]), axis=1)})
    assert not compare("fault", want, lost, inputs, noise=measured).ok


def test_a_model_that_refuses_values_beyond_its_own_has_a_noise(make: Any) -> None:
    """To know a running sum takes a value that lies beyond all others: nobody has to answer to that."""

    def answer(inputs: Tensors) -> dict[str, np.ndarray]:
        if (inputs["x"] > 1.001).any():
            raise InputError("a probability is at most 1")
        return {"y": inputs["x"] * 2}

    source = make("x:float32[batch,64]", "y:float32[batch,64]", answer)
    inputs = {"x": np.random.default_rng(0).uniform(size=(8, 64)).astype(np.float32)}
    assert np.max(noise(source, inputs).values["y"]) < 1e-6


@pytest.mark.parametrize("kind", ["as it came", "decays", "backwards", "all"])
def test_what_is_no_running_sum_has_the_noise_that_is_measured(make: Any, kind: str) -> None:
    def answer(inputs: Tensors) -> dict[str, np.ndarray]:
        x = inputs["x"]
        if kind == "as it came":
            return {"y": x * 2}
        if kind == "all":
            return {"y": x + x.sum(1, keepdims=True)}
        if kind == "backwards":
            return {"y": np.cumsum(x[:, ::-1], axis=1)[:, ::-1]}
        y = x.copy()
        for step in range(1, y.shape[1]):
            y[:, step] += np.float32(0.99) * y[:, step - 1]
        return {"y": y}

    source = make("x:float32[batch,64]", "y:float32[batch,64]", answer)
    inputs = {"x": np.random.default_rng(0).normal(size=(8, 64)).astype(np.float32)}
    rows = rows_of(source.signature, inputs, source.predict(inputs))
    assert not list(by_one(source, inputs, source.predict(inputs), rows))
