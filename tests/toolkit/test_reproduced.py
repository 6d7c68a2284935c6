"""One operator alone as TorchScript, .pt2, .mar, Keras and OpenVINO have it: what is written shows what the whole model does."""

from __future__ import annotations

import json
import runpy
import zipfile
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from deploy_agreement.locating import Found, locate, look
from deploy_core.errors import UsageError
from deploy_core.signature import Array, Tensors
from deploy_exporters import jit, pt2
from deploy_exporters.formats import load_file
from deploy_exporters.sources import Given
from deploy_exporters.sources.torch import open_torch
from deploy_toolkit.flows.check import reproducing
from deploy_toolkit.flows.check.reproducing import Looked

# torch says so of its own LSTM, and of its own module around a program.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The tensor attribute:UserWarning"),
    pytest.mark.filterwarnings("ignore:The TorchScript type system"),
]
X = np.random.default_rng(6).standard_normal((4, 6, 8)).astype(np.float32)


class _Here:
    """Stands for workers: everything runs in this process."""

    def having(self, library: str) -> _Here:
        assert library in ("torch", "keras", "openvino")
        return self

    def call(self, function: str, *args: Any, **kwargs: Any) -> Any:
        module, _, name = function.partition(":")
        return getattr(import_module(module), name)(*args, **kwargs)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.memory = nn.LSTM(8, 5, batch_first=True)
        self.head = nn.Linear(10, 3)
        self.half = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        states, _ = self.memory(self.norm(x))
        seen = torch.cat([states.mean(dim=1), states.amax(dim=1)], dim=1)
        if self.half:
            weight, bias = self.head.weight.to(torch.float16), self.head.bias.to(torch.float16)
            return nn.functional.linear(seen.to(torch.float16), weight, bias).to(torch.float32)
        return self.head(seen)


def _epsilon(model: Net) -> None:
    model.norm.eps = 0.1


def _weights(model: Net) -> None:
    with torch.no_grad():
        model.memory.weight_hh_l0[[0, 1]] = model.memory.weight_hh_l0[[1, 0]]


def _half(model: Net) -> None:
    model.half = True


FAULTS: dict[str, tuple[Callable[[Net], None], str]] = {
    "epsilon": (_epsilon, "aten::layer_norm"),
    "weights": (_weights, "aten::lstm"),
    "half": (_half, "aten::linear"),
}


FILES = (("epsilon", "pt"), ("weights", "pt"), ("half", "pt"), ("weights", "pt2"), ("half", "pt2"))


def _torch_file(path: Path, change: Callable[[Net], None] | None) -> Path:
    torch.manual_seed(2)
    model = Net().eval()
    if change:
        change(model)
    source = open_torch(model, Given(example=torch.from_numpy(X[:2])))
    if path.suffix == ".pt2":
        pt2.save(pt2.program(source), path, source.signature)
    else:
        jit.save(jit.script(model), path, source.signature)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The right model and each faulty one, in both formats of torch."""
    made = tmp_path_factory.mktemp("alone")
    for suffix in ("pt", "pt2"):
        _torch_file(made / f"right.{suffix}", None)
    for name, suffix in FILES:
        _torch_file(made / f"{name}.{suffix}", FAULTS[name][0])
    return made


def _found(right: Any, wrong: Any, inputs: Tensors) -> tuple[Found, Array]:
    """Find where they part, and what the wrong one has there."""
    one, other = look("right", right, inputs, nudged=True), look("wrong", wrong, inputs)
    found = locate(one, other, limits={spec.name: 1e-6 for spec in right.signature.outputs})
    assert found.operands is not None, found.located.said
    name = found.operands.operators[-1]
    return found, next(step.value for step in other.steps if step.name == name)


def _written(found: Found, looked: Looked, folder: Path) -> Path:
    assert found.operands is not None
    workers: Any = _Here()
    return Path(reproducing.written(folder, looked, found.operands, found.located.said, "right", workers))


def _run(reproduction: Path) -> int:
    with pytest.raises(SystemExit) as done:
        runpy.run_path(str(reproduction / "reproduce.py"), run_name="__main__")
    return int(str(done.value.code))


def _assert_shows(reproduction: Path, whole: Array, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert _run(reproduction) == 1
    expected, got = (np.load(reproduction / f"{name}.npz")[name] for name in ("expected", "got"))
    np.testing.assert_allclose(got, whole, rtol=1e-5, atol=1e-6)  # what it does in the whole model, too
    assert f"off by {np.abs(got.astype(np.float64) - expected).max():.3g}" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "suffix"), FILES)
def test_operator_of_torch_shows_alone_what_it_does_in_the_model(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, suffix: str
) -> None:
    kind = {"pt": "torchscript"}.get(suffix, suffix)
    right, wrong = (load_file(kind, folder / f"{each}.{suffix}") for each in ("right", name))
    found, whole = _found(right, wrong, {"x": X})
    looked = Looked(folder / f"{name}.{suffix}", wrong.signature, {"x": X})
    reproduction = _written(found, looked, tmp_path / "found")
    told = json.loads(str(np.load(reproduction / "operator.npz")["calls"]))
    assert FAULTS[name][1] in [step["called"][0] for step in told["steps"]]
    _assert_shows(reproduction, whole, capsys)
    with pytest.raises(UsageError, match="makes what is wanted"):
        _written(_of_right(found, looked), replace(looked, path=folder / f"right.{suffix}"), tmp_path / "none")
    assert not (tmp_path / "none").exists()


def _of_right(found: Found, looked: Looked) -> Found:
    """Ask for the right model's own operator in the wrong one's place."""
    assert found.operands is not None
    one = found.operands.one
    named = dict(
        zip((name for name in one.inputs if name not in one.weights), found.operands.inputs.values(), strict=False)
    )
    return replace(found, operands=replace(found.operands, operators=(one.name,), inputs=named))


def test_operator_of_the_program_in_an_archive(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right, wrong = (load_file("torchscript", folder / f"{each}.pt") for each in ("right", "epsilon"))
    found, whole = _found(right, wrong, {"x": X})
    with zipfile.ZipFile(tmp_path / "net.mar", "w") as archive:
        archive.writestr("MAR-INF/MANIFEST.json", json.dumps({"model": {"serializedFile": "model.pt"}}))
        archive.write(folder / "epsilon.pt", "model.pt")
    looked = Looked(tmp_path / "net.mar", wrong.signature, {"x": X})
    _assert_shows(_written(found, looked, tmp_path / "found"), whole, capsys)


def test_tensor_that_needs_more_than_is_given_does_not_stand_alone(folder: Path, tmp_path: Path) -> None:
    right, wrong = (load_file("pt2", folder / f"{each}.pt2") for each in ("right", "weights"))
    found, _ = _found(right, wrong, {"x": X})
    assert found.operands is not None
    found = replace(found, operands=replace(found.operands, inputs={}))
    with pytest.raises(UsageError, match="it takes 'layer_norm', whose value is not known"):
        _written(found, Looked(folder / "weights.pt2", wrong.signature, {"x": X}), tmp_path / "found")


def _keras_file(path: Path, *, epsilon: float = 1e-3, turned: bool = False) -> Path:
    import keras
    from keras import layers

    keras.utils.set_random_seed(5)
    x = keras.Input((6, 8), name="x")
    normed = layers.LayerNormalization(epsilon=epsilon, name="norm")(x)
    states = layers.LSTM(5, return_sequences=True, name="memory")(normed)
    seen = layers.MultiHeadAttention(2, 4, name="attention")(states, states)
    model = keras.Model(x, layers.Dense(3, activation="tanh", name="scores")(keras.ops.relu(seen)), name="net")
    if turned:
        memory = model.get_layer("memory")
        kernel, recurrent, bias = memory.get_weights()
        memory.set_weights([kernel, recurrent[::-1], bias])
    model.save(path)
    return path


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # TensorFlow's, of its own variables
@pytest.mark.parametrize("name", ["norm", "memory"])
def test_layer_of_keras_shows_alone_what_it_does_in_the_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    right = _keras_file(tmp_path / "right.keras")
    wrong = _keras_file(tmp_path / "wrong.keras", epsilon=0.2 if name == "norm" else 1e-3, turned=name == "memory")
    one, other = (load_file("keras", path) for path in (right, wrong))
    found, whole = _found(one, other, {"x": X})
    assert found.operands is not None
    assert found.operands.operators == (name,)
    looked = Looked(wrong, other.signature, {"x": X})
    _assert_shows(_written(found, looked, tmp_path / "found"), whole, capsys)
    with pytest.raises(UsageError, match="makes what is wanted"):
        _written(found, replace(looked, path=right), tmp_path / "none")


def _openvino_file(path: Path, *, last: float = 1.0, exact: bool = True) -> Path:
    import openvino
    from openvino import opset13 as ops

    random = np.random.default_rng(4)
    weight, other = (random.standard_normal(shape).astype(np.float32) for shape in ((8, 5), (5, 3)))
    x = ops.parameter([-1, 8], np.float32, name="x")
    x.output(0).get_tensor().set_names({"x"})
    hidden = ops.add(
        ops.matmul(x, ops.constant(weight, name="first.weight"), False, False), np.float32(0.5), name="sum"
    )
    bent = ops.gelu(hidden, "erf" if exact else "tanh", name="bent")
    y = ops.matmul(bent, ops.constant(other * np.float32(last), name="last.weight"), False, False, name="scores")
    y.output(0).get_tensor().set_names({"scores"})
    openvino.save_model(openvino.Model([y], [x], "net"), path, compress_to_fp16=False)
    return path


@pytest.mark.parametrize(("changed", "name"), [({"exact": False}, "bent"), ({"last": 1.5}, "scores")])
def test_operation_of_openvino_shows_alone_what_it_does_in_the_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: dict[str, Any], name: str
) -> None:
    right, wrong = _openvino_file(tmp_path / "right.xml"), _openvino_file(tmp_path / "wrong.xml", **changed)
    one, other = (load_file("openvino", path) for path in (right, wrong))
    inputs = {"x": X[0]}
    found, whole = _found(one, other, inputs)
    assert found.operands is not None
    assert found.operands.operators == (name,)
    looked = Looked(wrong, other.signature, inputs)
    _assert_shows(_written(found, looked, tmp_path / "found"), whole, capsys)
    with pytest.raises(UsageError, match="makes what is wanted"):
        _written(found, replace(looked, path=right), tmp_path / "none")
