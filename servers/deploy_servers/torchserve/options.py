"""The options of TorchServe: a few in plain words, and every one of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from deploy_core.errors import UsageError
from deploy_servers.settings import number_option, own_tls, switch_option, unknown_option
from deploy_servers.torchserve.native import NAMES, OURS, SAME, TLS

OPTIONS: Mapping[str, str] = {
    "workers": "how many worker processes each model gets (default 1)",
    "batch_size": "how many requests are run as one batch at most (default 1)",
    "max_batch_delay": "how many milliseconds a request waits for others to join it (default 100)",
    "heap_mb": "how much memory Java may use for itself, in MiB (default 512)",
    "response_timeout": "after how many seconds a worker that does not answer is ended (default 120)",
    "max_request_bytes": "the largest request and answer (default 67108864)",
    "tokens": "on or off: whether requests need a key; our clients find it themselves (default on)",
    "management_host": "the address at which management and metrics answer, whatever --host is (default 127.0.0.1)",
    "NATIVE": "any option of TorchServe's own config.properties, e.g. job_queue_size=1000",
}
_WORDS = tuple(name for name in OPTIONS if name != "NATIVE")


@dataclass(frozen=True)
class Options:
    """What was set, read; `native` is what goes into config.properties as it is."""

    workers: int
    batch_size: int
    max_batch_delay: int
    heap_mb: int
    response_timeout: int
    max_request_bytes: int
    tokens: bool
    management_host: str
    native: Mapping[str, str] = field(default_factory=dict)

    @property
    def model_api(self) -> bool:
        """Whether models can come and go while it runs."""
        return self.native.get("enable_model_api") == "true"


def read(given: Mapping[str, str]) -> Options:
    """Read what `--set` says. Raises UsageError for an unknown name, with the nearest ones, and for a wrong value."""
    for name, value in given.items():
        _check(name, value, given)
    plain = {SAME.get(name, name): value for name, value in given.items()}
    return Options(
        workers=number_option(plain, "workers", 1),
        batch_size=number_option(plain, "batch_size", 1),
        max_batch_delay=number_option(plain, "max_batch_delay", 100),
        heap_mb=number_option(plain, "heap_mb", 512),
        response_timeout=number_option(plain, "response_timeout", 120),
        max_request_bytes=number_option(plain, "max_request_bytes", 64 << 20),
        tokens=switch_option(plain, "tokens", default=True),
        management_host=plain.get("management_host") or "127.0.0.1",
        native={name: value for name, value in given.items() if name in NAMES and name not in SAME},
    )


def _check(name: str, value: str, given: Mapping[str, str]) -> None:
    if name in OURS:
        raise UsageError(f"option {name} of TorchServe is set by the toolkit itself", hint=OURS[name])
    if name in TLS:
        raise own_tls("torchserve", name)
    if name not in _WORDS and name not in NAMES:
        raise unknown_option("torchserve", name, (*_WORDS, *NAMES, *OURS), listed=(*_WORDS, "and TorchServe's own"))
    if name in SAME and SAME[name] in given:
        raise UsageError(f"options {name} and {SAME[name]} say the same", hint=f"give {SAME[name]} alone")
    if not value.isprintable():
        raise UsageError(f"option {name} is {value!r}", hint="give it on one line, without control characters")
