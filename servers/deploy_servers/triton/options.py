"""What `--set OPTION=VALUE` means to Triton: options of ours, and every one of its own."""

from __future__ import annotations

from collections.abc import Mapping

from deploy_core.errors import UsageError
from deploy_servers.settings import own_tls, unknown_option

OPTIONS: Mapping[str, str] = {
    "backend": "onnxruntime, pytorch, or python, which runs the file by ONNX Runtime or torch in the server's Python "
    "(default: the first of them that the server has and the version has a file for)",
    "artifact": "which artifact of each version is served (default: onnx, else torchscript)",
    "instances": "how many instances of each model, per GPU on GPUs (default 1)",
    "threads": "how many threads one prediction may use (default: the backend's own)",
    "max_batch_size": "the most rows of a request, and of requests joined (default: what was proved, else 256)",
    "dynamic_batching": "on, or off: requests are not joined (default on)",
    "preferred_batch_size": "numbers of rows to join, e.g. 8,16 (default: what there is)",
    "max_queue_delay_us": "how many microseconds a request waits for others (default 0)",
    "shm_mb": "shared memory that the python backend begins with, per instance, in MiB (default 1; it grows)",
    "shm_size": "how large a container's /dev/shm may become, e.g. 2g (default 1g)",
    "binary": "the path of tritonserver (default: the one on the PATH, else the one of the Python package pytriton)",
    "exit_timeout_secs": "how many seconds requests that have begun, and idle connections, get at the end (default 10)",
    "NATIVE-OPTION": "any option of tritonserver itself, e.g. http-thread-count=4; values of one that may be given "
    "more than once are separated by semicolons",
}

# Those that repeat take several values; the rest takes one. As `tritonserver --help` of 2.51 lists them, and newer ones.
_REPEATED = (
    "backend-config", "cache-config", "cuda-memory-pool-byte-size", "cuda-virtual-address-size",
    "grpc-restricted-protocol", "host-policy", "http-restricted-api", "metrics-config", "model-load-gpu-limit",
    "rate-limit-resource", "trace-config",
)  # fmt: skip
_SINGLE = (
    "allow-cpu-metrics", "allow-gpu-metrics", "allow-metrics", "allow-sagemaker", "allow-vertex-ai",
    "backend-directory", "buffer-manager-thread-count", "cache-directory", "enable-peer-access", "exit-on-error",
    "exit-timeout-secs", "grpc-header-forward-pattern", "grpc-http2-max-ping-strikes",
    "grpc-http2-max-pings-without-data", "grpc-http2-min-recv-ping-interval-without-data",
    "grpc-infer-allocation-pool-size", "grpc-infer-response-compression-level", "grpc-infer-thread-count",
    "grpc-keepalive-permit-without-calls", "grpc-keepalive-time", "grpc-keepalive-timeout", "grpc-max-connection-age",
    "grpc-max-connection-age-grace", "grpc-max-response-pool-size",
    "http-header-forward-pattern", "http-max-input-size",
    "http-thread-count", "id", "log-error", "log-format", "log-info", "log-verbose", "log-warning",
    "metrics-interval-ms", "min-supported-compute-capability", "model-config-name", "model-load-retry-count",
    "model-load-thread-count", "model-namespacing", "pinned-memory-pool-byte-size", "rate-limit",
    "repoagent-directory", "reuse-grpc-port", "reuse-http-port", "sagemaker-port", "sagemaker-safe-port-range",
    "sagemaker-thread-count", "strict-readiness", "vertex-ai-default-model", "vertex-ai-port", "vertex-ai-thread-count",
)  # fmt: skip
_TLS = ("grpc-root-cert", "grpc-server-cert", "grpc-server-key", "grpc-use-ssl", "grpc-use-ssl-mutual")
NATIVE = frozenset(_REPEATED + _SINGLE)
_OURS = {
    "http-port": "give --http-port",
    "grpc-port": "give --grpc-port",
    "http-address": "give --host",
    "grpc-address": "give --host",
    "allow-http": "a server is ready when it predicts over both transports",
    "allow-grpc": "a server is ready when it predicts over both transports",
    "metrics-address": "give --host",
    "metrics-port": "the system gives a free one",
    "log-file": "deploy keeps the log",
    "model-repository": "the store's versions are served",
    "model-store": "the store's versions are served",
    "model-control-mode": "models are loaded by deploy",
    "repository-poll-secs": "models are loaded by deploy",
    "load-model": "name the models on the command line",
    "disable-auto-complete-config": "the configuration is complete",
}


def check(options: Mapping[str, str]) -> None:
    """Raise UsageError for an option that neither we nor Triton have, or that is not the user's to set."""
    for name in options:
        native = _native(name)
        if native in _OURS:
            raise UsageError(f"option {name} is set by deploy itself", hint=_OURS[native])
        if native in _TLS:
            raise own_tls("triton", name)
        if name not in _TAKEN and native not in NATIVE:
            raise unknown_option("triton", name, (*sorted(NATIVE), *_TAKEN), listed=OPTIONS)


def native_arguments(options: Mapping[str, str]) -> dict[str, list[str]]:
    """Give the options of Triton itself that were set, each with its values."""
    found = {}
    for name, value in options.items():
        if name not in _TAKEN:
            values = value.split(";") if _native(name) in _REPEATED else [value]
            found[_native(name)] = [part.strip() for part in values if part.strip()]
    return found


def native(options: Mapping[str, str], name: str) -> str:
    """Give the value of an option of Triton itself, with hyphens or underscores; empty if it is not set."""
    return next((value for given, value in options.items() if _native(given) == name), "")


def numbers(options: Mapping[str, str], name: str) -> tuple[int, ...]:
    """Give whole numbers that are separated by commas; none if not set. Raises UsageError."""
    text = options.get(name, "")
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isascii() and part.isdigit() and int(part) for part in parts):
        raise UsageError(f"option {name} is {text!r}", hint="give whole numbers, e.g. 8,16")
    return tuple(map(int, parts))


def _native(name: str) -> str:
    return name.replace("_", "-")


_TAKEN = tuple(name for name in OPTIONS if name not in ("NATIVE-OPTION", "exit_timeout_secs"))
