"""When requests are sent: rates, ramps and recorded arrivals, and what is said of those that cannot be."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from deploy_core.errors import UsageError
from deploy_latency.load import Load, arrivals
from deploy_latency.schedules import Constant, Poisson, Ramp, Replay, Schedule, from_then, parted, peak
from deploy_latency.traces import replay


@pytest.mark.parametrize(
    "schedule", [Constant(37.3), Poisson(37.3), Ramp(5, 50), Ramp(50, 0), Ramp(0, 50), Replay(np.arange(300) / 31)]
)
def test_times_ascend_within_the_run(schedule: Schedule) -> None:
    for seconds in (0.3, 7.7):
        times = schedule.times(seconds, 3)
        assert (np.diff(times) >= 0).all()
        assert ((times >= 0) & (times < seconds)).all()


def test_constant_comes_evenly() -> None:
    assert np.allclose(Constant(4).times(1.0, 0), [0, 0.25, 0.5, 0.75])


def test_poisson_has_exponential_gaps() -> None:
    gaps = np.diff(Poisson(200).times(100, 1))
    assert gaps.mean() == pytest.approx(1 / 200, rel=0.03)
    assert gaps.std() == pytest.approx(1 / 200, rel=0.05)


def test_seeds_are_kept() -> None:
    assert np.array_equal(Poisson(50).times(5, 7), Poisson(50).times(5, 7))
    assert not np.array_equal(Poisson(50).times(5, 7), Poisson(50).times(5, 8))


@pytest.mark.parametrize(("begin", "end"), [(0, 200), (200, 0), (50, 150), (100, 100)])
def test_a_ramp_goes_evenly_from_one_rate_to_the_other(begin: float, end: float) -> None:
    counts, _ = np.histogram(Ramp(begin, end).times(400, 5), bins=4, range=(0, 400))
    middles = begin + (end - begin) * (np.arange(4) + 0.5) / 4
    assert counts / 100 == pytest.approx(middles, rel=0.06)


def test_a_ramp_warms_up_at_its_first_rate() -> None:
    times = arrivals(Load(Ramp(20, 400), seconds=10, warmup=10))
    assert np.sum(times < 0) == pytest.approx(200, abs=60)
    assert times[0] >= -10


def test_recorded_arrivals_come_as_they_were() -> None:
    recorded = np.array([1000.5, 1000.0, 1002.0])  # the clock of whoever wrote them, in any order
    assert list(Replay(recorded).times(60, 0)) == [0, 0.5, 2]
    assert list(Replay(recorded, speed=2).times(60, 0)) == [0, 0.25, 1]
    assert list(Replay(recorded).times(1, 0)) == [0, 0.5]
    assert Replay(recorded).seconds == 3  # two seconds, and the usual gap of one


def test_a_trace_goes_on_from_round_to_round() -> None:
    recorded = np.sort(np.random.default_rng(5).uniform(0, 60, 500))
    trace = Replay(recorded, speed=2)
    rounds = [from_then(trace, number * 5) for number in range(6)]
    times = [each.times(5, 0) + number * 5 for number, each in enumerate(rounds) if each is not None]
    assert np.concatenate(times) == pytest.approx(trace.times(30, 0))
    assert len(np.concatenate(times)) == 500
    assert from_then(Poisson(5), 10) == Poisson(5)


def test_a_loop_has_no_seam() -> None:
    looped = Replay(np.array([0.0, 0.5, 2.0]), looped=True).times(8, 0)
    assert list(looped) == [0, 0.5, 2, 3, 3.5, 5, 6, 6.5]


def test_times_are_dealt_out_in_turn() -> None:
    times = Poisson(100).times(3, 0)
    parts = parted(times, 3)
    assert np.array_equal(np.sort(np.concatenate(parts)), times)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_the_peak_is_that_of_the_busiest_second() -> None:
    assert peak(Constant(40).times(10, 0)) == pytest.approx(40, rel=0.1)
    assert peak(np.concatenate([np.arange(10) * 1.0, np.linspace(4.1, 4.9, 500)])) == pytest.approx(500, rel=0.05)
    assert peak(np.empty(0)) == 0


@pytest.mark.parametrize("rate", [0, -1, math.nan, math.inf, 1e9])
def test_rates_that_are_none_are_refused(rate: float) -> None:
    for make in (Constant, Poisson, lambda rate: Ramp(rate, rate)):
        with pytest.raises(UsageError, match="requests a second"):
            make(rate)


def test_ramps_and_replays_that_are_none_are_refused() -> None:
    with pytest.raises(UsageError, match="a rate of -1"):
        Ramp(-1, 10)
    for speed in (0, -1, math.nan):
        with pytest.raises(UsageError, match="a speed of"):
            Replay(np.arange(3.0), speed)
    for wrong in ([], [math.nan]):
        with pytest.raises(UsageError, match="trace of"):
            Replay(np.array(wrong))
    with pytest.raises(UsageError, match="requests a second"):
        Replay(np.zeros(10), looped=True, speed=1e9).times(60, 0)


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("0.0\n0.5\n2.0\n", ""),
        ("\ufeffseconds\n10\n10.5\n\n12\n", ""),
        ("user,Timestamp,path\na,3,/\nb,3.5,/\na,5,/\n", ""),
        ("begun,path\n7,/\n7.5,/\n9,/\n", "begun"),
    ],
)
def test_traces_are_read(tmp_path: Path, text: str, column: str) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(text, encoding="utf-8")
    assert list(replay(path, column=column).times(60, 0)) == [0, 0.5, 2]


@pytest.mark.parametrize(
    ("text", "column", "told"),
    [
        ("", "", "has no arrivals"),
        ("seconds\n", "", "has no arrivals"),
        ("0.1\n0.2\nthree\n", "", "line 3: 'three' is no number of seconds"),
        ("seconds\n0.1\nnan\n", "", "line 3: 'nan'"),
        ("a,b\n1,2\n", "", "columns a, b"),
        ("1,2\n", "", "2 columns and no header"),
        ("a,b\n1,2\n", "c", "no column 'c'"),
        ("user,seconds\nx\n", "", "line 2: ''"),
    ],
)
def test_traces_that_are_none_are_refused_in_words(tmp_path: Path, text: str, column: str, told: str) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=told) as caught:
        replay(path, column=column)
    assert caught.value.hint


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.csv cannot be read"):
        replay(tmp_path / "none.csv")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot be read"):
        replay(tmp_path / "binary")
