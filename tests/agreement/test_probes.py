"""What is asked beside golden inputs: seeded draws, edges of each dtype; and that no honest answer to them is accused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from deploy_agreement import Check, Noise, Probe, compare, golden_inputs, noise
from deploy_agreement.probing.asking import checked, edged
from deploy_agreement.probing.drawing import FEW, Budget, asked, drawn
from deploy_agreement.probing.edges import edge_probes, edges
from deploy_agreement.probing.inputs import drawn_inputs
from deploy_agreement.probing.probes import answered, refused
from deploy_agreement.probing.sizes import batches, listed, sizes_for
from deploy_agreement.probing.transports import messages
from deploy_core.errors import EndpointError, ExportError, InputError
from deploy_core.signature import Signature, Tensors, TensorSpec

Make = Callable[..., Any]
FLOATS = ("x:float32[batch,6]", "y:float32[batch,1]")
TABLE = np.random.default_rng(3).normal(size=(10, 4)).astype(np.float32)
ALL_SIZES = sizes_for(None, {1, 2, 3, 7, 64}, 7)
PATIENT = Budget(rows=512, seconds=60.0)


def golden(source: Any, seed: int = 5) -> dict[str, np.ndarray]:
    return golden_inputs(source.signature, {"x": np.random.default_rng(seed).normal(size=(8, 6)).astype(np.float32)})


def judge(subject: str = "file") -> Any:
    return partial(compare, subject, batches=())


@pytest.fixture
def source(make: Make, simplenet: Any) -> Any:
    return make(*FLOATS, simplenet(0).run, simplenet(0, np.float64).run)


@pytest.fixture
def probe(source: Any) -> Probe:
    inputs = golden(source)
    return drawn(source, inputs, source.predict(inputs), noise(source, inputs), PATIENT)


def test_draws_are_seeded_and_a_longer_one_begins_with_a_shorter_one(source: Any) -> None:
    inputs = golden(source)
    long = drawn_inputs(source.signature, inputs, 200)
    short = drawn_inputs(source.signature, inputs, 70)
    assert np.array_equal(long["x"][:70], short["x"])
    assert len(np.unique(long["x"], axis=0)) == 200
    assert len(np.unique(np.concatenate([long["x"], inputs["x"]]), axis=0)) == 264
    assert (long["x"] >= inputs["x"].min()).all()
    assert (long["x"] <= inputs["x"].max()).all()
    assert not np.array_equal(drawn_inputs(source.signature, inputs, 70, seed=1)["x"], short["x"])


def test_a_golden_set_without_rows_cannot_be_drawn_from(source: Any) -> None:
    with pytest.raises(InputError, match="no rows"):
        drawn_inputs(source.signature, {"x": np.zeros((0, 6), np.float32)}, 4)


def test_the_reference_is_asked_in_batches_until_the_time_is_over(source: Any, probe: Probe) -> None:
    assert max(source.asked) == 64
    assert len(probe.inputs["x"]) == len(probe.outputs["y"]) == 512
    hurried = drawn(source, golden(source), source.predict(golden(source)), probe.noise, Budget(seconds=0.0))
    assert len(hurried.outputs["y"]) == FEW
    assert np.array_equal(hurried.inputs["x"], probe.inputs["x"][:FEW])


def test_a_subject_is_asked_for_the_beginning_if_there_is_no_time_for_more(source: Any, probe: Probe) -> None:
    (part,) = [part for part, _ in asked(source, probe, 64, seconds=0.0)]
    assert np.array_equal(part.inputs["x"], probe.inputs["x"][:FEW])


def test_one_wrong_row_in_five_hundred_is_found_and_an_honest_file_is_not_accused(
    make: Make, simplenet: Any, source: Any, probe: Probe
) -> None:
    net, bad = simplenet(0), probe.inputs["x"][317, 0]

    def rarely(inputs: Tensors) -> dict[str, np.ndarray]:
        off = np.where(inputs["x"][:, :1] == bad, np.float32(1e-3), np.float32(0))
        return {"y": net.run(inputs)["y"] + off}

    def reordered(inputs: Tensors) -> dict[str, np.ndarray]:
        hidden = np.maximum((inputs["x"][:, ::-1] @ net.w1[::-1]) + net.b1, 0)
        return {"y": hidden[:, ::-1] @ net.w2[::-1] + net.b2}

    check = checked(make(*FLOATS, rarely), probe, judge(), size=64, seconds=60)
    assert check.verdict == "disagree"
    assert check.rows == 512
    assert check.outputs[0].worst_row == 317
    honest = checked(make(*FLOATS, reordered), probe, judge(), size=64, seconds=60)
    assert (honest.verdict, honest.rows, honest.said) == ("agree", 512, "512 rows")


def sized(make: Make, probe: Probe, answer: Any, sizes: tuple[int, ...] = ALL_SIZES, **how: Any) -> Check:
    return checked(make(*FLOATS, answer), probe, judge(), size=64, seconds=how.pop("seconds", 60.0), sizes=sizes)


def test_every_size_of_a_batch_is_asked_that_a_batcher_makes(make: Make, simplenet: Any, probe: Probe) -> None:
    assert ALL_SIZES[:5] == (4, 8, 16, 32, 100)
    assert set(range(1, 41)) - {1, 2, 3, 7} | {100, 128, 256, 512, 1024} == set(ALL_SIZES)
    assert sizes_for(None, {1, 64}, 7, seed=1) != sizes_for(None, {1, 64}, 7, seed=2)
    assert max(sizes_for(None, {64}, 2**13)) == 40, "no message is larger than golden inputs are, beyond what any takes"
    assert sizes_for((8, 16), {64}, 7)[:2] == (8, 16)
    assert set(sizes_for((8, 16), {64}, 7)) == set(range(8, 17))
    assert sizes_for((64, 64), {64}, 7) == ()
    check = sized(make, probe, simplenet(0).run, (4, 8, 16, 100, 5, 6, 9, 256))
    assert check.verdict == "agree"
    assert {4, 5, 6, 8, 9, 16, 100, 256} <= set(check.batches)
    assert check.rows == 512
    assert check.said == f"512 rows in batches of {listed(check.batches)}"
    assert check.to_json()["batches"] == list(check.batches)


def test_few_rows_are_asked_in_large_batches_and_slow_ones_in_small(make: Make) -> None:
    now = [0.0]

    def asked_for(count: int, seconds: float, each: float, sizes: tuple[int, ...] = ALL_SIZES) -> list[int]:
        found = []
        for index in batches(count, sizes, 64, seconds, most=max(64, min(4096, 20 * count)), clock=lambda: now[0]):
            found.append(len(index))
            assert set(index) <= set(range(count))
            now[0] += each * len(index)
        return found

    assert asked_for(3, 60, 0.0) == [4, 8, 16, 32], "no more than golden rows"
    assert asked_for(400, 60, 0.0) == list(ALL_SIZES), "a slow reference answers few rows"
    assert sum(asked_for(4096, 60, 0.0)) == 4096
    slow = asked_for(4096, 1.0, 0.02)
    assert slow[:3] == [4, 8, 16]
    assert 40 <= sum(slow) <= 56, "a second for 50 rows, but for the first"
    assert asked_for(4096, 1.0, 1.0) == [4, 8]
    assert min(asked_for(40, 60, 0.0, (8, 16))) >= 8, "never fewer than are promised"


@pytest.mark.parametrize(
    ("wrong", "sizes", "said"),
    [
        (lambda rows: rows == 13, (4, 8, 16, 12, 13, 100), "13, and the same rows are right in batches of 12: output"),
        (lambda rows: rows == 4, (4, 8, 16, 32), "4, and the same rows are right in batches of 8: output"),
        (lambda rows: rows > 64, (4, 8, 100, 128, 200), "100, 128, 200, and the same rows are right in batches of 64"),
    ],
)
def test_the_size_that_is_answered_wrong_is_named(
    make: Make, simplenet: Any, probe: Probe, wrong: Any, sizes: tuple[int, ...], said: str
) -> None:
    net = simplenet(0)

    def answer(inputs: Tensors) -> dict[str, np.ndarray]:
        y = net.run(inputs)["y"]
        return {"y": np.roll(y, 1, axis=0) if wrong(len(y)) else y}

    check = sized(make, probe, answer, sizes)
    assert check.verdict == "disagree"
    assert check.said.startswith(f"wrong at batch size {said}"), check.said
    assert check.said.endswith("(among 512 rows)")
    assert check.problems[0].kind == "batch-size"
    assert any(problem.kind == "rows-mixed-up" for problem in check.problems), "what is wrong there is told, too"


def test_rows_that_are_always_wrong_blame_no_size(make: Make, simplenet: Any, probe: Probe) -> None:
    """A batch of 13 has the wrong row: so would any other batch."""
    net, bad = simplenet(0), probe.inputs["x"][30, 0]

    def rarely(inputs: Tensors) -> dict[str, np.ndarray]:
        return {"y": net.run(inputs)["y"] + np.where(inputs["x"][:, :1] == bad, np.float32(1), np.float32(0))}

    check = sized(make, probe, rarely, (4, 8, 16, 13))
    assert check.verdict == "disagree"
    assert "batch size" not in check.said
    assert check.outputs[0].worst_row == 30


def test_a_size_that_is_refused_is_named_and_an_endpoint_may_have_a_limit(
    make: Make, simplenet: Any, probe: Probe
) -> None:
    net = simplenet(0)

    def up_to(most: int, error: Exception, at: int = 0) -> Any:
        def answer(inputs: Tensors) -> dict[str, np.ndarray]:
            if len(inputs["x"]) > most or len(inputs["x"]) == at:
                raise error
            return net.run(inputs)

        return answer

    sizes = (4, 8, 16, 100, 13, 128)
    check = sized(make, probe, up_to(999, ExportError("no such shape"), at=13), sizes)
    assert check.verdict == "disagree"
    assert "refused at batch size 13" in check.said
    check = sized(make, probe, up_to(64, EndpointError("too many", status=400)), sizes)
    assert check.verdict == "told"
    assert check.said.endswith("; refused at batch size 100: too many")
    assert check.batches == (4, 8, 13, 16, 51, 64)
    planned = sized(make, probe, up_to(64, InputError("made for at most 64")), sizes)
    assert (planned.verdict, planned.said.endswith("; refused at batch size 100: made for at most 64")) == (
        "told",
        True,
    )
    assert sized(make, probe, up_to(64, InputError("not 13"), at=13), sizes).verdict == "disagree"
    assert sized(make, probe, up_to(64, ExportError("too many")), sizes).verdict == "disagree"
    assert sized(make, probe, up_to(64, EndpointError("no answer")), sizes).verdict == "disagree"


def test_a_batch_of_another_form_or_none_is_told(make: Make, simplenet: Any, probe: Probe) -> None:
    net = simplenet(0)
    asked_before: list[int] = []

    def refuses(inputs: Tensors) -> dict[str, np.ndarray]:
        asked_before.append(1)
        if len(asked_before) == 3:
            raise ExportError("no memory left")
        return net.run(inputs)

    def short(inputs: Tensors) -> dict[str, np.ndarray]:
        return {"y": net.run(inputs)["y"][:50]}

    refused = checked(make(*FLOATS, refuses), probe, judge(), size=64, seconds=60)
    assert refused.verdict == "disagree"
    assert "no memory left" in refused.said
    assert "50 rows for a batch of 64" in checked(make(*FLOATS, short), probe, judge(), size=64, seconds=60).said


def test_a_fixed_batch_is_asked_whole(make: Make) -> None:
    source = make("x:float32[4,3]", "y:float32[4,3]", lambda inputs: {"y": inputs["x"] * 2})
    inputs = {"x": np.arange(12, dtype=np.float32).reshape(4, 3)}
    probe = drawn(source, inputs, source.predict(inputs), Noise({"y": 0.0}, "none"), PATIENT)
    assert set(source.asked) == {4}
    assert checked(source, probe, judge(), size=4, seconds=60).verdict == "agree"


def test_near_ties_of_integers_are_nobodys_fault_but_clear_ones_are(make: Make) -> None:
    """The reference is not sure of an argmax between two nearly equal values; it is of the others."""
    spec = ("x:float32[batch,2]", "top:int64[batch]")
    source = make(*spec, lambda inputs: {"top": inputs["x"].argmax(1)})
    x = np.array([[1, 1 + 2e-7], [1, 2], [3, 1], [2, 2]], np.float32)
    probe = answered(source, "given", {"x": x}, Noise({"top": 0.0}, "none"))
    assert probe.unsure["top"].tolist() == [True, False, False, True]
    ties = make(*spec, lambda inputs: {"top": inputs["x"].astype(np.float16).argmax(1)})
    assert checked(ties, probe, judge(), size=64, seconds=1).verdict == "agree"
    wrong = make(*spec, lambda inputs: {"top": 1 - inputs["x"].argmax(1)})
    assert checked(wrong, probe, judge(), size=64, seconds=1).verdict == "disagree"


def test_a_jump_is_nobodys_fault_where_inputs_lie_on_it(make: Make) -> None:
    """A float that follows from a choice: on the edge of it either is right, elsewhere one."""
    spec = ("x:float32[batch,2]", "y:float32[batch]")

    def choose(inputs: Tensors) -> dict[str, np.ndarray]:
        return {"y": np.where(inputs["x"][:, 0] >= inputs["x"][:, 1], np.float32(5), np.float32(-5))}

    source = make(*spec, choose)
    x = np.array([[2.5, 2.5], [1, 2], [3, 1]], np.float32)
    probe = answered(source, "given", {"x": x}, Noise({"y": 1e-7}, "none"))
    assert probe.unsure["y"].astype(bool).tolist() == [True, False, False]
    other = make(*spec, lambda inputs: {"y": np.where(inputs["x"][:, 0] > inputs["x"][:, 1], 5, -5).astype("f4")})
    assert checked(other, probe, judge(), size=64, seconds=1).verdict == "agree"
    assert (
        checked(make(*spec, lambda inputs: {"y": -choose(inputs)["y"]}), probe, judge(), size=64, seconds=1).verdict
        == "disagree"
    )


def test_what_was_given_is_named(make: Make, source: Any, simplenet: Any) -> None:
    inputs, quiet = {"x": np.full((3, 6), 2.5, np.float32)}, Noise({"y": 1e-7}, "float64")
    probe = answered(source, "given", inputs, quiet, label="mine.npz")
    assert checked(source, probe, judge(), size=64, seconds=1).said == "mine.npz: 3 rows"
    other = checked(make(*FLOATS, simplenet(1).run), probe, judge(), size=64, seconds=1)
    assert other.verdict == "disagree"
    assert other.said.startswith("mine.npz: output 'y' is off by")
    not_taken = refused("given", inputs, "the table ends at 2", label="mine.npz")
    assert checked(source, not_taken, judge(), size=64, seconds=1).verdict == "skipped"


def test_an_answer_of_which_nobody_is_sure_is_no_agreement(make: Make) -> None:
    spec = ("x:float32[batch,2]", "top:int64[batch]")
    source = make(*spec, lambda inputs: {"top": inputs["x"].argmax(1)})
    probe = answered(source, "given", {"x": np.full((3, 2), 2.5, np.float32)}, Noise({"top": 0.0}, "none"))
    assert not probe.sure
    assert checked(source, probe, judge(), size=64, seconds=1).verdict == "skipped"


def test_every_dtype_has_its_edges() -> None:
    spec = "h:float16[batch,2] b:bfloat16[batch,2] d:float64[batch] i:int32[batch] u:uint8[batch] l:int64[batch] m:bool[batch,2] t:string[batch] c:complex64[batch]"
    signature = Signature(tuple(map(TensorSpec.parse, spec.split())), ())
    rows: dict[str, np.ndarray] = {
        "h": np.full((2, 2), 3, np.float16), "b": np.full((2, 2), 3, ml_dtypes.bfloat16), "d": np.full(2, 3.0), "i": np.array([3, 9], np.int32),
        "u": np.array([0, 255], np.uint8), "l": np.array([-5, 5]), "m": np.ones((2, 2), bool),
        "t": np.array([b"a", b"b"], object), "c": np.ones(2, np.complex64),
    }  # fmt: skip
    found = {edge.label: edge.inputs for edge in edges(signature, rows)}
    assert all(signature.conform(inputs) for inputs in found.values())
    assert found["the largest number"]["h"].max() == 65504
    assert float(found["the largest number"]["b"].max()) == float(ml_dtypes.finfo(ml_dtypes.bfloat16).max)
    assert found["denormals"]["d"][0] == 5e-324
    assert found["4 times the golden values"]["h"].max() == 12
    assert np.signbit(found["negative zeros"]["h"]).all()
    assert np.isnan(found["NaN in one place"]["h"]).sum() == 1
    assert (found["the first integer"]["i"][0], found["an integer above the last"]["i"][0]) == (3, 10)
    assert found["an integer above the last"]["u"][0] == 0  # 256 is no uint8: it stays golden
    assert found["an integer below the first"]["l"][0] == -6
    assert int(found["integers that no float64 holds"]["l"][0]) == 2**60 + 85
    assert not found["only false"]["m"].any()
    assert found["empty text"]["t"][0] == b""
    assert found["zeros"]["c"][0] == 1  # what an edge does not concern is golden


def verdict(make: Make, source: Any, answer: Any, inputs: Tensors) -> Any:
    file = make(" ".join(map(str, source.signature.inputs)), " ".join(map(str, source.signature.outputs)), answer)
    with np.errstate(all="ignore"):
        return edged(file, list(edge_probes(source, inputs, Noise({"y": 1e-7}, "float64"))), judge())


def test_edges_that_count_and_edges_that_are_told(make: Make, simplenet: Any, source: Any) -> None:
    net, inputs = simplenet(0), golden(source)

    def at(when: Callable[[np.ndarray], Any], value: float) -> Any:
        return lambda given: {"y": np.where(when(given["x"]), np.float32(value), net.run(given)["y"])}

    assert verdict(make, source, net.run, inputs).verdict == "agree"
    clamped = verdict(make, source, at(lambda x: np.isnan(x).any(), 0.0), inputs)
    assert clamped.verdict == "told"
    assert "at NaN in one place" in clamped.said
    limit = 2 * float(np.abs(inputs["x"]).max())
    cut = verdict(make, source, lambda given: net.run({"x": given["x"].clip(-limit, limit)}), inputs)
    assert (cut.verdict, "at 4 times the golden values" in cut.said) == ("disagree", True)
    wrong = verdict(make, source, at(lambda x: not x.any(), 7.0), inputs)
    assert wrong.verdict == "disagree"
    assert "at zeros" in wrong.said


@dataclass
class Slow:
    """Answers as another does, each time so many seconds later by a clock that it moves itself."""

    predictor: Any
    each: float
    now: float = 0.0

    @property
    def signature(self) -> Signature:
        return self.predictor.signature

    def predict(self, inputs: Tensors) -> Tensors:
        self.now += self.each
        return self.predictor.predict(inputs)

    def close(self) -> None:
        """Nothing is held."""


def test_a_slow_predictor_is_asked_for_what_counts_most_as_long_as_there_is_time(
    make: Make, simplenet: Any, source: Any
) -> None:
    with np.errstate(all="ignore"):
        probes = list(edge_probes(source, golden(source), Noise({"y": 1e-7}, "float64")))
    counting = [probe for probe in probes if probe.counts]
    told = [probe for probe in probes if not probe.counts]
    assert (len(counting), len(told)) == (5, 5)

    def asked_of(answer: Any, seconds: float, each: float = 2.0) -> tuple[Check, int]:
        slow = Slow(make(*FLOATS, answer), each)
        with np.errstate(all="ignore"):
            found = edged(slow, [*told, *counting], judge(), seconds=seconds, clock=lambda: slow.now)
        return found, len(slow.predictor.asked)

    right = simplenet(0).run
    found, questions = asked_of(right, 9)
    assert (found.verdict, found.rows, questions) == ("agree", 5, 5)
    assert found.said == "5 of 10 edges; the others were not asked, since 9 s were over"
    found, questions = asked_of(right, 0)
    assert (found.verdict, found.rows, questions) == ("agree", 1, 1), "one is asked at any rate"
    found, questions = asked_of(right, 20)
    assert (found.verdict, found.said, questions) == ("agree", "8 edges", 10), "of two nobody is sure"
    found, _ = asked_of(lambda given: {"y": right(given)["y"] + 1}, 3)
    assert found.verdict == "disagree"
    assert "at zeros" in found.said
    assert found.said.endswith("2 of 10 edges; the others were not asked, since 3 s were over")
    found, _ = asked_of(lambda given: {"y": np.nan_to_num(right(given)["y"])}, 17)
    assert found.verdict == "told"
    assert found.said.endswith("9 of 10 edges; the other was not asked, since 17 s were over")


def test_a_slow_reference_is_asked_for_what_counts_and_nobody_for_the_rest(
    make: Make, simplenet: Any, source: Any
) -> None:
    slow = Slow(source, 2.0)
    with np.errstate(all="ignore"):
        probes = list(edge_probes(slow, golden(source), Noise({"y": 1e-7}, "none"), seconds=1, clock=lambda: slow.now))
    assert [bool(probe.outputs) for probe in probes] == [True] * 5 + [False] * 5
    assert [probe.counts for probe in probes] == [True] * 5 + [False] * 5
    subject = make(*FLOATS, simplenet(0).run)
    found = edged(subject, probes, judge())
    assert (found.verdict, len(subject.asked)) == ("agree", 5)
    assert found.said == "5 of 10 edges; the others were not asked, since the reference takes too long to answer"
    asked_of_ways = [label for label, _ in messages(source.signature, golden(source), probes)]
    assert asked_of_ways == ["golden inputs", *(probe.label for probe in probes[:5]), "no rows"]
    later = edged(Slow(source, 2.0), probes, judge(), seconds=0.0, clock=lambda: 0.0)
    assert later.said == "1 of 10 edges; the others were not asked, since 0 s were over"


def test_nothing_agrees_where_only_what_nobody_is_sure_of_was_asked_in_time(make: Make) -> None:
    spec = ("x:float32[batch,2]", "top:int64[batch]")
    source = make(*spec, lambda inputs: {"top": inputs["x"].argmax(1)})
    probes = list(edge_probes(source, {"x": np.array([[1, 2], [3, 1.5]], "f4")}, Noise({"top": 0.0}, "none")))
    unsure = [probe for probe in probes if probe.counts and not probe.sure]
    slow = Slow(source, 2.0)
    found = edged(slow, [*unsure, *probes], judge(), seconds=1.0, clock=lambda: slow.now)
    assert unsure
    assert found.verdict == "skipped"
    assert "were not asked, since 1 s were over" in found.said


def test_what_makes_much_of_rounding_accuses_nobody(make: Make) -> None:
    """Of zeros the layer before makes something constant; its spread is nothing but rounding, and one divides by it."""

    def norm(offset: float) -> Any:
        def answer(inputs: Tensors) -> dict[str, np.ndarray]:
            x = inputs["x"] + np.float32(0.3)
            x = x + np.float32(offset) * np.arange(6, dtype=np.float32)
            return {"y": (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + np.float32(1e-5))}

        return answer

    source = make("x:float32[batch,6]", "y:float32[batch,6]", norm(0))
    check = verdict(make, source, norm(6e-8), golden(source))
    assert check.verdict == "agree", check.said
    assert verdict(make, source, norm(1e-3), golden(source)).verdict == "disagree"


def test_no_number_is_wrong_where_the_reference_clearly_has_one(make: Make) -> None:
    """Rows that are all the same have a spread of 0; moved a little, they have any: of the value nobody is sure."""

    def norm(least: float, dtype: Any) -> Any:
        def answer(inputs: Tensors) -> dict[str, np.ndarray]:
            x = inputs["x"].astype(dtype)
            with np.errstate(all="ignore"):
                y = (x - x.mean(1, keepdims=True)) / (x.std(1, keepdims=True) + dtype(least))
            return {"y": y.astype(dtype)}

        return answer

    spec = ("x:float32[batch,6]", "y:float32[batch,6]")
    exact = make(*spec, norm(1e-8, np.float32), norm(1e-8, np.float64))
    lost = verdict(make, exact, norm(0, np.float32), golden(exact))
    assert lost.verdict == "disagree"
    assert "at zeros: output 'y' is NaN" in lost.said
    assert verdict(make, exact, norm(1e-8, np.float32), golden(exact)).verdict == "agree"
    infinite = verdict(
        make, exact, lambda given: {"y": norm(1e-8, np.float32)(given)["y"] / given["x"].any()}, golden(exact)
    )
    assert infinite.verdict == "disagree"
    without = make(*spec, norm(1e-8, np.float32))
    told = verdict(make, without, norm(0, np.float32), golden(without))
    assert told.verdict == "told", "without float64 nobody knows that it is a clear 0"
    assert "at zeros: output 'y' is nan at [0, 0], where the reference has a number" in told.said
    none = make(*spec, norm(0, np.float32), norm(0, np.float64))
    other = verdict(make, none, lambda given: {"y": np.nan_to_num(norm(0, np.float32)(given)["y"])}, golden(none))
    assert other.verdict != "disagree", "where the reference has no number, others may have one"


def test_where_the_reference_moves_more_than_over_golden_rows_others_may_too(make: Make) -> None:
    """A share of a sum that is nearly nothing moves with the order in which it is added up."""

    def shares(order: slice, times: float = 1.0, dtype: Any = np.float32) -> Any:
        def answer(inputs: Tensors) -> dict[str, np.ndarray]:
            x = inputs["x"].astype(dtype)
            total = np.zeros((len(x), 1), dtype)
            for column in range(6)[order]:
                total = total + x[:, column : column + 1]
            return {"y": (x / total * np.asarray(times, dtype)).astype(dtype)}

        return answer

    spec = ("x:float32[batch,6]", "y:float32[batch,6]")
    source = make(*spec, shares(slice(None)), shares(slice(None), dtype=np.float64))
    x = np.random.default_rng(1).normal(size=(400, 6)).astype(np.float32)
    clear, ill = x[np.abs(x.sum(1)) > 1][:64], x[(np.abs(x.sum(1)) < 0.1)]
    measured = noise(source, {"x": clear})
    probe = answered(source, "given", {"x": np.concatenate([clear, ill])}, measured)
    assert not probe.shaky["y"][:64].any()
    assert probe.shaky["y"][64:].any()
    back = make(*spec, shares(slice(None, None, -1)))
    assert checked(back, probe, judge(), size=64, seconds=9).verdict == "agree"
    assert checked(back, replace(probe, shaky={}, noise=measured), judge(), size=64, seconds=9).verdict == "disagree"
    fault = make(*spec, shares(slice(None), 1.0001))
    assert checked(fault, probe, judge(), size=64, seconds=9).verdict == "disagree"


def test_an_answer_that_is_none_counts_at_any_edge_and_a_refusal_does_not(
    make: Make, simplenet: Any, source: Any
) -> None:
    net, inputs = simplenet(0), golden(source)

    def raising(error: Exception) -> Any:
        def answer(given: Tensors) -> dict[str, np.ndarray]:
            if np.isnan(given["x"]).any():
                raise error
            return net.run(given)

        return answer

    garbled = verdict(make, source, raising(EndpointError("null is no number")), inputs)
    assert garbled.verdict == "disagree"
    assert "null" in garbled.said
    assert verdict(make, source, raising(EndpointError("no NaN, please", status=400)), inputs).verdict == "told"


def look_up(inputs: Tensors) -> dict[str, np.ndarray]:
    ids = inputs["ids"]
    if ids.min() < 0 or ids.max() >= len(TABLE):
        raise ExportError(f"index out of range: {ids.max()}")
    return {"y": TABLE[ids].sum(axis=1)}


def test_ids_out_of_range_are_told_of_who_takes_them(make: Make) -> None:
    source = make("ids:int64[batch,seq]", "y:float32[batch,4]", look_up)
    inputs = {"ids": np.arange(20).reshape(5, 4) % 10}
    probes = {probe.label: probe for probe in edge_probes(source, inputs, Noise({"y": 1e-7}, "none"))}
    assert "index out of range" in probes["an integer above the last"].refused
    assert (
        "integers that no float64 holds" not in probes
    )  # nobody is asked for it whom the reference does not vouch for
    careful = edge_probes(source, inputs, Noise({"y": 1e-7}, "none"), beyond=False)
    assert {probe.label for probe in careful} == {"the first integer", "the last integer"}
    assert verdict(make, source, look_up, inputs).verdict == "agree"
    clamping = verdict(make, source, lambda given: look_up({"ids": given["ids"].clip(0, 9)}), inputs)
    assert clamping.verdict == "told"
    assert "which the reference refuses" in clamping.said
    off_by_one = verdict(make, source, lambda given: look_up({"ids": (given["ids"] + 1) % 10}), inputs)
    assert off_by_one.verdict == "disagree"
    assert "at the first integer" in off_by_one.said


def test_numbers_that_are_a_mask_are_flags(make: Make) -> None:
    """Nobody is held to what comes of a mask that hides all: some divide zero by zero, others do not."""

    def mean(inputs: Tensors) -> dict[str, np.ndarray]:
        weights = inputs["mask"].astype(np.float32)
        return {"y": (inputs["x"] * weights).sum(1) / (weights.sum(1) + np.float32(1e-9))}

    def unguarded(inputs: Tensors) -> dict[str, np.ndarray]:
        weights = inputs["mask"].astype(np.float32)
        return {"y": (inputs["x"] * weights).sum(1) / weights.sum(1)}

    for dtype in ("int64", "float32", "bool"):
        source = make(f"x:float32[batch,4] mask:{dtype}[batch,4]", "y:float32[batch]", mean)
        x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
        inputs = {"x": x, "mask": (np.arange(20).reshape(5, 4) % 3 > 0).astype(dtype)}
        check = verdict(make, source, unguarded, inputs)
        assert check.verdict == "told", check.said
        assert "at only false" in check.said


def test_integers_through_floats_are_found(make: Make) -> None:
    spec = ("x:int64[batch]", "y:int64[batch]")
    source = make(*spec, lambda inputs: {"y": inputs["x"] - 1})
    inputs = {"x": np.arange(4)}
    through = verdict(make, source, lambda given: {"y": given["x"].astype(np.float64).astype(np.int64) - 1}, inputs)
    assert through.verdict == "disagree"
    assert "integers that no float64 holds" in through.said

    def narrow(given: Tensors) -> dict[str, np.ndarray]:
        if np.abs(given["x"]).max() > 2**31:
            raise InputError("no int32")
        return {"y": given["x"] - 1}

    assert verdict(make, source, narrow, inputs).verdict == "told"


def test_no_input_with_edges_is_no_agreement(make: Make) -> None:
    source = make("c:complex64[batch]", "y:complex64[batch]", lambda inputs: {"y": inputs["c"]})
    assert verdict(make, source, lambda given: {"y": given["c"]}, {"c": np.ones(3, np.complex64)}).verdict == "skipped"
