"""What `deploy bench` shows: the document, tables and live progress."""

from __future__ import annotations

import io
import json
import math
from dataclasses import fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import bench_reports as reports
import numpy as np
import pytest
from documents import valid
from rich.console import Console

from deploy_core.errors import UsageError
from deploy_latency import baseline, report
from deploy_latency.estimate import Estimate
from deploy_latency.workers import Progress
from deploy_toolkit.output import Output
from deploy_toolkit.reports.bench import figures
from deploy_toolkit.reports.bench.document import to_json
from deploy_toolkit.reports.bench.live import Now, drawn, live
from deploy_toolkit.reports.bench.terminal import bench


@pytest.mark.parametrize("made", [reports.full(), reports.empty()], ids=["full", "empty"])
def test_the_document_holds_its_schema_and_plain_json(made: report.Report) -> None:
    valid(json.dumps(to_json(made), allow_nan=False), "bench-1")


def test_the_schema_knows_every_field() -> None:
    schema = json.loads((files("deploy_toolkit.reports") / "schemas" / "bench-1.json").read_text())
    for kind in ("Measured", "Generator", "Moment", "Stage", "Compared", "Judged", "Step", "Found"):
        assert set(schema["$defs"][kind.lower()]["required"]) == {field.name for field in fields(getattr(report, kind))}
    assert set(schema["$defs"]["estimate"]["required"]) == {field.name for field in fields(Estimate)}


def test_the_document_is_a_baseline_again() -> None:
    made = replace(reports.full(), measured=(reports.usual(), reports.failing(), reports.without_data()))
    read = baseline.read(json.loads(json.dumps(to_json(made))))
    for one in made.measured:
        back = read[one.subject]
        assert {name: back.figures[name] for name in one.latency} == one.latency
        assert back.figures["rate"] == one.rate
        assert back.histogram == one.histogram
    assert read[reports.usual().subject].rounds == {"p50": (1.2e-3,) * 6}
    assert read[reports.usual().subject].estimate("p75").value == pytest.approx(1.85e-3, rel=0.05)


def test_facts_of_any_kind_are_json() -> None:
    facts = {"rounds": {"p50": [math.nan, math.inf]}, "batch": np.int64(8), "at": Path("x"), "an": np.array([1.5])}
    one = replace(reports.without_data(), facts=facts)
    document = to_json(replace(reports.empty(), measured=(one,)))
    assert document["measured"][0]["facts"] == {
        "rounds": {"p50": [None, "Infinity"]}, "batch": 8, "at": "x", "an": [1.5],
    }  # fmt: skip
    rounds = baseline.read(document)[one.subject].rounds["p50"]
    assert math.isnan(rounds[0])
    assert rounds[1] == math.inf


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0.0123, "12.3 ms"), (1.0, "1.00 s"), (0.00099996, "1.00 ms"), (0.9999, "1.00 s"), (0, "0 s"), (None, "–"),
        (math.inf, "∞"), (3.2e-6, "3.20 µs"), (4e-10, "0.400 ns"), (1234.5, "1,234 s"),
    ],
)  # fmt: skip
def test_times(value: float | None, told: str) -> None:
    assert figures.seconds(value) == told


@pytest.mark.parametrize(
    ("estimate", "told"),
    [
        (Estimate(0.012, 0.0115, 0.0131, 900, 368), ("12.0 ms", "11.5–13.1")),
        (Estimate(0.9, 0.02, 1.2, 900, 368), ("900 ms", "20.0 ms–1.20 s")),
        (Estimate(math.inf, 0.02, math.inf, 900, 368), ("∞", "20.0 ms–∞")),
        (Estimate(0.9, 0.02, None, 900, 3_688), ("–", "needs 3,688")),
        (Estimate(None, None, None, 0, 368), ("–", "needs 368")),
    ],
)
def test_times_with_their_intervals(estimate: Estimate, told: tuple[str, str]) -> None:
    assert figures.time(estimate) == told


@pytest.mark.parametrize(
    ("ratio", "told"),
    [(1.00001, "as much"), (1.04, "4.0 % more"), (0.6, "40.0 % less"), (2.31, "2.31 times"), (0.1, "0.100 times")],
)
def test_ratios_in_words(ratio: float, told: str) -> None:
    one = replace(reports.compared()[0], ratio=Estimate(ratio, None, None, 6))
    assert figures.change(one) == told


def test_limits_show_the_kind_of_figure_they_bound() -> None:
    told = {one.limit: figures.of_limit(one) for one in reports.full().judged}
    assert told == {
        "p99<20ms": ("6.00 ms", "5.70–6.60"),
        "errors<0.1%": ("2.20 %", "1.30 %–3.40 %"),
        "p99.9<=1.05x": ("1.02", "needs 6"),
        "p99.9": ("–", "needs 3,688"),
        "rate>=150": ("199", "189–219"),
    }


def printed(made: report.Report, width: int = 200) -> str:
    text = io.StringIO()
    Console(file=text, width=width, highlight=False).print(bench(made))
    return text.getvalue()


def test_tables_hold_every_part() -> None:
    text = printed(reports.full())
    for part in (
        "p99.9", "1.14–1.32", "needs 3,688", "199\n", "189–219", "1,200", "840 ms", "181 MiB", "310 µs", "48.0 ms",
        "batch wait", "25.0 %", "the server's own timings", "no difference shown", "2.31 times", "12.0 % less",
        "4.0 % more", "900 again", "latency begins to rise at 800/s", "no rate that was tried holds p99<1us",
        "UNDECIDED", "BROKEN", "a note of [somebody] <i>", "0 of 1,200", "95 % interval",
    ):  # fmt: skip
        assert part.strip() in text, part


def test_what_spoils_a_figure_is_said_in_red_at_the_end() -> None:
    console = Console(file=io.StringIO(), width=400, color_system="standard", force_terminal=True, highlight=False)
    console.print(bench(reports.full()))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    name = reports.MARKED_UP
    for said in (
        "2 of 200 checked answers are WRONG: y[0] is 0.3, wanted 0.1 <b>",
        "LIMITED BY THE GENERATOR, these are not the server's figures: its busiest process used 97 % of a core",
        "20 of 900 requests FAILED: HTTP 503 (17), no answer in time (3)",
        "NOT STEADY",
    ):
        assert f"\x1b[1;31m{name}: {said}" in text
    assert "\x1b[1;31mnothing at all" not in text


def test_a_usual_run_says_nothing_loud() -> None:
    text = printed(replace(reports.empty(), measured=(reports.usual(),)))
    for word in ("WRONG", "FAILED", "LIMITED", "NOT STEADY", "never"):
        assert word not in text
    assert printed(reports.empty()) == "nothing was measured\n"


def test_answers_that_nobody_checked_are_said() -> None:
    unchecked = replace(reports.usual(), checked=report.Checked(0))
    assert "NO ANSWER WAS CHECKED" in printed(replace(reports.empty(), measured=(unchecked,)))


def test_a_narrow_terminal_loses_nothing() -> None:
    made = reports.full()
    text = printed(made, 80)
    assert max(map(len, text.splitlines())) <= 80
    lines = text.splitlines()
    head = next(line for line in lines if "p99.9" in line)
    for part in ("1.20 ms", "8.40 ms", "48.0 ms", "1.14–1.32"):
        assert part in "".join(lines[lines.index(head) :][:5])
    assert "…" not in text


def progress(elapsed: float, latencies: list[float], failed: int = 0) -> Progress:
    return Progress(elapsed, 10.0, sent=700, ended=690, failed=failed, recent=np.array(latencies), over=0.25)


def test_now_is_the_last_second_of_the_same_round() -> None:
    now = Now()
    now.hear("a, 1 of 2", progress(1.0, [9.0] * 1000))
    for step in range(4):
        now.hear("a, 1 of 2", progress(2.0 + step / 4, [0.002] * 24 + [0.004]))
    assert now.words() == "100/s  p50 2.00 ms  p99 4.00 ms  10 under way"
    now.hear("a, 2 of 2", progress(-0.5, []))
    assert now.words() == ""
    now.hear("a, 2 of 2", progress(0.1, []))
    assert now.words() == "0/s  10 under way"
    now.hear("a, 2 of 2", progress(2.2, [0.001]))
    now.hear("a, 2 of 2", progress(0.2, [0.003]))
    assert now.words() == "4.00/s  p50 3.00 ms  p99 3.00 ms  10 under way"


def test_without_a_terminal_there_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    times = [0.0]
    with live(Output(Path(), as_json=False, quiet=False), clock=lambda: times[0]) as on_progress:
        for step in range(100):
            times[0] = step / 4
            on_progress("net, 1 of 6", progress(step / 4 - 1, [0.001] * 50, failed=step // 40))
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    assert len(lines) == 4
    assert lines[0] == "net, 1 of 6: 4.0 of 10 s  200/s  p50 1.00 ms  p99 1.00 ms  10 under way"
    assert lines[1].endswith("1 FAILED")
    assert "are over, waiting for the last answers" in lines[3]


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with live(Output(Path(), as_json=False, quiet=True), clock=lambda: 1e9) as on_progress:
        on_progress("net", progress(1, [0.001]))
    assert capsys.readouterr() == ("", "")


def test_a_terminal_shows_where_it_is_and_is_clean_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    with live(Output(Path(), as_json=False, quiet=False)) as on_progress:
        on_progress("net [1], 1 of 6", progress(-0.4, []))
        on_progress("net [1], 1 of 6", progress(3.25, [0.001] * 50, failed=7))
        shown = terminal.getvalue()
    for part in ("net [1], 1 of 6", "warming up", "3.2 of 10 s", "p99 1.00 ms", "7 FAILED"):
        assert part in shown
    assert terminal.getvalue().endswith("\x1b[2K") or "\x1b[2K" in terminal.getvalue().removeprefix(shown)


def test_a_terminal_line_counts_failures_in_red() -> None:
    console = Console(file=io.StringIO(), width=120, color_system="standard", force_terminal=True)
    console.print(drawn("net", progress(3, [], failed=2), "100/s"))
    text: Any = console.file
    assert "\x1b[1;31m  2 FAILED" in text.getvalue()


def test_a_document_of_another_kind_is_no_baseline() -> None:
    with pytest.raises(UsageError, match="measured nothing"):
        baseline.read(to_json(reports.empty()))
