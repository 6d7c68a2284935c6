"""Keras' LSTM and GRU as torch's own layers, against what Keras itself answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy_exporters.worker import Workers

EVERY = {"return_sequences": True, "return_state": True}
FEWER, ALL = 3, 6  # steps of the trace; the answers that are compared have all of them
NO_BIAS = {"use_bias": False}
BACK = {"go_backwards": True}


@pytest.fixture(scope="module")
def asked(workers: Workers) -> Workers:
    workers.call("keras_torch", "site:addsitedir", str(Path(__file__).parent))
    return workers


def told(asked: Workers, kind: str, options: dict[str, Any], **more: Any) -> int:
    """Compare Keras' answer with that of a trace; give how many of torch's layers the trace has."""
    more = {"bidirectional": False, "states": 0, "masked": False, "steps": FEWER, **more}
    want, got, layers = asked.call("keras_torch", "recurrent_layers:answers", kind, options, **more)
    assert len(got) == len(want)
    for one, other in zip(got, want, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-6)
    return int(layers)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize("options", [{}, EVERY, NO_BIAS, BACK, {**BACK, **EVERY}, {**EVERY, **NO_BIAS}])
def test_any_number_of_steps(asked: Workers, kind: str, options: dict[str, Any]) -> None:
    assert told(asked, kind, options) == 1


@pytest.mark.parametrize(("kind", "states"), [("LSTM", 2), ("GRU", 1)])
@pytest.mark.parametrize("options", [EVERY, BACK])
def test_an_initial_state(asked: Workers, kind: str, states: int, options: dict[str, Any]) -> None:
    assert told(asked, kind, options, states=states) == 1


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize("options", [{}, {"return_sequences": True}])
def test_both_directions(asked: Workers, kind: str, options: dict[str, Any]) -> None:
    assert told(asked, kind, options, bidirectional=True) == 2


@pytest.mark.parametrize("options", [{"activation": "relu"}, {"recurrent_activation": "hard_sigmoid"}])
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_what_torch_computes_otherwise_stays_with_keras(asked: Workers, kind: str, options: dict[str, Any]) -> None:
    assert told(asked, kind, options, steps=ALL) == 0


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_a_mask_stays_with_keras(asked: Workers, kind: str) -> None:
    assert told(asked, kind, EVERY, masked=True, steps=ALL) == 0


def test_a_reset_before_the_product_stays_with_keras(asked: Workers) -> None:
    assert told(asked, "GRU", {"reset_after": False}, steps=ALL) == 0
