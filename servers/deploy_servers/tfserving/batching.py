"""TensorFlow Serving's batching parameters, from options and from files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deploy_core.errors import UsageError
from deploy_servers.tfserving.flags import check_value

PREFIX = "batching."
# Option → kind and line of help.
OPTIONS: Mapping[str, tuple[str, str]] = {
    f"{PREFIX}max_batch_size": ("int", "how many rows one batch may have (default 1000)"),
    f"{PREFIX}batch_timeout_micros": ("int", "how long a batch waits for company, in microseconds (default 0)"),
    f"{PREFIX}max_enqueued_batches": ("int", "how many batches may wait before requests are refused (default 10)"),
    f"{PREFIX}num_batch_threads": ("int", "how many batches may run at the same time (default: one for each CPU)"),
    f"{PREFIX}thread_pool_name": ("text", "the name of the pool of their threads"),
    f"{PREFIX}allowed_batch_sizes": (
        "text",
        "sizes to which batches are padded, e.g. 1,8,32; the last is max_batch_size",
    ),
    f"{PREFIX}pad_variable_length_inputs": ("bool", "whether inputs of different lengths are padded to be joined"),
    f"{PREFIX}enable_large_batch_splitting": ("bool", "whether a request of more rows than a batch is split"),
    f"{PREFIX}max_execution_batch_size": ("int", "how many rows of a split request run at once"),
}
_LEAST = {"batch_timeout_micros": 0}


def parameters(options: Mapping[str, str]) -> Any | None:
    """Give the BatchingParameters that `batching.…` options ask for, None if there are none. Raises UsageError."""
    from deploy_dialects.tfserving.files import empty

    chosen = {name.removeprefix(PREFIX): value for name, value in options.items() if name.startswith(PREFIX)}
    if not chosen:
        return None
    found = empty("batching")
    for name, value in chosen.items():
        _set(found, name, value)
    check(found)
    return found


def check(found: Any) -> None:
    """Raise UsageError for parameters with which TensorFlow Serving would not start."""
    for field, value in found.ListFields():
        if field.message_type is not None and hasattr(value, "value") and field.message_type.name == "Int64Value":
            _require_least(field.name, value.value)
    sizes = list(found.allowed_batch_sizes)
    if sizes != sorted(set(sizes)) or any(size < 1 for size in sizes):
        raise UsageError(
            f"allowed_batch_sizes are {sizes}", hint="give positive sizes, each larger than the one before"
        )
    most = found.max_batch_size.value if found.HasField("max_batch_size") else None
    if sizes and not found.enable_large_batch_splitting.value and sizes[-1] != most:
        raise UsageError(
            f"the last of allowed_batch_sizes is {sizes[-1]}, max_batch_size is {most}", hint="make them the same"
        )


def _set(found: Any, name: str, value: str) -> None:
    if name == "allowed_batch_sizes":
        sizes = value.split(",")
        for size in sizes:
            check_value(PREFIX + name, "int", size.strip())
        found.allowed_batch_sizes.extend(int(size) for size in sizes)
        return
    kind = OPTIONS[PREFIX + name][0]
    check_value(PREFIX + name, kind, value)
    plain: Any = int(value) if kind == "int" else value == "true" if kind == "bool" else value
    if name == "pad_variable_length_inputs":
        found.pad_variable_length_inputs = plain
    else:
        wrapper = getattr(found, name)
        wrapper.SetInParent()
        wrapper.value = plain


def _require_least(name: str, value: int) -> None:
    least = _LEAST.get(name, 1)
    if value < least:
        raise UsageError(f"{name} is {value}", hint=f"give a whole number from {least} on")
