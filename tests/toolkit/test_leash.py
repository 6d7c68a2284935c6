"""The `deploy` command and files that are not to be trusted, steps beyond their limits, and Ctrl-C in a conversion."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from command_line import ROOT, Deploy

TORCH = ROOT / "examples/simplenet.py:torch_net"
SOURCE = """
import torch
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(6, 2)
    def forward(self, input):
        return self.layer(input)
class Evil:
    def __reduce__(self):
        return open, ("marker", "w")
"""


@pytest.fixture(scope="module")
def pickled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pickled module, `whole.pt`, and one with more in it, `evil.pt`; their classes are in net.py."""
    folder = tmp_path_factory.mktemp("pickled")
    (folder / "net.py").write_text(SOURCE)
    write = "import net, torch; torch.manual_seed(0); whole = net.Net(); torch.save(whole, 'whole.pt')\n"
    write += "whole.extra = net.Evil(); torch.save(whole, 'evil.pt')"
    subprocess.run([sys.executable, "-c", write], cwd=folder, check=True)
    return folder


def _export(deploy: Deploy, source: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return deploy("export", source, "--to", "torchscript", "--input", "input:float32[batch,6]", *more)


def _written(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.name != "area.lock"]


def test_a_pickled_model_is_refused_and_trusted(deploy: Deploy, pickled: Path, tmp_path: Path) -> None:
    done = _export(deploy, pickled / "evil.pt")
    assert done.returncode == 3, done.stderr
    assert "is a pickle, and reading it runs net.Net" in done.stderr
    assert "--trust" in done.stderr
    assert not (tmp_path / "marker").exists()
    assert not _written(tmp_path)
    done = _export(deploy, pickled / "whole.pt", "--trust")
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "models" / "whole" / "1" / "manifest.json").read_text())
    assert "reading it runs net.Net" in manifest["source"]["trusted"][0]


def test_a_foreign_archive_is_refused(deploy: Deploy, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "evil.mar", "w") as archive:
        archive.writestr("MAR-INF/MANIFEST.json", '{"model": {"handler": "evil.py", "modelName": "m"}}')
        archive.writestr("evil.py", "open('marker', 'w')")
    np.savez(tmp_path / "x.npz", x=np.zeros((1, 6), np.float32))
    for command in (("predict", "evil.mar", "--input", "x.npz"), ("check", "evil.mar", "--inputs", "x.npz")):
        done = deploy(*command)
        assert done.returncode == 3, done.stderr
        assert "carries a handler that is not ours: evil.py" in done.stderr
        assert "--trust" in done.stderr
    assert not list(tmp_path.rglob("marker"))


def test_steps_are_held_to_their_limits(deploy: Deploy, tmp_path: Path) -> None:
    for limit, words in {
        ("--step-memory", "0.1"): "GB of memory",
        ("--step-seconds", "1"): "used up its CPU time",
    }.items():
        done = deploy("export", TORCH, "--to", "onnx", *limit)
        assert done.returncode == 3, done.stderr
        assert words in done.stderr
        assert limit[0] in done.stderr
    assert not _written(tmp_path)


def test_ctrl_c_in_a_conversion_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "deploy_toolkit.cli", "export", str(TORCH), "--to", "onnx"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = [process.stderr.readline()]
    while said[-1] and "writing onnx_from_torch" not in said[-1]:
        said.append(process.stderr.readline())
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130, (said, rest)
    assert rest.strip() == "interrupted"
    assert not _written(tmp_path)  # processes and temporary folders are looked for after every test


def test_converters_are_quiet(deploy: Deploy) -> None:
    done = deploy("export", TORCH, "--to", "onnx,tflite,torchscript", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["schema"] == "deploy/export/1"
    ours = re.compile(r"(opening|writing|proving|comparing|reference|stored|asking|measuring) ?.*")
    assert not [line for line in done.stderr.splitlines() if not ours.fullmatch(line)]
