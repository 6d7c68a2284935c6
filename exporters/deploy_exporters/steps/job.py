"""What a step is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from deploy_core.changes import Change
from deploy_core.dtypes import dtype_name, is_float
from deploy_core.errors import ExportError
from deploy_core.predictor import Predictor
from deploy_core.ranges import Ranges
from deploy_core.signature import Array, Signature, Tensors
from deploy_exporters.sources import Source

Proof = tuple[Tensors, Tensors]  # inputs, and the source model's own outputs for them


@dataclass(frozen=True)
class Written:
    """What a step tells of the file that it wrote: which way it took, what it could not keep, what is to be known."""

    how: str = ""
    changes: tuple[Change, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """`reads` is the file or folder of the step before (None: the opened source), `writes` the one to make.

    `proofs` are of several sizes of every symbol, the first of the example's own. `calibration` holds rows of real
    inputs, for steps that quantise. `kind` is the kind of source, `source` where the model came from, for steps that
    need its code. `ranges` are the least and the greatest size of a symbol, where the user gave them. `raw` is
    `Raw.to_json`, for a file that takes raw bytes.
    """

    reads: Path | None
    writes: Path
    signature: Signature
    proofs: tuple[Proof, ...]
    name: str
    options: Mapping[str, str] = field(default_factory=dict)
    calibration: Tensors | None = None
    source: Source | None = None
    kind: str = ""
    ranges: Ranges = field(default_factory=dict)
    raw: Mapping[str, Any] | None = None

    @property
    def read(self) -> Path:
        """`reads`, for a step that reads a file."""
        assert self.reads is not None
        return self.reads

    @property
    def trust(self) -> bool:
        """Whether files may run code of their own."""
        return self.source is not None and self.source.trust

    def prove(self, predictor: Predictor, what: str) -> None:
        """Raise ExportError unless the predictor answers the proofs as the source did, roughly.

        This is what tells one way of writing a file from another; the verdict on the file is the agreement's.
        """
        for inputs, want in self.proofs:
            got = predictor.predict(inputs)
            for name, array in want.items():
                _compare(name, array, got[name], what)


def _compare(name: str, want: Array, got: Array, what: str) -> None:
    if want.shape != got.shape:
        raise ExportError(f"{what} answers {name!r} in shape {list(got.shape)}, the source in {list(want.shape)}")
    if not is_float(dtype_name(want.dtype)):
        close = bool((want == got).all())
    else:
        wide = want.astype(np.complex128)
        spread = float(np.abs(wide).max(initial=0.0))
        close = bool(np.allclose(got.astype(np.complex128), wide, rtol=1e-3, atol=1e-3 * spread, equal_nan=True))
    if not close:
        raise ExportError(f"{what} predicts another {name!r} than the source")
