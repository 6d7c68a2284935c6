"""What is a source and what is not; each mistake one sentence with the right exit code."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy_core.errors import DeployError, ExportError, UnsafeError, UsageError
from deploy_core.signature import TensorSpec
from deploy_exporters import sources
from deploy_exporters.export import OpenedSource, Order, export, open_source
from deploy_exporters.formats import hosted
from deploy_exporters.sources import handover
from deploy_exporters.worker import Workers

HERE = Path(__file__).parent
TORCH = HERE / "torch_models.py"
KERAS = HERE / "keras_models.py"
SPEC = (TensorSpec.parse("x:float32[batch,6]"),)


@pytest.fixture(scope="module")
def opener(tmp_path_factory: pytest.TempPathFactory) -> Generator[Workers]:
    with Workers(tmp_path_factory.mktemp("logs")) as workers:
        for kind in ("source", "runtime"):  # at once, so that no test seems to leave them behind
            workers.call(kind, "os:getpid")
        yield workers


def opened(workers: Workers, text: str, **options: Any) -> OpenedSource:
    return open_source(workers, sources.find(text), **options)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nowhere.py:net", "there is no file nowhere.py"),
        (str(TORCH), "names no attribute"),
        ("nowhere.keras", "there is no file nowhere.keras"),
        ("model.xyz", "'model.xyz' is not a source"),
        ("model.h5", "is not a source"),
        ("", "is not a source"),
    ],
)
def test_find_refuses(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        sources.find(text)
    assert caught.value.hint


def test_find_reads_scripts_modules_and_files(tmp_path: Path) -> None:
    (tmp_path / "net.keras").touch()
    script = sources.find(f"{TORCH}:simple")
    assert (script.path, script.attribute) == (TORCH, "simple")
    module = sources.find("package.module:models.net")
    assert (module.module, module.attribute) == ("package.module", "models.net")
    assert sources.find(str(tmp_path / "net.keras")).path == tmp_path / "net.keras"


@pytest.mark.parametrize(
    ("text", "words", "code"),
    [
        (f"{TORCH}:nothing", "there is no attribute 'nothing'", 2),
        (f"{TORCH}:not_a_model", "of type int, which is no model", 2),
        (f"{TORCH}:SimpleNet", "the class SimpleNet, which is no model", 2),
        (f"{TORCH}:simple", "does not say what inputs it takes", 2),
        (f"{TORCH}:nan", "output 'output' of the source model is NaN", 3),
        (f"{TORCH}:frozen", r"answers x:float32\[2, 6\] but not x:float32\[3, 6\]", 3),
        (f"{TORCH}:frozen_program", r"is frozen: it takes x:float32\[2,6\]", 3),
        (f"{TORCH}:raises", "the function raised ValueError: no weights today", 3),
        ("there_is_no_such_module:net", "there is no module 'there_is_no_such_module'", 2),
    ],
)
def test_opening_refuses(opener: Workers, text: str, words: str, code: int) -> None:
    with pytest.raises(DeployError, match=words) as caught:
        opened(opener, text)
    assert caught.value.exit_code == code
    assert caught.value.hint


def test_a_script_that_cannot_be_imported(opener: Workers, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import a_library_that_is_not_there\n")
    with pytest.raises(UsageError, match="there is no module 'a_library_that_is_not_there'"):
        opened(opener, f"{tmp_path}/broken.py:net")
    (tmp_path / "wrong.py").write_text("1 / 0\n")
    with pytest.raises(UsageError, match=r"could not be imported: ZeroDivisionError"):
        opened(opener, f"{tmp_path}/wrong.py:net")


@pytest.mark.parametrize(
    ("example", "words"),
    [
        ({"x": np.zeros((2, 5), np.float32)}, r"cannot run on the example inputs x:float32\[2, 5\]"),
        ({"x": np.zeros((2, 6))}, r"cannot run on the example inputs x:float64\[2, 6\]"),
        ({"y": np.zeros((2, 6), np.float32)}, "unknown y; missing x"),
        ({"x": np.zeros((0, 6), np.float32)}, "the example inputs are empty"),
    ],
)
def test_a_wrong_example(opener: Workers, example: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        opened(opener, f"{TORCH}:simple", example=example)


def test_wrong_specs_and_names(opener: Workers) -> None:
    with pytest.raises(UsageError, match="no batch among its dimensions") as caught:
        opened(opener, f"{TORCH}:simple", inputs=(TensorSpec.parse("x:float32[4,6]"),))
    assert "x:float32[batch,6]" in caught.value.hint
    with pytest.raises(UsageError, match="2 output names are given, the model has 1 outputs"):
        opened(opener, f"{TORCH}:simple", inputs=SPEC, outputs=("a", "b"))


def test_specs_stand_for_an_example_and_names_can_be_given(opener: Workers) -> None:
    source = opened(opener, f"{TORCH}:simple", inputs=SPEC, outputs=("price",))
    assert source.kind == "torch"
    assert [str(spec) for spec in source.signature.outputs] == ["price:float32[batch,1]"]
    assert source.description["parameters"] == 25
    one = source.predict({"x": np.ones((1, 6), np.float32)})["price"]
    assert one.shape == (1, 1)
    source.close()
    source.close()


def test_a_model_is_put_into_eval_mode(opener: Workers) -> None:
    source = opened(opener, f"{TORCH}:dropout")
    inputs = {"x": np.ones((4, 6), np.float32)}
    np.testing.assert_array_equal(source.predict(inputs)["output"], inputs["x"])
    assert source.description["notices"] == ["the model was in train mode; exported in eval mode"]


def test_a_model_that_was_in_eval_mode_brings_no_notice(opener: Workers, tmp_path: Path) -> None:
    import torch

    from deploy_exporters import jit

    model = torch.nn.Linear(6, 1).eval()
    jit.save(jit.script(model), tmp_path / "net.pt", None)
    scripted = open_source(
        opener, sources.find(str(tmp_path / "net.pt")), example={"input": np.ones((2, 6), np.float32)}
    )
    handed = open_source(opener, handover.hand_over(model, tmp_path, torch.ones(2, 6)))
    assert (scripted.kind, handed.source.note) == ("torchscript", "handed over as .pt2")
    assert not {"notices"} & {*scripted.description, *handed.description}


def test_named_tuples_name_outputs(opener: Workers) -> None:
    assert [spec.name for spec in opened(opener, f"{TORCH}:pair").signature.outputs] == ["low", "high"]


def test_a_branch_is_kept_by_script_and_lost_by_trace(opener: Workers, tmp_path: Path) -> None:
    source = opened(opener, f"{TORCH}:branches")
    written = export(opener, source, Order(["torchscript"], tmp_path / "script", "net"))
    assert written.artifacts[0].route == ("torchscript_from_torch (script)",)
    options = {"torchscript": {"method": "trace"}}
    with pytest.raises(ExportError, match="trace: ExportError: the file by trace predicts another 'output'"):
        export(opener, source, Order(["torchscript"], tmp_path / "trace", "net", options=options))


def test_a_pt2_is_the_reference_where_torchscript_fails(opener: Workers, tmp_path: Path) -> None:
    source = opened(opener, f"{TORCH}:cond")
    heard: list[str] = []
    written = export(opener, source, Order(["onnx"], tmp_path, "net"), on_step=heard.append)
    assert written.reference.format == "pt2"
    assert any("no way to TorchScript works" in step for step in heard)
    for artifact in (written.reference, *written.artifacts):
        predictor = hosted(opener, artifact)
        for sign in (1, -1):
            inputs = {"x": np.full((5, 6), sign, np.float32)}
            want = source.predict(inputs)["output"]
            np.testing.assert_allclose(predictor.predict(inputs)["output"], want, rtol=1e-6)
        predictor.close()


def test_a_program_of_torch_export_knows_its_inputs(opener: Workers, tmp_path: Path) -> None:
    source = opened(opener, f"{TORCH}:program")
    specs = "tokens:int64[batch,7] weight:float32[batch,1]"
    assert " ".join(map(str, source.signature.inputs)) == specs
    assert [str(s) for s in source.signature.outputs] == ["scores:float32[batch,4]", "pooled:float32[batch,5]"]
    save = f"import torch, torch_models as m; torch.export.save(m.program(), {str(tmp_path / 'net.pt2')!r})"
    opener.call("source", "builtins:exec", save)
    again = opened(opener, str(tmp_path / "net.pt2"), outputs=("a", "b"))
    assert " ".join(map(str, again.signature.inputs)) == specs
    inputs = {"weight": np.ones((3, 1), np.float32), "tokens": np.arange(21).reshape(3, 7) % 11}
    np.testing.assert_array_equal(again.predict(inputs)["b"], source.predict(inputs)["pooled"])


def test_symbols_beside_the_batch_keep_their_names(opener: Workers, tmp_path: Path) -> None:
    specs = (TensorSpec.parse("x:float32[batch,steps,6]"),)
    source = opened(opener, f"{TORCH}:simple", inputs=specs)
    assert [str(spec) for spec in source.signature.outputs] == ["output:float32[batch,steps,1]"]
    written = export(opener, source, Order(["torchscript", "onnx"], tmp_path, "net"))
    for artifact in written.artifacts:
        predictor = hosted(opener, artifact)
        for rows, steps in ((1, 1), (2, 8), (5, 13)):
            inputs = {"x": np.random.default_rng(0).standard_normal((rows, steps, 6)).astype(np.float32)}
            want = source.predict(inputs)["output"]
            np.testing.assert_allclose(predictor.predict(inputs)["output"], want, rtol=1e-5, atol=1e-6)
        predictor.close()


def test_wrong_option_values(opener: Workers, tmp_path: Path) -> None:
    source = opened(opener, f"{TORCH}:simple_with_example")
    for format_, option, value in (("onnx", "opset", "7"), ("torchscript", "method", "hope")):
        with pytest.raises(UsageError, match=f"{format_}.{option} is '{value}'"):
            export(opener, source, Order([format_], tmp_path, "net", options={format_: {option: value}}))


def test_a_keras_model_handed_over(opener: Workers, tmp_path: Path) -> None:
    code = f"""
import importlib.util, pathlib, pickle, sys
from deploy_exporters import sources
from deploy_exporters.sources import handover
spec = importlib.util.spec_from_file_location("keras_models", {str(KERAS)!r})
models = importlib.util.module_from_spec(spec)
spec.loader.exec_module(models)
source = handover.hand_over(models.simple(), pathlib.Path({str(tmp_path)!r}), None)
assert "torch" not in sys.modules
import keras
class Twice(keras.layers.Layer):
    def call(self, x): return x * 2
own = keras.Sequential([keras.Input((6,), name="x"), Twice()])
assert handover.hand_over(own, pathlib.Path({str(tmp_path / "own")!r}), None).path.exists()
pathlib.Path({str(tmp_path / "source.pkl")!r}).write_bytes(pickle.dumps(source))
"""
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run([sys.executable, "-c", code], check=True, env=quiet, capture_output=True)
    with Workers(tmp_path / "logs") as workers:
        source = open_source(workers, pickle.loads((tmp_path / "source.pkl").read_bytes()))
        assert source.kind == "keras"
        assert [str(spec) for spec in source.signature.inputs] == ["x:float32[batch,6]"]
        with pytest.raises(UnsafeError, match="needs code that it does not hold: Twice") as caught:
            opened(workers, str(tmp_path / "own" / "model.keras"))
        assert "FILE.py:ATTRIBUTE" in caught.value.hint


@pytest.mark.parametrize("scripted", [False, True])
def test_an_input_that_forward_does_not_have_is_told_by_its_arguments(scripted: bool) -> None:
    """Also beside an example, as the request of an archive gives one: the user's word is wrong, not the example's."""
    import torch

    from deploy_exporters import jit
    from deploy_exporters.sources.torch import open_torch
    from deploy_exporters.sources.torchscript import open_torchscript

    model: Any = torch.nn.Linear(6, 1).eval()
    example = {"input": np.ones((2, 6), np.float32)}
    for own in (example, None):
        given = sources.Given(example=own, inputs=SPEC)
        with pytest.raises(UsageError, match=r"^wrong inputs: unknown x; missing input") as raised:
            open_torchscript(jit.script(model), given) if scripted else open_torch(model, given)
        assert raised.value.hint == "the arguments of forward are input"


def test_what_is_no_model_is_refused_also_when_handed_over(opener: Workers, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="of type list, which is no model"):
        open_source(opener, handover.hand_over([1, 2], tmp_path, None))
    with pytest.raises(UsageError, match="cannot be handed to the worker"):
        handover.hand_over((each for each in ()), tmp_path, None)


def test_torch_models_are_handed_over(opener: Workers, tmp_path: Path) -> None:
    import torch

    torch.manual_seed(3)
    model = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.Dropout(0.5), torch.nn.Linear(4, 2)).train()
    example = torch.ones(1, 6)
    source = handover.hand_over(model, tmp_path, example)
    assert source.note == "handed over as .pt2"
    assert model.training, "the caller's model is left as it is"
    found = open_source(opener, source)
    rows = np.random.default_rng(0).standard_normal((5, 6)).astype(np.float32)
    want = model.eval()(torch.from_numpy(rows)).detach().numpy()
    np.testing.assert_allclose(found.predict({"input": rows})["output"], want, rtol=1e-6)
    assert found.predict_float64({"input": rows})["output"].dtype == np.float64
    written = export(opener, found, Order(["torchscript", "onnx"], tmp_path / "files", "net"))
    for artifact in written.artifacts:
        predictor = hosted(opener, artifact)
        np.testing.assert_allclose(predictor.predict({"input": rows})["output"], want, rtol=1e-5, atol=1e-6)
        predictor.close()


def test_a_torch_model_without_example_is_handed_over_as_it_is(opener: Workers, tmp_path: Path) -> None:
    import torch

    source = handover.hand_over(torch.nn.Linear(6, 1), tmp_path, None)
    assert "cloudpickle" in source.note
    with pytest.raises(UsageError, match="does not say what inputs it takes"):
        open_source(opener, source)
    assert open_source(opener, source, inputs=(TensorSpec.parse("input:float32[batch,6]"),)).kind == "torch"


def test_truncated_files(opener: Workers, tmp_path: Path) -> None:
    for name in ("net.keras", "net.pt2"):
        (tmp_path / name).write_bytes(b"PK\x03\x04 and no more")
        with pytest.raises(UsageError, match="cannot be read as"):
            opened(opener, str(tmp_path / name))
