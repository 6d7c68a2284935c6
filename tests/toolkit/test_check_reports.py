"""What `deploy check` shows and writes: tables, the document, JUnit, TensorBoard."""

from __future__ import annotations

import io
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import check_reports as reports
import jsonschema
import numpy as np
import pytest
from documents import valid
from matplotlib.image import imread
from rich.console import Console

from deploy_agreement import Agreement, Check, OutputAgreement, Problem, Report, Tolerance
from deploy_core.errors import UsageError
from deploy_toolkit.reports.check import figures, junit, legend, tensorboard, terminal, words
from deploy_toolkit.reports.check.errors import errors
from deploy_toolkit.reports.check.matrix import matrix
from deploy_toolkit.reports.check.parts import bar, bars, inputs, tint


def printed(report: Report, width: int = 220) -> str:
    text = io.StringIO()
    Console(file=text, width=width, highlight=False).print(terminal.agreement(report))
    return text.getvalue()


def test_the_table_leads_with_what_a_user_would_notice() -> None:
    lines = printed(reports.full()).splitlines()
    assert lines[0].startswith("net@1/tflite: logits: ")
    assert "of 64 rows get another class, the clearest by a margin of" in lines[0]
    assert "likewise for drawn, height = 64, width = 64" in lines[0]
    good = printed(reports.agreeing()).splitlines()
    assert good[0] == "nothing that a user would notice: logits: all 64 rows keep their class"


def test_the_table_has_everything() -> None:
    text = printed(reports.full())
    for part in (
        reports.MARKED_UP, "8 × noise", "tolerance 8 × noise (float64 of the source, 64 rows)", "DEGRADED", "NOT ASKED",
        "FAILED", "✗ ∞ ×", "✓ agrees   ≈ differs where nobody is sure   – skipped   ✗ disagrees   ? not asked",
        "edges: differs on NaN <i>, as not even the source is sure there (net@1/onnx, net@1/tflite, oip+grpc",
        "worst input: net@1/tflite is off by 4,127 × its tolerance, 12 × on the golden inputs", "BATCH_NORM <x>",
        "net@1/tflite parts from net@1/reference at features.5", "epsilon: 1e-05 in net@1/reference, 0.001 in net@1/tflite",
        "resize 256, bilinear", "DIFFERS first, as if by nearest", "5 compared, 3 disagree, 2 could not be asked, preprocessing differs, 1 degraded",
        "net@1/tflite: output 'logits' is 1.02 times what is wanted <u>", "no/runtime: it crashed",
    ):  # fmt: skip
        assert part in text, part


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_narrow_terminal_shows_less_and_never_nothing(width: int) -> None:
    lines = printed(reports.full(), width).replace("\N{NO-BREAK SPACE}", " ").splitlines()
    text = "\n".join(lines)
    for part in ("DISAGREES", "max abs", "✓ golden", "– at once"):
        assert part in text, part
    assert "max ULP" not in text
    row = next(line for line in lines if "net@1/onnx" in line and "logits" in line)
    assert "agrees" in row
    assert max(map(len, lines)) <= width
    assert "max ULP" in printed(reports.full())


def test_what_changes_no_answer_is_no_difference_of_operators() -> None:
    place = reports.full().located[0]
    assert place.first is not None
    one, other = (
        replace(side, attributes={"momentum": value, "epsilon": value})
        for side, value in ((place.first.one, 0.1), (place.first.other, 0.9))
    )
    assert words.differing(replace(place, first=replace(place.first, one=one, other=other))) == [("epsilon", 0.1, 0.9)]


def test_values_that_are_off_are_not_called_nothing() -> None:
    fine = reports.agreeing()
    output = replace(reports.good().outputs[0], ok=False)
    report = replace(fine, rows=(*fine.rows, replace(reports.good("off"), outputs=(output,))))
    first, second, *_ = printed(report).splitlines()
    assert first == words.headline(report)
    assert "disagrees: off" in first
    assert second.startswith("no decision changes: ")


def test_what_disagrees_is_told_with_what_was_asked() -> None:
    told = [line for line in printed(reports.full()).splitlines() if line.startswith("“")]
    assert told == [f"“drawn” asks {legend.CHECKS['drawn']}", *told[1:]]
    assert {line.partition("”")[0] for line in told} == {"“drawn", "“sizes"}
    assert "” asks " not in printed(reports.agreeing())


def test_a_table_of_one_check_has_no_second_one() -> None:
    plain = replace(reports.good(), checks=())
    assert "✓" not in printed(Report((plain,)))
    assert "✓" in printed(Report((plain, reports.good())))


def test_the_smallest_tolerance_that_would_have_passed_is_told() -> None:
    row = reports.wrong()
    assert f"{figures.number(row.outputs[0].needed)} ({figures.times(figures.factor(row.outputs[0]))})" in printed(
        Report((row,))
    )
    assert figures.factor(replace(row.outputs[0], needed_times=7.5)) == 7.5


@pytest.mark.parametrize(
    ("value", "told"),
    [(0.0, "0 ×"), (0.34, "0.34 ×"), (41.0, "41 ×"), (4127.4, "4,127 ×"), (2.5e9, "2.5e+09 ×"), (math.inf, "∞ ×"), (None, "–")],
)  # fmt: skip
def test_units_of_the_tolerance(value: float | None, told: str) -> None:
    assert figures.times(value) == told


def test_what_is_off_where_nothing_is_tolerated_is_so_infinitely() -> None:
    none = Tolerance(0.0, "must be equal")
    assert figures.over(OutputAgreement("y", "int64", none, ok=False, max_abs=1.0)) == math.inf
    assert figures.over(OutputAgreement("y", "int64", none, ok=True, max_abs=0.0)) == 0.0
    assert figures.over(OutputAgreement("y", "int64", none, ok=False)) is None


def test_the_matrix_knows_every_check_and_joins_sizes() -> None:
    found = matrix(reports.full())
    assert found.checks == ("golden", "drawn", "edges", "sizes", "order", "again", "at once")
    rows = {row.subject: [cell.verdict for cell in cells] for row, cells in found.rows}
    assert rows["net@1/onnx"] == ["agree", "agree", "told", "agree", "agree", "agree", "skipped"]
    assert rows["net@1/tflite"][3] == "disagree"
    assert rows["no/runtime"] == ["failed", *["absent"] * 6]
    sizes = dict(zip(found.checks, found.rows[1][1], strict=True))["sizes"]
    assert sizes.said == "height = 64, width = 64: off by 0.1"


def test_no_row_that_disagrees_looks_as_if_it_agreed() -> None:
    damaged = replace(reports.good(), problems=(Problem("damaged", "not what was published"),))
    (_, cells), *_ = matrix(Report((damaged,))).rows
    assert (cells[0].verdict, cells[0].said) == ("disagree", "not what was published")
    assert "failure" in {kind(case) for case in cases(Report((damaged,))).values()}


def test_a_search_is_a_check_with_its_figure() -> None:
    row = replace(reports.good("net@1/tflite"), checks=(Check("search", "disagree", "off by 4127 tolerances"),))
    report = Report((row,), worst=(reports.worst(),))
    (_, cells), *_ = matrix(report).rows
    assert [(cell.check, cell.over) for cell in cells][1] == ("search", 4127.0)
    assert [name for _, name in cases(report)] == ["golden", "search"]


def told(steps: Sequence[words.Step]) -> list[str]:
    return list(map(str, steps))


def test_what_to_do_next() -> None:
    steps = told(words.next_steps(reports.full(), reports.COMMAND))
    assert steps[0].startswith("python deploy-check/features.5/reproduce.py shows the difference")
    assert [step.rpartition(" asks for ")[2] for step in steps[1:2]] == ["the worst input again"]
    assert steps[2].startswith("deploy doctor")
    plain = Report((reports.wrong(), reports.good()))
    command = "deploy check net --html x.html --junit=y.xml"
    assert told(words.next_steps(plain, command))[0].startswith("deploy check net --localise says in which tensor")
    assert told(words.next_steps(plain))[0].startswith("deploy check … --localise")
    assert not words.next_steps(reports.agreeing(), command)
    assert words.again("deploy check 'a b' --html c --json") == "deploy check 'a b'"
    two = (reports.worst(), reports.worst(over=3.0))
    (step,) = told(words.next_steps(Report((reports.wrong(),), worst=two), command))[1:]
    assert step == "deploy check net --inputs deploy-check/net@1_tflite.npz asks for the worst input again"
    for search in ("--search 5", "--search=5"):
        assert words.asked_again(f"deploy check a {search} --localise -x", "f") == "deploy check a -x --inputs f"


def test_a_golden_row_can_be_taken_out() -> None:
    row = words.noticed(reports.full())[0].decisions.flipped[0]
    assert f"array[{row} : {row + 1}]" in words.golden_row(reports.full())
    assert 'Store(os.environ.get("DEPLOY_STORE", "models"))' in words.golden_row(reports.full(), reports.COMMAND)
    for given in ("--store 'my models'", "--store='my models'"):
        assert "store = Store('my models')" in words.golden_row(reports.full(), f"{reports.COMMAND} {given}")
    assert 'store.resolve("net@1")' in words.golden_row(reports.full())
    assert not words.golden_row(replace(reports.full(), by="model.onnx"))
    assert not words.golden_row(replace(reports.agreeing(), by="golden outputs of net@1"))
    compile(words.golden_row(reports.full()), "row", "exec")


def test_preprocessing_in_a_sentence() -> None:
    found = reports.skew()
    fine = replace(found, steps=found.steps[:1], first="", said="")
    assert words.skew(replace(found, said="")) == "the first step that differs: resize 256, bilinear"
    assert words.skew(fine) == "no step differs"
    assert words.skew(replace(fine, files=0)) == "nothing was compared"
    assert kind(cases(replace(reports.agreeing(), skew=fine))["preprocessing", "12 files"]) == "passed"


def test_headlines() -> None:
    assert words.headline(reports.full()).startswith("3 of 5 disagree: net@1/tflite, oip+grpc://127.0.0.1:8001/net@1, ")
    assert words.headline(reports.agreeing()) == "all 2 agree"
    assert words.headline(Report((reports.good(), reports.gone()))) == "all 1 agree, 1 could not be asked"
    assert words.headline(reports.empty()) == "nothing could be asked"
    skewed = replace(reports.agreeing(), skew=reports.skew())
    assert words.headline(skewed) == "what is served prepares its inputs in another way than what was trained"


@pytest.mark.parametrize(
    "made", [reports.full(), reports.agreeing(), reports.empty()], ids=["full", "agreeing", "empty"]
)
def test_the_document_holds_its_schema_and_plain_json(made: Report) -> None:
    valid(json.dumps(made.to_json(), allow_nan=False), "agreement-1")


def test_the_schema_knows_every_field() -> None:
    schema = json.loads((files("deploy_agreement") / "schema" / "agreement-1.json").read_text())
    for one in _objects(schema["$defs"]):
        assert set(one.get("required", ())) == set(one["properties"]), one
        one["additionalProperties"] = False
    schema["additionalProperties"] = False
    jsonschema.Draft202012Validator(schema).validate(reports.full().to_json())
    extra = reports.full().to_json() | {"more": 1}
    assert not jsonschema.Draft202012Validator(schema).is_valid(extra)


def _objects(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield from ([schema] if isinstance(schema.get("properties"), dict) else [])
        schema = list(schema.values())
    if isinstance(schema, list):
        for inner in schema:
            yield from _objects(inner)


def test_a_value_that_is_no_number_is_told_in_the_document() -> None:
    row = next(row for row in reports.full().to_json()["rows"] if row["subject"] == reports.MARKED_UP)
    assert row["outputs"][0]["worst"]["got"] == "NaN"
    assert row["outputs"][0]["max_abs"] == "Infinity"


def cases(report: Report) -> dict[tuple[str, str], ElementTree.Element]:
    tree = ElementTree.fromstring(junit.text(report))
    return {(case.attrib["classname"], case.attrib["name"]): case for case in tree.iter("testcase")}


def kind(case: ElementTree.Element) -> str:
    return next((part.tag for part in case if part.tag != "system-out"), "passed")


def test_junit_has_a_case_for_each_subject_and_check() -> None:
    found = {name: kind(case) for name, case in cases(reports.full()).items()}
    tflite = "net@1/tflite"
    assert {check: result for (subject, check), result in found.items() if subject == tflite} == {
        "golden": "failure", "drawn": "failure", "edges": "passed", "sizes": "failure", "order": "passed",
        "again": "passed", "at once": "skipped", "worst input, logits": "failure",
    }  # fmt: skip
    assert found["tfserving+rest://127.0.0.1:8501/net", "golden"] == "error"
    assert found["no/runtime", "golden"] == "error"
    assert found["net@1/tflite-int8", "golden"] == "passed"
    assert found["net@1/onnx", "worst input, logits"] == "passed"
    assert found["preprocessing", "12 files"] == "failure"


def test_junit_is_red_where_the_report_is_and_green_where_it_is_not() -> None:
    unproved = Report((reports.good(), replace(reports.gone(), unproved=True)))
    assert unproved.ok
    for report in (reports.full(), reports.agreeing(), reports.empty(), unproved, Report((reports.gone(),))):
        bad = {kind(case) for case in cases(report).values()} & {"failure", "error"}
        assert bool(bad) == (not report.ok)


def test_junit_says_what_was_found() -> None:
    found = cases(reports.full())
    failure = found["net@1/tflite", "drawn"].find("failure")
    assert failure is not None
    assert failure.attrib["message"].startswith("output 'logits' is off by 0.5")
    told = found["net@1/tflite", "golden"].findtext("system-out") or ""
    assert "rows get another class" in told
    assert "tolerated is 2.4e-06 (8 × noise (float64 of the source, 64 rows))" in told
    tree = ElementTree.fromstring(junit.text(reports.full()))
    assert int(tree.attrib["tests"]) == len(list(tree.iter("testcase")))


def test_junit_holds_any_text(tmp_path: Path) -> None:
    odd = Agreement("a\x00b\ud800", error="\x1b[31m")
    junit.write(Report((odd,)), tmp_path / "junit.xml")
    assert "a\ufffdb\ufffd" in (tmp_path / "junit.xml").read_text()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tensorboard") / "new"
    tensorboard.write(reports.full(), folder, reports.COMMAND)
    return folder


@pytest.fixture
def read(runs: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    # This module is there where TensorBoard is built without TensorFlow, which takes ten seconds to import.
    monkeypatch.setitem(sys.modules, "tensorboard.compat.notf", ModuleType("notf"))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def opened(run: str) -> Any:
        accumulator = EventAccumulator(str(runs / run))
        accumulator.Reload()
        return accumulator

    return opened


def test_tensorboard_reads_figures(read: Callable[[str], Any]) -> None:
    found = read("net@1_tflite")
    values = {tag: found.Scalars(tag)[0].value for tag in found.Tags()["scalars"]}
    output = reports.wrong().outputs[0]
    assert values["agrees"] == 0
    assert values["max abs/logits"] == pytest.approx(output.max_abs)
    assert output.decisions is not None
    assert values["decided otherwise/logits"] == output.decisions.flips > 0
    assert values["times the tolerance by check/drawn"] == pytest.approx(figures.over(output))
    assert values["worst input, times the tolerance/logits"] == pytest.approx(4127)
    (histogram,) = found.Histograms("deviation, log10 of tolerances/logits")
    assert histogram.histogram_value.num == 256
    assert 4 < histogram.histogram_value.max < 6


def test_tensorboard_reads_pictures_and_texts(read: Callable[[str], Any], tmp_path: Path) -> None:
    found = read("net@1_tflite")
    (picture,) = found.Images("expected and got/logits")
    assert (picture.width, picture.height) == (320, 320)
    (tmp_path / "x.png").write_bytes(picture.encoded_image_string)
    pixels = imread(tmp_path / "x.png")
    assert pixels.shape == (320, 320, 3)
    red = (pixels[..., 0] > 0.7) & (pixels[..., 1] < 0.4)
    assert red.sum() > 500
    (text,) = found.Tensors("what was found")
    said = text.tensor_proto.string_val[0].decode()
    assert "3 of 5 disagree" in said
    assert "features.5" in said
    assert found.summary_metadata["what was found"].plugin_data.plugin_name == "text"


def test_tensorboard_has_a_run_for_each_subject(runs: Path, tmp_path: Path) -> None:
    assert len(list(runs.iterdir())) == len(reports.full().rows)
    with pytest.raises(UsageError, match="there is no folder"):
        tensorboard.require_writable(tmp_path / "none" / "runs")


def test_a_picture_shows_each_element() -> None:
    points = reports.output(0.0).points
    assert points is not None
    blue = (tensorboard.scatter(errors(points)) == (61, 127, 217)).all(axis=2)
    down, right = np.nonzero(blue)
    assert np.abs(down + right - 318).max() <= 4  # what comes as expected lies on the diagonal
    assert down.min() < 8 < 310 < down.max()


def test_bars_are_logarithmic_and_show_the_first_that_differs() -> None:
    assert [bar(over, 1000.0) for over in (0.0, 1e-9, 1.0, 1000.0, math.inf)] == [0.0, 0.0, 50.0, 100.0, 100.0]
    found = bars(reports.located())
    assert found.shown[5].one.name == "features.5"
    assert found.left_out == 20 - len(found.shown)
    assert [tint(over) for over in (None, 0.5, 2.0, 50.0, 5e3, math.inf)] == [0, 0, 1, 2, 4, 4]


def test_inputs_are_pictures_lines_or_words() -> None:
    found = {tensor.name: tensor for tensor in inputs(reports.worst())}
    assert found["image"].picture.startswith("data:image/png;base64,")
    assert found["ids"].values == "101, 7592, 102, 0"
    assert "polyline" in found["x"].svg
    assert found["word"].values == "<b>é</b>"
    odd = replace(reports.worst(), inputs={"x": np.full((1, 50), np.nan, np.float32), "none": np.zeros((0, 3))})
    assert len(list(inputs(odd))) == 2


def test_checks_without_words_have_a_case_all_the_same() -> None:
    row = replace(reports.good(), checks=(Check("again", "disagree"), Check("order", "skipped")))
    found = cases(Report((row,)))
    assert (kind(found["net@1/onnx", "again"]), kind(found["net@1/onnx", "order"])) == ("failure", "skipped")


def test_a_notebook_shows_a_table() -> None:
    text = reports.full()._repr_html_()
    assert text.count("<tr>") == 1 + 8 + 5  # the head, a row for each output, a reason for each subject that is bad
    assert "of 64 rows get another class" in text
    assert "nobody answers at 127.0.0.1:8501" in text
    assert "5 compared, 3 disagree, 2 could not be asked" in text
    assert "<script" not in text
    assert "<u>" not in text
    ElementTree.fromstring(f"<div>{text}</div>")
