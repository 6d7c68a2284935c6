"""Golden data: inputs with the source model's own answers, and how much these move by rounding alone."""

from __future__ import annotations

from deploy_agreement import Agreement, Noise, batches_for, batches_like, compare, golden_inputs, noise
from deploy_agreement.rows import GOLDEN
from deploy_core.errors import ExportError
from deploy_core.ranges import Range
from deploy_exporters.export import OpenedSource
from deploy_model_store import Golden


def asked(opened: OpenedSource, within: Range | None) -> Golden:
    """Ask a source model for its answers, the batch `within` a range. Raises ExportError if they are not reproducible."""
    inputs = golden_inputs(opened.signature, opened.example, rows=min(GOLDEN, within[1] if within else GOLDEN))
    outputs = opened.predict(inputs)
    # Asked again before noise is measured: a model that draws random numbers would pass for a very noisy one.
    _require_agreement(
        "answers the same inputs differently",
        compare("source", outputs, opened, inputs, noise=Noise({}, "none"), batches=()),
    )
    measured = noise(opened, *batches_like(opened.signature, inputs))
    batches = batches_for(opened.signature, within)
    _require_agreement(
        "does not agree with itself", compare("source", outputs, opened, inputs, noise=measured, batches=batches)
    )
    return Golden(inputs, outputs, measured.values, measured.origin)


def noise_of(golden: Golden) -> Noise:
    """Give the noise that was measured with golden data."""
    return Noise(golden.noise, golden.noise_origin)


def _require_agreement(what: str, row: Agreement) -> None:
    if not row.ok:
        raise ExportError(
            f"the source model {what}: {row.why}",
            hint="its rows depend on each other, or it draws random numbers: put it in eval mode, seed it",
        )
