"""torch → ONNX → our SavedModel → TFLite, compared with torch by plain numpy at several batch sizes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tensorflow as tf
import torch
from ai_edge_litert.interpreter import Interpreter
from torch import nn

from deploy_core.signature import Signature, TensorSpec
from deploy_exporters.translation import savedmodel_from_onnx, unsupported

BATCHES = (1, 2, 7, 11)
# float32 sums in another order: a few units of 6e-8 relative to values of 1 to 4, over some layers
ATOL = 4e-6


class ResidualCnn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.body = nn.Sequential(
            nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU6(), nn.Conv2d(16, 16, 3, padding=1)
        )
        self.short = nn.Conv2d(8, 16, 1, stride=2)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=2, dilation=2, groups=16)
        self.grouped = nn.Conv2d(16, 8, 3, padding=1, groups=4)
        self.up = nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1)
        self.norms = nn.Sequential(nn.GroupNorm(2, 4), nn.InstanceNorm2d(4, affine=True), nn.AvgPool2d(3, 2, 1))
        self.head = nn.Linear(4, 5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.stem(image))
        x = torch.relu(self.body(x) + self.short(x))
        x = nn.functional.leaky_relu(self.grouped(x + self.depthwise(x)))
        x = self.norms(torch.cat([self.up(x)[:, :2], self.up(x)[:, 2:].flip(1)], 1))
        return self.head(x.mean((2, 3)))


class Transformer(nn.Module):
    """Token and position embeddings, masked attention written by hand, exact GELU, two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(50, 16), nn.Embedding(12, 16)
        self.qkv, self.out = nn.Linear(16, 48), nn.Linear(16, 16)
        self.first, self.second = nn.LayerNorm(16), nn.LayerNorm(16)
        self.up, self.down = nn.Linear(16, 32), nn.Linear(32, 16)
        self.head = nn.Linear(16, 50)

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        batch, length = tokens.shape
        x = self.tokens(tokens) + self.places(torch.arange(length))
        q, k, v = self.qkv(self.first(x)).view(batch, length, 3, 4, 4).permute(2, 0, 3, 1, 4).unbind(0)
        scores = (q @ k.transpose(-1, -2) / math.sqrt(4)).masked_fill(~mask[:, None, None, :], -1e4)
        x = x + self.out((torch.softmax(scores, -1) @ v).transpose(1, 2).reshape(batch, length, 16))
        x = x + self.down(nn.functional.gelu(self.up(self.second(x))))
        weights = mask[..., None].to(x.dtype)
        return self.head(x), torch.tanh((x * weights).sum(1) / weights.sum(1))


class Recurrent(nn.Module):
    def __init__(self, cell: type[nn.Module]) -> None:
        super().__init__()
        self.cell: Any = cell(5, 8, num_layers=2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.cell(x)[0][:, -1])


class Resized(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        up = nn.functional.interpolate
        return (
            up(x, scale_factor=2, mode="nearest"),
            up(x, scale_factor=2, mode="bilinear"),
            up(x, size=(5, 7), mode="bilinear", align_corners=True),
        )


class Signals(nn.Module):
    """One-dimensional convolutions and what else sequences want."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Conv1d(4, 6, 5, stride=2, padding=2, dilation=2)
        self.back = nn.ConvTranspose1d(6, 4, 4, stride=2, padding=1)
        self.norm = nn.BatchNorm1d(6)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = nn.functional.max_pool1d(nn.functional.silu(self.norm(self.wide(x))), 2)
        return self.back(y).cumsum(-1), y.topk(3, dim=-1).indices


def floats(*shape: int) -> tuple[Any, ...]:
    return ("float32", shape)


@dataclass(frozen=True)
class Case:
    make: Any
    inputs: Mapping[str, tuple[Any, ...]]
    outputs: Mapping[str, str]
    atol: float = ATOL


CASES = {
    "simple": Case(lambda: nn.Sequential(nn.Linear(6, 3), nn.ReLU(), nn.Linear(3, 1)), {"x": floats(6)}, {"y": "float32"}),
    "cnn": Case(ResidualCnn, {"input.1": floats(3, 64, 64)}, {"a/b": "float32"}),
    "transformer": Case(
        Transformer, {"tokens": ("int64", (12,)), "mask": ("bool", (12,))}, {"logits": "float32", "pooled": "float32"}
    ),
    "encoder": Case(
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), 2),
        {"x": floats(9, 16)},
        {"y": "float32"},
    ),
    "lstm": Case(lambda: Recurrent(nn.LSTM), {"x": floats(9, 5)}, {"y": "float32"}),
    "gru": Case(lambda: Recurrent(nn.GRU), {"x": floats(9, 5)}, {"y": "float32"}),
    "rnn": Case(lambda: Recurrent(nn.RNN), {"x": floats(9, 5)}, {"y": "float32"}),
    "resized": Case(Resized, {"x": floats(3, 6, 8)}, {"near": "float32", "linear": "float32", "aligned": "float32"}),
    # sums over 20 elements of up to 4
    "signals": Case(Signals, {"x": floats(4, 40)}, {"sums": "float32", "best": "int64"}, atol=2e-5),
}  # fmt: skip


@dataclass
class Exported:
    case: Case
    model: nn.Module
    onnx_path: Path
    folder: Path
    signature: Signature

    def sample(self, batch: int) -> dict[str, np.ndarray[Any, Any]]:
        random = np.random.default_rng(batch)
        arrays: dict[str, np.ndarray[Any, Any]] = {}
        for name, (dtype, shape) in self.case.inputs.items():
            if dtype == "int64":
                arrays[name] = random.integers(0, 50, (batch, *shape))
            elif dtype == "bool":
                arrays[name] = random.random((batch, *shape)) < 0.7
                arrays[name][:, 0] = True
            else:
                arrays[name] = random.standard_normal((batch, *shape)).astype(np.float32)
        return arrays

    def wanted(self, inputs: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
        with torch.no_grad():
            result = self.model(*(torch.from_numpy(array) for array in inputs.values()))
        parts = result if isinstance(result, tuple) else (result,)
        return {name: part.numpy() for name, part in zip(self.case.outputs, parts, strict=True)}


def export_to_onnx(model: nn.Module, example: Sequence[torch.Tensor], path: Path, case: Case) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own exporter warns about itself
        torch.onnx.export(
            model,
            tuple(example),
            path,
            dynamo=True,
            input_names=list(case.inputs),
            output_names=list(case.outputs),
            dynamic_shapes=tuple({0: torch.export.Dim.DYNAMIC} for _ in example),
            external_data=False,
            verbose=False,
        )


@pytest.fixture(scope="module", params=CASES)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    case = CASES[request.param]
    torch.manual_seed(3)
    model = case.make().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
    base = tmp_path_factory.mktemp(request.param)
    made = Exported(case, model, base / "model.onnx", base / "savedmodel", Signature((), ()))
    arrays = made.sample(2)
    export_to_onnx(model, [torch.from_numpy(array) for array in arrays.values()], made.onnx_path, case)
    made.signature = Signature(
        tuple(TensorSpec.of(name, array) for name, array in arrays.items()),
        tuple(TensorSpec.of(name, array) for name, array in made.wanted(arrays).items()),
    )
    savedmodel_from_onnx(made.onnx_path, made.folder, made.signature)
    return made


def assert_same(exported: Exported, batch: int, got: Mapping[str, Any], want: Mapping[str, Any]) -> None:
    assert sorted(got) == sorted(want)
    for name, array in want.items():
        assert (got[name].dtype, got[name].shape) == (array.dtype, array.shape), (name, batch)
        np.testing.assert_allclose(got[name], array, rtol=0, atol=exported.case.atol, err_msg=f"{name} at {batch}")


def test_nothing_is_unsupported(exported: Exported) -> None:
    assert unsupported(onnx.load(exported.onnx_path)) == ()


def test_savedmodel_predicts_as_torch(exported: Exported) -> None:
    loaded = tf.saved_model.load(str(exported.folder))
    function = loaded.signatures["serving_default"]
    for batch in BATCHES:
        inputs = exported.sample(batch)
        got = function(**{name: tf.constant(array) for name, array in inputs.items()})
        assert_same(exported, batch, {name: value.numpy() for name, value in got.items()}, exported.wanted(inputs))


def test_tflite_predicts_as_torch_with_its_own_operators_only(exported: Exported) -> None:
    converter = tf.lite.TFLiteConverter.from_saved_model(str(exported.folder))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    runner = Interpreter(model_content=converter.convert()).get_signature_runner("serving_default")
    for batch in BATCHES:
        inputs = exported.sample(batch)
        assert_same(exported, batch, runner(**inputs), exported.wanted(inputs))


def test_signature_has_exact_names_dtypes_and_shapes(exported: Exported) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    file = saved_model_pb2.SavedModel()
    file.ParseFromString((exported.folder / "saved_model.pb").read_bytes())
    (graph,) = file.meta_graphs
    written = graph.signature_def["serving_default"]
    for infos, specs in ((written.inputs, exported.signature.inputs), (written.outputs, exported.signature.outputs)):
        assert {
            name: (tf.as_dtype(info.dtype).name, [dim.size for dim in info.tensor_shape.dim])
            for name, info in infos.items()
        } == {spec.name: (spec.dtype, [d if isinstance(d, int) else -1 for d in spec.shape]) for spec in specs}


class FullyConvolutional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.up, self.pool = nn.ConvTranspose2d(8, 4, 2, stride=2), nn.AvgPool2d(3, 2, 1, count_include_pad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = torch.relu(self.first(x))
        b = nn.functional.interpolate(torch.relu(self.second(a)), scale_factor=2, mode="bilinear")
        return self.up(self.pool(nn.functional.max_pool2d(a + b, 2, ceil_mode=True)))


# model, the example's shape, the dynamic axes, other shapes; torch states the example's length for what an LSTM gives
OPEN_CASES = {
    "pictures": (FullyConvolutional, (2, 3, 32, 48), (0, 2, 3), ((1, 3, 16, 32), (3, 3, 64, 16))),
    "sequences": (
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), 1),
        (2, 9, 16),
        (0, 1),
        ((1, 4, 16), (7, 13, 16)),
    ),
    "steps": (lambda: Recurrent(nn.LSTM), (2, 9, 5), (0, 1), ((1, 4, 5), (7, 13, 5))),
}


@pytest.mark.parametrize("name", OPEN_CASES)
def test_sizes_other_than_the_batch_may_be_dynamic_too(tmp_path: Path, name: str) -> None:
    make, shape, axes, others = OPEN_CASES[name]
    torch.manual_seed(5)
    model = make().eval()
    dynamic = (dict.fromkeys(axes, torch.export.Dim.DYNAMIC),)
    path, folder = tmp_path / "model.onnx", tmp_path / "savedmodel"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model, (torch.randn(shape),), path, dynamo=True, input_names=["x"], output_names=["y"],
            dynamic_shapes=dynamic, external_data=False, verbose=False,
        )  # fmt: skip
    (output,) = onnx.load(path).graph.output
    sizes = [dim.dim_value or f"size_{i}" for i, dim in enumerate(output.type.tensor_type.shape.dim)]
    spec = TensorSpec("x", "float32", tuple(f"in_{i}" if i in axes else size for i, size in enumerate(shape)))
    savedmodel_from_onnx(path, folder, Signature((spec,), (TensorSpec("y", "float32", tuple(sizes)),)))
    loaded = tf.saved_model.load(str(folder))
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
    runner = Interpreter(model_content=converter.convert()).get_signature_runner("serving_default")
    for other in (shape, *others):
        x = torch.randn(other)
        want = model(x).detach().numpy()
        got = [loaded.signatures["serving_default"](x=tf.constant(x.numpy()))["y"].numpy()]
        got += [runner(x=x.numpy())["y"]]
        for array in got:
            assert array.shape == want.shape
            np.testing.assert_allclose(array, want, rtol=0, atol=ATOL)
