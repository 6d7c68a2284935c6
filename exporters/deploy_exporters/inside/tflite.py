"""Looking into a .tflite: LiteRT keeps every tensor, and runs each operator as the file has it, without a delegate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from deploy_core.predictor import Intermediate
from deploy_core.signature import Array, Tensors
from deploy_exporters.formats.tflite import signature_key
from deploy_exporters.inside import layers
from deploy_exporters.inside.kept import Kept
from deploy_exporters.inside.tflite_graph import Graph, Operator


def intermediates(path: Path, inputs: Tensors, *, most_bytes: int | None = None) -> list[Intermediate]:
    """Give the tensors inside; quantised ones as real numbers, with scale and zero point among the attributes.

    A choice or a loop is one operator. Raises UsageError if they take more than `most_bytes`.
    """
    seen = _Seen(path, inputs)
    kept = Kept(most_bytes)
    for operator in seen.graph.operators:
        for number in operator.outputs:
            if number not in seen.graph.constant and seen.graph.has_array(number) and seen.holds(number):
                kept.add(seen.intermediate(operator, number))
    return kept.told(seen.outputs)


class _Seen:
    """A file that has run once, with all of its tensors."""

    def __init__(self, path: Path, inputs: Tensors) -> None:
        content = path.read_bytes()
        self._interpreter = Interpreter(
            model_content=content,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        key = signature_key(self._interpreter, path)
        runner = self._interpreter.get_signature_runner(key)
        self._subgraph = runner._subgraph_index
        self.graph = Graph(content, self._subgraph)
        ends = (runner.get_output_details(), runner.get_input_details())
        outputs, given = ([(detail["index"], name) for name, detail in details.items()] for details in ends)
        self._names: dict[int, str] = dict([*reversed(outputs), *given])  # one that is two outputs bears the first's
        self.outputs = {name: self._names[detail["index"]] for name, detail in ends[0].items()}
        self._weights: dict[int, Array] = {}
        runner(**{name: np.ascontiguousarray(array) for name, array in inputs.items()})

    def holds(self, number: int) -> bool:
        """Tell whether a tensor was made: LiteRT gives no memory to results of a loop that nobody takes."""
        try:
            self._interpreter.get_tensor(number, self._subgraph)
        except ValueError:
            return False
        return True

    def intermediate(self, operator: Operator, number: int) -> Intermediate:
        """Tell of a tensor that an operator made."""
        used = [each for each in dict.fromkeys(operator.inputs) if each >= 0]
        weights = {self._name(each): self._weight(each) for each in used if each in self.graph.constant}
        return Intermediate(
            self._name(number),
            self._value(number),
            operator.name,
            tuple(map(self._name, used)),
            {**operator.options, **self._steps(number)},
            weights,
            _layer(self.graph.name(number), weights),
        )

    def _name(self, number: int) -> str:
        if number not in self._names:
            self._names[number] = self._free(self.graph.name(number))
        return self._names[number]

    def _free(self, name: str) -> str:
        return name if name not in self._names.values() else self._free(f"{name}'")

    def _weight(self, number: int) -> Array:
        if number not in self._weights:
            self._weights[number] = self._value(number)
        return self._weights[number]

    def _value(self, number: int) -> Array:
        array = np.array(self._interpreter.get_tensor(number, self._subgraph))
        told = self.graph.quantisation(number)
        if told is None or array.dtype.kind not in "iu":
            return array
        scales, zeros, axis = told
        along = [1] * array.ndim
        if scales.size > 1:
            along[axis] = -1
        return ((array - zeros.reshape(along).astype(np.float64)) * scales.reshape(along)).astype(np.float32)

    def _steps(self, number: int) -> Mapping[str, Any]:
        told = self.graph.quantisation(number)
        return {} if told is None else {"scale": float(told[0][0]), "zero_point": int(told[1][0])}


def _layer(name: str, weights: Iterable[str]) -> str:
    """Give the layer of a tensor: of operators that became one, the first is the last; an output is named for a call."""
    names = weights if layers.is_call(name) else (name,)
    return next(filter(None, (layers.of_tensorflow(each.partition(";")[0]) for each in names)), "")
