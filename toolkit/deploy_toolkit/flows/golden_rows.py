"""Further golden inputs for a stored version: answered by its reference, proved of every file, published as the next one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deploy_agreement import Noise, Promise, ProofError, Report, batches_like, golden_inputs, noise, promise
from deploy_agreement.rows import Rows, batch_symbol, concatenated, rows_of, take
from deploy_core import state
from deploy_core.errors import UsageError
from deploy_core.signature import Array, Signature, Tensors
from deploy_exporters.export import Export, OpenedSource
from deploy_exporters.worker import Workers
from deploy_model_store import Golden, Store, Version
from deploy_toolkit.flows.export import extension
from deploy_toolkit.flows.proof import prove
from deploy_toolkit.output import OnEvent, silent


@dataclass(frozen=True)
class Grown:
    """The new version, its proof, how many golden rows are new in it, and how many of those given it had already."""

    version: Version
    report: Report
    added: int
    known: int

    def to_json(self) -> dict[str, Any]:
        """Give the document that `deploy store golden --json` prints."""
        return {
            "schema": "deploy/golden/1",
            "name": self.version.name,
            "version": self.version.number,
            "path": str(self.version.path),
            "rows": self.version.golden.rows,
            "added": self.added,
            "known": self.known,
            "agreement": self.report.to_json(),
        }


def add(store: Path, name: str, given: Sequence[Mapping[str, Array]], on_event: OnEvent = silent) -> Grown:
    """Publish the next version with further golden rows; its files are carried over by hard link.

    Raises UsageError for rows that do not fit or are all there already, and for a version that has no reference or a
    batch of a fixed size; ProofError if a file does not answer the new rows as the reference does.
    """
    shelf = Store(store)
    version = shelf.resolve(name)
    _require_growing(version)
    reference = extension.reference_of(version)
    golden = version.golden
    new, known = _new(version, [_checked(version.signature, golden.inputs, rows) for rows in given])
    with shelf.staging(version.name) as staged, Workers(state.logs()) as workers:
        on_event(f"asking the reference of {version}")
        opened = extension.opened_reference(workers, version, reference, trust=False)
        extension.require_same(opened, version)
        grown = _answered(opened, golden, new)
        report, grown = _proof(workers, opened, version, Export(version.artifacts, reference), grown, on_event)
        published = shelf.extend(staged, version, golden=grown, agreement=report.to_json())
    added = _rows(version.signature, new).count
    on_event(f"stored {published} with {added} golden rows added to {version}")
    return Grown(published, report, added, known)


def _require_growing(version: Version) -> None:
    if version.reference is None:
        raise UsageError(
            f"{version} keeps no reference that could answer further inputs", hint="export the model itself again"
        )
    if batch_symbol(version.signature.inputs) is None:
        raise UsageError(
            f"{version} takes one size of batch, so its golden inputs cannot grow",
            hint="export the model with a free batch, or with an example that holds these rows",
        )


def _checked(signature: Signature, golden: Tensors, given: Mapping[str, Array]) -> dict[str, Array]:
    """Give rows in the form of the golden ones. Raises InputError, UsageError."""
    arrays = signature.conform(given)
    rows = _rows(signature, arrays)
    own, theirs = signature.sizes(golden), signature.sizes(arrays)
    for symbol in own:
        if symbol != batch_symbol(signature.inputs) and own[symbol] != theirs[symbol]:
            raise UsageError(
                f"the rows have {symbol} = {theirs[symbol]}, the golden inputs {own[symbol]}",
                hint="golden inputs are one batch: bring the rows to that size",
            )
    for name in arrays.keys() - rows.inputs.keys():
        if not np.array_equal(arrays[name], golden[name]):
            raise UsageError(f"input {name!r} has no rows, and is another than the golden one", hint="give that one")
    return golden_inputs(signature, arrays, rows=rows.count)  # which refuses NaN and infinity


def _new(version: Version, given: Sequence[Tensors]) -> tuple[dict[str, Array], int]:
    """Give the rows that are not golden yet, each once, and count the others. Raises UsageError if there are none."""
    signature, golden = version.signature, version.golden.inputs
    seen = set(_keys(signature, golden))
    total = concatenated(given, _rows(signature, given[0]).inputs)
    keys = _keys(signature, total)
    fresh = [index for index, key in enumerate(keys) if key not in seen and key not in keys[:index]]
    if not fresh:
        raise UsageError(f"all of these rows are golden in {version} already", hint="give other rows")
    return take(total, _rows(signature, total).inputs, np.array(fresh)), len(keys) - len(fresh)


def _keys(signature: Signature, inputs: Tensors) -> list[tuple[Any, ...]]:
    rows = _rows(signature, inputs)
    alone = (take(inputs, rows.inputs, np.array([index])) for index in range(rows.count))
    return [tuple(repr(a.tolist()) if a.dtype.kind == "O" else a.tobytes() for a in row.values()) for row in alone]


def _answered(opened: OpenedSource, golden: Golden, new: Tensors) -> Golden:
    inputs = concatenated([golden.inputs, new], _rows(opened.signature, new).inputs)
    asked = opened.predict(new)
    axes = rows_of(opened.signature, new, asked).outputs
    whole = {} if len(axes) == len(asked) else opened.predict(inputs)  # of what depends on the batch as a whole
    outputs = {n: _behind(a, asked[n], axes[n]) if n in axes else whole[n] for n, a in golden.outputs.items()}
    measured = noise(opened, *batches_like(opened.signature, inputs))
    # Not less than before: then it may have been measured with the source itself, which knows more than its reference.
    values = {n: np.maximum(v, golden.noise.get(n, 0.0)) for n, v in measured.values.items()}
    # What variants answered was to the rows before: they are asked again.
    return Golden(inputs, outputs, _plain(values), measured.origin)


def _proof(
    workers: Workers, opened: OpenedSource, version: Version, files: Export, golden: Golden, on_event: OnEvent
) -> tuple[Report, Golden]:
    measured = Noise(golden.noise, golden.noise_origin)
    told = version.agreement.get("promised", {}).get("ranges", {})
    ranges = {symbol: (ends[0], ends[1]) for symbol, ends in told.items()}
    promised: Promise = promise(opened, golden.inputs, measured, ranges=ranges)
    try:
        return prove(workers, opened, files, golden, measured, promised, on_event)
    except ProofError as error:
        error.hint = f"{version} stays as it is; mend what differs, export the model again, and add the rows to that"
        raise


def _rows(signature: Signature, inputs: Tensors) -> Rows:
    return rows_of(signature, inputs, {})


def _behind(first: Array, second: Array, axis: int) -> Array:
    return np.concatenate([first, second], axis)


def _plain(values: Mapping[str, Array]) -> dict[str, Array | float]:
    return {name: float(value) if np.ndim(value) == 0 else value for name, value in values.items()}
