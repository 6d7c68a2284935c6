"""The search for the worst input: planted differences that golden inputs miss are found, honest pairs are not accused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import erf
from typing import Any

import numpy as np
import pytest

from deploy_agreement import Tolerance, Worst, noise, tolerance
from deploy_agreement.worst import Bounds, Progress, search
from deploy_core.errors import EndpointError, ExportError, InputError, UnavailableError
from deploy_core.signature import Signature, Tensors, TensorSpec

FEATURES = 6
X, Y = "x:float32[batch,6]", "y:float32[batch,2]"


def _drawn(rows: int = 64, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, FEATURES)).astype(np.float32)


class Net:
    """Linear(6,8) – tanh – Linear(8,2), whose answers are of one size: `faulty` changes them."""

    def __init__(self, dtype: type = np.float32) -> None:
        rng = np.random.default_rng(0)
        self.w = rng.normal(size=(FEATURES, 8)).astype(np.float32).astype(dtype)
        self.v = rng.normal(size=(8, 2)).astype(np.float32).astype(dtype)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return np.tanh(x.astype(self.w.dtype) @ self.w) @ self.v

    def slope(self, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
        hidden = np.tanh(x @ self.w)
        return ((weights @ self.v.T) * (1 - hidden**2)) @ self.w.T


@dataclass
class Answering:
    """A Predictor of a function of its only input; `asked` are the questions."""

    run: Callable[[np.ndarray], np.ndarray]
    inputs: str = X
    outputs: str = Y
    asked: list[np.ndarray] = field(default_factory=list)

    @property
    def signature(self) -> Signature:
        return Signature((TensorSpec.parse(self.inputs),), (TensorSpec.parse(self.outputs),))

    def predict(self, inputs: Tensors) -> Tensors:
        (array,) = self.signature.conform(inputs).values()
        self.asked.append(array)
        return {self.signature.outputs[0].name: self.run(array)}

    def close(self) -> None:
        pass


class Exact(Answering):
    """One that computes in float64, too."""

    def predict_float64(self, inputs: Tensors) -> Tensors:
        return {"y": Net(np.float64)(inputs["x"])}


class Sloped(Answering):
    """One that can be differentiated."""

    def gradient(self, inputs: Tensors, weights: Tensors) -> Tensors:
        return {"x": Net().slope(inputs["x"], weights["y"]).astype(np.float32)}


NET = Net()


def _found(one: Answering, other: Answering, start: np.ndarray, most: int = 8_000, **how: Any) -> Worst:
    name, spec = one.signature.inputs[0].name, one.signature.outputs[0]
    inputs = {name: start}
    want = one.predict(inputs)
    asked = how.pop("limits", None)
    limits = asked or {spec.name: tolerance(want[spec.name], noise(one, inputs).values[spec.name])}
    found = search(one, other, inputs, Bounds(limits, grows=asked is None), seconds=600, most=most, **how)
    if found.over > 1:  # what is told of the input is what both really answer to it
        want, got = one.predict(found.inputs), other.predict(found.inputs)
        assert float(want[spec.name][found.place]) == pytest.approx(found.want, nan_ok=True)
        assert float(got[spec.name][found.place]) == pytest.approx(found.got, nan_ok=True)
    return found


def _fault(where: Callable[[np.ndarray], np.ndarray], by: float = 0.1) -> Answering:
    return Answering(lambda x: NET(x) + where(x)[:, None].astype(np.float32) * np.float32(by))


def test_a_fault_above_a_threshold_that_no_golden_input_reaches_is_found() -> None:
    start = _drawn()
    top = NET(start)[:, 0].max()
    other = Answering(lambda x: np.where(NET(x) > top + 0.2, NET(x) * np.float32(1.01), NET(x)))
    found = _found(Answering(NET), other, start)
    assert found.began <= 1 < found.over
    assert not found.ok
    assert found.want > top + 0.2
    assert found.inputs["x"].shape == (1, FEATURES)
    assert found.inputs["x"].dtype == np.float32


def test_a_fault_in_a_corner_of_a_ten_thousandth_is_found() -> None:
    start = _drawn()
    low, high = start.min(), start.max()
    edge = low + 0.9 * (high - low)
    evenly = np.random.default_rng(2).uniform(low, high, (200_000, FEATURES))
    assert (evenly[:, :4] > edge).all(axis=1).mean() < 2e-4, "evenly drawn inputs hardly ever get there"
    for seed in range(3):
        found = _found(Answering(NET), _fault(lambda x: (x[:, :4] > edge).all(axis=1)), start, 2_000, seed=seed)
        assert found.over > 1
        assert (found.inputs["x"][0, :4] > edge).all()
        assert low <= found.inputs["x"].min() <= found.inputs["x"].max() <= high, "the range of the golden inputs"


def test_the_worst_place_of_an_approximated_gelu_is_found() -> None:
    def exact(x: np.ndarray) -> np.ndarray:
        return (0.5 * x * (1 + np.vectorize(erf)(x / np.sqrt(2)))).astype(x.dtype)

    def by_tanh(x: np.ndarray) -> np.ndarray:
        return (0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))).astype(x.dtype)

    grid = np.linspace(-4, 4, 80_001)
    apart = np.abs(exact(grid) - by_tanh(grid))
    names = {"inputs": "x:float32[batch,1]", "outputs": "y:float32[batch,1]"}
    start = np.linspace(-1, 1, 63, dtype=np.float32)[:, None]
    start = np.concatenate([start, [[np.float32(4)]]])  # the range goes further than most of the data
    found = _found(Answering(exact, **names), Answering(by_tanh, **names), start, most=6_000)
    assert abs(found.want - found.got) == pytest.approx(apart.max(), rel=0.01)
    at = float(found.inputs["x"].item())
    assert abs(abs(at) - abs(grid[apart.argmax()])) < 0.1
    assert found.over > 1.4 * found.began


def test_the_worst_of_rounding_to_steps_is_half_a_step() -> None:
    step = np.float32(0.05)
    other = Answering(lambda x: np.round(NET(x) / step) * step)
    found = _found(Answering(NET), other, _drawn(8), most=6_000)
    assert abs(found.want - found.got) == pytest.approx(step / 2, rel=0.01)


@pytest.mark.parametrize("seed", range(2))
def test_one_token_id_of_thirty_thousand_is_found(seed: int) -> None:
    ids, fault = 30_000, 12_345
    rng = np.random.default_rng(3)
    table = rng.normal(size=(ids, 2)).astype(np.float32)
    start = rng.integers(0, ids, (64, 16))
    start[0, :2] = 0, ids - 1
    start[start == fault] = 1
    names = {"inputs": "ids:int64[batch,16]", "outputs": "y:float32[batch,2]"}
    one = Answering(lambda x: table[x].mean(axis=1), **names)
    other = Answering(lambda x: table[np.where(x == fault, fault + 1, x)].mean(axis=1), **names)
    found = _found(one, other, start, 20_000, seed=seed)
    assert found.over > 1
    assert fault in found.inputs["ids"]
    assert found.inputs["ids"].dtype == np.int64


def test_words_and_switches_are_taken_from_those_seen() -> None:
    words = np.array([b"a", b"b", b"c"], dtype=object)
    names = {"inputs": "w:string[batch,4]", "outputs": "n:int64[batch]"}
    start = words[np.random.default_rng(0).integers(0, 3, (64, 4))]
    start[(start == b"c").all(axis=1)] = b"a"
    one = Answering(lambda x: (x == b"a").sum(axis=1), **names)
    other = Answering(lambda x: (x == b"a").sum(axis=1) + (x == b"c").all(axis=1), **names)
    found = _found(one, other, start, most=4_000)
    assert found.over == np.inf, "integers must be equal"
    assert found.inputs["w"].tolist() == [[b"c"] * 4]


def test_a_gradient_of_outputs_that_are_one_number_for_a_row() -> None:
    class OfRows(Answering):
        def gradient(self, inputs: Tensors, weights: Tensors) -> Tensors:
            with np.errstate(over="ignore"):  # a slope without end is no way to step
                return {"x": np.where(inputs["x"] > 1, np.float32(np.inf), weights["y"][:, None])}

    one = OfRows(lambda x: x.sum(axis=1), outputs="y:float32[batch]")
    other = OfRows(lambda x: x.sum(axis=1) + (x[:, 0] > 0.9).astype(np.float32), outputs="y:float32[batch]")
    found = _found(one, other, _drawn(), most=3_000)
    assert found.method == "gradient"
    assert found.over > 1
    assert len(found.place) == 1


def test_a_gradient_leads_where_chance_hardly_does() -> None:
    """A peak in 48 dimensions of what two answers differ by, where the first can be differentiated."""
    goal = np.linspace(-1, 1, 48, dtype=np.float32)

    def run(x: np.ndarray, factor: float = 1.0) -> np.ndarray:
        return (factor * np.exp(-0.2 * ((x - goal) ** 2).sum(axis=1, keepdims=True))).astype(np.float32)

    class Peak(Answering):
        def gradient(self, inputs: Tensors, weights: Tensors) -> Tensors:
            return {"x": -0.4 * (inputs["x"] - goal) * run(inputs["x"]) * weights["y"]}

    names = {"inputs": "x:float32[batch,48]", "outputs": "y:float32[batch,1]"}
    start = np.random.default_rng(0).normal(size=(64, 48)).astype(np.float32)
    other, limits = Answering(lambda x: run(x, 1.001), **names), {"y": Tolerance(1e-4, "as asked")}
    with_it = _found(Peak(run, **names), other, start, 3_000, limits=limits)
    without = _found(Answering(run, **names), other, start, 3_000, limits=limits)
    assert (with_it.method, without.method) == ("gradient", "evolution")
    assert with_it.over == pytest.approx(10, rel=0.01), "the top of the peak"
    assert with_it.over > 2 * without.over


def test_a_model_that_turns_out_to_have_no_derivative_is_searched_without() -> None:
    class Refusing(Answering):
        def gradient(self, inputs: Tensors, weights: Tensors) -> Tensors:
            raise ExportError("no derivative")

    start = _drawn()
    low, high = start.min(), start.max()
    other = _fault(lambda x: (x[:, :2] > low + 0.95 * (high - low)).all(axis=1))
    assert _found(Refusing(NET), other, start, 2_000).over > 1


def test_the_same_seed_and_number_find_the_same_input() -> None:
    step = np.float32(0.05)
    runs = [
        _found(Sloped(NET), Answering(lambda x: np.round(NET(x) / step) * step), _drawn(), most=2_000, seed=seed)
        for seed in (7, 7, 8)
    ]
    same = [(run.inputs["x"].tobytes(), run.over, run.place, run.tried) for run in runs]
    assert same[0] == same[1] != same[2]
    assert runs[0].seed == 7
    assert 2_000 <= runs[0].tried < 2_100


@pytest.mark.parametrize("kind", [Answering, Exact])
def test_an_honest_pair_is_not_accused(kind: type[Answering]) -> None:
    def otherwise(x: np.ndarray) -> np.ndarray:
        """The same sums in another order."""
        hidden = np.tanh(np.cumsum((x[:, :, None] * NET.w)[:, ::-1], axis=1, dtype=np.float32)[:, -1])
        return np.cumsum((hidden[:, :, None] * NET.v)[:, ::-1], axis=1, dtype=np.float32)[:, -1]

    found = _found(kind(NET), Answering(otherwise), _drawn())
    assert 0 < found.over <= 1
    assert found.ok


def test_a_tolerance_grows_with_answers_that_are_greater_than_golden_ones() -> None:
    """Float32 on the way to what is far greater than any golden output, as steep models answer."""

    def steep(x: np.ndarray) -> np.ndarray:
        return np.exp(2 * x.sum(axis=1, keepdims=True, dtype=x.dtype)).astype(np.float32)

    names = {"outputs": "y:float32[batch,1]"}
    start = _drawn() / 2
    limits = {"y": Tolerance(1e-3 * float(steep(start).max()), "derived")}
    other = Answering(lambda x: steep(x) * np.float32(1 + 5e-4), **names)
    for grows in (True, False):
        terms = Bounds(limits, grows=grows)
        found = search(Answering(steep, **names), other, {"x": start}, terms, seconds=600, most=1_000)
        assert found.want > 2 * steep(start).max()
        assert found.ok == grows


def test_an_edge_of_the_model_itself_accuses_nobody() -> None:
    """Where a model decides, two honest ones decide otherwise on the very edge, which the search goes for."""
    names = {"inputs": "x:float32[batch,1]", "outputs": "y:float32[batch,1]"}

    def deciding(edge: float) -> Answering:
        return Answering(lambda x: np.where(x > np.float32(edge), x + 1, x), **names)

    beside = np.nextafter(np.float32(0.5), np.float32(1))
    start = np.append(np.linspace(-2, 2, 63, dtype=np.float32), beside)[:, None]
    limits = {"y": Tolerance(1e-5, "as asked")}
    want, got = (deciding(edge).predict({"x": start})["y"] for edge in (0.5, float(beside)))
    assert (want - got).max() > 0.99, "one of the golden inputs lies there"
    assert _found(deciding(0.5), deciding(float(beside)), start, 1_000, limits=limits).ok
    found = _found(deciding(0.5), deciding(0.505), start, limits=limits)
    assert found.over > 1e4, "an edge in another place is a fault"


HALVES = {"inputs": "x:float16[batch,6]", "outputs": Y}
KINDS = [Answering, Exact]


def _wide(x: np.ndarray) -> np.ndarray:
    return NET(x.astype(np.float32))


@pytest.mark.parametrize("kind", KINDS)
def test_a_small_fault_is_no_rounding_of_halves_that_go_into_float32(kind: type[Answering]) -> None:
    """A percent of what eight steps of float16 move an answer by."""
    start = _drawn().astype(np.float16)
    top = _wide(start)[:, 0].max()
    for by in (1.002, 1.0001):
        other = Answering(
            lambda x, by=by: np.where(_wide(x) > top + 0.2, _wide(x) * np.float32(by), _wide(x)), **HALVES
        )
        found = _found(kind(_wide, **HALVES), other, start, 3_000)
        assert found.began <= 1 < found.over
        assert found.want > top + 0.2
        assert found.inputs["x"].dtype == np.float16


@pytest.mark.parametrize("kind", KINDS)
def test_an_honest_pair_that_takes_halves_is_not_accused(kind: type[Answering]) -> None:
    def otherwise(x: np.ndarray, dtype: type = np.float32) -> np.ndarray:
        hidden = np.tanh(np.cumsum((x.astype(dtype)[:, :, None] * NET.w.astype(dtype))[:, ::-1], 1, dtype)[:, -1])
        return np.cumsum((hidden[:, :, None] * NET.v.astype(dtype))[:, ::-1], 1, dtype)[:, -1]

    start = _drawn().astype(np.float16)
    found = _found(kind(_wide, **HALVES), Answering(otherwise, **HALVES), start)
    assert 0 < found.over <= 1
    narrow = {**HALVES, "outputs": "y:float16[batch,2]"}
    net = Net(np.float16)
    found = _found(kind(net, **narrow), Answering(lambda x: otherwise(x, np.float16), **narrow), start)
    assert 0 < found.over <= 1


def test_an_edge_between_two_halves_accuses_nobody() -> None:
    names = {"inputs": "x:float16[batch,1]", "outputs": "y:float32[batch,1]"}

    def deciding(edge: float) -> Answering:
        """Float32 answers with an edge at what x / 3 makes of it."""
        return Answering(lambda x: np.where((y := x.astype(np.float32) / 3) > np.float32(edge), y + 1, y), **names)

    start = np.append(np.linspace(-2, 2, 63), 1.5).astype(np.float16)[:, None]
    limits = {"y": Tolerance(1e-5, "as asked")}
    edge, beside = 0.5, float(np.nextafter(np.float32(0.5), np.float32(0)))
    want, got = (deciding(at).predict({"x": start})["y"] for at in (edge, beside))
    assert np.abs(want - got).max() > 0.99, "one of the golden inputs lies there"
    assert _found(deciding(edge), deciding(beside), start, 1_000, limits=limits).ok
    assert _found(deciding(edge), deciding(0.505), start, limits=limits).over > 1e4, (
        "an edge in another place is a fault"
    )


def test_what_the_model_itself_does_not_know_accuses_nobody() -> None:
    def root(x: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.log(x.sum(axis=1, keepdims=True)).astype(np.float32)

    names = {"outputs": "y:float32[batch,1]"}
    other = Answering(lambda x: np.nan_to_num(root(x), nan=7.0), **names)
    start = np.abs(_drawn())
    start[:, 0] = -0.1
    assert _found(Answering(root, **names), other, start, most=4_000, limits={"y": Tolerance(1e-5, "as asked")}).ok
    nan = Answering(lambda x: np.where(x[:, :1] > 2, np.nan, NET(x)).astype(np.float32))
    assert _found(Answering(NET), nan, _drawn(), most=4_000).over == np.inf, "but NaN in place of a number does"


def test_rows_that_leak_into_each_other_are_shown_by_a_batch() -> None:
    leak = Answering(lambda x: NET(x) + np.float32(0.01) * x.mean() * (len(x) > 1))
    found = _found(Answering(NET), leak, _drawn(), most=2_000)
    assert found.over > 1
    assert len(found.inputs["x"]) > 1
    assert len(found.place) == 2


def test_a_model_with_a_fixed_batch_is_asked_whole_inputs() -> None:
    names = {"inputs": "x:float32[4,6]", "outputs": "y:float32[4,2]"}
    start = _drawn(4)
    edge = start.min() + 0.9 * (start.max() - start.min())
    other = Answering(lambda x: NET(x) + (x[:, :2] > edge).all(axis=1)[:, None] * np.float32(0.1), **names)
    found = _found(Answering(NET, **names), other, start, most=3_000)
    assert found.began <= 1 < found.over
    assert found.inputs["x"].shape == (4, FEATURES)
    assert (found.inputs["x"][found.place[0], :2] > edge).all()


def test_a_batch_that_lies_on_another_axis_is_found_there() -> None:
    names = {"inputs": "x:float32[6,batch]", "outputs": "y:float32[2,batch]"}
    start = np.ascontiguousarray(_drawn().T)
    edge = start.min() + 0.9 * (start.max() - start.min())
    one = Answering(lambda x: np.ascontiguousarray(NET(x.T).T), **names)
    other = Answering(lambda x: one.run(x) + (x[:2] > edge).all(axis=0) * np.float32(0.1), **names)
    each = tolerance(one.run(start), np.full((2, 1), 1e-7))
    found = _found(one, other, start, most=6_000, limits={"y": each})
    assert found.over > 1
    assert found.inputs["x"].shape == (FEATURES, 1)
    assert found.place[1] == 0


def test_batches_stay_within_what_is_promised() -> None:
    one, limits = Answering(NET), {"y": Tolerance(1e-5, "as asked")}
    found = search(
        one, _fault(lambda x: x[:, 0] > 1.5), {"x": _drawn(16)}, Bounds(limits, rows=(3, 5)), seconds=60, most=1_000
    )
    assert {len(x) for x in one.asked} == {3, 5}
    assert found.over > 1
    assert len(found.inputs["x"]) == 1, "one row, which was asked for three times"


def test_an_input_that_only_the_other_refuses_is_the_worst_of_all() -> None:
    def refusing(x: np.ndarray) -> np.ndarray:
        if (x[:, 0] > 2).any():
            raise InputError("too great")
        return NET(x)

    start = np.clip(_drawn(), -2, 2)
    start[0, 1] = 3
    with pytest.raises(InputError):
        refusing(np.full((1, FEATURES), 3, np.float32))
    found = search(
        Answering(NET), Answering(refusing), {"x": start}, Bounds({"y": Tolerance(1e-5, "as asked")}), seconds=60,
        most=3_000,
    )  # fmt: skip
    assert found.over == np.inf
    assert found.inputs["x"][0, 0] > 2
    assert np.isnan(found.got)


def test_a_refusal_that_does_not_come_again_is_no_fault_of_an_input() -> None:
    asked: list[int] = []

    def busy(x: np.ndarray) -> np.ndarray:
        asked.append(len(x))
        if len(asked) % 50 < 8:  # as many as there are halves of a batch
            raise EndpointError("try again", status=503)
        return NET(x)

    start, limits = _drawn(), {"y": Tolerance(1e-5, "as asked")}
    assert search(Answering(NET), Answering(busy), {"x": start}, Bounds(limits), seconds=60, most=3_000).ok
    assert len(asked) > 60


def test_a_number_for_each_row_is_varied_like_others() -> None:
    names = {"inputs": "x:float32[batch]", "outputs": "y:float32[batch]"}
    start = np.linspace(-2, 2, 64, dtype=np.float32)
    other = Answering(lambda x: np.where((x > 1.001) & (x < 1.003), x + 1, x), **names)
    found = _found(Answering(lambda x: x, **names), other, start, 6_000)
    assert found.over > 1
    assert found.inputs["x"].shape == (1,)


def test_inputs_that_the_first_refuses_are_left_out() -> None:
    def refusing(x: np.ndarray) -> np.ndarray:
        if (x[:, 0] > 2).any():
            raise InputError("too great")
        return NET(x)

    start = np.clip(_drawn(), -2, 2)
    start[0, 1] = 3
    limits = {"y": Tolerance(1e-5, "as asked")}
    found = _found(Answering(refusing), _fault(lambda x: x[:, 0] > 1.9), start, most=3_000, limits=limits)
    assert found.over > 1
    assert 1.9 < found.inputs["x"][0, 0] <= 2


def test_a_search_ends_where_nobody_is_there_any_more() -> None:
    def gone(x: np.ndarray) -> np.ndarray:
        raise UnavailableError("nobody answers")

    with pytest.raises(UnavailableError):
        _found(Answering(NET), Answering(gone), _drawn())


def test_it_ends_after_its_time_and_tells_how_far_it_is() -> None:
    heard: list[Progress] = []
    limits = {"y": Tolerance(1e-5, "as asked")}
    found = search(
        Answering(NET), Answering(NET), {"x": _drawn()}, Bounds(limits), seconds=0.1, on_progress=heard.append
    )
    assert 0.1 <= found.seconds < 30
    assert heard[-1].tried == found.tried
    assert [one.tried for one in heard] == sorted(one.tried for one in heard)
    assert (found.over, found.ok) == (0.0, True)


def test_masks_of_infinities_are_taken_from_those_seen() -> None:
    """An attention mask holds 0 and -inf, between which no number lies."""
    names = {"inputs": "mask:float32[batch,4]", "outputs": "y:float32[batch,1]"}
    start = np.where(np.random.default_rng(0).random((8, 4)) < 0.5, -np.inf, 0.0).astype(np.float32)
    start[:, 0] = 0
    start[0, 0] = -np.inf
    start[(start == 0).all(axis=1)] = -np.inf
    one = Answering(lambda x: np.exp(x).sum(axis=1, keepdims=True), **names)
    other = Answering(lambda x: np.exp(x).sum(axis=1, keepdims=True) + (x == 0).all(axis=1, keepdims=True), **names)
    found = _found(one, other, start, most=2_000)
    assert found.over > 1
    assert found.inputs["mask"].tolist() == [[0.0] * 4]
