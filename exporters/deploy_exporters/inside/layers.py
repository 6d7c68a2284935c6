"""Where a place inside a model is, in the words of its source: `features.1`, `encoder.layers.0.norm1`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_FLAT = "model"  # what `torch_flat.Flat`, which converters get, calls the model in it


def of_scopes(scopes: Sequence[str]) -> str:
    """Give the innermost of module paths, outermost first, without the operator's own name at the end."""
    inner = [scope for scope in scopes[:-1] if scope]
    return without_flat(inner[-1]) if inner else ""


def of_path(name: str) -> str:
    """Give the layer in a node's name as torch's older exporter writes it: `/features/features.1/Conv` is `features.1`."""
    return without_flat(name.split("/")[-2]) if name.startswith("/") and name.count("/") > 1 else ""


def of_weights(names: Iterable[str]) -> str:
    """Give the layer that a weight's name tells: `features.1.weight` is of `features.1`; "" if none does."""
    return next((without_flat(name.rpartition(".")[0]) for name in names if _is_place(name)), "")


def without_flat(path: str) -> str:
    """Give the path without the wrapper that our own exports have around a model."""
    return "" if path == _FLAT else path.removeprefix(f"{_FLAT}.")


def _is_place(name: str) -> bool:
    return "." in name and all(part.isidentifier() or part.isdigit() for part in name.split("."))
