"""A variant against its own answers when it was published: what kernels do is told, what a fault does is found."""

from __future__ import annotations

import numpy as np
import pytest

from deploy_agreement import as_published
from deploy_agreement.variants.as_published import step_of

RNG = np.random.default_rng(5)
STEP = np.float32(0.0065)
WANT = RNG.normal(0, 0.2, (64, 4)).astype(np.float32)
GRID = (np.round(WANT / STEP) * STEP).astype(np.float32)  # as an int8 file answers
ROUGH = (WANT + RNG.normal(0, 0.002, WANT.shape)).astype(np.float32)  # as one with dynamic scales does


def verdict(got: np.ndarray, kept: np.ndarray = GRID, *, alike: bool, want: np.ndarray = WANT) -> str:
    return as_published({"y": got}, {"y": kept}, {"y": want}, alike=alike).verdict


def by_steps(share: float, most: int = 1) -> np.ndarray:
    """The answers of other kernels: a share of all values is some steps off, up and down alike."""
    moved = RNG.permutation(np.arange(GRID.size) < share * GRID.size).reshape(GRID.shape)
    signs = np.where(np.arange(GRID.size).reshape(GRID.shape) % 2, 1, -1)
    return (GRID + STEP * moved * signs * RNG.integers(1, most + 1, GRID.shape)).astype(np.float32)


def test_the_step_is_read_from_answers_that_lie_on_a_grid() -> None:
    assert step_of(GRID) == pytest.approx(STEP, rel=1e-3)
    assert step_of(GRID + np.float32(7) * STEP) == pytest.approx(STEP, rel=1e-3)
    for other in (WANT, ROUGH, np.zeros_like(WANT), WANT.astype(np.float16), (GRID > 0).astype(np.int64)):
        assert step_of(other) == 0.0
    assert step_of(np.where(GRID > 0.3, np.nan, GRID)) == 0.0


def test_the_same_bits_agree() -> None:
    for kept in (GRID, ROUGH, WANT.argmax(axis=1)):
        want = WANT if kept.ndim == 2 else kept
        assert verdict(kept, kept, alike=True, want=want) == verdict(kept, kept, alike=False, want=want) == "agree"


@pytest.mark.parametrize(("share", "most"), [(0.04, 1), (0.23, 1), (0.3, 2)])
def test_what_other_kernels_round_is_told_and_would_not_come_from_the_same(share: float, most: int) -> None:
    got = by_steps(share, most)
    assert verdict(got, alike=False) == "told"
    assert verdict(got, alike=True) == "disagree"


def test_a_single_value_may_be_a_step_off_and_not_three() -> None:
    one = GRID.copy()
    one[3, 1] += STEP
    assert verdict(one, alike=True) == "agree"
    one[3, 1] += 2 * STEP
    assert verdict(one, alike=True) == "disagree"


def test_what_is_shifted_one_way_is_found_under_any_kernels() -> None:
    check = as_published({"y": GRID + STEP}, {"y": GRID}, {"y": WANT}, alike=False)
    assert check.verdict == "disagree"
    assert "256 of 256 values" in check.said
    assert "+1" in check.said
    assert [problem.kind for problem in check.problems] == ["as-published"]
    far = (GRID + RNG.normal(0, 3 * STEP, GRID.shape)).astype(
        np.float32
    )  # a source from which it is further off than a step
    assert verdict(GRID - STEP, alike=False, want=far) == "disagree"
    assert verdict(by_steps(0.5), alike=False, want=far) == "told"


def test_answers_without_a_grid_are_held_to_what_they_were_off() -> None:
    noise = RNG.normal(0, 0.002, WANT.shape)
    assert verdict((ROUGH * np.float32(1 + 1e-6)), ROUGH, alike=True) == "agree"
    assert verdict((ROUGH + 0.5 * noise).astype(np.float32), ROUGH, alike=False) == "told"
    assert verdict((ROUGH + 0.5 * noise).astype(np.float32), ROUGH, alike=True) == "disagree"
    assert verdict((ROUGH + 2 * noise).astype(np.float32), ROUGH, alike=False) == "disagree"


def test_infinities_and_nan_are_no_rounding() -> None:
    for kept in (GRID, ROUGH, np.where(ROUGH > 0.3, np.inf, ROUGH).astype(np.float32)):
        for value in (np.nan, np.inf, -np.inf):
            got = kept.copy()
            got[:2] = value
            got[2] = -value
            assert verdict(got, kept, alike=False) == "disagree"


def test_integers_of_other_kernels_are_told() -> None:
    kept = WANT.argmax(axis=1)
    got = np.where(np.arange(64) < 5, 3 - kept, kept)
    assert verdict(got, kept, alike=False, want=kept) == "told"
    assert verdict(got, kept, alike=True, want=kept) == "disagree"


def test_another_form_is_judged_elsewhere() -> None:
    assert verdict(GRID[:3], alike=True) == "agree"
