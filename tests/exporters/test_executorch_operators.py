"""What stands for operators that ExecuTorch has no kernel for, compared with torch's own, and run by ExecuTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from deploy_core.errors import ExportError
from deploy_core.signature import TensorSpec
from deploy_exporters import sources
from deploy_exporters.export import Order, export, open_source
from deploy_exporters.formats import hosted
from deploy_exporters.steps.executorch_operators import operators
from deploy_exporters.worker import Workers

HERE = Path(__file__).parent
ROWS = 4
OPERATORS = operators(ROWS)
aten = torch.ops.aten


def _random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


CALLS = {
    "conv3d": (aten.conv3d.default, _random(2, 4, 7, 6, 5), _random(6, 4, 3, 2, 3), _random(6)),
    "conv3d, every option": (
        aten.conv3d.default, _random(2, 4, 9, 8, 7), _random(6, 2, 3, 2, 3), None, [2, 1, 2], [1, 0, 2], [2, 1, 1], 2,
    ),
    "conv3d, one number for three": (aten.conv3d.default, _random(2, 4, 7, 7, 7), _random(6, 4, 3, 3, 3), None, [2], [1]),
    "max_pool3d": (aten.max_pool3d.default, _random(2, 3, 6, 7, 8), [2, 3, 2]),
    "max_pool3d, every option": (
        aten.max_pool3d.default, _random(2, 3, 8, 9, 8), [3, 2, 3], [2, 1, 2], [1, 1, 0], [1, 2, 1], True,
    ),
    "batch_norm": (
        aten.batch_norm.default, _random(2, 6, 4), _random(6), _random(6), _random(6), _random(6).abs(), False, 0.1, 1e-4, True,
    ),
    "batch_norm of its own figures": (
        aten.batch_norm.default, _random(2, 6, 4), None, None, None, None, True, 0.1, 1e-4, True,
    ),
    "group_norm": (aten.group_norm.default, _random(2, 6, 4, 5), 3, _random(6), _random(6), 1e-4),
    "group_norm without weights": (aten.group_norm.default, _random(2, 6, 4), 2),
    "layer_norm": (aten.layer_norm.default, _random(2, 3, 4, 5), [4, 5], _random(4, 5), _random(4, 5), 1e-4),
    "instance_norm": (aten.instance_norm.default, _random(2, 6, 4, 5), _random(6), _random(6), None, None, True, 0.1, 1e-4, True),
    "instance_norm of learnt figures": (
        aten.instance_norm.default, _random(2, 6, 4), None, None, _random(6), _random(6).abs(), False, 0.1, 1e-4, True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_a_stand_in_computes_what_torch_does(name: str) -> None:
    operator, *arguments = CALLS[name]
    torch.testing.assert_close(OPERATORS[operator](*arguments), operator(*arguments))


def test_adaptive_pooling_without_indices() -> None:
    values = _random(2, 3, 7, 9)
    (found,) = OPERATORS[aten.adaptive_max_pool2d.default](values, [3, 4])
    torch.testing.assert_close(found, aten.adaptive_max_pool2d.default(values, [3, 4])[0])


def signal_and_layers() -> tuple[nn.Module, torch.Tensor]:
    """A convolution over a dynamic axis, which XNNPACK cannot shape, and layers that ExecuTorch has no kernel for."""
    return Layers().eval(), torch.randn(2, 3, 6, generator=torch.Generator().manual_seed(0))


class Layers(nn.Module):
    """Recurrent layers of every kind."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv1d(3, 4, 3, padding=1)
        self.lstm = nn.LSTM(4, 5, num_layers=2, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(10, 6, bias=False)

    def forward(self, signal: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        steps, (_, cells) = self.lstm(self.conv(signal).transpose(1, 2))
        every, last = self.gru(steps.transpose(0, 1))
        return every.transpose(0, 1), last.squeeze(0), cells.transpose(0, 1)


class NoKernel(nn.Module):
    """Takes what ExecuTorch cannot."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return torch.special.erfinv(rows)


def no_kernel() -> tuple[nn.Module, torch.Tensor]:
    return NoKernel(), torch.rand(2, 3)


def test_a_loop_over_the_steps_answers_any_number_of_them(tmp_path: Path) -> None:
    with Workers(tmp_path / "logs") as own:
        source = sources.find(f"{Path(__file__)}:signal_and_layers")
        opened = open_source(own, source, inputs=(TensorSpec.parse("signal:float32[batch,3,steps]"),))
        (artifact,) = export(own, opened, Order(["executorch"], tmp_path, "net")).artifacts
        assert artifact.route[-1] == "executorch_from_pt2 (XNNPACK for what keeps shapes)"
        predictor = hosted(own, artifact)
        for rows, steps in ((1, 1), (3, 9), (64, 2)):
            inputs = {"signal": _random(rows, 3, steps).float().numpy()}
            got, want = predictor.predict(inputs), opened.predict(inputs)
            assert set(got) == set(want)
            for name, array in want.items():
                np.testing.assert_allclose(got[name], array, atol=1e-5)
        predictor.close()


def test_an_operator_without_a_kernel_is_named(tmp_path: Path) -> None:
    with Workers(tmp_path / "logs") as own:
        opened = open_source(own, sources.find(f"{Path(__file__)}:no_kernel"))
        with pytest.raises(ExportError, match=r"ExecuTorch's runtime has no kernel for aten::erfinv\.out"):
            export(own, opened, Order(["executorch"], tmp_path, "net"))
