"""What stands in the place of tensorflow_model_server, without a model: flags, files, folders, what comes and goes."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy_core.errors import UnavailableError, UsageError
from deploy_core.signature import Signature, Tensors, TensorSpec
from deploy_dialects.tables import DIALECTS
from deploy_dialects.tfserving.warmup import FILE, write_warmup
from deploy_dialects.wire import Ask, HttpRequest, Refused, Served
from deploy_servers.embedded import savedmodels
from deploy_servers.embedded.batching import Runnable
from deploy_servers.embedded.following import Follower, Retries
from deploy_servers.embedded.model_server import arguments
from deploy_servers.embedded.monitoring import monitored
from deploy_servers.embedded.plane import ServedModels
from deploy_servers.embedded.rest import RestTable
from deploy_servers.embedded.servables import Policy, Wanted, look, read_models
from deploy_servers.embedded.service import Fleet, Model, Tables

SIGNATURE = Signature((TensorSpec("x", "float32", ("batch", 3)),), (TensorSpec("y", "float32", ("batch", 1)),))


@dataclass
class Toy:
    """Gives the number of its version; remembers that it was closed."""

    version: int
    signature: Signature = SIGNATURE
    closed: bool = False

    def predict(self, inputs: Tensors) -> Tensors:
        return {"y": np.full((len(inputs["x"]), 1), self.version, dtype=np.float32)}

    def close(self) -> None:
        self.closed = True


@dataclass
class Shelf:
    """What a follower loads: toys; versions in `broken` do not load."""

    broken: set[int] = field(default_factory=set)
    toys: list[Toy] = field(default_factory=list)
    tried: list[int] = field(default_factory=list)

    def load(self, name: str, version: int, path: Path) -> Model:
        self.tried.append(version)
        if version in self.broken:
            raise UsageError(f"{path} is no SavedModel")
        self.toys.append(Toy(version))
        return Model(Served(name, version, SIGNATURE, "toy"), Runnable(self.toys[-1]))


def folders(base: Path, *names: str) -> Path:
    for name in names:
        (base / name).mkdir(parents=True)
    return base


def config(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def model(base: Path, more: str = "", platform: str = 'model_platform: "tensorflow"', name: str = "m") -> str:
    return f'config {{ name: "{name}" base_path: "{base}" {platform} {more} }}'


def test_flags_are_read_as_tensorflow_serving_reads_them(caplog: pytest.LogCaptureFixture) -> None:
    given = ["--port=1", "--rest_api_port=2", "--enable_batching", "--model_base_path=/m", "--port=3"]
    found = arguments([*given, "--grpc_max_threads=4"])
    assert (found["port"], found["rest_api_port"], found["enable_batching"]) == ("3", "2", "true")
    assert (found["model_name"], found["file_system_poll_wait_seconds"], found["host"]) == ("default", "1", "127.0.0.1")
    assert [record.message for record in caplog.records] == ["--grpc_max_threads has no effect here"]


@pytest.mark.parametrize(
    ("given", "said", "hint"),
    [
        (["--model_config=a"], "unknown argument: --model_config=a", "model_config_file"),
        (["models"], "unknown argument: models", ""),
        (["--port", "8500"], "--port is ''", "whole number"),
        (["--enable_batching=yes"], "'yes'", "true or false"),
        ([], "model_config_file are empty", "--model_config_file=FILE"),
    ],
)
def test_wrong_flags_are_refused(given: list[str], said: str, hint: str) -> None:
    with pytest.raises(UsageError) as raised:
        arguments(given)
    assert said in str(raised.value)
    assert hint in raised.value.hint


def test_folders_that_are_versions_and_others(tmp_path: Path) -> None:
    base = folders(tmp_path / "m", "1", "00000123", "1e3", "-1", " 1", "+1", "1.0", "٣", "9" * 19, "123", ".draft", "x")
    (base / "7").write_text("a file")
    folders(tmp_path / "elsewhere", "5")
    (base / "5").symlink_to(tmp_path / "elsewhere" / "5")
    (base / "6").symlink_to(base / "1")
    found = look(base)
    assert {version: path.name for version, path in found.versions.items()} == {1: "1", 6: "6", 123: "00000123"}
    assert set(found.strange) == {"1e3", "-1", " 1", "+1", "1.0", "٣", "9" * 19, "5", "123", "x"}
    assert found.strange["5"] == "it leads out of the base path"
    assert found.strange["123"] == "another folder is this version"
    assert look(tmp_path / "absent").versions == {}


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("", Policy(latest=1)),
        ("model_version_policy { latest {} }", Policy(latest=1)),
        ("model_version_policy { latest { num_versions: 2 } }", Policy(latest=2)),
        ("model_version_policy { all {} }", Policy()),
        ("model_version_policy { specific { versions: 3 versions: 1 } }", Policy(specific=(3, 1))),
    ],
)
def test_policies(tmp_path: Path, text: str, policy: Policy) -> None:
    (wanted,) = read_models(config(tmp_path / "c", f"model_config_list {{ {model(tmp_path, text)} }}"))
    assert wanted.policy == policy
    chosen = {Policy(latest=1): (4,), Policy(latest=2): (3, 4), Policy(): (1, 3, 4), Policy(specific=(3, 1)): (1, 3)}
    assert policy.choose([4, 1, 3]) == chosen[policy]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{model(Path('/m'))} {model(Path('/n'))}", "Illegal to list model m multiple times"),
        (model(Path("m")), "an absolute path or URI; got base_path()=m"),
        (model(Path("/m"), platform=""), "neither of model_type"),
        (model(Path("/m"), platform='model_platform: "tensorflow" model_type: TENSORFLOW'), "both of model_type"),
        (model(Path("/m"), platform='model_platform: "caffe"'), "unsupported platform caffe"),
        (model(Path("/m"), name=""), "has no name"),
        (model(Path("/m"), "model_version_policy { specific {} }"), "specific versions []"),
        (model(Path("/m"), "model_version_policy { specific { versions: -1 } }"), "[-1]"),
        (model(Path("/m"), 'version_labels { key: "" value: 1 }'), "without a name"),
        (model(Path("/m"), "version: 1"), 'no field named "version"'),
        (model(Path("/m"), "model_version_policy { latest {} all {} }"), "oneof"),
        ("&a [*a, *a]", "Error parsing text-format"),
        ("\udcff", "codec can't decode"),
    ],
)
def test_bad_configurations_are_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "models.config"
    path.write_bytes(f"model_config_list {{ {text} }}".encode(errors="surrogateescape"))
    with pytest.raises(UsageError) as raised:
        read_models(path)
    assert said in str(raised.value)
    with pytest.raises(UsageError, match="absent"):
        read_models(tmp_path / "absent")


def wanted(base: Path, policy: Policy = Policy(latest=1), **labels: int) -> list[Wanted]:  # noqa: B008  it is frozen
    return [Wanted("m", base, policy, labels)]


def run(check: Callable[[Follower, Fleet, Shelf], Any], first: list[Wanted], **options: Any) -> None:
    """Start a follower as the server does, and have a test go on with it."""

    async def main() -> None:
        shelf = Shelf(options.pop("broken", set()))
        follower = Follower(shelf.load, **options)
        follower.accept(first)
        models = follower.first()
        assert models is not None
        fleet = Fleet(models, threads=1)
        try:
            await check(follower, fleet, shelf)
        finally:
            fleet.batcher.close()

    asyncio.run(main())


def served(fleet: Fleet) -> dict[int, tuple[str, ...]]:
    return {one.version: one.labels for one in fleet.plane.served()}


def test_new_versions_come_before_old_ones_go(tmp_path: Path) -> None:
    base = folders(tmp_path / "m", "1")

    async def check(follower: Follower, fleet: Fleet, shelf: Shelf) -> None:
        assert list(served(fleet)) == [1]
        folders(base, "2")
        await follower.follow(fleet)
        assert list(served(fleet)) == [2]
        while not shelf.toys[0].closed:
            await asyncio.sleep(0)
        assert not shelf.toys[1].closed
        await follower.follow(fleet)
        assert shelf.tried == [1, 2]
        (base / "2").rmdir()
        await follower.follow(fleet)
        assert list(served(fleet)) == [1]

    run(check, wanted(base))


def test_what_was_asked_of_a_version_that_goes_is_answered_and_then_it_is_closed() -> None:
    gate, entered = threading.Event(), threading.Event()

    class Slow(Toy):
        def predict(self, inputs: Tensors) -> Tensors:
            entered.set()
            assert gate.wait(30)
            assert not self.closed
            return super().predict(inputs)

    async def main() -> None:
        toy, answers = Slow(1), []
        fleet = Fleet([Model(Served("m", 1, SIGNATURE, "toy"), Runnable(toy))], threads=1)
        for rows in (1, 2):  # the second waits until the first has been run
            fleet.batcher.submit(("m", 1), {"x": np.zeros((rows, 3), np.float32)}, answers.append)
            await asyncio.to_thread(entered.wait, 30)
        fleet.remove("m", 1)
        assert not list(fleet.plane.served())
        with pytest.raises(KeyError):
            fleet.batcher.submit(("m", 1), {"x": np.zeros((1, 3), np.float32)}, answers.append)
        assert (answers, fleet.batcher.busy, toy.closed) == ([], 1, False)
        gate.set()
        while not toy.closed:
            await asyncio.sleep(0)
        assert [len(answer["y"]) for answer in answers] == [1, 2]
        assert fleet.batcher.busy == 0
        fleet.batcher.close()

    asyncio.run(main())


def test_a_version_that_does_not_load_leaves_the_old_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    base = folders(tmp_path / "m", "1")

    async def check(follower: Follower, fleet: Fleet, shelf: Shelf) -> None:
        folders(base, "2")
        for _ in range(4):
            await follower.follow(fleet)
        assert list(served(fleet)) == [1]
        assert shelf.tried == [1, 2, 2, 2], "once, and two more times"
        assert "Loading servable: {name: m version: 2} failed" in caplog.text
        shelf.broken.clear()
        follower.accept(wanted(base, Policy(latest=2)))
        await follower.follow(fleet)
        assert list(served(fleet)) == [1, 2], "another configuration is a new start"

    run(check, wanted(base), broken={2}, retries=Retries(2, 0.0))


def test_a_failed_load_is_not_tried_again_before_its_time(tmp_path: Path) -> None:
    base = folders(tmp_path / "m", "1")

    async def check(follower: Follower, fleet: Fleet, shelf: Shelf) -> None:
        folders(base, "2")
        for _ in range(3):
            await follower.follow(fleet)
        assert shelf.tried == [1, 2]

    run(check, wanted(base), broken={2})


def test_labels_move_to_what_is_served_only(tmp_path: Path) -> None:
    base = folders(tmp_path / "m", "1", "2")
    both = Policy()

    async def check(follower: Follower, fleet: Fleet, shelf: Shelf) -> None:
        assert served(fleet) == {1: ("stable",)}
        refused = r"assign label to version 2 of model m, which is not currently available"
        with pytest.raises(UsageError, match=refused):
            follower.accept(wanted(base, both, stable=2))
        await follower.follow(fleet)
        assert served(fleet) == {1: ("stable",)}, "a file that is refused changes nothing"
        follower.accept(wanted(base, both, stable=1, canary=2))  # a new label may be ahead
        await follower.follow(fleet)
        assert served(fleet) == {1: ("stable",), 2: ("canary",)}
        follower.accept(wanted(base, both, stable=2))
        await follower.follow(fleet)
        assert served(fleet) == {1: (), 2: ("stable",)}

    run(check, wanted(base, Policy(specific=(1,)), stable=1), labels_ahead=True)
    with pytest.raises(UsageError, match="version 1 of model m"):
        Follower(Shelf().load).accept(wanted(base, stable=1))


def test_models_come_and_go_with_the_file(tmp_path: Path) -> None:
    one, two = folders(tmp_path / "one", "1"), folders(tmp_path / "two", "4")

    async def check(follower: Follower, fleet: Fleet, shelf: Shelf) -> None:
        follower.accept([Wanted("two", two)])
        await follower.follow(fleet)
        assert [(served.name, served.version) for served in fleet.plane.served()] == [("two", 4)]

    run(check, [Wanted("one", one)])


def test_it_waits_for_a_first_version_and_says_so_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    follower = Follower(Shelf().load)
    follower.accept(wanted(folders(tmp_path / "m", "1e3"), Policy(specific=(1,))))
    assert follower.first() is None
    assert follower.first() is None
    said = [record.message for record in caplog.records]
    assert len(said) == 3
    assert any("'1e3'" in text and "no whole number" in text for text in said)
    assert any(text.startswith("Version 1 of servable m, which was requested") for text in said)
    assert any(text.startswith("No versions of servable m found under base path") for text in said)
    folders(tmp_path / "m", "1")
    assert [found.served.version for found in follower.first() or []] == [1]


def test_a_first_version_that_does_not_load_ends_it(tmp_path: Path) -> None:
    follower = Follower(Shelf({1}).load)
    follower.accept(wanted(folders(tmp_path / "m", "1")))
    with pytest.raises(UnavailableError, match=r"Failed to start server.*\{name: m version: 1\} failed"):
        follower.first()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (write_warmup("recorded-elsewhere", [{"x": np.ones((2, 3), np.float32)}]), None),
        (write_warmup("m", [{"x": np.full((1, 3), 13, np.float32)}]), "RuntimeError: thirteen"),
        (write_warmup("m", [{"y": np.ones((2, 3), np.float32)}]), "Missing but required: {x}"),
        (write_warmup("m", [{"x": np.ones((2, 4), np.float32)}]), "x"),
        (b"no record", "the head of the record at byte 0 is damaged"),
    ],
)
def test_a_version_is_served_only_if_it_answers_its_warm_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, said: str | None
) -> None:
    class Moody(Toy):
        def predict(self, inputs: Tensors) -> Tensors:
            if (inputs["x"] == 13).any():
                raise RuntimeError("thirteen")
            return super().predict(inputs)

    toy = Moody(1)
    monkeypatch.setattr("deploy_exporters.formats.load_file", lambda name, path, **options: toy)
    (tmp_path / FILE).parent.mkdir()
    (tmp_path / FILE).write_bytes(data)
    if said is None:
        assert savedmodels.load("m", 1, tmp_path).runnable.predictor is toy
        return
    with pytest.raises(UsageError, match="its warm-up failed") as raised:
        savedmodels.load("m", 1, tmp_path)
    assert said in str(raised.value)
    assert toy.closed
    assert savedmodels.load("m", 1, tmp_path, warm=False)


def test_only_predictions_that_were_answered_count_as_ok() -> None:
    rest = DIALECTS.load("tfserving+rest")
    tables = monitored(Tables([RestTable(rest.HANDLERS, rest.refuse)], {}), "/metrics")
    plane = ServedModels([Served('m"', 1, SIGNATURE, "toy")])

    def asked(method: str, target: str, body: bytes = b"") -> Any:
        request = HttpRequest(method, target, {}, body)
        for table in tables.rest:
            for route in table.routes:
                match = route.path.fullmatch(target)
                if match and method in route.methods:
                    return route.handler(plane, request, match)
        raise AssertionError(target)

    ask = asked("POST", "/v1/models/m%22:predict", json.dumps({"instances": [[1, 2, 3]]}).encode())
    assert isinstance(ask, Ask)
    assert asked("GET", "/metrics").body == b"# TYPE :tensorflow:serving:request_count counter\n"
    ask.render({"y": np.ones((1, 1), dtype=np.float32)})
    with pytest.raises(Refused):
        ask.render({"y": np.float32(1)})
    assert asked("GET", "/v1/models/m%22").status == 200
    assert asked("GET", "/metrics").body.decode().splitlines()[1:] == [
        ':tensorflow:serving:request_count{model_name="m\\"",status="INVALID_ARGUMENT"} 1',
        ':tensorflow:serving:request_count{model_name="m\\"",status="OK"} 1',
    ]


def test_the_program_ends_with_a_reason(tmp_path: Path) -> None:
    path = config(tmp_path / "models.config", "model_config_list { config { nam: 1 } }")
    command = [sys.executable, "-m", "deploy_servers.embedded.model_server", f"--model_config_file={path}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert 'no field named "nam"' in done.stderr
    assert "Traceback" not in done.stderr
    batching = config(tmp_path / "batching", "allowed_batch_sizes: 2 allowed_batch_sizes: 1")
    given = [f"--model_base_path={tmp_path}", f"--batching_parameters_file={batching}"]
    done = subprocess.run([*command[:-1], *given], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, "[2, 1]" in done.stderr) == (2, True)


@pytest.fixture(autouse=True)
def _heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="deploy.model_server")
