"""Requests and answers of a handler that speaks a language of its own: bodies, and the numbers in them."""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from deploy_agreement import Agreement, Given, Noise, Problem, compare
from deploy_core.errors import UsageError
from deploy_core.signature import Array, Signature, Tensors, TensorSpec

Body = tuple[bytes, str]  # what is sent, and its content type
_JSON = "application/json"
_NUMBERS = "numbers"
_SPEC = TensorSpec(_NUMBERS, "float32", ("batch",))
_SIGNATURE = Signature((_SPEC,), (_SPEC,))


def body_of(path: Path) -> Body:
    """Read a request from a file; its name tells the content type. Raises UsageError."""
    if not path.is_file():
        raise UsageError(f"there is no file {path}", hint="--request FILE is the body of one request")
    return path.read_bytes(), mimetypes.guess_type(path.name)[0] or "application/octet-stream"


def encoded(inputs: Tensors, takes: Callable[[Body], Tensors | None], most: int) -> list[Body]:
    """Give requests for rows of the inputs, each alone, in the first JSON form that the handler takes; else none.

    `takes` tells what the model is asked for a request: a form is right if that is the row itself.
    """
    count = min(most, *(len(array) for array in inputs.values()))
    rows = [{name: array[at : at + 1] for name, array in inputs.items()} for at in range(count)]
    for form in _FORMS:
        bodies = [(json.dumps(form(row)).encode(), _JSON) for row in rows]
        if bodies and all(_same(takes(body), row) for body, row in zip(bodies, rows, strict=True)):
            return bodies
    return []


def compared(subject: str, wanted: Sequence[bytes], got: Sequence[bytes], noise: Noise) -> Agreement:
    """Compare the numbers in answers by tolerance, and all else exactly."""
    want, have = _Parts.of(wanted), _Parts.of(got)
    if want.rest != have.rest or want.numbers.shape != have.numbers.shape:
        at = next(
            i for i, (a, b) in enumerate(zip(wanted, got, strict=True)) if _Parts.of([a]).rest != _Parts.of([b]).rest
        )
        told = f"request {at + 1} was answered {_short(got[at])}, by TorchServe {_short(wanted[at])}"
        return Agreement(subject, problems=(Problem("answer", told),), rows=len(wanted))
    if not want.numbers.size:
        empty = Problem(
            "empty", "nothing was compared by number: the answers hold none, but all that they say is equal"
        )
        return Agreement(subject, problems=(empty,), rows=len(wanted))
    right, given = ({_NUMBERS: each.numbers.astype(np.float32)} for each in (want, have))  # as models compute them
    row = compare(subject, right, Given(_SIGNATURE, given), right, noise=noise, batches=())
    return replace(row, rows=len(wanted))


def moved(wanted: Sequence[bytes], exact: Sequence[bytes]) -> Noise:
    """Give how far the numbers lie from those of exact arithmetic."""
    want, have = _Parts.of(wanted), _Parts.of(exact)
    if want.numbers.shape != have.numbers.shape or not want.numbers.size:
        return Noise({}, "none: in float64 the handler answers in another form")
    gap = float(np.abs(want.numbers - have.numbers).max())
    return Noise({_NUMBERS: gap}, "float64, through the handler")


@dataclass(frozen=True)
class _Parts:
    """The numbers of answers in their order, and all else that they say."""

    numbers: Array
    rest: str

    @classmethod
    def of(cls, answers: Sequence[bytes]) -> _Parts:
        found: list[float] = []
        rest = [_without_numbers(_read(answer), found) for answer in answers]
        return cls(np.asarray(found, dtype=np.float64), repr(rest))


def _read(answer: bytes) -> Any:
    try:
        return json.loads(answer)
    except (UnicodeDecodeError, json.JSONDecodeError):
        return answer


def _without_numbers(value: Any, found: list[float]) -> Any:
    if isinstance(value, dict):
        return {key: _without_numbers(each, found) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_numbers(each, found) for each in value]
    if isinstance(value, float):
        found.append(value)
        return "a number"
    return value  # whole numbers are classes and counts, which are right or wrong


def _same(asked: Tensors | None, row: Tensors) -> bool:
    return asked is not None and asked.keys() == row.keys() and all(np.array_equal(asked[k], row[k]) for k in row)


def _only(row: Tensors) -> Array:
    return next(iter(row.values()))


def _lists(row: Tensors) -> Iterator[tuple[str, Any]]:
    return ((name, array.tolist()) for name, array in row.items())


_FORMS: tuple[Callable[[Tensors], Any], ...] = (
    lambda row: _only(row)[0].tolist(),
    lambda row: _only(row).tolist(),
    lambda row: {"data": _only(row)[0].tolist()},
    lambda row: {"instances": _only(row).tolist()},
    lambda row: dict(_lists(row)),
    lambda row: {name: value[0] for name, value in _lists(row)},
    lambda row: {"inputs": dict(_lists(row))},
)


def _short(answer: bytes) -> str:
    text = " ".join(answer.decode(errors="backslashreplace").split())
    return text if len(text) < 100 else f"{text[:100]}…"
