"""Looking into torch models, torch.export programs and TorchScript, against hooks on the modules themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from deploy_core.errors import UsageError
from deploy_core.predictor import HasIntermediates, Intermediate
from deploy_core.signature import Array
from deploy_exporters import jit, pt2
from deploy_exporters.formats import load_file
from deploy_exporters.inside import program, torchscript
from deploy_exporters.sources import Given
from deploy_exporters.sources.torch import TorchSource, open_torch


class Cnn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6, eps=3e-3), nn.ReLU(inplace=True), nn.MaxPool2d(2)
        )
        self.head = nn.Linear(6, 4)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(image).mean(dim=(2, 3)))


class Reader(nn.Module):
    """Attention, a recurrent layer, a loop, a choice, a list and two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(11, 8)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True)
        self.memory = nn.LSTM(8, 5, batch_first=True)
        self.norm = nn.LayerNorm(5, eps=2e-4)

    def forward(self, tokens: torch.Tensor) -> dict[str, torch.Tensor]:
        states, _ = self.memory(self.encoder(self.words(tokens)))
        seen = [self.norm(states).mean(dim=1)]
        seen.append(states.amax(dim=1))
        return {"both": torch.cat(seen, dim=1), "last": states[:, -1]}


class Looping(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        total = torch.zeros_like(x[:, 0])
        for step in range(x.size(1)):
            total = total * 0.5 + x[:, step]
        if x.size(0) > 5:
            raise ValueError("too many rows")
        return total + 1 if bool(x.sum() > 0) else total - 1


def _opened(model: nn.Module, example: torch.Tensor) -> TorchSource:
    torch.manual_seed(3)
    with torch.no_grad():
        for tensor in (*model.parameters(), *(each for each in model.buffers() if each.is_floating_point())):
            tensor.copy_(torch.rand_like(tensor) + 0.1)
    return open_torch(model.eval(), Given(example=example))


@pytest.fixture(scope="module")
def cnn() -> TorchSource:
    return _opened(Cnn(), torch.linspace(-1, 1, 2 * 3 * 16 * 16).reshape(2, 3, 16, 16))


@pytest.fixture(scope="module")
def reader() -> TorchSource:
    return _opened(Reader(), torch.arange(14).reshape(2, 7) % 11)


def _in_file(source: TorchSource, folder: Path, format_: str) -> HasIntermediates:
    path = folder / {"pt2": "model.pt2"}.get(format_, "model.pt")
    if format_ == "pt2":
        pt2.save(pt2.program(source), path, source.signature)
    elif format_ == "script":
        jit.save(jit.script(source.model), path, source.signature)
    elif format_ == "frozen trace":
        jit.save(jit.trace(source.flat, source.tensors(2)), path, source.signature)
    else:
        jit.save(jit.script(pt2.plain(pt2.program(source))), path, source.signature)
    found = load_file("pt2" if format_ == "pt2" else "torchscript", path, source.signature)
    assert isinstance(found, HasIntermediates)
    return found


def _modules(source: TorchSource) -> dict[str, Array]:
    """Give what each module answers for the example, by its path; before a later one changes it in place."""
    seen: dict[str, Array] = {}

    def hook(path: str) -> Callable[..., None]:
        def keep(module: nn.Module, given: object, answer: object) -> None:
            first = answer[0] if isinstance(answer, tuple) else answer
            seen[path] = first.detach().numpy().copy()

        return keep

    hooks = [module.register_forward_hook(hook(path)) for path, module in source.model.named_modules() if path]
    with torch.no_grad():
        source.model(*(torch.from_numpy(array) for array in source.example.values()))
    for each in hooks:
        each.remove()
    return seen


def _last(found: Sequence[Intermediate]) -> dict[str, Array]:
    return {each.layer: each.value for each in found}


def _assert_ends_with(found: Sequence[Intermediate], want: Mapping[str, Array]) -> None:
    assert [each.name for each in found[-len(want) :]] == list(want)
    for each in found[-len(want) :]:
        np.testing.assert_allclose(each.value, want[each.name], rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:The TorchScript type system")  # of torch's own module around a program
@pytest.mark.parametrize("format_", ["model", "pt2", "script", "exported script"])
def test_every_layer_of_a_cnn_has_its_value(cnn: TorchSource, tmp_path: Path, format_: str) -> None:
    found = (cnn if format_ == "model" else _in_file(cnn, tmp_path, format_)).intermediates(cnn.example)
    want, last = _modules(cnn), _last(found)
    named = ["features.0", "features.1", "head"]
    if format_ != "exported script":  # which keeps the names of weights only
        named += ["features.2", "features.3"]
    for path in named:
        np.testing.assert_allclose(last[path], want[path], rtol=1e-5, atol=1e-6, err_msg=path)
    assert [each.operator for each in found] == [
        "aten::conv2d",
        "aten::batch_norm",
        found[2].operator,
        "aten::max_pool2d",
        "aten::mean",
        "aten::linear",
    ]
    assert found[2].operator in ("aten::relu", "aten::relu_")
    _assert_ends_with(found, cnn.predict(cnn.example))


@pytest.mark.parametrize("format_", ["model", "pt2", "script"])
def test_attributes_and_weights_have_the_names_that_torch_has_for_them(
    cnn: TorchSource, tmp_path: Path, format_: str
) -> None:
    found = (cnn if format_ == "model" else _in_file(cnn, tmp_path, format_)).intermediates(cnn.example)
    conv, norm = found[:2]
    assert conv.attributes == {"stride": (2, 2), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
    assert norm.attributes["eps"] == 3e-3
    assert norm.attributes["training"] is False
    assert norm.inputs[0] == conv.name
    assert conv.inputs == ("image", "features.0.weight", "features.0.bias")
    state = cnn.model.state_dict()
    assert set(norm.weights) == set(norm.inputs[1:])
    for name, array in {**conv.weights, **norm.weights}.items():
        np.testing.assert_array_equal(array, state[name].numpy())


def test_a_frozen_trace_of_ours_knows_the_layers(cnn: TorchSource, tmp_path: Path) -> None:
    found = _in_file(cnn, tmp_path, "frozen trace").intermediates(cnn.example)
    # Freezing folds the norm into the convolution, whose answer is then the norm's.
    assert [each.layer for each in found] == ["features.1", "features.2", "features.3", "", "head"]
    want = _modules(cnn)
    for each in found:
        if each.layer:
            np.testing.assert_allclose(each.value, want[each.layer], rtol=1e-5, atol=1e-6, err_msg=each.layer)
    assert [array.shape for array in found[0].weights.values()] == [(6, 3, 3, 3), (6,)]
    _assert_ends_with(found, cnn.predict(cnn.example))


@pytest.mark.filterwarnings("ignore:The tensor attribute:UserWarning")  # torch's own, of its own LSTM
@pytest.mark.parametrize("format_", ["model", "pt2", "script"])
def test_attention_and_memory_show_their_insides(reader: TorchSource, tmp_path: Path, format_: str) -> None:
    found = (reader if format_ == "model" else _in_file(reader, tmp_path, format_)).intermediates(reader.example)
    want, last = _modules(reader), _last(found)
    for path in ("words", "encoder.norm1", "encoder.linear1", "encoder.norm2", "norm"):
        np.testing.assert_allclose(last[path], want[path], rtol=1e-4, atol=1e-5, err_msg=path)
    (norm,) = (each for each in found if each.layer == "norm" and each.operator == "aten::layer_norm")
    assert norm.attributes["eps"] == 2e-4
    (states, *_) = (each for each in found if each.operator == "aten::lstm")
    np.testing.assert_allclose(states.value, want["memory"], rtol=1e-4, atol=1e-5)
    assert len(states.weights) == 4
    both = next(each for each in found if each.operator == "aten::cat" and each.name == "both")
    assert set(both.inputs) <= {each.name for each in found}
    _assert_ends_with(found, reader.predict(reader.example))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_loop_is_one_operator_and_a_branch_shows_what_it_did(sign: float) -> None:
    x = torch.linspace(0.1, 1, 12).reshape(2, 6) * sign
    looping = jit.script(Looping())
    found = torchscript.intermediates(looping, {"x": x}, ["total"])
    assert "aten::mul" not in {each.operator for each in found}
    (loop,) = (each for each in found if each.operator == "prim::Loop")
    want = looping(x).numpy()
    np.testing.assert_allclose(loop.value, want - sign, rtol=1e-6)
    assert found[-1].operator == ("aten::add" if sign > 0 else "aten::sub")
    assert found[-1].inputs == (loop.name,)
    np.testing.assert_array_equal(found[-1].value, want)


def test_inputs_that_a_program_refuses_are_told() -> None:
    with pytest.raises(UsageError, match="too many rows"):
        torchscript.intermediates(jit.script(Looping()), {"x": torch.ones(6, 2)}, ["total"])


def test_too_many_bytes_are_refused(cnn: TorchSource) -> None:
    tensors = {"image": torch.zeros(2, 3, 16, 16)}
    graph = pt2.program(cnn).module(check_guards=False)
    with pytest.raises(UsageError, match="take more than 0 MiB") as told:
        program.intermediates(graph, tensors, ["output"], most_bytes=5000)
    assert "fewer rows" in told.value.hint
    with pytest.raises(UsageError, match="take more than 0 MiB"):
        torchscript.intermediates(jit.script(cnn.model), tensors, ["output"], most_bytes=5000)
    assert program.intermediates(graph, tensors, ["output"], most_bytes=50_000)


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.exp(self.weight)


def test_what_is_computed_of_weights_alone_is_a_weight(tmp_path: Path) -> None:
    source = _opened(Scaled(), torch.ones(2, 3))
    for looked_into in (source, _in_file(source, tmp_path, "script")):
        (found,) = looked_into.intermediates(source.example)
        (scale,) = found.weights.values()
        np.testing.assert_allclose(scale, np.exp(source.model.weight.detach().numpy()), rtol=1e-6)


class Bits(nn.Module):
    """One method that makes another weight of a weight, and then a tensor of a tensor, under the same names."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4, 3))

    def less(self, x: torch.Tensor) -> torch.Tensor:
        more = x * 8193.0
        return more - (more - x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.less(self.weight)
        return nn.functional.linear(self.less(x), weight)


class Held(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Bits()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x)


def test_tensor_that_a_method_makes_is_not_taken_for_the_weight_that_it_made(tmp_path: Path) -> None:
    source = _opened(Held(), torch.linspace(-1, 1, 6).reshape(2, 3))
    found = _in_file(source, tmp_path, "script").intermediates(source.example)
    assert [each.operator for each in found] == ["aten::mul", "aten::sub", "aten::sub", "aten::linear"]
    (weight,) = found[-1].weights.values()
    np.testing.assert_allclose(weight, source.model.inner.weight.detach().numpy(), rtol=1e-3)
    (x,) = source.example.values()
    np.testing.assert_allclose(found[-2].value, x, rtol=1e-3)
    assert found[-1].inputs[0] == found[-2].name


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        scores = self.head(x)
        return {"scores": scores, "again": scores, "after": scores + 1}


class Around(nn.Module):
    """What a model answers as a dictionary, and a list, gone through by somebody else."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Twice()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.inner(x)
        both = [found["after"], found["scores"]]
        return both[1] * 2


def test_tensor_that_is_taken_out_of_a_dictionary_is_who_it_was(tmp_path: Path) -> None:
    source = _opened(Around(), torch.linspace(-1, 1, 6).reshape(2, 3))
    found = _in_file(source, tmp_path, "script").intermediates(source.example)
    assert [each.operator for each in found] == ["aten::linear", "aten::add", "aten::mul"]
    assert found[-1].inputs == (found[0].name,)


@pytest.mark.parametrize("format_", ["model", "pt2", "script"])
def test_tensor_that_is_two_outputs_is_told_by_both_names(tmp_path: Path, format_: str) -> None:
    source = _opened(Twice(), torch.linspace(-1, 1, 6).reshape(2, 3))
    looked_into = source if format_ == "model" else _in_file(source, tmp_path, format_)
    found = {each.name: each for each in looked_into.intermediates(source.example)}
    assert list(found)[-3:] == ["scores", "again", "after"]
    (x,) = source.example.values()
    head = source.model.head
    want = x @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    for name in ("scores", "again"):
        np.testing.assert_allclose(found[name].value, want, rtol=1e-6)
    assert found["scores"].operator == "aten::linear"
    assert (found["again"].operator, found["again"].inputs) == ("Identity", ("scores",))
    assert "scores" in found["after"].inputs


class Untraceable(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * float(np.asarray(x.detach()).sum()) if float(x.sum()) > 0 else x


def test_a_model_that_torch_export_refuses_says_so() -> None:
    source = open_torch(Untraceable(), Given(example=torch.ones(2, 3)))
    with pytest.raises(UsageError, match=r"torch\.export does not take the model"):
        source.intermediates(source.example)
