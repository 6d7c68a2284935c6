"""The page about the ONNX operators: a table of numbers, and the reasons under it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks import node_tests
from benchmarks.node_runs import CONSTANT, FAIL, FED, PASS, REFUSED, TFLITE

UNLIKE = "y: Not equal to tolerance rtol=0.001, atol=1e-07 Mismatched elements: 4 / 10 (40%) Mismatch at indices: [0]"
NO_FILE = "the SavedModel becomes no file: TFLite has no operators of its own for Acosh"
RIGHT = (PASS, "")


def case(name: str, operator: str, constant: tuple[str, str] = RIGHT, tflite: tuple[str, str] = RIGHT) -> dict:
    told = {CONSTANT: constant, FED: constant, TFLITE: tflite}
    outcomes = {way: dict(zip(("state", "reason"), outcome, strict=True)) for way, outcome in told.items()}
    return {"name": f"test_{name}", "operator": operator, **outcomes}


@pytest.fixture
def page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    cases = [
        case("acosh", "Acosh", tflite=(REFUSED, NO_FILE)),
        case("acosh_example", "Acosh", tflite=(REFUSED, NO_FILE)),
        case("bernoulli", "Bernoulli", (FAIL, UNLIKE), (FAIL, "there is no SavedModel")),
        case("relu", "Relu"),
        case("scan", "Scan", (REFUSED, "no translation of Scan"), (FAIL, "there is no SavedModel")),
        case("split_of_nothing", "Split", tflite=(FAIL, "ValueError: `a` | <b>")),
        *(case(f"sum_of_a_very_long_name_{i}", "Sum", tflite=(FAIL, "y is int32[1], wanted is int32[]")) for i in range(9)),
    ]  # fmt: skip
    document = {"date": "2026-01-02", "versions": {"onnx": "1"}, "denominator": len(cases), "cases": cases}
    (tmp_path / "outcomes.json").write_text(json.dumps(document))
    told = ["--read", str(tmp_path / "outcomes.json"), "--write", str(tmp_path / "page.md")]
    assert node_tests.main(told) == 0
    assert "through SavedModel, every input fed: 13/15 (86.7%) pass, 1 fail, 1 refused" in capsys.readouterr().out
    return (tmp_path / "page.md").read_text().splitlines()


def test_the_table_has_numbers_only(page: list[str]) -> None:
    rows = [line for line in page if line.startswith("| ")][2:]
    assert rows == [
        "| Acosh | 2 | 2 | 0 |",
        "| Bernoulli | 1 | 0 | 0 |",
        "| Relu | 1 | 1 | 1 |",
        "| Scan | 1 | 0 | 0 |",
        "| Split | 1 | 1 | 0 |",
        "| Sum | 9 | 9 | 0 |",
    ]


def test_every_reason_is_under_the_table_once(page: list[str]) -> None:
    under = page[page.index("## What does not pass, and why") + 4 :]
    assert under[:15] == [
        "### SavedModel: another answer (1)",
        "",
        "- 4 of 10 elements: bernoulli",
        "",
        "### SavedModel: no translation (1)",
        "",
        "- Scan: scan",
        "",
        "### TFLite: no file, as TFLite has no such operator (2)",
        "",
        "- Acosh: acosh, acosh_example",
        "",
        "### TFLite: an error (1)",
        "",
        "- ValueError: 'a' | ‹b›: split_of_nothing",
    ]
    assert under[16] == "### TFLite: another shape or dtype (9)"
    assert under[18].startswith("- y is int32[1], wanted is int32[]: sum_of_a_very_long_name_0, ")
    assert all(line.startswith("  sum_of") and len(line) <= 120 for line in under[19:])
