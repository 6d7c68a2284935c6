"""Properties of any good predictor, and predictors that lack one of them."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any

import numpy as np
import pytest

from deploy_agreement import Noise, compare
from deploy_agreement.probing.properties import AT_ONCE, CONNECTIONS, again, at_once, one_of_many, order, same_bits
from deploy_core.errors import EndpointError
from deploy_core.signature import Tensors

Make = Callable[..., Any]
SPEC = ("x:float32[batch,6]", "y:float32[batch,1]")
QUIET = Noise({"y": 1e-7}, "float64")
JUDGE: Any = partial(compare, "subject", batches=())
INPUTS = {"x": np.random.default_rng(0).normal(size=(64, 6)).astype(np.float32)}


@pytest.fixture
def run(simplenet: Any) -> Callable[[Tensors], dict[str, np.ndarray]]:
    answer: Callable[[Tensors], dict[str, np.ndarray]] = simplenet(0).run
    return answer


def test_honest_predictors_have_all_of_them(make: Make, run: Any) -> None:
    honest = make(*SPEC, run)
    assert again(honest, INPUTS, JUDGE, QUIET).verdict == "agree"
    assert order(honest, INPUTS, JUDGE, QUIET).verdict == "agree"
    assert at_once(honest, INPUTS, JUDGE, QUIET, seconds=60).verdict == "agree"
    many = one_of_many(lambda: make(*SPEC, run), honest, INPUTS, JUDGE, QUIET, seconds=60)
    assert (many.verdict, many.rows) == ("agree", 8 * CONNECTIONS)


def test_a_model_that_draws_random_numbers_is_found(make: Make, run: Any) -> None:
    random = np.random.default_rng(0)
    dropout = make(*SPEC, lambda inputs: {"y": run(inputs)["y"] * (random.random((len(inputs["x"]), 1)) > 0.1)})
    assert again(dropout, INPUTS, JUDGE, QUIET).verdict == "disagree"


def test_rounding_from_one_time_to_the_next_is_told_in_ulp(make: Make, run: Any) -> None:
    turns = count()

    def rounding(inputs: Tensors) -> dict[str, np.ndarray]:
        y = run(inputs)["y"]
        return {"y": np.nextafter(y, np.float32(9)) if next(turns) % 2 else y}

    check = again(make(*SPEC, rounding), INPUTS, JUDGE, QUIET)
    assert check.verdict == "agree"
    told = re.search(r"output 'y' differs by up to (\S+) ULP", check.said)
    assert told
    assert 0 < float(told[1]) <= 1


def test_places_that_are_mixed_up_with_rows_are_found(make: Make, run: Any) -> None:
    def by_place(inputs: Tensors) -> dict[str, np.ndarray]:
        return {"y": run(inputs)["y"] + np.arange(len(inputs["x"]), dtype=np.float32)[:, None] * 1e-3}

    check = order(make(*SPEC, by_place), INPUTS, JUDGE, QUIET)
    assert check.verdict == "disagree"
    assert 0.01 < check.outputs[0].max_abs < 0.064


def test_rows_without_another_order_are_skipped(make: Make, run: Any) -> None:
    one = {"x": INPUTS["x"][:1]}
    assert order(make(*SPEC, run), one, JUDGE, QUIET).verdict == "skipped"
    assert at_once(make(*SPEC, run), one, JUDGE, QUIET).verdict == "skipped"
    none = {"x": INPUTS["x"][:0]}
    assert one_of_many(lambda: make(*SPEC, run), make(*SPEC, run), none, JUDGE, QUIET).verdict == "skipped"


def test_answers_that_are_exchanged_under_load_are_found(make: Make, run: Any) -> None:
    """Whoever is asked while others are gets the answer to the last of them: as with a buffer for all."""
    meeting, turns = threading.Barrier(AT_ONCE), count()
    shared: dict[str, Any] = {}

    def answer(inputs: Tensors) -> dict[str, np.ndarray]:
        if len(inputs["x"]) == 64 or next(turns) >= AT_ONCE:
            return {"y": run(inputs)["y"]}
        shared["x"] = inputs["x"]
        meeting.wait(20)
        return {"y": run({"x": np.resize(shared["x"], inputs["x"].shape)})["y"]}

    predictor = make(*SPEC, answer)
    assert again(predictor, INPUTS, JUDGE, QUIET).verdict == "agree"
    assert at_once(predictor, INPUTS, JUDGE, QUIET, seconds=60).verdict == "disagree"


def test_a_fixed_batch_is_asked_at_once_in_other_orders(make: Make, run: Any) -> None:
    fixed = make("x:float32[64,6]", "y:float32[64,1]", run)
    check = at_once(fixed, INPUTS, JUDGE, QUIET, free=False, seconds=60)
    assert check.verdict == "agree"
    assert set(fixed.asked) == {64}


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (EndpointError("too many requests", status=503), "told"),
        (EndpointError("broke off"), "disagree"),
        (EndpointError("index out of range", status=500), "disagree"),
    ],
)
def test_a_failure_under_load_is_found_and_a_refusal_told(
    make: Make, run: Any, error: EndpointError, verdict: str
) -> None:
    def answer(inputs: Tensors) -> dict[str, np.ndarray]:
        if len(inputs["x"]) < 64:
            raise error
        return {"y": run(inputs)["y"]}

    check = at_once(make(*SPEC, answer), INPUTS, JUDGE, QUIET)
    assert check.verdict == verdict
    assert str(error) in check.said


@pytest.mark.parametrize("unlucky", range(3))
def test_one_bad_server_among_two_is_met(make: Make, run: Any, unlucky: int) -> None:
    def servers() -> Iterator[Any]:
        random = np.random.default_rng(unlucky)
        while True:
            bad = random.random() < 0.5
            yield make(*SPEC, lambda inputs, bad=bad: {"y": run(inputs)["y"] * (1.01 if bad else 1)})

    behind = servers()
    check = one_of_many(lambda: next(behind), next(behind), INPUTS, JUDGE, QUIET, seconds=60)
    assert check.verdict == "disagree"


def test_few_connections_are_told(make: Make, run: Any) -> None:
    check = one_of_many(lambda: make(*SPEC, run), make(*SPEC, run), INPUTS, JUDGE, QUIET, seconds=0)
    assert check.verdict == "agree"
    assert check.said.startswith(f"1 connections, not {CONNECTIONS}")


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (np.float32([1, np.nan]), np.float32([1, np.nan]), True),
        (np.float32([0.0]), np.float32([-0.0]), False),
        (np.float32([1]), np.nextafter(np.float32([1]), np.float32(2)), False),
        (np.array([2**53 + 1]), np.array([2**53]), False),
        (np.array([b"a"], object), np.array([b"a"], object), True),
        (np.float32([1]), np.float64([1]), False),
        (np.float32([np.inf]), np.float32([-np.inf]), False),
    ],
)
def test_bit_for_bit(left: np.ndarray, right: np.ndarray, same: bool) -> None:
    assert same_bits(left, right) is same
