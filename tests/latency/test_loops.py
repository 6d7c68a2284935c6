"""The open and the closed loop, in simulated time: what is sent when, what is late, and when it ends."""

from __future__ import annotations

import math

import numpy as np
import pytest
import simulated
from simulated import SimulatedWire, World

from deploy_latency.calls import Call
from deploy_latency.load import Load
from deploy_latency.loops import NOT_SENT, Flight, OpenLoop, turns
from deploy_latency.recording import OTHER, Recording, joined
from deploy_latency.schedules import Constant, Poisson


def test_all_is_sent_in_time_though_nothing_is_answered() -> None:
    load = Load(Constant(100), seconds=2, warmup=1, timeout=5)
    wire = SimulatedWire(World(), lambda now: math.inf)
    samples = simulated.through(wire, load).samples
    assert len(samples) == 200
    assert np.allclose(samples.fired, np.arange(200) / 100)
    assert np.array_equal(samples.fired, samples.intended)
    assert np.isinf(samples.done).all()
    assert samples.failures == ("", "no answer within 5 s")
    assert (samples.failure == 1).all()
    assert len(wire.dropped) == 300  # those of the warm-up, too
    assert wire.world.now() == pytest.approx(1 + 1.99 + 5)


def test_an_answer_that_is_late_has_failed_even_if_it_comes_before_it_is_missed() -> None:
    load = Load(Constant(1), seconds=3, warmup=0, timeout=0.5)
    samples = simulated.recorded(load, lambda now: now + (0.6 if now == 1 else 0.1)).samples
    assert list(samples.ok) == [True, False, True]
    assert math.isinf(samples.done[1])
    flight = Flight(
        World(), SimulatedWire(World(), lambda now: now), recording := Recording(0, 0, 0), turns(1, 0, 1), 0.5
    )
    flight.launch(0.0, 0.0)
    (call,) = flight._calls
    call.done = 0.6
    flight.land(call)
    assert recording.failed == 1


def test_what_waits_for_a_connection_counts_from_its_intended_time() -> None:
    load = Load(Constant(10), seconds=1, warmup=0)
    samples = simulated.recorded(load, simulated.constant(0.2), connections=1).samples
    assert np.allclose(samples.latency, 0.2 + 0.1 * np.arange(10))
    assert np.allclose(samples.sent - samples.fired, 0.1 * np.arange(10))


def test_one_that_was_never_sent_has_waited_for_ever() -> None:
    load = Load(Constant(10), seconds=1, warmup=0, timeout=0.3)
    samples = simulated.recorded(load, lambda now: now, connections=0).samples
    assert not samples.ok.any()
    assert np.isinf(samples.sent).all()


def test_a_generator_that_was_asleep_sends_what_is_due_and_says_what_is_too_late() -> None:
    world = World()
    wire = SimulatedWire(world, simulated.constant(0.01))
    recording = Recording(0.0, 0, 0)
    flight = Flight(world, wire, recording, turns(1, 0, 1), 1.0)
    loop = OpenLoop(flight, np.arange(30) / 10, lambda: None)
    wire.on_done = loop.landed
    world.at(2.45, loop.start)
    world.run()
    samples = recording.recorded().samples
    assert np.allclose(samples.intended, np.arange(30) / 10)
    assert samples.failures == ("", NOT_SENT)
    assert list(np.flatnonzero(~samples.ok)) == list(range(15))  # 1.4 s is 1.05 s ago
    assert np.allclose(samples.fired[15:25], 2.45)


def test_a_closed_loop_keeps_so_many_under_way_and_waits() -> None:
    samples = simulated.recorded(Load(concurrency=4, seconds=10, warmup=1), simulated.constant(0.1)).samples
    assert len(samples) == pytest.approx(400, abs=4)
    assert np.array_equal(samples.intended, samples.fired)
    assert samples.intended[-1] < 10
    under_way = [np.sum((samples.fired <= t) & (samples.done > t)) for t in np.arange(0.5, 9.5, 0.37)]
    assert set(under_way) == {4}


def test_a_closed_loop_goes_on_after_what_got_no_answer() -> None:
    load = Load(concurrency=2, seconds=5, warmup=0, timeout=1)
    samples = simulated.recorded(load, lambda now: math.inf if now < 1 else now + 0.1).samples
    assert np.sum(~samples.ok) == 2
    assert len(samples) == pytest.approx(2 + 80, abs=2)


class Refusing(SimulatedWire):
    """Fails every call while it is being sent, as the real ones never do; each costs 1 ms."""

    def send(self, call: Call) -> None:
        call.done = self.world.now()
        call.error = "refused"
        self.world.later(self.world.now() + 1e-3, lambda: None)
        self.world._time += 1e-3
        self.on_done(call)


@pytest.mark.parametrize("load", [Load(concurrency=3, seconds=1), Load(Poisson(500), seconds=1)])
def test_calls_that_fail_at_once_neither_recurse_nor_hang(load: Load) -> None:
    samples = simulated.through(Refusing(World(), simulated.constant(0)), load).samples
    assert len(samples) > 400
    assert samples.failures == ("", "refused")


def test_requests_are_sent_in_turn_by_all_together() -> None:
    samples = simulated.recorded(Load(Constant(10), seconds=2, warmup=0), simulated.constant(0.5), requests=3).samples
    assert list(samples.request) == [number % 3 for number in range(20)]
    ours = [turns(5, part, 3) for part in range(3)]
    assert [next(ours[number % 3]) for number in range(30)] == [number % 5 for number in range(30)]


def test_answers_are_kept_evenly_and_belong_to_their_samples() -> None:
    load = Load(Constant(1000), seconds=10, warmup=1, keep=200)
    found = simulated.recorded(load, simulated.two_kinds(0.1, (0.001, 0.002), (0.1, 0.2), 0), requests=64)
    assert len(found.kept) == 200
    assert all(found.samples.request[one.sample] == one.request == int(one.body) for one in found.kept)
    places = np.array([one.sample for one in found.kept])
    assert (np.diff(places) > 0).all()
    counts, _ = np.histogram(places, bins=5, range=(0, 10_000))
    assert counts.min() > 15
    assert len({one.request for one in found.kept}) > 50  # none of the requests is left out by a pattern


def test_few_answers_are_all_kept_and_bad_ones_are_not() -> None:
    load = Load(Constant(10), seconds=2, warmup=0, timeout=1, keep=200)
    found = simulated.recorded(load, lambda now: math.inf if now < 0.45 else now + 0.1)
    assert [one.sample for one in found.kept] == list(range(5, 20))


def test_processes_are_joined_in_the_order_of_intended_times() -> None:
    parts = [
        simulated.recorded(Load(Poisson(50), seconds=10, keep=20, seed=seed), simulated.constant(0.1), requests=7)
        for seed in range(3)
    ]
    whole = joined(parts)
    assert len(whole.samples) == sum(len(part.samples) for part in parts)
    assert (np.diff(whole.samples.intended) >= 0).all()
    assert len(whole.kept) == 60
    assert all(whole.samples.request[one.sample] == one.request for one in whole.kept)
    assert len(whole.alone) == sum(len(part.alone) for part in parts)


def test_texts_of_failures_are_bounded() -> None:
    recording = Recording(0.0, 0, 0)
    for number in range(300):
        call = Call(0, float(number), float(number))
        call.error = f"failure {number}"
        recording.add(call)
    samples = recording.recorded().samples
    assert len(samples.failures) < 110
    assert samples.failures[samples.failure[-1]] == OTHER
