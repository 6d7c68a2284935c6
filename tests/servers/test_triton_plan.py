"""Triton's launch, configuration and swap as plain data, and its options."""

from __future__ import annotations

import json
import re
import subprocess
import sysconfig
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from triton_store import TEXT, WORDS, fill, publish, spec

from deploy_core.artifact import Artifact
from deploy_core.changes import Change
from deploy_core.device import Device
from deploy_core.errors import TamperedError, UnavailableError, UsageError
from deploy_core.signature import Signature
from deploy_model_store import Golden, Record, Store
from deploy_servers import SERVERS
from deploy_servers.container import Container, own_image
from deploy_servers.settings import Settings, find_program
from deploy_servers.triton import model
from deploy_servers.triton.config import Model, config
from deploy_servers.triton.options import NATIVE, check, native_arguments

GOLDEN = Path(__file__).parent / "golden"
DOCKER = Container("/usr/bin/docker", "65532:65532")
FIELDS = ("command", "env", "ports", "endpoints", "files", "links", "stop_grace", "engine", "drained")
SWAP = ("endpoints", "links", "files", "load", "files_after", "unload", "unlinks", "files_before", "undo")


@pytest.fixture(scope="module")
def kinds(shared: Callable[[str, Callable[[Path], None]], Path]) -> Store:
    return Store(shared("triton-store", fill))


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Triton with all backends, as it is installed."""
    home = tmp_path_factory.mktemp("opt") / "tritonserver"
    for name in ("onnxruntime", "pytorch", "python"):
        (home / "backends" / name).mkdir(parents=True)
    program = home / "bin" / "tritonserver"
    program.parent.mkdir()
    program.touch()
    return str(program)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Triton with the python backend and stubs, as the wheel has it."""
    home = tmp_path_factory.mktemp("site") / "pytriton" / "tritonserver"
    stub = home / "python_backend_stubs" / sysconfig.get_python_version() / "triton_python_backend_stub"
    for path in (home / "backends" / "python" / "libtriton_python.so", stub, home / "bin" / "tritonserver"):
        path.parent.mkdir(parents=True)
        path.touch()
    return str(home / "bin" / "tritonserver")


def settings(store: Store, **changes: Any) -> Settings:
    fixed = Settings(
        Path("/run/deploy-triton-1"), store.root, 8000, 8001, (8002,), python="/venv/bin/python", key="KEY"
    )
    return replace(fixed, **changes)


def planned(store: Store, *names: str, options: dict[str, str] | None = None, **changes: Any) -> Any:
    versions = [store.resolve(name) for name in names]
    return SERVERS.load("triton").plan(versions, settings(store, options=options or {}, **changes))


def rendered(data: Any, fields: tuple[str, ...], store: Store, *programs: str) -> str:
    text = json.dumps({name: asdict(data)[name] for name in fields}, indent=1, default=str) + "\n"
    package = str(Path(model.__file__).parents[2])
    places = {str(store.root): "STORE", package: "PACKAGE", own_image("triton"): "deploy-toolkit/triton:VERSION"}
    places |= {package.replace("servers", "exporters"): "EXPORTERS", sysconfig.get_config_var("LIBDIR"): "LIBDIR"}
    places |= {str(Path(program).parents[1]): "TRITON" for program in programs}
    places |= {str(Path(program).parents[3]): "SITE" for program in programs}
    for path, name in [*places.items(), (f"stubs/{sysconfig.get_python_version()}/", "stubs/VERSION/")]:
        text = text.replace(path, name)
    return text


@pytest.mark.parametrize(
    ("case", "names", "where", "device", "options"),
    [
        ("process-cpu-onnxruntime", ["linear@1", "linear@2"], "binary", "cpu", {}),
        ("process-cpu-pytorch", ["scripted"], "binary", "cpu", {"threads": "2"}),
        ("process-cpu-python", ["linear@2"], "wheel", "cpu", {}),
        ("process-cuda-onnxruntime", ["many", "total"], "binary", "cuda:1,2", {}),
        ("process-cuda-python", ["scripted"], "binary", "cuda", {"backend": "python"}),
        ("container-cpu-onnxruntime", ["linear@2"], "container", "cpu", {}),
        ("container-cpu-python", ["linear@2"], "container", "cpu", {"backend": "python", "shm_size": "2g"}),
        ("container-cuda-onnxruntime", ["linear@2"], "container", "cuda:0", {}),
        ("container-cuda-pytorch", ["scripted"], "container", "cuda:2", {"instances": "2"}),
        (
            "options",
            ["linear@2"],
            "binary",
            "cpu",
            {
                "backend": "python",
                "instances": "3",
                "threads": "1",
                "max_batch_size": "16",
                "preferred_batch_size": "4,8",
                "max_queue_delay_us": "500",
                "shm_mb": "8",
                "http-thread-count": "4",
                "metrics_interval_ms": "500",
                "backend-config": "python,stub-timeout-seconds=60; onnxruntime,x=1",
                "exit-timeout-secs": "60",
            },
        ),
    ],
)
def test_golden_plan(
    kinds: Store,
    golden: Callable[[Path, str], None],
    binary: str,
    wheel: str,
    case: str,
    names: list[str],
    where: str,
    device: str,
    options: dict[str, str],
) -> None:
    program = {"binary": {"binary": binary}, "wheel": {"binary": wheel}, "container": {}}[where]
    container = DOCKER if where == "container" else None
    launch = planned(kinds, *names, options={**program, **options}, container=container, device=Device.parse(device))
    golden(GOLDEN / f"triton-{case}.json", rendered(launch, FIELDS, kinds, *program.values()))
    assert not launch.folder.exists()


@pytest.mark.parametrize(
    ("case", "old", "new"),
    [
        ("version", ["linear@1"], ["linear@2"]),
        ("models", ["linear@1", "many"], ["linear@1", "linear@2", "total"]),
    ],
)
def test_golden_swap(
    kinds: Store, golden: Callable[[Path, str], None], binary: str, case: str, old: list[str], new: list[str]
) -> None:
    found = [[kinds.resolve(name) for name in names] for names in (old, new)]
    swap = SERVERS.load("triton").swap(*found, settings(kinds, options={"binary": binary}))
    golden(GOLDEN / f"triton-swap-{case}.json", rendered(swap, SWAP, kinds, binary))
    assert swap.launch == planned(kinds, *new, options={"binary": binary})


def test_a_version_with_other_tensors_is_not_served_beside_and_not_swapped_in(kinds: Store, binary: str) -> None:
    one, two = kinds.resolve("halves@1"), kinds.resolve("halves@2")
    mine = settings(kinds, options={"binary": binary})
    with pytest.raises(UsageError, match="halves@1 has other tensors than halves@2"):
        SERVERS.load("triton").plan([one, two], mine)
    with pytest.raises(UsageError, match="other tensors") as raised:
        SERVERS.load("triton").swap([one], [two], mine)
    assert "server of its own" in raised.value.hint


@pytest.mark.parametrize(
    ("names", "options", "error", "said"),
    [
        (
            "linear",
            {"backend": "tensorrt"},
            UsageError,
            "option backend is 'tensorrt' give onnxruntime, pytorch, python",
        ),
        ("linear", {"backend": "pytorch"}, UsageError, "linear@2 has no artifact 'torchscript'"),
        ("scripted", {"backend": "onnxruntime"}, UsageError, "scripted@1 has no artifact 'onnx'"),
        ("archived", {}, UsageError, "archived@1 has no artifact 'onnx'"),
        ("archived", {"artifact": "mar"}, UsageError, "Triton does not serve mar it serves onnx and torchscript"),
        (
            "scripted",
            {"artifact": "torchscript", "backend": "onnxruntime"},
            UsageError,
            "does not run torchscript pytorch or",
        ),
        ("linear", {"max_batch_size": "2"}, UsageError, "less than the 5 golden rows of linear@2"),
        ("linear", {"max_batch_size": "many"}, UsageError, "option max_batch_size is 'many'"),
        ("total", {"max_batch_size": "8"}, UsageError, "all have a batch axis and another: total@1 has not"),
        ("linear", {"preferred_batch_size": "8,512"}, UsageError, "512 is more than linear takes at once, 256"),
        ("linear", {"preferred_batch_size": "8;16"}, UsageError, "option preferred_batch_size is '8;16'"),
        ("linear", {"dynamic_batching": "no"}, UsageError, "option dynamic_batching is 'no' give on or off"),
        ("linear", {"shm_size": "2g"}, UsageError, "option shm_size is for containers"),
        ("scalar", {}, UsageError, "Triton has no scalars: tensor 'by' of scalar"),
        ("linear", {"binary": "/nowhere"}, UnavailableError, "there is no Triton at /nowhere"),
        ("linear", {"backend-directory": "/nowhere"}, UnavailableError, "backends are not in /nowhere"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(
    kinds: Store, binary: str, names: str, options: dict[str, str], error: type[Exception], said: str
) -> None:
    with pytest.raises(error) as raised:
        planned(kinds, names, options={"binary": binary, **options})
    assert said in f"{raised.value} {raised.value.hint}"  # type: ignore[attr-defined]


def test_programs_and_folders_are_found_from_where_the_user_is(
    kinds: Store, binary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(binary).parents[1])
    launch = planned(kinds, "linear", options={"binary": "bin/tritonserver", "backend_directory": "backends"})
    assert launch.command[0] == binary
    assert launch.command[-1] == str(Path(binary).parents[1] / "backends"), "it runs in another folder"
    contained = planned(kinds, "linear", options={"binary": "/opt/triton"}, container=DOCKER)
    assert "--entrypoint=/opt/triton" in contained.command


@pytest.mark.parametrize("name", ["grpc-use-ssl", "grpc_use_ssl", "grpc-server-cert", "grpc-use-ssl-mutual"])
def test_tls_is_left_to_a_reverse_proxy(kinds: Store, binary: str, name: str) -> None:
    with pytest.raises(UsageError, match=f"option {name} of server triton is for TLS") as raised:
        planned(kinds, "linear", options={"binary": binary, name: "true"})
    assert "reverse proxy" in raised.value.hint


def test_a_backend_that_a_process_lacks_is_told_before_it_starts(kinds: Store, wheel: str) -> None:
    with pytest.raises(UnavailableError, match="this Triton has no onnxruntime backend; it has python") as raised:
        planned(kinds, "linear", options={"binary": wheel, "backend": "onnxruntime"})
    assert raised.value.hint == "--set backend=python"
    assert 'backend: "python"' in next(iter(planned(kinds, "linear", options={"binary": wheel}).files.values()))


def test_strings_are_refused_where_they_would_crash_the_backend(kinds: Store, wheel: str, binary: str) -> None:
    assert np.__version__ >= "2"
    with pytest.raises(UnavailableError, match="cannot carry strings with numpy 2: tensor 'x' of text@1"):
        planned(kinds, "text", options={"binary": wheel})
    files = planned(kinds, "text", options={"binary": binary}).files
    assert "data_type: TYPE_STRING" in files["models/text/config.pbtxt"]


def test_a_wheel_for_other_pythons_is_told(kinds: Store, tmp_path: Path) -> None:
    for part in ("bin", "backends/python", "python_backend_stubs/2.7"):
        (tmp_path / "a" / "tritonserver" / part).mkdir(parents=True)
    (tmp_path / "a/tritonserver/bin/tritonserver").touch()
    with pytest.raises(UnavailableError, match="is not made for Python 3") as raised:
        planned(kinds, "linear", options={"binary": str(tmp_path / "a/tritonserver/bin/tritonserver")})
    assert raised.value.hint == "it is made for 2.7"


def test_no_triton_is_one_sentence(kinds: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/absent")
    monkeypatch.setattr("deploy_servers.settings.find_spec", lambda name: None)
    assert find_program("tritonserver") == ""
    with pytest.raises(UnavailableError, match="no tritonserver on the PATH") as raised:
        planned(kinds, "linear")
    assert "nvidia-pytriton" in raised.value.hint


def test_a_damaged_file_and_one_with_other_tensors_are_refused(tmp_path: Path, binary: str) -> None:
    store = Store(tmp_path / "models")
    signature = Signature((spec("x:string[batch,2]"),), (spec("y:string[batch,2]"),))
    version = publish(store, "text", TEXT, signature, {"x": WORDS}, {"y": WORDS})
    file = version.artifact("onnx").path
    file.chmod(0o644)
    file.write_bytes(b"")
    with pytest.raises(TamperedError):
        planned(store, "text", options={"binary": binary})
    with store.staging("other") as staged:
        (staged / "onnx").mkdir()
        (staged / "onnx" / "model.onnx").write_bytes(b"a file")
        artifact = Artifact("onnx", staged / "onnx", signature, changes=(Change("x", "int64"),))
        store.publish(
            staged, "other", Record("a training", signature, {}, (artifact,)), Golden({"x": WORDS}, {"y": WORDS})
        )
    with pytest.raises(UsageError, match=r"onnx of other@1 has other tensors than its source model \(x\)"):
        planned(store, "other", options={"binary": binary})


def test_outputs_whose_names_triton_would_read_as_places_are_refused(tmp_path: Path, binary: str) -> None:
    store = Store(tmp_path / "models")
    x = np.zeros((2, 3), np.float32)
    signature = Signature((spec("x:float32[batch,3]"),), (spec("y__1:float32[batch,3]"), spec("y__0:float32[batch,3]")))
    with store.staging("net") as staged:
        (staged / "torchscript").mkdir()
        (staged / "torchscript" / "model.pt").write_bytes(b"a file")
        artifact = Artifact("torchscript", staged / "torchscript" / "model.pt", signature)
        golden = Golden({"x": x}, {"y__1": x, "y__0": x})
        store.publish(staged, "net", Record("a training", signature, {}, (artifact,)), golden)
    with pytest.raises(UsageError, match="reads the numbers in y__1, y__0 as places"):
        planned(store, "net", options={"binary": binary})
    assert planned(store, "net", options={"binary": binary, "backend": "python"}).files


def test_options_are_triton_s_own_or_ours() -> None:
    check({"http-thread-count": "1", "http_thread_count": "1", "instances": "2", "trace-config": "level=OFF"})
    with pytest.raises(UsageError, match="no option 'http_thread_cont'") as raised:
        check({"http_thread_cont": "1"})
    assert raised.value.hint.startswith("did you mean http-thread-count")
    with pytest.raises(UsageError, match="no option 'instance'") as raised:
        check({"instance": "1"})
    assert "instances" in raised.value.hint
    with pytest.raises(UsageError, match="option log-file is set by deploy itself"):
        check({"log-file": "/tmp/x"})
    assert native_arguments({"instances": "2", "host_policy": "a,b=1;c,d=2", "id": "a;b"}) == {
        "host-policy": ["a,b=1", "c,d=2"],
        "id": ["a;b"],
    }


def test_every_option_that_triton_tells_of_is_known() -> None:
    program = find_program("tritonserver")
    if not program:
        pytest.skip("needs tritonserver")
    said = subprocess.run([program, "--help"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    options = set(re.findall(r"^  --([\w-]+) <", said.partition("DEPRECATED:\n")[0], re.MULTILINE))
    assert len(options) > 60
    for name in options - NATIVE:
        with pytest.raises(UsageError, match=r"set by deploy itself|is for TLS"):
            check({name: "1"})


def test_names_of_any_kind_are_quoted() -> None:
    odd = Signature((spec("x:float32[batch,3]"),), (spec('a"\\\n é:float32[batch,3]'),))
    text = config(Model("m", (1,), "python", odd, 4, Device()))
    assert 'name: "a\\"\\\\\\012 é"' in text
