"""Two ways to the same server: what comes back must be the same bit for bit."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from deploy_agreement.probing.probes import Probe
from deploy_agreement.probing.properties import apart, same_bits
from deploy_agreement.results.outputs import Problem
from deploy_agreement.results.report import AGREE, DISAGREE, SKIPPED, TOLD, Check
from deploy_agreement.rows import batch_symbol, rows_of, take
from deploy_core.errors import DeployError, EndpointError, first_line
from deploy_core.predictor import Predictor
from deploy_core.signature import Signature, Tensors

NAME = "transports"
LARGE = 5 * 2**20  # bytes of inputs, above the 4 MiB that gRPC takes unless told otherwise
SECONDS = 2.0
_ROWS = 2**18
_SHOWN = 3


@dataclass(frozen=True)
class Way:
    """One way to a server, and what to call it; `doubted` says that it is known to answer wrong by itself."""

    name: str
    predictor: Predictor
    doubted: bool = False


@dataclass(frozen=True)
class _Part:
    label: str
    verdict: str
    said: str = ""
    fails: bool = False  # one of the two gives no answer


Message = tuple[str, Tensors]


def messages(
    signature: Signature, golden: Tensors, probes: Iterable[Probe] = (), *, large: bool = False
) -> Iterator[Message]:
    """Give what two ways are asked: golden inputs, what the reference answers at the edges, no rows, and one large message."""
    rows = rows_of(signature, golden, {})
    yield "golden inputs", golden
    yield from ((probe.label, probe.inputs) for probe in probes if probe.outputs)
    if batch_symbol(signature.inputs) is None or not rows.inputs:
        return
    yield "no rows", take(golden, rows.inputs, np.arange(0))
    most = _large(golden, rows.count) if large else 0
    if most:
        yield f"a message of {most:,} rows", take(golden, rows.inputs, np.arange(most) % rows.count)


def same_ways(
    first: Way, others: Sequence[Way], asked: Sequence[Message], *, surely_one: bool = True, seconds: float = SECONDS
) -> Check:
    """Ask all ways the same messages, for so many seconds but the first of them at any rate. Where that fails no other is asked.

    Where bits differ, the first way is asked again: what it does not even tell itself is tolerated. Without `surely_one`
    the ways may lead to two servers, whose rounding may differ: that is told. A value that one way refuses is told, too;
    an answer that is none is a disagreement. What differs from one of the others that is doubted is told: it was counted
    against that one.
    """
    end = time.monotonic() + seconds
    parts = [part for other in others for part in _along(first, other, asked, surely_one, end)]
    return _check(parts, " and ".join(other.name for other in others), first.name)


def _along(first: Way, other: Way, asked: Sequence[Message], surely_one: bool, end: float) -> Iterator[_Part]:
    for number, (label, inputs) in enumerate(asked):
        if number and time.monotonic() > end:
            yield _Part(label, TOLD, f"there was no time for {label}")
            continue
        part = _compared(first, other, label, inputs, surely_one)
        if number == 0 and part.fails:
            # A binary form is an extension, which not every server has; that another endpoint fails is told in its own row.
            yield _Part(label, TOLD, f"{other.name} does not answer: {part.said}")
            return
        yield part


def _check(parts: Sequence[_Part], others: str, first: str) -> Check:
    same = sum(part.verdict == AGREE for part in parts)
    wrong = [part.said for part in parts if part.verdict == DISAGREE]
    told = [part.said for part in parts if part.verdict == TOLD]
    if wrong:
        problems = tuple(Problem(NAME, said) for said in wrong[:_SHOWN])
        return Check(NAME, DISAGREE, _listed(wrong), len(parts), problems=problems)
    if not same and not told:
        return Check(NAME, SKIPPED, "both ways refuse whatever they are asked")
    refused = sum(part.verdict == SKIPPED for part in parts)
    said = f"{others} bit for bit as {first} in {same} of {len(parts) - refused} messages"
    said += f", both refuse {refused}" if refused else ""
    return Check(NAME, TOLD if told else AGREE, "; ".join([said, *([_listed(told)] if told else [])]), len(parts))


def _large(golden: Tensors, count: int) -> int:
    """Give how many rows make a large message; 0 where that would be too many, or is what golden inputs are already."""
    size = sum(array.nbytes for array in golden.values())
    rows = -(-LARGE * count // max(1, size))
    return rows if count < rows <= _ROWS else 0


def _compared(first: Way, other: Way, label: str, inputs: Tensors, surely_one: bool) -> _Part:
    want, got = _answer(first.predictor, inputs), _answer(other.predictor, inputs)
    if isinstance(want, DeployError) or isinstance(got, DeployError):
        return _refused(first, other, label, want, got)
    if _are_same(want, got):
        return _Part(label, AGREE)
    said = f"{other.name} differs from {first.name} for {label}: {_difference(want, got)}"
    again = _answer(first.predictor, inputs)
    restless = not isinstance(again, DeployError) and not _are_same(want, again)
    said += _RESTLESS if restless else _doubted(other)
    return _Part(label, TOLD if restless or other.doubted or not surely_one else DISAGREE, said)


_RESTLESS = "; so does the first from itself when it is asked again"


def _doubted(way: Way) -> str:
    return f"; {way.name} answers wrong by itself" if way.doubted else ""


def _refused(first: Way, other: Way, label: str, want: Tensors | DeployError, got: Tensors | DeployError) -> _Part:
    for way, answer in ((first, want), (other, got)):
        if isinstance(answer, EndpointError) and answer.status is None:
            said = f"{way.name} gives no answer for {label}: {first_line(answer)}{_doubted(way)}"
            return _Part(label, TOLD if way.doubted else DISAGREE, said, True)
    if isinstance(want, DeployError) and isinstance(got, DeployError):
        return _Part(label, SKIPPED, fails=True)
    way, error = (first, want) if isinstance(want, DeployError) else (other, got)
    assert isinstance(error, DeployError)
    return _Part(label, TOLD, f"{way.name} refuses {label}, which the other way takes: {first_line(error)}", True)


def _answer(predictor: Predictor, inputs: Tensors) -> Tensors | DeployError:
    try:
        return predictor.predict(inputs)
    except DeployError as error:
        return error


def _are_same(want: Tensors, got: Tensors) -> bool:
    return want.keys() == got.keys() and all(same_bits(array, got[name]) for name, array in want.items())


def _difference(want: Tensors, got: Tensors) -> str:
    if want.keys() != got.keys():
        return f"it has outputs {', '.join(sorted(got))} instead of {', '.join(sorted(want))}"
    return apart(want, got) or "signs of zero"


def _listed(said: Sequence[str]) -> str:
    more = f"; and {len(said) - _SHOWN} more" if len(said) > _SHOWN else ""
    return "; ".join(said[:_SHOWN]) + more
