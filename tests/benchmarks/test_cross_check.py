"""The cross-check's own parts, without the tools that it checks against."""

from __future__ import annotations

import pytest
from benchmarks.cross_check import rounds, servers
from benchmarks.planted_server import DELAYS


def test_planted_servers_answer_in_their_time() -> None:
    with servers() as ports:
        assert list(ports) == list(DELAYS)
        (row,) = rounds(ports["20 ms"], 50, 1, 2, None)
    assert row.requests == 100
    assert row.failed == 0
    assert row.at[0] == pytest.approx(20, rel=0.3)
    assert row.late is not None
