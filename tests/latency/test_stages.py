"""Where the time goes: parts that add up, from each answer's own word, from the server's sums, or from the client alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from deploy_dialects.management import Statistics
from deploy_dialects.server_timing import ASKED, TOLD, written
from deploy_dialects.wire import HttpRequest, RpcRequest
from deploy_latency.calls import Call
from deploy_latency.recording import Kept, Recording, joined
from deploy_latency.report import Stage
from deploy_latency.samples import Samples
from deploy_latency.stages import Own, Round, Told, asking, stages

OWN = Own(encode=0.25, decode=0.5)
SERVER = ("decode", "queue", "batch", "compute", "encode")


def samples(waits: Sequence[float], spans: Sequence[float], *, failed: Sequence[int] = ()) -> Samples:
    """One request each second, which waited and then took so long."""
    count = len(waits)
    intended = np.arange(count, dtype=float)
    sent = intended + np.array(waits)
    failure = np.isin(np.arange(count), failed).astype(np.int16)
    done = np.where(failure, math.inf, sent + np.array(spans))
    return Samples(intended, intended, sent, done, failure, np.zeros(count, np.int32), ("", "late"))


def timed(sample: int, *parts: float) -> Kept:
    return Kept(sample, 0, {TOLD: written(dict(zip(SERVER, parts, strict=True)))}, b"")


def seconds(found: Sequence[Stage]) -> dict[str, float]:
    return {stage.name: stage.seconds for stage in found}


def test_the_words_of_answers_add_up_to_the_time_of_the_requests_about_the_median() -> None:
    draw = np.random.default_rng(3)
    waits, parts = draw.exponential(0.01, 500), draw.exponential(0.02, (500, 5))
    networks = draw.exponential(0.05, 500)
    whole = waits + networks + parts.sum(axis=1)
    run = samples(waits, networks + parts.sum(axis=1))
    found = stages([Round(run, [timed(at, *parts[at]) for at in range(500)])], OWN)
    assert [stage.name for stage in found] == [
        *("client encode", "client wait", "network"),
        *("decode", "queue", "batch wait", "compute", "encode", "client decode"),
    ]
    assert sum(stage.seconds for stage in found[1:-1]) == pytest.approx(np.median(whole), rel=0.01)
    about = np.argsort(whole)[200:300]
    assert seconds(found)["compute"] == pytest.approx(parts[about, 3].mean(), rel=1e-3)
    assert seconds(found)["network"] == pytest.approx(networks[about].mean(), rel=1e-3)
    assert "100 about the median" in found[3].source
    assert (found[0].seconds, found[-1].seconds) == (OWN.encode, OWN.decode)


def test_rounds_are_joined_and_answers_without_all_parts_left_out() -> None:
    one = Round(samples([0, 0], [1, 1]), [timed(1, 0.1, 0.1, 0.1, 0.1, 0.1), Kept(0, 0, {TOLD: "compute;dur=1"}, b"")])
    other = Round(samples([0.5], [2]), [timed(0, 0.3, 0.3, 0.3, 0.3, 0.3)])
    found = seconds(stages([one, other], OWN))
    assert found["compute"] == pytest.approx(0.2)
    assert found["client wait"] == pytest.approx(0.25)
    assert found["network"] == pytest.approx((0.5 + 0.5) / 2)


def statistics(predictions: int, queue: float, compute: float) -> Statistics:
    return Statistics(predictions, {"queue": queue, "compute": compute}, "its sums")


def test_the_sums_of_a_server_are_means_of_what_came_between_two_looks() -> None:
    # The first request has ended when the server is looked at: it belongs to neither.
    run = samples([0.0, 0.1, 0.3, 0.9], [0.4, 0.5, 0.7, 9.0], failed=[3])
    told = Told(0.45, statistics(10, 5.0, 7.0), statistics(12, 5.2, 7.6))
    found = stages([Round(run, (), told)], OWN)
    assert seconds(found) == pytest.approx(
        {
            "client encode": 0.25,
            "client wait": 0.2,
            "network": 0.6 - 0.4,
            "queue": 0.1,
            "compute": 0.3,
            "client decode": 0.5,
        }
    )
    assert found[3].source == "its sums, mean of 2"


NOTHING_NEW = Told(0.0, statistics(10, 5.0, 7.0), statistics(10, 5.0, 7.0))
BEGAN_ANEW = Told(0.0, statistics(10, 5.0, 7.0), statistics(2, 0.2, 0.6))


@pytest.mark.parametrize("told", [None, NOTHING_NEW, BEGAN_ANEW])
def test_without_a_servers_word_network_and_server_are_one(told: Told | None) -> None:
    found = seconds(stages([Round(samples([0.1, 0.3], [0.5, 0.7]), (), told)], OWN))
    assert found == pytest.approx(
        {"client encode": 0.25, "client wait": 0.2, "network and server": 0.6, "client decode": 0.5}
    )


def test_nothing_is_said_without_a_good_answer() -> None:
    assert stages([Round(samples([0.0], [1.0], failed=[0]))], OWN) == ()


@pytest.mark.parametrize(("count", "total"), [(1, 8), (3, 9), (8, 8), (20, 20)])
def test_at_most_one_request_in_eight_asks_and_the_order_stays(count: int, total: int) -> None:
    requests = [HttpRequest("POST", f"/{number}", {"a": "b"}) for number in range(count)]
    found = asking(requests)
    assert [each.target for each in found if isinstance(each, HttpRequest)] == [f"/{at % count}" for at in range(total)]
    assert [at for at, each in enumerate(found) if ASKED in each.headers] == list(range(0, total - 7, 8))
    assert all(each.headers["a"] == "b" for each in found)
    assert asking([RpcRequest("/a/b", b"")])[0] == RpcRequest("/a/b", b"", {ASKED: "1"})


def test_answers_that_tell_times_are_kept_with_their_rows_in_every_process() -> None:
    parts = []
    for begin in (0, 1):
        recording = Recording(0.0, 0, 0)
        for at in range(begin, 40, 2):
            call = Call(0, float(at), float(at))
            call.sent, call.done, call.body = at + 0.25, at + 0.5, b"a body"
            call.headers = {TOLD: f"compute;dur={at}"} if at % 4 < 2 else {}
            recording.add(call)
        parts.append(recording.recorded())
    whole = joined(parts)
    assert [one.sample for one in whole.timed] == [at for at in range(40) if at % 4 < 2]
    assert all(one.headers[TOLD] == f"compute;dur={one.sample}" and one.body == b"" for one in whole.timed)
