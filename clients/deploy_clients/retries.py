"""When a request is made again: only if that is safe, only a few times, and only within its deadline."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from deploy_core.errors import EndpointError
from deploy_dialects.wire import HttpReply

_PAUSES = (0.1, 0.3)  # seconds before the second and the third time
_BUSY = (429, 503)


class UnansweredError(EndpointError):
    """No server has taken the request up, so that making it again is safe, whatever it asks for."""


def pause_before_next(outcome: EndpointError | HttpReply | Any, made: int, *, repeatable: bool) -> float | None:
    """Give how many seconds to wait before a request that was made `made` times is made again; None if it is not to be.

    `repeatable` is a request that may be made again though it was answered.
    """
    if made > len(_PAUSES):
        return None
    if isinstance(outcome, UnansweredError):
        return _PAUSES[made - 1]
    if repeatable and isinstance(outcome, HttpReply) and outcome.status in _BUSY:
        asked = _seconds(outcome.headers.get("retry-after", ""))
        return _PAUSES[made - 1] if asked is None else asked
    if repeatable and isinstance(outcome, EndpointError) and outcome.status == "UNAVAILABLE":
        return _PAUSES[made - 1]
    return None


def _seconds(text: str) -> float | None:
    """Read a Retry-After: seconds or a date; None for what is neither."""
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
