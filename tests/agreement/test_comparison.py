from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from deploy_agreement import Agreement, Noise, Report, Terms, compare, golden_inputs, noise, tolerance
from deploy_agreement.figures import deviation
from deploy_core.errors import DeployError, EndpointError, ExportError, InputError, UnavailableError
from deploy_core.signature import Signature, Tensors, TensorSpec

Make = Callable[..., Any]
QUIET = Noise({}, "nothing")
X = {"x": np.random.default_rng(0).normal(size=(64, 6)).astype(np.float32)}


def _sum(inputs: Tensors) -> dict[str, np.ndarray]:
    return {"y": inputs["x"].sum(axis=1, keepdims=True)}


def _kinds(agreement: Agreement) -> set[str]:
    return {problem.kind for problem in agreement.problems}


@pytest.fixture
def against(make: Make) -> Callable[..., Agreement]:
    """Compare a function with `_sum`."""

    def one(answer: Callable[[Tensors], dict[str, np.ndarray]], **options: Any) -> Agreement:
        predictor = make("x:float32[batch,6]", "y:float32[batch,1]", answer)
        return compare("it", _sum(X), predictor, X, noise=QUIET, **options)

    return one


def test_the_same_agrees(against: Callable[..., Agreement]) -> None:
    found = against(_sum)
    assert (found.ok, found.verdict, found.problems, found.rows) == (True, "agree", (), 64)
    assert found.batches == (64, 1, 2, 3, 7)
    (output,) = found.outputs
    assert (output.max_abs, output.max_rel, output.max_ulp, output.needed) == (0, 0, 0, 0)
    assert output.compared == 64 + 3 * (1 + 2 + 3 + 7)


def test_slices_lie_apart_and_reach_the_last_row(make: Make) -> None:
    asked: list[np.ndarray] = []

    def watch(inputs: Tensors) -> dict[str, np.ndarray]:
        asked.append(inputs["x"][:, 0].copy())
        return _sum(inputs)

    compare("it", _sum(X), make("x:float32[batch,6]", "y:float32[batch,1]", watch), X, noise=QUIET)
    assert [len(a) for a in asked] == [64, 1, 1, 1, 2, 2, 2, 3, 3, 3, 7, 7, 7]
    rows = [np.flatnonzero(np.isin(X["x"][:, 0], a)).tolist() for a in asked[1:]]
    assert all(last in (part[-1] for part in rows) for last in (63,))
    assert not any(0 in part for part in rows[:6])
    assert len({row for part in rows for row in part}) >= 25


def test_few_rows_are_repeated_to_try_every_size(make: Make) -> None:
    x = {"x": X["x"][:3]}
    predictor = make("x:float32[batch,6]", "y:float32[batch,1]", _sum)
    assert compare("it", _sum(x), predictor, x, noise=QUIET).ok
    assert set(predictor.asked) == {3, 1, 2, 7}


def test_figures_name_the_worst_place(against: Callable[..., Agreement]) -> None:
    def off(inputs: Tensors) -> dict[str, np.ndarray]:
        y = _sum(inputs)["y"]
        y[inputs["x"][:, 0] == X["x"][17, 0]] += 0.5
        return {"y": y}

    (output,) = against(off).outputs
    assert not output.ok
    assert output.max_abs == pytest.approx(0.5)
    assert output.needed == pytest.approx(0.5)
    assert (output.worst_row, output.worst_batch) == (17, 64)


def test_names(against: Callable[..., Agreement]) -> None:
    found = against(lambda inputs: {"z": _sum(inputs)["y"]})
    assert _kinds(found) == {"missing-output", "extra-output"}
    assert not found.ok
    assert found.outputs[0].max_abs is None
    extra = against(lambda inputs: _sum(inputs) | {"z": np.zeros(3)})
    assert _kinds(extra) == {"extra-output"}
    assert not extra.ok


def test_dtype_and_shape(against: Callable[..., Agreement]) -> None:
    assert _kinds(against(lambda i: {"y": _sum(i)["y"].astype(np.float64)})) == {"dtype"}
    assert _kinds(against(lambda i: {"y": _sum(i)["y"][:, 0]})) == {"shape"}
    assert "[64], not [64, 1]" in against(lambda i: {"y": _sum(i)["y"][:, 0]}).problems[0].message


def test_a_shape_that_is_wrong_at_one_size_only_is_no_agreement(against: Callable[..., Agreement]) -> None:
    found = against(lambda i: {"y": _sum(i)["y"].squeeze(0) if len(i["x"]) == 1 else _sum(i)["y"]})
    assert _kinds(found) == {"shape"}
    assert not found.outputs[0].ok


def test_nan_never_agrees(against: Callable[..., Agreement], make: Make) -> None:
    def nan(inputs: Tensors) -> dict[str, np.ndarray]:
        y = _sum(inputs)["y"]
        y[inputs["x"][:, 0] == X["x"][5, 0]] = np.nan
        return {"y": y}

    found = against(nan, terms=Terms(atol=1e9))
    assert "nan" in _kinds(found)
    assert (found.outputs[0].ok, found.outputs[0].worst_row) == (False, 5)
    predictor = make("x:float32[batch,6]", "y:float32[batch,1]", nan)
    assert not compare("it", nan(X), predictor, X, noise=QUIET).ok


@pytest.mark.parametrize(
    ("want", "got", "said"),
    [
        (0.3125, np.nan, "output 'y' is NaN at [2] where 0.312 is wanted"),
        (np.nan, 2.0, "output 'y' is 2 at [2] where NaN is wanted"),
        (-1.5, np.inf, "output 'y' is infinity at [2] where -1.5 is wanted"),
        (-np.inf, np.inf, "output 'y' is infinity at [2] where minus infinity is wanted"),
        (-np.inf, np.nan, "output 'y' is NaN at [2] where minus infinity is wanted"),
        (1.0, 2.0, "output 'y' is off by 1, tolerated is 1e-06"),
    ],
)
def test_what_is_no_number_is_told_in_words(want: float, got: float, said: str, make: Make) -> None:
    other = make(
        "x:float32[batch]", "y:float32[batch]", lambda i: {"y": np.where(i["x"] == 2, np.float32(got), i["x"])}
    )
    inputs = {"x": np.arange(4, dtype=np.float32)}
    right = {"y": np.where(inputs["x"] == 2, np.float32(want), inputs["x"])}
    row = compare("it", right, other, inputs, noise=Noise({}, ""), terms=Terms(atol=1e-6, nan_agrees=True), batches=())
    assert not row.ok
    assert [output.beyond for output in row.outputs] == [said]
    same = make("x:float32[batch]", "y:float32[batch]", lambda i: right)
    assert compare("it", right, same, inputs, noise=Noise({}, ""), terms=Terms(nan_agrees=True), batches=()).ok


def test_infinity_agrees_with_itself(make: Make) -> None:
    def log(inputs: Tensors) -> dict[str, np.ndarray]:
        return {"y": np.where(inputs["x"] > 0, inputs["x"], -np.inf).astype(np.float32)}

    predictor = make("x:float32[batch,6]", "y:float32[batch,6]", log)
    assert compare("it", log(X), predictor, X, noise=QUIET).ok
    clipped = make("x:float32[batch,6]", "y:float32[batch,6]", lambda i: {"y": np.maximum(log(i)["y"], -3e38)})
    assert not compare("it", log(X), clipped, X, noise=QUIET).ok


def test_nothing_compared_is_no_agreement(make: Make) -> None:
    predictor = make(
        "x:float32[batch,6]", "y:float32[batch,0]", lambda i: {"y": np.empty((len(i["x"]), 0), np.float32)}
    )
    for want, inputs in (
        ({}, X),
        (_sum({"x": X["x"][:0]}), {"x": X["x"][:0]}),
        (predictor.answer(X), X),
    ):
        found = compare("it", want, predictor, inputs, noise=QUIET)
        assert not found.ok
        assert found.verdict == "disagree"
        assert _kinds(found) == {"empty"}
    assert not Report(()).ok
    assert Report(()).exit_code == 4


def test_a_predictor_that_cannot_answer_is_a_row(make: Make) -> None:
    def refuse(inputs: Tensors) -> dict[str, np.ndarray]:
        raise UnavailableError("nobody listens on 127.0.0.1:1")

    predictor = make("x:float32[batch,6]", "y:float32[batch,1]", refuse)
    found = compare("it", _sum(X), predictor, X, noise=QUIET)
    assert (found.verdict, found.ok, found.error) == ("failed", False, "nobody listens on 127.0.0.1:1")
    assert predictor.asked == [64]
    assert Report((found,)).exit_code == 6


def test_other_exceptions_are_not_hidden(against: Callable[..., Agreement]) -> None:
    def broken(inputs: Tensors) -> dict[str, np.ndarray]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        against(broken)


@pytest.mark.parametrize("frozen", [1, 2, 64])
@pytest.mark.parametrize("error", [InputError, EndpointError, DeployError])
def test_a_batch_frozen_with_an_error(against: Callable[..., Agreement], frozen: int, error: type[DeployError]) -> None:
    def answer(inputs: Tensors) -> dict[str, np.ndarray]:
        if len(inputs["x"]) != frozen:
            raise error(f"wanted {frozen} rows")
        return _sum(inputs)

    found = against(answer)
    assert _kinds(found) == {"frozen-batch"}
    assert f"answers batches of {frozen} rows" in found.problems[0].message
    assert found.verdict == "disagree"


def test_a_batch_frozen_in_silence(against: Callable[..., Agreement]) -> None:
    found = against(lambda i: {"y": np.resize(_sum(i)["y"], (64, 1))})
    assert _kinds(found) == {"frozen-batch"}
    assert "has 64 rows for a batch of 1" in found.problems[0].message


def test_a_batch_frozen_in_the_signature(make: Make) -> None:
    predictor = make("x:float32[64,6]", "y:float32[64,1]", _sum)

    def conform(inputs: Tensors) -> dict[str, np.ndarray]:
        return _sum(predictor.signature.conform(inputs))

    predictor.answer = conform
    found = compare("it", _sum(X), predictor, X, noise=QUIET)
    assert _kinds(found) == {"frozen-batch"}
    assert "answers batches of 64 rows, but not of 1" in found.why


@pytest.mark.parametrize("spec", ["y:float32[rows,1]", "y:float32[]", "other:float32[batch,1]"])
def test_outputs_that_are_described_otherwise_still_have_rows(make: Make, spec: str) -> None:
    found = compare("it", _sum(X), make("x:float32[n,6]", spec, _sum), X, noise=QUIET)
    assert found.ok
    assert found.outputs[0].compared == 103


def test_a_single_failure_is_not_called_frozen(make: Make) -> None:
    predictor = make("x:float32[batch,6]", "y:float32[batch,1]", _sum)

    def flaky(inputs: Tensors) -> dict[str, np.ndarray]:
        if predictor.asked.count(7) == 2 and len(inputs["x"]) == 7:
            raise EndpointError("503")
        return _sum(inputs)

    predictor.answer = flaky
    assert _kinds(compare("it", _sum(X), predictor, X, noise=QUIET)) == {"error"}


def test_a_model_of_a_fixed_batch(make: Make) -> None:
    predictor = make("x:float32[64,6]", "y:float32[64,1]", _sum)
    assert compare("it", _sum(X), predictor, X, noise=QUIET, batches=()).ok
    assert predictor.asked == [64]


def test_integers_booleans_and_strings_must_be_equal(make: Make) -> None:
    def decide(inputs: Tensors) -> dict[str, np.ndarray]:
        best = inputs["x"].argmax(axis=1)
        return {"id": best, "is": best > 2, "text": np.array([b"cat", b"dog"], object)[best % 2]}

    def one_off(inputs: Tensors, name: str) -> dict[str, np.ndarray]:
        outputs = decide(inputs)
        here = inputs["x"][:, 0] == X["x"][9, 0]
        outputs["id"] = outputs["id"] + (here if name == "id" else 0)
        outputs["is"] = outputs["is"] ^ (here if name == "is" else False)
        if name == "text":
            outputs["text"] = np.where(here, np.array(b"cow", object), outputs["text"])
        return outputs

    spec = "x:float32[batch,6]", "id:int64[batch] is:bool[batch] text:string[batch]"
    assert compare("it", decide(X), make(*spec, decide), X, noise=QUIET).ok
    as_text = make(*spec, lambda i: decide(i) | {"text": np.array([t.decode() for t in decide(i)["text"]])})
    assert compare("it", decide(X), as_text, X, noise=QUIET).ok
    for name in ("id", "is", "text"):
        found = compare("it", decide(X), make(*spec, lambda i, name=name: one_off(i, name)), X, noise=QUIET)
        assert [output.name for output in found.outputs if not output.ok] == [name]
        (output,) = (o for o in found.outputs if not o.ok)
        assert (output.max_abs, output.worst_row, output.tolerance.origin) == (1.0, 9, "must be equal")


def test_an_output_without_rows_is_compared_with_the_whole_batch(make: Make) -> None:
    def answer(inputs: Tensors) -> dict[str, np.ndarray]:
        return _sum(inputs) | {"version": np.array([1.5, 2.5], np.float32)}

    spec = "x:float32[batch,6]", "y:float32[batch,1] version:float32[2]"
    found = compare("it", answer(X), make(*spec, answer), X, noise=QUIET)
    assert found.ok
    assert [o.compared for o in found.outputs] == [103, 2]
    wrong = make(*spec, lambda i: answer(i) | {"version": np.array([1.5, 2.0], np.float32)})
    assert not compare("it", answer(X), wrong, X, noise=QUIET).ok


def test_rows_on_another_axis(make: Make) -> None:
    x = {"x": X["x"].T.copy(), "heat": np.array(2.0, np.float32)}

    def answer(inputs: Tensors) -> dict[str, np.ndarray]:
        return {"y": inputs["x"] * inputs["heat"]}

    predictor = make("x:float32[6,batch] heat:float32[]", "y:float32[6,batch]", answer)
    assert compare("it", answer(x), predictor, x, noise=QUIET).ok


def test_atol_and_rtol_as_numpy_has_them(against: Callable[..., Agreement]) -> None:
    want = _sum(X)["y"]
    for atol, rtol in ((0.0, 1e-3), (1e-3, None), (None, 2e-3), (1e-4, 1e-3)):
        for factor in (1.0005, 1.0015, 1.003):
            got = (want * np.float32(factor)).astype(np.float32)
            plain = np.allclose(got.astype(np.float64), want.astype(np.float64), rtol=rtol or 0, atol=atol or 0)
            found = against(lambda i, f=factor: {"y": _sum(i)["y"] * np.float32(f)}, terms=Terms(atol=atol, rtol=rtol))
            assert found.ok == plain, (atol, rtol, factor)
            assert found.outputs[0].tolerance.origin == "as asked"


def test_what_would_have_passed_passes(against: Callable[..., Agreement]) -> None:
    def off(inputs: Tensors) -> dict[str, np.ndarray]:
        return {"y": _sum(inputs)["y"] * np.float32(1.01)}

    needed = against(off).outputs[0].needed
    assert needed
    assert against(off, terms=Terms(atol=needed)).ok
    assert not against(off, terms=Terms(atol=np.nextafter(needed, 0))).ok


def test_tolerance_takes_the_greatest_rule() -> None:
    want = np.array([-3.0, 3.0], np.float32)
    assert tolerance(want, 1e-3).value == pytest.approx(8e-3)
    assert tolerance(want, 1e-3, noise_origin="measured").origin == "8 × noise (measured)"
    assert tolerance(want, 0.0).value == pytest.approx(4 * 2**-23 * 3)
    assert tolerance(want, 0.0).origin == "4 × eps × spread"
    far = tolerance(np.array([1e6, 1e6], np.float32), 0.0)
    assert (far.value, far.origin) == (pytest.approx(16e6 * 2**-23), "16 × eps × the mean")
    once = tolerance(np.array([-1e6, *[1e3] * 999], np.float32), 0.0)
    assert (once.value, once.origin) == (pytest.approx(2e6 * 2**-23), "2 × eps × the greatest value")


@pytest.mark.parametrize(("precision", "dtype"), [("float16", np.float16), ("bfloat16", ml_dtypes.bfloat16)])
def test_half_precision_has_a_tolerance_of_its_own(
    make: Make, simplenet: Callable[..., Any], precision: str, dtype: type
) -> None:
    net, half = simplenet(0), simplenet(0, dtype)
    exact = simplenet(0, np.float64)
    x = golden_inputs(Signature((TensorSpec.parse("x:float32[batch,6]"),), ()), {"x": X["x"][:1]})
    spec = "x:float32[batch,6]", "y:float32[batch,1]"
    measured = noise(make(*spec, net.run, exact.run), x)
    as_half = make(spec[0], f"y:{precision}[batch,1]", half.run)
    as_float = make(*spec, lambda i: {"y": half.run(i)["y"].astype(np.float32)})
    want = net.run(x)
    for predictor in (as_half, as_float):
        found = compare("half", want, predictor, x, noise=measured, terms=Terms(precision=precision))
        assert found.ok, found.why
        assert f"in {precision}" in found.outputs[0].tolerance.origin
        assert not compare("half", want, predictor, x, noise=measured).ok


def test_noise_by_float64(make: Make, simplenet: Callable[..., Any]) -> None:
    net, exact = simplenet(3), simplenet(3, np.float64)
    found = noise(make("x:float32[batch,6]", "y:float32[batch,1]", net.run, exact.run), X)
    apart = np.abs(net.run(X)["y"].astype(np.float64) - exact.run(X)["y"]).max()
    assert 0 < apart <= found.values["y"] <= 4 * apart
    assert found.origin == "|float32 − float64| and sums in another order, 64 rows"


def test_noise_by_batch_sizes(make: Make) -> None:
    def leaking(inputs: Tensors) -> dict[str, np.ndarray]:
        count = np.full((len(inputs["x"]), 1), len(inputs["x"]))
        return {"y": (1 + count * 1e-6).astype(np.float32), "n": count}

    spec = "x:float32[batch,6]", "y:float32[batch,1] n:int64[batch,1]"
    found = noise(make(*spec, leaking), X)
    assert found.values["y"] == pytest.approx(63e-6, rel=1e-2)
    assert found.values["n"] == 0.0
    assert found.origin == "spread over batch sizes and inputs one ULP away, 64 rows"

    def refuse(inputs: Tensors) -> dict[str, np.ndarray]:
        raise UnavailableError("no such operator")

    fallen = noise(make(*spec, leaking, refuse), X)
    assert fallen.values == found.values
    assert fallen.origin == "spread over batch sizes and inputs one ULP away, 64 rows (no float64: no such operator)"


def test_noise_refuses_nan(make: Make) -> None:
    predictor = make(
        "x:float32[batch,6]", "y:float32[batch,1]", lambda i: {"y": np.sqrt(-np.abs(i["x"][:, :1]) - 1j).real * np.nan}
    )
    with pytest.raises(ExportError, match="'y' is NaN in 64 of 64 values"):
        noise(predictor, X)


def _check(schema: dict[str, Any], value: Any, root: dict[str, Any]) -> None:
    """As much of JSON Schema as agreement-1.json uses."""
    if "$ref" in schema:
        return _check(root["$defs"][schema["$ref"].removeprefix("#/$defs/")], value, root)
    if "anyOf" in schema:
        assert any(_passes(one, value, root) for one in schema["anyOf"]), value
    assert "const" not in schema or value == schema["const"]
    assert "enum" not in schema or value in schema["enum"]
    kinds = {
        "object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float),
        "null": type(None),
    }  # fmt: skip
    named = schema.get("type", [])
    wanted = [named] if isinstance(named, str) else named
    assert not wanted or any(isinstance(value, kinds[kind]) for kind in wanted), (value, wanted)
    if isinstance(value, dict) and "properties" in schema:
        assert set(schema["required"]) == set(value) == set(schema["properties"])
        for key, inner in value.items():
            _check(schema["properties"][key], inner, root)
    if isinstance(value, list):
        for inner in value:
            _check(schema["items"], inner, root)
    return None


def _passes(schema: dict[str, Any], value: Any, root: dict[str, Any]) -> bool:
    try:
        _check(schema, value, root)
    except AssertionError:
        return False
    return True


def test_the_document_is_as_its_schema_says(against: Callable[..., Agreement]) -> None:
    from importlib.resources import files

    schema = json.loads((files("deploy_agreement") / "schema" / "agreement-1.json").read_text())

    def refuse(inputs: Tensors) -> dict[str, np.ndarray]:
        raise UnavailableError("gone")

    rows = (
        against(_sum),
        against(lambda i: {"y": _sum(i)["y"] * np.float32(np.nan)}),
        against(lambda i: {"z": _sum(i)["y"]}),
        against(refuse),
    )
    document = Report(rows).to_json()
    again = json.loads(json.dumps(document, allow_nan=False))
    assert again == document
    _check(schema, again, schema)
    assert [row["verdict"] for row in again["rows"]] == ["agree", "disagree", "disagree", "failed"]
    assert again["rows"][1]["outputs"][0]["max_abs"] == "Infinity"
    assert (again["ok"], again["exit_code"]) == (False, 4)
    assert (Report(rows[:1]).ok, Report(rows[:1]).exit_code) == (True, 0)
    assert not re.search("numpy", json.dumps(document))


def test_one_wrong_row_of_many_is_looked_for_among_all_rows_only_itself(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = {"x": np.random.default_rng(1).normal(size=(2000, 6)).astype(np.float32)}
    looked: list[int] = []

    def counted(want: np.ndarray, got: np.ndarray, **how: Any) -> np.ndarray:
        looked.append(want.size)
        return deviation(want, got, **how)

    monkeypatch.setattr("deploy_agreement.comparing.diagnose.deviation", counted)

    def wrong(inputs: Tensors) -> dict[str, np.ndarray]:
        return {"y": _sum(inputs)["y"] + (inputs["x"][:, :1] == many["x"][-1, 0])}

    found = compare("it", _sum(many), make("x:float32[batch,6]", "y:float32[batch,1]", wrong), many, noise=QUIET)
    assert any("golden row 1999, of 2000" in problem.message for problem in found.problems)
    assert sum(looked) < 100 * 2000
