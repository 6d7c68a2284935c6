"""`deploy check --localise` on real files: the guilty layer is named, across runtimes, and its operator stands alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from command_line import run_deploy
from onnx import helper, numpy_helper

from deploy_agreement import Located, compare
from deploy_agreement.locating import locate, look
from deploy_core.artifact import Artifact
from deploy_core.predictor import Intermediate, Predictor
from deploy_core.signature import Array, Tensors
from deploy_exporters.formats import hosted
from deploy_exporters.steps.job import Job
from deploy_exporters.worker import Workers
from deploy_model_store import Store, Version
from deploy_toolkit.flows.check.inquiry import Inquiry
from deploy_toolkit.flows.check.locating import located
from deploy_toolkit.flows.check.request import Request
from deploy_toolkit.flows.check.wanted import GOLDEN, Wanted
from deploy_toolkit.flows.golden import noise_of
from deploy_toolkit.flows.subjects import Subject

Graph = Any
Change = Callable[[Graph, dict[str, Intermediate]], None]


def _node(graph: Graph, weight: str) -> Any:
    return next(node for node in graph.node if any(weight in name for name in node.input))


def _set(node: Any, **attributes: Any) -> None:
    kept = [each for each in node.attribute if each.name not in attributes]
    del node.attribute[:]
    node.attribute.extend([*kept, *(helper.make_attribute(name, value) for name, value in attributes.items())])


def _weight(graph: Graph, part: str, change: Callable[[Array], Array]) -> None:
    tensor = next(each for each in graph.initializer if part in each.name)
    made = np.ascontiguousarray(change(numpy_helper.to_array(tensor).copy())).astype(np.float32)
    tensor.CopyFrom(numpy_helper.from_array(made, tensor.name))


def _epsilon(norm: str, weight: str, bias: str, epsilon: float) -> Change:
    """Fold a batch norm with another epsilon into its convolution, as a converter does that does not ask for it."""

    def change(graph: Graph, inside: dict[str, Intermediate]) -> None:
        node = inside[norm]
        _, shift, _, variance = (node.weights[name] for name in node.inputs if name in node.weights)
        own = node.attributes.get("eps", node.attributes.get("epsilon"))
        ratio = np.sqrt(variance + np.float32(own)) / np.sqrt(variance + np.float32(epsilon))
        _weight(graph, weight, lambda w: w * ratio[:, None, None, None])
        _weight(graph, bias, lambda b: (b - shift) * ratio + shift)

    return change


def _missing(relu: int) -> Change:
    def change(graph: Graph, _: object) -> None:
        node = [node for node in graph.node if node.op_type == "Relu"][relu]
        node.op_type = "Identity"

    return change


def _mean_to_max(graph: Graph, _: object) -> None:
    node = next(node for node in graph.node if node.op_type == "ReduceMean")
    node.op_type = "ReduceMax"


def _softmax(graph: Graph, _: object) -> None:
    name = graph.output[0].name
    last = next(node for node in graph.node if name in node.output)
    last.output[0] = "logits"
    graph.node.append(helper.make_node("Softmax", ["logits"], [name], axis=-1))


def _on_node(weight: str, **attributes: Any) -> Change:
    return lambda graph, _: _set(_node(graph, weight), **attributes)


def _on_weight(part: str, change: Callable[[Array], Array]) -> Change:
    return lambda graph, _: _weight(graph, part, change)


def _swapped(array: Array) -> Array:
    array[[1, 2]] = array[[2, 1]]
    return array


ALL = ("onnx", "savedmodel", "tflite")
PLANTED: dict[str, tuple[str, Change, str, tuple[str, ...]]] = {
    "epsilon": (
        "simplecnn",
        _epsilon("block1.norm2", "block1.conv2.weight", "block1.conv2.weight_bias", 1e-2),
        "block1.norm2: batch norm has epsilon 0.01, wanted is 1e-05",
        ALL,
    ),
    "padding": (
        "simplecnn",
        _on_node("block2.conv2.weight", pads=[0, 0, 2, 2]),
        "block2.conv2: convolution has padding ((0, 2), (0, 2)), wanted is ((1, 1), (1, 1))",
        ALL,
    ),
    "dilation": (
        "simplecnn",
        _on_node("block1.conv2.weight", dilations=[2, 2], pads=[2, 2, 2, 2]),
        "block1.conv2: convolution has dilation (2, 2), wanted is (1, 1)",
        ("onnx", "tflite"),
    ),
    "kernels": (
        "simplecnn",
        _on_weight("block1.conv1.weight", _swapped),
        "block1.conv1: weight 'weight' has axis 0 in another order: place 1 holds what belongs to 2",
        ("onnx", "tflite"),
    ),
    "relu": ("simplecnn", _missing(2), "relu is missing", ("onnx", "tflite")),
    "pooling": ("simplecnn", _mean_to_max, "maximum over is there, wanted is mean", ("onnx",)),
    "head": (
        "simplecnn",
        _on_weight("output.weight", lambda w: 2 * w),
        "output: weight 'weight' is 2 times",
        ("onnx",),
    ),
    "classes": (
        "simplecnn",
        _on_weight("output.weight", lambda w: w[::-1]),
        "output: weight 'weight' has axis 0",
        ("onnx",),
    ),
    "softmax": ("simplecnn", _softmax, "softmax is applied that the reference has not", ("onnx",)),
    "keras epsilon": (
        "simplecnn-keras",
        _epsilon("block1_norm1", "block1_conv1_1/convolution", "block1_norm1_1/batchnorm/sub", 1e-1),
        "block1_norm1: batch norm has epsilon 0.1, wanted is 1e-05",
        ("onnx",),
    ),
    "keras kernels": (
        "simplecnn-keras",
        _on_weight("block2_conv2_1/convolution", _swapped),
        "block2_conv2: weight 'kernel' has axis 0 in another order",
        ("onnx",),
    ),
    "keras bias": (
        "simplecnn-keras",
        _on_weight("output_1/BiasAdd", lambda b: b + 0.5),
        "output: weight 'bias' is off by up to 0.5 in 2 of 2 values",
        ("onnx",),
    ),
}
SOURCES = ("simplecnn", "simplecnn-keras")
FILES = [(name, kind) for name, (*_, kinds) in PLANTED.items() for kind in kinds]


def _file(folder: Path, name: str, kind: str) -> Path:
    slug = name.replace(" ", "-")
    return folder / (slug if kind == "savedmodel" else f"{slug}.{kind}")


def _plant(workers: Workers, version: Version, folder: Path) -> None:
    reference = version.reference
    assert reference is not None
    inside = {one.layer or one.name: one for one in _inside(workers, version)}
    good = next(artifact for artifact in version.artifacts if artifact.name == "onnx")
    for name, (source, change, _, kinds) in PLANTED.items():
        if source != version.name:
            continue
        model = onnx.load(good.path)
        change(model.graph, inside)
        onnx.save(model, _file(folder, name, "onnx"))
        if "tflite" in kinds:
            _translate(workers, version, folder, name)


def _inside(workers: Workers, version: Version) -> list[Intermediate]:
    assert version.reference is not None
    predictor: Any = hosted(workers, version.reference)
    try:
        found: list[Intermediate] = predictor.intermediates({k: v[:2] for k, v in version.golden.inputs.items()})
        return found
    finally:
        predictor.close()


def _translate(workers: Workers, version: Version, folder: Path, name: str) -> None:
    source, made = _file(folder, name, "onnx"), _file(folder, name, "savedmodel")
    workers.call("tensorflow", "deploy_exporters.translation:savedmodel_from_onnx", source, made, version.signature)
    job = Job(made, _file(folder, name, "tflite"), version.signature, (), "model")
    workers.call("tensorflow", "deploy_exporters.steps.tensorflow:tflite_from_savedmodel", job)


def _checked(models: Path, folder: Path) -> None:
    with Workers(folder / "logs") as workers:
        for source in SOURCES:
            _plant(workers, Store(models).resolve(source), folder)
    for source in SOURCES:
        named = [_file(folder, name, kind).name for name, kind in FILES if PLANTED[name][0] == source]
        done = run_deploy("check", "--against", source, *named, "--localise", "--store", models, "--json", cwd=folder)
        assert done.returncode == 4, done.stderr
        (folder / f"{source}.json").write_text(done.stdout)


@pytest.fixture(scope="module")
def folder(models: Path, shared: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """The folder with every planted file, what the check said of them, and the reproductions that it wrote."""
    return shared("localised", lambda folder: _checked(models, folder))


def _located(folder: Path, name: str, kind: str) -> dict[str, Any]:
    document = json.loads((folder / f"{PLANTED[name][0]}.json").read_text())
    subject = _file(folder, name, kind).name
    assert next(row for row in document["rows"] if row["subject"] == subject)["verdict"] == "disagree"
    found: dict[str, Any] = next(each for each in document["located"] if each["subject"] == subject)
    return found


@pytest.mark.parametrize(("name", "kind"), FILES)
def test_guilty_layer_is_named(folder: Path, name: str, kind: str) -> None:
    located = _located(folder, name, kind)
    assert PLANTED[name][2] in located["said"], located["said"]
    assert located["against"] == f"{PLANTED[name][0]}@1/reference"
    assert located["first"] in located["matches"]
    assert not located["first"]["ok"]


@pytest.mark.parametrize(("name", "kind"), FILES)
def test_every_fault_has_a_reproduction(folder: Path, name: str, kind: str) -> None:
    reproduction = folder / _located(folder, name, kind)["reproduction"]
    operator = {"onnx": "operator.onnx", "tflite": "operator.tflite", "savedmodel": "operator.pb"}[kind]
    files = {operator, "inputs.npz", "expected.npz", "got.npz", "reproduce.py"}
    assert {path.name for path in reproduction.iterdir()} == files
    expected, got = (np.load(reproduction / f"{each}.npz")[each] for each in ("expected", "got"))
    assert expected.shape == got.shape
    assert not np.allclose(expected, got, rtol=0, atol=1e-3 * float(expected.std()))


@pytest.mark.parametrize("kind", ["onnx", "tflite"])
def test_reproduction_shows_the_difference_alone(folder: Path, kind: str) -> None:
    reproduction = folder / _located(folder, "epsilon", kind)["reproduction"]
    done = subprocess.run(
        [sys.executable, "-W", "error", reproduction / "reproduce.py"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    expected, got = (np.load(reproduction / f"{name}.npz")[name] for name in ("expected", "got"))
    apart = float(np.abs(expected.astype(np.float64) - got).max())
    assert apart > 1e-3
    assert f"off by {apart:.3g}" in done.stdout


def test_reproduction_agrees_once_the_operator_is_mended(folder: Path, tmp_path: Path) -> None:
    reproduction = folder / _located(folder, "padding", "onnx")["reproduction"]
    for path in reproduction.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    model = onnx.load(tmp_path / "operator.onnx")
    _set(model.graph.node[-1], pads=[1, 1, 1, 1])
    onnx.save(model, tmp_path / "operator.onnx")
    done = subprocess.run([sys.executable, tmp_path / "reproduce.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


class _Server:
    """Stands for an endpoint: nothing inside of it can be seen."""

    endpoint = "a server"

    def __init__(self, file: Predictor, answer: Callable[[Array], Array]) -> None:
        self.signature = file.signature
        self._file, self._answer = file, answer

    def predict(self, inputs: Tensors) -> Tensors:
        return {name: self._answer(array) for name, array in self._file.predict(inputs).items()}

    def close(self) -> None:
        self._file.close()


def _holding(version: Version, artifact: Artifact) -> Version:
    record = replace(version.record, artifacts=(artifact,))
    return replace(version, manifest=replace(version.manifest, record=record))


def _served(models: Path, tmp_path: Path, file: Path | None, answer: Callable[[Array], Array]) -> Located:
    """Localise a server of a version whose one artifact is that file, or what was published."""
    version = Store(models).resolve("simplecnn")
    published = next(each for each in version.artifacts if each.name == "onnx")
    artifact = replace(published, path=file or published.path)
    version = _holding(version, artifact)
    with Workers(tmp_path / "logs") as workers:
        golden = version.golden
        assert version.reference is not None
        right = Wanted(
            GOLDEN, golden.inputs, golden.outputs, noise_of(golden), version,
            reference=partial(hosted, workers, version.reference),
        )  # fmt: skip
        server = Subject("oip+rest://127.0.0.1:1/simplecnn", lambda: _Server(hosted(workers, artifact), answer))
        row = compare(server.name, right.outputs, server.open(), right.inputs, noise=right.noise, batches=())
        assert not row.ok
        asked = Request((), localise=True, found=tmp_path / "found")
        found = located(server, row, Inquiry(asked, right), workers, lambda _: None)
    assert found is not None
    return found


def test_server_of_a_file_that_agrees(models: Path, tmp_path: Path) -> None:
    found = _served(models, tmp_path, None, lambda array: array + 1)
    assert found.first is None
    assert found.said == "the file simplecnn@1/onnx agrees, the server does not: look at what is sent"


def test_server_of_a_file_that_disagrees_as_well(models: Path, folder: Path, tmp_path: Path) -> None:
    found = _served(models, tmp_path, _file(folder, "epsilon", "onnx"), lambda array: array)
    assert found.subject == "oip+rest://127.0.0.1:1/simplecnn"
    assert found.said.startswith("it answers as simplecnn@1/onnx does: block1.norm2: batch norm has epsilon 0.01")
    assert found.first is not None
    assert (Path(found.reproduction) / "reproduce.py").exists()


def test_reference_that_cannot_be_looked_into_is_replaced(models: Path, folder: Path, tmp_path: Path) -> None:
    version = Store(models).resolve("simplecnn")
    good = next(each for each in version.artifacts if each.name == "onnx")
    version = _holding(version, good)
    with Workers(tmp_path / "logs") as workers:
        golden = version.golden
        right = Wanted(GOLDEN, golden.inputs, golden.outputs, noise_of(golden), version, reference=None)
        bad = replace(good, path=_file(folder, "padding", "onnx"))
        subject = Subject("bad", partial(hosted, workers, bad), artifact=bad)
        row = compare("bad", right.outputs, subject.open(), right.inputs, noise=right.noise, batches=())
        found = located(subject, row, Inquiry(Request((), found=tmp_path / "found"), right), workers, lambda _: None)
    assert found is not None
    assert found.against == "simplecnn@1/onnx"
    assert "block2.norm2: convolution has padding ((0, 2), (0, 2)), wanted is ((1, 1), (1, 1))" in found.said
    assert (
        "compared with simplecnn@1/onnx, which agrees, since the reference was not looked into: it is not kept"
        in found.said
    )


def test_honest_files_part_nowhere(models: Path, tmp_path: Path) -> None:
    version = Store(models).resolve("simplecnn")
    inputs = {name: array[:3] for name, array in version.golden.inputs.items()}
    with Workers(tmp_path / "logs") as workers:
        seen = {each.name: look(each.name, _open(workers, each), inputs, nudged=True) for each in _honest(version)}
    for one, other in permutations(seen, 2):
        found = locate(seen[one], seen[other]).located
        assert found.first is None, (one, other, found.said)
        assert len(found.matches) >= 9, (one, other)


def _honest(version: Version) -> list[Artifact]:
    return [each for each in version.artifacts if each.name in ("onnx", "savedmodel", "tflite", "torchscript")]


def _open(workers: Workers, artifact: Artifact) -> Any:
    return hosted(workers, artifact)
