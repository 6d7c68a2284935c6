"""Where a place inside a model is, in the words of its source: `features.1`, `encoder.layers.0.norm1`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from typing import Any

SCOPES = "pkg.torch.onnx.name_scopes"  # the modules around a node of ONNX, outermost first, and its own name
_CALL = re.compile(r"(Stateful)?PartitionedCall(_\d+)?$")
_AGAIN = re.compile(r"_\d+$")
_NODE = "node_"  # how torch's exporter begins the name of a node
# Functions of TensorFlow that name what they are made of.
_IDIOMS = (
    "batchnorm",
    "moments",
    "zeros",
    "einsum",
    "strided_slice",
    "Cast",
    "TensorArrayUnstack",
    "TensorArrayV2Stack",
)
_FLAT = "model"  # what `torch_flat.Flat`, which converters get, calls the model in it


def of_node(node: Any) -> str:
    """Give the layer of a node of ONNX, by what the exporter wrote beside it or into its name."""
    told = next((each.value for each in node.metadata_props if each.key == SCOPES), "")
    if told:
        inner = [scope for scope in ast.literal_eval(told)[:-1] if scope]
        return without_flat(inner[-1]) if inner else ""
    if node.name.startswith("/"):  # torch's older exporter: /features/features.1/Conv
        return without_flat(node.name.split("/")[-2])
    return of_tensorflow(node.name)


def of_tensorflow(name: str) -> str:
    """Give the layer in the name of an operator of TensorFlow: `net_1/block_1/conv_1/Relu` is of `block/conv`.

    The model's own name comes first, or the name of the ONNX node that became the operator. A model that is called once
    more has a number behind its name, and one behind that of each of its layers.
    """
    root, *inner = [part for part in name.partition(":")[0].split("/") if not _CALL.match(part)] or [""]
    again = _AGAIN.search(root)
    layers = [part for part in inner[:-1] if _AGAIN.sub("", part) not in _IDIOMS]
    if again and not root.startswith(_NODE):
        layers = [_AGAIN.sub("", part) for part in layers]
    return "/".join(layers)


def is_call(name: str) -> bool:
    """Tell whether a name of TensorFlow is only that of the call of a function."""
    return all(_CALL.match(part) for part in name.partition(":")[0].split("/"))


def of_weights(names: Iterable[str]) -> str:
    """Give the layer that the last weight's name tells: `features.1.weight` is of `features.1`; "" if none does.

    Of a convolution into which a batch norm was folded, the last is that of the norm, whose answer it gives.
    """
    return next(filter(None, map(_of_weight, reversed(list(names)))), "")


def without_flat(path: str) -> str:
    """Give the path without the wrapper that our own exports have around a model."""
    return "" if path == _FLAT else path.removeprefix(f"{_FLAT}.")


def _of_weight(name: str) -> str:
    if "/" in name:
        return of_tensorflow(name.rpartition("/")[0])
    is_place = "." in name and all(part.isidentifier() or part.isdigit() for part in name.split("."))
    return without_flat(name.rpartition(".")[0]) if is_place else ""
