"""Golden vectors as any language reads them: a JSON document, and one .npy file for each tensor."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np

from deploy_core.dtypes import dtype_name
from deploy_core.errors import ExportError
from deploy_core.signature import Array, Tensors
from deploy_exporters.packaging.contents import Contents, as_json

INDEX = "golden.json"


def golden(contents: Contents, inputs: Tensors, outputs: Tensors) -> dict[str, bytes]:
    """Give the files of the golden rows, in the form in which the target takes them; `golden.json` says which is which.

    Raises ExportError for tensors that a .npy file cannot hold.
    """
    files = {
        **{f"input_{number}.npy": array for number, array in enumerate(inputs.values())},
        **{f"output_{number}.npy": array for number, array in enumerate(outputs.values())},
    }
    document = {
        "batches": list(contents.batches),
        "inputs": [_told(contents, f"input_{n}.npy", name, array) for n, (name, array) in enumerate(inputs.items())],
        "outputs": [
            {**_told(contents, f"output_{n}.npy", name, array), "tolerance": contents.tolerances[name]}
            for n, (name, array) in enumerate(outputs.items())
        ],
    }
    return {INDEX: as_json(document), **{file: npy(array) for file, array in files.items()}}


def npy(array: Array) -> bytes:
    """Give a .npy file, version 1.0, in C order and little-endian. Raises ExportError for strings and the like."""
    if array.dtype.kind not in "biufc":
        raise ExportError(
            f"golden vectors of dtype {dtype_name(array.dtype)} cannot be packaged",
            hint="a package is for tensors of numbers and booleans",
        )
    body = io.BytesIO()
    dense = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
    np.lib.format.write_array(body, dense, version=(1, 0), allow_pickle=False)
    return body.getvalue()


def _told(contents: Contents, file: str, name: str, array: Array) -> Mapping[str, object]:
    return {
        "name": name,
        "dtype": dtype_name(array.dtype),
        "shape": list(array.shape),
        "rows": contents.rows.get(name),
        "file": file,
    }
