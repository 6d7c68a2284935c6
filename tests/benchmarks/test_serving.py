"""Servers beside each other: what the tools print, the turns, the records, and the page. No other server is installed here."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.serving import page, tools
from benchmarks.serving.measuring import OPEN, OURS, Plan, rounded, steps
from benchmarks.serving.peers import GRPC, JSON, PEERS, WAYS, Model, Ports, litserve
from benchmarks.serving.records import Records

from deploy_core.endpoint import Endpoint
from deploy_core.errors import EndpointError, UsageError
from deploy_core.signature import Signature, TensorSpec
from deploy_dialects.wire import HttpReply

PLAN = Plan(("simplenet",), (1, 8), rounds=2, seconds=1, starts=1)
WRK = """Running 1s test @ http://127.0.0.1:9/v2/models/m/infer
  1 threads and 8 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   381.55us  220.11us   9.01ms   97.80%
    Req/Sec    20.51k     1.02k   21.50k    80.00%
  Latency Distribution
     50%  350.00us
     75%  401.00us
     90%    1.25ms
     99%    1.02s
  20412 requests in 1.00s, 3.40MB read
  Socket errors: connect 0, read 2, write 0, timeout 3
  Non-2xx or 3xx responses: 12
Requests/sec:  20398.11
Transfer/sec:      3.40MB
"""
H2LOAD = """starting benchmark...
finished in 1.00s, 3400.00 req/s, 510.10KB/s
requests: 3400 total, 3408 started, 3403 done, 3400 succeeded, 3 failed, 2 errored, 0 timeout
status codes: 3400 2xx, 0 3xx, 3 4xx, 0 5xx
time for request:      200us      6.02ms      2.20ms       510us    71.11%
"""
SIGNATURE = Signature(
    (TensorSpec("input", np.dtype("float32"), ("batch", 6)),),
    (TensorSpec("output", np.dtype("float32"), ("batch", 1)),),
)


def test_wrk_is_read() -> None:
    told = tools.read_wrk(WRK)
    assert (told.requests, told.failed, told.rate) == (20412, 17, 20398.11)
    assert (told.p50, told.p99) == (pytest.approx(350e-6), pytest.approx(1.02))


def test_wrk_without_errors_is_read() -> None:
    plain = "".join(line for line in WRK.splitlines(keepends=True) if "errors" not in line and "Non-2xx" not in line)
    assert tools.read_wrk(plain).failed == 0


def test_h2load_is_read_with_its_log() -> None:
    log = [f"1000{number}\t200\t{number}" for number in range(1, 101)]
    told = tools.read_h2load(H2LOAD, log)
    assert (told.requests, told.failed, told.rate) == (3400, 3, 3400.0)
    assert (told.p50, told.p99) == (pytest.approx(50e-6), pytest.approx(99e-6))
    assert tools.read_h2load(H2LOAD, []).p99 is None


@pytest.mark.parametrize("read", [tools.read_wrk, lambda text: tools.read_h2load(text, [])])
def test_what_is_no_answer_of_a_tool_is_told(read: Any) -> None:
    with pytest.raises(tools.UnreadableError, match="unable to connect"):
        read("unable to connect")


def test_a_round_has_every_turn_once_in_its_own_order() -> None:
    first, second = (steps("simplenet", PEERS, PLAN, number, tools.TOOLS.get) for number in range(2))
    assert len(set(first)) == len(first)
    assert [step.__dict__ | {"round": 1} for step in first] != [step.__dict__ for step in second]
    ours = {(step.peer, step.way, step.concurrency) for step in first if step.tool == OURS}
    assert ours == {(peer.name, way, size) for peer in PEERS for way in peer.ways for size in (1, 8, OPEN)}
    by_tools = {(step.way == GRPC, step.tool) for step in first if step.tool != OURS}
    assert by_tools == {(True, "h2load"), (False, "wrk")}
    assert steps("simplenet", PEERS, PLAN, 1, tools.TOOLS.get) == second


def test_a_tool_that_is_absent_has_no_turn() -> None:
    assert {step.tool for step in steps("simplenet", PEERS, PLAN, 0, lambda transport: None)} == {OURS}


@pytest.mark.parametrize(
    ("value", "wanted"), [(173.0, 150.0), (0.4, 1.0), (61.0, 60.0), (1000.0, 1000.0), (29.9, 25.0)]
)
def test_rates_are_rounded_down(value: float, wanted: float) -> None:
    assert rounded(value) == wanted


def test_every_server_is_one_of_ours_or_a_module_with_pinned_packages(tmp_path: Path) -> None:
    ports, model = Ports(8001, 8002, 8003), Model("m", tmp_path / "model.onnx")
    for peer in PEERS:
        assert JSON in peer.ways
        assert set(peer.ways) <= set(WAYS)
        assert bool(peer.server) != bool(peer.module)
        assert all("==" in package for package in peer.packages)
        if peer.module:
            module = import_module(peer.module)
            files = module.files(model, ports)
            assert any(str(model.onnx) in text for text in files.values())
            assert any("127.0.0.1" in text and "8001" in text for text in files.values())
            for name in (name for name in files if name.endswith(".py")):
                compile(files[name], name, "exec")
            assert module.command(tmp_path / "bin" / "python", ports)[0].startswith(str(tmp_path))


def test_litserve_is_spoken() -> None:
    endpoint = Endpoint("oip", "rest", "127.0.0.1", 1, "m")
    request = litserve.encode(endpoint, SIGNATURE, {"input": np.ones((1, 6), np.float32)}, binary=False)
    assert json.loads(request.body) == {"input": [[1.0] * 6]}
    got = litserve.decode(endpoint, SIGNATURE, HttpReply(200, {}, b'{"output": [[2.5]]}'))
    assert got["output"].tolist() == [[2.5]]
    with pytest.raises(EndpointError, match="detail"):
        litserve.decode(endpoint, SIGNATURE, HttpReply(200, {}, b'{"detail": "no"}'))


def test_a_run_goes_on_from_its_records_and_only_with_its_settings(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    settings = PLAN.settings(PEERS)
    done, other = steps("simplenet", PEERS, PLAN, 0, tools.TOOLS.get)[:2]
    Records(path, settings).add({**done.key(), "rate": 1.0})
    with path.open("a") as file:
        file.write('{"kind": "run", "mod')  # whatever ended it did so in the middle of a line
    again = Records(path, settings)
    assert again.has(done.key())
    assert not again.has(other.key())
    again.add({**other.key(), "rate": 2.0})
    assert Records(path, settings).has(other.key())
    with pytest.raises(UsageError, match="holds a run with"):
        Records(path, {**settings, "rounds": 9})


@pytest.fixture
def records(tmp_path: Path) -> Records:
    found = Records(tmp_path / "results.jsonl", PLAN.settings(PEERS))
    machine = {"date": "2026-01-02", "cores": 2, "processor": "", "memory": 2**33, "system": "s", "load_average": 0.1}
    found.add({"kind": "machine", **machine, "tools": {"wrk": True, "h2load": False}})
    found.add({"kind": "speed", "model": "simplenet", "rate": 150.0})
    for peer in PEERS:
        found.add({"kind": "start", "model": "simplenet", "peer": peer.name, "round": 0, "seconds": 2.0})
    for number in range(2):
        for step in steps("simplenet", PEERS, PLAN, number, {"rest": "wrk"}.get):
            figures = {"rate": 1000.0 + 100 * number, "p50": 0.001, "p99": 0.002, "requests": 1000, "failed": 0}
            limited = "busy" if step.peer == "embedded" and step.concurrency == 8 else ""
            used = {"server_cpu": 1e-4, "memory": 2**20, "limited": limited}
            mine = {"checked": 40, "wrong": 0, "why": ""} if step.tool == OURS else {}
            found.add({**step.key(), **figures, **used, **mine})
    return found


def test_the_page_has_a_table_for_each_way(records: Records) -> None:
    lines = page.page(records, PEERS).splitlines()
    for way in WAYS:
        assert f"### {way}" in lines
    at = lines.index(f"### {JSON}")
    rows = {line.split(" | ")[0].strip("| "): line.split(" | ") for line in lines[at + 2 : at + 9]}
    assert rows["embedded"][1] == "1,050 (1,000 – 1,100)"
    assert rows["embedded"][2] == "1,050ᵍ (1,000 – 1,100)"
    assert rows["LitServe"][2] == "1,050 (1,000 – 1,100)"
    assert rows["Triton"][3:6] == ["1, 2", "1, 2", "100"]
    assert rows["MLServer"][-1] == "240, 0, 0 |"
    assert any("h2load was not installed" in line for line in lines)
    assert page.bad(records) == []


def test_a_wrong_answer_and_a_server_that_never_came_are_told(records: Records) -> None:
    wrong = next(one for one in records.of(kind="run", peer="Triton", way=GRPC) if one["tool"] == OURS)
    wrong.update(wrong=1, why="output differs")
    records.add({"kind": "start", "model": "simplenet", "peer": "LitServe", "round": 1, "error": "it | died"})
    assert page.bad(records) == ["LitServe: it | died", f"Triton simplenet {GRPC} by ours: output differs"]
    assert "it \\| died" in page.page(records, PEERS)


def test_the_plot_is_drawn(records: Records) -> None:
    drawn = page.plot(records, PEERS)
    assert drawn.startswith(b"<?xml")
    assert len(drawn) < 200_000
