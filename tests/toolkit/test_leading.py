"""What reports lead with: the check that found what is wrong, and in words what no figure tells."""

from __future__ import annotations

import io
import math
import re
from dataclasses import replace

import check_reports as reports
import numpy as np
import pytest
from rich.console import Console

from deploy_agreement import Agreement, Check, Noise, OutputAgreement, Points, Problem, Report, Tolerance, compare
from deploy_agreement.comparing.given import Given
from deploy_core.signature import Signature, Tensors, TensorSpec
from deploy_toolkit.reports.check import html, tensorboard, terminal, words
from deploy_toolkit.reports.check.leading import beside, leading
from deploy_toolkit.reports.check.matrix import Cell, matrix

X, P, Q = (TensorSpec(name, "float32", ("batch", 2)) for name in ("x", "p", "q"))
ROWS = np.random.default_rng(1).normal(size=(6, 2)).astype(np.float32)
WANT = {"p": ROWS, "q": 2 * ROWS}


def row(got: Tensors) -> Agreement:
    given = Given(Signature((X,), (P, Q)), got)
    return compare("it", WANT, given, {"x": ROWS}, noise=Noise({}, ""), batches=())


FORMS = {
    "missing output": {"p": ROWS},
    "extra output": WANT | {"r": ROWS},
    "shape": WANT | {"q": ROWS[:, :1]},
    "dtype": WANT | {"q": ROWS.astype(np.float64)},
    "batch size": WANT | {"q": ROWS[:3]},
}


def printed(report: Report, width: int = 200) -> str:
    text = io.StringIO()
    Console(file=text, width=width, highlight=False).print(terminal.agreement(report))
    return text.getvalue()


def cell(report: Report, check: str = "golden") -> Cell:
    return next(one for one in matrix(report).rows[0][1] if one.check == check)


@pytest.mark.parametrize("told", FORMS)
def test_a_cell_says_what_is_wrong_and_no_figure_of_what_agrees(told: str) -> None:
    report = Report((row(FORMS[told]),))
    found = cell(report)
    assert (found.verdict, found.figure, found.over, found.loud) == ("disagree", told, None, math.inf)
    assert found.told.startswith(f"golden: DISAGREES, {told};")
    page = html.page(report)
    assert re.search(rf'<td class="cell c-disagree t4".*?<small aria-hidden="true">{told}</small>', page)


@pytest.mark.parametrize("told", FORMS)
def test_outputs_that_agree_are_not_said_to_disagree(told: str) -> None:
    lines = printed(Report((row(FORMS[told]),))).splitlines()
    (good,) = (line for line in lines if re.search(r"\bp  ", line))
    assert good.rstrip().endswith(" agrees")
    name = "r" if told == "extra output" else "q"
    (bad,) = (line for line in lines if f"{name}: {told}" in line)
    assert bad.rstrip().endswith(" DISAGREES")


def test_what_no_output_shows_has_a_line_of_its_own() -> None:
    damaged = replace(reports.good(), problems=(Problem("damaged", "it is not what was published"),))
    report = Report((damaged,))
    assert beside(damaged, report) == ["damaged file"]
    assert cell(replace(report, rows=(replace(damaged, checks=()),))).figure == "damaged file"
    broken = Check("at once", "disagree", "fails", problems=(Problem("error", "at once: fails"),))
    assert beside(replace(reports.good(), checks=(broken,)), report) == ["at once: no answer"]
    assert cell(Report((replace(reports.good(), checks=(broken,)),)), "at once").figure == "no answer"
    assert beside(reports.good(), report) == []
    size = replace(
        reports.good(), problems=(Problem("size", "at steps = 13, output 'logits' is off", "logits"),), checks=()
    )
    assert beside(size, report) == ["logits: other sizes"]
    assert cell(Report((size,))).figure == "other sizes"
    (line,) = (line for line in printed(Report((size,))).splitlines() if "logits: other sizes" in line)
    assert line.rstrip().endswith("DISAGREES")


def test_nobody_says_what_would_be_decided_by_what_is_missing() -> None:
    fine = reports.good()
    assert words.nothing_noticed(Report((fine,)))
    words_missing = OutputAgreement("words", "string", Tolerance(0.0, "must be equal"), ok=False)
    for bad in (
        replace(fine, outputs=(*fine.outputs, words_missing)),
        replace(fine, problems=(Problem("extra-output", "more", "r"),)),
        replace(fine, checks=(Check("at once", "disagree", "fails"),)),
        Agreement("b", error="it crashed"),
    ):
        assert words.nothing_noticed(Report((fine, bad))) == ""
    assert words.nothing_noticed(Report((fine, reports.gone())))
    assert words.nothing_noticed(Report((fine,), skew=reports.skew())) == ""


def drawn_only() -> Report:
    """Golden inputs agree, those that were drawn do not."""
    off, worse = (replace(reports.output(by), name="logits") for by in (1e-3, 0.2))
    checks = (Check("drawn", "disagree", "a", 9, (off,)), Check("edges", "disagree", "b", 9, (worse,)))
    good = reports.good()
    return Report((replace(good, outputs=(*good.outputs, reports.output(1e-7, "more")), checks=checks),))


def test_the_check_that_found_it_leads() -> None:
    report = drawn_only()
    first, second = leading(report.rows[0], report)
    assert (first.label, first.output.ok, second.label, second.output.ok) == ("logits (edges)", False, "more", True)
    lines = printed(report).splitlines()
    (line,) = (line for line in lines if "logits (edges)" in line)
    assert line.rstrip().endswith("DISAGREES")
    page = html.page(report)
    assert 'aria-label="net@1/onnx, logits (edges): 256 of 256 shown elements are beyond their tolerance"' in page
    assert "<figcaption>logits (edges): deviations</figcaption>" in page
    assert "✓</span> golden</h3>" in page  # as are the figures that agree


def test_tensorboard_draws_what_the_check_found() -> None:
    report = drawn_only()
    ((one, cells),) = matrix(report).rows
    written = b"".join(tensorboard.events(report, one, cells, 0.0, ""))
    assert b"expected and got/logits (edges)" in written


def test_a_search_that_found_it_leads() -> None:
    report = Report(
        (replace(reports.good(), checks=(Check("search", "disagree", "off"),)),), worst=(reports.worst("net@1/onnx"),)
    )
    (one,) = leading(report.rows[0], report)
    assert one.label == "logits (search)"
    assert one.output.worst is not None
    assert one.output.worst.place == (0, 2)
    assert isinstance(one.output.points, Points)
    assert one.output.points.want.size == 257
    assert beside(report.rows[0], report) == []
    assert "logits (search): 1 of 257 shown elements are beyond their tolerance" in html.page(report)
    fine = replace(report, worst=(replace(report.worst[0], counts=False),))
    assert [shown.label for shown in leading(fine.rows[0], fine)] == ["logits"]


def test_golden_inputs_that_disagree_lead_before_any_check() -> None:
    report = Report((reports.wrong(),), worst=(reports.worst(),))
    assert [one.label for one in leading(report.rows[0], report)] == ["logits"]


def test_a_page_explains_the_signs_that_it_has_and_no_others() -> None:
    def legend(report: Report) -> list[str]:
        (told,) = re.findall(r'<ul class="legend">(.*?)</ul>', html.page(report))
        return [re.sub("<.*?>", "", one) for one in re.findall("<li>(.*?)</li>", told)][:-1]

    assert legend(Report((replace(reports.good(), checks=()),))) == ["✓ agrees"]
    assert {"✗ disagrees", "✗ failed", "? not asked"} < set(legend(reports.full()))


def test_what_was_skipped_is_said_to_be() -> None:
    assert "at once: skipped, its runtime answers one at a time (net@1/onnx)" in words.remarks(
        Report((reports.good(),))
    )


def test_commands_of_the_page_stand_by_themselves() -> None:
    page = html.page(Report((reports.wrong(),)), "deploy check net")
    assert "<li><code>deploy check net --localise</code> says in which tensor two of them part first</li>" in page


def test_nothing_opens_where_there_is_nothing_to_see() -> None:
    page = html.page(replace(reports.full(), located=(replace(reports.located(), first=None, said="all agree"),)))
    assert '<p class="card">net@1/tflite: all agree</p>' in page


def test_rows_of_a_check_are_no_batch() -> None:
    first, second = leading(drawn_only().rows[0], drawn_only())
    assert (first.where, second.where) == ("row 41 of 64", "at batch size 64, row 46")
    page = html.page(drawn_only())
    assert page.count("<small>row 41 of 64</small>") == 3  # what leads, and below the names of both checks


def test_a_narrow_terminal_names_the_check_before_what_is_wrong() -> None:
    text = printed(Report((row(FORMS["shape"]), *drawn_only().rows)), 40).replace("\N{NO-BREAK SPACE}", " ")
    assert "✗ golden shape" in text
    assert re.search(r"✗ edges [\d,]+ ×", text)
