"""What is asked under load, one entry per request, and what the right answers are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from deploy_agreement import DERIVED, Given, Noise, Terms, Tolerance, batches_like, compare, enough_rows, noise
from deploy_agreement.rows import batch_symbol, rows_of, take
from deploy_core.errors import UsageError
from deploy_core.predictor import Predictor
from deploy_core.signature import Signature, Tensors
from deploy_latency.report import Checked
from deploy_model_store import Version
from deploy_toolkit.flows.golden import noise_of
from deploy_toolkit.flows.judge import terms_of

_UNUSED = Noise({}, "the tolerances are given")


@dataclass(frozen=True)
class Questions:
    """The inputs of each request and the outputs that are wanted of it.

    `tolerances` come from all rows together: those of one row say nothing of an output's spread.
    """

    signature: Signature
    inputs: tuple[Tensors, ...]
    wanted: tuple[Tensors, ...]
    tolerances: Mapping[str, Tolerance]

    def wrong(self, request: int, got: Tensors) -> str:
        """Say what is wrong with an answer, empty if nothing is."""
        row = compare(
            f"request {request}",
            self.wanted[request],
            Given(self.signature, got),
            self.inputs[request],
            noise=_UNUSED,
            batches=(),
            terms=Terms(measured=self.tolerances),
        )
        return row.why

    def checked(self, answers: Sequence[tuple[int, Tensors]]) -> Checked:
        """Judge answers, each with the number of its request."""
        told = [self.wrong(request, got) for request, got in answers]
        wrong = [why for why in told if why]
        return Checked(len(told), len(wrong), wrong[0] if wrong else "")


def of_version(version: Version, batch: int, artifact: str = "") -> Questions:
    """Ask for golden rows in batches of that size. Raises UsageError for a batch that the model cannot have."""
    golden = version.golden
    pairs = tuple(_sliced(version.signature, golden.inputs, golden.outputs, batch))
    limits = terms_of(version, artifact).limits(golden.outputs, noise_of(golden))
    return Questions(version.signature, *_columns(pairs), limits)


def of_inputs(predictor: Predictor, inputs: Tensors, batch: int) -> Questions:
    """Ask for rows of the user's, whose right answers are what the predictor says now, at rest."""
    arrays = predictor.signature.conform(inputs)
    outputs = predictor.predict(arrays)
    asked = (pair[0] for pair in _sliced(predictor.signature, arrays, {}, batch))
    pairs = tuple((each, predictor.predict(each)) for each in asked)
    measured = noise(predictor, *batches_like(predictor.signature, enough_rows(predictor.signature, arrays)))
    return Questions(predictor.signature, *_columns(pairs), DERIVED.limits(outputs, measured))


def _sliced(signature: Signature, inputs: Tensors, outputs: Tensors, batch: int) -> Iterator[tuple[Tensors, Tensors]]:
    if batch_symbol(signature.inputs) is None:
        if batch != 1:
            raise UsageError(f"the model has a fixed batch, and takes no {batch} rows", hint="leave --batch away")
        yield inputs, outputs
        return
    rows = rows_of(signature, inputs, outputs)
    for begin in range(0, max(1, rows.count - batch + 1), batch):
        index = (begin + np.arange(batch)) % rows.count  # few rows are repeated
        yield take(inputs, rows.inputs, index), take(outputs, rows.outputs, index)


def _columns(pairs: tuple[tuple[Tensors, Tensors], ...]) -> tuple[tuple[Tensors, ...], tuple[Tensors, ...]]:
    return tuple(inputs for inputs, _ in pairs), tuple(outputs for _, outputs in pairs)
