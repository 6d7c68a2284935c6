"""Noise without float64 is of the size of noise with it, so that honest files outside a store are not accused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from deploy_agreement import noise

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
