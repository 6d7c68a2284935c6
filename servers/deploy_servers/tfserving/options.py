"""What `--set` may say of TensorFlow Serving: any flag of its own, its batching, and which program and artifact."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from deploy_core.errors import UsageError
from deploy_servers.settings import own_tls, unknown_option
from deploy_servers.tfserving import batching
from deploy_servers.tfserving.flags import FLAGS, METRICS, check_value

_POLL = "model_config_file_poll_wait_seconds"
_DEFAULTS = {_POLL: "5"}  # where ours is another than its own

# Flags that have another way to be given, and which.
_OWNED: Mapping[str, str] = {
    "port": "--grpc-port gives it",
    "rest_api_port": "--http-port gives it",
    "model_config_file": "the names on the command line say what is served",
    "model_name": "the names on the command line say what is served",
    "model_base_path": "the names on the command line say what is served",
    "allow_version_labels_for_unavailable_models": "aliases need it, so it is always on",
    "batching_parameters_file": "--set batching.max_batch_size=32 and its like write it",
    "monitoring_config_file": f"metrics are always at {METRICS} of the HTTP port",
    "version": "it would print its version and end",
}
_TLS = ("ssl_config_file", "use_alts_credentials")

OPTIONS: Mapping[str, str] = {
    "binary": "the program, where it is not tensorflow_model_server on the PATH",
    "artifact": "which artifact of each version is served (default savedmodel)",
    **{name: text for name, (_, text) in batching.OPTIONS.items()},
    **{
        name: f"{flag.help} (default {default})" if (default := _DEFAULTS.get(name, flag.default)) else flag.help
        for name, flag in FLAGS.items()
        if name not in (*_OWNED, *_TLS)
    },
}


def check(options: Mapping[str, str]) -> None:
    """Raise UsageError for an option that there is not, that has another way, or of a wrong value."""
    for name, value in options.items():
        if name in _OWNED:
            raise UsageError(f"option {name} of server tfserving is not set by hand", hint=_OWNED[name])
        if name in _TLS:
            raise own_tls("tfserving", name)
        if name not in OPTIONS:
            raise unknown_option("tfserving", name, OPTIONS)
        if name in FLAGS:
            check_value(f"option {name}", FLAGS[name].kind, value)
    for name, path in _files(options).items():
        if not path.is_file():
            raise UsageError(
                f"option {name} is {str(path)!r}, and there is no such file", hint="give the path of a file"
            )


def flags(options: Mapping[str, str], inside: Path, own: Mapping[str, object]) -> list[str]:
    """Give the command line: the flags that we set, those of the options, files as they are seen `inside`."""
    given = {name: value for name, value in options.items() if name in FLAGS}
    seen = {name: str(inside / _place(name)) for name in _files(options)}
    chosen = {**_DEFAULTS, **own, **given, **seen}
    return [f"--{name}={value}" for name, value in chosen.items()]


def links(options: Mapping[str, str]) -> dict[str, Path]:
    """Give the files that options name, as place in the run's folder → file."""
    return {_place(name): path for name, path in _files(options).items()}


def polls(options: Mapping[str, str]) -> bool:
    """Tell whether the server would notice another models.config."""
    return int({**_DEFAULTS, **options}[_POLL]) > 0


def program(options: Mapping[str, str]) -> str:
    """Give the program; one that is named by its path is found from any folder."""
    binary = options.get("binary", "tensorflow_model_server")
    return str(Path(binary).absolute()) if "/" in binary else binary


def _place(name: str) -> str:
    return f"files/{name}"


def _files(options: Mapping[str, str]) -> dict[str, Path]:
    return {
        name: Path(value).absolute() for name, value in options.items() if name in FLAGS and FLAGS[name].kind == "file"
    }
