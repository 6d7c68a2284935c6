"""The start/kill cycles: the most important deaths, and that they see what is left over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from benchmarks.cycles import serving
from benchmarks.cycles.deaths import QUICK, Death
from benchmarks.cycles.running import run, run_all, table
from benchmarks.cycles.serving import Serving, Way
from server_store import fill_store


def _leaves_a_file(serving: Serving) -> None:
    (serving.folder / "tmp" / "left").touch()
    serving.process.kill()


def test_nothing_is_left_over_whoever_is_killed(shared: Callable[[str, Callable[[Path], None]], Path]) -> None:
    store = shared("servers-store", fill_store)
    outcomes = run_all([Way("embedded", store, "linear")], QUICK, len(QUICK), parallel=2)
    assert [outcome.left for outcome in outcomes] == [()] * len(QUICK)
    for outcome in outcomes:
        assert bool(outcome.orphans) == outcome.death.ours
    assert table(outcomes).count("| nothing |") == len(QUICK)


def test_what_is_left_over_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_GONE", 0.2)
    death = Death("a kill before the start", _leaves_a_file, at="error: ")
    outcome = run(Way("embedded", Path("/absent"), "linear"), death)
    assert "tmp/left" in outcome.left
    assert "tmp/left" in table([outcome])
