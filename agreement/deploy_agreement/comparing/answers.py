"""Asking a predictor for all rows and for slices of them, and what is wrong with the form of its answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from deploy_agreement.blocks import blocks
from deploy_agreement.figures import nan_count
from deploy_agreement.results.outputs import Problem
from deploy_agreement.rows import Rows, rows_at, take
from deploy_core.dtypes import dtype_name
from deploy_core.errors import DeployError, EndpointError, UnavailableError
from deploy_core.predictor import Predictor
from deploy_core.signature import Array, Tensors


@dataclass(frozen=True)
class Answer:
    """What came back for the golden rows `index`; `got` is empty if `error` is set.

    Of the outputs that `agreed` only the whole batch keeps what came.
    """

    index: Array
    whole: bool
    got: Tensors = field(default_factory=dict)
    error: DeployError | None = None
    agreed: frozenset[str] = frozenset()

    @property
    def size(self) -> int:
        """The batch size that was asked for."""
        return len(self.index)


def ask(predictor: Predictor, inputs: Tensors, rows: Rows, batches: Iterable[Array]) -> Iterator[Answer]:
    """Ask for every batch, the first of which are all rows; stops early only where nobody is there to answer."""
    for number, index in enumerate(batches):
        batch = take(inputs, rows.inputs, index) if number else inputs
        try:
            yield Answer(index, not number, predictor.predict(batch))
        except DeployError as error:
            yield Answer(index, not number, error=error)
            if isinstance(error, UnavailableError) and not isinstance(error, EndpointError):
                break


def wanted(want: Tensors, rows: Rows, answer: Answer, name: str) -> Array | None:
    """Give a golden output for the rows of an answer; None for one without rows, but for the whole batch."""
    if answer.whole:
        return want[name]
    return rows_at(want[name], rows.outputs[name], answer.index) if name in rows.outputs else None


def form_problems(
    want: Tensors, rows: Rows, answers: Sequence[Answer], precision: str, *, nan_agrees: bool = False
) -> list[Problem]:
    """Give what is wrong with names, dtypes, shapes, sizes of batches and NaN, each kind once for an output.

    With `nan_agrees` NaN is not wrong where it is wanted.
    """
    found: dict[tuple[str, str], Problem] = {}
    for answer in answers:
        for problem in _one(want, rows, answer, answers, precision):
            if problem.kind != "nan" or not nan_agrees or _spurious(want, rows, answer, problem.output):
                found.setdefault((problem.kind, problem.output), problem)
    return list(found.values())


def fits(want: Array, got: Array, precision: str) -> bool:
    """Tell whether two arrays can be compared element by element."""
    return want.shape == got.shape and _same_dtype(want, got, precision)


def _one(want: Tensors, rows: Rows, answer: Answer, answers: Sequence[Answer], precision: str) -> Iterator[Problem]:
    if answer.error is not None:
        yield _refusal(answer, answers)
        return
    came = answer.got.keys() | answer.agreed
    for name in sorted(want.keys() - came):
        yield Problem("missing-output", f"output {name!r} is missing; there are {_names(came)}", name)
    for name in sorted(came - want.keys()):
        yield Problem("extra-output", f"output {name!r} is not one of the model's, {_names(want)}", name)
    for name in want:
        array = wanted(want, rows, answer, name) if name in answer.got else None
        if array is not None:
            yield from _form(name, array, answer.got[name], rows, answer, precision)


def _refusal(answer: Answer, answers: Sequence[Answer]) -> Problem:
    fine = sorted({a.size for a in answers if a.error is None})
    sizes = ", ".join(map(str, fine))
    if answer.size not in fine:
        return Problem("frozen-batch", f"answers batches of {sizes} rows, but not of {answer.size}: {answer.error}")
    return Problem("error", f"fails for some batches of {answer.size} rows and not for others: {answer.error}")


def _form(name: str, want: Array, got: Array, rows: Rows, answer: Answer, precision: str) -> Iterator[Problem]:
    if not _same_dtype(want, got, precision):
        message = f"output {name!r} is {dtype_name(got.dtype)}, not {dtype_name(want.dtype)}"
        yield Problem("dtype", message, name)
    axis = rows.outputs.get(name)
    if want.shape != got.shape:
        count = got.shape[axis] if axis is not None and axis < got.ndim else None
        if count not in (None, answer.size):
            message = f"output {name!r} has {count} rows for a batch of {answer.size}"
            yield Problem("frozen-batch", message, name)
        else:
            message = f"output {name!r} has shape {list(got.shape)}, not {list(want.shape)}"
            yield Problem("shape", message, name)
    if count := nan_count(got):
        yield Problem(
            "nan", f"output {name!r} is NaN in {count} of {got.size} values at batch size {answer.size}", name
        )


def _same_dtype(want: Array, got: Array, precision: str) -> bool:
    return dtype_name(got.dtype) in (dtype_name(want.dtype), precision)


def _spurious(want: Tensors, rows: Rows, answer: Answer, name: str) -> bool:
    """Whether an output is NaN where none is wanted."""
    array, got = wanted(want, rows, answer, name), answer.got[name]
    if array is None or array.shape != got.shape:
        return True
    return any((np.isnan(got[block]) & ~np.isnan(array[block])).any() for block in blocks(got.shape))


def _names(names: Iterable[str]) -> str:
    return ", ".join(map(repr, sorted(names))) or "none"
