"""`deploy check` beyond golden inputs: faults that golden inputs do not show, at live endpoints, and the honest ones beside them."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Deploy
from documents import valid
from proxies import proxy

from deploy_agreement import Agreement, Check, Noise, Report
from deploy_agreement.probing.inputs import drawn_inputs
from deploy_core.artifact import Artifact
from deploy_core.errors import EndpointError, ExportError, InputError, UsageError
from deploy_core.signature import Signature, TensorSpec
from deploy_model_store import Golden, Record, Store
from deploy_toolkit.flows import check, serve
from deploy_toolkit.flows.check.inquiry import Inquiry
from deploy_toolkit.flows.check.probing import probes_of
from deploy_toolkit.flows.check.rows import row_of
from deploy_toolkit.flows.check.wanted import Wanted
from deploy_toolkit.flows.subjects import Subject
from deploy_toolkit.reports.check import legend
from deploy_toolkit.reports.check.matrix import matrix

SIGNATURE = Signature(
    (TensorSpec("x", "float32", ("batch", 3)), TensorSpec("n", "int64", ("batch",))),
    (TensorSpec("y", "float32", ("batch", 2)), TensorSpec("m", "int64", ("batch",))),
)
WEIGHTS = np.random.default_rng(1).normal(size=(3, 2)).astype(np.float32)
_RANDOM = np.random.default_rng(0)
INPUTS = {"x": _RANDOM.normal(size=(64, 3)).astype(np.float32), "n": _RANDOM.integers(0, 9, 64)}
# None of the golden rows, but one of the first that are drawn.
RARE = float(drawn_inputs(SIGNATURE, INPUTS, 64)["x"][5, 0])
Change = Callable[[dict[str, Any], dict[str, Any], int], dict[str, Any]]


def write(path: Path, *, clamped: bool = False) -> Path:
    """y = x · w, m = n - 1; `clamped` to numbers, so that there is no NaN."""
    from onnx import TensorProto, helper, save

    values = [("x", TensorProto.FLOAT, ["batch", 3]), ("n", TensorProto.INT64, ["batch"])]
    answers = [("y", TensorProto.FLOAT, ["batch", 2]), ("m", TensorProto.INT64, ["batch"])]
    weights = helper.make_tensor("w", TensorProto.FLOAT, [3, 2], WEIGHTS.ravel().tolist())
    one = helper.make_tensor("one", TensorProto.INT64, [], [1])
    nodes = [helper.make_node("MatMul", ["x", "w"], ["right"]), helper.make_node("Sub", ["n", "one"], ["m"])]
    nodes += [helper.make_node("IsNaN", ["right"], ["nan"]), helper.make_node("Where", ["nan", "zero", "right"], ["y"])]
    nodes = nodes if clamped else [helper.make_node("MatMul", ["x", "w"], ["y"]), nodes[1]]
    zero = helper.make_tensor("zero", TensorProto.FLOAT, [], [0])
    infos = [[helper.make_tensor_value_info(*each) for each in side] for side in (values, answers)]
    graph = helper.make_graph(nodes, "both", *infos, [weights, one, *([zero] if clamped else [])])
    path.parent.mkdir(parents=True, exist_ok=True)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """both@1 with an ONNX file and a reference, bare@1 with the file alone."""
    shelf = Store(tmp_path_factory.mktemp("probes") / "models")
    golden = Golden(INPUTS, {"y": INPUTS["x"] @ WEIGHTS, "m": INPUTS["n"] - 1}, {"y": np.float64(1e-7)}, "float64")
    for name in ("both", "bare"):
        with shelf.staging(name) as staged:
            files = [staged / "onnx" / "model.onnx", staged / "reference" / "model.onnx"]
            for file in files[: 2 if name == "both" else 1]:
                write(file)
            reference = Artifact("onnx", files[1], SIGNATURE) if name == "both" else None
            artifacts = (Artifact("onnx", files[0], SIGNATURE),)
            shelf.publish(staged, name, Record("a training", SIGNATURE, {}, artifacts, reference), golden)
    return shelf.root


def rows_of(asked: dict[str, Any]) -> list[list[float]]:
    return list(asked["inputs"]["x"])


def passing_on(asked: dict[str, Any], answer: dict[str, Any], connection: int) -> dict[str, Any]:
    return answer


def on_one_input(asked: dict[str, Any], answer: dict[str, Any], connection: int) -> dict[str, Any]:
    for row, got in zip(rows_of(asked), answer["outputs"]["y"], strict=True):
        if np.float32(row[0]) == np.float32(RARE):
            got[0] += 0.01
    return answer


def null_for_nan(asked: dict[str, Any], answer: dict[str, Any], connection: int) -> dict[str, Any]:
    rows = [[None if value != value else value for value in row] for row in answer["outputs"]["y"]]
    return {"outputs": {**answer["outputs"], "y": rows}}


def through_float64(asked: dict[str, Any], answer: dict[str, Any], connection: int) -> dict[str, Any]:
    return {"outputs": {**answer["outputs"], "m": [int(float(value)) for value in answer["outputs"]["m"]]}}


def one_bad_of_two(asked: dict[str, Any], answer: dict[str, Any], connection: int) -> dict[str, Any]:
    if connection % 2:
        return answer
    return {"outputs": {**answer["outputs"], "y": [[value * 1.01 for value in row] for row in answer["outputs"]["y"]]}}


FAULTS: dict[str, Change] = {
    "passing-on": passing_on,
    "on-one-input": on_one_input,
    "null-for-nan": null_for_nan,
    "through-float64": through_float64,
    "one-bad-of-two": one_bad_of_two,
}
SHOWS = {
    "on-one-input": ("drawn", "'y' is off by 0.01"),
    "null-for-nan": ("edges", "NaN in one place"),
    "through-float64": ("edges", "integers that no float64 holds"),
}


@pytest.fixture(scope="module")
def report(store: Path) -> Generator[tuple[Report, dict[str, str]]]:
    with ExitStack() as stack:
        running = stack.enter_context(serve.serving(serve.Request(("both",)), store=store))
        rest = next(one for one in running.endpoints if (one.dialect, one.transport) == ("tfserving", "rest"))
        found = {name: str(stack.enter_context(proxy(rest, change))) for name, change in FAULTS.items()}
        yield check.check(check.Request(("both", *found.values())), store=store), found


def named(report: Report, subject: str) -> Agreement:
    (row,) = [row for row in report.rows if row.subject == subject]
    return row


def made(row: Agreement, name: str) -> Check:
    (found,) = [each for each in row.checks if each.name == name]
    return found


def test_the_honest_are_not_accused(report: tuple[Report, dict[str, str]]) -> None:
    found, urls = report
    assert found.by == "golden outputs of both@1"
    for subject in ("both@1/onnx", "both@1/reference", urls["passing-on"]):
        row = named(found, subject)
        assert row.ok, row.why
    checks = {each.name: each.verdict for each in named(found, urls["passing-on"]).checks}
    assert checks == dict.fromkeys(("drawn", "again", "order", "at once", "one of many", "edges"), "agree")
    assert made(named(found, "both@1/onnx"), "drawn").rows >= 64


@pytest.mark.parametrize("fault", SHOWS)
def test_what_golden_inputs_do_not_show_is_found(fault: str, report: tuple[Report, dict[str, str]]) -> None:
    found, urls = report
    row = named(found, urls[fault])
    name, said = SHOWS[fault]
    assert all(output.ok for output in row.outputs), "golden inputs show it"
    assert not row.ok
    assert made(row, name).verdict == "disagree"
    assert said in made(row, name).said
    assert f"{name}: " in row.why
    assert found.exit_code == 4


def test_one_bad_server_among_two_is_found(report: tuple[Report, dict[str, str]]) -> None:
    found, urls = report
    row = named(found, urls["one-bad-of-two"])
    assert not row.ok
    assert made(row, "one of many").verdict == "disagree"


def test_every_way_to_a_server_is_compared_and_one_of_them_searched(store: Path, tmp_path: Path) -> None:
    request = check.Request(("both",), servers=("embedded",), search=0.1, found=tmp_path)
    found = check.check(request, store=store)
    assert found.ok
    first, *others = [row for row in found.rows if "://" in row.subject]
    assert len(others) == 5
    assert set(matrix(found).checks) <= set(legend.CHECKS), "who sees the name of a check is told what it asks"
    assert "transports" not in {each.name for each in first.checks}
    for row in others:
        way = made(row, "transports")
        assert way.verdict == "agree" or "there was no time for" in way.said, way.said
        binary = row.subject.startswith(("oip+rest", "torchserve+rest"))
        assert ("its own binary form" in way.said) == binary
        assert way.rows > 8
        said = f"it was searched through {first.subject}, another way to the same server"
        assert (made(row, "search").verdict, made(row, "search").said) == ("skipped", said)
    assert made(first, "search").verdict == "agree"
    assert [one.subject for one in found.worst] == ["both@1/onnx", first.subject]


def test_own_inputs_are_asked_beside_the_golden_ones(deploy: Deploy, store: Path, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    for number in range(2):
        np.savez(folder / f"{number}.npz", x=np.full((3, 3), number, np.float32), n=np.arange(3) + 10**12)
    done = deploy("check", "both", "--inputs", folder, "--seed", "7", "--json", "--store", store)
    assert done.returncode == 0, done.stderr
    document = valid(done.stdout, "agreement-1")
    (row, _) = document["rows"]
    assert row["rows"] == 64
    assert [each["rows"] for each in row["checks"] if each["name"] == "given"] == [3, 3]
    json.loads(done.stdout)


NAN = np.array([[0.5, 1, 2], [np.nan, 1, 2], [np.inf, -np.inf, 1]], np.float32)  # the last makes NaN of infinities


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """One file as another, and one that has a number for NaN."""
    folder = tmp_path_factory.mktemp("nan")
    made = [write(folder / f"{name}.onnx", clamped=name == "clamped") for name in ("one", "same", "clamped")]
    return {path.stem: str(path) for path in made}


@pytest.mark.parametrize("stored", [True, False])
def test_nan_is_right_where_it_is_wanted_whoever_gives_the_right_answers(
    stored: bool, store: Path, files: dict[str, str]
) -> None:
    first = "both" if stored else files["one"]
    own = {"mine.npz": {"x": NAN, "n": np.arange(3)}}
    found = check.check(check.Request((first, files["same"], files["clamped"]), inputs=own), store=store)
    same, clamped = named(found, files["same"]), named(found, files["clamped"])
    assert same.ok, same.why
    assert not clamped.ok
    assert "output 'y' is 0 at [1, 0] where NaN is wanted" in clamped.why
    assert "inf" not in clamped.why
    if not stored:
        drawn = made(same, "drawn")
        assert (drawn.verdict, drawn.rows >= 64) == ("agree", True)
        assert all(output.compared for output in drawn.outputs)
    valid(json.dumps(found.to_json(), allow_nan=False), "agreement-1")


def test_nan_alone_is_no_agreement(store: Path, files: dict[str, str]) -> None:
    own = {"mine.npz": {"x": np.full((3, 3), np.nan, np.float32), "n": np.arange(3)}}
    with pytest.raises(ExportError, match=r"mine\.npz: the right answers are NaN in all 6 values of output 'y'"):
        check.check(check.Request((files["one"], files["same"]), inputs=own), store=store)
    found = check.check(check.Request(("both", files["clamped"]), inputs=own), store=store)
    given = made(named(found, "both@1/onnx"), "given")
    assert given.verdict == "skipped"
    assert given.said == "mine.npz: output 'y' is NaN, as it should be, and nothing else in 3 rows"
    assert made(named(found, files["clamped"]), "given").verdict == "disagree"


def test_without_a_reference_it_is_told_why_nothing_is_drawn(store: Path) -> None:
    (row,) = check.check(check.Request(("bare",)), store=store).rows
    assert row.ok
    assert made(row, "drawn").verdict == made(row, "edges").verdict == "skipped"
    assert "no reference is kept" in made(row, "drawn").said
    with pytest.raises(UsageError, match="bare@1 keeps no reference"):
        check.check(check.Request(("bare",), inputs={"x.npz": INPUTS}), store=store)


class Falling:
    """Answers the golden inputs, and nothing more; with `after=0` not even these."""

    def __init__(self, status: int | None, after: int = 1) -> None:
        self.signature = SIGNATURE
        self.status = status
        self.after = after
        self.asked = 0

    def predict(self, inputs: Any) -> Any:
        """Answer so often."""
        self.asked += 1
        if self.asked > self.after:
            raise EndpointError("it is gone", status=self.status)
        return {"y": inputs["x"] @ WEIGHTS, "m": inputs["n"] - 1}

    def close(self) -> None:
        """Nothing is held."""


@pytest.mark.parametrize(("status", "verdict"), [(None, "disagree"), (500, "disagree"), (503, "told")])
def test_what_answers_golden_inputs_once_does_not_agree(status: int | None, verdict: str) -> None:
    right = Wanted("y", INPUTS, {"y": INPUTS["x"] @ WEIGHTS, "m": INPUTS["n"] - 1}, Noise({}, "none"), batches=())
    row = row_of(Subject("it", partial(Falling, status)), Inquiry(check.Request(("it",)), right))
    assert {made(row, name).verdict for name in ("again", "order")} == {verdict}
    assert row.ok == (verdict == "told")


def test_nothing_is_nothing_to_compare(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is nothing to compare"):
        check.check(check.Request(()), store=tmp_path)


def test_own_inputs_that_do_not_fit_are_refused(store: Path) -> None:
    with pytest.raises(InputError, match="missing n"):
        check.check(check.Request(("both",), inputs={"x.npz": {"x": INPUTS["x"]}}), store=store)


def test_own_inputs_without_rows_are_refused(store: Path) -> None:
    none = {name: array[:0] for name, array in INPUTS.items()}
    with pytest.raises(InputError, match="it holds no rows"):
        check.check(check.Request(("both",), inputs={"x.npz": none}), store=store)


def test_own_inputs_of_which_the_reference_takes_none_are_told_and_no_agreement() -> None:
    right = Wanted(
        "y", INPUTS, {"y": INPUTS["x"] @ WEIGHTS, "m": INPUTS["n"] - 1}, Noise({}, "none"),
        reference=partial(Falling, None, after=0),
    )  # fmt: skip
    asked = check.Request(("it",), inputs={"mine.npz": dict(INPUTS)})
    with pytest.raises(InputError, match="the reference refuses the given inputs: mine"):
        probes_of(right, asked)


def test_a_reference_that_was_changed_vouches_for_nothing(store: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "models"
    shutil.copytree(store, copy)
    file = copy / "both" / "1" / "reference" / "model.onnx"
    file.chmod(0o644)
    file.write_bytes(file.read_bytes() + b"\n")
    found = check.check(check.Request(("both",)), store=copy)
    honest = named(found, "both@1/onnx")
    assert made(honest, "drawn").verdict == "skipped"
    assert "cannot be asked" in made(honest, "drawn").said
    assert not named(found, "both@1/reference").ok


def test_an_empty_folder_of_inputs_is_told(deploy: Deploy, store: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    done = deploy("check", "both", "--inputs", "none", "--store", store)
    assert done.returncode == 2
    assert "holds no .npz file" in done.stderr
