"""The matrix of formats for people, and an export of what nothing here can run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import ROOT, Deploy

from deploy_exporters.formats import PUBLIC
from deploy_exporters.routes import KINDS, Cell, matrix
from deploy_toolkit.commands import options
from deploy_toolkit.reports.matrix import variants, word

JSON_ONLY = "def handle(data, context):\n    return [{'label': 'cat'} for _ in data]\n"


def test_the_matrix_has_every_kind_and_every_format(deploy: Deploy) -> None:
    done = deploy("formats", COLUMNS="160")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert next(line for line in lines if "from" in line).split() == ["from", *PUBLIC]
    words = [line.split() for line in lines if len(line.split()) == len(PUBLIC) + 1]
    rows = {first: rest for first, *rest in words if first in KINDS}
    assert list(rows) == list(KINDS)
    cells = {(cell.kind, cell.format): cell for cell in matrix()}
    for kind, found in rows.items():
        assert found == [word(cells[kind, name]) for name in PUBLIC]
    assert "tflite also as float16, dynamic-int8, int8" in done.stdout
    assert "coreml is written, not run" in done.stdout
    assert "a mar holds the ONNX file and an ONNX Runtime handler" in done.stdout


def test_all_has_a_row_for_every_pair(deploy: Deploy) -> None:
    done = deploy("formats", "--all", COLUMNS="250")
    pairs = [tuple(line.split()[:2]) for line in done.stdout.splitlines() if line.split()[:1] and len(line.split()) > 2]
    assert {(cell.kind, cell.format) for cell in matrix()} <= set(pairs)


def test_words() -> None:
    assert word(Cell("torch", "onnx", ("a",))) == "yes"
    assert word(Cell("torch", "coreml", ("a",))) == "written"
    assert word(Cell("torch", "tflite", ("a",), ("tensorflow",), ("tensorflow",))) == "needs tensorflow"
    assert word(Cell("mar", "onnx", reason="no")) == "–"
    assert variants([Cell("torch", "tflite"), Cell("torch", "tflite-int8"), Cell("keras", "tflite-int8")]) == {
        "tflite": ["int8"]
    }


def test_the_options_for_archives_are_settings() -> None:
    assert list(options.archive_settings("h.py", None, "r.txt")) == ["mar.handler=h.py", "mar.requirements=r.txt"]


@pytest.mark.parametrize("option", ["--handler", "--requirements"])
def test_an_option_for_archives_needs_an_archive(deploy: Deploy, option: str) -> None:
    done = deploy("export", ROOT / "tests/exporters/torch_models.py:simple", "--to", "onnx", option, "x.py")
    assert done.returncode == 2
    assert "'mar', which is not among the formats" in done.stderr


def test_what_nothing_here_can_run_is_stored_and_said(deploy: Deploy, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(JSON_ONLY)
    source = f"{ROOT / 'tests/exporters/torch_models.py'}:simple_with_example"
    own = ("--name", "net", "--handler", "own.py", "--store", "models")
    done = deploy("export", source, "--to", "mar", *own)
    assert done.returncode == 3, "a broken handler would look the same"
    assert "could not be asked" in done.stderr
    assert "--set mar.unproved=yes" in done.stderr
    done = deploy("export", source, "--to", "mar,coreml", *own, "--set", "mar.unproved=yes", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    rows = {row["subject"]: row for row in document["agreement"]["rows"]}
    assert rows["reference"]["verdict"] == "agree"
    assert all(rows[name]["unavailable"] and not rows[name]["ok"] for name in ("mar", "coreml"))
    assert "does not answer safetensors bodies" in rows["mar"]["error"]
    remarks = {artifact["name"]: artifact["remarks"] for artifact in document["artifacts"]}
    assert remarks["coreml"][0].startswith("written, not run")
    assert document["agreement"]["ok"], "the others decide"
    checked = deploy("check", "net", "--store", "models")
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.count("NOT ASKED") == 2
    assert "2 could not be asked" in checked.stdout
    weights = next(path for path in (tmp_path / "models/net/1/coreml").rglob("*") if path.is_file())
    weights.chmod(0o644)
    weights.write_bytes(b"others")
    checked = deploy("check", "net", "--store", "models")
    assert checked.returncode == 4, "it was asked whether it is what was published"
    assert checked.stdout.count("NOT ASKED") == 1


def test_openvino_tells_nobody() -> None:
    code = (
        "import sys\nfrom deploy_exporters.lean_import import openvino\nopenvino().Core()\n"
        "assert not [name for name in sys.modules if name.startswith('openvino_telemetry')], 'telemetry is loaded'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
