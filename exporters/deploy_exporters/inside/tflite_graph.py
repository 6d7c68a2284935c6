"""The graph of a .tflite as its flatbuffer has it: operators with their options, tensors with their names."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from deploy_core.signature import Array

_NO_ARRAYS = ("RESOURCE", "VARIANT")


@dataclass(frozen=True)
class Operator:
    """What is run: its name, the numbers of the tensors that it takes (-1: left out) and makes, its options."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, Any]


class Graph:
    """One graph of a file, by its number; tensors go by their numbers in it."""

    def __init__(self, content: bytes, number: int) -> None:
        self._model = schema.Model.GetRootAs(content)
        self._graph = self._model.Subgraphs(number)
        self.operators = tuple(map(self._operator, range(self._graph.OperatorsLength())))
        self.constant = self._constant()

    def name(self, tensor: int) -> str:
        """Give the name that the converter gave a tensor: those of the operators that became one, joined by `;`."""
        return (self._graph.Tensors(tensor).Name() or b"").decode(errors="replace") or f"tensor {tensor}"

    def has_array(self, tensor: int) -> bool:
        """Tell whether a tensor has a value that can be shown."""
        return _named(schema.TensorType)[self._graph.Tensors(tensor).Type()] not in _NO_ARRAYS

    def quantisation(self, tensor: int) -> tuple[Array, Array, int] | None:
        """Give the scales and zero points of a tensor, and the axis that they lie on; None if its numbers are real."""
        told = self._graph.Tensors(tensor).Quantization()
        if told is None or not told.ScaleLength():
            return None
        return told.ScaleAsNumpy(), np.atleast_1d(told.ZeroPointAsNumpy()), told.QuantizedDimension()

    def _operator(self, number: int) -> Operator:
        found = self._graph.Operators(number)
        code = self._model.OperatorCodes(found.OpcodeIndex())
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())  # old files have only the second
        name = (code.CustomCode() or b"").decode() or _named(schema.BuiltinOperator).get(builtin, f"operator {builtin}")
        return Operator(name, _numbers(found.InputsAsNumpy()), _numbers(found.OutputsAsNumpy()), _options(found))

    def _constant(self) -> frozenset[int]:
        tensors = [self._graph.Tensors(number) for number in range(self._graph.TensorsLength())]
        found = {n for n, each in enumerate(tensors) if self._model.Buffers(each.Buffer()).DataLength()}
        for operator in self.operators:
            needed = [number for number in operator.inputs if number >= 0]
            if needed and found.issuperset(needed):
                found.update(operator.outputs)
        return frozenset(found)


def _numbers(found: Any) -> tuple[int, ...]:
    return tuple(map(int, found)) if isinstance(found, np.ndarray) else ()


def _options(operator: Any) -> dict[str, Any]:
    table, kind = operator.BuiltinOptions(), _named(schema.BuiltinOptions).get(operator.BuiltinOptionsType(), "NONE")
    if table is None or kind == "NONE":
        return {}
    options = getattr(schema, f"{kind}T").InitFromBuf(table.Bytes, table.Pos)
    return {key: _plain(key, value) for key, value in vars(options).items() if value is not None}


def _plain(key: str, value: Any) -> Any:
    enumeration = {"fusedActivationFunction": schema.ActivationFunctionType, "padding": schema.Padding}.get(key)
    if enumeration is not None:
        return _named(enumeration).get(value, value)
    if isinstance(value, np.ndarray | list):
        return tuple(np.asarray(value).tolist())
    return value.decode(errors="replace") if isinstance(value, bytes) else value


@cache
def _named(enumeration: Any) -> dict[int, str]:
    return {number: name for name, number in vars(enumeration).items() if isinstance(number, int)}
