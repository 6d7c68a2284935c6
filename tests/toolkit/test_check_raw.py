"""`deploy check --raw`: what training did with raw bytes, what the steps do that are served, and what servers answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Deploy
from raw_store import LABELS, SIGNATURE, STEPS, by_hand, jpeg, publish, write_onnx

import deploy_toolkit
from deploy_agreement import Skew, StepSkew
from deploy_core import state
from deploy_core.endpoint import Endpoint
from deploy_core.errors import EndpointError, TamperedError, UsageError
from deploy_exporters.worker import Workers
from deploy_model_store import Store
from deploy_toolkit.flows import raw, serve
from deploy_toolkit.flows.access import USUAL
from deploy_toolkit.flows.check import check
from deploy_toolkit.flows.check import skew as skewing
from deploy_toolkit.flows.check.request import Request
from deploy_toolkit.flows.check.skew import skew
from deploy_toolkit.flows.subjects import Subject

TRAINING = """
import io
import numpy as np
from PIL import Image

def prepare(data: bytes):
    image = Image.open(io.BytesIO(data)).convert("RGB").resize((8, 8), Image.Resampling.BILINEAR)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    return {"image": ((np.asarray(image) / 255 - mean) / std).transpose(2, 0, 1)[None].astype(np.float32)}

def opened(path):
    return Image.open(path).convert("RGB")

def smaller(image):
    return image.resize((8, 8), Image.Resampling.BILINEAR)

def numbers(image):
    return (np.asarray(image) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]

one_by_one = [opened, smaller, numbers, lambda array: array.transpose(2, 0, 1)[None].astype(np.float32)]
steps = [{"step": "decode"}, {"step": "batch"}]
broken = [opened, lambda image: 1 / 0]
nothing = 3
"""
MISTAKES: dict[str, tuple[list[dict[str, Any]], str, str]] = {
    "bgr": ([STEPS[0], {"step": "color", "to": "bgr"}, *STEPS[1:]], "color", "training has"),
    "filter": (
        [STEPS[0], {**STEPS[1], "as": "opencv"}, *STEPS[2:]],
        "resize",
        "training uses bilinear with antialias (Pillow), serving bilinear without antialias (OpenCV)",
    ),
    "mean": ([*STEPS[:3], *STEPS[4:]], "normalize", "training has mean and std of ImageNet, serving has none"),
}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The model with the right steps, and with one mistake each; beside it the training side and raw files."""
    store = Store(tmp_path_factory.mktemp("raw"))
    publish(store, "seen", STEPS)
    for name, (steps, _, _) in MISTAKES.items():
        publish(store, name, steps)
    beside = store.root.parent / "beside"
    beside.mkdir()
    (beside / "training.py").write_text(TRAINING)
    for seed, size in enumerate([(40, 56), (30, 25)]):
        (beside / f"{seed}.jpg").write_bytes(jpeg(*size, seed))
    return store


@pytest.fixture(scope="module")
def beside(shelf: Store) -> Path:
    return shelf.root.parent / "beside"


@pytest.fixture(scope="module")
def hands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    with Workers(tmp_path_factory.mktemp("logs")) as started:
        for kind in ("source", "runtime"):  # at once, so that no test seems to leave them behind
            started.call(kind, "os:getpid")
        yield started


@contextmanager
def serving(shelf: Store, server: str, *names: str) -> Iterator[list[Subject]]:
    with serve.serving(serve.Request(names, server), store=shelf.root) as running:
        yield [
            Subject(str(endpoint), partial(USUAL.client, endpoint), endpoint=endpoint) for endpoint in running.endpoints
        ]


def asked(shelf: Store, name: str, hands: Workers, todo: list[Subject], *files: Path, training: str = "") -> Skew:
    request = Request((name,), raw=files, preprocess=training)
    return skew(shelf.resolve(name), todo, request, hands, lambda text: None)


def files_of(beside: Path) -> tuple[Path, Path]:
    return beside / "0.jpg", beside / "1.jpg"


def test_both_sides_and_the_embedded_server_agree(shelf: Store, beside: Path, hands: Workers) -> None:
    with serving(shelf, "embedded", "seen") as todo:
        found = asked(shelf, "seen", hands, todo, *files_of(beside), training=f"{beside}/training.py:prepare")
        alone = asked(shelf, "seen", hands, todo, *files_of(beside))
    assert found.ok, found
    assert (found.files, found.first, len(found.steps)) == (2, "", 1 + 6)
    assert all(step.off is not None and step.off <= step.limit < 1e-4 for step in found.steps[1:])
    assert alone.ok
    assert len(alone.steps) == 6
    assert "nothing is known of training" in alone.said


@pytest.mark.xdist_group("torchserve")
def test_torchserve_answers_raw_bytes_as_the_reference_does(shelf: Store, beside: Path, hands: Workers) -> None:
    training = f"{beside}/training.py:prepare"
    with serving(shelf, "torchserve", "seen") as todo:
        found = asked(shelf, "seen", hands, todo, *files_of(beside), training=training)
        # An archive with one mistake stands where another model is wanted: the same server, asked as it were the other.
        planted = asked(shelf, "filter", hands, todo, *files_of(beside), training=training)
    assert found.ok, found
    assert [step.step.partition(":")[0] for step in found.steps[1:]] == [
        "answer of torchserve+rest",
        "answer of torchserve+grpc",
    ]
    assert (planted.ok, planted.first) == (False, "resize")


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_step_is_named(shelf: Store, beside: Path, hands: Workers, mistake: str) -> None:
    found = asked(shelf, mistake, hands, [], *files_of(beside), training=f"{beside}/training.py:prepare")
    _, first, said = MISTAKES[mistake]
    assert (found.ok, found.first) == (False, first)
    assert said in found.said


def test_a_server_with_other_steps_than_training_is_found_by_its_answers(
    shelf: Store, beside: Path, hands: Workers
) -> None:
    with serving(shelf, "embedded", "mean") as todo:
        found = asked(shelf, "mean", hands, todo, *files_of(beside), training=f"{beside}/training.py:prepare")
    assert not found.ok
    answers = [step for step in found.steps if step.step.startswith("answer of")]
    assert len(answers) == 6
    assert not any(step.ok for step in answers)


def test_functions_of_training_one_by_one(shelf: Store, beside: Path, hands: Workers) -> None:
    training = f"{beside}/training.py:one_by_one"
    found = asked(shelf, "seen", hands, [], *files_of(beside), training=training)
    assert found.ok
    assert [step.said for step in found.steps] == [
        "training: opened", "training: smaller", "training: numbers", "training: <lambda>",
    ]  # fmt: skip
    other = asked(shelf, "filter", hands, [], *files_of(beside), training=training)
    assert other.first == "resize"


@pytest.mark.parametrize(
    ("attribute", "said"),
    [("nothing", "is int, which prepares nothing"), ("steps", "are steps, and the version has its own"),
     ("absent", "there is no attribute 'absent'"), ("broken", "raised ZeroDivisionError")],
)  # fmt: skip
def test_what_is_no_training_side_is_told(
    shelf: Store, beside: Path, hands: Workers, attribute: str, said: str
) -> None:
    with pytest.raises(Exception, match=said):
        asked(shelf, "seen", hands, [], *files_of(beside), training=f"{beside}/training.py:{attribute}")


def test_nothing_to_compare_is_told(shelf: Store, beside: Path, hands: Workers) -> None:
    with pytest.raises(UsageError, match="nothing is known of what training makes of these files: seen@1 keeps none"):
        asked(shelf, "seen", hands, [], *files_of(beside))


def told_by(monkeypatch: pytest.MonkeyPatch, *answers: Any) -> list[Subject]:
    """Stand in for an endpoint that answers so to one file after the other."""
    given = iter(answers)

    def answer(*_: Any) -> Any:
        found = next(given)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(skewing, "answer_to", answer)
    endpoint = Endpoint.parse("oip+rest://127.0.0.1:1/seen")
    return [Subject("it", partial(USUAL.client, endpoint), endpoint=endpoint)]


def test_a_wrong_answer_is_not_hidden_by_a_refusal(
    shelf: Store, beside: Path, hands: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = {name: array[:1] + 1 for name, array in shelf.resolve("seen").golden.outputs.items()}
    todo = told_by(monkeypatch, wrong, EndpointError("the second it refuses", status=400))
    found = asked(shelf, "seen", hands, todo, *files_of(beside))
    assert not found.ok
    assert "the second it refuses" in found.said


def test_endpoints_that_take_no_raw_bytes_prove_nothing(
    shelf: Store, beside: Path, hands: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    todo = told_by(monkeypatch, EndpointError("unknown", status=404))
    with pytest.raises(UsageError, match="none of the endpoints takes raw bytes"):
        asked(shelf, "seen", hands, todo, *files_of(beside))


def test_an_endpoint_that_answers_nothing_is_no_skew() -> None:
    agrees = StepSkew("input of the model", 0.0, 0.0, 1.0, ok=True)
    silent = StepSkew("answer of it", None, None, 1.0, ok=False, said="it cannot be reached")
    found = Skew(1, (agrees, silent), first="answer of it", said="answer of it: it cannot be reached")
    assert not found.ok
    left = skewing.of_those_asked(found, ["it"])
    assert left is not None
    assert (left.ok, left.first, left.said) == (True, "", found.said)
    assert skewing.of_those_asked(Skew(1, (silent,), first=silent.step), ["it"]) is None
    wrong = replace(silent, off=3.0)
    assert skewing.of_those_asked(replace(found, steps=(agrees, wrong)), ["it"]) == replace(
        found, steps=(agrees, wrong)
    )
    assert skewing.of_those_asked(found, ["another"]) == found


def test_a_raw_file_that_is_not_there_is_told_before_anything_is_checked(shelf: Store, tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(UsageError, match=r"absent\.jpg cannot be read"):
        check(Request(("seen",), raw=(tmp_path / "absent.jpg",)), store=shelf.root, on_event=said.append)
    assert not [each for each in said if each.startswith("checking")]


def test_a_version_keeps_what_training_answered(shelf: Store, beside: Path, tmp_path: Path) -> None:
    """Stored with its steps, its labels and the answers of training, it is checked without the code; formats may follow."""
    write_onnx(tmp_path / "kept.onnx")
    (tmp_path / "labels.txt").write_text("\n".join(LABELS))
    exported = deploy_toolkit.export(
        tmp_path / "kept.onnx",
        to="onnx",
        name="kept",
        inputs=str(SIGNATURE.inputs[0]),
        preprocess=[*STEPS],
        labels=tmp_path / "labels.txt",
        store=tmp_path / "store",
    )
    assert exported.version.record.preprocessing["steps"][1]["size"] == [8, 8]
    (tmp_path / "steps.json").write_text(json.dumps(STEPS))
    deploy_toolkit.export(
        tmp_path / "kept.onnx",
        to="onnx",
        name="known",
        preprocess=(str(tmp_path / "steps.json"), f"{beside}/training.py:prepare"),
        labels=tmp_path / "labels.txt",
        raw=[beside / "0.jpg"],
        store=tmp_path / "store",
    )
    grown = deploy_toolkit.export("known", to="mar", store=tmp_path / "store")
    assert grown.version.record.labels == {"output": "scores", "names": list(LABELS)}
    kept = raw.stored(grown.version)
    assert [one.name for one in kept] == ["0.jpg"]
    np.testing.assert_allclose(kept[0].last, by_hand(jpeg(40, 56, 0)), atol=1e-6)
    from deploy_exporters.formats import mar

    archive = mar.load(grown.version.artifact("mar").path)
    try:
        (answer,) = archive.handle([{"body": bytearray((beside / "1.jpg").read_bytes())}])
    finally:
        archive.close()
    assert set(answer) <= set(LABELS)
    with Workers(state.logs()) as hands:
        found = skew(grown.version, [], Request(("known",)), hands, lambda text: None)
        assert (found.ok, found.files) == (True, 1)
        file = grown.version.path / "preprocessing" / "0.jpg"
        file.chmod(0o644)
        file.write_bytes(jpeg(40, 56, 5))
        with pytest.raises(TamperedError, match=r"preprocessing/0\.jpg is changed"):
            skew(grown.version, [], Request(("known",)), hands, lambda text: None)


def test_on_the_command_line_it_disagrees_with_exit_code_4(shelf: Store, beside: Path, deploy: Deploy) -> None:
    done = deploy(
        "check", "filter@1", "--store", shelf.root, "--raw", beside / "0.jpg",
        "--preprocess", f"{beside}/training.py:prepare", "--json",
    )  # fmt: skip
    report = json.loads(done.stdout)
    assert done.returncode == 4, done.stderr
    assert report["skew"]["first"] == "resize"
    assert all(row["ok"] for row in report["rows"])


def test_mistakes_are_told_before_anything_is_stored(tmp_path: Path) -> None:
    write_onnx(tmp_path / "seen.onnx")
    (tmp_path / "labels.txt").write_text("\n".join(["cat", *LABELS[1:-1], "cat"]))
    export = partial(deploy_toolkit.export, tmp_path / "seen.onnx", to="onnx", store=tmp_path / "store")
    with pytest.raises(UsageError, match="'cat' is there twice"):
        export(labels=tmp_path / "labels.txt")
    with pytest.raises(UsageError, match="the steps do not make what the model takes"):
        export(preprocess=STEPS[:-2])
    with pytest.raises(UsageError, match="--raw keeps answers of the training side"):
        export(preprocess=STEPS, raw=[tmp_path / "seen.onnx"])
    assert not Store(tmp_path / "store").names()
