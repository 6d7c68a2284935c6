"""How the signature of a .tflite lies on its graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deploy_core.errors import ExportError

DEFAULT = "serving_default"


@dataclass(frozen=True)
class Graph:
    """The signature that is run, and its tensors' names in the order of the graph's own inputs and outputs."""

    key: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def graph(model: bytes) -> Graph:
    """Read it. Raises ExportError unless the signature names every input and output of the first graph."""
    from ai_edge_litert import schema_py_generated as schema

    root = schema.Model.GetRootAs(model)
    signatures = {root.SignatureDefs(n).SignatureKey().decode(): n for n in range(root.SignatureDefsLength())}
    key = DEFAULT if DEFAULT in signatures else next(iter(signatures), "")
    if key and root.SignatureDefs(signatures[key]).SubgraphIndex() == 0:
        chosen, first = root.SignatureDefs(signatures[key]), root.Subgraphs(0)
        inputs = _names(chosen.Inputs, chosen.InputsLength(), first.InputsAsNumpy())
        outputs = _names(chosen.Outputs, chosen.OutputsLength(), first.OutputsAsNumpy())
        if inputs and outputs:
            return Graph(key, inputs, outputs)
    raise ExportError(
        f"the signature {key!r} of the .tflite does not name the inputs and outputs of its first graph",
        hint="export the model again with this deploy-toolkit",
    )


def _names(pick: Any, count: int, order: Any) -> tuple[str, ...]:
    """Give the signature's names in the order of the tensors, () if it names others."""
    names = {pick(n).TensorIndex(): pick(n).Name().decode() for n in range(count)}
    return tuple(names[index] for index in order) if set(names) == set(map(int, order)) else ()
