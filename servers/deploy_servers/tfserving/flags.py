"""The flags of tensorflow_model_server, as its own `main.cc` has them (2.20)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from deploy_core.errors import UsageError


@dataclass(frozen=True)
class Flag:
    """`kind` is bool, int, float, text or file; `default` is what it is without the flag."""

    kind: str
    help: str
    default: str = ""


FLAGS: Mapping[str, Flag] = {
    "port": Flag("int", "the port for gRPC; 0: none", "8500"),
    "grpc_socket_path": Flag("text", "a UNIX socket for gRPC, beside the port"),
    "rest_api_port": Flag("int", "the port for REST; 0: none", "0"),
    "rest_api_num_threads": Flag("int", "threads for REST (default: 4 for each CPU)"),
    "rest_api_timeout_in_ms": Flag("int", "after how many milliseconds a REST call is given up", "30000"),
    "rest_api_enable_cors_support": Flag("bool", "whether answers allow web pages of any origin to read them", "false"),
    "enable_batching": Flag("bool", "whether requests are joined into batches", "false"),
    "allow_version_labels_for_unavailable_models": Flag("bool", "whether new labels may name what loads", "false"),
    "batching_parameters_file": Flag("file", "BatchingParameters"),
    "enable_per_model_batching_parameters": Flag("bool", "whether batching_params.pbtxt in models is read", "false"),
    "model_config_file": Flag("file", "ModelServerConfig: what is served"),
    "model_config_file_poll_wait_seconds": Flag("int", "how often that file is read again; 0: never", "0"),
    "model_name": Flag("text", "the name of the only model", "default"),
    "model_base_path": Flag("text", "the folder of the only model's versions"),
    "num_load_threads": Flag("int", "threads that load versions; 0: the manager's own", "0"),
    "num_unload_threads": Flag("int", "threads that unload versions; 0: the manager's own", "0"),
    "max_num_load_retries": Flag("int", "how often a failed load is tried again", "5"),
    "load_retry_interval_micros": Flag("int", "how long it waits before, in microseconds", "60000000"),
    "file_system_poll_wait_seconds": Flag("int", "how often folders are looked at for versions; 0: once", "1"),
    "flush_filesystem_caches": Flag("bool", "whether caches are flushed after loading", "true"),
    "tensorflow_session_parallelism": Flag("int", "threads of a session; 0: found out", "0"),
    "tensorflow_session_config_file": Flag("file", "ConfigProto of the sessions"),
    "tensorflow_intra_op_parallelism": Flag("int", "threads of one operator; 0: found out", "0"),
    "tensorflow_inter_op_parallelism": Flag("int", "operators at the same time; 0: found out", "0"),
    "use_alts_credentials": Flag("bool", "whether Google's ALTS is spoken", "false"),
    "ssl_config_file": Flag("file", "SSLConfig: gRPC speaks TLS"),
    "platform_config_file": Flag("file", "PlatformConfigMap, in place of TensorFlow's"),
    "per_process_gpu_memory_fraction": Flag("float", "the share of a GPU's memory that is taken; 0: found out", "0"),
    "saved_model_tags": Flag("text", "tags of the graph to load", "serve"),
    "grpc_channel_arguments": Flag("text", "KEY=VALUE,… for the gRPC server"),
    "grpc_max_threads": Flag("int", "threads for gRPC"),
    "enable_model_warmup": Flag("bool", "whether the warm-up requests are asked", "true"),
    "num_request_iterations_for_warmup": Flag("int", "how often each of them is asked", "0"),
    "version": Flag("bool", "print the version and end", "false"),
    "monitoring_config_file": Flag("file", "MonitoringConfig"),
    "remove_unused_fields_from_bundle_metagraph": Flag("bool", "whether unused parts of graphs are dropped", "true"),
    "prefer_tflite_model": Flag("bool", "whether model.tflite in a SavedModel's folder is run instead", "false"),
    "num_tflite_pools": Flag("int", "pools of LiteRT interpreters"),
    "num_tflite_interpreters_per_pool": Flag("int", "interpreters in each"),
    "enable_signature_method_name_check": Flag("bool", "whether a signature's method name must fit", "false"),
    "xla_cpu_compilation_enabled": Flag("bool", "whether XLA compiles for the CPU", "false"),
    "enable_profiler": Flag("bool", "whether the profiler's service is there", "true"),
    "thread_pool_factory_config_file": Flag("file", "ThreadPoolConfig"),
    "enable_grpc_healthcheck_service": Flag("bool", "whether grpc.health.v1 answers", "false"),
    "enable_serialization_as_tensor_content": Flag("bool", "whether answers hold raw bytes in tensor_content", "false"),
}

METRICS = "/monitoring/prometheus/metrics"  # where its own documentation has them
_KINDS = {
    "bool": (re.compile("true|false"), "true or false"),
    "int": (re.compile(r"-?\d{1,18}"), "a whole number"),
    "float": (re.compile(r"\d+(\.\d+)?"), "a number"),
    "text": (re.compile(r"[^\0]*"), "a text"),
    "file": (re.compile(r"[^\0]+"), "a file"),
}


def check_value(name: str, kind: str, value: str) -> None:
    """Raise UsageError unless the value is of that kind."""
    pattern, wanted = _KINDS[kind]
    if not pattern.fullmatch(value):
        raise UsageError(f"{name} is {value!r}", hint=f"give {wanted}")


def closest(name: str, known: Mapping[str, object]) -> str:
    """Give the hint for a name that is not known: what may have been meant, else all that there are."""
    near = get_close_matches(name, known, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(known)}"
