"""Golden data: the inputs, the source model's outputs for them, and how much each output moves by rounding alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save_file

from deploy_core.dtypes import dtype_name, numpy_dtype
from deploy_core.errors import TamperedError
from deploy_core.signature import Array, Tensors
from deploy_core.strings import pack_strings, string_array, unpack_strings

GOLDEN_FILE = "golden.safetensors"

# What safetensors has a name for; the rest (string, complex) is stored as bytes.
_STORED_AS_THEY_ARE = {
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "bfloat16", "float32", "float64",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Golden:
    """`noise` is per output in the output's own unit, one number or one for each element; `noise_origin` says how it was measured.

    What has one for each element is an array that broadcasts over the output, its axis of rows 1 long. `answers` are what
    quantised artifacts answered to the inputs, as one batch, when they were published, by the artifact's name; `answered_by`
    says by which runtime on which processor. Stores written before have neither.
    """

    inputs: Tensors
    outputs: Tensors
    noise: Mapping[str, Array | float] = field(default_factory=dict)
    noise_origin: str = ""
    answers: Mapping[str, Tensors] = field(default_factory=dict)
    answered_by: Mapping[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """The size of the first input's first axis."""
        first = next(iter(self.inputs.values()), None)
        return len(first) if first is not None and first.ndim else 0

    @property
    def greatest_noise(self) -> dict[str, float]:
        """The noise of each output as one number, that of its noisiest element."""
        return {name: float(np.max(value, initial=0.0)) for name, value in self.noise.items()}


def write_golden(golden: Golden, path: Path) -> dict[str, Any]:
    """Write the arrays; give what the manifest must say of them for `read_golden`."""
    arrays = {
        **{f"input/{name}": _native(array) for name, array in golden.inputs.items()},
        **{f"output/{name}": _native(array) for name, array in golden.outputs.items()},
        **{f"noise/{name}": np.atleast_1d(np.asarray(value, np.float64)) for name, value in golden.noise.items()},
        **{f"answer/{by}/{name}": _native(a) for by, given in golden.answers.items() for name, a in given.items()},
    }
    save_file({name: _storable(array) for name, array in arrays.items()}, path)
    tensors = {name: {"dtype": dtype_name(array.dtype), "shape": list(array.shape)} for name, array in arrays.items()}
    return {"tensors": tensors, "noise_origin": golden.noise_origin, "answered_by": dict(golden.answered_by)}


def read_golden(path: Path, facts: Mapping[str, Any]) -> Golden:
    """Read what `write_golden` wrote, in the order of the manifest. Raises TamperedError."""
    try:
        stored = dict(deserialize(path.read_bytes()))  # type: ignore[no-untyped-call]  # its numpy form has no bfloat16
        arrays = {
            name: _unpacked(bytes(stored[name]["data"]), spec["dtype"], tuple(spec["shape"]))
            for name, spec in facts["tensors"].items()
        }
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise TamperedError(
            f"{path} cannot be read: {error}", hint="publish the version again, or restore the file from a copy"
        ) from error
    return Golden(
        inputs=_of(arrays, "input/"),
        outputs=_of(arrays, "output/"),
        noise={
            name: float(array[0]) if array.shape == (1,) else array for name, array in _of(arrays, "noise/").items()
        },
        noise_origin=facts["noise_origin"],
        answers=_answers(_of(arrays, "answer/")),
        answered_by=dict(facts.get("answered_by", {})),
    )


def _storable(array: Array) -> Array:
    """Give the array as safetensors can write it; the dtype and shape of what it cannot stand in the manifest."""
    name = dtype_name(array.dtype)
    if name == "string":
        elements = (v.encode() if isinstance(v, str) else v for v in array.ravel().tolist())
        return np.frombuffer(pack_strings(elements), np.uint8)
    # safetensors writes the memory behind a strided array as it lies. A 0-d array would come back with an axis.
    dense = np.ascontiguousarray(array).reshape(array.shape)
    if name in _STORED_AS_THEY_ARE:
        return dense
    return np.frombuffer(dense.tobytes(), np.uint8)


def _native(array: Array) -> Array:
    """Give the array in the machine's byte order, the only one that our dtypes know."""
    array = np.asarray(array)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _unpacked(data: bytes, dtype: str, shape: tuple[int, ...]) -> Array:
    if dtype == "string":
        return string_array(unpack_strings(data), shape)
    array = np.frombuffer(data, numpy_dtype(dtype)).reshape(shape)
    return array.copy()  # frombuffer gives a read-only array


def _of(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _answers(arrays: Mapping[str, Array]) -> dict[str, Tensors]:
    """Sort arrays by the artifact that gave them; an artifact's name has no slash, an output's may have."""
    found: dict[str, dict[str, Array]] = {}
    for path, array in arrays.items():
        artifact, _, name = path.partition("/")
        found.setdefault(artifact, {})[name] = array
    return dict(found)
