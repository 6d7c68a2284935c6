"""Honest pairs, none of which may be accused: runtimes with other threads and levels, variants, endpoints."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.faults import raw_faults, runtimes, server_faults
from benchmarks.faults.ground import MODELS
from benchmarks.faults.judging import SECONDS, ask, ask_raw
from benchmarks.faults.serving import Wire, serving
from benchmarks.faults.usual import LOOSE, TIGHT, usual
from deploy_core.errors import DeployError
from deploy_model_store import Store
from deploy_toolkit.flows import serve

if TYPE_CHECKING:
    from benchmarks.faults.ground import Ground
    from deploy_agreement import Agreement


@dataclass(frozen=True)
class Pair:
    """One honest pair: whether it was accused, by what words, and what the usual check says (None: it was not asked)."""

    model: str
    what: str
    ok: bool
    said: str = ""
    usual: bool | None = None
    loose: bool | None = None


_SERVED = ("scorer", "counter", "heads", "photo")
_SEARCHED = ("reader", "counter", "heads")
_QUICK_SERVED = ("scorer",)


def judge_all(ground: Ground) -> Iterator[Pair]:
    """Judge all honest pairs; in a quick run those of the models that are there."""
    prepared = [name for name in MODELS if not ground.quick or name in Store(ground.store).names()]
    for name in prepared:
        ground.prepare(name)
        yield from _stored(ground, name)
    for name in _QUICK_SERVED if ground.quick else _SERVED:
        ground.prepare(name)
        yield from _endpoints(ground, name)
        yield from _wires(ground, name)
    for name in (
        ("scorer",) if ground.quick else ("scorer", "vision", "reader")
    ):  # an LSTM without rows ends ONNX Runtime
        ground.prepare(name)
        yield from _runtimes(ground, name)
    if not ground.quick:
        yield _prepared(ground)


def _stored(ground: Ground, name: str) -> Iterator[Pair]:
    """Every file of a version, with the default options; in a full run those of some models with a search, too."""
    found = ask(ground, name, [name], search=SECONDS if name in _SEARCHED and not ground.quick else 0.0)
    for row in found.report.rows:
        path = _file(ground, name, row.subject)
        yield _told(ground, name, f"file {row.subject.rpartition('/')[2]}", row, path)


def _file(ground: Ground, name: str, subject: str) -> str:
    artifact = subject.rpartition("/")[2]
    version = ground.version(name)
    path = version.reference.path if artifact == "reference" and version.reference else version.artifact(artifact).path
    return str(path)


def _endpoints(ground: Ground, name: str) -> Iterator[Pair]:
    """Every endpoint of the embedded server."""
    with serve.serving(serve.Request((name,)), store=ground.store) as running:
        subjects = {f"endpoint {e.dialect}+{e.transport}": str(e) for e in running.endpoints}
        yield from _asked(ground, name, subjects)


def _asked(ground: Ground, name: str, subjects: Mapping[str, str]) -> Iterator[Pair]:
    found = ask(ground, name, list(subjects.values()))
    names = {subject: what for what, subject in subjects.items()}
    for row in found.report.rows:
        yield _told(ground, name, names[row.subject], row, row.subject)


def _wires(ground: Ground, name: str) -> Iterator[Pair]:
    """What may be done to bodies: other spaces, another order of keys, more digits than are needed."""
    with ExitStack() as stack:
        opened: dict[str, str] = {}
        for what, change in list(_WIRES.items())[ground.quick :]:
            endpoints = stack.enter_context(
                serving(name, server_faults.honest(ground, name), wire=Wire(rest=server_faults.in_json(change)))
            )
            opened |= {f"{what}, {e.dialect}": str(e) for e in endpoints if (e.dialect, e.transport) in _REWRITTEN}
        yield from _asked(ground, name, opened)


_REWRITTEN = (("tfserving", "rest"), ("torchserve", "rest"))


def _backwards(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _backwards(value[key]) for key in reversed(value)}
    return value


_WIRES: Mapping[str, Callable[[Any], Any]] = {
    "JSON written anew": lambda value: value,
    "keys in another order": _backwards,
}


def _runtimes(ground: Ground, name: str) -> Iterator[Pair]:
    with ExitStack() as stack:
        subjects = {}
        for what, opener in runtimes.every(ground, name).items():
            endpoints = stack.enter_context(_served(name, opener))
            subjects[what] = next(str(e) for e in endpoints if (e.dialect, e.transport) == ("oip", "grpc"))
        yield from _asked(ground, name, subjects)


@contextmanager
def _served(name: str, opener: Callable[[], Any]) -> Generator[Sequence[Any]]:
    predictor = opener()
    try:
        with serving(name, predictor) as endpoints:
            yield endpoints
    finally:
        predictor.close()


def _prepared(ground: Ground) -> Pair:
    """Raw bytes through the steps that training had."""
    with raw_faults.stored(ground, "vision", "vision-raw", raw_faults.STEPS):
        report = ask_raw(ground, "vision-raw")
    said = "" if report.ok or report.skew is None else f"{report.skew.first}: {report.skew.said}"
    return Pair("vision", "raw bytes by the steps of training", report.ok, said)


def _told(ground: Ground, model: str, what: str, row: Agreement, subject: str) -> Pair:
    ok = row.ok or row.unavailable
    by = _usual(ground, model, subject)
    tight, loose = (None, None) if by is None else (by[TIGHT], by[LOOSE])
    if not ok:
        print(f"ACCUSED {model}, {what}: {row.why[:300]}", file=sys.stderr, flush=True)
    return Pair(model, what, ok, "" if ok else row.why, tight, loose)


def _usual(ground: Ground, model: str, subject: str) -> dict[tuple[float, float], bool] | None:
    try:
        return usual(ground, model, subject)
    except DeployError:
        return None
