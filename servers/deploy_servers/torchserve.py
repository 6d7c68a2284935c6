"""The launch of TorchServe: java itself, without the Python wrapper, whose SIGTERM leaves java and the workers behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from deploy_core.endpoint import TRANSPORTS, Endpoint
from deploy_core.errors import UnavailableError, UsageError
from deploy_model_store import Version
from deploy_model_store.views import places
from deploy_servers.launch import Launch
from deploy_servers.settings import Settings, check_options, number_option

SERVES = ("mar",)
SPEAKS = ("torchserve",)
PROGRAMS = ("java",)
PORTS = 3  # management and metrics over HTTP, management over gRPC
OPTIONS: Mapping[str, str] = {
    "workers": "how many worker processes each model gets (default 1)",
    "heap_mb": "how much memory Java may use for itself, in MiB (default 512)",
    "response_timeout": "after how many seconds a worker that does not answer is ended (default 120)",
    "max_request_bytes": "the largest request and answer (default 67108864)",
}
_MODELS = "models"  # the folder, below the run's own, in which the archives lie

# What it logs when a worker cannot load its model; it goes on to start workers that fail for ever.
FATAL = (
    "Failed to load model ",
    "Auto recovery failed",
    "Backend worker process died",
    "WorkerInitializationException",
)

# TorchServe's own configuration logs several lines for each request into five files: 40 MB in minutes. This one
# writes to the console only, which the launch keeps, and leaves out what comes with each request.
_LOG4J = """<?xml version="1.0" encoding="UTF-8"?>
<Configuration>
  <Appenders>
    <Console name="console" target="SYSTEM_OUT">
      <PatternLayout pattern="%d{ISO8601} [%-5p] %t %c{1} - %m%n"/>
      <RegexFilter regex="(?s).*(Backend received inference|Predicted? time|PredictionTime|HandlerTime).*" onMatch="DENY" onMismatch="NEUTRAL"/>
    </Console>
  </Appenders>
  <Loggers>
    <Logger name="io.netty" level="error"/>
    <Logger name="org.apache" level="off"/>
    <Logger name="ACCESS_LOG" level="off"/>
    <Logger name="MODEL_METRICS" level="off"/>
    <Logger name="TS_METRICS" level="off"/>
    <Logger name="org.pytorch.serve.wlm.BatchAggregator" level="warn"/>
    <Logger name="org.pytorch.serve.wlm.WorkerThread" level="warn"/>
    <Root level="info">
      <AppenderRef ref="console"/>
    </Root>
  </Loggers>
</Configuration>
"""


def plan(versions: Sequence[Version], settings: Settings) -> Launch:
    """Say what would be started. Raises UnavailableError without Java, TamperedError for a damaged archive."""
    check_options("torchserve", OPTIONS, settings.options)
    if not settings.java:
        raise UnavailableError(
            "TorchServe needs Java, and there is none",
            hint="install Java 17 or later (Debian: apt-get install openjdk-17-jre-headless), or set JAVA_HOME",
        )
    _require_one_version_each(versions)
    _require_short(settings.folder)
    names = [version.name for version in versions]
    archives = places(versions, "torchserve")
    return Launch(
        server="torchserve",
        name=", ".join(map(str, versions)),
        command=(*_java(settings), *_arguments(settings, names)),
        folder=settings.folder,
        host=settings.host,
        endpoints=tuple(endpoint for name in names for endpoint in _endpoints(name, settings)),
        ports=(settings.http_port, settings.grpc_port, *settings.ports),
        env={
            "LOG_LOCATION": str(settings.folder / "logs"),
            "METRICS_LOCATION": str(settings.folder / "logs"),
            "TMPDIR": str(settings.folder / "tmp"),
            "TS_CONFIG_FILE": str(settings.folder / "config.properties"),  # the user's own would win over -f
        },
        files={
            "config.properties": _properties(settings),
            "log4j2.xml": _LOG4J,
            # Unix sockets of the workers, unpacked archives: of this run alone, or two servers would meet there.
            "tmp/README": "temporary files of one TorchServe\n",
        },
        links={f"{_MODELS}/{place}": path for place, path in archives.items()},
        fatal=FATAL,
    )


def _require_one_version_each(versions: Sequence[Version]) -> None:
    for name, count in Counter(version.name for version in versions).items():
        if count > 1:
            raise UsageError(
                f"torchserve is to serve {count} versions of {name}",
                hint="its archives do not carry the store's versions: give one version of each model",
            )


def _require_short(folder: Path) -> None:
    # Each worker listens on a unix socket, and the kernel takes no longer path for one.
    if len(str(folder / "tmp" / ".ts.sock.99999")) > 107:
        raise UnavailableError(
            f"the path {folder} is too long for the sockets of TorchServe", hint="set TMPDIR to a shorter one"
        )


def _java(settings: Settings) -> list[str]:
    home = _home()
    heap = number_option(settings.options, "heap_mb", 512)
    return [
        settings.java,
        f"-Xmx{heap}m",
        f"-Djava.io.tmpdir={settings.folder / 'tmp'}",
        f"-Dmodel_server_home={home}",
        f"-Dlog4j.configurationFile={settings.folder / 'log4j2.xml'}",
        "-cp",
        f"{home}/ts/frontend/*",
        "org.pytorch.serve.ModelServer",
    ]


def _arguments(settings: Settings, names: Sequence[str]) -> list[str]:
    files = ["--python", settings.python, "-f", str(settings.folder / "config.properties")]
    models = ["-s", str(settings.folder / _MODELS), "-m", *(f"{name}={name}.mar" for name in names)]
    return [*files, "-ncs", *models]


def _home() -> Path:
    spec = find_spec("ts")
    if spec is None or spec.origin is None:
        raise UnavailableError("TorchServe is not installed", hint="pip install 'deploy-toolkit[torchserve]'")
    return Path(spec.origin).parents[1]


def _properties(settings: Settings) -> str:
    management, metrics, grpc_management = settings.ports
    size = number_option(settings.options, "max_request_bytes", 64 << 20)
    lines = {
        "inference_address": f"http://{settings.host}:{settings.http_port}",
        "management_address": f"http://{settings.host}:{management}",
        "metrics_address": f"http://{settings.host}:{metrics}",
        "grpc_inference_address": settings.host,
        "grpc_inference_port": settings.grpc_port,
        "grpc_management_address": settings.host,
        "grpc_management_port": grpc_management,
        "default_workers_per_model": number_option(settings.options, "workers", 1),
        "default_response_timeout": number_option(settings.options, "response_timeout", 120),
        "max_request_size": size,
        "max_response_size": size,
        "metrics_mode": "prometheus",
        # No models can be loaded or removed over the network: what is served is what was launched.
        "enable_model_api": "false",
        "allowed_urls": "none",  # a pattern that no URL matches; the default is every URL, and every local file
        # Only this machine can connect, and a key that expires after an hour would end a client's work.
        "disable_token_authorization": "true",
    }
    return "".join(f"{name}={value}\n" for name, value in lines.items())


def _endpoints(name: str, settings: Settings) -> list[Endpoint]:
    ports = {"rest": settings.http_port, "grpc": settings.grpc_port}
    return [Endpoint("torchserve", transport, settings.host, ports[transport], name) for transport in TRANSPORTS]
