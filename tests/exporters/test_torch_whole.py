"""Layers that torch.export would take apart: any number of steps comes out, whatever the example had."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from deploy_core.signature import TensorSpec
from deploy_exporters import pt2, torch_whole
from deploy_exporters.sources import Given
from deploy_exporters.sources.torch import TorchSource, open_torch
from deploy_exporters.steps.job import Job
from deploy_exporters.steps.torch import onnx_from_torch

pytestmark = pytest.mark.filterwarnings("ignore:The tensor attribute")  # torch says so of every LSTM
STEPS = (TensorSpec("steps", "float32", ("batch", "steps", 6)),)


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.LSTM] | type[nn.GRU]) -> None:
        super().__init__()
        self.cell = kind(6, 5, num_layers=2, batch_first=True, bidirectional=True)

    def forward(self, steps: torch.Tensor) -> torch.Tensor:
        return self.cell(steps)[0]


def _opened(kind: type[nn.LSTM] | type[nn.GRU]) -> TorchSource:
    torch.manual_seed(0)
    return open_torch(Recurrent(kind), Given((torch.randn(2, 4, 6),), STEPS))


def _targets(program: torch.export.ExportedProgram) -> set[str]:
    return {str(node.target) for node in program.graph.nodes if node.op == "call_function"}


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_a_program_takes_any_number_of_steps_and_has_only_operators_of_torch(kind: type[nn.LSTM]) -> None:
    source = _opened(kind)
    program = pt2.program(source)
    assert f"aten.{kind.__name__.lower()}.input" in _targets(program)
    assert not any(target.startswith("deploy") for target in _targets(program))
    for rows, count in ((1, 1), (3, 11)):
        steps = torch.randn(rows, count, 6)
        torch.testing.assert_close(program.module()(steps)[0], source.model(steps))


def test_a_program_can_be_exported_again() -> None:
    again = open_torch(pt2.Program(pt2.program(_opened(nn.LSTM))), Given({"steps": torch.randn(2, 4, 6)}, STEPS))
    program = pt2.program(again)
    steps = torch.randn(3, 7, 6)
    torch.testing.assert_close(program.module()(steps)[0], again.model(steps)[0])
    torch.testing.assert_close(again.model(steps)[0], _opened(nn.LSTM).model(steps))


def test_nothing_is_replaced_outside() -> None:
    before = torch._VF.lstm, nn.functional.embedding_bag
    with torch_whole.kept_whole(nn.Identity()):
        assert torch._VF.lstm is not before[0]
    assert (torch._VF.lstm, nn.functional.embedding_bag) == before


@pytest.mark.parametrize("mode", ["mean", "sum", "max"])
def test_bags_of_one_size_are_what_torch_says(mode: str) -> None:
    bags, words = nn.EmbeddingBag(20, 4, mode=mode), torch.randint(0, 20, (3, 5))
    want = bags(words)
    with torch_whole.kept_whole(bags):
        torch.testing.assert_close(bags(words), want)


def test_bags_of_different_sizes_stay_torchs() -> None:
    bags, words, starts = nn.EmbeddingBag(20, 4), torch.arange(6), torch.tensor([0, 2])
    want = bags(words, starts)
    with torch_whole.kept_whole(bags):
        torch.testing.assert_close(bags(words, starts), want)


@pytest.mark.filterwarnings("ignore")  # torch's exporter announces changes of its own parts
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_onnx_has_one_operator_for_each_layer(kind: type[nn.LSTM]) -> None:
    source = _opened(kind)
    with torch_whole.kept_whole(source.flat):
        made = torch.onnx.export(
            source.flat,
            source.tensors(2),
            dynamo=True,
            dynamic_shapes=pt2.dynamic_axes(source.signature),
            custom_translation_table=torch_whole.translations(),
            verbose=False,
        )
    assert made is not None
    kinds = [node.op_type for node in made.model.graph]
    assert kinds.count(kind.__name__) == 2
    assert [str(dim) for dim in made.model.graph.outputs[0].shape] == ["batch", "steps", "10"]


class Attention(nn.Module):
    """Its result is viewed in a form that only one of torch's kernels lays out so."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(6, 3 * 6)
        self.bias = nn.Parameter(torch.randn(2, 4, 4))

    def forward(self, steps: torch.Tensor) -> torch.Tensor:
        windows = steps.reshape(-1, 4, 6)
        q, k, v = (part.unflatten(2, (2, 3)).transpose(1, 2) for part in self.mix(windows).chunk(3, dim=2))
        seen = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=self.bias.unsqueeze(0))
        return seen.transpose(1, 2).reshape(*windows.shape[:2], 6).reshape(steps.shape)


@pytest.mark.filterwarnings("ignore")
def test_attention_with_a_mask_over_windows_becomes_onnx(tmp_path: Path) -> None:
    specs = (TensorSpec("steps", "float32", ("batch", 8, 6)),)
    source = open_torch(Attention().eval(), Given((torch.randn(2, 8, 6),), specs))
    onnx_from_torch(source, Job(None, tmp_path / "model.onnx", source.signature, (), "attention"))
    assert (tmp_path / "model.onnx").stat().st_size
