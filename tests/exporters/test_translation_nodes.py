"""The ONNX standard's own node tests: the list of those that count, and one for every operator through real files."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

sys.path.append(str(Path(__file__).parents[2]))  # benchmarks/ is not installed

from benchmarks import node_cases
from benchmarks.node_cases import NodeCase
from benchmarks.node_runs import CONSTANT, FAIL, PASS, REFUSED, TFLITE, run, to_json
from benchmarks.node_tests import summary

from deploy_exporters.translation.graph import operator
from deploy_exporters.translation.table import OPERATORS

# The first case of these does not pass through SavedModel.
NOT_TRANSLATED = {
    "Bernoulli": "random numbers are each runtime's own",
    "TfIdfVectorizer": "has no translation",
}

# The first case of these has no TFLite file: TFLite has no such operator, or not for the dtype of the case.
REFUSED_BY_TFLITE = frozenset(
    [
        "Acosh",
        "Asinh",
        "Atanh",
        "BitShift",
        "BitwiseAnd",
        "BitwiseNot",
        "BitwiseOr",
        "CumProd",
        "CumSum",
        "DFT",
        "Det",
        "Einsum",
        "ReduceLogSumExp",
        "Unique",
    ]
)

FAILS_IN_TFLITE = {"Reshape": "LiteRT takes no tensor without elements"}


@pytest.fixture(scope="module")
def cases() -> dict[str, NodeCase]:
    return node_cases.load()


def first_of_each(cases: dict[str, NodeCase]) -> dict[str, NodeCase]:
    found: dict[str, NodeCase] = {}
    for case in cases.values():
        found.setdefault(case.operator, case)
    return found


def test_the_list_is_what_the_rules_give() -> None:
    assert node_cases.LIST.read_text() == node_cases.written_list()


def test_every_case_of_the_list_is_there(cases: dict[str, NodeCase]) -> None:
    assert tuple(cases) == node_cases.listed()
    assert len(cases) > 1100


@pytest.mark.parametrize("part", range(4))
def test_operators_through_files(cases: dict[str, NodeCase], part: int) -> None:
    """Every second operator: all of them take minutes, as `python -m benchmarks.node_tests` does."""
    firsts = first_of_each(cases)
    found = {operator: run(firsts[operator], (CONSTANT, TFLITE)) for operator in sorted(firsts)[2 * part :: 8]}
    wrong = {o: ways[CONSTANT].reason for o, ways in found.items() if ways[CONSTANT].state != PASS}
    assert wrong.keys() == NOT_TRANSLATED.keys() & found.keys(), wrong
    lite = {o: ways[TFLITE] for o, ways in found.items() if o not in NOT_TRANSLATED}
    failing = {o: outcome.reason for o, outcome in lite.items() if outcome.state == FAIL}
    assert failing.keys() == FAILS_IN_TFLITE.keys() & found.keys(), failing
    refused = {o: outcome.reason for o, outcome in lite.items() if outcome.state == REFUSED}
    assert refused.keys() == REFUSED_BY_TFLITE & found.keys(), refused


def test_a_wrong_answer_fails_and_the_summary_counts_it(cases: dict[str, NodeCase]) -> None:
    right = cases["test_relu"]
    (name,) = right.outputs
    wrong = replace(right, outputs={name: right.outputs[name] + np.float32(0.01)})
    outcomes = run(wrong)
    assert {outcome.state for outcome in outcomes.values()} == {FAIL}
    assert "Not equal to tolerance" in outcomes[CONSTANT].reason
    rows = [{"name": "a", "operator": "Relu", **to_json(found)} for found in (run(right), outcomes)]
    for line in summary({"denominator": 2, "cases": rows}):
        assert "1/2 (50.0%) pass, 1 fail, 0 refused" in line


def test_an_unknown_operator_is_refused(cases: dict[str, NodeCase]) -> None:
    model = onnx.ModelProto.FromString(cases["test_relu"].model)
    model.graph.node[0].op_type = "Frobnicate"
    outcome = run(replace(cases["test_relu"], model=model.SerializeToString()), (CONSTANT,))[CONSTANT]
    assert (outcome.state, outcome.reason) == (REFUSED, "no translation of Frobnicate")


def test_every_row_of_the_table_names_a_function() -> None:
    assert all(callable(operator(name)) for name in OPERATORS)
