"""The first of the two bare processes: TorchScript, .mar and ONNX by torch, with nothing around; argv: the folder."""

from __future__ import annotations

import sys
import warnings
import zipfile
from pathlib import Path

import torch

from benchmarks.export_cost.model import net
from deploy_exporters.safety.mar import HANDLER


def main(folder: Path) -> None:
    """Write the three files."""
    warnings.simplefilter("ignore")
    model, example = net()
    torch.jit.script(model).save(str(folder / "model.pt"))
    with zipfile.ZipFile(folder / "net.mar", "w") as archive:
        archive.writestr("MAR-INF/MANIFEST.json", "{}")
        archive.write(HANDLER, HANDLER.name)
        archive.write(folder / "model.pt", "model.pt")
    torch.onnx.export(
        model,
        (example,),
        str(folder / "model.onnx"),
        dynamo=True,
        input_names=["image"],
        output_names=["output"],
        dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
        opset_version=20,
        external_data=False,
        verbose=False,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
