"""Calls and their weights as one file that numpy reads: `calls` is text, the weights are arrays."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from deploy_core.dtypes import dtype_name
from deploy_core.errors import UsageError
from deploy_core.signature import Array, Tensors
from deploy_exporters.inside.calls import Call, Calls

_NATIVE = "fiubc"


def file_of(calls: Calls, tensors: Sequence[str], values: Tensors, called: Callable[[Any], Any]) -> bytes:
    """Give the file of the calls that make `tensors` of `values`; `called` gives who is called, as plain data.

    Raises UsageError for calls that need more than that.
    """
    made, weights = calls.chain(tensors, values)
    steps = [{"name": name, "called": called(call.called), "arguments": _sound(name, call), "place": call.place}
             for name, call in made.items()]  # fmt: skip
    arrays = {f"weight{number}": plain(array) for number, array in enumerate(weights.values())}
    told = {
        "steps": steps,
        "inputs": {
            name: {"tensor": calls.raw(name), "dtype": dtype_name(array.dtype)} for name, array in values.items()
        },
        "weights": [{"tensor": name, "dtype": dtype_name(array.dtype)} for name, array in weights.items()],
    }
    whole = io.BytesIO()
    np.savez(whole, allow_pickle=False, calls=np.array(json.dumps(told)), **arrays)
    return whole.getvalue()


def plain(array: Array) -> Array:
    """Give an array of a dtype that numpy itself has, bfloat16 as float32."""
    return array if array.dtype.kind in _NATIVE else array.astype(np.float32)


def _sound(name: str, call: Call) -> Any:
    if objects := list(_objects(call.arguments)):
        raise UsageError(f"{name!r} is made of an object that stands for nothing outside of the model: {objects[0]}")
    return call.arguments


def _objects(arguments: Any) -> list[str]:
    if isinstance(arguments, Mapping):
        own = [str(arguments["object"])] if "object" in arguments else []
        return own + [found for value in arguments.values() for found in _objects(value)]
    return [found for value in arguments for found in _objects(value)] if isinstance(arguments, list) else []
