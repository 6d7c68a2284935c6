"""Asking many candidates at once, whatever way their predictor takes batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from deploy_agreement.rows import batch_symbol, rows_of
from deploy_agreement.worst.space import Space, spaces_of
from deploy_core.errors import DeployError, EndpointError, UnavailableError
from deploy_core.signature import Array, Signature, Tensors

Ask = Callable[[Tensors], Tensors]
Numbers = Mapping[str, Array]  # of one candidate, by the name of its input
_MOST = 2**22  # numbers in one question


@dataclass(frozen=True)
class Asked:
    """Answers with the candidate on the first axis; `lost` marks those that were refused, whose answers mean nothing."""

    outputs: dict[str, Array]
    lost: Array


class Frame:
    """How candidates lie in the inputs of a model: rows of a batch, or, where the batch is fixed, each a whole input.

    Outputs without rows belong to a candidate only where it is asked alone.
    """

    def __init__(self, signature: Signature, start: Tensors, rows: tuple[int, int]) -> None:
        free = batch_symbol(signature.inputs) is not None
        self.axes = dict(rows_of(signature, start, {}).inputs) if free else {}
        self.signature = signature
        self.start = start
        self.least = rows[0] if self.axes else 1
        whole = {name: array[None] for name, array in start.items()}
        self.golden = {n: np.moveaxis(start[n], axis, 0) for n, axis in self.axes.items()} or whole
        self.spaces: dict[str, Space] = spaces_of(self.golden)
        numbers = sum(space.sample[:1].size for space in self.spaces.values())
        self.output_axes: dict[str, int] = {}
        self.rows = max(1, self.least, min(rows[1], _MOST // max(1, numbers)))

    @property
    def free(self) -> tuple[str, ...]:
        """The inputs that can be varied."""
        return tuple(name for name, space in self.spaces.items() if space.free)

    def samples(self) -> list[Numbers]:
        """Give the golden candidates."""
        count = min(len(space.sample) for space in self.spaces.values())
        return [{name: space.sample[i] for name, space in self.spaces.items()} for i in range(count)]

    def inputs(self, candidates: Sequence[Numbers]) -> dict[str, Array]:
        """Give what the model takes for candidates, on the first axis."""
        return {
            name: space.decoded(np.stack([one[name] for one in candidates]), self.golden[name])
            for name, space in self.spaces.items()
        }

    def question(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Give candidates as a question: one batch, or the only one of them."""
        if not self.axes:
            return {name: array[0] for name, array in inputs.items()}
        moved = {n: np.ascontiguousarray(np.moveaxis(array, 0, self.axes[n])) for n, array in inputs.items()}
        return {name: moved.get(name, array) for name, array in self.start.items()}

    def ask(self, predict: Ask, inputs: Mapping[str, Array], *, strict: bool = False) -> Asked:
        """Ask for candidates; of a question that is refused each half is asked. `strict` raises what was raised."""
        count = _count(inputs)
        if count == 0:
            return Asked({}, np.zeros(0, bool))
        most = self.rows if self.axes else 1
        if count > most:
            parts = [_cut(inputs, first, first + most) for first in range(0, count, most)]
            return _joined([self.ask(predict, part, strict=strict) for part in parts])
        try:
            return Asked(self._answers(predict, inputs, count), np.zeros(count, bool))
        except DeployError as error:
            if strict or _nobody_there(error):
                raise
        if count == 1:
            return Asked({}, np.ones(1, bool))
        half = count // 2
        return _joined([self.ask(predict, _cut(inputs, *ends)) for ends in ((0, half), (half, count))])

    def _answers(self, predict: Ask, inputs: Mapping[str, Array], count: int) -> dict[str, Array]:
        padded = {name: _repeated(array, max(count, self.least)) for name, array in inputs.items()}
        question = self.question(padded)
        outputs = predict(question)
        if not self.axes:
            return {name: array[None] for name, array in outputs.items()}
        axes = self.output_axes = dict(rows_of(self.signature, question, outputs).outputs)
        rows = {name: np.moveaxis(array, axes[name], 0)[:count] for name, array in outputs.items() if name in axes}
        alone = {name: array[None] for name, array in outputs.items() if name not in axes and count == 1}
        return {name: (rows | alone)[name] for name in outputs if name in rows or name in alone}

    def weights(self, weights: Mapping[str, Array]) -> dict[str, Array]:
        """Give weights of outputs, the candidate on the first axis, as the answer to a batch lies."""
        rows = self.output_axes
        return {n: np.ascontiguousarray(np.moveaxis(array, 0, rows[n])) for n, array in weights.items() if n in rows}


def _nobody_there(error: DeployError) -> bool:
    return isinstance(error, UnavailableError) and not isinstance(error, EndpointError)


def _count(inputs: Mapping[str, Array]) -> int:
    return min(len(array) for array in inputs.values())


def _cut(inputs: Mapping[str, Array], first: int, end: int) -> dict[str, Array]:
    return {name: array[first:end] for name, array in inputs.items()}


def _repeated(array: Array, count: int) -> Array:
    return array if len(array) == count else array[np.arange(count) % len(array)]


def _joined(parts: Sequence[Asked]) -> Asked:
    """Put answers behind each other; a candidate that has none gets zeros."""
    lost = np.concatenate([part.lost for part in parts])
    known = next((part.outputs for part in parts if part.outputs), {})
    outputs = {
        name: np.concatenate([_or_zeros(part, name, like) for part in parts])
        for name, like in known.items()
        if all(not part.outputs or name in part.outputs for part in parts)
    }
    return Asked(outputs, lost)


def _or_zeros(part: Asked, name: str, like: Array) -> Array:
    return part.outputs[name] if part.outputs else np.zeros((len(part.lost), *like.shape[1:]), like.dtype)
