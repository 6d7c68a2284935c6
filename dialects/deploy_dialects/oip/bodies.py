"""A REST body with the binary extension: a JSON head, then the raw tensors in order; or JSON alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from deploy_dialects.json_text import read_object, write_json
from deploy_dialects.malformed import Malformed, shown

LENGTH_HEADER = "inference-header-content-length"


@dataclass
class Tail:
    """The raw bytes behind the JSON head, handed out in order."""

    data: memoryview
    taken: int = field(default=0)

    def take(self, name: object, size: object) -> memoryview:
        """Give the next `size` bytes. Raises Malformed if there are fewer, or `size` is no size."""
        if type(size) is not int or size < 0:
            raise Malformed(f"binary_data_size of tensor {shown(name)} is {shown(size)}, not a number of bytes")
        if size > len(self.data) - self.taken:
            raise Malformed(
                f"binary_data_size of tensor {shown(name)} is {size}, only {len(self.data) - self.taken} bytes are left"
            )
        self.taken += size
        return self.data[self.taken - size : self.taken]

    def check_used(self) -> None:
        """Raise Malformed if bytes are left over."""
        if self.taken != len(self.data):
            raise Malformed(f"{len(self.data) - self.taken} bytes follow the last binary tensor")


def split(headers: Mapping[str, str], body: bytes) -> tuple[dict[str, Any], Tail]:
    """Give the JSON head and what follows it. Raises Malformed."""
    text = headers.get(LENGTH_HEADER)
    length = len(body) if text is None else _length(text, len(body))
    return read_object(body[:length]), Tail(memoryview(body)[length:])


def join(head: dict[str, Any], raws: Iterable[bytes]) -> tuple[dict[str, str], bytes]:
    """Give headers and body; without raw tensors the body is plain JSON."""
    text, tail = write_json(head), b"".join(raws)
    if not any(
        "binary_data_size" in t.get("parameters", ()) for t in (*head.get("inputs", ()), *head.get("outputs", ()))
    ):
        return {"content-type": "application/json"}, text
    return {"content-type": "application/octet-stream", LENGTH_HEADER: str(len(text))}, text + tail


def is_raw(headers: Mapping[str, str]) -> bool:
    """Tell whether the body is one raw tensor without a JSON head."""
    return headers.get(LENGTH_HEADER, "").strip() == "0"


def _length(text: str, body: int) -> int:
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 18 or int(digits) > body:
        raise Malformed(f"{LENGTH_HEADER} is {shown(text)}, which is no length within a body of {body} bytes")
    return int(digits)
