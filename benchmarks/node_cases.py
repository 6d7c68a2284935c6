"""The ONNX standard's node tests: which of them count, and what each feeds and wants."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from deploy_core.signature import Tensors

LIST = Path(__file__).with_name("node_tests.txt")
HIGHEST_OPSET = 28  # ONNX Runtime 1.32: "Current official support for domain ai.onnx is till opset 28"

_STANDARD = ("", "ai.onnx")
_DTYPES = frozenset(
    ["FLOAT", "FLOAT16", "DOUBLE", "BOOL", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"]
)  # not: STRING, BFLOAT16, COMPLEX64, COMPLEX128, FLOAT8…, FLOAT4…, INT4, UINT4, INT2, UINT2
_CONTAINERS = ("Sequence", "Optional", "SplitToSequence", "ConcatFromSequence")

# What an exporter writes as a constant and the node tests feed: operator → positions of axes, sizes and pads.
SHAPE_LIKE: Mapping[str, tuple[int, ...]] = {
    "AffineGrid": (1,), "BlackmanWindow": (0,), "CenterCropPad": (1,), "Col2Im": (1, 2), "ConstantOfShape": (0,),
    "CumProd": (1,), "CumSum": (1,), "DFT": (1, 2), "Expand": (1,), "HammingWindow": (0,), "HannWindow": (0,),
    "MaxUnpool": (2,), "MelWeightMatrix": (0, 1, 2, 3, 4), "OneHot": (1,), "Pad": (1, 3), "Range": (0, 1, 2),
    "Reshape": (1,), "Resize": (1, 2, 3), "STFT": (1, 3), "Slice": (1, 2, 3, 4), "Split": (1,), "Squeeze": (1,),
    "Tile": (1,), "TopK": (1,), "Trilu": (1,), "Unsqueeze": (1,), "Upsample": (1,),
    "ReduceL1": (1,), "ReduceL2": (1,), "ReduceLogSum": (1,), "ReduceLogSumExp": (1,), "ReduceMax": (1,),
    "ReduceMean": (1,), "ReduceMin": (1,), "ReduceProd": (1,), "ReduceSum": (1,), "ReduceSumSquare": (1,),
}  # fmt: skip


@dataclass(frozen=True)
class NodeCase:
    """One test of the standard: a small model, what it is fed and what it has to answer."""

    name: str
    operator: str
    model: bytes
    inputs: Tensors
    outputs: Tensors
    rtol: float
    atol: float

    @property
    def shape_like(self) -> frozenset[str]:
        """The inputs that say a shape, an axis or a size."""
        nodes = onnx.ModelProto.FromString(self.model).graph.node
        names = (n.input[i] for n in nodes for i in SHAPE_LIKE.get(n.op_type, ()) if i < len(n.input))
        return frozenset(self.inputs) & frozenset(names)


def _other_domain(case: Any) -> bool:
    opsets = {o.domain for o in case.model.opset_import} | {node.domain for node in case.model.graph.node}
    return bool(opsets - set(_STANDARD))


def _container(case: Any) -> bool:
    values = [*case.model.graph.input, *case.model.graph.output]
    plain = all(value.type.WhichOneof("value") == "tensor_type" for value in values)
    return not plain or any(node.op_type.startswith(_CONTAINERS) for node in case.model.graph.node)


def _small_or_text(case: Any) -> bool:
    values = [*case.model.graph.input, *case.model.graph.output]
    kinds = {onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type) for value in values}
    kinds |= {onnx.TensorProto.DataType.Name(tensor.data_type) for tensor in case.model.graph.initializer}
    return bool(kinds - _DTYPES)


def _has(*operators: str) -> Callable[[Any], bool]:
    return lambda case: any(node.op_type in operators for node in case.model.graph.node)


def _too_new(case: Any) -> bool:
    return any(o.version > HIGHEST_OPSET for o in case.model.opset_import if o.domain in _STANDARD)


# The first rule that holds for a case takes it out.
RULES: Mapping[str, Callable[[Any], bool]] = {
    "written out by its function body (_expanded)": lambda case: "_expanded" in case.name,
    "of another domain than ai.onnx": _other_domain,
    "with sequences or optional values": _container,
    "with strings, bfloat16, complex, or 8-, 4- and 2-bit floats and integers below int8": _small_or_text,
    "of a loss function": _has("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"),
    "of ImageDecoder": _has("ImageDecoder"),
    "in training mode": lambda case: "training" in case.name,
    f"above opset {HIGHEST_OPSET}, the highest that ONNX Runtime 1.32 supports": _too_new,
}


def _every() -> list[Any]:
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the cases compute their own expectations, with overflows
        return list(load_model_tests(kind="node"))


def rule_against(case: Any) -> str | None:
    """Give the rule that takes a case of the standard out of the list, or None."""
    return next((rule for rule, holds in RULES.items() if holds(case)), None)


def written_list() -> str:
    """Give the text of the checked-in list: the rules with what each took out, then one name a line."""
    everything = _every()
    against = {case.name: rule_against(case) for case in everything}
    counts, kept = Counter(against.values()), sorted(name for name, rule in against.items() if rule is None)
    lines = [
        f"# The node tests of onnx {onnx.__version__} that count for the translation to TensorFlow: "
        f"{len(kept)} of {len(everything)}.",
        "# Written by `python -m benchmarks.node_tests --list`. Left out, in this order, are those",
        *(f"#   {rule}: {counts[rule]}" for rule in RULES),
    ]
    return "\n".join([*lines, *kept]) + "\n"


def listed() -> tuple[str, ...]:
    """Read the names of the checked-in list."""
    return tuple(line for line in LIST.read_text().splitlines() if line and not line.startswith("#"))


def load() -> dict[str, NodeCase]:
    """Give the listed cases by name, in the order of the list. Raises KeyError for one that onnx no longer has."""
    cases = {case.name: case for case in _every()}
    return {name: _plain(cases[name]) for name in listed()}


def _plain(case: Any) -> NodeCase:
    given, wanted = case.data_sets[0]
    graph = case.model.graph
    inputs, outputs = _arrays(graph.input, given), _arrays(graph.output, wanted)
    return NodeCase(
        case.name, graph.node[0].op_type, case.model.SerializeToString(), inputs, outputs, case.rtol, case.atol
    )


def _arrays(values: Any, arrays: Any) -> dict[str, Any]:
    return dict(_named(values, arrays))


def _named(values: Any, arrays: Any) -> Iterator[tuple[str, Any]]:
    for value, array in zip(values, arrays, strict=False):
        yield value.name, numpy_helper.to_array(array) if isinstance(array, onnx.TensorProto) else np.asarray(array)
