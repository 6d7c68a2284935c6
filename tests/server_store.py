"""A store of small models, made without an export, for tests of real servers."""

from __future__ import annotations

import io
import json
import shutil
import warnings
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from deploy_core.artifact import Artifact
from deploy_core.signature import Array, Signature, TensorSpec
from deploy_model_store import Golden, Record, Store, Version

WEIGHTS = np.array([1.0, 10.0, 100.0], dtype=np.float32)


def _write_onnx(path: Path, weights: Array) -> None:
    from onnx import TensorProto, helper, save

    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 1])
    w = helper.make_tensor("w", TensorProto.FLOAT, [3, 1], weights.tolist())
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "linear", [x], [y], [w])
    path.parent.mkdir(parents=True)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)


def _write_slow_onnx(path: Path) -> None:
    """The first input of each row, after work of a second or so that depends on the input and so is not folded."""
    from onnx import TensorProto, helper, save

    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 1])
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [1800, 1800])
    weights = helper.make_tensor("w", TensorProto.FLOAT, [3, 1], [1, 0, 0])
    zero = helper.make_tensor("zero", TensorProto.FLOAT, [], [0])
    steps = [("MatMul", ["x", "w"], "first"), ("ReduceSum", ["first"], "sum"), ("Expand", ["sum", "shape"], "big0")]
    steps += [("MatMul", [f"big{k}", "big0"], f"big{k + 1}") for k in range(3)]
    steps += [("ReduceMean", ["big3"], "mean"), ("Mul", ["mean", "zero"], "none"), ("Add", ["first", "none"], "y")]
    nodes = [
        helper.make_node(op, inputs, [output], keepdims=0) if "Reduce" in op else helper.make_node(op, inputs, [output])
        for op, inputs, output in steps
    ]
    graph = helper.make_graph(nodes, "slow", [x], [y], [shape, weights, zero])
    path.parent.mkdir(parents=True)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)


def _write_mar(path: Path, handler: bytes, *others: tuple[str, bytes]) -> None:
    name = path.stem
    model = {"modelName": name, "handler": "handler.py", "serializedFile": "model.pt", "modelVersion": "1.0"}
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("MAR-INF/MANIFEST.json", json.dumps({"runtime": "python", "model": model}))
        for file, body in (("handler.py", handler), *others):
            archive.writestr(file, body)


def _torchscript(weights: Array) -> bytes:
    import torch

    linear = torch.nn.Linear(3, 1, bias=False)
    linear.weight.data = torch.from_numpy(weights[None].copy())
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.trace(linear.eval(), torch.zeros(2, 3)), file)
    return file.getvalue()


STORED = Signature((TensorSpec("x", "float32", ("batch", 3)),), (TensorSpec("y", "float32", ("batch", 1)),))
# torch calls the input of a traced Linear `input`.
ARCHIVED = Signature((TensorSpec("input", "float32", ("batch", 3)),), (TensorSpec("output", "float32", ("batch", 1)),))


def _publish(store: Store, name: str, format_: str, signature: Signature, weights: Array, write: Any) -> Version:
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    golden = Golden({signature.inputs[0].name: x}, {signature.outputs[0].name: (x @ weights)[:, None]})
    with store.staging(name) as staged:
        path = staged / format_ / f"{name}.{format_}"
        write(path)
        record = Record("a training", signature, {}, (Artifact(format_, path, signature),))
        return store.publish(staged, name, record, golden)


def _write(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(body)


def publish_onnx_archive(store: Store, name: str, weights: Array = WEIGHTS) -> Version:
    """A .mar as it is made of an ONNX file."""
    from deploy_exporters.steps.job import Job
    from deploy_exporters.steps.mar import mar_from_onnx

    def write(path: Path) -> None:
        file = path.parent / "onnx" / "model.onnx"
        _write_onnx(file, weights)
        mar_from_onnx(Job(file, path, STORED, (), name))
        shutil.rmtree(file.parent)

    return _publish(store, name, "mar", STORED, weights, write)


def publish_broken_archive(store: Store, name: str) -> Version:
    """A .mar whose handler fails to load."""
    broken = b"class Handler:\n    def initialize(self, context):\n        raise RuntimeError('no weights here')\n\n    def handle(self, data, context):\n        return data\n"
    return _publish(store, name, "mar", ARCHIVED, WEIGHTS, lambda path: _write_mar(path, broken))


def fill_store(root: Path) -> None:
    """linear@1 (stable) and @2 and a slow@1 with ONNX, scripted@1 with TorchScript, archived@1 with a good .mar, broken@1 with one whose handler fails to load."""
    import deploy_exporters

    store = Store(root)
    for weights in (WEIGHTS, 2 * WEIGHTS):
        _publish(store, "linear", "onnx", STORED, weights, partial(_write_onnx, weights=weights))
    store.set_alias("linear", "stable", 1)
    _publish(store, "slow", "onnx", STORED, np.array([1, 0, 0], dtype=np.float32), _write_slow_onnx)
    handler = (Path(deploy_exporters.__file__).parent / "deploy_handler.py").read_bytes()
    files = (("model.pt", _torchscript(WEIGHTS)), ("signature.json", json.dumps(ARCHIVED.to_json()).encode()))
    script = files[0][1]
    _publish(store, "scripted", "torchscript", ARCHIVED, WEIGHTS, lambda path: _write(path, script))
    _publish(store, "archived", "mar", ARCHIVED, WEIGHTS, lambda path: _write_mar(path, handler, *files))
    publish_broken_archive(store, "broken")
