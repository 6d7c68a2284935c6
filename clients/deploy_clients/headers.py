"""Headers that a user sends along, often secrets: checked without ever being shown."""

from __future__ import annotations

import re
from collections.abc import Mapping

from deploy_core.errors import UsageError

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[\x20-\x7e]*")
_RPC_NAME = re.compile(r"(?!grpc-)[a-z0-9_.-]+(?<!-bin)")


class Secret(dict[str, str]):
    """Headers with lower-case names, whose text form shows no value."""

    def __repr__(self) -> str:
        return f"<headers {', '.join(self)}>"

    __str__ = __repr__


def checked_headers(headers: Mapping[str, str]) -> Secret:
    """Give the headers. Raises UsageError for what cannot be sent, naming the header and never its value."""
    for name, value in headers.items():
        # The libraries would name the value in their errors.
        if not _NAME.fullmatch(name):
            raise UsageError(
                "a header's name has characters that cannot be sent", hint="use letters, digits and dashes"
            )
        if not _VALUE.fullmatch(value):
            raise UsageError(f"the value of header {name} cannot be sent", hint="use printable ASCII on one line")
    return Secret({name.lower(): value for name, value in headers.items()})


def checked_metadata(headers: Secret) -> tuple[tuple[str, str], ...]:
    """Give the headers as gRPC metadata. Raises UsageError for names that gRPC does not send."""
    for name in headers:
        if not _RPC_NAME.fullmatch(name):
            raise UsageError(f"header {name} cannot be sent over gRPC", hint="use letters, digits and dashes, no -bin")
    return tuple(headers.items())
