"""`deploy bench` for real: the embedded server, with and without something planted between it and its client."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from benchmarks.meddling import meddling
from command_line import run_deploy
from server_store import fill_store

import deploy_toolkit
from deploy_core.endpoint import Endpoint
from deploy_core.errors import EndpointError, InputError, UsageError
from deploy_latency import measuring
from deploy_latency.limits import BROKEN, HELD, UNDECIDED
from deploy_latency.load import Load
from deploy_latency.report import Report
from deploy_latency.schedules import Constant, Poisson
from deploy_servers.ports import free_ports
from deploy_toolkit.flows import serve
from deploy_toolkit.flows.bench import flow, judging, questions
from deploy_toolkit.flows.bench.request import Request

LOAD = Load(Poisson(300.0), seconds=1.5, warmup=0.2, workers=1)


@pytest.fixture(scope="module")
def store(shared: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    return shared("servers-store", fill_store)


@pytest.fixture(scope="module")
def endpoints(store: Path) -> Iterator[tuple[Endpoint, ...]]:
    with serve.serving(serve.Request(("linear@1",)), store=store) as running:
        yield running.endpoints


@pytest.fixture
def rest(endpoints: tuple[Endpoint, ...]) -> Endpoint:
    return next(each for each in endpoints if (each.dialect, each.transport) == ("tfserving", "rest"))


def bench(store: Path, *subjects: object, load: Load = LOAD, **more: Any) -> Report:
    return flow.bench(Request(tuple(map(str, subjects)), load, **more), store=store)


def test_every_dialect_and_transport_is_measured_and_its_answers_checked(
    store: Path, endpoints: tuple[Endpoint, ...]
) -> None:
    report = bench(store, *endpoints, load=replace(LOAD, seconds=0.5), rounds=1)
    assert [each.subject for each in report.measured] == [str(endpoint) for endpoint in endpoints]
    for each in report.measured:
        assert each.failures == {}
        assert each.checked.answers > 50
        assert each.checked.wrong == 0, each.checked.why
        assert each.generator is not None
        parts = {stage.name: stage.seconds for stage in each.stages}
        assert parts.keys() >= {"client encode", "network", "queue", "batch wait", "compute", "client decode"}
        assert min(parts.values()) >= 0
    assert judging.exit_code(report) == 0


def test_a_wrong_answer_under_load_is_found(store: Path, rest: Endpoint) -> None:
    def other(answer: bytes) -> bytes:
        return re.sub(rb"\d(?=\.\d*\])", b"7", answer)

    with meddling(rest.port, meddle=other) as port:
        there = replace(rest, port=port)
        report = bench(store, there, slo="p99<1us")
        search = bench(store, there, load=replace(LOAD, seconds=0.5), find_max=True, max_rate=400.0, slo="p50<10s")
    assert report.measured[0].checked.wrong > 0
    assert "off by" in report.measured[0].checked.why
    assert judging.exit_code(report) == 4  # before the limit, which is broken, too
    assert search.found[0].rate is None
    assert judging.exit_code(search) == 4


def test_a_gate_passes_for_the_same_server_and_fails_with_a_delay_planted(
    store: Path, rest: Endpoint, tmp_path: Path
) -> None:
    def run(port: int, *more: str) -> tuple[int, str]:
        load = ("--concurrency", "1", "--duration", "2s", "--warmup", "300ms", "--store", str(store))
        ended = run_deploy("bench", replace(rest, port=port), *load, *more, cwd=tmp_path)
        return ended.returncode, ended.stdout

    # With 20 ms of its own, no other work on the machine makes an honest run three times as slow.
    with meddling(rest.port, delay=0.02) as port:
        code, said = run(port, "--json")
        assert code == 0
        schema = json.loads((files("deploy_toolkit.reports") / "schemas" / "bench-1.json").read_text())
        jsonschema.Draft202012Validator(schema).validate(json.loads(said))
        (tmp_path / "base.json").write_text(said)
        gate = ("--baseline", "base.json", "--gate", "p50<=3x")
        code, said = run(port, *gate, "--junit", "gate.xml", "--csv", "gate.csv")
        assert code == 0, said
    with meddling(rest.port, delay=0.15) as port:
        code, said = run(port, *gate)
        assert code == 5
        assert "BROKEN" in said
    assert "p50&lt;=3x" in (tmp_path / "gate.xml").read_text()
    assert ",50," in (tmp_path / "gate.csv").read_text()


def test_a_claim_that_the_data_do_not_carry_is_exit_code_7(store: Path, rest: Endpoint) -> None:
    report = bench(store, rest, load=replace(LOAD, seconds=0.5), claim="p50,p99.9", slo="p50<10s")
    verdicts = {each.limit: each.verdict for each in report.judged}
    assert verdicts == {"p50<10s": HELD, "p50": HELD, "p99.9": UNDECIDED}
    assert judging.exit_code(report) == 7


def test_a_late_generator_breaks_no_limit(store: Path, rest: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "BUSY", 0.0)  # so that any CPU time is too much
    report = bench(store, rest, load=replace(LOAD, seconds=0.5), slo="p50<1us,p50<10s")
    assert [judged.verdict for judged in report.judged] == [UNDECIDED, HELD]
    assert judging.exit_code(report) == 7


def test_servers_and_runtimes_are_started_and_compared_in_rounds(store: Path) -> None:
    load = replace(LOAD, schedule=Constant(200.0), seconds=2.0)
    report = bench(
        store, "linear@1", load=load, transports=("rest", "grpc"), servers=("embedded",), runtimes=("onnx",), rounds=2
    )
    by_name = {each.subject: each for each in report.measured}
    assert list(by_name) == [
        "linear@1 embedded tfserving+rest",
        "linear@1 embedded tfserving+grpc",
        "linear@1 onnx in process",
    ]
    for each in by_name.values():
        assert each.checked.answers
        assert not each.checked.wrong, each.checked.why
        assert each.cold_start is not None
        assert 0 < each.cold_start < 60
        assert each.memory is not None
        assert each.memory > 1 << 20
    server, alone = by_name["linear@1 embedded tfserving+rest"], by_name["linear@1 onnx in process"]
    assert server.facts["server_cpu_per_request"] > 0
    assert server.offered == pytest.approx(200.0)
    assert len(server.facts["rounds"]["p50"]) == 2
    assert alone.generator is None
    assert alone.latency["p50"].value < server.latency["p50"].value  # type: ignore[operator]  # both are known
    assert {(each.subject, each.base) for each in report.compared} == {
        ("linear@1 embedded tfserving+grpc", "linear@1 embedded tfserving+rest")
    }
    assert sum("adds" in note for note in report.notes) == 2


def test_a_server_is_measured_against_itself(store: Path, rest: Endpoint) -> None:
    report = bench(store, rest, rest, load=replace(LOAD, schedule=Constant(100.0), seconds=1.0), rounds=2)
    assert [each.subject for each in report.measured] == [str(rest), f"{rest} (2)"]
    assert [each.requests for each in report.measured] == [100, 100]
    assert len(report.compared) == 3


def test_the_highest_rate_is_found_between_what_holds_and_what_does_not(
    store: Path, rest: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "LATE", 10.0)  # seconds: the generator is not what is tried here
    load = replace(LOAD, schedule=None, seconds=0.5)
    held = bench(store, rest, load=load, find_max=True, max_rate=400.0, slo="p50<10s").found[0]
    assert held.rate == 400.0
    assert held.why.startswith("the highest rate allowed")
    assert len({step.latency["p50"].n for step in held.steps}) > 1  # arrivals of its own for each trial
    never = bench(store, rest, load=load, find_max=True, max_rate=400.0, slo="p50<1us")
    assert never.found[0].rate is None
    assert {judged.verdict for step in never.found[0].steps for judged in step.judged} == {BROKEN}
    assert judging.exit_code(never) == 5


def test_inputs_of_the_user_are_judged_by_the_answers_at_rest(store: Path, rest: Endpoint) -> None:
    inputs = {"x": np.array([[4, 5, 6], [7, 8, 9]], np.float32)}
    report = bench(store, rest, inputs=inputs, batches=(1, 2), load=replace(LOAD, seconds=0.5), rounds=1)
    assert [each.facts["batch"] for each in report.measured] == [1, 2]
    assert all(each.checked.answers and not each.checked.wrong for each in report.measured)


def test_batches_take_rows_in_turn(store: Path) -> None:
    from deploy_model_store import Store

    version = Store(store).resolve("linear@1")
    rows = len(version.golden.inputs["x"])
    asked = questions.of_version(version, 2)
    assert len(asked.inputs) == rows // 2
    assert np.array_equal(
        np.concatenate([each["x"] for each in asked.inputs]), version.golden.inputs["x"][: rows // 2 * 2]
    )
    few = questions.of_version(version, 3 * rows)
    assert len(few.inputs) == 1
    assert np.array_equal(few.inputs[0]["x"], np.tile(version.golden.inputs["x"], (3, 1)))


def test_what_cannot_be_measured_is_said_before_anything_is_started(
    store: Path, rest: Endpoint, tmp_path: Path
) -> None:
    (tmp_path / "model.onnx").touch()
    with pytest.raises(UsageError, match="is a file"):
        bench(store, tmp_path / "model.onnx")
    with pytest.raises(UsageError, match="nothing is known to ask"):
        bench(store, replace(rest, model="unknown"))
    with pytest.raises(UsageError, match="relative to an earlier run"):
        bench(store, rest, gate="p99<=1.05x")
    with pytest.raises(UsageError, match="needs an objective"):
        bench(store, rest, find_max=True)
    for more, told in ({"runtimes": ("onnx",)}, "no rate"), ({"claim": "p99"}, "of one load"):
        with pytest.raises(UsageError, match=told):
            bench(store, "linear@1", find_max=True, slo="p99<1s", **more)
    with pytest.raises(UsageError, match="no baseline"):
        bench(store, rest, baseline=tmp_path / "absent.json")
    with pytest.raises(UsageError, match="speaks no torchserve over carrier"):
        bench(store, "linear@1", transports=("carrier",), dialects=("torchserve",))


def test_a_recorded_trace_is_replayed_faster_and_again(store: Path, rest: Endpoint, tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_text("".join(f"{at / 10}\n" for at in range(10)))
    load = ("--replay", "trace.csv", "--speed", "2", "--loop", "--duration", "2s", "--warmup", "100ms")
    ended = run_deploy("bench", rest, *load, "--store", store, "--json", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    (measured,) = json.loads(ended.stdout)["measured"]
    assert measured["requests"] == 40
    assert measured["load"].startswith("a recorded trace for 2 s")


def test_in_a_notebook(store: Path, rest: Endpoint) -> None:
    report = deploy_toolkit.bench(rest, rate=200.0, seconds=0.5, slo="p50<10s", store=store)
    assert report.judged[0].verdict == HELD
    assert report.measured[0].requests > 50
    with pytest.raises(InputError, match="two loads"):
        deploy_toolkit.bench(rest, rate=200.0, concurrency=2, store=store)


def test_nobody_at_the_endpoint_is_an_error(store: Path, rest: Endpoint) -> None:
    (port,) = free_ports(1)
    with pytest.raises(EndpointError):
        bench(store, replace(rest, port=port))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--rate", "5", "--concurrency", "2"), "two loads"),
        (("--rate", "5", "--find-max", "--slo", "p99<1s"), "tries many"),
        (("--ramp", "5-9"), "no two rates"),
        (("--duration", "soon"), "no duration"),
        (("--batch", "0"), "no numbers"),
        (("--slo", "p99=3"), "is not a limit"),
        (("--csv", "nowhere/b.csv"), "no folder"),
        (("--replay", "absent.csv"), "absent.csv"),
    ],
)
def test_options_that_say_nothing_sensible(
    options: tuple[str, ...], told: str, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from deploy_toolkit import cli

    with pytest.raises(SystemExit) as ended:
        cli.main(["bench", "linear@1", "--store", str(store), *options])
    assert ended.value.code == 2
    assert told in capsys.readouterr().err
