"""The launch of Triton, as a process or in a container, and how it comes to serve other versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

from deploy_core.device import Device
from deploy_core.endpoint import TRANSPORTS, Endpoint
from deploy_core.errors import UsageError
from deploy_model_store import Version
from deploy_servers.container import Contained, own_image
from deploy_servers.launch import Launch
from deploy_servers.settings import Settings, number_option
from deploy_servers.swap import Call, Swap, without
from deploy_servers.triton import repository
from deploy_servers.triton.options import OPTIONS, check, native, native_arguments
from deploy_servers.triton.program import Program, find
from deploy_servers.triton.repository import Served

__all__ = ["OPTIONS", "PORTS", "PROGRAMS", "SERVES", "SPEAKS", "USUAL_PORTS", "plan", "swap"]

SERVES = ("onnx", "torchscript")
SPEAKS = ("oip",)
PROGRAMS = ("tritonserver",)
PORTS = 1  # metrics
USUAL_PORTS = (8000, 8001, 8002)
_EXIT_SECONDS = 10
_KEY = "deploy-key"  # the header that opens what is ours alone
_FATAL = ("error while loading shared libraries",)  # the python backend's program, for which it waits in vain
# What loads code, maps memory and writes files: whoever can connect could use it else.
_RESTRICTED = "model-repository,shared-memory,trace,logging"


def image(device: Device) -> str:
    """Give the image that its container runs unless another is named: the same on every device."""
    return own_image("triton")


def plan(versions: Sequence[Version], settings: Settings) -> Launch:
    """Say what would be started. Raises UsageError, TamperedError, UnavailableError for what cannot be served."""
    check(settings.options)
    if "shm_size" in settings.options and settings.container is None:
        raise UsageError("option shm_size is for containers", hint="leave it out, or add --in container")
    program = find(settings) if settings.container is None else None
    models = repository.served(versions, program, settings)
    arguments = _arguments(models, settings, program)
    return Launch(
        server="triton",
        name=", ".join(map(str, versions)),
        command=(program.binary, *arguments)
        if program
        else settings.contained(_contained(models, arguments, settings)),
        folder=settings.folder,
        host=settings.host,
        endpoints=_endpoints(versions, settings),
        ports=settings.all_ports,
        env={**program.env, **settings.device.env} if program else {},
        files=repository.configurations(models),
        links={**(program.links if program else {}), **repository.links(models)},
        fatal=_FATAL,
        # It says itself, after so many seconds, that it waits no longer.
        stop_grace=_exit_seconds(settings) + 10.0,
        engine=settings.engine,
        # As long as a client holds an idle connection it waits, and ends with an error then.
        drained="Found 0 model versions that have in-flight inferences",
    )


def swap(old: Sequence[Version], new: Sequence[Version], settings: Settings) -> Swap:
    """Say how models are loaded anew: the new versions beside the old ones first, which go when those are right.

    Raises UsageError for a version whose tensors are others: one configuration holds for all versions of a model.
    """
    coming, going = without(new, old), without(old, new)
    before, both, after = plan(old, settings), plan([*old, *coming], settings), plan(new, settings)
    had, have = {version.name for version in old}, {version.name for version in new}
    return Swap(
        launch=after,
        endpoints=_endpoints(coming, settings),
        links={place: path for place, path in both.links.items() if place not in before.links},
        files=_changed(both, before),
        load=_calls("load", (version.name for version in coming), settings),
        files_after=_changed(after, both),
        unload=(
            *_calls("load", (version.name for version in going if version.name in have), settings),
            *_calls("unload", had - have, settings),
        ),
        unlinks=tuple(repository.folder(version) for version in going),
        files_before=_changed(before, both),
        undo=(
            *_calls("load", (version.name for version in coming if version.name in had), settings),
            *_calls("unload", have - had, settings),
        ),
    )


def _arguments(models: Sequence[Served], settings: Settings, program: Program | None) -> list[str]:
    fixed = {
        "model-repository": [str(settings.inside / repository.FOLDER)],
        "model-control-mode": ["explicit"],
        "load-model": [one.model.name for one in models],
        "disable-auto-complete-config": [""],
        "http-address": [settings.listen],
        "http-port": [str(settings.http_port)],
        "grpc-address": [settings.listen],
        "grpc-port": [str(settings.grpc_port)],
        "metrics-address": [settings.listen],
        "metrics-port": [str(settings.ports[0])],
        "exit-timeout-secs": [str(_exit_seconds(settings))],
        "http-restricted-api": [f"{_RESTRICTED}:{_KEY}={settings.key}"],
        "grpc-restricted-protocol": [f"{_RESTRICTED}:{_KEY}={settings.key}"],
        "backend-config": _python_backend(settings) if any(one.model.backend == "python" for one in models) else [],
    }
    if not settings.device.on_gpu:
        # Else it looks for a GPU that is not there, and tells of it in lines that look like failures.
        fixed |= {"allow-gpu-metrics": ["false"], "pinned-memory-pool-byte-size": ["0"]}
    given = native_arguments(settings.options)
    whole = {**fixed, **given, **{name: [*fixed[name], *given[name]] for name in _ADDED if name in given}}
    found = [f"--{name}={value}" if value else f"--{name}" for name, values in whole.items() for value in values]
    return [*found, *(program.arguments if program else ())]


def _python_backend(settings: Settings) -> list[str]:
    size = number_option(settings.options, "shm_mb", 1) << 20
    # What lies in /dev/shm after a kill has the name of the run's folder, and goes with it.
    return [f"python,shm-region-prefix-name={settings.folder.name}-", f"python,shm-default-byte-size={size}"]


def _contained(models: Sequence[Served], arguments: Sequence[str], settings: Settings) -> Contained:
    usual = "1g" if any(one.model.backend == "python" for one in models) else ""
    shm, program = settings.options.get("shm_size", usual), settings.options.get("binary", "tritonserver")
    return Contained(image(settings.device), arguments, {}, entrypoint=program, shm=shm)


def _exit_seconds(settings: Settings) -> int:
    given = native(settings.options, "exit-timeout-secs") or str(_EXIT_SECONDS)
    return number_option({"exit_timeout_secs": given}, "exit_timeout_secs", _EXIT_SECONDS, least=0)


def _endpoints(versions: Iterable[Version], settings: Settings) -> tuple[Endpoint, ...]:
    return tuple(
        settings.endpoint("oip", transport, version.name, version.number)
        for version in versions
        for transport in TRANSPORTS
    )


def _calls(what: str, names: Iterable[str], settings: Settings) -> tuple[Call, ...]:
    root = f"http://{settings.endpoint('oip', 'rest', '').address}/v2/repository/models"
    return tuple(
        Call("POST", f"{root}/{quote(name, safe='')}/{what}", headers={_KEY: settings.key})
        for name in sorted(set(names))
    )


def _changed(to: Launch, since: Launch) -> Mapping[str, str | bytes]:
    return {name: text for name, text in to.files.items() if text != since.files.get(name)}


_ADDED = ("http-restricted-api", "grpc-restricted-protocol", "backend-config")  # the user's come after ours
