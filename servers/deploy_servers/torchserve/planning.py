"""What would be started: java itself, without the Python wrapper, whose SIGTERM leaves java and the workers behind."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from deploy_core.device import Device
from deploy_core.endpoint import TRANSPORTS, Endpoint
from deploy_core.errors import UnavailableError, UsageError
from deploy_exporters.formats.mar import version_of
from deploy_model_store import Version
from deploy_model_store.views import places
from deploy_servers.answering import answering, left_out
from deploy_servers.container import Contained, own_image
from deploy_servers.launch import Launch
from deploy_servers.settings import Settings
from deploy_servers.torchserve import log4j, properties
from deploy_servers.torchserve.options import Options, read
from deploy_servers.torchserve.properties import Archive

MODELS = "models"  # the folder, below the run's own, in which the archives lie
_WRITES = "keys"  # the one that TorchServe writes its keys to, which are for us alone
_WAYS = tuple(("torchserve", transport) for transport in TRANSPORTS)
KEYS = f"{_WRITES}/key_file.json"
_IMAGE_HOME = Path("/opt/deploy")  # the virtual environment of our image

# What it logs when a worker cannot load its model; it goes on to start workers that fail for ever.
_FATAL = (
    "Failed to load model ",
    "Auto recovery failed",
    "Backend worker process died",
    "WorkerInitializationException",
)


def image(device: Device) -> str:
    """Give the image that its container runs unless another is named."""
    return own_image("torchserve", device)


def plan(versions: Sequence[Version], settings: Settings) -> Launch:
    """Say what would be started. Raises UnavailableError without Java, TamperedError for a damaged archive."""
    # It answers who names no version by the first that it is given.
    newest = sorted(versions, key=lambda version: -version.number)
    links = linked(newest)
    _require_apart([archive for archive, _ in links])
    named = list(zip(newest, (_named(archive, links) for archive, _ in links), strict=True))
    asked = tuple(endpoint for version, name in named for endpoint in endpoints(version, settings, name))
    notes = tuple(f"TorchServe calls {version} {name}" for version, name in named if name)
    launch = _launch(", ".join(map(str, versions)), links, asked, settings)
    return replace(launch, notes=(*notes, *left_out(newest, _WAYS)))


def plan_archive(path: Path, name: str, settings: Settings) -> Launch:
    """Say what would be started for an archive outside the store; it has no endpoints, for nobody knows what it speaks."""
    return _launch(path.name, [_archive(name, path)], (), settings)


def _launch(
    title: str, links: Sequence[tuple[Archive, Path]], answering: tuple[Endpoint, ...], settings: Settings
) -> Launch:
    options = read(settings.options)
    if settings.container is None:
        _require_java(settings)
        _require_short(settings.folder)
    archives = [archive for archive, _ in links]
    return Launch(
        server="torchserve",
        name=title,
        command=_command(settings, options, archives),
        folder=settings.folder,
        host=settings.host,
        endpoints=answering,
        ports=settings.all_ports,
        env={} if settings.container else _env(settings, settings.folder / "tmp", settings.folder / "logs"),
        files={
            properties.FILE: properties.text(settings, options, archives),
            log4j.FILE: log4j.TEXT,
            # Unix sockets of the workers, unpacked archives: of this run alone, or two servers would meet there.
            **({} if settings.container else {"tmp/README": "temporary files of one TorchServe\n"}),
        },
        links={f"{MODELS}/{archive.file}": path for archive, path in links},
        fatal=_FATAL,
        engine=settings.engine,
        writes=(_WRITES,),
        facts={"metrics": _metrics(settings, options), **_keys(settings, options)},
        management=_management(settings, options),
    )


def linked(versions: Sequence[Version]) -> list[tuple[Archive, Path]]:
    """Give the archive of each version as it is served, and where it is stored."""
    return [_archive(version.name, places([version], "torchserve")[f"{version.name}.mar"]) for version in versions]


def endpoints(version: Version, settings: Settings, name: str | None = None) -> tuple[Endpoint, ...]:
    """Give where a version answers as its model, or by the version that its archive has for itself."""
    return answering(version, [settings.endpoint(*way, version.name, name) for way in _WAYS])


def _named(archive: Archive, among: Sequence[tuple[Archive, Path]]) -> str | None:
    """Give what an archive is asked for by beside the model's name: nothing if it is the only one of it."""
    several = sum(other.name == archive.name for other, _ in among) > 1
    return archive.version if several else None


def _management(settings: Settings, options: Options) -> tuple[Endpoint, ...]:
    rest, _, grpc = settings.ports
    ports, host = {"rest": rest, "grpc": grpc}, options.management_host
    return tuple(Endpoint("torchserve", transport, host, ports[transport], "") for transport in TRANSPORTS)


def _metrics(settings: Settings, options: Options) -> str:
    _, port, _ = settings.ports
    return str(Endpoint("torchserve", "rest", options.management_host, port, ""))


def _keys(settings: Settings, options: Options) -> dict[str, str]:
    return {"key_file": str(settings.folder / KEYS)} if options.tokens else {}


def _archive(name: str, path: Path) -> tuple[Archive, Path]:
    version = version_of(path)
    # The version in the name lets two of them lie side by side while one takes the other's place.
    return Archive(name, version, f"{name}-{re.sub(r'[^A-Za-z0-9._-]', '_', version)}.mar"), path


def _require_java(settings: Settings) -> None:
    if not settings.java:
        raise UnavailableError(
            "TorchServe needs Java, and there is none",
            hint="install Java 17 or later (Debian: apt-get install openjdk-17-jre-headless), or set JAVA_HOME",
        )


def _require_apart(archives: Sequence[Archive]) -> None:
    for archive, count in Counter(archives).items():
        if count > 1:
            raise UsageError(
                f"{count} archives of {archive.name} call themselves version {archive.version}, and TorchServe holds one",
                hint="export the model again (--to mar): archives of this toolkit have versions of their own",
            )


def _require_short(folder: Path) -> None:
    # Each worker listens on a unix socket, and the kernel takes no longer path for one.
    if len(str(folder / "tmp" / ".ts.sock.99999")) > 107:
        raise UnavailableError(
            f"the path {folder} is too long for the sockets of TorchServe", hint="set TMPDIR to a shorter one"
        )


def _command(settings: Settings, options: Options, archives: Sequence[Archive]) -> tuple[str, ...]:
    if settings.container is None:
        python, home, temporary = settings.python, _home(), settings.folder / "tmp"
        return (settings.java, *_arguments(settings, options, archives, python, home, temporary))
    python, home, temporary = str(_IMAGE_HOME / "bin/python"), _IMAGE_HOME / "site", Path("/tmp")
    what = Contained(
        image(settings.device),
        _arguments(settings, options, archives, python, home, temporary),
        {"HOME": "/tmp", **_env(settings, temporary, temporary / "logs")},
        # Java maps the libraries that it unpacks there.
        writes=("/tmp:exec",),
        entrypoint="java",
        keeps=(_WRITES,),
    )
    return settings.contained(what, apart=dict.fromkeys(settings.ports, options.management_host))


def _arguments(
    settings: Settings, options: Options, archives: Sequence[Archive], python: str, home: Path, temporary: Path
) -> list[str]:
    inside = settings.inside
    return [
        f"-Xmx{options.heap_mb}m",
        "-XX:-UsePerfData",  # a file in /tmp, whatever TMPDIR is, that stays when Java is killed
        f"-Djava.io.tmpdir={temporary}",
        f"-Duser.dir={inside / _WRITES}",  # where it writes its keys
        f"-Dmodel_server_home={home}",
        f"-Dlog4j.configurationFile={inside / log4j.FILE}",
        *("-cp", f"{home}/ts/frontend/*", "org.pytorch.serve.ModelServer"),
        *("--python", python, "-f", str(inside / properties.FILE), "-ncs"),
        *("-s", str(inside / MODELS), "-m", *(f"{archive.name}={archive.file}" for archive in archives)),
    ]


def _env(settings: Settings, temporary: Path, logs: Path) -> Mapping[str, str]:
    return {
        "LOG_LOCATION": str(logs),
        "METRICS_LOCATION": str(logs),
        "TMPDIR": str(temporary),
        "TS_CONFIG_FILE": str(settings.inside / properties.FILE),  # the user's own would win over -f
        **({} if settings.container and settings.device.on_gpu else settings.device.env),
    }


def _home() -> Path:
    spec = find_spec("ts")
    if spec is None or spec.origin is None:
        raise UnavailableError("TorchServe is not installed", hint="pip install 'deploy-toolkit[torchserve]'")
    return Path(spec.origin).parents[1]
