"""Running a .tflite of one operator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType


def answer(model: bytes, inputs: Mapping[str, Any]) -> Any:
    """Give what the operator makes of arrays by name; they are real numbers, also where the file has them quantised."""
    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=model, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        scale, zero = detail["quantization"]
        array = inputs[detail["name"]]
        if scale:
            kind = np.iinfo(detail["dtype"])
            array = np.clip(np.round(array / scale) + zero, kind.min, kind.max)
        interpreter.set_tensor(detail["index"], np.ascontiguousarray(array).astype(detail["dtype"]))
    interpreter.invoke()
    detail = interpreter.get_output_details()[0]
    scale, zero = detail["quantization"]
    made = np.array(interpreter.get_tensor(detail["index"]))
    return ((made.astype(np.float64) - zero) * scale).astype(np.float32) if scale else made
