"""Plain data of management: what can be asked of a server beside predictions, in one word each for all dialects.

A dialect says its bytes in `deploy_dialects.<dialect>.management`, which has

`OPERATIONS`    transport → word → `Operation`; a word that is missing is something that such a server cannot be asked
`ELSEWHERE`     word → what to do instead

The words, and the `Wish` that they heed beside model and version of the endpoint:
`live`, `ready` (the server), `model_ready` → bool; `index` (page), `status` → `Page`;
`load` (options), `unload`, `scale` (workers), `set_default`, `reload` (text) → None;
`statistics` → `Statistics`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from deploy_core.endpoint import Endpoint
from deploy_core.errors import UsageError

WORDS = (
    "live",
    "ready",
    "model_ready",
    "index",
    "status",
    "load",
    "unload",
    "scale",
    "set_default",
    "reload",
    "statistics",
)

# How a server says that it has no such model, or cannot ask it now, in HTTP and in gRPC: it is not ready.
ABSENT: Mapping[int | str, Any] = {404: False, 503: False, "NOT_FOUND": False, "UNAVAILABLE": False}


@dataclass(frozen=True)
class Wish:
    """The details of what is asked for."""

    page: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    workers: int = 0
    text: str = ""


@dataclass(frozen=True)
class ModelStatus:
    """What a server says of a model, or of one version of it; `ready` is None where it does not say."""

    model: str
    version: str | None = None
    state: str = ""
    ready: bool | None = None
    reason: str = ""


@dataclass(frozen=True)
class Page:
    """Some of what was asked for; `next` is the page that comes after it, empty at the end."""

    statuses: tuple[ModelStatus, ...]
    next: str = ""


@dataclass(frozen=True)
class Statistics:
    """What a server has summed up of a model since it was loaded: so many good predictions, and the seconds of each part.

    The parts of a prediction follow each other without a gap. `source` says in words who says so.
    """

    predictions: int
    parts: Mapping[str, float]
    source: str


@dataclass(frozen=True)
class Operation:
    """How one thing is asked for, and what the answer says.

    `repeatable` may be asked again. `means` tells what an error with that status means, if it is an answer, too; `hints`
    what to do about one that is none, where that is not what it is for predictions.
    """

    encode: Callable[[Endpoint, Wish], Any]
    decode: Callable[[Endpoint, Any], Any]
    repeatable: bool = True
    means: Mapping[int | str, Any] = field(default_factory=dict)
    hints: Mapping[int | str, str] = field(default_factory=dict)


def check_options(what: str, known: Mapping[str, type], given: Mapping[str, str]) -> None:
    """Raise UsageError for an option that is not known, and for one that is no number or switch where it has to be."""
    for name, value in given.items():
        if name not in known:
            raise UsageError(f"{what} has no option {name!r}", hint=f"it has {', '.join(known)}")
        right = {int: value.isascii() and value.isdigit(), bool: value in ("true", "false")}.get(known[name], True)
        if not right:
            wanted = "a whole number" if known[name] is int else "true or false"
            raise UsageError(f"option {name} of {what} is {value!r}", hint=f"give {wanted}")
