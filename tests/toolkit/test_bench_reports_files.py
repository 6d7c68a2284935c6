"""What `deploy bench` writes for other programs: CSV, JUnit, TensorBoard; files that are whole or not there."""

from __future__ import annotations

import csv as reader
import math
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import bench_reports as reports
import pytest

from deploy_core.errors import UsageError
from deploy_latency import histogram
from deploy_latency.limits import RIGHT
from deploy_latency.report import Report
from deploy_toolkit.flows.bench import judging
from deploy_toolkit.reports import writing
from deploy_toolkit.reports.bench import csv, junit, tensorboard


def test_csv_has_a_line_for_each_subject_and_percentile(tmp_path: Path) -> None:
    csv.write(reports.full(), tmp_path / "bench.csv")
    with (tmp_path / "bench.csv").open(newline="") as file:
        rows = list(reader.DictReader(file))
    assert tuple(rows[0]) == csv.COLUMNS
    assert [row["percentile"] for row in rows[:5]] == ["50", "90", "95", "99", "99.9"]
    tried = [step.rate for found in reports.full().found for step in found.steps for _ in step.latency]
    assert len(rows) == 5 * len(reports.full().measured) + len(tried)
    assert [float(row["offered"]) for row in rows[-len(tried) :]] == tried
    by = {(row["subject"], row["percentile"]): row for row in rows}
    usual = by[reports.usual().subject, "99"]
    assert (float(usual["latency"]), float(usual["low"])) == (5.1e-3, 5.1e-3 * 0.95)
    assert float(usual["server_cpu_per_request"]) == 310e-6
    odd = by[reports.MARKED_UP, "99"]
    assert (float(odd["latency"]), float(odd["low"]), odd["memory"]) == (math.inf, 9e-3, "")
    assert odd["limited_by_generator"].endswith("97 % of a core")
    nothing = by["nothing at all", "99.9"]
    assert (nothing["latency"], nothing["n"], nothing["needs"], nothing["rate"]) == ("", "0", "368", "")


def cases(report: Report) -> dict[tuple[str, str], ElementTree.Element]:
    return {(case.attrib["classname"], case.attrib["name"]): case for case in _tree(report).iter("testcase")}


def _tree(report: Report) -> ElementTree.Element:
    return ElementTree.fromstring(junit.text(report))


def kind(case: ElementTree.Element) -> str:
    return next((part.tag for part in case if part.tag != "system-out"), "passed")


def test_junit_judges_as_the_report_does() -> None:
    found = {name: kind(case) for name, case in cases(reports.full()).items()}
    assert found == {
        **{(one.subject, "answers are right"): "passed" for one in reports.full().measured},
        **{(one.subject, "requests are answered"): "passed" for one in reports.full().measured},
        (reports.MARKED_UP, "answers are right"): "failure",
        ("nothing at all", "answers are right"): "skipped",
        ("nothing at all", "requests are answered"): "failure",
        ("net@1 embedded", "p99<20ms"): "passed",
        ("net@1 embedded", "errors<0.1%"): "failure",
        ("net@1 embedded", "p99.9<=1.05x"): "error",
        ("net@1 embedded", "p99.9"): "error",
        ("net@1 embedded", "rate>=150"): "passed",
        ("net@1 embedded", "a rate holds p99<20ms,errors<0.1%"): "passed",
        ("net@1 slow", "a rate holds p99<1us"): "failure",
    }


def test_junit_says_what_was_found() -> None:
    found = cases(reports.full())
    broken = found["net@1 embedded", "errors<0.1%"].find("failure")
    assert broken is not None
    assert broken.attrib["message"] == "errors<0.1% is broken: 2.20 % (1.30 %–3.40 %) of 900 samples"
    answered = found[reports.MARKED_UP, "requests are answered"].findtext("system-out")
    assert answered == "20 of 900 requests failed: HTTP 503 (17), no answer in time (3)"


def test_junit_fails_a_search_that_met_wrong_answers() -> None:
    found = reports.search()
    wrong = replace(found.steps[-1], judged=(reports.judged(RIGHT, "broken"),))
    report = replace(reports.full(), found=(replace(found, steps=(*found.steps, wrong)),))
    assert "wrong at 900 requests a second" in junit.text(report).decode()
    assert judging.exit_code(replace(report, measured=(), judged=())) == 4


def test_junit_counts_its_cases() -> None:
    tree = _tree(reports.full())
    counts = {"tests": "17", "failures": "4", "errors": "2", "skipped": "1"}
    assert {name: tree.attrib[name] for name in counts} == counts
    own = next(suite for suite in tree if suite.attrib["name"] == "net@1 embedded")
    assert (own.attrib["tests"], own.attrib["failures"], own.attrib["errors"]) == ("6", "1", "2")


def test_junit_holds_any_text() -> None:
    odd = replace(reports.usual("a\x00b\x1b[31m\ud800"), failures={"\x07": 1})
    assert ("a\ufffdb\ufffd[31m\ufffd", "answers are right") in cases(replace(reports.empty(), measured=(odd,)))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tensorboard") / "new"
    again = reports.usual()  # the same name twice must not be one run
    tensorboard.write(replace(reports.full(), measured=(*reports.full().measured, again)), folder)
    return folder


def test_tensorboard_has_a_run_for_each_subject(runs: Path) -> None:
    assert sorted(path.name for path in runs.iterdir()) == [
        "net@1_embedded_tfserving+rest",
        "net@1_embedded_tfserving+rest-2",
        "net@1_onnx,_1_thread",
        "net@1_red_script_alert_1_script",
        "net@1_torchserve_rest",
        "nothing_at_all",
    ]


@pytest.fixture
def read_by_tensorboard(runs: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    # This module is there where TensorBoard is built without TensorFlow, which takes ten seconds to import.
    monkeypatch.setitem(sys.modules, "tensorboard.compat.notf", ModuleType("notf"))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def read(run: str) -> Any:
        accumulator = EventAccumulator(str(runs / run))
        accumulator.Reload()
        return accumulator

    return read


def test_tensorboard_reads_what_was_written(read_by_tensorboard: Callable[[str], Any]) -> None:
    read = read_by_tensorboard("net@1_embedded_tfserving+rest")
    values = {tag: read.Scalars(tag) for tag in read.Tags()["scalars"]}
    assert values["latency ms/p99"][0].value == pytest.approx(5.1)
    assert values["latency ms/p99 high"][0].value == pytest.approx(5.61)
    assert values["server/memory MiB"][0].value == 181
    assert values["stages ms/compute"][0].value == pytest.approx(0.47)
    slices = values["over time/p50 ms"]
    assert [each.step for each in slices] == list(range(60))
    assert slices[59].wall_time - slices[0].wall_time == pytest.approx(59 / 3)
    (histogram,) = read.Histograms("latency ms")
    counted = histogram.histogram_value
    assert counted.num == sum(counted.bucket) == 5000
    assert len(counted.bucket) == len(counted.bucket_limit)
    assert counted.min < 1.2 < counted.max


def test_tensorboard_has_infinities_and_no_guesses(read_by_tensorboard: Callable[[str], Any]) -> None:
    read = read_by_tensorboard("net@1_red_script_alert_1_script")
    assert read.Scalars("latency ms/p99")[0].value == math.inf
    assert "latency ms/p99.9" not in read.Tags()["scalars"]
    assert "server/cold start s" not in read.Tags()["scalars"]


def test_a_histogram_gives_back_what_it_counted() -> None:
    counts = histogram.counts(histogram.decode(reports.counted(failed=110)))
    assert sum(count for _, count in counts) == 5000
    assert counts[-1] == (math.inf, 110)
    values = [value for value, _ in counts]
    assert values == sorted(values)
    below = sum(count for value, count in counts if value <= 1.23e-3)
    assert below / 5000 == pytest.approx(0.5, abs=0.03)


Write = Callable[[Report, Path], None]


@pytest.mark.parametrize("write", [csv.write, junit.write], ids=["csv", "junit"])
def test_an_existing_file_is_replaced_whole(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report"
    path.write_text("before" * 100_000)
    with monkeypatch.context() as broken:
        broken.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("no space left")))
        with pytest.raises(UsageError, match="no space left"):
            write(reports.full(), path)
    assert path.read_text() == "before" * 100_000
    assert [each.name for each in tmp_path.iterdir()] == ["report"]
    write(reports.full(), path)
    assert "before" not in path.read_text()
    assert [each.name for each in tmp_path.iterdir()] == ["report"]


@pytest.mark.parametrize("write", [csv.write, junit.write, tensorboard.write], ids=["csv", "junit", "tensorboard"])
def test_a_folder_that_is_not_there_is_said(write: Write, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no folder"):
        write(reports.full(), tmp_path / "none" / "report")
    assert not (tmp_path / "none").exists()


def test_a_folder_is_no_file_and_a_file_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a folder"):
        writing.write(tmp_path, b"")
    with pytest.raises(UsageError, match="is no folder"):
        tensorboard.write(reports.full(), tmp_path / "file")
    with pytest.raises(UsageError, match="there is no folder"):
        writing.write(tmp_path / "file" / "report", b"")


def test_what_cannot_be_written_is_told_before_anything_is_done_for_it(tmp_path: Path) -> None:
    for place in (Path("/proc/report.html"), tmp_path / "link"):
        if place.parent == tmp_path:
            place.symlink_to("/proc/report.html")
        with pytest.raises(UsageError, match=f"{place} cannot be written") as told:
            writing.require_writable(place)
        assert told.value.hint == "name another file"
    for folder in (Path("/proc/runs"), Path("/proc/runs/of/mine")):
        with pytest.raises(UsageError, match=f"{folder} cannot be written to"):
            writing.require_folder(folder)
    with pytest.raises(UsageError, match="runs cannot be written to"):
        tensorboard.require_writable(Path("/proc/runs"))
    assert list(tmp_path.iterdir()) == [tmp_path / "link"]


def test_what_can_be_written_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("before")
    writing.require_writable(tmp_path / "old")
    writing.require_writable(tmp_path / "new")
    writing.require_writable(Path(os.devnull))
    writing.require_folder(tmp_path / "not" / "yet")
    os.mkfifo(tmp_path / "pipe")
    writing.require_writable(tmp_path / "pipe")  # and waits for no reader
    assert (tmp_path / "old").read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old", "pipe"]


def test_what_is_no_file_is_written_to() -> None:
    writing.write(Path(os.devnull), b"gone")
    assert not Path(os.devnull).is_file()


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("before")
    (tmp_path / "link").symlink_to("real")
    writing.write(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"
