"""Every error that a user can meet, each with a hint of what to do and the exit code of the command line.

    DeployError                  1  unexpected
    ├── UsageError               2  unknown option, source, format, name or version
    │   └── InputError           2  tensors that do not fit a signature
    ├── ExportError              3  a conversion failed, hung or died; NaN; frozen dimension
    │   ├── UnsafeError          3  a file from outside would run code or touch other files
    │   └── ProofError           3  or 4: a file that was written answers otherwise (`deploy_agreement`, with its report)
    ├── TamperedError            4  a stored file is not what was published
    ├── GateError                5  a latency or budget gate failed
    ├── UnavailableError         6  an extra, Java or an engine is missing; port taken; endpoint unreachable or never ready
    │   └── EndpointError        6  an endpoint refused a request or answered something that is no answer
    └── NotEnoughDataError       7  not enough data for the claim asked

That two predictors disagree is a result (`deploy_agreement`), not an error.
"""

from __future__ import annotations

import re

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_LONGEST = 300


class DeployError(Exception):
    """What happened, with the value, in `str(error)`; what to do about it in `hint`, which a traceback shows as a note."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        if hint:
            self.add_note(_note(hint))

    def __reduce__(self) -> tuple[object, ...]:
        # The default would lose the keyword on the way back from a worker. The notes are in the dictionary.
        return _rebuild, (type(self), str(self), self.hint, self.__dict__)


class UsageError(DeployError):
    """The user named something that does not exist or does not fit."""

    exit_code = 2


class InputError(UsageError):
    """Tensors do not fit the signature of the model they are meant for."""


class ExportError(DeployError):
    """A model could not be turned into a file that predicts the same."""

    exit_code = 3


class UnsafeError(ExportError):
    """A file from outside would do more than compute when it is opened."""


class TamperedError(DeployError):
    """A stored file is not the one that was published."""

    exit_code = 4


class GateError(DeployError):
    """A limit that was asked for is not held."""

    exit_code = 5


class UnavailableError(DeployError):
    """Something outside is missing, taken or does not answer."""

    exit_code = 6


class EndpointError(UnavailableError):
    """An endpoint refused a request or its answer is no answer; `status` is the HTTP status or gRPC code, if any."""

    def __init__(self, message: str, *, hint: str = "", status: int | str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class NotEnoughDataError(DeployError):
    """The data do not carry the claim that was asked for."""

    exit_code = 7


def first_line(error: BaseException) -> str:
    """Give the first line of what an error says, with the next one if it only announces that; else its kind."""
    lines = [line.strip() for line in _COLOUR.sub("", str(error)).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return (" ".join(lines[:2]) if lines[0].endswith(":") else lines[0])[:_LONGEST]


def reason(error: BaseException) -> str:
    """Give the kind of an error and the first line of what it says."""
    kind, said = type(error).__name__, first_line(error)
    return kind if said == kind else f"{kind}: {said}"


def further(error: DeployError) -> list[str]:
    """Give the notes of an error but for the one that is its hint."""
    return [note for note in getattr(error, "__notes__", ()) if note != _note(error.hint)]


def _note(hint: str) -> str:
    return f"hint: {hint}"


def _rebuild(kind: type[DeployError], message: str, hint: str, state: dict[str, object]) -> DeployError:
    error = kind(message, hint=hint)
    error.__dict__.update(state)
    return error
