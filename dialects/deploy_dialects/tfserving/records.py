"""TFRecord, the container of TensorFlow's record files: length, masked CRC-32C of it, data, masked CRC-32C of them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from deploy_dialects.malformed import Malformed

_POLYNOMIAL = 0x82F63B78  # Castagnoli's, bits reversed
_HEAD = struct.Struct("<QI")
_TAIL = struct.Struct("<I")


def _step(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
    return value


_TABLE = tuple(_step(byte) for byte in range(256))


def crc32c(data: bytes) -> int:
    """Give the CRC-32C of RFC 3720."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    """Give the CRC-32C as TFRecord stores it: rotated and shifted, since a CRC of data with its own CRC says little."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def write_records(records: Iterable[bytes]) -> bytes:
    """Give the file that holds these records."""
    return b"".join(_written(record) for record in records)


def read_records(data: bytes) -> Iterator[bytes]:
    """Give the records of a file. Raises Malformed where it is cut off or a checksum differs."""
    at = 0
    while at < len(data):
        head = data[at : at + _HEAD.size]
        if len(head) < _HEAD.size or masked(head[:8]) != _HEAD.unpack(head)[1]:
            raise Malformed(f"the head of the record at byte {at} is damaged")
        end = at + _HEAD.size + _HEAD.unpack(head)[0]
        record = data[at + _HEAD.size : end]
        if data[end : end + _TAIL.size] != _TAIL.pack(masked(record)):
            raise Malformed(f"the record at byte {at} is damaged or cut off")
        yield record
        at = end + _TAIL.size


def _written(record: bytes) -> bytes:
    length = struct.pack("<Q", len(record))
    return length + _TAIL.pack(masked(length)) + record + _TAIL.pack(masked(record))
