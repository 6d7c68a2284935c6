"""The times that servers tell with an answer, written and read."""

from __future__ import annotations

import pytest

from deploy_dialects.server_timing import read, written


def test_what_is_written_is_read() -> None:
    parts = {"decode": 1.5e-5, "queue": 0.0, "compute": 12.25}
    assert written(parts) == "decode;dur=0.0150, queue;dur=0.0000, compute;dur=12250.0000"
    assert read(written(parts)) == pytest.approx(parts)


@pytest.mark.parametrize(
    ("header", "parts"),
    [
        ("", {}),
        ("miss, cache;desc=hit", {}),
        ('db;dur=53;desc="a, b;dur=1", app ; DUR = 47.2', {"db": 0.053, "app": 0.0472}),
        ("a;dur=1, a;dur=2, b;dur=3;dur=4", {"a": 0.001, "b": 0.003}),
        ("a;dur=nan, b;dur=inf, c;dur=-1, d;dur=, e;dur, ;dur=5, f;dur=x", {}),
        (",;=,;;,\x00;dur", {}),
        ('"' * 10_001 + ";dur=1", {}),
        ('a;dur=1, "' + '\\"' * 30_000, {"a": 0.001}),
    ],
)
def test_what_strangers_write_is_read_as_far_as_it_says_something(header: str, parts: dict[str, float]) -> None:
    assert read(header) == pytest.approx(parts)
