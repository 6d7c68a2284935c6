"""The page that `deploy bench --html` writes, as a browser has it."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import bench_reports as reports
import pytest
from browser import Seen, links, look

from deploy_core.errors import UnavailableError, UsageError
from deploy_latency.report import Report
from deploy_toolkit.reports.bench import html


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "bench.html"
    html.write(reports.full(), path)
    return path


@pytest.fixture(scope="module")
def seen(page: Path, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    return look(page, tmp_path_factory.mktemp("browser"))


def test_a_browser_shows_the_page(seen: Seen) -> None:
    ink = (seen.picture[..., :3] < 0.9).any(axis=2)
    rows = ink.any(axis=1)
    assert seen.picture.shape[:2] == (6500, 1200)
    assert 0.02 < ink.mean() < 0.5
    # Each drawing is there: coloured pixels in many places, from the top to the end of the page.
    colours = seen.picture[..., :3].max(axis=2) - seen.picture[..., :3].min(axis=2) > 0.3
    assert colours.sum() > 20_000
    assert rows[:5000].mean() > 0.5


def test_a_browser_has_nothing_to_complain_of(seen: Seen) -> None:
    assert "CONSOLE" not in seen.said


def test_nothing_is_asked_of_anybody(seen: Seen) -> None:
    assert seen.requests == []


def test_the_browser_tells_of_a_page_that_is_not_so_good(page: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    planted = '<img src="http://127.0.0.1:9/planted.png"><script>throw Error("planted")</script></body>'
    bad.write_text(page.read_text().replace("</body>", planted))
    assert "CONSOLE" in look(bad, tmp_path).said  # the page's own policy forbids both
    bad.write_text(bad.read_text().replace("img-src data:", "img-src *"))
    assert "http://127.0.0.1:9/planted.png" in look(bad, tmp_path).requests


def test_the_texts_are_there(seen: Seen) -> None:
    text = re.sub(r"<(style|script).*?</\1>|<[^>]+>", " ", seen.dom, flags=re.DOTALL)
    for part in (
        "deploy bench net --server embedded,torchserve --slo 'p99&lt;20ms'", "2 of 200 checked answers are WRONG",
        "LIMITED BY THE GENERATOR", "NOT STEADY", "Some Processor @ 2 GHz &lt;fast&gt;", "needs 3,688", "undecided",
        "900 requests/s", "no difference shown", "batch wait", "99.9 %", "knee 800/s", "181 MiB", "310 µs",
        "a note of [somebody] &lt;i&gt;", "How to read this page", "No rate that was tried holds", "load average",
        "8,192 MiB", "HTTP 503 (17)", "requests a second", "p50 of net@1 torchserve rest",
    ):  # fmt: skip
        assert part in re.sub(r"\s+", " ", text), part


def test_names_are_text_and_never_elements(seen: Seen) -> None:
    assert "<script" not in seen.dom
    assert "<fast>" not in seen.dom
    assert seen.dom.count("alert(1)") > 3


def test_all_links_lead_into_the_page(page: Path) -> None:
    found = links(page.read_text())
    assert len(found.ids) == len(set(found.ids))
    assert {link.partition(":")[0] for link in found.found if not link.startswith("#")} == {"data"}
    assert {link[1:] for link in found.found if link.startswith("#")} <= set(found.ids)
    assert not re.search(r"@import|url\((?!#)", page.read_text())


def _downloads(page: Path) -> list[str]:
    data = [link for link in links(page.read_text()).found if ";base64," in link]
    return [base64.b64decode(link.partition(";base64,")[2]).decode() for link in data]


def test_the_report_and_the_histograms_can_be_taken_along(page: Path) -> None:
    document, *histograms = _downloads(page)
    assert json.loads(document)["schema"] == "deploy/bench/1"
    assert len(histograms) == sum(bool(one.histogram) for one in reports.full().measured)
    lines = histograms[0].splitlines()
    assert lines[0].split() == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
    middle = next(line.split() for line in lines[2:] if float(line.split()[1]) >= 0.5)
    assert float(middle[0]) == pytest.approx(1.23, rel=0.05)  # milliseconds


def test_dark_is_dark(page: Path, tmp_path: Path) -> None:
    dark = look(page, tmp_path, "--blink-settings=preferredColorScheme=0")
    assert dark.picture[5, 5, :3].max() < 0.2
    light = (dark.picture[..., :3].min(axis=2) > 0.6).mean()
    assert 0.005 < light < 0.2


@pytest.mark.parametrize(
    "made",
    [
        reports.empty(),
        replace(reports.empty(), measured=(reports.without_data(),)),
        replace(reports.empty(), measured=(reports.hopeless(),)),
        replace(reports.empty(), measured=(replace(reports.usual("$x$ \x00 \ud800 日本 {{ 7*7 }}"), histogram=""),)),
        replace(reports.empty(), compared=reports.compared()[4:], found=reports.full().found[1:]),
        replace(reports.full(), measured=(replace(reports.usual(), over_time=()),) * 10),
    ],
    ids=["empty", "without-data", "hopeless", "odd-name", "nothing-to-draw", "ten"],
)
def test_any_report_becomes_a_page(made: Report, tmp_path: Path) -> None:
    html.write(made, tmp_path / "bench.html")
    text = (tmp_path / "bench.html").read_text()
    assert text.rstrip().endswith("</html>")
    assert ("{{ 7*7 }}" in text) == ("{{ 7*7 }}" in str(made))
    assert "nan" not in re.sub(r"base64,[\w+/=]*", "", text)


def test_an_existing_page_is_replaced_and_a_missing_folder_said(tmp_path: Path) -> None:
    (tmp_path / "bench.html").write_text("old" * 200_000)
    html.write(reports.empty(), tmp_path / "bench.html")
    assert "oldold" not in (tmp_path / "bench.html").read_text()
    with pytest.raises(UsageError, match="there is no folder"):
        html.write(reports.empty(), tmp_path / "none" / "bench.html")
    with pytest.raises(UsageError, match="there is no folder"):
        html.require_writable(tmp_path / "none" / "bench.html")


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy_core.table._found", lambda name: name != "matplotlib")
    with pytest.raises(UnavailableError, match="an HTML report needs matplotlib"):
        html.require_writable(Path("bench.html"))
    with pytest.raises(UnavailableError, match="an HTML report needs matplotlib") as error:
        html.page(reports.empty())
    assert error.value.hint == "pip install 'deploy-toolkit[report]'"


def test_nothing_is_imported_before_it_is_drawn() -> None:
    code = (
        "import sys; from deploy_toolkit.reports.bench import csv, document, html, junit, live, plots, tensorboard\n"
        "print([name for name in ('matplotlib', 'jinja2', 'tensorboard', 'google.protobuf') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
