"""Faults planted one at a time in predictors of plain numpy: each is found and, where it can be, named; honest ones pass."""

from __future__ import annotations

from collections.abc import Callable
from math import erf
from typing import Any

import numpy as np
import pytest

from deploy_agreement import Agreement, Noise, Terms, compare, golden_inputs, noise
from deploy_core.errors import InputError
from deploy_core.signature import Tensors

Make = Callable[..., Any]
Answer = Callable[[Tensors], dict[str, np.ndarray]]
SEEDS = range(40)

_erf = np.vectorize(erf, otypes=[np.float64])


def _kinds(agreement: Agreement) -> set[str]:
    return {problem.kind for problem in agreement.problems}


class Trial:
    """A SimpleNet with its golden data, to hold wrong and honest forms of it against."""

    def __init__(self, make: Make, simplenet: Callable[..., Any], seed: int) -> None:
        self.make, self.net, self.seed = make, simplenet(seed), seed
        self.spec = ("x:float32[batch,6]", "y:float32[batch,1]")
        honest = make(*self.spec, self.net.run, simplenet(seed, np.float64).run)
        example = np.random.default_rng(seed + 1000).normal(size=(1, 6)).astype(np.float32) * 2
        self.x = golden_inputs(honest.signature, {"x": example}, seed=seed)
        self.want = self.net.run(self.x)
        self.noise = noise(honest, self.x)

    def compare(self, answer: Answer, **options: Any) -> Agreement:
        return compare("it", self.want, self.make(*self.spec, answer), self.x, noise=self.noise, **options)

    @property
    def dead(self) -> bool:
        """Whether the ReLUs of this seed let nothing through on the golden inputs."""
        return bool(self.want["y"].std() < 0.1)


@pytest.fixture(scope="module")
def trials(make: Make, simplenet: Callable[..., Any]) -> list[Trial]:
    found = [trial for seed in SEEDS if not (trial := Trial(make, simplenet, seed)).dead]
    assert len(found) > 30
    return found


def _each(trials: list[Trial], wrong: Callable[[Trial], Answer], kind: str = "") -> None:
    for trial in trials:
        found = trial.compare(wrong(trial))
        assert found.verdict == "disagree", trial.seed
        assert not kind or kind in _kinds(found), (trial.seed, found.problems)


def _with(trial: Trial, **weights: np.ndarray) -> Answer:
    other = type(trial.net)(trial.seed)
    for name, value in weights.items():
        setattr(other, name, value)
    return other.run  # type: ignore[no-any-return]


def test_honest_orders_of_summation_pass(trials: list[Trial]) -> None:
    for trial in trials:
        net = trial.net

        def backwards(inputs: Tensors, net: Any = net) -> dict[str, np.ndarray]:
            hidden = net.b1 + sum(inputs["x"][:, [i]] * net.w1[[i]] for i in reversed(range(6)))
            return {"y": net.b2 + sum(np.maximum(hidden, 0)[:, [i]] * net.w2[[i]] for i in (1, 2, 0))}

        def einsum(inputs: Tensors, net: Any = net) -> dict[str, np.ndarray]:
            hidden = np.maximum(np.einsum("bi,io->bo", inputs["x"], net.w1) + net.b1, np.float32(0))
            return {"y": np.einsum("bi,io->bo", hidden, net.w2) + net.b2}

        def one_by_one(inputs: Tensors, net: Any = net) -> dict[str, np.ndarray]:
            rows = [net.run({"x": inputs["x"][i : i + 1]})["y"] for i in range(len(inputs["x"]))]
            return {"y": np.concatenate(rows)}

        def rounded_float64(inputs: Tensors, net: Any = net) -> dict[str, np.ndarray]:
            wide = type(net)(trial.seed, np.float64)  # noqa: B023  called before the next trial
            return {"y": wide.run(inputs)["y"].astype(np.float32)}

        for answer in (net.run, backwards, einsum, one_by_one, rounded_float64):
            found = trial.compare(answer)
            assert found.ok, (trial.seed, answer.__name__, found.why)


def test_a_transposed_weight(trials: list[Trial]) -> None:
    # Of a square part: a transposed 6×3 would not run.
    _each(trials, lambda t: _with(t, w1=np.concatenate([t.net.w1[:3].T, t.net.w1[3:]])))


def test_one_weight_off_by_one_percent(trials: list[Trial]) -> None:
    def off(trial: Trial) -> Answer:
        w1 = trial.net.w1.copy()
        alive = ((trial.x["x"] @ w1 + trial.net.b1) > 0).any(axis=0) & (np.abs(trial.net.w2[:, 0]) > 0.01)
        w1[2, int(alive.argmax())] *= np.float32(1.01)
        return _with(trial, w1=w1)

    _each(trials, off)


def test_floats_printed_with_six_digits(trials: list[Trial]) -> None:
    def printed(trial: Trial) -> Answer:
        def answer(inputs: Tensors) -> dict[str, np.ndarray]:
            y = trial.net.run(inputs)["y"]
            return {"y": np.array([float(f"{value:.6g}") for value in y.ravel()], np.float32).reshape(y.shape)}

        return answer

    _each(trials, printed, "few-digits")


def test_a_stale_version(trials: list[Trial]) -> None:
    def stale(trial: Trial) -> Answer:
        return _with(trial, b2=trial.net.b2 + np.float32(1e-3))

    _each(trials, stale)
    for trial in trials:
        old = stale(trial)
        found = trial.compare(old, known={"net@1": old(trial.x), "net@2": {"y": trial.want["y"] + 1}})
        assert [p.message for p in found.problems if p.kind == "stale"] == ["output 'y' holds the values of net@1"]


def test_rows_mixed_up_within_a_batch(trials: list[Trial]) -> None:
    def mixed(trial: Trial) -> Answer:
        return lambda inputs: {"y": np.roll(trial.net.run(inputs)["y"], 1, axis=0)}

    _each(trials, mixed, "rows-mixed-up")
    found = trials[0].compare(mixed(trials[0]))
    assert any("within a batch" in p.message for p in found.problems)
    assert any("agrees at batch size 1, but not at 2, 3, 7, 64" in p.message for p in found.problems)


def test_answers_to_other_rows(trials: list[Trial]) -> None:
    def late(trial: Trial) -> Answer:
        return lambda inputs: {"y": trial.want["y"][: len(inputs["x"])]}

    found = trials[0].compare(late(trials[0]))
    assert "rows-mixed-up" in _kinds(found)
    assert any("answers to other rows" in p.message for p in found.problems)


def test_rows_that_influence_each_other(trials: list[Trial]) -> None:
    def leaking(trial: Trial) -> Answer:
        def answer(inputs: Tensors) -> dict[str, np.ndarray]:
            y = trial.net.run(inputs)["y"]
            return {"y": y + np.float32(1e-3) * (y - y.mean(axis=0, dtype=np.float32))}

        return answer

    _each(trials, leaking, "batch-size")
    assert "rows influence each other" in trials[0].compare(leaking(trials[0])).why


def test_rows_that_influence_each_other_where_none_is_right(trials: list[Trial]) -> None:
    def normed(trial: Trial) -> Answer:
        def answer(inputs: Tensors) -> dict[str, np.ndarray]:
            y = trial.net.run(inputs)["y"]
            return {"y": np.sin(3 * y) * y.std(axis=0) + np.float32(9)}

        return answer

    why = trials[0].compare(normed(trials[0])).why
    assert "rows get another answer in a batch of 1 than in one of 64: rows influence each other" in why


def test_one_wrong_row_is_named_and_no_batch_blamed(trials: list[Trial]) -> None:
    for trial in trials[:2]:
        spoilt = trial.x["x"][37]

        def answer(inputs: Tensors, trial: Trial = trial, spoilt: np.ndarray = spoilt) -> dict[str, np.ndarray]:
            hit = (inputs["x"] == spoilt).all(axis=1, keepdims=True)
            return {"y": trial.net.run(inputs)["y"] + hit.astype(np.float32)}

        why = trial.compare(answer).why
        assert "is wrong for golden row 37, of 64" in why
        assert "influence" not in why


def test_rows_that_are_lost_beyond_a_place(trials: list[Trial]) -> None:
    def lost(trial: Trial) -> Answer:
        def answer(inputs: Tensors) -> dict[str, np.ndarray]:
            y = trial.net.run(inputs)["y"].copy()
            y[32:] = 0
            return {"y": y}

        return answer

    assert "every row of a batch from row 32 on is wrong" in trials[0].compare(lost(trials[0])).why


def test_a_frozen_batch(trials: list[Trial]) -> None:
    def frozen(trial: Trial) -> Answer:
        def answer(inputs: Tensors) -> dict[str, np.ndarray]:
            if len(inputs["x"]) != 64:
                raise InputError("input 'x' has shape, wanted [64, 6]")
            return trial.net.run(inputs)  # type: ignore[no-any-return]

        return answer

    _each(trials, frozen, "frozen-batch")


def test_nan(trials: list[Trial]) -> None:
    _each(
        trials,
        lambda t: (
            lambda i: {"y": np.where(i["x"][:, :1] > np.median(t.x["x"][:, 0]), np.float32(np.nan), t.net.run(i)["y"])}
        ),
        "nan",
    )


def test_a_scale(trials: list[Trial]) -> None:
    _each(trials, lambda t: lambda i: {"y": t.net.run(i)["y"] * np.float32(0.5) + np.float32(3)}, "scaled")
    message = trials[0].compare(lambda i: {"y": trials[0].net.run(i)["y"] * np.float32(0.5) + np.float32(3)}).why
    assert "is 0.5 times the wanted values +3" in message


def test_half_precision_is_seen(trials: list[Trial]) -> None:
    def half(trial: Trial) -> Answer:
        return lambda inputs: {"y": trial.net.run(inputs)["y"].astype(np.float16).astype(np.float32)}

    _each(trials, half, "half-precision")


class Cnn:
    """Convolution (3×3, stride 1) – batch norm – GELU – mean – Linear, [n,3,8,8] → logits [n,3] and a score [n,3]."""

    def __init__(self, seed: int, dtype: type = np.float32) -> None:
        rng = np.random.default_rng(seed)

        def draw(*shape: int, scale: float = 1.0) -> np.ndarray:
            return (rng.normal(size=shape) * scale).astype(np.float32).astype(dtype)

        self.dtype = dtype
        self.kernel, self.mean, self.gamma, self.beta = draw(4, 3, 3, 3, scale=0.3), draw(4), draw(4), draw(4)
        self.var = np.abs(draw(4)) + dtype(0.1)
        self.linear, self.other = draw(4, 3, scale=2), draw(4, 3, scale=2)
        self.eps = 1e-5
        self.gelu: Callable[[np.ndarray], np.ndarray] = lambda h: h * (1 + _erf(h / 2**0.5)).astype(h.dtype) / 2

    def run(self, inputs: Tensors) -> dict[str, np.ndarray]:
        image = inputs["image"].astype(self.dtype)
        windows = np.lib.stride_tricks.sliding_window_view(image, (3, 3), axis=(2, 3))
        hidden = np.einsum("nchwij,ocij->nohw", windows, self.kernel)
        column = (slice(None), None, None)
        scale = self.gamma / np.sqrt(self.var + self.dtype(self.eps))
        normed = (hidden - self.mean[column]) * scale[column] + self.beta[column]
        pooled = self.gelu(normed).mean(axis=(2, 3))
        return {"logits": pooled @ self.linear, "score": pooled @ self.other}


@pytest.fixture(scope="module", params=range(3))
def cnn(request: pytest.FixtureRequest, make: Make) -> Trial:
    seed = request.param
    trial = Trial.__new__(Trial)
    trial.make, trial.net, trial.seed = make, Cnn(seed), seed
    trial.spec = ("image:float32[batch,3,8,8]", "logits:float32[batch,3] score:float32[batch,3]")
    honest = make(*trial.spec, trial.net.run, Cnn(seed, np.float64).run)
    example = np.random.default_rng(seed + 9).normal(size=(2, 3, 8, 8)).astype(np.float32)
    trial.x = golden_inputs(honest.signature, {"image": example}, seed=seed)
    trial.want = trial.net.run(trial.x)
    trial.noise = noise(honest, trial.x)
    return trial


def _edited(trial: Trial, **values: Any) -> Answer:
    net = Cnn(trial.seed)
    for name, value in values.items():
        setattr(net, name, value)
    return net.run


def test_an_honest_cnn_passes(cnn: Trial) -> None:
    assert cnn.compare(cnn.net.run).ok

    def matmul(inputs: Tensors) -> dict[str, np.ndarray]:
        kernel = cnn.net.kernel.reshape(4, -1)
        windows = np.lib.stride_tricks.sliding_window_view(inputs["image"], (3, 3), axis=(2, 3))
        columns = windows.transpose(0, 2, 3, 1, 4, 5).reshape(len(windows), 36, 27)
        hidden = (columns @ kernel.T).transpose(0, 2, 1).reshape(len(windows), 4, 6, 6)
        # Batch norm folded into scale and shift, as every runtime does.
        scale = cnn.net.gamma / np.sqrt(cnn.net.var + np.float32(1e-5))
        shift = cnn.net.beta - cnn.net.mean * scale
        normed = hidden * scale[:, None, None] + shift[:, None, None]
        pooled = cnn.net.gelu(normed).reshape(len(windows), 4, 36).sum(axis=2) / np.float32(36)
        return {"logits": pooled @ cnn.net.linear, "score": pooled @ cnn.net.other}

    found = cnn.compare(matmul)
    assert found.ok, found.why


def test_batch_norm_epsilon(cnn: Trial) -> None:
    assert cnn.compare(_edited(cnn, eps=1e-3)).verdict == "disagree"


def test_gelu_by_tanh(cnn: Trial) -> None:
    def tanh(h: np.ndarray) -> np.ndarray:
        return h * (1 + np.tanh((2 / np.pi) ** 0.5 * (h + 0.044715 * h**3))).astype(h.dtype) / 2

    assert cnn.compare(_edited(cnn, gelu=tanh)).verdict == "disagree"


def test_swapped_outputs(cnn: Trial) -> None:
    def swapped(inputs: Tensors) -> dict[str, np.ndarray]:
        outputs = cnn.net.run(inputs)
        return {"logits": outputs["score"], "score": outputs["logits"]}

    found = cnn.compare(swapped)
    assert [p.message for p in found.problems] == [
        "output 'logits' holds the values of 'score'",
        "output 'score' holds the values of 'logits'",
    ]


def test_a_softmax_too_many_and_one_missing(cnn: Trial) -> None:
    def softmax(values: np.ndarray) -> np.ndarray:
        raised = np.exp(values - values.max(axis=1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True))

    def too_many(inputs: Tensors) -> dict[str, np.ndarray]:
        outputs = cnn.net.run(inputs)
        return outputs | {"logits": softmax(outputs["logits"])}

    found = cnn.compare(too_many)
    assert [(p.kind, p.output) for p in found.problems] == [("extra-activation", "logits")]
    want = too_many(cnn.x)
    predictor = cnn.make(*cnn.spec, cnn.net.run)
    missing = compare("it", want, predictor, cnn.x, noise=cnn.noise)
    assert [(p.kind, p.output) for p in missing.problems] == [("missing-activation", "logits")]


def test_nchw_read_as_nhwc(cnn: Trial) -> None:
    def misread(inputs: Tensors) -> dict[str, np.ndarray]:
        image = inputs["image"]
        return cnn.net.run({"image": image.reshape(len(image), 8, 8, 3).transpose(0, 3, 1, 2)})  # type: ignore[no-any-return]

    found = cnn.compare(misread)
    assert [p.message for p in found.problems] == ["input 'image': NCHW values are read as NHWC"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.swapaxes(2, 3), "height and width (axes 2 and 3) are swapped"),
        (lambda a: a[:, ::-1], "the channels on axis 1 are in reverse order"),
        (lambda a: a / np.float32(255), "values are divided by 255"),
    ],
)
def test_other_things_done_to_images(cnn: Trial, change: Callable[[np.ndarray], np.ndarray], message: str) -> None:
    found = cnn.compare(lambda inputs: cnn.net.run({"image": change(inputs["image"])}))
    assert [p.message for p in found.problems] == [f"input 'image': {message}"]


def test_permuted_classes(cnn: Trial) -> None:
    found = cnn.compare(lambda i: {name: array[:, [1, 2, 0]] for name, array in cnn.net.run(i).items()})
    assert _kinds(found) == {"permuted-features"}
    assert "place 0 holds what belongs to 1" in found.why


def test_swapped_inputs(make: Make) -> None:
    rng = np.random.default_rng(0)
    x = {name: rng.normal(size=(64, 4)).astype(np.float32) for name in "ab"}

    def answer(inputs: Tensors) -> dict[str, np.ndarray]:
        return {"y": inputs["a"] - 2 * inputs["b"] ** 2}

    spec = "a:float32[batch,4] b:float32[batch,4]", "y:float32[batch,4]"
    wrong = make(*spec, lambda i: answer({"a": i["b"], "b": i["a"]}))
    found = compare("it", answer(x), wrong, x, noise=Noise({}, ""))
    assert [p.message for p in found.problems] == ["inputs 'a' and 'b' are swapped"]


def test_a_wrong_answer_that_nothing_explains_is_not_explained(trials: list[Trial]) -> None:
    for trial in trials:
        found = trial.compare(_with(trial, w1=trial.net.w1[::-1]))
        assert _kinds(found) == set(), found.problems


def test_outputs_of_unlike_kinds_and_sizes_are_told_apart(make: Make) -> None:
    x = {"x": np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)}

    def answer(inputs: Tensors, off: float = 0.0) -> dict[str, np.ndarray]:
        words = np.array([b"a", b"b"], object)[(inputs["x"][:, 0] > 0).astype(int)]
        return {"y": inputs["x"][:, 0] + np.float32(off), "word": words, "one": np.array(1.0, np.float32)}

    spec = "x:float32[batch,2]", "y:float32[batch] word:string[batch] one:float32[]"
    assert compare("it", answer(x), make(*spec, answer), x, noise=Noise({}, "")).ok
    found = compare("it", answer(x), make(*spec, lambda i: answer(i, 1e-3)), x, noise=Noise({}, ""))
    assert [output.name for output in found.outputs if not output.ok] == ["y"]
    assert _kinds(found) == {"scaled"}


def test_values_that_are_short_by_nature_are_not_accused(make: Make) -> None:
    x = {"x": np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)}
    spec = "x:float32[batch,3]", "y:float32[batch,3]"

    def rounded(inputs: Tensors) -> dict[str, np.ndarray]:
        return {"y": np.round(inputs["x"], 2)}

    def saturated(inputs: Tensors) -> dict[str, np.ndarray]:
        return {"y": 1 / (1 + np.exp(-25 * inputs["x"]))}

    def flushed(inputs: Tensors) -> dict[str, np.ndarray]:
        return {"y": np.where(np.abs(inputs["x"]) > 0.8, np.round(saturated(inputs)["y"]), saturated(inputs)["y"])}

    assert compare("it", rounded(x), make(*spec, rounded), x, noise=Noise({}, "")).ok
    found = compare("it", saturated(x), make(*spec, flushed), x, noise=Noise({"y": 1e-8}, ""))
    assert found.ok, found.why
    text = make(*spec, lambda i: {"y": np.float32([[float(f"{v:.6g}") for v in row] for row in i["x"]])})
    assert _kinds(compare("it", {"y": x["x"]}, text, x, noise=Noise({"y": 1.0}, ""))) == {"few-digits"}
    assert compare("it", {"y": x["x"]}, text, x, noise=Noise({}, ""), terms=Terms(atol=1e-4)).ok


def test_a_wrong_class_is_no_row_in_another_place(make: Make) -> None:
    x = {"x": np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)}
    spec = "x:float32[batch,2]", "y:int64[batch]"

    def answer(inputs: Tensors, edge: float = 0.0) -> dict[str, np.ndarray]:
        return {"y": (inputs["x"][:, 0] > edge).astype(np.int64)}

    wrong = make(*spec, lambda inputs: answer(inputs, 0.5))
    assert "rows-mixed-up" not in _kinds(compare("it", answer(x), wrong, x, noise=Noise({}, "")))


@pytest.mark.parametrize("change", [lambda y: np.where(y > 0, np.nan, y), lambda y: y**3 * 1e9, lambda y: y**3 * 1e4])
def test_what_is_wrong_alike_in_every_batch_is_no_influence(change: Callable[..., Any], make: Make) -> None:
    x = {"x": np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)}

    def answer(inputs: Tensors) -> dict[str, np.ndarray]:
        return {"y": inputs["x"] * np.float32(1 / 3)}

    def wrong(inputs: Tensors) -> dict[str, np.ndarray]:  # with the batch, the last place changes
        return {"y": (change(answer(inputs)["y"]) * (1 + 1e-7 * (len(inputs["x"]) % 2))).astype(np.float32)}

    spec = "x:float32[batch,2]", "y:float32[batch,2]"
    found = compare("it", answer(x), make(*spec, wrong), x, noise=Noise({}, ""))
    assert "influence" not in found.why
    assert not any("activation" in kind for kind in _kinds(found)), "of great numbers, any softmax is near enough"
