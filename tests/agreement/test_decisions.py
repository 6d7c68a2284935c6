"""What a user would notice of a difference, against plain numpy."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import numpy as np
import pytest

from deploy_agreement import ANY, Decisions, Noise, Terms, compare
from deploy_agreement.deciding import decide
from deploy_agreement.deciding.detections import overlap
from deploy_core.predictor import Predictor
from deploy_core.signature import Array

DRAW = np.random.default_rng(5)
SCORES = DRAW.normal(size=(64, 10)).astype(np.float32)


def softmax(values: Array, axis: int = -1) -> Array:
    shares = np.exp(values - values.max(axis=axis, keepdims=True))
    return np.asarray(shares / shares.sum(axis=axis, keepdims=True), np.float32)


def one(want: Array, got: Array, limit: float = 0.0, name: str = "logits", labels: tuple[str, ...] = ()) -> Decisions:
    return decide({name: want}, {name: got}, {name: 0}, {name: np.array(limit)}, {name: labels})[name]


def nothing(want: Array, got: Array, name: str = "y", labels: tuple[str, ...] = ()) -> bool:
    return not decide({name: want}, {name: got}, {name: 0}, {}, {name: labels})


def swapped(want: Array, *rows: int) -> Array:
    """The best class and the next change places."""
    got = want.copy()
    for row in rows:
        first, second = np.argsort(-want[row])[:2]
        got[row, [first, second]] = want[row, [second, first]]
    return got


def test_no_flips() -> None:
    found = one(SCORES, SCORES + np.float32(1e-6), 1e-5)
    assert (found.kind, found.rows, found.flips, found.margin, found.top_k, found.k) == ("class", 64, 0, None, 1.0, 5)
    assert found.said == "all 64 rows keep their class"


def test_flips_and_their_margin() -> None:
    found = one(SCORES, swapped(SCORES, 3, 17), 1e-6, labels=tuple("abcdefghij"))
    ordered = np.sort(SCORES.astype(np.float64), axis=1)
    margins = (ordered[:, -1] - ordered[:, -2])[[3, 17]]
    assert (found.flips, found.flipped, found.close, found.clear) == (2, (3, 17), 0, 2)
    assert found.margin == pytest.approx(margins.max())
    assert found.said == f"2 of 64 rows get another class, the clearest by a margin of {margins.max():.2g}"
    assert [flip.row for flip in found.shown] == [(3, 17)[at] for at in np.argsort(-margins)]
    assert {flip.row: flip.want for flip in found.shown} == {row: "abcdefghij"[SCORES[row].argmax()] for row in (3, 17)}
    assert found.top_k == 1.0  # both are still among the best five


def test_a_flip_within_the_tolerance_is_told_as_such() -> None:
    want = np.array([[1.0, 1.0 + 1e-6, 0.0], [3.0, 0.0, 2.0], [5.0, 5.0, 1.0]], np.float32)
    got = np.array([[1.0 + 1e-6, 1.0, 0.0], [0.0, 0.0, 2.0], [5.0, 5.1, 1.0]], np.float32)
    found = one(want, got, 1e-5)
    assert (found.flips, found.close, found.clear, found.margin) == (3, 2, 1, 1.0)
    assert found.said == "3 of 3 rows get another class, the clearest by a margin of 1; in 2 of them rounding decides"
    both = one(np.array([[1.0, 0.85]]), np.array([[0.92, 0.93]]), 0.1)  # each moved by less than its limit
    assert (both.flips, both.close) == (1, 1)
    only = one(want[:1], got[:1], 1e-5)
    assert only.said == "1 of 1 rows gets another class, where rounding decides: it is within the tolerance"


def test_a_limit_of_each_element_counts() -> None:
    want, got = np.array([[1.0, 0.9], [1.0, 0.9]], np.float32), np.array([[0.9, 1.0], [0.9, 1.0]], np.float32)
    limit = np.array([[0.2, 0.0], [0.01, 0.01]])
    found = decide({"y": want}, {"y": got}, {"y": 0}, {"y": limit})["y"]
    assert [(flip.row, flip.close) for flip in found.shown] == [(0, True), (1, False)]


def test_top_k_is_that_of_numpy() -> None:
    got = SCORES + DRAW.normal(scale=0.5, size=SCORES.shape).astype(np.float32)
    found = one(SCORES, got)
    sets = [set(np.argsort(-SCORES[row])[:5]) == set(np.argsort(-got[row])[:5]) for row in range(64)]
    assert found.top_k == pytest.approx(np.mean(sets))
    assert found.flips == (SCORES.argmax(1) != got.argmax(1)).sum()
    assert one(SCORES, got, 10.0).top_k == 1.0


def test_what_may_be_no_classes_is_said_of_columns() -> None:
    assert one(SCORES, swapped(SCORES, 3), name="y").said.startswith(
        "1 of 64 rows has its greatest value in another column"
    )
    assert one(softmax(SCORES), swapped(softmax(SCORES), 3), name="y").said.startswith("1 of 64 rows gets another cl")
    assert "class" in one(SCORES, swapped(SCORES, 3), name="y", labels=tuple("abcdefghij")).said


def test_nan_is_no_class() -> None:
    got = SCORES.copy()
    got[7, 2] = np.nan
    found = one(SCORES, got)
    assert (found.flips, found.flipped, found.margin, found.shown[0].got) == (1, (7,), None, "NaN")
    assert (one(got, got).rows, one(got, got).flips) == (63, 0)  # nobody knows what is wanted there
    json.dumps(found.to_json(), allow_nan=False)


@pytest.mark.parametrize("labels", [(), ("no", "yes")])
def test_a_probability_has_two_sides(labels: tuple[str, ...]) -> None:
    want = np.array([[0.1], [0.49999], [0.7], [0.9]], np.float32)
    got = np.array([[0.1], [0.50001], [0.2], [0.9]], np.float32)
    found = one(want, got, 1e-4, "y", labels)
    assert (found.kind, found.flips, found.close, found.flipped) == ("threshold", 2, 1, (1, 2))
    assert found.margin == pytest.approx(0.2)
    assert (found.shown[0].want, found.shown[0].got) == (labels[::-1] or ("0.5 or more", "below 0.5"))
    assert found.said.startswith("2 of 4 rows lie on the other side of 0.5, the clearest by a margin of 0.2")
    nan = one(want, np.array([[np.nan], [0.4], [0.7], [np.nan]]), 1e-4, "y", labels)
    assert (nan.flips, {flip.got for flip in nan.shown}) == (2, {"NaN"})
    flat = one(want[:, 0], got[:, 0], 1e-4, "y", labels)
    assert flat == found


@pytest.mark.parametrize(
    "want",
    [
        np.linspace(-3, 3, 8, dtype=np.float32)[:, None],  # a regression
        np.linspace(0.6, 0.9, 8, dtype=np.float32)[:, None],  # one side only
        np.linspace(0, 1.5, 8, dtype=np.float32),
        DRAW.normal(size=(4, 3, 8, 8)).astype(np.float32),  # an image
        DRAW.normal(size=(4, 6, 7)).astype(np.float32),  # hidden states
        np.full((4, 1), np.nan, np.float32),
        np.zeros((4, 3), np.complex64),
        np.zeros((0, 3), np.float32),
    ],
)
def test_nothing_is_decided_by_just_any_numbers(want: Array) -> None:
    assert nothing(want, want + np.float32(1))


def test_a_logit_is_decided_at_zero_where_its_name_or_the_labels_say_so() -> None:
    want = np.array([[-1.0], [2.0]], np.float32)
    assert one(want, -want, name="logit").said.startswith("2 of 2 rows lie on the other side of 0")
    assert one(want, -want, name="y", labels=("a", "b")).shown[0].want == "b"


def test_pixels_are_counted() -> None:
    values = DRAW.normal(size=(2, 5, 16, 16)).astype(np.float32)
    want = softmax(values, axis=1)
    got = want.copy()
    got[1, :, 3, 4] = np.roll(want[1, :, 3, 4], 1)
    got[1, :, 3, 5] = np.roll(want[1, :, 3, 5], 2)
    found = one(want, got, name="y")
    assert (found.kind, found.rows, found.flips, found.flipped, found.top_k) == ("pixels", 512, 2, (1,), None)
    assert {flip.place for flip in found.shown} == {(3, 4), (3, 5)}
    last = one(np.moveaxis(want, 1, -1), np.moveaxis(got, 1, -1), name="y")
    assert last.flips == 2
    assert last.said == found.said
    assert one(values, got, name="segmentation_logits").kind == "pixels"


def test_tokens_are_counted() -> None:
    want = DRAW.normal(size=(3, 7, 50)).astype(np.float32)
    got = want.copy()
    got[2, 5, 49] = 99
    found = one(want, got)
    assert (found.kind, found.rows, found.flips, found.shown[0].place) == ("tokens", 21, 1, (5,))
    assert found.shown[0].got == "class 49"


def test_answers_that_are_no_floats() -> None:
    want = np.array([3, 1, 2])
    found = one(want, np.array([3, 0, 2]), labels=("a", "b", "c", "d"))
    assert (found.flips, found.shown[0].want, found.shown[0].got) == (1, "b", "a")
    assert found.said == "1 of 3 rows gets another answer"
    words = one(np.array(["x", "y"], object), np.array([b"x", b"z"], object))
    assert (words.flips, words.shown[0].want, words.shown[0].got) == (1, "y", "z")


def test_overlap_is_intersection_by_union() -> None:
    others = np.array([[0, 0, 2, 2], [1, 1, 3, 3], [5, 5, 6, 6], [0, 0, 0, 0]], float)
    assert overlap(np.array([0, 0, 2, 2], float), others) == pytest.approx([1, 1 / 7, 0, 0])


def detected() -> dict[str, Array]:
    boxes = np.zeros((2, 4, 4), np.float32)
    boxes[:, :, :2] = np.arange(4, dtype=np.float32)[:, None] * 20
    boxes[:, :, 2:] = boxes[:, :, :2] + 10
    scores = np.array([[0.9, 0.8, 0.6, 0.1], [0.95, 0.4, 0.3, 0.2]], np.float32)
    return {"boxes": boxes, "scores": scores, "classes": np.array([[0, 1, 1, 0], [2, 0, 0, 0]], np.float32)}


def boxes_of(want: dict[str, Array], got: dict[str, Array], limit: float = 0.0) -> Decisions:
    found = decide(want, got, dict.fromkeys(want, 0), {"scores": np.array(limit)}, {"classes": ("cat", "dog", "bird")})
    assert set(found) == {"boxes"}
    return found["boxes"]


def test_detections_that_move_a_little_are_the_same() -> None:
    want = detected()
    order = [2, 0, 1, 3]  # their order is nobody's promise
    got = {name: array[:, order] for name, array in want.items()}
    got["boxes"] = got["boxes"] + np.float32(1)
    found = boxes_of(want, got)
    assert (found.kind, found.rows, found.flips, found.said) == ("detections", 4, 0, "all 4 detections are found again")


def test_missing_and_extra_detections_and_other_classes() -> None:
    want, got = detected(), detected()
    got["scores"][0, 2] = 0.4  # below the threshold
    got["classes"][0, 0] = 1  # a cat becomes a dog: one is missing, one is too many
    got["boxes"][1, 0] += 9  # elsewhere
    found = boxes_of(want, got)
    assert (found.rows, found.flips, found.flipped) == (6, 5, (0, 1))
    assert found.margin == pytest.approx(0.45)
    assert found.said == "5 of 6 detections differ (3 missing, 2 extra), the clearest by a margin of 0.45"
    assert {("cat (0.90)", "nothing"), ("nothing", "dog (0.90)")} <= {(flip.want, flip.got) for flip in found.shown}


def test_a_detection_at_the_edge_of_the_threshold_is_rounding() -> None:
    want, got = detected(), detected()
    want["scores"][0, 2], got["scores"][0, 2] = 0.50001, 0.49999
    found = boxes_of(want, got, 1e-4)
    assert (found.flips, found.close) == (1, 1)


def test_boxes_by_their_centre_and_size() -> None:
    want, got = detected(), detected()
    for one_ in (want, got):
        one_["boxes"][..., :2] += 100
        one_["boxes"][..., 2:] = 10
    got["boxes"][0, 0, 0] += 2
    assert boxes_of(want, got).flips == 0
    got["boxes"][0, 0, 0] += 6
    assert boxes_of(want, got).flips == 2


def test_boxes_of_one_image_and_another_number_of_them() -> None:
    want = {name: array[0] for name, array in detected().items()}
    got = {name: array[:2] for name, array in want.items()}
    found = decide(want, got, {}, {})["boxes"]
    assert (found.rows, found.flips, found.shown[0].want) == (3, 1, "class 1 (0.60)")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none_are_no_class_and_no_box(value: float) -> None:
    want = detected()
    for name in ("boxes", "classes"):
        got = {**detected(), name: np.full_like(want[name], value, np.float32)}
        assert (boxes_of(want, got).rows, boxes_of(want, got).flips) == (8, 8)
    assert "class nan (0.90)" in {
        flip.got for flip in boxes_of(want, {**want, "classes": want["classes"] * np.nan}).shown
    }


def test_classes_in_words() -> None:
    want, got = detected(), detected()
    want["classes"] = np.where(want["classes"] == 0, b"cat", b"dog").astype(object)
    got["classes"] = np.array([[str(one, "utf-8") for one in row] for row in want["classes"]], object)
    assert boxes_of(want, got).flips == 0
    got["classes"][0, 0] = "cow"
    assert {("cat (0.90)", "nothing"), ("nothing", "cow (0.90)")} == {
        (flip.want, flip.got) for flip in boxes_of(want, got).shown
    }


@pytest.mark.parametrize(
    "boxes", [np.zeros((2, 4, 5), np.float32), np.zeros((4, 4), np.float32), np.full((2, 4, 4), b"box", object)]
)
def test_what_holds_no_boxes_is_not_compared_as_such(boxes: Array) -> None:
    got = {**detected(), "boxes": boxes}
    if boxes.ndim == 2:
        got = {name: array[0] for name, array in detected().items()}
    assert "boxes" not in decide(detected(), got, dict.fromkeys(got, 0), {})


def test_boxes_of_both_answers_are_told_in_one_way() -> None:
    """By its centre and size, one box could pass for its corners; the others say what it is."""
    want = {
        "boxes": np.array([[[50.0, 50, 10, 10], [10, 10, 10, 10]]], np.float32),
        "scores": np.array([[0.9, 0.8]], np.float32),
    }
    got = {**want, "scores": np.array([[0.2, 0.8]], np.float32)}
    assert [flip.want for flip in boxes_of(want, got).shown] == ["class 0 (0.90)"]


def test_a_nan_at_the_threshold_is_no_rounding() -> None:
    found = one(np.array([0.4, 0.50001, 0.6]), np.array([0.4, np.nan, 0.6]), 1e-3, "y")
    assert (found.flips, found.close, found.clear) == (1, 0, 1)
    assert not found.shown[0].close


def test_complex_answers_to_real_numbers_decide_nothing() -> None:
    assert nothing(SCORES, SCORES + 0j)


def test_a_single_row_and_sums_beyond_the_dtype() -> None:
    assert one(SCORES[:1], SCORES[:1]).said == "the same is decided of the only row"
    huge = np.full((2, 3), 3e38, np.float32)
    assert one(huge, huge, name="y").flips == 0


Make = Callable[..., Predictor]


def test_a_comparison_tells_decisions(make: Make) -> None:
    spec = ("x:float32[batch,10]", "logits:float32[batch,10]")
    bad = make(*spec, lambda inputs: {"logits": inputs["x"][:, ::-1].copy()})
    noise = Noise({"logits": 1e-7}, "test")
    row = compare("net", {"logits": SCORES}, bad, {"x": SCORES}, noise=noise, labels={"logits": "abcdefghij"})
    decisions = row.outputs[0].decisions
    assert decisions is not None
    assert decisions.flips == (SCORES.argmax(1) != SCORES[:, ::-1].argmax(1)).sum()
    assert decisions.shown[0].want in "abcdefghij"
    good = compare("net", {"logits": SCORES}, make(*spec, lambda i: {"logits": i["x"]}), {"x": SCORES}, noise=noise)
    assert good.outputs[0].decisions is not None
    assert good.ok
    assert good.outputs[0].decisions.flips == 0


def test_what_a_quantised_variant_is_allowed_is_no_rounding(make: Make) -> None:
    spec = ("x:float32[batch,10]", "logits:float32[batch,10]")
    coarse = make(*spec, lambda inputs: {"logits": np.round(inputs["x"])})
    noise = Noise({"logits": 1e-7}, "test")
    row = compare("net", {"logits": SCORES}, coarse, {"x": SCORES}, noise=noise, terms=Terms(measured={"logits": ANY}))
    decisions = row.outputs[0].decisions
    assert row.ok
    assert decisions is not None
    assert decisions.clear == decisions.flips == (SCORES.argmax(1) != np.round(SCORES).argmax(1)).sum() > 0


def test_it_costs_little() -> None:
    want = DRAW.random((8, 21, 128, 128), np.float32)
    got = np.roll(want, 1, axis=1)  # every pixel flips
    begin = time.process_time()
    found = one(want, got, name="segmentation")
    assert found.flips > 100_000
    assert time.process_time() - begin < 5  # the decisions of all pixels one by one would take minutes
