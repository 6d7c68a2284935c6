"""The options of TorchServe 0.12's own config.properties, by the names that its ConfigManager asks for."""

from __future__ import annotations

from collections.abc import Mapping

# What is the launch's own affair, and how a user says it instead.
OURS: Mapping[str, str] = {
    "inference_address": "--host and --http-port say where it answers",
    "management_address": "--set management_host= says where it is managed; the port comes from the system, and is printed",
    "metrics_address": "--set management_host= says where its metrics are; the port comes from the system",
    "grpc_inference_address": "--host says where it answers",
    "grpc_management_address": "--set management_host= says where it is managed",
    "grpc_inference_port": "--grpc-port says where it answers",
    "grpc_management_port": "its port comes from the system",
    "disable_token_authorization": "--set tokens=off does that",
    "load_models": "the names after `deploy serve` are what is served",
    "models": "--set workers=, batch_size= and max_batch_delay= fill it",
    "model_store": "it is a folder of the run's own",
    "model_snapshot": "each run starts from the store alone",
    "python": "its workers run in the Python of this toolkit",
}
# A native option that one of ours says better; giving both is a mistake.
SAME: Mapping[str, str] = {
    "default_workers_per_model": "workers",
    "default_response_timeout": "response_timeout",
    "max_request_size": "max_request_bytes",
    "max_response_size": "max_request_bytes",
}
# By which it would speak TLS itself: see `deploy_servers.settings.own_tls`.
TLS = ("certificate_file", "enable_grpc_ssl", "keystore", "keystore_pass", "keystore_type", "private_key_file")
_NAMES = """
    allowed_urls async_logging blacklist_env_vars cors_allowed_headers cors_allowed_methods
    cors_allowed_origin cpp_log_config cpu_launcher_args cpu_launcher_enable debug decode_input_request
    default_response_timeout default_service_handler default_startup_timeout default_workers_per_model
    disable_system_metrics enable_envvars_config enable_metrics_api enable_model_api
    grpc_inference_max_connection_age_grace_ms grpc_inference_max_connection_age_ms
    grpc_management_max_connection_age_grace_ms grpc_management_max_connection_age_ms initial_distribution_port
    initial_worker_port install_py_dep_per_model io_ratio ipex_enable ipex_gpu_enable job_queue_size
    limit_max_image_pixels max_request_size max_response_size metric_time_interval
    metrics_config metrics_mode model_metrics_auto_detect netty_client_threads number_of_gpu number_of_netty_threads
    prefer_direct_buffer service_envelope system_metrics_cmd token_expiration_min
    ts_header_key_sequence_end ts_header_key_sequence_id ts_header_key_sequence_start ts_open_inference_protocol
    unregister_model_timeout use_env_allowed_urls use_native_io workflow_store
"""
NAMES = frozenset(_NAMES.split())
