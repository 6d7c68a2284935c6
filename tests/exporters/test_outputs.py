"""What a model returns: names and structures that cannot be kept are refused in one sentence."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest

from deploy_core.errors import ExportError, UsageError
from deploy_exporters import sources
from deploy_exporters.export import Order, export, open_source
from deploy_exporters.sources import handover
from deploy_exporters.worker import Workers
from deploy_exporters.worker_process import _told

TORCH = Path(__file__).parent / "torch_models.py"


@pytest.fixture(scope="module")
def opener(tmp_path_factory: pytest.TempPathFactory) -> Generator[Workers]:
    with Workers(tmp_path_factory.mktemp("logs")) as workers:
        workers.call("source", "os:getpid")
        yield workers


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("nested", "output 'q' of the model is tuple, not a tensor"),
        ("equal_names", "two outputs of the model have one name: 0, 0"),
    ],
)
def test_outputs_that_cannot_be_named(opener: Workers, model: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        open_source(opener, sources.find(f"{TORCH}:{model}"))
    assert caught.value.hint


def test_an_output_with_the_name_of_an_input(opener: Workers, tmp_path: Path) -> None:
    source = open_source(opener, sources.find(f"{TORCH}:name_of_input"))
    with pytest.raises(ExportError, match="x is the name of an input and of an output") as caught:
        export(opener, source, Order(["onnx"], tmp_path / "same", "net"))
    assert "--output" in caught.value.hint
    renamed = open_source(opener, sources.find(f"{TORCH}:name_of_input"), outputs=("y",))
    assert export(opener, renamed, Order(["onnx"], tmp_path / "other", "net")).artifacts


def test_what_is_told_of_an_error_has_no_colours_and_says_what_it_announces() -> None:
    error = ValueError("\x1b[96mconflicts were found\x1b[0m in ranges:\n\n  batch = 2\nmore")
    assert _told(error) == "ValueError: conflicts were found in ranges: batch = 2"


def test_what_torch_export_cannot_take_is_handed_over_quietly(
    opener: Workers, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import torch

    class Counts(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * (2 if int(x.sum().item()) > -(10**6) else 3)

    source = handover.hand_over(Counts(), tmp_path, torch.ones(2, 6))
    assert source.note.startswith("handed over by cloudpickle (torch.export: ")
    assert not capfd.readouterr().err
    assert open_source(opener, source).predict({"x": np.ones((3, 6), np.float32)})["output"].tolist() == [[2.0] * 6] * 3
