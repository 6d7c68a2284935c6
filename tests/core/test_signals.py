"""Signals that come while something must not be cut in two."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from deploy_core.signals import postponed


def test_a_signal_is_heard_after_the_end() -> None:
    done = []

    def work() -> None:
        with postponed() as asked:
            os.kill(os.getpid(), signal.SIGINT)
            assert asked.wait(5)
            done.append("all")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["all"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_without_a_signal_nothing_happens_and_an_error_goes_through() -> None:
    with postponed() as asked:
        pass
    assert not asked.is_set()
    with pytest.raises(ValueError, match="mine"), postponed():
        raise ValueError("mine")


def test_inside_another_it_is_the_outer_one_that_lets_it_through() -> None:
    reached = []

    def work() -> None:
        with postponed() as outer:
            with postponed() as inner:
                os.kill(os.getpid(), signal.SIGINT)
                assert inner.wait(5)
            assert outer.is_set()
            reached.append("the outer one")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert reached


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with postponed() as asked:
            os.kill(os.getpid(), signal.SIGHUP)
        assert not asked.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_on_another_thread_nothing_changes() -> None:
    seen = []

    def look() -> None:
        with postponed():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]
