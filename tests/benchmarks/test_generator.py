"""What the generator costs: a quick run of the benchmark against its null server."""

from __future__ import annotations

import json
import sys

import pytest
from benchmarks import generator


def test_a_quick_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["generator", "--quick", "--json"])
    generator.main()
    found = json.loads(capsys.readouterr().out)
    assert [each["transport"] for each in found["closed"]] == ["rest", "grpc"]
    assert [each["schedule"] for each in found["open"]] == ["constant", "poisson"] * 2
    for each in (*found["closed"], *found["open"]):
        assert each["failed"] == 0
        assert each["requests"] > 100
    # CPU time is counted whatever else the machine does; how late requests leave is not for a busy one to say.
    for each in found["closed"]:
        assert 0 < each["cpu"] <= each["target"]


def test_the_page_says_what_was_missed() -> None:
    cost = generator.Cost("rest", 100, 8, 8, 1000, 0, 2000.0, 90.0, 61.0, 60.0)
    late = generator.Lateness("grpc", "poisson", 1000.0, 1000, 3, 20.0, 500.0, 900.0, 10.0, 50.0, 1000.0)
    text = "\n".join(generator.page({"cores": 2}, [cost], [late]))
    assert "| rest | 100 | 8 | 8 | 2,000 | 90 | 61.0 | ≤ 60: missed |" in text
    assert "3 failed" in text
