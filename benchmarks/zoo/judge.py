"""What judges the public side: the source model opened here, asked as the export flow asks it, and its files compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.zoo.model import Model
from deploy_agreement import (
    Agreement,
    Noise,
    Promise,
    batches_for,
    batches_like,
    compare,
    compare_sizes,
    golden_inputs,
    noise,
    promise,
)
from deploy_core.errors import ExportError, InputError
from deploy_core.predictor import Predictor
from deploy_core.signature import BATCH, Array, Signature, Tensors, TensorSpec
from deploy_exporters import sources
from deploy_exporters.formats import load_file
from deploy_exporters.sources import Given
from deploy_exporters.sources.opening import open_source

_FROZEN = {"frozen-batch", "frozen-dimension"}


@dataclass(frozen=True)
class Judge:
    """The opened source with its golden rows."""

    source: Any
    inputs: Tensors
    outputs: Tensors
    noise: Noise
    promised: Promise

    def verdict(self, name: str, path: Path) -> tuple[str, str]:
        """Say `right`, `wrong`, `frozen` or `failed` of a file, and why."""
        predictor = InPlace(self._loaded(name, path), self.source.signature)
        batches = batches_for(self.source.signature, self.promised.ranges.get(BATCH))
        row = compare(name, self.outputs, predictor, self.inputs, noise=self.noise, batches=batches)
        row = compare_sizes(row, predictor, self.promised.sized)
        if row.ok:
            return "right", ""
        return self._less(row, predictor), row.why[:400]

    def _loaded(self, name: str, path: Path) -> Predictor:
        mine = self.source.signature
        if name in ("torchscript", "pt2"):
            return load_file(name, path, mine)  # a plain file of these says little of its tensors
        predictor = load_file(name, path)
        own = predictor.signature
        if name != "tflite" or len(own.inputs) != len(mine.inputs) or len(own.outputs) != len(mine.outputs):
            return predictor
        # A file with fixed sizes can be resized, and sometimes that goes well: it is asked as if it were meant to.
        predictor.close()
        return load_file(name, path, Signature(_freed(own.inputs, mine.inputs), _freed(own.outputs, mine.outputs)))

    def _less(self, row: Agreement, predictor: Predictor) -> str:
        kinds = {problem.kind for problem in row.problems}
        if kinds and kinds <= _FROZEN:
            return "frozen"
        if row.verdict != "failed":
            return "wrong"
        return "frozen" if any(self._answers(predictor, rows) for rows in (1, 2)) else "failed"

    def _answers(self, predictor: Predictor, rows: int) -> bool:
        """Whether it is right at that size at least, which was the example's."""
        few = {name: array[:rows] for name, array in self.inputs.items()}
        want = self.source.predict(few)
        return compare("few", want, predictor, few, noise=self.noise, batches=()).ok


class InPlace:
    """A file that has lost names or widths of integers, asked with the source's: its tensors are taken in their order."""

    def __init__(self, predictor: Predictor, signature: Signature) -> None:
        self._predictor = predictor
        self._signature = signature

    @property
    def signature(self) -> Signature:
        """The source's."""
        return self._signature

    def predict(self, inputs: Tensors) -> Tensors:
        """Answer one batch under the source's names. Raises InputError."""
        own = self._predictor.signature
        given = _by_name_or_place(inputs, [spec.name for spec in self._signature.inputs], own.inputs)
        mine = {spec.name: _as(given[spec.name], spec) for spec in own.inputs if spec.name in given}
        try:
            found = self._predictor.predict(mine)
        except Exception as error:  # whatever a runtime raises is its answer to these sizes
            raise ExportError(f"{type(error).__name__}: {error}") from error
        names = [spec.name for spec in self._signature.outputs]
        if set(found) != set(names):
            found = dict(zip(names, (found[spec.name] for spec in own.outputs), strict=False))
        return {spec.name: _as(found[spec.name], spec) for spec in self._signature.outputs}

    def close(self) -> None:
        """Let go of the file."""
        self._predictor.close()


def opened(model: Model) -> Judge:
    """Open a model here as the flow does in its worker, and ask what the flow asks."""
    specs = tuple(map(TensorSpec.parse, model.inputs))
    source: Any = open_source(sources.find(model.location), Given(inputs=specs))
    inputs = golden_inputs(source.signature, source.example)
    measured = noise(source, *batches_like(source.signature, inputs))
    bounds = {symbol: (least, greatest) for symbol, least, greatest in model.ranges}
    return Judge(source, inputs, source.predict(inputs), measured, promise(source, inputs, measured, ranges=bounds))


def _by_name_or_place(inputs: Tensors, names: Sequence[str], own: Sequence[TensorSpec]) -> dict[str, Array]:
    if {spec.name for spec in own} == set(names):
        return dict(inputs)
    if len(own) != len(names):
        raise InputError(f"the file takes {len(own)} tensors, the model {len(names)}")
    return {spec.name: inputs[name] for spec, name in zip(own, names, strict=True)}


def _freed(own: Sequence[TensorSpec], mine: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(a.name, a.dtype, b.shape) for a, b in zip(own, mine, strict=True))


def _as(array: Array, spec: TensorSpec) -> Array:
    wide = spec.dtype.startswith("int") and array.dtype.kind == "i"
    return array.astype(spec.dtype) if wide else array
