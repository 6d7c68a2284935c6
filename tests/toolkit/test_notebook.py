"""The functions for notebooks, each called twice: nothing that a first call imports may take a function's place."""

from __future__ import annotations

import inspect
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import bench_reports
import numpy as np
import pytest
import torch

import deploy_toolkit
from deploy_agreement import Agreement, OutputAgreement, Report, Tolerance, failed
from deploy_core.errors import UnavailableError, UsageError
from deploy_toolkit.flows import detached, migrate, package, serve


def test_every_public_function_works_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    x = np.linspace(-1, 1, 24, dtype=np.float32).reshape(4, 6)
    model = torch.nn.Linear(6, 2).eval()
    want = model(torch.from_numpy(x)).detach().numpy()
    for number in (1, 2):
        exported = deploy_toolkit.export(model, to=["onnx"], name="net", example={"input": x})
        assert (str(exported.version), exported.report.ok) == (f"net@{number}", True)
        first, counted, *rows = repr(exported).splitlines()
        assert first == f"net@{number} in {exported.version.path}, new: onnx"
        assert counted == "2 compared, 0 disagree"
        assert rows[0].startswith("  onnx: agree, output is off by ")
    for transport in ("rest", "grpc"):
        with deploy_toolkit.serve("net", transport=transport, dialect="oip") as endpoint:
            assert (endpoint.dialect, endpoint.transport, endpoint.version) == ("oip", transport, "2")
            client = deploy_toolkit.connect(endpoint)
            np.testing.assert_allclose(client.predict({"input": x})["output"], want, rtol=1e-5, atol=1e-6)
            client.close()
            assert deploy_toolkit.check("net", endpoint).ok
    for name in ("net@1", "net"):
        answer = deploy_toolkit.predict(name, {"input": x.tolist()})
        np.testing.assert_allclose(answer["output"], want, rtol=1e-5, atol=1e-6)
    with pytest.raises(UsageError, match="transport soap"), deploy_toolkit.serve("net", transport="soap"):
        pass


def test_results_are_readable_in_a_cell() -> None:
    off = OutputAgreement("y", "float32", Tolerance(1e-6, "ours"), ok=False, max_abs=0.5)
    near = replace(off, ok=True, max_abs=1e-7)
    report = Report((Agreement("a", (near,)), Agreement("b", (off,)), failed("c", UnavailableError("nobody is there"))))
    told = """2 compared, 1 disagree, 1 could not be asked
  a: agree, y is off by 1e-07, tolerated is 1e-06
  b: disagree, output 'y' is off by 0.5, tolerated is 1e-06
  c: not asked, nobody is there"""
    stub: Any = "net@1"
    assert repr(report) == told
    assert repr(migrate.Migrated(stub, report, 2, "")) == f"'net@1'\nbeside TorchServe, 2 requests: {told}"
    packaged = package.Packaged(stub, "linux", stub, Path("net.zip"), "abc", 1234, (), (), report)
    assert repr(packaged) == f"net.zip, 1,234 bytes, sha256 abc\n{told}"


def test_measurements_are_readable_in_a_cell() -> None:
    report = bench_reports.full()
    lines = repr(report).splitlines()
    parts = (report.measured, report.compared, report.found, report.judged, report.notes)
    assert len(lines) == sum(map(len, parts))
    assert lines[0].startswith("net@1 embedded tfserving+rest, 200 requests/s")
    assert lines[0].endswith(
        "20,000 requests, 199.4 good answers/s, p50 1.2 ms, p90 2.7 ms, p95 3.3 ms, p99 5.1 ms, p99.9 8.4 ms"
    )
    assert "p99.9 – ms, 20 FAILED, 2 of 200 answers are WRONG, limited by the generator" in lines[2]
    assert "net@1 torchserve rest against net@1 embedded rest: p50 × 2.31, slower" in lines
    assert "net@1 embedded: 900 requests/s within p99<20ms,errors<0.1%, held" in lines


def test_a_model_without_a_name_is_called_after_its_class(tmp_path: Path) -> None:
    exported = deploy_toolkit.export(
        torch.nn.Linear(6, 2), to=["torchscript"], example=np.ones((3, 6), np.float32), store=tmp_path
    )
    assert str(exported.version) == "linear@1"


def test_serving_takes_what_the_command_does() -> None:
    takes = inspect.signature(deploy_toolkit.serve).parameters.keys() - {"name", "dialect", "transport", "store"}
    assert takes == {one.name for one in fields(serve.Request)} - {"names", "run", "is_command"}


def test_what_serving_is_given_is_what_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {"where": "container", "device": "cuda:1", "engine": "podman", "image": "mine:1"}
    given |= {"cpus": "2", "memory": "1g", "host": "::1", "http_port": 1, "grpc_port": 2, "options": {"threads": "3"}}
    asked = []

    def serving(request: serve.Request, **_: Any) -> None:
        asked.append(request)
        raise UsageError("not now")

    monkeypatch.setattr(serve, "serving", serving)
    with (
        pytest.raises(UsageError, match="not now"),
        deploy_toolkit.serve("net", server="triton", store=tmp_path, **given),
    ):
        pass
    assert asked == [serve.Request(("net",), "triton", **given)]


def test_a_detached_command_is_given_everything_that_was_asked_for(tmp_path: Path) -> None:
    said = {one.name: f"the-{one.name}" for one in fields(serve.Request) if one.name not in ("names", "is_command")}
    request = serve.Request(("net",), **{**said, "options": {"threads": "3"}})  # type: ignore[arg-type]
    words = detached._command(request, tmp_path, 7, False, True)
    given = dict(word.removeprefix("--").split("=", 1) for word in words if word.startswith("--") and "=" in word)
    renamed = {"where": "in", "options": "set"}
    for name, value in said.items():
        word = renamed.get(name, name.replace("_", "-"))
        assert given.pop(word, None) == ("threads=3" if name == "options" else value), name
    assert given.keys() == {"store", "report-to"}
    assert words[-2:] == ["--", "net"]


def test_a_model_in_memory_is_what_is_wanted_and_no_subject(tmp_path: Path) -> None:
    model = torch.nn.Sequential(*(torch.nn.Linear(6, 6) for _ in range(20)))
    with pytest.raises(UsageError, match="a Sequential is no stored model, file or endpoint") as found:
        deploy_toolkit.check(model, tmp_path / "model.onnx")  # type: ignore[arg-type]
    assert found.value.hint == 'what was trained is what is wanted: check("model.onnx", against=model)'
