"""The page that `deploy check --html` writes, as a browser has it."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import check_reports as reports
import numpy as np
import pytest
from browser import Seen, framed, links, look

from deploy_agreement import Agreement, Report
from deploy_agreement.results.outputs import Points
from deploy_core.errors import UnavailableError, UsageError
from deploy_toolkit.reports.check import html, legend, plots
from deploy_toolkit.reports.check.errors import counted, errors
from deploy_toolkit.reports.check.matrix import matrix


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "check.html"
    html.write(reports.full(), path, reports.COMMAND)
    return path


@pytest.fixture(scope="module")
def seen(page: Path, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    return look(page, tmp_path_factory.mktemp("browser"))


def test_a_browser_shows_the_page(seen: Seen) -> None:
    ink = (seen.picture[..., :3] < 0.9).any(axis=2)
    assert 0.02 < ink.mean() < 0.5
    coloured = seen.picture[..., :3].max(axis=2) - seen.picture[..., :3].min(axis=2) > 0.3
    assert coloured.sum() > 20_000
    assert ink.any(axis=1)[:5000].mean() > 0.5


def test_a_browser_has_nothing_to_complain_of_and_asks_nobody(seen: Seen) -> None:
    assert "CONSOLE" not in seen.said
    assert seen.requests == []


def test_the_matrix_has_a_cell_for_each_subject_and_check(seen: Seen) -> None:
    cells = re.findall(r'<td class="cell c-(\w+)', seen.dom)
    assert len(cells) == 7 * 7
    assert {kind: cells.count(kind) for kind in set(cells)} == {
        "agree": 10, "disagree": 7, "told": 3, "skipped": 3, "notasked": 1, "failed": 1, "absent": 24,
    }  # fmt: skip
    assert 'aria-label="net@1/tflite, sizes: DISAGREES' in seen.dom
    assert seen.dom.count('<th scope="row"') == 7


def test_the_texts_are_there(seen: Seen) -> None:
    text = re.sub(r"\s+", " ", re.sub(r"<(style|script).*?</\1>|<[^>]+>", " ", seen.dom, flags=re.DOTALL))
    for part in (
        "3 of 5 disagree: net@1/tflite", "rows get another class, the clearest by a margin of", "8 × noise",
        "nobody answers at 127.0.0.1:8501", "NaN in 3 of 256 values", "4,127 × its tolerance", "parts from net@1/reference at",
        "epsilon is 0.001 instead of 1e-05", "deploy-check/features.5", "the first step that differs: resize 256",
        "--inputs deploy-check/net@1_tflite.npz", "1,840 inputs tried by gradient", "nothing could be matched",
        "differs on NaN &lt;i&gt;, as not even the source is sure there", "its runtime answers one at a time", "&lt;b&gt;frog",
        "27% of the bytes", "&lt;b&gt;é&lt;/b&gt;", "deploy check net oip+grpc://127.0.0.1:8001/net@1 --search 5",
    ):  # fmt: skip
        assert part in text, part


def test_every_check_is_explained(seen: Seen, page: Path, tmp_path: Path) -> None:
    for name in matrix(reports.full()).checks:
        assert f'title="{legend.CHECKS[name]}">{name}</th>' in seen.dom
        assert f"<dt>{name}</dt><dd>{legend.CHECKS[name]}</dd>" in seen.dom
    # Closed at first, with a word to open it by.
    shut = "page.querySelector('details.checks dl').checkVisibility()"
    word = "page.querySelector('details.checks summary').innerText"
    assert framed(page, tmp_path, 1000, shut, word) == ["false", "what each check asks"]


def test_names_are_text_and_never_elements(seen: Seen) -> None:
    assert "<script" not in seen.dom
    assert not re.search(r"<(frog|u>|i>(?!<)|b>é|x>)", seen.dom)
    assert seen.dom.count("alert(1)") > 3


def test_every_drawing_says_what_it_shows(seen: Seen) -> None:
    drawings = re.findall(r"<svg [^>]*>", seen.dom)
    assert (
        len(drawings) == 2 * 4 + 3
    )  # histogram and scatter of each output that has points, a line of each worst input
    assert all('role="img" aria-label="' in drawing for drawing in drawings)
    assert all(' alt="' in picture for picture in re.findall(r"<img [^>]*>", seen.dom))
    assert "<title>" in seen.dom.partition("<svg")[2]  # a bar says how many there are


@pytest.mark.parametrize("wide", [360, 1000])
def test_no_part_of_the_page_is_wider_than_the_window(page: Path, tmp_path: Path, wide: int) -> None:
    said = framed(
        page,
        tmp_path,
        wide,
        "page.documentElement.scrollWidth",
        "page.querySelectorAll('td.cell').length",
        "Math.max(...[...page.querySelectorAll('svg.plot')].map(e => e.getBoundingClientRect().right))",
    )
    assert int(said[0]) <= wide
    assert said[1] == "49"
    assert 100 < float(said[2]) <= wide


def test_the_browser_tells_of_a_page_that_is_too_wide(page: Path, tmp_path: Path) -> None:
    wide = tmp_path / "wide.html"
    wide.write_text(page.read_text().replace("<main>", '<main><div style="width: 700px">x</div>'))
    assert int(framed(wide, tmp_path / "frame", 360, "page.documentElement.scrollWidth")[0]) > 700


def test_dark_is_dark(page: Path, tmp_path: Path) -> None:
    dark = look(page, tmp_path, "--blink-settings=preferredColorScheme=0")
    assert dark.picture[5, 5, :3].max() < 0.2
    assert 0.005 < (dark.picture[..., :3].min(axis=2) > 0.6).mean() < 0.2


def test_all_links_lead_into_the_page(page: Path) -> None:
    found = links(page.read_text())
    assert len(found.ids) == len(set(found.ids))
    assert {link.partition(":")[0] for link in found.found if not link.startswith("#")} == {"data"}
    assert {link[1:] for link in found.found if link.startswith("#")} <= set(found.ids)
    document = next(link for link in found.found if link.startswith("data:application/json"))
    assert json.loads(base64.b64decode(document.partition(";base64,")[2])) == reports.full().to_json()


ODD = Agreement("$x$ \x00 \ud800 日本 {{ 7*7 }}", (reports.output(0.1, "{% raw %}"),), rows=64)


@pytest.mark.parametrize(
    "made",
    [
        reports.empty(),
        reports.agreeing(),
        Report((reports.gone(),)),
        Report((ODD,)),
        Report((reports.good(),), skew=replace(reports.skew(), steps=(), files=0)),
        Report((reports.wrong(),), located=(replace(reports.located(), first=None),)),
        Report((reports.wrong(),) * 20),
    ],
    ids=["empty", "agreeing", "gone", "odd-name", "no-files", "nowhere", "twenty"],
)
def test_any_report_becomes_a_page(made: Report, tmp_path: Path) -> None:
    html.write(made, tmp_path / "check.html")
    text = (tmp_path / "check.html").read_text()
    assert text.rstrip().endswith("</html>")
    assert ("{{ 7*7 }}" in text) == ("{{ 7*7 }}" in str(made))
    assert not re.search(r"\bnan\b|None", re.sub(r"base64,[\w+/=]*", "", text))


def test_a_page_of_nothing_says_so() -> None:
    assert "Nothing was compared" in html.page(reports.empty())
    assert "disagrees</span>" in html.page(reports.empty())


def test_the_histogram_counts_every_element() -> None:
    want = np.arange(8.0)
    got = np.add(want, [0, 1e-9, 0.5, 1, 1.5, 30, np.nan, 1e30])
    bars = counted(errors(Points(want, got, np.ones(8))))
    assert sum(bar.count for bar in bars) == 8
    assert sum(bar.count for bar in bars if bar.low >= 0) == 4  # 1 is tolerated
    assert bars[0].count == 2
    assert bars[-1].count == 2
    assert bars[0].said == "2 elements are off by 0 × to 0.00018 × the tolerance"


def test_what_is_wanted_and_comes_is_right_whatever_it_is() -> None:
    odd = np.array([np.nan, np.inf, -np.inf, 1.0])
    assert not errors(Points(odd, odd, np.zeros(4))).over.any()
    assert errors(Points(odd, odd[::-1], np.ones(4))).over.all()


def test_an_output_of_one_value_or_of_none_that_is_finite_is_drawn() -> None:
    one = Points(np.array([2.0]), np.array([2.0]), np.array([0.1]))
    assert "1 shown" in plots.scatter(one, "y")
    assert plots.scatter(Points(np.array([np.nan]), np.array([np.nan]), np.array([0.0])), "y") == ""
    huge = Points(np.array([-1e308, 1e308]), np.array([1e308, 1e308]), np.array([1.0, 1.0]))
    assert "nan" not in plots.scatter(huge, "y")


def test_what_is_missing_is_named_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no folder"):
        html.require_writable(tmp_path / "none" / "check.html")
    monkeypatch.setattr("deploy_core.table._found", lambda name: name != "jinja2")
    with pytest.raises(UnavailableError, match="an HTML report needs jinja2"):
        html.require_writable(Path("check.html"))


def test_nothing_is_imported_before_it_is_drawn() -> None:
    code = (
        "import sys; from deploy_toolkit.reports.check import html, junit, tensorboard\n"
        "print([name for name in ('matplotlib', 'jinja2', 'tensorboard', 'google.protobuf') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
