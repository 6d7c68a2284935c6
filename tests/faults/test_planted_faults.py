"""Twelve planted faults are found by `deploy check` and the guilty file or endpoint is named; every honest row passes."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import urllib3

from deploy_agreement import Report
from deploy_core.endpoint import Endpoint
from deploy_toolkit.flows import check, export, serve

pytestmark = pytest.mark.xdist_group("faults")  # one process makes the faulty files, once
HERE = Path(__file__).parent
SOURCE = f"{HERE / 'nets.py'}:probe"


@pytest.fixture(scope="module")
def nets() -> ModuleType:
    spec = importlib.util.spec_from_file_location("planted_nets", HERE / "nets.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("faults") / "models"
    request = export.Request(SOURCE, ("torchscript", "onnx"), name="probe")
    export.export(request, store=root)
    return root


@pytest.fixture(scope="module")
def faulty(nets: ModuleType, store: Path) -> dict[str, Path]:
    """A TorchScript or ONNX file for each fault that a file can have."""
    from deploy_exporters import jit
    from deploy_model_store import Store

    signature = Store(store).resolve("probe").signature
    image = nets.torch.from_numpy(nets.probe()[1][:2])
    files = {}
    for name, make in nets.FAULTY.items():
        files[name] = store.parent / f"{name}.pt"
        jit.save(jit.script(make()), files[name], signature)
    files["frozen-batch"] = store.parent / "frozen-batch.onnx"
    nets.torch.onnx.export(
        nets.probe()[0], (image.repeat(32, 1, 1, 1),), files["frozen-batch"],
        dynamo=True, input_names=["image"], output_names=["scores", "value"], external_data=False, verbose=False,
    )  # fmt: skip
    return files


@pytest.fixture(scope="module")
def report(store: Path, faulty: dict[str, Path]) -> Report:
    return check.check(check.Request(("probe", *map(str, faulty.values()))), store=store)


FILES = (
    "transposed-weight",
    "one-weight-off-by-1-percent",
    "batch-norm-epsilon",
    "gelu-by-tanh",
    "nan",
    "swapped-outputs",
    "rows-mixed-up",
    "nchw-read-as-nhwc",
    "softmax-too-many",
    "frozen-batch",
)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("fault", FILES)
def test_a_faulty_file_is_found_and_named(fault: str, report: Report, faulty: dict[str, Path]) -> None:
    (row,) = [row for row in report.rows if row.subject == str(faulty[fault])]
    assert row.verdict == "disagree", row.why  # a file that cannot even be asked would prove nothing
    assert report.exit_code == 4


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_every_honest_row_passes(report: Report) -> None:
    honest = [row for row in report.rows if row.subject.startswith("probe@1/")]
    assert {row.subject for row in honest} == {"probe@1/torchscript", "probe@1/onnx", "probe@1/reference"}
    assert all(row.ok for row in honest)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("fault", "said"),
    [("swapped-outputs", "scores"), ("rows-mixed-up", "row"), ("nan", "NaN"), ("frozen-batch", "batch")],
)
def test_the_fault_is_told_in_words(fault: str, said: str, report: Report, faulty: dict[str, Path]) -> None:
    (row,) = [row for row in report.rows if row.subject == str(faulty[fault])]
    assert said in row.why


def test_numpy_finds_the_same(nets: ModuleType) -> None:
    """Agreement is not judged by agreement alone: the honest model is itself, each fault is off by far more than rounding."""
    model, images = nets.probe()
    want = {name: value.detach().numpy() for name, value in model(nets.torch.from_numpy(images)).items()}
    for name, make in nets.FAULTY.items():
        got = {key: value.detach().numpy() for key, value in make()(nets.torch.from_numpy(images)).items()}
        off = np.max([np.abs(got[key] - want[key]).max() for key in want])
        assert not off <= 1e-5, name  # NaN is not small either


def test_a_stale_version_is_found(store: Path) -> None:
    export.export(export.Request(SOURCE, ("onnx",), name="stale"), store=store)
    export.export(export.Request(SOURCE.replace(":probe", ":retrained"), ("onnx",), name="stale"), store=store)
    with serve.serving(serve.Request(("stale@1",)), store=store) as running:
        urls = [str(endpoint) for endpoint in running.endpoints]
        found = check.check(check.Request(("stale", *urls)), store=store)
        good = check.check(check.Request(("stale@1", *urls)), store=store)
    by_endpoint = [row for row in found.rows if row.subject in urls]
    assert by_endpoint
    for row in by_endpoint:
        assert "it serves version 1, wanted is version 2" in row.why
        assert "holds the values of stale@1" in row.why
    assert all(row.ok for row in found.rows if row.subject not in urls)
    assert found.exit_code == 4
    assert good.ok


def test_floats_printed_with_six_digits_are_found(store: Path) -> None:
    with serve.serving(serve.Request(("probe",)), store=store) as running:
        rest = next(e for e in running.endpoints if (e.dialect, e.transport) == ("tfserving", "rest"))
        with _printing_six_digits(rest) as bad, _passing_on(rest) as honest:
            found = check.check(check.Request(("probe", str(bad), str(honest))), store=store)
    verdicts = {row.subject: row.ok for row in found.rows}
    assert not verdicts[str(bad)]
    assert verdicts[str(honest)]


def test_the_command_names_the_file_and_exits_with_4(store: Path, faulty: dict[str, Path]) -> None:
    bad = str(faulty["batch-norm-epsilon"])
    command = [sys.executable, "-m", "deploy_toolkit.cli", "check", "probe", bad, "--json", "--quiet"]
    done = subprocess.run([*command, "--store", str(store)], capture_output=True, text=True, check=False)
    assert done.returncode == 4, done.stderr
    rows = {row["subject"]: row["ok"] for row in json.loads(done.stdout)["rows"]}
    assert rows.pop(bad) is False
    assert all(rows.values())


@contextmanager
def _between(endpoint: Endpoint, change: Callable[[bytes], bytes]) -> Generator[Endpoint]:
    """Put a proxy before a REST endpoint that changes the bodies of its answers to predictions."""
    pool = urllib3.PoolManager()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._pass_on(b"", lambda body: body)

        def do_POST(self) -> None:
            self._pass_on(self.rfile.read(int(self.headers["content-length"])), change)

        def _pass_on(self, body: bytes, edit: Callable[[bytes], bytes]) -> None:
            reply = pool.request(self.command, f"http://{endpoint.address}{self.path}", body=body)
            edited = edit(reply.data)
            self.send_response(reply.status)
            self.send_header("content-type", reply.headers["content-type"])
            self.send_header("content-length", str(len(edited)))
            self.end_headers()
            self.wfile.write(edited)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Endpoint("tfserving", "rest", "127.0.0.1", server.server_port, endpoint.model)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        pool.clear()


def _printing_six_digits(endpoint: Endpoint) -> AbstractContextManager[Endpoint]:
    return _between(endpoint, lambda body: _with_floats(body, lambda value: float(f"{value:.6g}")))


def _passing_on(endpoint: Endpoint) -> AbstractContextManager[Endpoint]:
    return _between(endpoint, lambda body: _with_floats(body, lambda value: value))


def _with_floats(body: bytes, edit: Callable[[float], float]) -> bytes:
    def walk(value: object) -> object:
        if isinstance(value, dict):
            return {key: walk(item) for key, item in value.items()}
        if isinstance(value, list):
            return [walk(item) for item in value]
        return edit(value) if isinstance(value, float) else value

    return json.dumps(walk(json.loads(body))).encode()
