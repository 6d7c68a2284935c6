"""Constants that are nearly 0 or 1 are in every file: where a row is constant, all depends on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from deploy_core.signature import Signature, TensorSpec
from deploy_exporters import exact_constants
from deploy_exporters.formats import onnx, openvino, savedmodel, tflite
from deploy_exporters.sources import Given
from deploy_exporters.sources.torch import open_torch
from deploy_exporters.steps.job import Job
from deploy_exporters.steps.openvino import openvino_from_onnx
from deploy_exporters.steps.tensorflow import savedmodel_from_onnx, tflite_from_savedmodel
from deploy_exporters.steps.torch import onnx_from_torch

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's exporter announces changes of its own parts
ROWS = np.stack([np.zeros(8), np.ones(8), np.full(8, -2.0), np.linspace(-1, 2, 8), np.full(8, 1e-9)]).astype("f4")


class Near(nn.Module):
    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        spread = (x - x[:, :1]).abs().sum(-1, keepdim=True)
        return {
            "added": (x - x[:, :1]) / (spread + 1e-8),
            "in_front": 1 / (1e-9 + spread),
            "subtracted": 1 / (spread - -5e-9),
            "rooted": torch.rsqrt(x * x + 1e-10),
            "times": x * 1.000008,
            "by": x / 1.000008,
            "held": torch.log(x.clamp(1e-9, 1 - 1e-6)),
            "none": (x + 0.0) * 1.0 - 0.0,
        }


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Signature]]:
    folder = tmp_path_factory.mktemp("near")
    specs = (TensorSpec("x", "float32", ("batch", 8)),)
    source = open_torch(Near().eval(), Given((torch.from_numpy(ROWS),), specs))
    paths = {name: folder / name for name in ("onnx", "savedmodel", "tflite", "openvino")}

    def job(reads: str, writes: str) -> Job:
        return Job(paths.get(reads), paths[writes], source.signature, (), "near")

    onnx_from_torch(source, job("", "onnx"))
    savedmodel_from_onnx(job("onnx", "savedmodel"))
    tflite_from_savedmodel(job("savedmodel", "tflite"))
    openvino_from_onnx(job("onnx", "openvino"))
    return {name: (path, source.signature) for name, path in paths.items()}


@pytest.mark.parametrize("kind", [onnx, savedmodel, tflite, openvino], ids=lambda kind: kind.__name__.split(".")[-1])
def test_every_route_keeps_them(kind: object, files: dict[str, tuple[Path, Signature]]) -> None:
    path, signature = files[kind.__name__.split(".")[-1]]  # type: ignore[attr-defined]
    got = kind.load(path, signature).predict({"x": ROWS})  # type: ignore[attr-defined]
    with torch.no_grad():
        want = {name: array.numpy() for name, array in Near()(torch.from_numpy(ROWS)).items()}
    for name, array in want.items():
        np.testing.assert_allclose(got[name], array, rtol=2e-6, atol=2e-7, err_msg=name)


def test_what_is_exactly_nothing_goes(files: dict[str, tuple[Path, Signature]]) -> None:
    import onnx as library

    nodes = library.load(str(files["onnx"][0])).graph.node
    assert not [node.name for node in nodes if "none" in node.output and node.op_type != "Identity"]


def test_the_rewriter_is_as_it_was_afterwards() -> None:
    from onnxscript.rewriter import _matcher

    before = _matcher.math
    with exact_constants.kept() as simplify:
        assert simplify
        assert not _matcher.math.isclose(1e-9, 0, rel_tol=1e-5, abs_tol=1e-8)
    assert _matcher.math is before


def test_another_rewriter_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    from onnxscript.rewriter import _matcher

    monkeypatch.delattr(_matcher, "math")
    with exact_constants.kept() as simplify:
        assert not simplify
