"""Which subjects are searched for their worst input, and what is said of those that are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deploy_agreement import Agreement, Check, Noise, OutputAgreement, Tolerance
from deploy_core.errors import EndpointError, UnavailableError
from deploy_core.signature import Array, Signature, Tensors, TensorSpec
from deploy_toolkit.flows.check.inquiry import Inquiry
from deploy_toolkit.flows.check.mates import Mate
from deploy_toolkit.flows.check.request import Request
from deploy_toolkit.flows.check.searching import Searches
from deploy_toolkit.flows.check.wanted import Wanted
from deploy_toolkit.flows.subjects import Subject
from deploy_toolkit.output import silent

SIGNATURE = Signature((TensorSpec.parse("x:float32[batch,3]"),), (TensorSpec.parse("y:float32[batch]"),))
INPUTS = {"x": np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)}
SAME = (Check("transports", "agree", "bit for bit"),)
FIRST, OTHER = "oip+rest://h/m", "oip+grpc://h/m"


def _right(x: Array) -> Array:
    return x.sum(axis=1)


def _above(x: Array) -> Array:
    """A fault that none of the golden inputs shows."""
    y = _right(x)
    return np.where(y > _right(INPUTS["x"]).max() + 0.2, y + np.float32(0.1), y)


class Way:
    """Answers with a function; `asked` counts its questions."""

    def __init__(self, name: str, answer: Callable[[Array], Array] = _right) -> None:
        self.signature = SIGNATURE
        self.subject = Subject(name, lambda: self)
        self.answer = answer
        self.asked = 0

    def predict(self, inputs: Tensors) -> Tensors:
        self.asked += 1
        return {"y": self.answer(inputs["x"])}

    def close(self) -> None:
        pass


@pytest.fixture
def searches(tmp_path: Path) -> Callable[..., Searches]:
    def make(*, surely_one: bool = True) -> Searches:
        wanted = Wanted(
            "us", INPUTS, {"y": _right(INPUTS["x"])}, Noise({"y": 1e-7}, "none"), reference=lambda: Way("reference")
        )
        mate = Mate(FIRST, lambda: Way(FIRST), surely_one)
        request = Request((FIRST, OTHER), search=0.1, found=tmp_path)
        return Searches(Inquiry(request, wanted, mates={OTHER: mate}), silent)

    return make


def _both(searches: Searches, first: Way, other: Way, checks: tuple[Check, ...] = SAME) -> tuple[Agreement, Agreement]:
    row, found = searches.of(first.subject, Agreement(FIRST))
    assert found is not None
    again, _ = searches.of(other.subject, Agreement(OTHER, checks=checks))
    return row, again


def test_what_one_way_refuses_or_was_not_asked_in_time_is_no_difference(searches: Callable[..., Searches]) -> None:
    looking, other = searches(), Way(OTHER)
    looking.of(Way(FIRST).subject, Agreement(FIRST))
    fine = OutputAgreement("y", "float32", Tolerance(1e-6, ""), ok=True, compared=16)
    told = Agreement(OTHER, (fine,), checks=(Check("transports", "told", "there was no time for zeros"),))
    assert looking.of(other.subject, told)[0].checks[-1].verdict == "skipped"
    assert other.asked == 0


def test_a_server_is_searched_through_the_first_way_to_it(searches: Callable[..., Searches]) -> None:
    first, other = Way(FIRST), Way(OTHER)
    row, again = _both(searches(), first, other)
    assert row.checks[-1].verdict == "agree"
    assert again.checks[-1] == Check(
        "search", "skipped", f"it was searched through {FIRST}, another way to the same server"
    )
    assert other.asked == 0 < first.asked


@pytest.mark.parametrize(
    ("surely_one", "checks"),
    [
        (False, SAME),
        (True, ()),
        (True, (replace(SAME[0], verdict="told"),)),
        (True, (replace(SAME[0], verdict="skipped"),)),
        (True, (Check("again", "agree"),)),
    ],
)
def test_ways_that_are_not_proved_to_lead_to_one_model_are_searched_each(
    surely_one: bool, checks: tuple[Check, ...], searches: Callable[..., Searches]
) -> None:
    other = Way(OTHER)
    _, again = _both(searches(surely_one=surely_one), Way(FIRST), other, checks)
    assert (again.checks[-1].name, again.checks[-1].verdict) == ("search", "agree")
    assert other.asked > 3


def test_a_fault_that_is_found_through_one_way_is_asked_for_through_every_other(
    searches: Callable[..., Searches],
) -> None:
    other = Way(OTHER, _above)
    looking = searches()
    _, found = looking.of(Way(FIRST, _above).subject, Agreement(FIRST))
    again, same = looking.of(other.subject, Agreement(OTHER, checks=SAME))
    assert again.checks[-1].verdict == "disagree"
    assert again.checks[-1].said.endswith(f"searched through {FIRST}, and answers that input as it does there")
    assert other.asked == 1
    assert found is not None
    assert not found.ok
    assert same == replace(found, subject=OTHER), "its own input, to be looked into"


def _refusing(x: Array) -> Array:
    if len(x) == 1:
        raise EndpointError("too busy", status=503)
    return _right(x)


@pytest.mark.parametrize("answer", [_right, _refusing])
def test_a_way_that_does_not_have_the_fault_of_another_is_searched_itself(
    answer: Callable[[Array], Array], searches: Callable[..., Searches]
) -> None:
    other = Way(OTHER, answer)
    row, again = _both(searches(), Way(FIRST, _above), other)
    assert row.checks[-1].verdict == "disagree"
    assert "inputs" in again.checks[-1].said
    assert "through" not in again.checks[-1].said
    assert other.asked > 3


def test_what_could_not_be_searched_is_nobodys_proof(searches: Callable[..., Searches]) -> None:
    """The first way falls silent while it is searched: then the other is searched."""

    def gone(x: Array) -> Array:
        raise UnavailableError("nobody answers")

    looking, other = searches(), Way(OTHER)
    first, found = looking.of(Way(FIRST, gone).subject, Agreement(FIRST))
    assert found is None
    assert [problem.message for problem in first.problems] == ["it does not answer any more: nobody answers"]
    row, _ = looking.of(other.subject, Agreement(OTHER, checks=SAME))
    assert row.checks[-1].verdict == "agree"
    assert other.asked > 3


def test_no_input_is_looked_for_where_an_output_is_missing(searches: Callable[..., Searches]) -> None:
    first = Way(FIRST)
    row = Agreement(FIRST, (OutputAgreement("y", "float32", Tolerance(1e-6, ""), ok=False),))
    row, found = searches().of(first.subject, row)
    assert (row.checks[-1].verdict, row.checks[-1].said) == ("skipped", "nothing of output 'y' can be compared")
    assert (found, first.asked) == (None, 0)
