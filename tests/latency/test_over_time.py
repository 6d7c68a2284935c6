from __future__ import annotations

import math

import numpy as np
import pytest
from queues import queue, samples

from deploy_core.errors import UsageError
from deploy_latency import histogram
from deploy_latency.over_time import joined, moments
from deploy_latency.percentiles import percentiles


def test_moments_show_a_stall_where_it_was() -> None:
    latency = np.full(10_000, 0.001)
    latency[5000:5100] = np.linspace(0.1, 0.001, 100)
    slices = moments(samples(latency), 10, 10)
    assert [each.begin for each in slices] == pytest.approx(range(10))
    assert [each.requests for each in slices] == [1000] * 10
    assert [round(each.worst or 0, 3) for each in slices] == [0.001] * 5 + [0.1] + [0.001] * 4
    assert slices[5].p99 == pytest.approx(0.09, abs=2e-3)
    assert slices[5].p50 == pytest.approx(0.001)


def test_moments_tell_of_failures_and_of_silence() -> None:
    latency = np.full(300, 0.001)
    latency[150:160] = math.inf
    slices = moments(samples(latency, np.concatenate([np.arange(200) / 100, 4 + np.arange(100) / 100])), 6, 6)
    assert [each.requests for each in slices] == [100, 100, 0, 0, 100, 0]
    assert [each.failed for each in slices] == [0, 10, 0, 0, 0, 0]
    assert slices[1].worst == slices[1].p99 == math.inf
    assert (slices[2].p50, slices[2].p99, slices[2].worst) == (None, None, None)
    assert moments(samples(np.array([])), 5) == ()


def test_every_request_is_in_one_moment() -> None:
    run = queue(5003, 0.5, np.random.default_rng(0))
    for seconds in (0.1, float(run.intended[-1]), 100):
        assert sum(each.requests for each in moments(run, seconds)) == 5003


def test_rounds_are_laid_one_after_another() -> None:
    draw = np.random.default_rng(1)
    rounds = [queue(2000, 0.8, draw) for _ in range(3)]
    seconds = max(float(each.intended[-1]) for each in rounds) + 1
    whole = joined(rounds, seconds)
    assert len(whole) == 6000
    assert np.all(np.diff(whole.intended) >= 0)
    assert whole.latency == pytest.approx(np.concatenate([each.latency for each in rounds]))
    assert whole.intended[4000] >= 2 * seconds


def _mixed(n: int) -> np.ndarray:
    latency = np.random.default_rng(2).lognormal(-6, 2, n)
    latency[: n // 500] = math.inf
    return latency


def test_a_histogram_has_the_percentiles_of_the_samples() -> None:
    run = samples(_mixed(20_000))
    counted = histogram.decode(histogram.encode(histogram.of_samples(run)))
    assert counted.get_total_count() == 20_000
    for name, exact in percentiles(run, (1, 10, 50, 90, 99, 99.7, 99.9)).items():
        assert histogram.percentile(counted, float(name[1:])) == pytest.approx(exact.value, rel=1.1e-3, abs=6e-7)


def test_a_histogram_counts_as_if_values_were_recorded_singly() -> None:
    from hdrh.histogram import HdrHistogram

    latency = np.random.default_rng(3).lognormal(-6, 3, 3000)
    run, singly = samples(latency), HdrHistogram(1_000, 3_600_000_000_000, 3)
    for value in np.rint(np.clip(run.latency * 1e9, 0, 3.6e12)).astype(np.int64):
        singly.record_value(int(value))
    assert list(histogram.of_samples(run).counts) == list(singly.counts)


def test_merged_histograms_are_the_histogram_of_all() -> None:
    first, second = samples(_mixed(3000)), samples(np.random.default_rng(4).exponential(0.001, 2000))
    both = histogram.decode(histogram.merge([histogram.encode(histogram.of_samples(each)) for each in (first, second)]))
    assert list(both.counts) == list(histogram.of_samples(joined([first, second], 10)).counts)
    assert histogram.decode(histogram.merge([])).get_total_count() == 0


@pytest.mark.parametrize("text", ["", "abc", "HISTFAAA", "é", "AAAA" * 20, "HISTFAAAAB14nJNpmSzMgADM"])
def test_what_is_no_histogram_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no HDR histogram"):
        histogram.decode(text)
