"""Dynamic and fixed dimensions from the export to the endpoint: what is promised is proved, what is frozen is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from command_line import Deploy, run_deploy

import deploy_toolkit
from deploy_agreement import golden_inputs, noise, promise
from deploy_clients import connect
from deploy_core.errors import ExportError
from deploy_core.signature import Signature, TensorSpec
from deploy_exporters import sources, telling
from deploy_exporters.export import Export, Order, open_source
from deploy_exporters.export import export as write
from deploy_exporters.worker import Workers
from deploy_model_store import Golden, Store
from deploy_toolkit.flows import proof, serve

MODELS = Path(__file__).parent / "shape_models.py"
WORDS = ("--input", "ids:int64[batch,seq]", "--input", "mask:float32[batch,seq]")
FILES = ("torchscript", "onnx", "savedmodel", "tflite")


PHONE = ("--set", "tflite.layout=nhwc", "--set", "tflite.integers=int32")
OPTIONS = {
    "words": (*WORDS, "--to", ",".join(FILES)),
    "unet": ("--input", "image:float32[batch,3,height,width]", "--to", "torchscript,onnx"),
    "one_row": ("--static", "--to", f"mar,{','.join(FILES)}"),
    "tagged": (*PHONE, "--to", "tflite"),
}
Shapes = Callable[[str], Path]


@pytest.fixture(scope="module")
def shapes(shared: Callable[[str, Callable[[Path], None]], Path]) -> Shapes:
    """Give the folder with the store of one model, exported when it is first asked for, and the document of that."""
    return lambda name: shared(f"shapes-{name}", lambda folder: _export(folder, name))


def _export(folder: Path, name: str) -> None:
    done = run_deploy(
        "export", f"{MODELS}:{name}", *OPTIONS[name], "--name", name.replace("_", "-"), "--store", folder / "store",
        "--json", cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (folder / "document.json").write_text(done.stdout)


def _document(shapes: Shapes, name: str) -> Any:
    return json.loads((shapes(name) / "document.json").read_text())


def _sizes(promised: Any, symbol: str) -> list[int]:
    return [one["sizes"][symbol] for one in promised["sizes"] if set(one["sizes"]) == {symbol}]


def test_every_file_is_proved_at_every_size(shapes: Shapes) -> None:
    agreement = _document(shapes, "words")["agreement"]
    assert _sizes(agreement["promised"], "seq") == [1, 2, 3, 13, 64]
    for row in agreement["rows"]:
        assert row["batches"] == [64, 1, 2, 3, 7]
        assert row["sizes"] == [{"seq": size} for size in (1, 2, 3, 13, 64)]
    manifest = Store(shapes("words") / "store").resolve("words").agreement
    assert manifest["promised"] == agreement["promised"]


def test_symbols_keep_their_names(shapes: Shapes) -> None:
    version = Store(shapes("words") / "store").resolve("words")
    assert str(version.signature.outputs[0]) == "output:float32[batch,seq,4]"
    model = onnx.load(str(version.artifact("onnx").path))
    for value in model.graph.input:
        assert [dim.dim_param for dim in value.type.tensor_type.shape.dim] == ["batch", "seq"]


def test_a_model_of_multiples_tells_what_it_refuses(shapes: Shapes) -> None:
    promised = _document(shapes, "unet")["agreement"]["promised"]
    assert _sizes(promised, "height") == [64, 32]
    assert {one["size"] for one in promised["refused"] if one["symbol"] == "width"} == {1, 2, 3, 13}
    assert [one["sizes"] for one in promised["sizes"] if len(one["sizes"]) > 1]


def test_check_asks_for_the_same_sizes_again(shapes: Shapes, deploy: Deploy) -> None:
    done = deploy("check", "words", "--json", "--store", shapes("words") / "store")
    assert done.returncode == 0, done.stderr
    for row in json.loads(done.stdout)["rows"]:
        assert row["sizes"] == [{"seq": size} for size in (1, 2, 3, 13, 64)], row


def test_a_range_that_the_source_does_not_take(deploy: Deploy, tmp_path: Path) -> None:
    words = ("export", f"{MODELS}:few_positions", *WORDS, "--to", "torchscript", "--store", tmp_path, "--name", "w")
    done = deploy(*words, "--range", "seq=1..21")
    assert done.returncode == 2
    assert "range of seq ends at 21, which the source model itself does not take" in done.stderr
    done = deploy(*words, "--range", "length=1..9")
    assert (done.returncode, "dynamic dimensions are batch, seq" in done.stderr) == (2, True)
    done = deploy(*words, "--json")
    promised = json.loads(done.stdout)["agreement"]["promised"]
    assert (_sizes(promised, "seq"), [one["size"] for one in promised["refused"]]) == ([1, 2, 3, 13], [64])


def test_a_trace_that_keeps_one_branch_is_no_way_to_write_a_file(deploy: Deploy, tmp_path: Path) -> None:
    source = ("export", f"{MODELS}:branching", "--input", "ids:int64[batch,seq]", "--to", "torchscript")
    done = deploy(*source, "--set", "torchscript.method=trace", "--store", tmp_path, "--name", "b")
    assert done.returncode == 3
    assert "trace: ExportError: the file by trace predicts another 'output' than the source" in done.stderr
    done = deploy(*source, "--store", tmp_path, "--name", "b", "--json")
    assert json.loads(done.stdout)["artifacts"][0]["route"] == ["torchscript_from_torch (script)"]


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Generator[Workers]:
    with Workers(tmp_path_factory.mktemp("logs")) as started:
        for kind in ("source", "runtime", "tensorflow"):  # at once, so that no test seems to leave them behind
            started.call(kind, "os:getpid")
        yield started


def test_a_frozen_sequence_is_found_in_every_format(workers: Workers, tmp_path: Path) -> None:
    """Files whose sequence is a number, passed off as files of the model whose sequence is free."""
    source = sources.find(f"{MODELS}:words")
    frozen = tuple(TensorSpec.parse(text) for text in ("ids:int64[batch,16]", "mask:float32[batch,16]"))
    written = write(workers, open_source(workers, source, inputs=frozen), Order(FILES, tmp_path, "words"))
    free = tuple(TensorSpec.parse(WORDS[at]) for at in (1, 3))
    opened = open_source(workers, source, inputs=free)
    inputs = golden_inputs(opened.signature, opened.example)
    measured = noise(opened, inputs)
    golden = Golden(inputs, opened.predict(inputs), measured.values, measured.origin)
    promised = promise(opened, inputs, measured)
    passed_off = Export(
        tuple(replace(artifact, signature=opened.signature) for artifact in written.artifacts),
        replace(written.reference, signature=opened.signature),
    )
    with pytest.raises(ExportError, match="nothing was stored") as caught:
        proof.prove(workers, opened, passed_off, golden, measured, promised, lambda event: None)
    rows = {row.subject: row for row in caught.value.report.rows}
    assert caught.value.exit_code == 3
    assert "onnx: frozen dimension: it does not answer seq = 1" in str(caught.value)
    found = {name: {problem.kind for problem in row.problems} for name, row in rows.items() if row.problems}
    assert found.keys() >= {"onnx", "savedmodel"}
    assert all(kinds == {"frozen-dimension"} for kinds in found.values())
    # A runtime may take other sizes than its file says: whoever is not named here did answer them all rightly.
    assert all(row.ok and len(row.sizes) == 5 for name, row in rows.items() if name not in found)


def test_a_file_of_other_tensors_is_refused(shapes: Shapes, workers: Workers) -> None:
    artifact = Store(shapes("words") / "store").resolve("words").artifact("onnx")
    telling.require_told(workers, artifact)
    ids, mask = artifact.signature.inputs
    for spec, words in (
        (replace(ids, dtype="int32"), r"input ids:int64\[batch,seq\] instead of ids:int32\[batch,seq\]"),
        (replace(ids, shape=("batch", "seq", 1)), r"instead of ids:int64\[batch,seq,1\]"),
        (replace(ids, name="tokens"), "its inputs are ids, mask, the model's tokens, mask"),
    ):
        other = replace(artifact, signature=Signature((spec, mask), artifact.signature.outputs))
        with pytest.raises(ExportError, match=words):
            telling.require_told(workers, other)


def test_static_fixes_every_dimension_in_every_format(shapes: Shapes, deploy: Deploy) -> None:
    document = _document(shapes, "one_row")
    assert [artifact["signature"]["inputs"][0]["shape"] for artifact in document["artifacts"]] == [[1, 6]] * 5
    assert [row["batches"] for row in document["agreement"]["rows"]] == [[1]] * 6
    version = Store(shapes("one_row") / "store").resolve("one-row")
    assert version.golden.inputs["x"].shape == (1, 6)
    assert "64 rows" in version.golden.noise_origin
    done = deploy("check", "one-row", "--json", "--store", shapes("one_row") / "store")
    assert done.returncode == 0, done.stdout


def test_a_fixed_batch_is_served_in_every_dialect(shapes: Shapes) -> None:
    store = shapes("one_row") / "store"
    golden = Store(store).resolve("one-row").golden
    with serve.serving(serve.Request(("one-row",)), store=store) as running:
        assert len(running.endpoints) >= 5
        for endpoint in running.endpoints:
            client = connect(endpoint)
            np.testing.assert_allclose(client.predict(golden.inputs)["output"], golden.outputs["output"], rtol=1e-5)
            client.close()


def test_what_is_fixed_needs_to_be_asked_for(deploy: Deploy, tmp_path: Path) -> None:
    done = deploy("export", f"{MODELS}:one_row", "--to", "onnx", "--store", tmp_path, "--name", "one")
    assert (done.returncode, "--static" in done.stderr) == (2, True)
    done = deploy("export", f"{MODELS}:words", *WORDS, "--static", "--to", "onnx", "--store", tmp_path, "--name", "w")
    assert (done.returncode, "fixes batch, seq to the sizes of an example" in done.stderr) == (2, True)


def test_what_phones_want_is_told_and_changes_no_answer(shapes: Shapes) -> None:
    from ai_edge_litert.interpreter import Interpreter

    (artifact,) = Store(shapes("tagged") / "store").resolve("tagged").artifacts
    assert {c.tensor: (c.dtype, c.axes) for c in artifact.changes} == {
        "image": ("float32", (0, 2, 3, 1)), "kind": ("int32", ()), "map": ("float32", (0, 2, 3, 1)), "best": ("int32", ()),
    }  # fmt: skip
    interpreter = Interpreter(model_content=artifact.path.read_bytes())
    runner = interpreter.get_signature_runner()
    details = {**runner.get_input_details(), **runner.get_output_details()}
    told = {name: (list(each["shape_signature"]), np.dtype(each["dtype"]).name) for name, each in details.items()}
    assert told["image"] == ([-1, 8, 6, 3], "float32")
    assert told["map"] == ([-1, 4, 3, 2], "float32")
    assert (told["kind"][1], told["best"][1]) == ("int32", "int32")
    first = next(op["op_name"] for op in interpreter._get_ops_details() if op["op_name"] not in ("CAST", "DELEGATE"))
    assert first in ("PAD", "PADV2", "CONV_2D")  # no transpose before the first convolution
    assert "channels last was asked for" in (shapes("tagged") / "document.json").read_text()


def test_a_changed_file_is_served_as_its_source(shapes: Shapes) -> None:
    store = shapes("tagged") / "store"
    version = Store(store).resolve("tagged")
    request = serve.Request(("tagged",), options={"artifact": "tflite"})
    with serve.serving(request, store=store) as running:
        endpoint = next(one for one in running.endpoints if (one.dialect, one.transport) == ("oip", "rest"))
        client = connect(endpoint)
        assert client.signature.inputs[0].shape[1:] == (3, 8, 6)
        answer = client.predict(version.golden.inputs)
        client.close()
    np.testing.assert_array_equal(answer["best"], version.golden.outputs["best"])
    np.testing.assert_allclose(answer["map"], version.golden.outputs["map"], rtol=1e-5, atol=1e-6)
    assert answer["best"].dtype == np.int64


def test_other_values_of_the_options_are_refused(deploy: Deploy, tmp_path: Path) -> None:
    tagged = ("export", f"{MODELS}:tagged", "--to", "tflite", "--store", tmp_path, "--name", "t")
    done = deploy(*tagged, "--set", "tflite.layout=nchw")
    assert (done.returncode, "tflite.layout is 'nchw'" in done.stderr) == (2, True), done.stderr


class Positions(torch.nn.Module):
    """Adds its place to every word."""

    def __init__(self) -> None:
        super().__init__()
        self.words = torch.nn.Embedding(11, 8)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        places = torch.arange(ids.shape[1])[None, :, None]
        return (self.words(ids) + places) * mask.unsqueeze(-1)


def test_a_model_in_memory_keeps_a_length_that_a_trace_would_freeze(tmp_path: Path) -> None:
    model = Positions().eval()
    exported = deploy_toolkit.export(
        model,
        to="torchscript",
        example={"ids": torch.arange(12).reshape(2, 6) % 11, "mask": torch.ones(2, 6)},
        inputs=[WORDS[1], WORDS[3]],
        store=tmp_path,
    )
    assert [dict(sizes) for sizes in exported.report.rows[0].sizes] == [{"seq": size} for size in (1, 2, 3, 13, 64)]
    assert exported.version.artifacts[0].route == ("torchscript_from_torch (export)",)
