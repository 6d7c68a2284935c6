"""String tensors: arrays of objects whose elements are bytes, and those one after another behind their lengths, as OIP has them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

import numpy as np

from deploy_core.signature import Array

_LENGTH = struct.Struct("<I")


def string_array(elements: Sequence[bytes], shape: Sequence[int]) -> Array:
    """Give elements as a tensor. Raises ValueError if they do not fill the shape."""
    flat = np.empty(len(elements), dtype=object)  # numpy's own bytes would lose trailing zeros
    flat[:] = elements
    return flat.reshape(shape)


def pack_strings(elements: Iterable[bytes]) -> bytes:
    """Give each element behind its length as a little-endian uint32."""
    return b"".join(_LENGTH.pack(len(element)) + element for element in elements)


def unpack_strings(data: bytes | memoryview) -> list[bytes]:
    """Read what `pack_strings` wrote. Raises ValueError where it is cut off."""
    elements: list[bytes] = []
    at = 0
    while at < len(data):
        if at + _LENGTH.size > len(data):
            raise ValueError(f"it ends within the length of element {len(elements)}")
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        if length > len(data) - at:
            raise ValueError(f"element {len(elements)} says {length} bytes, {len(data) - at} are left")
        elements.append(bytes(data[at : at + length]))
        at += length
    return elements
