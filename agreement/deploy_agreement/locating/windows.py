"""The window that a convolution or a pool slides: stride, dilation, kernel and padding, as each format writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from deploy_agreement.locating.graph import Graph
from deploy_core.predictor import Intermediate

SLIDING = ("convolution", "transposed convolution", "max pool", "average pool")
Padding = tuple[tuple[int, int], ...]


def channels_first(node: Intermediate) -> bool:
    """Tell whether an operator takes its channels before its pixels, as those of torch and ONNX do."""
    told = str(node.attributes.get("data_format", node.attributes.get("dataFormat", "")) or "").lower()
    if told:
        return "nc" in told or "first" in told
    onnx = {"pads", "kernel_shape", "auto_pad"} & set(node.attributes)
    return bool(onnx) or "aten" in node.operator or node.operator.startswith("torch") or node.operator in _ONNX


_ONNX = ("BatchNormalization", "InstanceNormalization", "GroupNormalization")


def of(graph: Graph, name: str) -> dict[str, Any]:
    """Give `stride`, `dilation`, `kernel` and `padding`, as far as an operator has them."""
    if graph.family[name] not in SLIDING:
        return {}
    node = graph.nodes[name]
    count = node.value.ndim - 2
    given = {key.lower().replace("_", ""): value for key, value in node.attributes.items() if value is not None}
    stride = _sizes(given, ("strides", "stride"), ("strideh", "stridew"), count)
    dilation = _sizes(given, ("dilations", "dilation", "dilationrate"), ("dilationhfactor", "dilationwfactor"), count)
    kernel = _kernel(node, given, count)
    if graph.family[name].endswith("pool") and not stride:
        stride = kernel
    sizes = {"stride": stride, "dilation": dilation, "kernel": kernel}
    found: dict[str, Any] = {key: value for key, value in sizes.items() if value}
    before = next((parent for parent in graph.parents[name]), "")
    if count > 0 and before and kernel:
        sides = _spatial(graph.value(before).shape, node), _spatial(node.value.shape, node)
        own = _padding(given, kernel, stride or (1,) * count, dilation or (1,) * count, sides[0])
        if own is not None and graph.family[name] != "transposed convolution":
            found["padding"] = _with_pad(own, graph, before, node)
    return found


def _sizes(given: Mapping[str, Any], names: tuple[str, ...], parts: tuple[str, str], count: int) -> tuple[int, ...]:
    value = next((given[name] for name in names if name in given), None)
    if value is None and parts[0] in given and parts[1] in given:
        value = (given[parts[0]], given[parts[1]])
    if value is None:
        return ()
    if np.ndim(value) == 0:
        return (int(value),) * count
    sizes = tuple(int(each) for each in value)
    if len(sizes) == count + 2:  # TensorFlow counts the batch and the channels
        sizes = sizes[2:] if str(given.get("dataformat", "")).upper().startswith("NC") else sizes[1:-1]
    return sizes * count if len(sizes) == 1 else sizes


def _kernel(node: Intermediate, given: Mapping[str, Any], count: int) -> tuple[int, ...]:
    told = _sizes(given, ("kernelshape", "kernelsize", "ksize", "poolsize"), ("filterheight", "filterwidth"), count)
    if told:
        return told
    weight = next((w for w in node.weights.values() if w.ndim == node.value.ndim), None)
    if weight is None:
        return ()
    if channels_first(node):
        return weight.shape[2:]
    return weight.shape[1:-1] if node.operator.isupper() else weight.shape[:-2]


def _spatial(shape: tuple[int, ...], node: Intermediate) -> tuple[int, ...]:
    return shape[2:] if channels_first(node) else shape[1:-1]


def _padding(
    given: Mapping[str, Any],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    sides: tuple[int, ...],
) -> Padding | None:
    auto = str(given.get("autopad", "NOTSET"))
    told = given.get("pads", given.get("padding")) if auto == "NOTSET" else auto
    if isinstance(told, bytes):
        told = told.decode()
    word = {"0": "same", "1": "valid"}.get(str(told), str(told).lower()) if np.ndim(told) == 0 else ""
    if "strideh" not in given and isinstance(told, int):
        return ((told, told),) * len(sides)
    if word == "explicit":
        flat = [int(each) for each in given.get("explicitpaddings", ())]
        inner = flat[4:] if str(given.get("dataformat", "")).upper().startswith("NC") else flat[2:-2]
        return tuple(zip(inner[::2], inner[1::2], strict=True))
    if word == "valid":
        return ((0, 0),) * len(sides)
    if word.startswith("same"):
        return _same(kernel, stride, dilation, sides, low="lower" in word)
    if told is None or np.ndim(told) != 1:
        return None
    flat = [int(each) for each in told]
    if len(flat) == len(sides):
        return tuple((each, each) for each in flat)
    return tuple(zip(flat[: len(sides)], flat[len(sides) :], strict=True)) if len(flat) == 2 * len(sides) else None


def _same(
    kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...], sides: tuple[int, ...], *, low: bool
) -> Padding:
    found = []
    for size, step, wide, side in zip(kernel, stride, dilation, sides, strict=True):
        whole = max((-(-side // step) - 1) * step + (size - 1) * wide + 1 - side, 0)
        less, more = whole // 2, whole - whole // 2
        found.append((more, less) if low else (less, more))
    return tuple(found)


def _with_pad(own: Padding, graph: Graph, before: str, node: Intermediate) -> Padding:
    """Add what an operator of its own has padded before."""
    while graph.is_move(before) and graph.parents[before]:
        before = graph.parents[before][0]
    if graph.family[before] != "padding":
        return own
    pads = _pads(graph.nodes[before])
    if pads is None or len(pads) not in (len(own), len(own) + 2):
        return own
    inner = pads if len(pads) == len(own) else pads[2:] if channels_first(node) else pads[1:-1]
    return tuple((a + c, b + d) for (a, b), (c, d) in zip(own, inner, strict=True))


def _pads(node: Intermediate) -> Padding | None:
    axes = node.value.ndim
    constants = [w for w in node.weights.values() if w.dtype.kind in "iu"]
    told = next(
        (node.attributes[key] for key in ("paddings", "pads", "pad", "padding") if key in node.attributes), None
    )
    if told is None and constants:
        told = constants[0]
    if told is None:
        return None
    flat = np.asarray(told)
    if flat.ndim == 2:
        return tuple((int(a), int(b)) for a, b in flat)
    if "aten" in node.operator:  # the last axis first
        pairs = [(int(a), int(b)) for a, b in zip(flat[::2], flat[1::2], strict=True)][::-1]
        return tuple([(0, 0)] * (axes - len(pairs)) + pairs)
    if flat.size == 2 * axes:
        return tuple((int(a), int(b)) for a, b in zip(flat[:axes], flat[axes:], strict=True))
    return None
