"""Looking into an OpenVINO model: a copy of it with every tensor as an output, compiled and run in float32."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deploy_core.predictor import Intermediate
from deploy_core.signature import Array, Tensors
from deploy_exporters.inside import layers
from deploy_exporters.inside.kept import Kept
from deploy_exporters.lean_import import openvino

_Key = tuple[str, int]
_SILENT = ("Parameter", "Result", "Constant")


def intermediates(
    graph: Path, inputs: Tensors, outputs: Sequence[str], *, most_bytes: int | None = None
) -> list[Intermediate]:
    """Give the tensors inside; a choice or a loop is one operator. Raises UsageError if they take more than `most_bytes`."""
    core = openvino().Core()
    model = core.read_model(str(graph))
    seen = _Seen(model)
    own = [each.get_node().input_value(0) for each in model.outputs]
    more = [port for port in seen.made if port not in own]
    model.add_outputs(more)
    request = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}).create_infer_request()
    results = request.infer({name: np.ascontiguousarray(array) for name, array in inputs.items()})
    values = {_key(port): np.array(results[number]) for number, port in enumerate((*own, *more))}
    kept = Kept(most_bytes)
    for port in seen.made:
        if _key(port) not in seen.constant:
            kept.add(seen.intermediate(port, values))
    return kept.told({name: seen.outputs[name] for name in outputs if name in seen.outputs})


def ports(model: Any) -> dict[str, Any]:
    """Give every tensor of a model that was read by the name that `intermediates` gives it, inputs, too."""
    seen = _Seen(model)
    return {seen.name(port): port for each in model.get_ordered_ops() for port in each.outputs()}


class _Seen:
    """The operators of a model, and the names of their tensors: those of its outputs as the signature has them."""

    def __init__(self, model: Any) -> None:
        ends = [(_key(each.get_node().input_value(0)), each.any_name) for each in model.outputs]
        self._outputs = dict(reversed(ends))  # two outputs may be one tensor: it bears the first's name
        self.outputs = {name: self._outputs[key] for key, name in ends}
        self._inputs = {_key(each): each.any_name for each in model.inputs}
        operators = model.get_ordered_ops()
        self.constant = _constant(operators)
        self.made = [port for each in operators if each.get_type_name() not in _SILENT for port in each.outputs()]

    def intermediate(self, port: Any, values: Mapping[_Key, Array]) -> Intermediate:
        """Tell of a tensor."""
        node = port.get_node()
        used = [each.get_source_output() for each in node.inputs()]
        weights = {self.name(each): _weight(each, values) for each in used if _key(each) in self.constant}
        return Intermediate(
            self.name(port),
            values[_key(port)],
            node.get_type_name(),
            tuple(dict.fromkeys(map(self.name, used))),
            {name: _plain(told) for name, told in node.get_attributes().items()},
            weights,
            layers.of_weights(weights) or layers.of_tensorflow(node.get_friendly_name()),
        )

    def name(self, port: Any) -> str:
        """Give the name of a tensor."""
        key = _key(port)
        number = f".{key[1]}" if port.get_node().get_output_size() > 1 else ""
        return str(self._outputs.get(key) or self._inputs.get(key) or f"{key[0]}{number}")


def _weight(port: Any, values: Mapping[_Key, Array]) -> Array:
    return values[_key(port)] if _key(port) in values else np.array(port.get_node().data)


def _key(port: Any) -> _Key:
    return port.get_node().get_friendly_name(), port.get_index()


def _constant(operators: Iterable[Any]) -> set[_Key]:
    found: set[_Key] = set()
    for each in operators:
        used = [_key(port.get_source_output()) for port in each.inputs()]
        if each.get_type_name() == "Constant" or (used and found.issuperset(used)):
            found.update(map(_key, each.outputs()))
    return found


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
