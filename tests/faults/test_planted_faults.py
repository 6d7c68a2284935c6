"""A stale version is told by its values; the command names the guilty file and exits with 4."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from deploy_toolkit.flows import check, export, serve

pytestmark = pytest.mark.xdist_group("faults")  # one process makes the faulty files, once
HERE = Path(__file__).parent
SOURCE = f"{HERE / 'nets.py'}:probe"


@pytest.fixture(scope="module")
def nets() -> ModuleType:
    spec = importlib.util.spec_from_file_location("planted_nets", HERE / "nets.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("faults") / "models"
    request = export.Request(SOURCE, ("torchscript", "onnx"), name="probe")
    export.export(request, store=root)
    return root


def test_a_stale_version_is_found(store: Path) -> None:
    export.export(export.Request(SOURCE, ("onnx",), name="stale"), store=store)
    export.export(export.Request(SOURCE.replace(":probe", ":retrained"), ("onnx",), name="stale"), store=store)
    with serve.serving(serve.Request(("stale@1",)), store=store) as running:
        urls = [str(endpoint) for endpoint in running.endpoints]
        found = check.check(check.Request(("stale", *urls)), store=store)
        good = check.check(check.Request(("stale@1", *urls)), store=store)
    by_endpoint = [row for row in found.rows if row.subject in urls]
    assert by_endpoint
    for row in by_endpoint:
        assert "it serves version 1, wanted is version 2" in row.why
        assert "holds the values of stale@1" in row.why
    assert all(row.ok for row in found.rows if row.subject not in urls)
    assert found.exit_code == 4
    assert good.ok


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_command_names_the_file_and_exits_with_4(nets: ModuleType, store: Path) -> None:
    from deploy_exporters import jit
    from deploy_model_store import Store

    bad = str(store.parent / "epsilon.pt")
    jit.save(jit.script(nets.epsilon()), Path(bad), Store(store).resolve("probe").signature)
    command = [sys.executable, "-m", "deploy_toolkit.cli", "check", "probe", bad, "--json", "--quiet"]
    done = subprocess.run([*command, "--store", str(store)], capture_output=True, text=True, check=False)
    assert done.returncode == 4, done.stderr
    rows = {row["subject"]: row["ok"] for row in json.loads(done.stdout)["rows"]}
    assert rows.pop(bad) is False
    assert all(rows.values())
