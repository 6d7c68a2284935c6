"""Faults in servers, and between client and server."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.faults import server_faults as s
from benchmarks.faults.fault import Fault
from benchmarks.faults.rows import in_torch as kinds
from benchmarks.faults.serving import Body

_scores = "output scores"


def _server(name: str, kind: str, model: str, make: s.Make, named: str, *, quick: bool = False, **how: Any) -> Fault:
    dialect = how.get("dialect", "oip+rest")
    return Fault(name, kind, f"server, {dialect}", model, s.server(make, **how), named, quick=quick)


def _wire(name: str, kind: str, model: str, named: str, *, dialect: str = "tfserving+rest", quick: bool = False,
          **changes: Body) -> Fault:  # fmt: skip
    return Fault(name, kind, f"wire, {dialect}", model, s.between(dialect, **changes), named, quick=quick)


def _digits(format_: str) -> Body:
    return s.floats(lambda value: float(format_ % value))


def _null(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _single(value: int) -> int:
    return int(np.float32(value))


def _zero(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def _reversed(rows: list[Any]) -> list[Any]:
    return rows[::-1]


def _values(rows: list[Any]) -> list[Any]:
    return [sorted(row) for row in rows]


def _cut(body: bytes) -> bytes:
    return body[: len(body) * 3 // 4]


FAULTS = (
    _server("stale-version", kinds.STALE, "scorer", s.other_weights, "it serves version 1|" + _scores, dialect="tfserving+grpc", version=7, quick=True),
    _server("stale-weights", kinds.STALE, "vision", s.other_weights, "output logits"),
    _server("one-of-two-servers", kinds.ONE_OF_TWO, "scorer", s.one_of_two, "again|some|" + _scores, quick=True),
    _server("one-answer-in-ten", kinds.ONE_OF_TWO, "scorer", s.seldom, "again|some|" + _scores, dialect="tfserving+grpc"),
    _server("cache-by-first-value", kinds.LEAK, "scorer", s.cached, _scores),
    _server("shared-buffer", kinds.LEAK, "heads", s.racing, "at once|concurren|same time", parallel=4, quick=True),
    _server("state-kept", kinds.LEAK, "forecast", s.remembering, "again|output forecast"),
    _server("clipped-at-3", kinds.THRESHOLD, "scorer", s.clipped, _scores, dialect="torchserve+rest"),
    _server("zeros-beyond-32-rows", kinds.FROZEN, "vision", s.few_rows, "batch|row", dialect="oip+grpc"),
    _wire("six-digits", kinds.DIGITS, "scorer", "6 significant digits", rest=_digits("%.6g"), quick=True),
    _wire("four-decimals", kinds.DIGITS, "vision", "digits|decimals|output logits", rest=_digits("%.4f")),
    _wire("six-digits-in-torchserve", kinds.DIGITS, "heads", "6 significant digits", dialect="torchserve+rest", rest=_digits("%.6g")),
    _wire("inputs-with-4-digits", kinds.DIGITS, "scorer", "input|" + _scores, request=_digits("%.4g")),
    _wire("nan-to-null", kinds.NULL, "heads", "null|None", rest=s.floats(_null), quick=True),
    _wire("nan-to-zero", kinds.NULL, "heads", "nan|infinit|largest|lowest", dialect="oip+rest", rest=s.floats(_zero)),
    _wire("infinity-to-null", kinds.NULL, "heads", "null|None", dialect="torchserve+rest", rest=s.floats(_null)),
    _wire("rows-reversed", kinds.JSON, "scorer", "row", rest=s.rows(_reversed), quick=True),
    _wire("values-sorted", kinds.JSON, "scorer", _scores, rest=s.rows(_values)),
    _wire("last-row-lost", kinds.JSON, "scorer", "row|batch", rest=s.rows(lambda rows: rows[:-1])),
    _wire("last-value-lost", kinds.JSON, "scorer", "shape|ragged", rest=s.rows(lambda rows: [row[:-1] for row in rows])),
    _wire("body-cut-off", kinds.JSON, "scorer", "JSON|malformed", rest=_cut),
    _wire("int64-through-double", kinds.OVERFLOW, "counter", "output total", rest=s.integers(lambda value: int(float(value)))),
    _wire("int64-asked-as-float32", kinds.OVERFLOW, "counter", "output total", request=s.integers(_single)),
    _wire("outputs-swapped-in-grpc", kinds.ORDER, "heads", "swapped-outputs", dialect="oip+grpc", grpc=s.swapped_messages("corners", "sizes")),
    _wire("bfloat16-in-grpc", kinds.HALF, "heads", "bfloat16", dialect="oip+grpc", grpc=s.half_messages),
)  # fmt: skip
