"""One table of tensor dtypes: the name that we use everywhere, and numpy's dtype."""

from __future__ import annotations

from functools import cache
from typing import Any

import ml_dtypes
import numpy as np

from deploy_core.errors import InputError

_NUMPY: dict[str, np.dtype[Any]] = {
    **{
        name: np.dtype(name)
        for name in (
            "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
            "float16", "float32", "float64", "complex64", "complex128",
        )
    },
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "string": np.dtype(object),  # elements are bytes
}  # fmt: skip

DTYPES = tuple(_NUMPY)


def numpy_dtype(name: str) -> np.dtype[Any]:
    """Give numpy's dtype for one of our names; `string` is `object`, its elements bytes. Raises InputError."""
    try:
        return _NUMPY[name]
    except KeyError:
        raise InputError(f"unknown dtype {name!r}", hint=f"the dtypes are {', '.join(DTYPES)}") from None


@cache
def dtype_name(dtype: np.dtype[Any]) -> str:
    """Give our name for a numpy dtype; text of any kind is `string`. Raises InputError."""
    if dtype.kind in "SUO":
        return "string"
    for name, known in _NUMPY.items():
        if known == dtype:
            return name
    raise InputError(f"tensors of numpy dtype {dtype} are not supported", hint=f"the dtypes are {', '.join(DTYPES)}")


def is_float(name: str) -> bool:
    """Tell whether values of this dtype carry rounding error."""
    return name.startswith(("float", "bfloat", "complex"))
