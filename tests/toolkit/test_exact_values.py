"""Values that float64 does not hold, and such as are no numbers, are told as they came."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping

import numpy as np
import pytest
from rich.console import Console

from deploy_agreement import Agreement, Noise, Report, compare
from deploy_agreement.comparing.given import Given
from deploy_core.signature import Array, Signature, TensorSpec
from deploy_toolkit import documents
from deploy_toolkit.reports.check import figures, html, plots, terminal
from deploy_toolkit.reports.check.errors import errors
from deploy_toolkit.reports.check.matrix import matrix

LARGE = 5_229_034_986_739_764_735  # the nearest float64 of the next is 1,024 further


def row(want: Array, got: Array, dtype: str, limit: Mapping[str, float] | None = None) -> Agreement:
    signature = Signature((TensorSpec("x", "float32", ("batch", 1)),), (TensorSpec("y", dtype, ("batch",)),))
    inputs = {"x": np.zeros((len(want), 1), np.float32)}
    return compare("a", {"y": want}, Given(signature, {"y": got}), inputs, noise=Noise({}, ""), batches=())


def large() -> Agreement:
    want = np.full(4, LARGE, np.int64)
    return row(want, want + np.array([0, 0, 1, 0]), "int64")


def test_an_integer_beyond_2_to_the_53_is_told_exactly() -> None:
    found = large()
    assert not found.ok
    assert found.why == f"output 'y' is {LARGE + 1} at [2] where {LARGE} is wanted"
    told = json.loads(documents.text(found.to_json()))["outputs"][0]["worst"]
    assert (told["want"], told["got"]) == (LARGE, LARGE + 1)
    assert found.outputs[0].max_abs == 1
    assert f"wanted {LARGE}, got {LARGE + 1}" in html.page(Report((found,)))
    text = io.StringIO()
    Console(file=text, width=200).print(terminal.agreement(Report((found,))))
    assert f"output 'y' is {LARGE + 1} at [2] where {LARGE} is wanted" in text.getvalue()


def test_what_must_be_equal_and_is_not_is_infinitely_off() -> None:
    found = large()
    assert figures.over(found.outputs[0]) == math.inf
    ((_, (cell, *_)),) = matrix(Report((found,))).rows
    assert cell.over == math.inf
    points = found.outputs[0].points
    assert points is not None
    assert sorted(errors(points).times.tolist()) == [0.0, 0.0, 0.0, math.inf]
    assert "1 of 4 shown elements are beyond their tolerance" in plots.histogram(points, "y")


def test_text_is_told_as_it_is() -> None:
    found = row(np.array([b"cat", b"dog"], object), np.array(["cat", "\x00d<o>g\xff"], object), "string")
    told = documents.text(found.to_json())
    worst = json.loads(told)["outputs"][0]["worst"]
    assert (worst["place"], worst["want"], worst["got"]) == ([1], "dog", "\x00d<o>g\xff")
    assert "is wanted" in found.why
    assert "wanted “dog”, got “" in html.page(Report((found,)))
    assert figures.over(found.outputs[0]) == math.inf
    fine = row(np.array([b"cat"], object), np.array(["cat"], object), "string")
    assert figures.over(fine.outputs[0]) == 0


def test_truth_values_are_told_as_such() -> None:
    found = row(np.array([True, False]), np.array([True, True]), "bool")
    assert found.why.endswith("output 'y' is True at [1] where False is wanted")
    assert json.loads(documents.text(found.to_json()))["outputs"][0]["worst"]["got"] is True


@pytest.mark.parametrize(
    ("want", "got", "told"),
    [
        (0.25, 0.5, ("0.25", "0.5")),
        (0.1, 0.1 + 2**-50, ("0.10000000000000001", "0.10000000000000089")),
        (0.1, 0.1, ("0.1", "0.1")),
        (math.nan, -math.inf, ("NaN", "-∞")),
        (LARGE, LARGE + 1, (str(LARGE), str(LARGE + 1))),
        ("a", "b", ("“a”", "“b”")),
        ("x" * 500 + "a" + "y" * 99, "x" * 500 + "b", (f"“…{'x' * 15}a{'y' * 44}…”", f"“…{'x' * 15}b”")),
    ],
)
def test_two_values_are_told_so_that_they_differ(want: float | str, got: float | str, told: tuple[str, str]) -> None:
    assert figures.both(want, got) == told
