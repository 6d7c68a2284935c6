"""Sizes of dynamic dimensions: what the source takes is promised, and a file that stays at one size is found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from deploy_agreement import (
    Agreement,
    Noise,
    Promise,
    again,
    batches_for,
    batches_like,
    compare,
    compare_sizes,
    golden_inputs,
    noise,
    promise,
)
from deploy_core.errors import ExportError, UsageError
from deploy_core.signature import Tensors

Make = Callable[..., Any]
Answer = Callable[[Tensors], dict[str, np.ndarray]]
QUIET = Noise({"y": 1e-7}, "nothing")
IDS = {"ids": np.arange(16).reshape(2, 8) % 5, "mask": np.array([[True] * 8, [True] * 6 + [False] * 2])}
TABLE = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)


def words(inputs: Tensors) -> dict[str, np.ndarray]:
    """Look ids up, add a position, forget what the mask hides."""
    ids, mask = inputs["ids"], inputs["mask"]
    if ids.shape[1] > len(TABLE):
        raise ExportError(f"the table holds {len(TABLE)} positions\nand more of a traceback")
    assert ids.max() < 5, "no id may leave the range of the example"
    return {"y": (TABLE[ids] + TABLE[: ids.shape[1]]) * mask[..., None]}


def image(inputs: Tensors) -> dict[str, np.ndarray]:
    """Halve and double an image three times, as a U-Net does."""
    x = inputs["x"]
    if x.shape[2] % 8 or x.shape[3] % 8:
        raise ExportError(f"sizes of tensors must match: {x.shape[2:]}")
    small = x.reshape(*x.shape[:2], x.shape[2] // 8, 8, x.shape[3] // 8, 8).mean(axis=(3, 5))
    return {"y": x + small.repeat(8, axis=2).repeat(8, axis=3)}


def asked(make: Make, answer: Answer, **options: Any) -> tuple[Any, Tensors, Promise]:
    spec = ("ids:int64[batch,seq] mask:bool[batch,seq]", "y:float32[batch,seq,4]")
    if answer is image:
        spec = ("x:float32[batch,3,height,width]", "y:float32[batch,3,height,width]")
    source = make(*spec, answer)
    example = IDS if answer is not image else {"x": np.random.default_rng(1).normal(size=(2, 3, 32, 16)).astype("f4")}
    golden = golden_inputs(source.signature, example)
    return source, golden, promise(source, golden, QUIET, **options)


def judged(make: Make, answer: Answer) -> Agreement:
    source, golden, made = asked(make, words)
    file = make("ids:int64[batch,seq] mask:bool[batch,seq]", "y:float32[batch,seq,4]", answer)
    row = compare("onnx", source.predict(golden), file, golden, noise=QUIET)
    return compare_sizes(row, file, made.sized)


def test_what_the_source_takes_is_promised_and_what_it_refuses_is_told(make: Make) -> None:
    _, _, made = asked(make, words)
    assert [dict(one.sizes) for one in made.sized] == [{"seq": n} for n in (1, 2, 3, 13, 64)]
    _, _, ranged = asked(make, words, ranges={"seq": (2, 40)})
    assert [one.sizes["seq"] for one in ranged.sized] == [2, 3, 13, 40]
    assert made.refused == ranged.refused == ()
    assert all(one.inputs["mask"].dtype == bool for one in made.sized)
    assert {one.inputs["ids"].shape for one in made.sized} == {(3, n) for n in (1, 2, 3, 13, 64)}


def test_a_positional_table_ends_the_promise(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "TABLE", TABLE[:20])
    _, _, made = asked(make, words)
    assert [one.sizes["seq"] for one in made.sized] == [1, 2, 3, 13]
    (refused,) = made.refused
    assert (refused.symbol, refused.size, refused.why) == ("seq", 64, "the table holds 20 positions")
    with pytest.raises(UsageError, match="range of seq ends at 21, which the source model itself does not take"):
        asked(make, words, ranges={"seq": (1, 21)})


def test_a_model_of_multiples_is_proved_at_multiples(make: Make) -> None:
    _, _, made = asked(make, image)
    of = {
        symbol: [one.sizes[symbol] for one in made.sized if set(one.sizes) == {symbol}]
        for symbol in ("height", "width")
    }
    assert of == {"height": [64, 96], "width": [64, 32]}
    assert {(one.symbol, one.size) for one in made.refused} >= {("height", 13), ("width", 1)}
    (together,) = (one.sizes for one in made.sized if len(one.sizes) == 2)
    assert together["height"] % 8 == together["width"] % 8 == 0


def test_an_unknown_symbol_of_a_range(make: Make) -> None:
    with pytest.raises(UsageError, match="range is given for 'length'") as caught:
        asked(make, words, ranges={"length": (1, 9)})
    assert "batch, seq" in caught.value.hint


def test_a_file_that_keeps_its_sizes_agrees(make: Make) -> None:
    row = judged(make, words)
    assert row.ok
    assert [dict(sizes) for sizes in row.sizes] == [{"seq": n} for n in (1, 2, 3, 13, 64)]


def test_a_frozen_sequence_is_named_with_its_size(make: Make) -> None:
    def refuses(inputs: Tensors) -> dict[str, np.ndarray]:
        if inputs["ids"].shape[1] != 8:
            raise ExportError("got 1, expected 8")
        return words(inputs)

    row = judged(make, refuses)
    assert not row.ok
    assert {problem.kind for problem in row.problems} == {"frozen-dimension"}
    assert "frozen dimension: it does not answer seq = 1: got 1, expected 8" in row.why
    assert row.sizes == ()


def test_a_frozen_output_and_wrong_values_are_told_apart(make: Make) -> None:
    row = judged(make, lambda inputs: {"y": np.resize(words(inputs)["y"], (len(inputs["ids"]), 8, 4))})
    assert {problem.kind for problem in row.problems} == {"frozen-dimension"}
    assert "at seq = 1, output 'y' has shape [3, 8, 4], not [3, 1, 4]" in row.why

    def scaled(inputs: Tensors) -> dict[str, np.ndarray]:
        return {"y": words(inputs)["y"] * np.float32(inputs["ids"].shape[1] / 8)}

    row = judged(make, scaled)
    assert {problem.kind for problem in row.problems} == {"size", "scaled"}
    assert "at seq = 1, output 'y' is off by" in row.why
    assert row.outputs[0].ok  # at the golden size


def test_a_source_that_answers_nan_there_is_not_held_to_it(make: Make) -> None:
    def averaged(inputs: Tensors) -> dict[str, np.ndarray]:
        y = words(inputs)["y"]
        return {"y": y if y.shape[1] > 2 else y * np.float32(np.nan)}

    _, _, made = asked(make, averaged)
    assert [one.sizes["seq"] for one in made.sized] == [3, 13, 64]
    assert {one.size for one in made.refused} == {1, 2}
    assert "NaN" in made.refused[0].why


def test_the_same_sizes_are_asked_again_of_a_reference(make: Make) -> None:
    source, golden, made = asked(make, words)
    told = made.to_json()
    anew = list(again(source, golden, QUIET, told))
    assert [one.sizes for one in anew] == [one.sizes for one in made.sized]
    for left, right in zip(anew, made.sized, strict=True):
        np.testing.assert_array_equal(left.outputs["y"], right.outputs["y"])
        assert left.noise.values == right.noise.values


def test_a_batch_in_a_range_is_asked_for_up_to_its_end(make: Make) -> None:
    source, _, made = asked(make, words, ranges={"batch": (1, 100)})
    assert [one.sizes for one in made.sized if "batch" in one.sizes] == [{"batch": 100}]
    assert made.sized[-1].outputs["y"].shape == (100, 8, 4)
    _, _, inside = asked(make, words, ranges={"batch": (1, 16)})
    assert not any("batch" in one.sizes for one in inside.sized)
    assert batches_for(source.signature) == (1, 2, 3, 7)
    assert batches_for(source.signature, (2, 4)) == (2, 3)


def test_a_fixed_batch_is_compared_whole_and_its_noise_is_of_64_rows(make: Make) -> None:
    def double(inputs: Tensors) -> dict[str, np.ndarray]:
        assert inputs["x"].shape == (3, 5)
        return {"y": (inputs["x"].astype(np.float64) * 0.1).sum(axis=1)}

    def single(inputs: Tensors) -> dict[str, np.ndarray]:
        return {"y": (inputs["x"] * np.float32(0.1)).sum(axis=1)}

    source = make("x:float32[3,5]", "y:float32[3]", single, double)
    assert batches_for(source.signature) == ()
    golden = golden_inputs(source.signature, {"x": np.random.default_rng(2).normal(size=(3, 5)).astype("f4")})
    batches = batches_like(source.signature, golden)
    assert (len(batches), batches[0]["x"].tolist()) == (22, golden["x"].tolist())
    assert not np.array_equal(batches[1]["x"], batches[2]["x"])
    measured, alone = noise(source, *batches), noise(source, golden)
    assert measured.origin.endswith("66 rows")
    assert measured.values["y"] >= alone.values["y"] > 0
    assert promise(source, golden, measured).to_json()["sizes"] == []
    spread = make("x:float32[3,5]", "y:float32[3]", single)
    assert noise(spread, *batches_like(spread.signature, golden)).values["y"] > 0
    assert set(spread.asked) == {3}
