from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from deploy_toolkit.pytest_plugin import AssertAgrees

X = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def net() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.GELU(), torch.nn.Linear(4, 2)).eval()


@pytest.fixture(scope="module")
def onnx_file(net: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that somebody else wrote, by hand."""
    path = tmp_path_factory.mktemp("plugin") / "net.onnx"
    weights = [numpy_helper.from_array(array.numpy(), name) for name, array in net.state_dict().items()]
    nodes = [
        helper.make_node("Gemm", ["input", "0.weight", "0.bias"], ["one"], transB=1),
        helper.make_node("Gelu", ["one"], ["two"]),
        helper.make_node("Gemm", ["two", "2.weight", "2.bias"], ["output"], transB=1),
    ]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size])
        for name, size in (("input", 3), ("output", 2))
    ]
    graph = helper.make_graph(nodes, "net", values[:1], values[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def test_a_model_in_memory_and_a_file_agree(assert_agrees: AssertAgrees, net: torch.nn.Module, onnx_file: Path) -> None:
    report = assert_agrees(net, onnx_file, example=X)
    assert report.ok
    assert [row.subject for row in report.rows] == [str(onnx_file)]


def test_another_model_does_not(assert_agrees: AssertAgrees, net: torch.nn.Module, onnx_file: Path) -> None:
    other = torch.nn.Sequential(net[0], torch.nn.GELU("tanh"), net[2])
    with pytest.raises(AssertionError, match=r"(?s)net\.onnx: .*output.*localise=True.* names the layer"):
        assert_agrees(other, onnx_file, example=X)


def test_a_suite_of_a_user_has_the_fixture(tmp_path: Path, onnx_file: Path) -> None:
    (tmp_path / "nets.py").write_text(
        "import torch\n\ndef zeros():\n    net = torch.nn.Linear(3, 2).eval()\n    return net, torch.zeros(1, 3)\n"
    )
    (tmp_path / "test_user.py").write_text(
        f"def test_it(assert_agrees):\n    assert_agrees('nets.py:zeros', {str(onnx_file)!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_user.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "disagree" in done.stdout
