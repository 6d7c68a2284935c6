"""Two ways to one server, and what may happen to an answer on one of them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
import pytest

from deploy_agreement import Noise
from deploy_agreement.probing.edges import edge_probes
from deploy_agreement.probing.transports import LARGE, Way, messages, same_ways
from deploy_core.errors import EndpointError
from deploy_core.signature import Tensors

Make = Callable[..., Any]
SPEC = ("x:float32[batch,3] n:int64[batch]", "y:float32[batch,3] m:int64[batch]")
X = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
INPUTS = {"x": X, "n": np.arange(5)}


def double(inputs: Tensors) -> dict[str, np.ndarray]:
    with np.errstate(over="ignore", invalid="ignore"):
        return {"y": inputs["x"] * 2, "m": inputs["n"] * 2}


def text(inputs: Tensors) -> dict[str, np.ndarray]:
    found = double(inputs)
    return {"y": np.vectorize(lambda v: np.float32(f"{v:.6g}"), otypes="f")(found["y"]), "m": found["m"]}


def null(inputs: Tensors) -> dict[str, np.ndarray]:
    found = double(inputs)
    if np.isnan(found["y"]).any():
        raise EndpointError("the answer holds null in place of a number")
    return found


def through_float(inputs: Tensors) -> dict[str, np.ndarray]:
    return double({**inputs, "n": inputs["n"].astype(np.float64).astype(np.int64)})


def without_signs(inputs: Tensors) -> dict[str, np.ndarray]:
    found = double(inputs)
    return {**found, "y": found["y"] + np.float32(0)}


def flushed(inputs: Tensors) -> dict[str, np.ndarray]:
    found = double(inputs)
    return {**found, "y": np.where(np.abs(found["y"]) < 1e-38, np.float32(0), found["y"])}


def renamed(inputs: Tensors) -> dict[str, np.ndarray]:
    return {"z": double(inputs)["y"]}


def way(make: Make, answer: Any, name: str = "grpc") -> Way:
    return Way(name, make(*SPEC, answer))


def compared(make: Make, other: Any, first: Any = double, **options: Any) -> Any:
    source = make(*SPEC, double)
    probes = list(edge_probes(source, INPUTS, Noise({"y": 1e-7}, "none")))
    asked = list(messages(source.signature, INPUTS, probes))
    return same_ways(way(make, first, "rest"), [way(make, other)], asked, seconds=60, **options)


def test_the_same_answers_agree(make: Make) -> None:
    check = compared(make, double)
    assert check.verdict == "agree"
    assert check.said.startswith("grpc bit for bit as rest in ")
    assert check.rows > 10


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (text, "golden inputs"),
        (null, "null"),
        (through_float, "integers that no float64 holds"),
        (without_signs, "negative zeros"),
        (flushed, "denormals"),
        (renamed, "has outputs z"),
    ],
)
def test_what_a_wire_does_to_an_answer_is_found(make: Make, other: Any, said: str) -> None:
    check = compared(make, other)
    assert check.verdict == "disagree"
    assert said in check.said
    assert check.problems


def test_what_differs_from_a_way_that_is_wrong_by_itself_is_told_and_its_own_failure_counts(make: Make) -> None:
    source = make(*SPEC, double)
    asked = list(messages(source.signature, INPUTS, edge_probes(source, INPUTS, Noise({"y": 1e-7}, "none"))))

    def between(honest: Any, other: Any) -> Any:
        doubted = Way("rest", make(*SPEC, other), doubted=True)
        return same_ways(way(make, honest, "grpc"), [doubted], asked, seconds=60)

    for wrong, said in ((null, "rest gives no answer for NaN in one place"), (text, "rest differs from grpc")):
        check = between(double, wrong)
        assert check.verdict == "told"
        assert said in check.said
        assert "rest answers wrong by itself" in check.said
    check = between(null, double)
    assert check.verdict == "disagree", "it is the other that gives no answer"
    assert "grpc gives no answer" in check.said


def test_what_the_first_does_not_even_tell_itself_is_tolerated(make: Make) -> None:
    turns = count()

    def restless(inputs: Tensors) -> dict[str, np.ndarray]:
        found = double(inputs)
        return {**found, "y": found["y"] if next(turns) % 2 else np.nextafter(found["y"], np.float32(9))}

    check = compared(make, double, restless)
    assert check.verdict == "told"
    assert "so does the first from itself" in check.said


def test_two_servers_may_round_otherwise(make: Make) -> None:
    def rounded(inputs: Tensors) -> dict[str, np.ndarray]:
        found = double(inputs)
        return {**found, "y": np.nextafter(found["y"], np.float32(9))}

    assert compared(make, rounded).verdict == "disagree"
    check = compared(make, rounded, surely_one=False)
    assert check.verdict == "told"
    assert "ULP" in check.said


def test_what_one_way_refuses_is_told_and_what_both_refuse_is_no_agreement(make: Make) -> None:
    def no_empty(inputs: Tensors) -> dict[str, np.ndarray]:
        if not len(inputs["x"]):
            raise EndpointError("an empty batch", status=400)
        return double(inputs)

    def never(inputs: Tensors) -> dict[str, np.ndarray]:
        raise EndpointError("not today", status=503)

    told = compared(make, no_empty)
    assert told.verdict == "told"
    assert "grpc refuses no rows" in told.said
    both = compared(make, no_empty, no_empty)
    assert (both.verdict, both.said[-13:]) == ("agree", "both refuse 1")


def test_a_large_message_is_one(make: Make) -> None:
    source = make(*SPEC, double)
    label, inputs = list(messages(source.signature, INPUTS, large=True))[-1]
    assert LARGE <= sum(array.nbytes for array in inputs.values()) < 1.1 * LARGE
    assert "rows" in label
    assert np.array_equal(inputs["x"][5:10], X)


def test_messages_for_which_there_is_no_time_are_told(make: Make) -> None:
    source = make(*SPEC, double)
    asked = list(messages(source.signature, INPUTS))
    check = same_ways(way(make, double, "rest"), [way(make, double)], asked, seconds=0)
    assert check.verdict == "told"
    assert "there was no time for no rows" in check.said


def test_a_form_that_a_server_does_not_speak_is_no_fault(make: Make) -> None:
    asked: list[Tensors] = []

    def broken(inputs: Tensors) -> dict[str, np.ndarray]:
        asked.append(inputs)
        raise EndpointError("broke off")

    check = compared(make, broken)
    assert check.verdict == "told"
    assert "grpc does not answer" in check.said
    assert len(asked) == 1
