"""TorchServe's config.properties."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deploy_core.endpoint import address_of
from deploy_servers.settings import Settings
from deploy_servers.torchserve.options import Options

FILE = "config.properties"
_YEARS = 10 * 365 * 24 * 60  # minutes


@dataclass(frozen=True)
class Archive:
    """One model that is served: `version` is the archive's own, `file` its name in the folder of models."""

    name: str
    version: str
    file: str


def text(settings: Settings, options: Options, archives: Sequence[Archive]) -> str:
    """Give the text of the file; what the user set natively wins over what is usual here."""
    lines: dict[str, object] = {
        **_addresses(settings, options),
        **_usual(settings, options),
        "models": _models(options, archives),
    }
    return "".join(f"{name}={_escaped(str(value))}\n" for name, value in {**lines, **options.native}.items())


def _addresses(settings: Settings, options: Options) -> dict[str, object]:
    management, metrics, grpc_management = settings.ports
    host = settings.listen
    # Who manages it loads code and unloads models: that is for this machine, whoever may ask the models.
    inner = host if settings.container else options.management_host
    return {
        "inference_address": f"http://{address_of(host, settings.http_port)}",
        "management_address": f"http://{address_of(inner, management)}",
        "metrics_address": f"http://{address_of(inner, metrics)}",
        "grpc_inference_address": host,
        "grpc_inference_port": settings.grpc_port,
        "grpc_management_address": inner,
        "grpc_management_port": grpc_management,
    }


def _usual(settings: Settings, options: Options) -> dict[str, object]:
    # It would count CUDA_VISIBLE_DEVICES=-1 as one GPU; without a limit it takes all that it finds.
    gpus = {"number_of_gpu": len(settings.device.indexes)} if settings.device.indexes else {}
    return {
        "default_workers_per_model": options.workers,
        "default_response_timeout": options.response_timeout,
        "max_request_size": options.max_request_bytes,
        "max_response_size": options.max_request_bytes,
        "metrics_mode": "prometheus",
        **(gpus if settings.device.on_gpu else {"number_of_gpu": 0}),
        # No models can be loaded or removed over the network: what is served is what was launched.
        "enable_model_api": "false",
        "allowed_urls": "none",  # a pattern that no URL matches; the default is every URL, and every local file
        "disable_token_authorization": "false" if options.tokens else "true",
        # An hour, as usual, would end the work of every client after that.
        "token_expiration_min": _YEARS,
    }


def _models(options: Options, archives: Sequence[Archive]) -> str:
    told: dict[str, dict[str, object]] = {}
    for archive in archives:
        others = told.setdefault(archive.name, {})
        others[archive.version] = {"defaultVersion": not others, **_model(options, archive)}
    return json.dumps(told)


def _model(options: Options, archive: Archive) -> Mapping[str, object]:
    return {
        "marName": archive.file,
        "minWorkers": options.workers,
        "maxWorkers": options.workers,
        "batchSize": options.batch_size,
        "maxBatchDelay": options.max_batch_delay,
        "responseTimeout": options.response_timeout,
    }


def _escaped(value: str) -> str:
    """Write a value as Java reads it: a backslash twice, what is not ASCII by its UTF-16 units."""
    doubled = value.replace("\\", "\\\\")
    return "".join(char if char.isascii() else _units(char) for char in doubled)


def _units(char: str) -> str:
    data = char.encode("utf-16-be")
    return "".join(f"\\u{data[at]:02x}{data[at + 1]:02x}" for at in range(0, len(data), 2))
