"""Calling operators of torch as a file tells."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


def answer(model: bytes, inputs: Mapping[str, Any]) -> Any:
    """Give what the operators make of arrays by name; each call of `torch.ops` takes its arguments by their names."""
    held = np.load(io.BytesIO(model))
    told = json.loads(str(held["calls"]))
    tensors = {each["tensor"]: tensor(inputs[name], each["dtype"]) for name, each in told["inputs"].items()}
    for number, each in enumerate(told["weights"]):
        tensors[each["tensor"]] = tensor(held[f"weight{number}"], each["dtype"])
    made: Any = None
    for step in told["steps"]:
        name, overload = step["called"]
        library, _, operator = name.partition("::")
        function = getattr(getattr(getattr(torch.ops, library), operator), overload or "default")
        made = function(**{key: value(each, tensors) for key, each in step["arguments"].items()})
        for place in step["place"]:
            made = made[place]
        tensors[step["name"]] = made
    return (made.float() if made.dtype == torch.bfloat16 else made).detach().numpy()


def tensor(array: Any, dtype: str) -> Any:
    """Give an array as a tensor of that dtype; numpy has not all of them."""
    plain = array if array.dtype.kind in "fiubc" else array.astype(np.float32)
    made = torch.from_numpy(np.array(plain))
    return made.to(torch.bfloat16) if dtype == "bfloat16" else made


def value(told: Any, tensors: Mapping[str, Any]) -> Any:
    """Give an argument of a call: a copy of a tensor, which the operator may change, a dtype, a device, or plain data."""
    if isinstance(told, list):
        return [value(each, tensors) for each in told]
    if not isinstance(told, dict):
        return told
    if "tensor" in told:
        return tensors[told["tensor"]].clone()
    return torch.device(told["device"]) if "device" in told else getattr(torch, told["torch"])
