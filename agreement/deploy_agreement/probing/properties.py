"""Properties that any good predictor has, whatever the right answers are: each is a check."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from deploy_agreement.blocks import blocks
from deploy_agreement.comparing.given import Given
from deploy_agreement.figures import deviation, figures, spread
from deploy_agreement.probing.asking import Judge, skipped
from deploy_agreement.results.outputs import Problem
from deploy_agreement.results.report import AGREE, DISAGREE, TOLD, Check
from deploy_agreement.rows import Rows, rows_of, shapes_of, take
from deploy_agreement.scales import wide
from deploy_agreement.tolerances.rounding import Noise
from deploy_core.dtypes import dtype_name, is_float
from deploy_core.errors import DeployError, EndpointError, first_line
from deploy_core.predictor import Predictor
from deploy_core.signature import Array, Tensors

AT_ONCE = 8  # questions under way
SECONDS = 2.0
CONNECTIONS = 12  # of two workers each is met with a probability of 1 - 2 ** -11
_TURNS = 4  # of each thread
_TOO_MUCH = (
    429,
    503,
    504,
    "RESOURCE_EXHAUSTED",
    "UNAVAILABLE",
    "DEADLINE_EXCEEDED",
)  # is refused, and not answered wrong
_FEW = 8  # rows that are asked of every connection


def again(predictor: Predictor, inputs: Tensors, judge: Judge, noise: Noise) -> Check:
    """Ask the same twice: the second answer is the first."""
    first = predictor.predict(inputs)
    second = predictor.predict(inputs)
    rows = rows_of(predictor.signature, inputs, first).count
    return _same("again", predictor, inputs, first, second, judge, noise, f"the same {rows:,} rows twice")


def order(predictor: Predictor, inputs: Tensors, judge: Judge, noise: Noise, *, seed: int = 0) -> Check:
    """Ask for the rows in another order: the answers come in that order."""
    first = predictor.predict(inputs)
    rows = rows_of(predictor.signature, inputs, first)
    if rows.count < 2 or not rows.inputs or not rows.outputs:
        return skipped("order", "there are no rows that could change places")
    index = np.random.default_rng(seed).permutation(rows.count)
    turned = take(inputs, rows.inputs, index)
    want = _of_rows(first, rows, index)
    got = {name: array for name, array in predictor.predict(turned).items() if name in want}
    return _same("order", predictor, turned, want, got, judge, noise, f"{rows.count:,} rows in another order")


def at_once(
    predictor: Predictor, inputs: Tensors, judge: Judge, noise: Noise, *, free: bool = True, seconds: float = SECONDS
) -> Check:
    """Ask for different rows over several connections at the same time: each question gets its own answer.

    Without `free` the batch has a fixed size, and each question is the whole batch in another order.
    """
    first = predictor.predict(inputs)
    rows = rows_of(predictor.signature, inputs, first)
    if rows.count < 2 or not rows.outputs:
        return skipped("at once", "there are no rows that could be told apart")
    end = time.monotonic() + seconds
    work = partial(_turns, predictor, inputs, rows, free, end)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            found = [pair for pairs in pool.map(work, range(AT_ONCE)) for pair in pairs]
        except DeployError as error:
            return failing("at once", f"fails when {AT_ONCE} ask at the same time", error)
    said = f"{len(found)} questions, {AT_ONCE} at a time"
    return _own_answers("at once", predictor, inputs, first, rows, found, judge, noise, said)


def one_of_many(
    connect: Callable[[], Predictor],
    predictor: Predictor,
    inputs: Tensors,
    judge: Judge,
    noise: Noise,
    *,
    free: bool = True,
    connections: int = CONNECTIONS,
    seconds: float = SECONDS,
) -> Check:
    """Ask over fresh connections, since several servers or workers may stand behind one address: all give the same answers."""
    want = predictor.predict(inputs)
    rows = rows_of(predictor.signature, inputs, want)
    if not rows.count or not rows.outputs:
        return skipped("one of many", "there are no rows to ask for")
    index = np.arange(min(_FEW, rows.count) if free else rows.count)
    asked = take(inputs, rows.inputs, index)
    found: list[tuple[Array, Tensors]] = []
    end = time.monotonic() + seconds
    for _ in range(connections):
        if found and time.monotonic() > end:
            break
        try:
            found.append((index, _once(connect, asked)))
        except DeployError as error:
            return failing("one of many", f"fails over connection {len(found) + 1} of {connections}", error)
    said = f"{len(found)} connections"
    if len(found) < connections:
        said += f", not {connections}: there are {seconds:g} s for them"
    return _own_answers("one of many", predictor, inputs, want, rows, found, judge, noise, said)


def failing(name: str, what: str, error: DeployError) -> Check:
    """Give the check of one that answered before and gives an error now; one that has too much to do is told of."""
    if isinstance(error, EndpointError) and error.status in _TOO_MUCH:
        return Check(name, TOLD, f"{what}: {first_line(error)}")
    return _broken(name, what, error)


def apart(want: Tensors, got: Tensors) -> str:
    """Say how far two answers that should be the same lie apart, in units in the last place; empty if they are bit for bit."""
    told = [said for name, array in want.items() if name in got and (said := _apart(name, array, got[name]))]
    return "; ".join(told)


def _once(connect: Callable[[], Predictor], inputs: Tensors) -> Tensors:
    predictor = connect()
    try:
        return predictor.predict(inputs)
    finally:
        predictor.close()


def _turns(
    predictor: Predictor, inputs: Tensors, rows: Rows, free: bool, end: float, thread: int
) -> list[tuple[Array, Tensors]]:
    found: list[tuple[Array, Tensors]] = []
    for turn, index in enumerate(_indexes(rows.count, thread, free)):
        if turn and time.monotonic() > end:
            break
        found.append((index, predictor.predict(take(inputs, rows.inputs, index))))
    return found


def _indexes(count: int, thread: int, free: bool) -> Iterator[Array]:
    random = np.random.default_rng(thread)
    for turn in range(_TURNS):
        size = 1 + (thread + turn) % 3 if free else count
        yield random.permutation(count)[:size]


def _own_answers(
    name: str,
    predictor: Predictor,
    inputs: Tensors,
    want: Tensors,
    rows: Rows,
    found: Sequence[tuple[Array, Tensors]],
    judge: Judge,
    noise: Noise,
    said: str,
) -> Check:
    wanted = [_of_rows(want, rows, index) for index, _ in found]
    for right, (index, got) in zip(wanted, found, strict=True):
        if shapes_of(right) != {key: array.shape for key, array in got.items() if key in right}:
            message = f"{name}: the answer to {len(index)} rows has another form"
            return Check(name, DISAGREE, message, len(index), problems=(Problem("shape", message),))
    index = np.concatenate([index for index, _ in found])
    together = {
        key: np.concatenate([got[key] for _, got in found], axis=axis)
        for key, axis in rows.outputs.items()
        if key in want
    }
    return _same(
        name, predictor, take(inputs, rows.inputs, index), _of_rows(want, rows, index), together, judge, noise, said
    )


def _same(
    name: str, predictor: Predictor, inputs: Tensors, want: Tensors, got: Tensors, judge: Judge, noise: Noise, said: str
) -> Check:
    rows = rows_of(predictor.signature, inputs, want).count
    row = judge(want, Given(predictor.signature, got), inputs, noise=noise)
    if not row.ok:
        return Check(name, DISAGREE, f"{row.why} ({said})", rows, row.outputs, row.problems)
    off = apart(want, got)
    return Check(name, AGREE, said + (f"; {off}" if off else ", bit for bit"), rows, row.outputs)


def _of_rows(outputs: Tensors, rows: Rows, index: Array) -> dict[str, Array]:
    return take({name: outputs[name] for name in rows.outputs}, rows.outputs, index)


def _broken(name: str, what: str, error: DeployError) -> Check:
    said = f"{what}: {first_line(error)}"
    return Check(name, DISAGREE, said, problems=(Problem("error", f"{name}: {said}"),))


def _apart(name: str, want: Array, got: Array) -> str:
    if want.shape != got.shape or want.dtype != got.dtype:
        return f"output {name!r} has another form"
    if same_bits(want, got):
        return ""
    if not is_float(dtype_name(want.dtype)):
        return f"output {name!r} differs"
    return f"output {name!r} differs by up to {_most_ulps(want, got):.3g} ULP"


def _most_ulps(want: Array, got: Array) -> float:
    scale, parts = spread(want), ((want[block], got[block]) for block in blocks(want.shape))
    return max(figures(one, deviation(one, other), scale).max_ulp for one, other in parts)


def same_bits(want: Array, got: Array) -> bool:
    """Tell whether two arrays are the same to the last bit, any NaN being as good as another."""
    if want.shape != got.shape or want.dtype != got.dtype:
        return False
    if dtype_name(want.dtype) == "string":
        return bool((want == got).all())
    if not is_float(dtype_name(want.dtype)):
        return want.tobytes() == got.tobytes()
    return all(_same_floats(wide(want[block]), wide(got[block])) for block in blocks(want.shape))


def _same_floats(left: Array, right: Array) -> bool:
    signs = np.signbit(left.real) == np.signbit(right.real)
    return bool(((np.isnan(left) & np.isnan(right)) | ((left == right) & signs)).all())
