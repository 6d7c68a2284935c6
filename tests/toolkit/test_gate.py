from __future__ import annotations

import json
import shutil
import tomllib
from importlib.resources import files
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest

from deploy_core.errors import UsageError
from deploy_toolkit.cli import _exit_code
from deploy_toolkit.commands import gating
from deploy_toolkit.flows.gate.plan import Plan, Step
from deploy_toolkit.flows.gate.result import Outcome, Result

GATE = """
out = "found"

[[export]]
source = "nets.py:linear"
name = "linear"
to = ["onnx"]
set = { onnx.opset = 19 }

[[export]]
source = "nets.py:absent"
name = "absent"
to = ["onnx"]

[[check]]
subjects = ["linear"]

[[check]]
subjects = ["absent"]

[[check]]
subjects = ["linear"]
against = "linear"
atol = 0

[[package]]
name = "linear"
for = "linux"
"""
NETS = """
import torch

def linear():
    torch.manual_seed(0)
    return torch.nn.Linear(3, 2).eval(), torch.rand(4, 3)
"""


def _plan(tmp_path: Path, text: str) -> Plan:
    (tmp_path / "deploy.toml").write_text(text)
    return gating.read(tmp_path / "deploy.toml")


def test_a_table_is_a_command_and_its_keys_are_options(tmp_path: Path) -> None:
    plan = _plan(tmp_path, GATE)
    first, second = plan.steps[:2]
    assert first.args[:8] == ("export", "nets.py:linear", "--name", "linear", "--to", "onnx", "--set", "onnx.opset=19")
    assert second.models == ("absent",)
    assert [step.kind for step in plan.steps] == ["export", "export", "check", "check", "check", "package"]
    assert plan.store == tmp_path / "models"
    assert plan.words(first)[-2:] == ("--store", str(tmp_path / "models"))
    check, package = plan.steps[2], plan.steps[-1]
    assert check.args[2:] == (
        "--html",
        str(tmp_path / "found/check-1.html"),
        "--junit",
        str(tmp_path / "found/check-1.xml"),
        "--found",
        str(tmp_path / "found/check-1"),
    )
    assert package.args[-2:] == ("--out", str(tmp_path / "found"))


def test_the_order_of_the_tables_is_that_of_the_road(tmp_path: Path) -> None:
    plan = _plan(tmp_path, '[bench]\nsubjects = "a"\nfind-max = true\nslo = "p99<1s"\n[check]\nsubjects = ["a", "b@2"]')
    assert [step.kind for step in plan.steps] == ["check", "bench"]
    assert plan.steps[0].models == ("a", "b")
    assert plan.steps[1].args[:5] == ("bench", "a", "--find-max", "--slo", "p99<1s")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "nothing to do"),
        ("[[chek]]", "'chek', which is not known"),
        ("[[check]]\nsubject = ['a']", r"\[\[check\]\] number 1 has the key 'subject'"),
        ("[[check]]\nsubjects = ['a']\njunit = 'x.xml'", "'junit', which is not known"),
        ("[[check]]\nsubjects = []", "neither text nor a number"),
        ("[[check]]\natol = 1", "(?i)missing argument"),
        ("[[check]]\nagainst = 'a'", "(?i)missing argument 'NAME"),
        ("[[check]]\nsubjects = ['a']\natol = 'much'", "'much' is not a valid float"),
        ("[[check]]\nsubjects = ['a']\ntrust = 'yes'", "neither true nor false"),
        ("[[export]]\nsource = 'a.onnx'\nto = ['tflite']", "has no name"),
        ("check = 3", "check in the file is 3"),
        ("out = 3\n[check]\nsubjects = 'a'", "out = 3 in the file is no text"),
        ("timeout = 'soon'\n[check]\nsubjects = 'a'", "soon"),
        ("[[check]", "is no TOML"),
    ],
)
def test_a_file_that_is_not_understood_is_refused_before_anything_is_run(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        _plan(tmp_path, text)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent\.toml cannot be read"):
        gating.read(tmp_path / "absent.toml")


@pytest.mark.parametrize(
    ("codes", "worst"),
    [((0, 0), 0), ((0, 5, 4, 3), 4), ((7, 5), 5), ((6, 2, 7), 7), ((1, 2), 2), ((3, 5), 3), ((0, None), 0), ((9,), 1)],
)
def test_the_worst_code_wins(tmp_path: Path, codes: tuple[int | None, ...], worst: int) -> None:
    steps = tuple(Step("check", f"check-{number}", ("check", "a"), ("a",)) for number, _ in enumerate(codes))
    plan = Plan(tmp_path / "deploy.toml", tmp_path, tmp_path, tmp_path, 1.0, steps)
    result = Result(plan, tuple(Outcome(step, code) for step, code in zip(steps, codes, strict=True)))
    assert result.exit_code == worst


def test_a_gate_goes_on_after_a_failure_and_skips_what_was_not_exported(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "deploy.toml").write_text(GATE)
    (tmp_path / "nets.py").write_text(NETS)
    code = _exit_code(["gate", str(tmp_path / "deploy.toml"), "--json"], debug=False)
    document = json.loads(capfd.readouterr().out)
    schema = json.loads((files("deploy_toolkit.reports") / "schemas" / "gate-1.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(document)
    verdicts = {step["name"]: (step["verdict"], step["exit_code"]) for step in document["steps"]}
    assert verdicts == {
        "export-1": ("passed", 0),
        "export-2": ("failed", 2),
        "check-1": ("passed", 0),
        "check-2": ("skipped", None),
        "check-3": ("failed", 4),
        "package-1": ("failed", 2),
    }
    assert code == document["exit_code"] == 4
    said = {step["name"]: step["said"] for step in document["steps"]}
    assert said["check-2"] == "the export of absent failed"
    assert said["check-3"].startswith("predictions disagree: linear@1/")
    assert "absent" in said["export-2"]
    _require_files(tmp_path / "found", document)


def _require_files(out: Path, document: dict[str, object]) -> None:
    assert json.loads((out / "gate.json").read_text()) == document
    root = ElementTree.parse(out / "junit.xml").getroot()
    own = root.find("testsuite")
    assert own is not None
    assert {name: own.get(name) for name in ("tests", "failures", "skipped")} == {
        "tests": "6",
        "failures": "3",
        "skipped": "1",
    }
    assert len(root.findall("testsuite")) > 1  # those of the checks themselves
    page = (out / "index.html").read_text()
    for link in ("check-1.html", "check-1.json", "export-2.log"):
        assert f'href="{link}"' in page
        assert (out / link).exists()
    assert not (out / "check-2.json").exists()


def test_a_step_that_takes_too_long_is_ended(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = 'timeout = "1s"\n[export]\nsource = "slow.py:net"\nname = "slow"\nto = "onnx"\n'
    (tmp_path / "deploy.toml").write_text(text)
    (tmp_path / "slow.py").write_text("import threading\nthreading.Event().wait(300)\nnet = None\n")
    assert _exit_code(["gate", str(tmp_path / "deploy.toml")], debug=False) == 1
    assert "took longer than 1 s and was ended" in capfd.readouterr().out


def test_a_dry_run_prints_what_would_be_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "deploy.toml").write_text(GATE)
    assert _exit_code(["gate", str(tmp_path / "deploy.toml"), "--dry-run", "--json"], debug=False) == 0
    plan = json.loads(capfd.readouterr().out)
    schema = json.loads((files("deploy_toolkit.reports") / "schemas" / "gate-plan-1.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(plan)
    assert [step["name"] for step in plan["steps"]][-1] == "package-1"
    assert not (tmp_path / "found").exists()


def test_the_file_in_the_docs_is_understood(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "gate.md").read_text()
    text = page.partition("```toml\n")[2].partition("```")[0]
    assert set(tomllib.loads(text)) >= {"export", "check", "bench", "package"}
    assert len(_plan(tmp_path, text).steps) >= 4


def test_the_store_of_the_command_line_wins(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "deploy.toml").write_text('store = "own"\n[check]\nsubjects = "a"')
    words = ["gate", str(tmp_path / "deploy.toml"), "--dry-run"]
    assert _exit_code([*words, "--store", str(tmp_path / "other")], debug=False) == 0
    assert str(tmp_path / "other") in capfd.readouterr().out
    shutil.rmtree(tmp_path / "other", ignore_errors=True)
    assert _exit_code(words, debug=False) == 0
    assert str(tmp_path / "own") in capfd.readouterr().out


def test_the_file_wins_over_the_environment_which_stands_in_where_it_names_no_store(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPLOY_STORE", str(tmp_path / "elsewhere"))
    words = ["gate", str(tmp_path / "deploy.toml"), "--dry-run"]
    for text, store in (('store = "own"\n', "own"), ("", "elsewhere")):
        (tmp_path / "deploy.toml").write_text(f'{text}[check]\nsubjects = "a"')
        assert _exit_code(words, debug=False) == 0
        assert f"--store {tmp_path / store}" in capfd.readouterr().out


def test_what_a_check_finds_is_kept_beside_its_page_unless_the_table_says_where(tmp_path: Path) -> None:
    both = _plan(tmp_path, '[[check]]\nsubjects = "a"\nsearch = 1\n[[check]]\nsubjects = "a"\nfound = "mine"')
    first, second = (list(step.args) for step in both.steps)
    assert first[first.index("--found") + 1] == str(both.out / "check-1")
    assert second[second.index("--found") + 1] == "mine"
    assert second.count("--found") == 1


def test_endpoints_alone_are_subjects_enough(tmp_path: Path) -> None:
    url = "oip+rest://127.0.0.1:1/a"
    (step,) = _plan(tmp_path, f'[[check]]\nagainst = "a"\nendpoint = ["{url}"]').steps
    assert step.args[:5] == ("check", "--against", "a", "--endpoint", url)
