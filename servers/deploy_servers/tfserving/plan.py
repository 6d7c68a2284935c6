"""The launch of TensorFlow Serving, as the process tensorflow_model_server or in its official image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path

from deploy_core.device import Device
from deploy_core.endpoint import TRANSPORTS, Endpoint
from deploy_core.errors import UsageError
from deploy_model_store import Store, Version
from deploy_model_store.views import places
from deploy_servers.answering import answering, left_out
from deploy_servers.container import Contained
from deploy_servers.launch import Launch
from deploy_servers.settings import Settings
from deploy_servers.swap import Swap, without
from deploy_servers.tfserving import batching, options, warmup
from deploy_servers.tfserving.flags import METRICS

SERVES = ("savedmodel",)
SPEAKS = ("tfserving",)
PROGRAMS = ("tensorflow_model_server",)
PORTS = 0
USUAL_PORTS = (8501, 8500)
LABELS = True  # aliases of the store can be asked for as labels
OPTIONS = options.OPTIONS
_WAYS = tuple((dialect, transport) for dialect in SPEAKS for transport in TRANSPORTS)
_CONFIG = "models.config"
_MODELS = "models"  # the folder, below the run's own, in which the versions lie
_OPEN = (
    "tensorflow_model_server listens on every address of this machine and has no flag against it: "
    "--in container publishes it on one address only"
)


def image(device: Device) -> str:
    """Give the official image, which its container runs unless another is named."""
    return "tensorflow/serving:2.20.0" + ("-gpu" if device.on_gpu else "")


def plan(versions: Sequence[Version], settings: Settings) -> Launch:
    """Say what would be started. Raises UsageError for options, TamperedError for a damaged SavedModel or aliases."""
    options.check(settings.options)
    program, arguments = options.program(settings.options), _arguments(settings)
    is_process = settings.container is None
    # Else TensorFlow takes all memory of a GPU at once, and nothing else can run there.
    env = {"TF_FORCE_GPU_ALLOW_GROWTH": "true"} if settings.device.on_gpu else {}
    contained = Contained(image(settings.device), arguments, env, entrypoint=program)
    return Launch(
        server="tfserving",
        name=", ".join(map(str, versions)),
        command=(program, *arguments) if is_process else settings.contained(contained),
        folder=settings.folder,
        host=settings.host,
        endpoints=_endpoints(versions, settings),
        ports=settings.all_ports,
        env={**settings.device.env, **env} if is_process else {},
        files=_files(versions, settings),
        links={**_links(versions, settings), **options.links(settings.options)},
        fatal=_fatal(versions),
        engine=settings.engine,
        notes=(*((_OPEN,) if is_process else ()), *left_out(versions, _WAYS)),
    )


def swap(old: Sequence[Version], new: Sequence[Version], settings: Settings) -> Swap:
    """Say how it comes to serve other versions: by another models.config, which it reads every few seconds.

    It refuses a file in which a label that it knows names a version that is not loaded. So both are served first, under
    the labels that there were, and the labels move when the new versions have answered. Raises what `plan` raises.
    """
    if not options.polls(settings.options):
        raise UsageError(
            "this server does not look at its models.config again",
            hint="serve without --set model_config_file_poll_wait_seconds=0",
        )
    coming = without(new, old)
    leaving = without(old, new)
    launch = plan(new, settings)
    both = [*old, *coming]
    before = {name: _labels_before(labels, old, both, name) for name, labels in _labels(both, settings).items()}
    return Swap(
        launch=launch,
        endpoints=_endpoints(new, settings),
        links=_links(coming, settings),
        # The configuration last: it is what is acted on.
        files={**_warmups(coming, settings), _CONFIG: _config(both, settings, before)},
        files_after={_CONFIG: launch.files[_CONFIG]},
        unlinks=tuple(f"{_MODELS}/{version.name}/{version.number}" for version in leaving),
        files_before={_CONFIG: _config(old, settings, before)},
    )


def _arguments(settings: Settings) -> list[str]:
    inside = settings.inside
    own: dict[str, object] = {
        "port": settings.grpc_port,
        "rest_api_port": settings.http_port,
        "model_config_file": inside / _CONFIG,
        "allow_version_labels_for_unavailable_models": "true",  # nothing is loaded when it reads its first labels
        "monitoring_config_file": inside / "monitoring.config",
    }
    if batching.parameters(settings.options) is not None:
        own |= {"enable_batching": "true", "batching_parameters_file": inside / "batching.config"}
    return options.flags(settings.options, inside, own)


def _files(versions: Sequence[Version], settings: Settings) -> dict[str, str | bytes]:
    from deploy_dialects.tfserving.files import empty, write_file

    monitoring = empty("monitoring")
    monitoring.prometheus_config.enable = True
    monitoring.prometheus_config.path = METRICS
    found: dict[str, str | bytes] = {**_warmups(versions, settings), "monitoring.config": write_file(monitoring)}
    parameters = batching.parameters(settings.options)
    if parameters is not None:
        found["batching.config"] = write_file(parameters)
    return {**found, _CONFIG: _config(versions, settings, _labels(versions, settings))}


def _config(versions: Sequence[Version], settings: Settings, labels: Mapping[str, Mapping[str, int]]) -> str:
    from deploy_dialects.tfserving.files import write_models

    models = {}
    for name in dict.fromkeys(version.name for version in versions):
        numbers = _numbers(versions, name)
        served = {label: number for label, number in labels[name].items() if number in numbers}
        models[name] = (str(settings.inside / _MODELS / name), numbers, served)
    return write_models(models)


def _labels(versions: Iterable[Version], settings: Settings) -> dict[str, dict[str, int]]:
    return {name: Store(settings.store).aliases(name) for name in {version.name for version in versions}}


def _labels_before(
    labels: Mapping[str, int], old: Iterable[Version], both: Iterable[Version], name: str
) -> dict[str, int]:
    """Give the labels while what comes is not yet trusted: one that has moved to it was on the only old version."""
    was, together = _numbers(old, name), _numbers(both, name)
    stay = {label: number for label, number in labels.items() if number in was}
    moved = [label for label, number in labels.items() if number in together and number not in was]
    return {**stay, **dict.fromkeys(moved, was[0])} if len(was) == 1 else stay


def _numbers(versions: Iterable[Version], name: str) -> tuple[int, ...]:
    return tuple(sorted(version.number for version in versions if version.name == name))


def _links(versions: Sequence[Version], settings: Settings) -> dict[str, Path]:
    shown = places(versions, "tfserving", artifact=settings.options.get("artifact"))
    # File by file: the warm-up requests are to lie among them.
    return {
        f"{_MODELS}/{place}/{file.relative_to(path).as_posix()}": file
        for place, path in shown.items()
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }


def _warmups(versions: Sequence[Version], settings: Settings) -> dict[str, bytes]:
    from deploy_dialects.tfserving.warmup import FILE, write_warmup

    parameters = batching.parameters(settings.options)
    limited = parameters is not None and parameters.HasField("max_batch_size")
    most = parameters.max_batch_size.value if parameters is not None and limited else 1000
    found = {}
    for version in versions:
        artifact = version.artifact(settings.options.get("artifact", "savedmodel"))
        asked = [] if (artifact.path / FILE).exists() else warmup.inputs(version, artifact, most)
        if asked:
            found[f"{_MODELS}/{version.name}/{version.number}/{FILE}"] = write_warmup(version.name, asked)
    return found


def _endpoints(versions: Sequence[Version], settings: Settings) -> tuple[Endpoint, ...]:
    each = (
        answering(version, [settings.endpoint(*way, version.name, version.number) for way in _WAYS])
        for version in versions
    )
    return tuple(chain.from_iterable(each))


def _fatal(versions: Sequence[Version]) -> tuple[str, ...]:
    # It would try again five times, a minute each.
    loads = [f"Loading servable: {{name: {version.name} version: {version.number}}} failed" for version in versions]
    return (*loads, "No versions of servable ", "Failed to start server", "Error parsing text-format")
