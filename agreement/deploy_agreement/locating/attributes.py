"""Attributes of an operator in normal names and forms, so that those of two runtimes can be compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from deploy_agreement.locating import windows
from deploy_agreement.locating.graph import Graph
from deploy_agreement.locating.operators import NORMS

_NORMAL = {
    "eps": "epsilon", "negativeslope": "alpha", "slope": "alpha", "dim": "axis", "axes": "axis",
    "group": "groups", "minvalue": "min", "maxvalue": "max", "fmod": "mode", "maxval": "max", "minval": "min",
}  # fmt: skip
_KNOWN: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(NORMS, ("epsilon",)),
    "softmax": ("axis",),
    "log softmax": ("axis",),
    "concatenation": ("axis",),
    "leaky relu": ("alpha",),
    "elu": ("alpha",),
    "gelu": ("approximate",),
    "clip": ("min", "max"),
    "convolution": ("groups",),
}
_DEFAULTS: dict[str, Any] = {"alpha": {"leaky relu": 0.01, "elu": 1.0}, "approximate": "none"}
_QUANTISED = ("scale", "zeropoint")
_AXES = ("axis",)  # they mean the same only where both lie alike


def differences(one: Graph, mine: str, other: Graph, theirs: str, *, alike: bool) -> Iterator[tuple[str, Any, Any]]:
    """Give name, wanted and other value of each attribute that differs; `alike` says that axes mean the same in both."""
    wanted, got = normal(one, mine), normal(other, theirs)
    for name in wanted.keys() & got.keys():
        if (name in _AXES and not alike) or same(wanted[name], got[name]):
            continue
        yield name, wanted[name], got[name]


def normal(graph: Graph, name: str) -> dict[str, Any]:
    """Give the attributes that mean something in the operator's family, and the window of what slides over a picture."""
    family = graph.family[name]
    node = graph.nodes[name]
    plain = {_normal(key): value for key, value in node.attributes.items()}
    found = {
        key: _form(key, plain[key], node.value.ndim) for key in _KNOWN.get(family, ()) if plain.get(key) is not None
    }
    found |= {
        key: float(plain[key]) for key in _QUANTISED if isinstance(plain.get(key), int | float) and "zeropoint" in plain
    }
    found |= windows.of(graph, name)
    return found


def same(one: Any, other: Any) -> bool:
    """Tell whether two values are equal as far as float32 goes."""
    if isinstance(one, float) or isinstance(other, float):
        return bool(np.isclose(one, other, rtol=1e-5, atol=0))
    return bool(one == other)


def told(value: Any) -> str:
    """Give a value as a sentence has it."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def _normal(key: str) -> str:
    plain = key.lower().replace("_", "")
    return _NORMAL.get(plain, plain)


def _form(key: str, value: Any, axes: int) -> Any:
    if key == "axis" and isinstance(value, int | np.integer):
        return int(value) % max(axes, 1)
    if key == "approximate":
        return "tanh" if value in (True, "tanh", b"tanh") else "none"
    if key in ("epsilon", "alpha", "min", "max") and np.ndim(value) == 0:
        return float(value)
    if key == "groups":
        return int(value)
    return value


def attribute(attributes: Mapping[str, Any], normal_name: str, default: Any = None) -> Any:
    """Give an attribute by its normal name."""
    return next((value for key, value in attributes.items() if _normal(key) == normal_name), default)
