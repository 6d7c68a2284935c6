"""Faults in the steps by which raw bytes become a model's input: stored, and so served, otherwise than training had them."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.faults import training
from deploy_core import preprocessing
from deploy_model_store import Store

if TYPE_CHECKING:
    from benchmarks.faults.fault import Fault, Plant
    from benchmarks.faults.ground import Ground

Step = Mapping[str, Any]
TRAINING = f"{Path(training.__file__)}:prepare"
STEPS: tuple[Step, ...] = (
    {"step": "decode"},
    {"step": "resize", "as": "pillow", "filter": "bilinear", "size": training.SIZE},
    {"step": "scale", "by": "1/255"},
    {"step": "normalize", "mean": training.MEAN, "std": training.STD},
    {"step": "layout", "to": "CHW"},
    {"step": "dtype", "to": "float32"},
    {"step": "batch"},
)


def steps(**changes: Step | None) -> tuple[Step, ...]:
    """Give the steps with some replaced by their name, or left out."""
    changed = [changes.get(step["step"], step) for step in STEPS]
    return tuple(step for step in changed if step is not None)


def kept(served: Sequence[Step]) -> Plant:
    """Plant by storing the honest model with these steps."""

    @contextmanager
    def plant(fault: Fault, ground: Ground) -> Generator[str]:
        with stored(ground, fault.model, fault.name, served):
            yield fault.name

    return plant


@contextmanager
def stored(ground: Ground, model: str, name: str, served: Sequence[Step]) -> Generator[None]:
    """Have a version of the honest ONNX file with these steps in the store."""
    shelf, version = Store(ground.store), ground.version(model)
    onnx, reference = version.artifact("onnx"), version.artifact("torchscript")
    plain, _ = preprocessing.parsed(list(served), name)
    shutil.rmtree(ground.store / name, ignore_errors=True)
    with shelf.staging(name) as staged:
        for one in (onnx, reference):
            shutil.copytree(one.path.parent, staged / one.path.parent.name)
        record = replace(
            version.record,
            artifacts=(replace(onnx, path=staged / "onnx" / onnx.path.name),),
            reference=replace(reference, path=staged / reference.path.parent.name / reference.path.name),
            preprocessing={"input": "image", "steps": list(plain), "training": {"callable": "", "files": []}},
        )
        shelf.publish(staged, name, record, version.golden)
    try:
        yield
    finally:
        shutil.rmtree(ground.store / name)


def photo(ground: Ground) -> Path:
    """Give a file of raw bytes."""
    path = ground.faulty / "photo.png"
    path.write_bytes(training.photo())
    return path
