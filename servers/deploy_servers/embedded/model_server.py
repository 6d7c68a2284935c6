"""The embedded server in the place of tensorflow_model_server: the same flags, files and folders.

    python -m deploy_servers.embedded.model_server --port=8500 --rest_api_port=8501 --model_config_file=models.config

It is stricter: what TensorFlow Serving passes over with a warning, such as an unknown flag, ends it. It listens on
127.0.0.1 unless `--host` says otherwise. Flags that it takes without heeding them are named in the log.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

from deploy_core.errors import DeployError, UnavailableError, UsageError
from deploy_dialects.tables import DIALECTS
from deploy_servers.embedded import savedmodels
from deploy_servers.embedded.following import Follower, Retries, log
from deploy_servers.embedded.monitoring import monitored
from deploy_servers.embedded.reloading import reloadable
from deploy_servers.embedded.rest import RestTable
from deploy_servers.embedded.servables import Wanted, read_models, text_file
from deploy_servers.embedded.service import Fleet, Model, ServeOptions, Tables, serve, stop_on_signals
from deploy_servers.tfserving import batching
from deploy_servers.tfserving.flags import FLAGS, METRICS, check_value, closest

_DEFAULTS: Mapping[str, str] = {**{name: flag.default for name, flag in FLAGS.items()}, "host": "127.0.0.1"}
_HEEDED = (
    *("host", "port", "rest_api_port", "model_name", "model_base_path", "model_config_file"),
    *("model_config_file_poll_wait_seconds", "file_system_poll_wait_seconds", "enable_batching"),
    *("batching_parameters_file", "monitoring_config_file", "allow_version_labels_for_unavailable_models"),
    *("max_num_load_retries", "load_retry_interval_micros", "enable_model_warmup", "tensorflow_intra_op_parallelism"),
)


def main() -> int:
    """Serve until SIGTERM or SIGINT; give the exit code: 0 when every request that had begun was answered."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        chosen = arguments(sys.argv[1:])
        look = partial(_wanted, chosen)
        follower = _follower(chosen)
        follower.accept(look())
        tables = _tables(chosen)
        models = _first(follower, float(chosen["file_system_poll_wait_seconds"]))
        return 0 if uvloop.run(_serve(models, follower, look, tables, chosen)) else 1
    except DeployError as error:
        log.error("%s%s", error, f"\nhint: {error.hint}" if error.hint else "")
        return error.exit_code


def arguments(given: Sequence[str]) -> dict[str, str]:
    """Read `--flag=value`, and `--flag` for a truth value; the last of several wins. Raises UsageError."""
    found = dict(_DEFAULTS)
    for argument in given:
        name, equals, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or name not in _DEFAULTS:
            raise UsageError(f"unknown argument: {argument}", hint=closest(name, _DEFAULTS))
        kind = FLAGS[name].kind if name in FLAGS else "text"
        found[name] = value if equals or kind != "bool" else "true"
        check_value(f"--{name}", kind, found[name])
        if name not in _HEEDED:
            log.warning("--%s has no effect here", name)
    if not found["model_config_file"] and not found["model_base_path"]:
        raise UsageError(
            "Both server_options.model_base_path and server_options.model_config_file are empty!",
            hint="give --model_config_file=FILE, or --model_name=NAME and --model_base_path=FOLDER",
        )
    return found


def _wanted(chosen: Mapping[str, str]) -> tuple[Wanted, ...]:
    if chosen["model_config_file"]:
        return read_models(Path(chosen["model_config_file"]))
    return (Wanted(chosen["model_name"], Path(chosen["model_base_path"])),)


def _follower(chosen: Mapping[str, str]) -> Follower:
    load = partial(
        savedmodels.load,
        threads=int(chosen["tensorflow_intra_op_parallelism"]) or None,
        warm=chosen["enable_model_warmup"] == "true",
    )
    retries = Retries(int(chosen["max_num_load_retries"]), int(chosen["load_retry_interval_micros"]) / 1e6)
    return Follower(load, chosen["allow_version_labels_for_unavailable_models"] == "true", retries)


def _tables(chosen: Mapping[str, str]) -> Tables:
    """Give what is spoken, by what the files for batching and monitoring say. Raises UsageError for those."""
    if chosen["batching_parameters_file"]:
        batching.check(text_file("batching", Path(chosen["batching_parameters_file"])))
    if chosen["enable_batching"] == "true":
        log.info(
            "requests that wait for the same model are joined; the batching parameters are read and not heeded yet"
        )
    rest, rpc = (DIALECTS.load(f"tfserving+{transport}") for transport in ("rest", "grpc"))
    tables = Tables([RestTable(rest.HANDLERS, rest.refuse)], rpc.HANDLERS)
    if not chosen["monitoring_config_file"]:
        return tables
    prometheus = text_file("monitoring", Path(chosen["monitoring_config_file"])).prometheus_config
    return monitored(tables, prometheus.path or METRICS) if prometheus.enable else tables


def _first(follower: Follower, pause: float) -> list[Model]:
    while (models := follower.first()) is None:
        if pause <= 0:
            raise UnavailableError("a model has no version", hint="the log says which one")
        time.sleep(pause)
    return models


async def _serve(
    models: Sequence[Model],
    follower: Follower,
    wanted: Callable[[], Sequence[Wanted]],
    tables: Tables,
    chosen: Mapping[str, str],
) -> bool:
    host = chosen["host"]
    settings = ServeOptions(host=host, http_port=int(chosen["rest_api_port"]), grpc_port=int(chosen["port"]))

    def ready(http_port: int, grpc_port: int) -> None:
        log.info("Running gRPC ModelServer at %s:%d ...", host, grpc_port)
        log.info("Exporting HTTP/REST API at:%s:%d ...", host, http_port)

    stop = asyncio.Event()
    stop_on_signals(stop, log.info)
    keeping = _Keeping(Fleet(models, threads=os.cpu_count() or 1), follower)
    looking = [asyncio.create_task(looks) for looks in _looks(keeping, wanted, chosen)]
    for task in looking:
        task.add_done_callback(lambda task: stop.set())  # a server that no longer looks is not to seem well
    drained = await serve(keeping.fleet, reloadable(tables, keeping.become), settings, ready=ready, stop=stop)
    for task in looking:
        if task.done():
            task.result()
        task.cancel()
    log.info("stopped: %s", "every request was answered" if drained else "some requests took too long and were cut")
    return drained


class _Keeping:
    """What is served, kept in step with what is wanted by one at a time."""

    def __init__(self, fleet: Fleet, follower: Follower) -> None:
        self.fleet = fleet
        self._follower = follower
        self._alone = asyncio.Lock()

    async def look(self) -> None:
        """Look at the folders."""
        async with self._alone:
            await self._follower.follow(self.fleet)

    async def become(self, wanted: Sequence[Wanted]) -> list[str]:
        """Serve this from now on; give the models of which nothing could be loaded. Raises UsageError."""
        async with self._alone:
            self._follower.accept(wanted)
            await self._follower.follow(self.fleet)
            return self._follower.absent()


def _looks(
    keeping: _Keeping, wanted: Callable[[], Sequence[Wanted]], chosen: Mapping[str, str]
) -> list[Coroutine[Any, Any, None]]:
    async def at_file() -> None:
        await keeping.become(wanted())

    seconds = {name: float(chosen[f"{name}_poll_wait_seconds"]) for name in ("file_system", "model_config_file")}
    looks = [_every(seconds["file_system"], keeping.look)] if seconds["file_system"] > 0 else []
    if chosen["model_config_file"] and seconds["model_config_file"] > 0:
        looks.append(_every(seconds["model_config_file"], at_file))
    return looks


async def _every(seconds: float, look: Callable[[], Awaitable[None]]) -> None:
    said = ""
    while True:
        await asyncio.sleep(seconds)
        try:
            await look()
            said = ""
        except DeployError as error:
            # What was served is served on; the same complaint each second would fill the log.
            if str(error) != said:
                log.error("the configuration is not taken: %s", error)
            said = str(error)


if __name__ == "__main__":
    # Not sys.exit: a prediction that hangs would keep the interpreter from ending.
    os._exit(main())
