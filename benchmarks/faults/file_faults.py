"""Faults in TFLite files, SavedModels and TorchServe archives, and in stored versions whose digests are in order."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.faults import onnx_faults, torch_faults
from deploy_core.artifact import digest_of
from deploy_model_store import Store

if TYPE_CHECKING:
    from benchmarks.faults.fault import Fault, Plant
    from benchmarks.faults.ground import Ground

Edit = Callable[[Any], None]  # of a TFLite ModelT, or an ONNX ModelProto, in place
Texts = Callable[[str], str]


def tflite(edit: Edit) -> Plant:
    """Plant by editing the honest .tflite."""

    @contextmanager
    def plant(fault: Fault, ground: Ground) -> Generator[str]:
        path = ground.faulty / f"{fault.name}.tflite"
        path.write_bytes(_edited(ground.artifact(fault.model, "tflite"), edit))
        yield str(path)

    return plant


def stored(name: str, edit: Edit) -> Plant:
    """Plant in a quantised file before it is published: the store vouches for it, with the honest golden data."""

    @contextmanager
    def plant(fault: Fault, ground: Ground) -> Generator[str]:
        shelf, version = Store(ground.store), ground.version(fault.model)
        reference = version.artifact("torchscript")
        shutil.rmtree(ground.store / fault.name, ignore_errors=True)
        with shelf.staging(fault.name) as staged:
            shutil.copytree(reference.path.parent, staged / "reference")
            honest = ground.artifact(fault.model, name)
            path = staged / name / honest.name
            path.parent.mkdir()
            path.write_bytes((_edited_onnx if honest.suffix == ".onnx" else _edited)(honest, edit))
            record = replace(
                version.record,
                artifacts=(replace(version.artifact(name), path=path, digest=digest_of(path)),),
                reference=replace(reference, path=staged / "reference" / reference.path.name),
            )
            shelf.publish(staged, fault.name, record, version.golden)
        try:
            yield f"{fault.name}@1"
        finally:
            shutil.rmtree(ground.store / fault.name)

    return plant


def _edited(path: Path, edit: Edit) -> bytes:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0))
    edit(model)
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _edited_onnx(path: Path, edit: Edit) -> bytes:
    import onnx

    model = onnx.load(path)
    edit(model)
    return bytes(model.SerializeToString())


def scaled_weight(operator: int, share: float) -> Edit:
    """Make the greatest weight of the n-th operator with weights larger."""

    def edit(model: Any) -> None:
        values = _weights(model, operator)
        values[np.abs(values).argmax()] *= 1 + share
        _buffer(model, operator).data = values.view(np.uint8)

    return edit


def swapped_weights(one: int, other: int) -> Edit:
    """Swap the weights of two operators."""

    def edit(model: Any) -> None:
        left, right = _buffer(model, one), _buffer(model, other)
        left.data, right.data = right.data, left.data

    return edit


def no_activation(model: Any) -> None:
    """Forget an activation that was fused into the operator before it."""
    found = next(op for op in _weighted(model) if op.builtinOptions.fusedActivationFunction)
    found.builtinOptions.fusedActivationFunction = 0


def zero_point_of_weights(operator: int, by: int) -> Edit:
    """Move the int8 weights of the n-th operator by a step: they were written with another zero point."""

    def edit(model: Any) -> None:
        buffer = _buffer(model, operator)
        values = np.array(buffer.data, np.uint8).view(np.int8).astype(np.int32) + by
        buffer.data = np.clip(values, -127, 127).astype(np.int8).view(np.uint8)

    return edit


def zero_point_of_input(operator: int, by: int) -> Edit:
    """Fold another zero point of its input into the bias of the n-th operator, as a converter's off-by-one does."""

    def edit(model: Any) -> None:
        tensors, op = model.subgraphs[0].tensors, _weighted(model)[operator]
        weights = np.array(_buffer(model, operator).data, np.uint8).view(np.int8).astype(np.int64)
        moved = by * weights.reshape(tensors[op.inputs[1]].shape[0], -1).sum(axis=1)
        bias = model.buffers[tensors[op.inputs[2]].buffer]
        values = np.array(bias.data, np.uint8).view(np.int32) + moved
        bias.data = values.astype(np.int32).view(np.uint8)

    return edit


def weight_scale(operator: int, factor: float) -> Edit:
    """Change the scale of the weights of the n-th operator."""

    def edit(model: Any) -> None:
        tensor = model.subgraphs[0].tensors[_weighted(model)[operator].inputs[1]]
        tensor.quantization.scale = np.array(tensor.quantization.scale) * np.float32(factor)

    return edit


def _weighted(model: Any) -> list[Any]:
    known = {3, 4, 9}  # CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED
    return [op for op in model.subgraphs[0].operators if model.operatorCodes[op.opcodeIndex].builtinCode in known]


def _buffer(model: Any, operator: int) -> Any:
    return model.buffers[model.subgraphs[0].tensors[_weighted(model)[operator].inputs[1]].buffer]


def _weights(model: Any, operator: int) -> Any:
    return np.array(_buffer(model, operator).data, np.uint8).view(np.float32).copy()


def savedmodel(edit: onnx_faults.Edit, *, as_tflite: bool = False) -> Plant:
    """Plant in the ONNX file that a SavedModel, or a .tflite, is translated from."""

    @contextmanager
    def plant(fault: Fault, ground: Ground) -> Generator[str]:
        read = onnx_faults.write(fault, ground, edit)
        folder = ground.faulty / f"{fault.name}-savedmodel"
        shutil.rmtree(folder, ignore_errors=True)
        signature = ground.signature(fault.model)
        call = ground.workers.get("tensorflow").call
        call("deploy_exporters.translation:savedmodel_from_onnx", read, folder, signature)
        yield str(_as_tflite(ground, fault, folder) if as_tflite else folder)

    return plant


def _as_tflite(ground: Ground, fault: Fault, folder: Path) -> Path:
    from deploy_exporters.steps.job import Job

    path = ground.faulty / f"{fault.name}.tflite"
    job = Job(folder, path, ground.signature(fault.model), (), "model")
    ground.workers.get("tensorflow").call("deploy_exporters.steps.tensorflow:tflite_from_savedmodel", job)
    return path


def archive(*, program: torch_faults.Change | None = None, **texts: Texts) -> Plant:
    """Plant in a .mar: another model in it, or other text in its `handler` or `signature`."""

    def plant(fault: Fault, ground: Ground) -> AbstractContextManager[str]:
        contents = {} if program is None else {"model.pt": torch_faults.write(fault, ground, program).read_bytes()}
        return _archived(fault, ground, contents, texts)

    return plant


_FILES = {"handler": "deploy_handler.py", "signature": "signature.json"}


@contextmanager
def _archived(fault: Fault, ground: Ground, contents: dict[str, bytes], texts: dict[str, Texts]) -> Generator[str]:
    path = ground.faulty / f"{fault.name}.mar"
    with zipfile.ZipFile(ground.artifact(fault.model, "mar")) as read, zipfile.ZipFile(path, "w") as written:
        for name in read.namelist():
            content = contents.get(name, read.read(name))
            for key, change in texts.items():
                content = change(content.decode()).encode() if name == _FILES[key] else content
            written.writestr(name, content)
    yield str(path)


def put_in(old: str, new: str) -> Texts:
    """Replace text that is there once."""

    def change(text: str) -> str:
        if text.count(old) != 1:
            raise ValueError(f"{old!r} is there {text.count(old)} times")
        return text.replace(old, new)

    return change
