"""Where two models part by the form of numbers, or from one call to the next: half precision, TF32, what draws at random."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from located_models import EPSILON, Faults, Weights, images, tflite_like, torch_like

from deploy_agreement.locating import Seen, locate, look
from deploy_agreement.locating.narrow import in_steps, narrowed, rounded
from deploy_core.predictor import Intermediate
from deploy_core.signature import Array, Tensors


def _bits(count: int) -> Callable[[Array], Array]:
    """Round to that many bits behind the point, by frexp and not by casts."""

    def made(array: Array) -> Array:
        mantissa, exponent = np.frexp(array.astype(np.float64))
        return np.asarray(np.ldexp(np.round(np.ldexp(mantissa, count + 1)), exponent - count - 1), np.float32)

    return made


ROUNDED = {"bfloat16": _bits(7), "float16": lambda each: each.astype(np.float16).astype(np.float32), "TF32": _bits(10)}


def _some(scale: float = 1.0) -> Array:
    return (np.random.default_rng(5).standard_normal((8, 16)) * scale).astype(np.float32)


@pytest.mark.parametrize(("kind", "scale"), [("bfloat16", 1.0), ("float16", 1.0), ("TF32", 1e-6), ("bfloat16", 1e6)])
def test_kind_of_number_is_known_by_its_form(kind: str, scale: float) -> None:
    want = _some(scale)
    got = ROUNDED[kind](want)
    assert narrowed(want, got) == rounded(want, got) == kind
    assert narrowed(got, got) == ""  # the reference has the same
    assert narrowed(want, want) == ""
    assert narrowed(want, np.zeros_like(got)) == ""  # nothing is no number of few bits
    assert rounded(want, np.ascontiguousarray(got[::-1])) == ""  # of few bits, and others
    got[3, 3] = want[3, 3]
    assert narrowed(want, got) == ""


@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("sides", ["two", "one"])
def test_eight_bits_are_known_by_their_steps(axis: int | None, sides: str) -> None:
    want = (np.random.default_rng(5).standard_normal((24, 32)) + (3 if sides == "one" else 0)).astype(np.float32)
    other = None if axis is None else 1 - axis
    low, high = (np.asarray(end(want, axis=other, keepdims=True)) for end in (np.min, np.max))
    whole = np.maximum(high, 0) - np.minimum(low, 0)
    step = np.maximum(high, -low) / 127 if sides == "two" else whole / 255
    got = np.asarray(np.round(want / step) * step, np.float32)
    assert in_steps(want, got)
    assert not in_steps(got, got)
    assert not in_steps(want, want)
    assert not in_steps(want[::-1], got)
    got[3, 3] += 0.3 * float(step.max())
    assert not in_steps(want, got)


def test_eight_bits_are_known_though_a_channel_is_of_zeros() -> None:
    want = np.random.default_rng(5).standard_normal((8, 32)).astype(np.float32)
    want[3] = 0
    step = np.abs(want).max(axis=1, keepdims=True) / 127
    got = np.round(want / np.where(step > 0, step, 1)) * step
    assert in_steps(want, got)
    assert not in_steps(want + np.float32(0.01), got)


def _with(names: Sequence[str], change: Callable[[Array], Array]) -> Faults:
    def made(each: Weights) -> Weights:
        return {name: change(array) if name in names or not names else array for name, array in each.items()}

    return Faults(weights=made)


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
@pytest.mark.parametrize("form", [torch_like, tflite_like])
def test_weights_of_one_layer_in_fewer_bits(form: Callable[..., Seen], kind: str) -> None:
    other = form(images(), _with(["mix.weight"], ROUNDED[kind]))
    assert f"mix: weight 'weight' is rounded to {kind}" in locate(torch_like(images()), other).located.said


def test_model_in_float16_throughout_is_told_so() -> None:
    limits = {"probs": 1e-6}
    found = locate(torch_like(images()), torch_like(images(), _with([], ROUNDED["float16"])), limits=limits).located
    assert found.said == "features.0: weight 'weight' is rounded to float16"


def test_other_fault_in_a_model_in_float16_comes_first() -> None:
    faults = replace(_with([], ROUNDED["float16"]), epsilon={"4": 1e-1})
    found = locate(torch_like(images()), torch_like(images(), faults)).located
    assert found.said == f"features.4: batch norm has epsilon 0.1, wanted is {EPSILON:g}"


def _changed(seen: Seen, name: str, change: Callable[[Array], Array]) -> Seen:
    steps = [replace(each, value=change(each.value)) if each.name == name else each for each in seen.steps]
    rest = [replace(each, value=each.value * np.float32(1.001)) for each in steps[_place(seen, name) + 1 :]]
    steps = [*steps[: _place(seen, name) + 1], *rest]
    return replace(seen, steps=tuple(steps), outputs=dict.fromkeys(seen.outputs, steps[-1].value))


def _place(seen: Seen, name: str) -> int:
    return [each.name for each in seen.steps].index(name)


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_result_of_one_layer_in_fewer_bits(kind: str) -> None:
    one = torch_like(images())
    found = locate(one, _changed(one, "conv3", ROUNDED[kind])).located
    assert found.said == f"features.3: its result is what {kind} gives"


def test_few_bits_are_no_reason_for_what_they_do_not_explain() -> None:
    one = torch_like(images())
    found = locate(one, _changed(one, "conv3", lambda each: ROUNDED["float16"](each * np.float32(1.5)))).located
    assert found.said.startswith("features.3: ")
    assert "what float16 gives" not in found.said


@dataclass
class _Drawing:
    """A model with a tensor that is another each time, by so much."""

    seen: Seen
    by: float
    signature: Any = None
    calls: int = 0

    def close(self) -> None:
        """It holds nothing."""

    def predict(self, inputs: Tensors) -> Tensors:
        return {name: self.intermediates(inputs)[-1].value for name in self.seen.outputs}

    def intermediates(self, inputs: Tensors) -> list[Intermediate]:
        self.calls += 1
        random = np.random.default_rng(self.calls)
        at, found = _place(self.seen, "hidden_out"), []
        for place, each in enumerate(self.seen.steps):
            moved = (1 + self.by * random.standard_normal(each.value.shape)).astype(np.float32)
            found.append(replace(each, value=each.value * moved) if place >= at else each)
            if place == at:
                dropped = Intermediate(
                    "dropped", found[-1].value * moved, "aten::dropout", ("hidden_out",), {"p": 0.1, "train": True}
                )
                found[-1:] = [each, dropped]
        return [replace(one, inputs=tuple("dropped" if n == "hidden_out" and one.name != "dropped" else n for n in one.inputs)) for one in found]  # fmt: skip


def test_what_draws_at_random_is_named() -> None:
    one = torch_like(images())
    other = look("dropping", _Drawing(one, 0.2), one.inputs)
    assert "hidden_out" not in other.unsteady
    assert {"dropped", "bent", "probs"} <= other.unsteady
    found = locate(one, other).located
    assert found.said == "dropped: aten::dropout gives other values from one call to the next: it has train True"
    assert found.first is not None
    assert found.first.other.operator == "aten::dropout"
    assert not found.first.ok


def test_what_draws_is_named_though_these_answers_agree() -> None:
    one = torch_like(images())
    other = replace(one, name="other", unsteady=frozenset({"mixed", "head_out", "probs"}))
    found = locate(one, other).located
    assert found.said.endswith("mixed: aten.tanh.default gives other values from one call to the next")


def test_nan_where_nan_is_wanted_parts_nobody() -> None:
    bad = images()
    bad[0, 0, 2, 2] = np.nan
    found = locate(torch_like(bad), tflite_like(bad)).located
    assert found.first is None
    faults = Faults(weights=lambda each: {**each, "3.bias": each["3.bias"] + np.float32(0.1)})
    parts = locate(torch_like(bad), torch_like(bad, faults)).located
    assert parts.said.startswith("features.3: weight 'bias' is off by")


def test_rounding_from_one_call_to_the_next_is_nothing() -> None:
    one = torch_like(images())
    other = look("threads", _Drawing(one, 2.0**-24), one.inputs)
    assert not other.unsteady
    assert locate(one, other).located.first is None


def test_reference_that_draws_as_well_accuses_nobody_of_drawing() -> None:
    one = torch_like(images())
    drawing = look("one", _Drawing(one, 0.2), one.inputs)
    assert (
        "one call to the next"
        not in locate(drawing, look("other", _Drawing(one, 0.2, calls=9), one.inputs)).located.said
    )


def test_file_of_eight_bits_is_told_so_where_they_explain_all() -> None:
    def stepped(each: Intermediate) -> Intermediate:
        scale = float(np.abs(each.value).max()) / 127
        value = np.asarray(np.round(each.value / scale) * scale, np.float32)
        return replace(each, value=value, attributes={**each.attributes, "scale": scale, "zero_point": 0})

    one = torch_like(images())
    steps = tuple(map(stepped, one.steps))
    other = replace(one, name="other", steps=steps, outputs={"probs": steps[-1].value})
    assert locate(one, other).located.first is None
    limits = {"probs": float(np.abs(steps[-1].value - one.outputs["probs"]).max()) / 8}
    found = locate(one, other, limits=limits).located
    assert found.said == f"features.0: its result is quantised, in steps of {steps[0].attributes['scale']:.3g}, which the reference's is not"  # fmt: skip


def test_weights_of_eight_bits_are_told_so() -> None:
    def stepped(array: Array) -> Array:
        step = np.abs(array).max(axis=1, keepdims=True) / 127
        return np.asarray(np.round(array / step) * step, np.float32)

    other = tflite_like(images(), _with(["hidden.weight"], stepped))
    assert "hidden: weight 'weight' is rounded to 8 bits" in locate(torch_like(images()), other).located.said


def test_weights_that_are_bytes_are_told_so_where_they_explain_all() -> None:
    def held(each: Intermediate) -> Intermediate:
        return replace(
            each,
            weights={**each.weights, "kernel": np.arange(8, dtype=np.int8)} if each.layer == "mix" else each.weights,
        )

    one = torch_like(images())
    slight = torch_like(images(), _with(["mix.bias"], lambda each: each * np.float32(1.001)))
    other = replace(slight, steps=tuple(map(held, slight.steps)))
    assert locate(one, other).located.first is None
    found = locate(one, other, limits={"probs": 1e-7}).located
    assert found.said == "mix: its weights are of 8 bits, which the reference's are not"
