"""TensorFlow Serving's launch and swap as plain data, and its options."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tfserving_store import fill_pretended

from deploy_core.device import Device
from deploy_core.errors import TamperedError, UsageError
from deploy_dialects.messages import message
from deploy_dialects.tfserving.files import read_file
from deploy_dialects.tfserving.tensor_proto import read_tensor
from deploy_dialects.tfserving.warmup import FILE, read_warmup
from deploy_model_store import Store
from deploy_servers import SERVERS
from deploy_servers.container import Container
from deploy_servers.settings import Settings

GOLDEN = Path(__file__).parent / "golden"
FIELDS = (
    *("command", "env", "ports", "endpoints", "links", "files", "fatal", "engine", "notes"),
    *("files_after", "unlinks", "files_before"),
)
DOCKER = Container("/usr/bin/docker", "65532:65532")


@pytest.fixture(scope="module")
def pretended(tmp_path_factory: pytest.TempPathFactory) -> Store:
    root = tmp_path_factory.mktemp("pretended")
    fill_pretended(root)
    return Store(root)


def settings(store: Store, **changes: Any) -> Settings:
    return replace(Settings(Path("/run/deploy"), store.root, http_port=8501, grpc_port=8500), **changes)


def planned(store: Store, *names: str, **changes: Any) -> Any:
    return SERVERS.load("tfserving").plan([store.resolve(name) for name in names], settings(store, **changes))


def rendered(data: Any, store: Store) -> str:
    def shown(value: object) -> str:
        return f"({len(value)} bytes)" if isinstance(value, bytes) else str(value)

    whole = asdict(data)
    mine = {name: whole[name] for name in FIELDS if name in whole}
    return (json.dumps(mine, indent=1, default=shown) + "\n").replace(str(store.root), "STORE")


@pytest.mark.parametrize(
    ("case", "names", "changes"),
    [
        ("process-cpu", ["linear"], {}),
        ("process-cuda", ["linear@1", "linear@2", "other"], {"device": Device("cuda", (1,))}),
        ("container-cpu", ["linear@2"], {"container": DOCKER}),
        ("container-cuda", ["linear@2"], {"container": DOCKER, "device": Device("cuda")}),
        (
            "options",
            ["linear@2"],
            {
                "container": replace(DOCKER, image="mine:1"),
                "options": {
                    "batching.max_batch_size": "4",
                    "batching.allowed_batch_sizes": "1,2,4",
                    "batching.batch_timeout_micros": "0",
                    "batching.pad_variable_length_inputs": "true",
                    "batching.enable_large_batch_splitting": "false",
                    "rest_api_timeout_in_ms": "5000",
                    "model_config_file_poll_wait_seconds": "1",
                },
            },
        ),
    ],
)
def test_golden_plan(
    pretended: Store, golden: Callable[[Path, str], None], case: str, names: list[str], changes: dict[str, Any]
) -> None:
    launch = planned(pretended, *names, **changes)
    golden(GOLDEN / f"tfserving-{case}.json", rendered(launch, pretended))
    assert not launch.folder.exists()
    assert list(launch.files)[-1] == "models.config"


def test_golden_swap(pretended: Store, golden: Callable[[Path, str], None]) -> None:
    old, new = ([pretended.resolve(f"linear@{number}")] for number in (1, 2))
    swap = SERVERS.load("tfserving").swap(old, new, settings(pretended, container=DOCKER))
    golden(GOLDEN / "tfserving-swap.json", rendered(swap, pretended))


def served(text: str) -> tuple[list[int], dict[str, int]]:
    (config,) = read_file("models", text).model_config_list.config
    return list(config.model_version_policy.specific.versions), dict(config.version_labels)


def test_a_swap_serves_both_until_the_new_one_has_answered(pretended: Store) -> None:
    one, two, three = (pretended.resolve(f"linear@{number}") for number in (1, 2, 3))
    swap = SERVERS.load("tfserving").swap
    # stable has moved to 2: the server would refuse a file that gives it to a version which is not loaded yet.
    there = swap([one], [two], settings(pretended))
    assert list(there.files)[-1] == "models.config", "all else is there when the configuration is"
    assert served(there.files["models.config"]) == ([1, 2], {"stable": 1})
    assert served(there.files_after["models.config"]) == ([2], {"stable": 2})
    assert served(there.files_before["models.config"]) == ([1], {"stable": 1})
    assert there.unlinks == ("models/linear/1",)
    back = swap([two], [one], settings(pretended))
    assert served(back.files["models.config"]) == ([1, 2], {"stable": 2})
    assert served(back.files_after["models.config"]) == ([1], {})
    more = swap([one, two], [two, three], settings(pretended))
    assert served(more.files["models.config"]) == ([1, 2, 3], {"stable": 2})
    assert {place.rpartition("/")[0] for place in more.links} == {"models/linear/3", "models/linear/3/variables"}
    with pytest.raises(UsageError, match="does not look"):
        swap([one], [two], settings(pretended, options={"model_config_file_poll_wait_seconds": "0"}))


def asked(launch: Any, place: str) -> list[np.ndarray]:
    requests = map(
        message("tfserving", "tensorflow.serving.PredictRequest").FromString, read_warmup(launch.files[place])
    )
    return [read_tensor("x", request.inputs["x"]) for request in requests]


def test_the_warm_up_asks_for_golden_inputs(pretended: Store) -> None:
    x = pretended.resolve("linear@2").golden.inputs["x"]
    place = f"models/linear/2/{FILE}"
    one, all_of_them = asked(planned(pretended, "linear@2"), place)
    assert (one == x[:1]).all()
    assert (all_of_them == x).all()
    # The server refuses to load a version whose warm-up has more rows than a batch may have.
    limited = planned(pretended, "linear@2", options={"batching.max_batch_size": "3"})
    assert [len(rows) for rows in asked(limited, place)] == [1, 3]


def test_files_that_options_name_are_seen_inside(pretended: Store, tmp_path: Path) -> None:
    threads = tmp_path / "threads.config"
    threads.write_text("thread_pool_factory_config {}")
    name = "thread_pool_factory_config_file"
    launch = planned(pretended, "linear", container=DOCKER, options={name: str(threads)})
    assert launch.links[f"files/{name}"] == threads
    assert f"--{name}=/deploy/files/{name}" in launch.command
    with pytest.raises(UsageError, match="no such file"):
        planned(pretended, "linear", options={name: str(tmp_path / "absent")})


@pytest.mark.parametrize(
    ("options", "said", "hint"),
    [
        ({"rest_api_num_thread": "4"}, "no option 'rest_api_num_thread'", "did you mean rest_api_num_threads"),
        ({"batching.max_batch": "4"}, "no option 'batching.max_batch'", "batching.max_batch_size"),
        ({"zzz": "4"}, "no option 'zzz'", "it has binary"),
        ({"port": "1"}, "not set by hand", "--grpc-port"),
        ({"ssl_config_file": "tls.config"}, "is for TLS", "reverse proxy"),
        ({"use_alts_credentials": "true"}, "is for TLS", "reverse proxy"),
        ({"monitoring_config_file": "a"}, "not set by hand", "/monitoring/prometheus/metrics"),
        ({"grpc_max_threads": "many"}, "'many'", "whole number"),
        ({"enable_batching": "yes"}, "'yes'", "true or false"),
        ({"batching.max_batch_size": "0"}, "max_batch_size is 0", "from 1 on"),
        ({"batching.max_batch_size": "4", "batching.allowed_batch_sizes": "1,8"}, "is 8, max_batch_size is 4", "same"),
        ({"batching.max_batch_size": "4", "batching.allowed_batch_sizes": "2,1,4"}, "[2, 1, 4]", "larger than"),
        ({"batching.allowed_batch_sizes": "1,x"}, "'x'", "whole number"),
    ],
)
def test_options_are_checked(pretended: Store, options: dict[str, str], said: str, hint: str) -> None:
    with pytest.raises(UsageError) as raised:
        planned(pretended, "linear", options=options)
    assert said in str(raised.value)
    assert hint in raised.value.hint


def test_the_program_may_be_named(pretended: Store) -> None:
    assert planned(pretended, "linear").command[0] == "tensorflow_model_server"
    assert planned(pretended, "linear", options={"binary": "/opt/tfs"}).command[0] == "/opt/tfs"
    named = planned(pretended, "linear", options={"binary": "./tfs"}).command[0]
    assert named == str(Path("tfs").absolute()), "it runs in another folder"
    contained = planned(pretended, "linear", options={"binary": "/opt/tfs"}, container=DOCKER)
    assert "--entrypoint=/opt/tfs" in contained.command


def test_the_help_tells_what_is_so_unless_set(pretended: Store) -> None:
    name = "model_config_file_poll_wait_seconds"
    assert SERVERS.load("tfserving").OPTIONS[name].endswith("(default 5)")
    assert f"--{name}=5" in planned(pretended, "linear").command


def test_damaged_aliases_are_told(tmp_path: Path) -> None:
    fill_pretended(tmp_path)
    (tmp_path / "linear" / "aliases.json").write_text('{"stable": "one"}')
    with pytest.raises(TamperedError, match=r"linear/aliases\.json holds no aliases"):
        planned(Store(tmp_path), "linear")
