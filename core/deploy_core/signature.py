"""The named inputs and outputs of a model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deploy_core.dtypes import dtype_name, numpy_dtype
from deploy_core.errors import InputError, UsageError

Array = NDArray[Any]
Tensors = Mapping[str, Array]
Dim = int | str

BATCH = "batch"
_SPEC = re.compile(r"^(?P<name>[^:\[\]]+):(?P<dtype>\w+)\[(?P<dims>[^\[\]]*)\]$")
_DIM = re.compile(r"[0-9]+$|[^\W\d]")


@dataclass(frozen=True)
class TensorSpec:
    """One named tensor; a dimension is a number, or a symbol such as `batch` that stands for any size."""

    name: str
    dtype: str
    shape: tuple[Dim, ...]

    def __str__(self) -> str:
        return f"{self.name}:{self.dtype}[{','.join(map(str, self.shape))}]"

    def to_json(self) -> dict[str, Any]:
        """Give plain data for a JSON document."""
        return {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TensorSpec:
        """Read what `to_json` wrote."""
        return cls(data["name"], data["dtype"], tuple(data["shape"]))

    @classmethod
    def of(cls, name: str, array: Array) -> TensorSpec:
        """Describe an array whose first axis is the batch."""
        return cls(name, dtype_name(array.dtype), (BATCH, *array.shape[1:]) if array.ndim else ())

    @classmethod
    def parse(cls, text: str) -> TensorSpec:
        """Read `NAME:DTYPE[DIM,…]`, e.g. `image:float32[batch,3,64,64]`. Raises UsageError."""
        match = _SPEC.match(text.strip())
        if match is None:
            raise UsageError(
                f"{text!r} is not a tensor spec", hint="write NAME:DTYPE[DIM,…], e.g. image:float32[batch,3,64,64]"
            )
        numpy_dtype(match["dtype"])
        dims = [part.strip() for part in match["dims"].split(",")] if match["dims"].strip() else []
        if wrong := [dim for dim in dims if not _DIM.match(dim)]:
            raise UsageError(
                f"{text!r} has the dimension {wrong[0]!r}", hint="write a number, or a name for any size, e.g. batch"
            )
        return cls(match["name"], match["dtype"], tuple(int(d) if d.isdecimal() else d for d in dims))

    def conform(self, value: object) -> Array:
        """Give `value` as an array of this dtype and shape. Raises InputError.

        Lists and Python numbers take the dtype of the spec if they fit it without loss; an array must already have it.
        """
        array = _as_array(self, value)
        if len(array.shape) != len(self.shape) or any(
            isinstance(want, int) and want != got for want, got in zip(self.shape, array.shape, strict=True)
        ):
            raise InputError(f"input {self.name!r} has shape {list(array.shape)}", hint=f"the model wants {self}")
        return array


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of a model, in the model's own order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def to_json(self) -> dict[str, Any]:
        """Give plain data for a JSON document."""
        return {"inputs": [s.to_json() for s in self.inputs], "outputs": [s.to_json() for s in self.outputs]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Signature:
        """Read what `to_json` wrote."""
        return cls(tuple(map(TensorSpec.from_json, data["inputs"])), tuple(map(TensorSpec.from_json, data["outputs"])))

    def conform(self, inputs: Mapping[str, object]) -> dict[str, Array]:
        """Check names, dtypes, shapes and that equal symbols have equal sizes; give arrays. Raises InputError."""
        names = [spec.name for spec in self.inputs]
        given: object = inputs  # callers without types hand over a bare array
        if not isinstance(given, Mapping):
            wanted = ", ".join(f"{name!r}: …" for name in names)
            raise InputError(f"the inputs are of type {type(given).__name__}, not named", hint=f"give {{{wanted}}}")
        check_names("input", names, inputs)
        arrays = {spec.name: spec.conform(inputs[spec.name]) for spec in self.inputs}
        sizes: dict[str, int] = {}
        for spec in self.inputs:
            for symbol, size in zip(spec.shape, arrays[spec.name].shape, strict=True):
                if isinstance(symbol, str) and sizes.setdefault(symbol, size) != size:
                    raise InputError(
                        f"input {spec.name!r} has {symbol} = {size}, another input has {sizes[symbol]}",
                        hint=f"give every input the same {symbol}",
                    )
        return arrays

    @property
    def symbols(self) -> tuple[str, ...]:
        """The dynamic dimensions of the inputs, in their order."""
        return tuple(dict.fromkeys(dim for spec in self.inputs for dim in spec.shape if isinstance(dim, str)))

    def sizes(self, inputs: Tensors) -> dict[str, int]:
        """Give the size that every symbol has in inputs that conform."""
        return {
            dim: size
            for spec in self.inputs
            for dim, size in zip(spec.shape, inputs[spec.name].shape, strict=True)
            if isinstance(dim, str)
        }

    def sized(self, inputs: Tensors, sizes: Mapping[str, int]) -> dict[str, Array]:
        """Give inputs in which symbols have these sizes: what is there is repeated or cut along their axes.

        Nothing new is made up, so that ids stay in their range and masks stay masks.
        """
        return {spec.name: _sized(inputs[spec.name], spec.shape, sizes) for spec in self.inputs}

    def output(self, name: str) -> TensorSpec:
        """Give the output of that name. Raises InputError."""
        for spec in self.outputs:
            if spec.name == name:
                return spec
        raise InputError(f"the model has no output {name!r}", hint=f"its outputs are {_join(self.outputs)}")


def check_names(kind: str, want: Iterable[str], got: Iterable[str]) -> None:
    """Raise InputError unless the names are the same, in any order."""
    missing, extra = sorted(set(want) - set(got)), sorted(set(got) - set(want))
    if missing or extra:
        wrong = [f"{word} {', '.join(names)}" for word, names in (("missing", missing), ("unknown", extra)) if names]
        raise InputError(f"wrong {kind} names: {'; '.join(wrong)}", hint=f"the model's {kind}s are {', '.join(want)}")


def _sized(array: Array, shape: tuple[Dim, ...], sizes: Mapping[str, int]) -> Array:
    for axis, dim in enumerate(shape):
        if isinstance(dim, str) and dim in sizes:
            array = array.take(np.arange(sizes[dim]) % array.shape[axis], axis=axis)
    return np.ascontiguousarray(array).reshape(array.shape)


def _as_array(spec: TensorSpec, value: object) -> Array:
    want = numpy_dtype(spec.dtype)
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        if dtype_name(array.dtype) != spec.dtype:
            raise InputError(f"input {spec.name!r} has dtype {array.dtype}", hint=f"the model wants {spec}")
        return _bytes_elements(array) if spec.dtype == "string" else array
    try:
        if spec.dtype == "string":
            return _bytes_elements(np.asarray(value, dtype=object))  # numpy's own bytes would lose trailing zeros
        plain = np.asarray(value)
        array = _cast(plain, want)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(
            f"input {spec.name!r} cannot be read as {spec.dtype}: {error}", hint=f"wanted: {spec}"
        ) from error
    if plain.size and not _is_held(plain, array):
        raise InputError(f"input {spec.name!r} does not fit {spec.dtype} without loss", hint=f"the model wants {spec}")
    return array


def _cast(plain: Array, want: np.dtype[Any]) -> Array:
    if plain.dtype.kind == "c" and want.kind != "c":
        raise TypeError("it holds complex numbers")
    with np.errstate(over="ignore"):
        return plain.astype(want)


def _is_held(plain: Array, array: Array) -> bool:
    """Tell whether only digits were lost, as of 0.1 in float32: no fraction, no sign, no finite number."""
    if plain.dtype.kind == "b" or array.dtype.kind == "b":
        return plain.dtype.kind == array.dtype.kind
    if array.dtype.kind in "iu":
        return plain.dtype.kind in "iu" and bool((plain == array).all())
    return plain.dtype.kind in "iufc" and bool((np.isfinite(plain) == np.isfinite(array)).all())


def _bytes_elements(array: Array) -> Array:
    flat = [v.encode() if isinstance(v, str) else v for v in array.ravel().tolist()]
    if not all(isinstance(v, bytes) for v in flat):
        raise InputError("a string tensor holds something that is neither text nor bytes")
    result = np.empty(len(flat), dtype=object)
    result[:] = flat
    return result.reshape(array.shape)


def _join(specs: Iterable[TensorSpec]) -> str:
    return ", ".join(spec.name for spec in specs)
