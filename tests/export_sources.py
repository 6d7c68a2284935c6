"""The sources that are exported to every format, and the files among them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deploy_exporters.formats import split
from deploy_exporters.routes import ROUTES
from deploy_exporters.worker import Workers

HERE = Path(__file__).parent / "exporters"


@dataclass(frozen=True)
class Model:
    """A source: in a script, written by a function of source_files, or a file of another's export (model, format)."""

    script: str = ""
    file: str = ""
    export: tuple[str, str] | None = None
    inputs: tuple[str, ...] = ()


MODELS = {  # by the kind of source
    "torch-simple": Model("torch_models.py:simple_with_example"),
    "torch-cnn": Model("torch_models.py:cnn_with_example"),
    "torch-heads": Model("torch_models.py:heads_with_example"),
    "keras-simple": Model("keras_models.py:simple"),
    "keras-cnn": Model("keras_models.py:cnn"),
    "keras-heads": Model("keras_models.py:heads"),
    "torchscript-heads": Model(file="traced", inputs=("tokens:int64[batch,7]", "weight:float32[batch,1]")),
    "onnx-heads": Model(file="onnx"),
    "savedmodel-heads": Model(file="savedmodel"),
    "tflite-cnn": Model(export=("torch-cnn", "tflite")),
    "mar-cnn": Model(export=("torch-cnn", "mar")),
}
BATCHES = (1, 2, 3, 7, 64)
UNHEARD = ("keras", "coreml")  # only a reference; cannot run here
SLOW = {"executorch": ("torch-simple", "keras-heads")}  # one model of each kind does


def formats_of(model: str) -> tuple[str, ...]:
    """Give every format that the kind of a model reaches, without variants."""
    kind = model.partition("-")[0]
    known = (name for source, name in ROUTES if source == kind and not split(name)[1] and name not in UNHEARD)
    return tuple(name for name in known if model in SLOW.get(name, (model,)))


def write(workers: Workers, function: str, folder: Path) -> Path:
    """Let a function of source_files write its file, in a worker."""
    folder.mkdir(parents=True, exist_ok=True)
    told = folder / "told"
    code = (
        f"import sys, pathlib; sys.path.insert(0, {str(HERE)!r}); import source_files\n"
        f"path = source_files.{function}(pathlib.Path({str(folder)!r}))\n"
        f"pathlib.Path({str(told)!r}).write_text(str(path))"
    )
    workers.call("source", "builtins:exec", code)
    return Path(told.read_text())
