"""Which inputs localisation looks with: few, and those that show that a subject disagrees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy_agreement import DERIVED, Agreement, Check, Noise, Probe, Worst, compare
from deploy_agreement.probing.asking import checked
from deploy_agreement.results.report import DISAGREE
from deploy_core.signature import Array, Signature, Tensors, TensorSpec
from deploy_toolkit.flows.check.inquiry import Inquiry
from deploy_toolkit.flows.check.probing import Probes
from deploy_toolkit.flows.check.request import Request
from deploy_toolkit.flows.check.showing import Shown, agrees, shown
from deploy_toolkit.flows.check.wanted import Wanted
from deploy_toolkit.flows.subjects import Subject

SIGNATURE = Signature((TensorSpec("x", "float32", ("batch", 3)),), (TensorSpec("y", "float32", ("batch", 3)),))
X = np.random.default_rng(8).uniform(-1, 1, (40, 3)).astype(np.float32)
NOISE = Noise({"y": 1e-7}, "none")
SUBJECT: Any = Subject("us", lambda: _Model(lambda x: x))


class _Model:
    """Doubles, and then does something else."""

    signature = SIGNATURE

    def __init__(self, change: Callable[[Array], Array]) -> None:
        self._change = change

    def predict(self, inputs: Tensors) -> Tensors:
        return {"y": np.asarray(self._change(2 * inputs["x"]), np.float32)}

    def close(self) -> None:
        """It holds nothing."""


def _probe(name: str, x: Array, label: str = "", **more: Any) -> Probe:
    return Probe(name, {"x": x}, {"y": 2 * x}, NOISE, label=label, **more)


PROBES = Probes(
    drawn=_probe("drawn", np.concatenate([X, X, X])),
    edges=(
        _probe("edges", np.zeros((1, 3), np.float32), "zeros"),
        _probe("edges", 4 * X[:1], "four times", counts=True),
    ),
)


def _shown(
    change: Callable[[Array], Array], worst: Worst | None = None, probes: Probes = PROBES
) -> tuple[Shown, Agreement]:
    wanted = Wanted("net@1", {"x": X}, {"y": 2 * X}, NOISE, batches=(1, 2, 3, 7))
    inquiry = Inquiry(Request((), found=Path("none")), wanted, probes)
    model: Any = _Model(change)
    row = compare("us", wanted.outputs, model, wanted.inputs, noise=NOISE, batches=wanted.batches)
    checks = [one for one in (probes.drawn, *probes.edges) if one is not None]
    judge: Any = lambda want, predictor, inputs, noise: compare("us", want, predictor, inputs, noise=noise, batches=())  # noqa: E731
    found = tuple(checked(model, one, judge, size=120, few=120, seconds=9) for one in checks)
    return shown(SUBJECT, model, replace(row, checks=found), inquiry, worst), row


def test_golden_row_that_is_worst_is_among_a_few() -> None:
    found, row = _shown(lambda y: np.where(y == 2 * X[33, 1], 9, y))
    assert not row.ok
    assert (found.certain, found.where, len(found.inputs["x"])) == (True, "", 4)
    np.testing.assert_array_equal(found.inputs["x"][0], X[33])
    assert 0 < found.limits["y"] < 1e-5


@pytest.mark.parametrize("size", [2, 3, 7])
def test_very_batch_is_taken_where_only_its_size_shows_it(size: int) -> None:
    found, row = _shown(lambda y: y + (len(y) == size))
    assert not row.ok
    assert (found.certain, found.where, len(found.inputs["x"])) == (True, f"a batch of {size}", size)


def test_whole_of_golden_rows_is_taken_where_only_they_show_it() -> None:
    found, _ = _shown(lambda y: y + (len(y) == len(X)))
    assert (found.certain, found.where) == (True, "")
    np.testing.assert_array_equal(found.inputs["x"], X)


def test_edge_is_taken_where_nothing_else_shows_it() -> None:
    found, row = _shown(lambda y: np.minimum(y, 3.0))
    assert row.ok
    assert (found.certain, found.where) == (True, "four times")
    np.testing.assert_array_equal(found.inputs["x"], 4 * X[:1])


def test_drawn_row_is_taken() -> None:
    drawn = np.concatenate([X, X + np.float32(0.5)])
    found, row = _shown(lambda y: np.minimum(y, 2.5), probes=Probes(drawn=_probe("drawn", drawn)))
    assert row.ok
    assert (found.certain, found.where, len(found.inputs["x"])) == (True, "drawn rows", 4)
    assert (2 * found.inputs["x"] > 2.5).any()


def test_what_was_searched_for_is_taken_after_all_others_and_golden_rows_for_want_of_any() -> None:
    worst = Worst("us", "net@1", "y", 2.0, (0, 0), 1.0, 2.0, 0.5, {"x": X[:1] * 9}, 5, 0.1, 0, "evolution")
    found, _ = _shown(lambda y: y, worst)
    assert found.certain
    np.testing.assert_array_equal(found.inputs["x"], X[:1] * 9)
    found, _ = _shown(lambda y: y)
    assert not found.certain
    assert len(found.inputs["x"]) == 4


def test_another_file_is_asked_the_same() -> None:
    found, _ = _shown(lambda y: np.minimum(y, 3.0))
    assert agrees(_as_predictor(lambda y: y), found, DERIVED)
    assert not agrees(_as_predictor(lambda y: np.minimum(y, 3.0)), found, DERIVED)
    assert agrees(_as_predictor(lambda y: y + 1), Shown({"x": X}, {}), DERIVED)  # of which nothing is known


def _as_predictor(change: Callable[[Array], Array]) -> Any:
    return _Model(change)


def test_check_without_answers_shows_nothing() -> None:
    row = Agreement("us", checks=(Check("edges", DISAGREE, "refused"),))
    wanted = Wanted("net@1", {"x": X}, {"y": 2 * X}, NOISE)
    found = shown(SUBJECT, _as_predictor(lambda y: y), row, Inquiry(Request(()), wanted, PROBES), None)
    assert not found.certain
