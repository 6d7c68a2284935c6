"""The embedded server as a program: `python -m deploy_servers.embedded --store DIR [NAME[@VERSION|@ALIAS]…]`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import uvloop

from deploy_core.device import Device
from deploy_core.endpoint import address_of
from deploy_core.errors import DeployError, UsageError
from deploy_model_store import Store
from deploy_servers.embedded import listing, models, tables, watching
from deploy_servers.embedded.parse import Limits
from deploy_servers.embedded.service import Fleet, Model, ServeOptions, Tables, serve, stop_on_signals


def main() -> int:
    """Serve until SIGTERM or SIGINT; give the exit code: 0 when every request that had begun was answered."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    arguments = _parser().parse_args()
    try:
        loaded = _loaded(arguments)
        return 0 if uvloop.run(_serve(loaded, arguments)) else 1
    except DeployError as error:
        _say(f"error: {error}" + (f"\nhint: {error.hint}" if error.hint else ""))
        return error.exit_code


def _loaded(arguments: argparse.Namespace) -> list[Model]:
    if arguments.models is not None and arguments.names:
        raise UsageError(
            f"--models {arguments.models} says what is served, and so does {' '.join(arguments.names)}",
            hint="give the file or names",
        )
    if arguments.models is None:
        wanted = models.listed(Store(arguments.store), arguments.names)
    else:
        wanted = listing.read(arguments.models)
    return [_load(arguments, one) for one in wanted]


def _load(arguments: argparse.Namespace, one: listing.Listed) -> Model:
    device = Device.parse(arguments.device)
    how = models.Loading(arguments.threads, arguments.parallel, arguments.artifact, device)
    return models.load(Store(arguments.store), one, how)


async def _serve(loaded: list[Model], arguments: argparse.Namespace) -> bool:
    settings = ServeOptions(
        host=arguments.host,
        published=arguments.published,
        http_port=arguments.http_port,
        grpc_port=arguments.grpc_port,
        grace=arguments.grace,
        limits=Limits(body=arguments.max_request_bytes),
    )
    names = ", ".join(f"{model.served.name}@{model.served.version} ({model.served.platform})" for model in loaded)
    host = settings.host

    def ready(http_port: int, grpc_port: int) -> None:
        rest, grpc = address_of(host, http_port), address_of(host, grpc_port)
        _say(f"ready: REST on http://{rest}, gRPC on {grpc}: {names}")

    stop = asyncio.Event()
    stop_on_signals(stop, _say)
    fleet = Fleet(loaded, threads=arguments.parallel)
    async with _watching(arguments, fleet):
        drained = await serve(fleet, _spoken(arguments), settings, ready=ready, stop=stop)
    _say("stopped: every request was answered" if drained else "stopped: some requests took too long and were cut")
    return drained


def _spoken(arguments: argparse.Namespace) -> Tables:
    if not arguments.metrics:
        return tables.load()
    from deploy_servers.embedded.monitoring import monitored

    return monitored(tables.load(), arguments.metrics)


@asynccontextmanager
async def _watching(arguments: argparse.Namespace, fleet: Fleet) -> AsyncGenerator[None]:
    if arguments.models is None:
        yield
        return
    task = asyncio.create_task(watching.follow(arguments.models, fleet, partial(_load, arguments), _say))
    try:
        yield
    finally:
        task.cancel()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy_servers.embedded", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME[@VERSION|@ALIAS]", help="what to serve; nothing: the whole store"
    )
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument(
        "--models", type=Path, help="a file that lists what to serve, also when it changes; no names then"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="the address to listen on; anything but loopback is open to others"
    )
    parser.add_argument(
        "--published", default="", metavar="ADDRESS", help="where a container's ports answer, if not on --host"
    )
    parser.add_argument("--http-port", type=int, default=0, help="0: the system chooses")
    parser.add_argument("--grpc-port", type=int, default=0, help="0: the system chooses")
    parser.add_argument("--artifact", default="", help="serve this artifact of each version")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument(
        "--metrics", default="", metavar="PATH", help="tell Prometheus there how many predictions ended how"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads that one prediction may use")
    parser.add_argument("--parallel", type=int, default=os.cpu_count() or 1, help="predictions at the same time")
    parser.add_argument("--max-request-bytes", type=int, default=Limits.body)
    parser.add_argument(
        "--grace", type=float, default=10.0, help="seconds for requests that have begun when asked to stop"
    )
    return parser


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201  a server's own program has stderr to speak on


if __name__ == "__main__":
    # Not sys.exit: a prediction that hangs would keep the interpreter from ending.
    os._exit(main())
