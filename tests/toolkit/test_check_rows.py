"""One row of a check, of predictors in plain numpy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import check_reports as reports
import numpy as np
import pytest

from deploy_agreement import Agreement, Check, Noise, Probe
from deploy_agreement.probing.asking import edged
from deploy_agreement.probing.edges import edge_probes
from deploy_core.signature import Signature, Tensors, TensorSpec
from deploy_toolkit.flows.check import checks, rows
from deploy_toolkit.flows.check.inquiry import Inquiry
from deploy_toolkit.flows.check.mates import Mate, doubted
from deploy_toolkit.flows.check.probing import Probes
from deploy_toolkit.flows.check.request import Request
from deploy_toolkit.flows.check.rows import row_of
from deploy_toolkit.flows.check.wanted import Wanted
from deploy_toolkit.flows.subjects import Subject

SIGNATURE = Signature(
    (TensorSpec.parse("x:float32[batch,n]"),), (TensorSpec.parse("y:bool[batch]"), TensorSpec.parse("z:float32[batch]"))
)
QUIET = Noise({}, "nothing")


def _right(inputs: Tensors) -> Tensors:
    return {"y": inputs["x"].sum(axis=1) > 0, "z": inputs["x"].sum(axis=1)}


@dataclass
class Frozen:
    """Answers to rows of another length than 4 the wrong way round, or by a little more."""

    wrong: str
    signature: Signature = SIGNATURE

    def predict(self, inputs: Tensors) -> Tensors:
        answer = dict(_right(inputs))
        if inputs["x"].shape[1] != 4:
            answer[self.wrong] = ~answer["y"] if self.wrong == "y" else answer["z"] + np.float32(0.5)
        return answer

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("wrong", "agrees"), [("y", False), ("z", True)])
def test_a_tolerance_that_is_asked_for_is_none_for_yes_and_no_at_other_sizes_either(wrong: str, agrees: bool) -> None:
    rng = np.random.default_rng(0)
    usual, other = ({"x": rng.normal(size=(8, n)).astype(np.float32)} for n in (4, 6))
    sized = Probe("n = 6", other, _right(other), QUIET, sizes={"n": 6})
    subject = Subject("it", lambda: Frozen(wrong))
    found = row_of(
        subject,
        Inquiry(
            Request(("it",), atol=1.0),
            Wanted("us", usual, _right(usual), QUIET),
            Probes(sized=(sized,), why="not asked"),
        ),
    )
    assert found.ok == agrees
    assert ("size" in {problem.kind for problem in found.problems}) != agrees


class Slow:
    """Answers two seconds later by a clock that it moves itself."""

    signature = SIGNATURE

    def __init__(self) -> None:
        self.asked: list[Tensors] = []

    def predict(self, inputs: Tensors) -> Tensors:
        self.asked.append(inputs)
        with np.errstate(over="ignore", invalid="ignore"):
            return _right(inputs)

    def close(self) -> None:
        pass

    def clock(self) -> float:
        return 2.0 * len(self.asked)


def test_edges_take_no_longer_than_some_golden_questions_did(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow()
    inputs = {"x": np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)}
    edges = tuple(edge_probes(slow, inputs, QUIET))
    assert len(edges) == 10
    monkeypatch.setattr(rows, "monotonic", slow.clock)
    monkeypatch.setattr(checks, "edged", partial(edged, clock=slow.clock))
    inquiry = Inquiry(Request(("it",)), Wanted("us", inputs, _right(inputs), QUIET), Probes(edges=edges))
    found = row_of(Subject("it", lambda: slow), inquiry)
    assert found.ok, found.why
    (made,) = [check for check in found.checks if check.name == "edges"]
    assert made.verdict == "agree"
    assert made.said == "9 of 10 edges; the other was not asked, since 18 s were over"
    monkeypatch.undo()
    found = row_of(Subject("it", lambda: slow), inquiry)
    (made,) = [check for check in found.checks if check.name == "edges"]
    assert "not asked" not in made.said, "what answers at once is asked everything"


def test_a_way_is_doubted_that_disagrees_by_itself_and_not_for_another_way() -> None:
    nobody: Any = None
    ways = {"grpc": Mate("rest", nobody), "oip": Mate("rest", nobody), "else": Mate("other", nobody)}

    def told(row: Agreement) -> dict[str, bool]:
        return {name: mate.doubted for name, mate in doubted(ways, row).items()}

    good = replace(reports.good("rest"), checks=(Check("edges", "agree"),))
    assert not any(told(good).values())
    at_edges = replace(good, checks=(Check("edges", "disagree"), Check("transports", "agree")))
    assert told(at_edges) == {"grpc": True, "oip": True, "else": False}
    assert not any(told(replace(good, checks=(Check("transports", "disagree"),))).values())
    assert not any(told(Agreement("rest", error="nobody is there")).values())
