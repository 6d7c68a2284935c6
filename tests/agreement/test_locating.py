"""Where two models part: planted faults in a model that numpy computes in two ways, and honest pairs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from located_models import Faults, Weights, images, tflite_like, torch_like, weights

from deploy_agreement.locating import NOWHERE, Seen, locate
from deploy_core.signature import Array

Look = Callable[..., Seen]
FORMS: dict[str, Look] = {"torch": torch_like, "tflite": tflite_like}


def _changed(name: str, change: Callable[[Array], Array]) -> Faults:
    def made(each: Weights) -> Weights:
        return {**each, name: np.ascontiguousarray(change(each[name].copy())).astype(np.float32)}

    return Faults(weights=made)


def _one(array: Array) -> Array:
    array[0, 2, 1, 1] += 0.05
    return array


def _scaled(channel: int, by: float) -> Callable[[Array], Array]:
    def made(array: Array) -> Array:
        array[channel] *= by
        return array

    return made


@dataclass(frozen=True)
class Planted:
    fault: Faults
    layer: str
    told: str  # what is said has to have it
    told_folded: str = ""  # where the file has folded and fused
    layer_folded: str = ""


PLANTED = {
    "epsilon of the first norm": Planted(Faults(epsilon={"1": 1e-3}), "features.1", "epsilon 0.001, wanted is 1e-05"),
    "epsilon of the second": Planted(Faults(epsilon={"4": 1e-2}), "features.4", "epsilon 0.01, wanted is 1e-05"),
    "mean of a norm": Planted(
        _changed("4.mean", lambda w: w + 0.1), "features.4", "mean", "batch norm adds something else to"
    ),
    "scale of a norm": Planted(
        _changed("1.weight", _scaled(2, 1.5)), "features.1", "weight", "batch norm multiplies 1 of 4 channels otherwise"
    ),
    "kernels permuted": Planted(
        _changed("0.weight", lambda w: w[[0, 2, 1, 3]]), "features.0", "has axis 0 in another order: place 1", "off by"
    ),
    "one weight": Planted(_changed("3.weight", _one), "features.3", "in 1 of 216 values"),
    "a kernel scaled": Planted(
        _changed("3.weight", _scaled(4, 2.0)), "features.3", "is 2 times the wanted one at place 4 of axis 0"
    ),
    "padding on the wrong side": Planted(
        Faults(pads=(0, 2)), "features.3", "padding ((0, 0)", "padding ((0, 2), (0, 2)), wanted is ((1, 1), (1, 1))"
    ),
    "dilation": Planted(Faults(dilation=2, pads=(2, 2)), "features.3", "dilation (2, 2), wanted is (1, 1)"),
    "a relu missing": Planted(Faults(relu=False), "features.5", "relu is missing"),
    "flattened channels last": Planted(Faults(channels_last=True), "hidden", "another order of the same values"),
    "columns reversed": Planted(
        _changed("hidden.weight", lambda w: w[:, ::-1]), "hidden", "has axis 1 in another order: place 0"
    ),
    "a bias": Planted(_changed("hidden.bias", lambda b: b + 0.01), "hidden", "off by up to 0.01 in 8 of 8 values"),
    "gelu by tanh": Planted(Faults(gelu="tanh"), "act", "approximate tanh, wanted is none"),
    "a matrix transposed": Planted(_changed("mix.weight", lambda w: w.T), "mix", "the weight is transposed"),
    "weights of another layer": Planted(
        _changed("mix.bias", lambda b: weights()["hidden.bias"]), "mix", "is that of 'hidden.bias'"
    ),
    "another activation": Planted(Faults(mixed=lambda x: np.maximum(x, 0)), "mixed", "is a relu, wanted is"),
    "a head twice as great": Planted(_changed("head.weight", lambda w: 2 * w), "head", "is 2 times the wanted one"),
    "softmax over the batch": Planted(
        Faults(softmax_axis=0), "probs", "axis 0, wanted is 1", "is a softmax over axis 0"
    ),
    "softmax twice": Planted(Faults(softmaxes=2), "probs", "softmax is applied once more"),
    "another input": Planted(Faults(scale=2.0), "features.0", "its input is prepared otherwise"),
}


@pytest.mark.parametrize(("name", "form"), list(product(PLANTED, FORMS)))
def test_planted_fault_is_named(name: str, form: str) -> None:
    planted = PLANTED[name]
    found = locate(torch_like(images()), FORMS[form](images(), planted.fault))
    first = found.located.first
    assert first is not None, name
    assert not first.ok
    assert first in found.located.matches
    layer = first.one.layer or first.one.name
    told = found.located.said
    assert layer == (planted.layer_folded if form == "tflite" and planted.layer_folded else planted.layer), told
    assert (form == "tflite" and planted.told_folded and planted.told_folded in told) or planted.told in told, told


@pytest.mark.parametrize(("one", "other"), list(product(FORMS, FORMS)))
def test_honest_pair_parts_nowhere(one: str, other: str) -> None:
    found = locate(FORMS[one](images()), FORMS[other](images()))
    assert found.located.first is None
    assert found.located.said == NOWHERE
    assert found.operands is None
    assert len(found.located.matches) >= 9  # image, two folded blocks, flat, three dense layers and what follows each
    assert all(match.ok for match in found.located.matches)
