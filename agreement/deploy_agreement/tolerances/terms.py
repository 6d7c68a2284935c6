"""On which terms answers are judged: what follows from rounding, or what was measured or asked for in its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deploy_agreement.tolerances.limits import Tolerance, tolerance
from deploy_agreement.tolerances.rounding import Noise
from deploy_core.signature import Tensors


@dataclass(frozen=True)
class Terms:
    """How an answer is held against the wanted one; without anything, every tolerance follows from noise.

    `precision` is the dtype that a half-precision variant computes in; it may answer in it, too. `measured` tolerances take
    the place of the derived ones, for a quantised variant; `atol` and `rtol`, which a user asked for, that of both. With
    `nan_agrees` NaN is right where NaN is wanted.
    """

    precision: str = ""
    measured: Mapping[str, Tolerance] | None = None
    atol: float | None = None
    rtol: float | None = None
    nan_agrees: bool = False

    @property
    def asked(self) -> bool:
        """Whether a user said what is tolerated."""
        return self.atol is not None or self.rtol is not None

    def rounding(self, want: Tensors, noise: Noise) -> dict[str, Tolerance]:
        """Give the tolerance of each output that follows from rounding alone, or that was asked for."""
        return {
            name: tolerance(
                array,
                noise.values.get(name, 0.0),
                noise_origin=noise.origin,
                precision=self.precision,
                atol=self.atol,
                rtol=self.rtol,
            )
            for name, array in want.items()
        }

    def limits(self, want: Tensors, noise: Noise) -> dict[str, Tolerance]:
        """Give the tolerance of each output."""
        return self.instead_of(self.rounding(want, noise))

    def instead_of(self, rounding: Mapping[str, Tolerance]) -> dict[str, Tolerance]:
        """Give the tolerance of each output, where that of rounding is known."""
        return dict(rounding) | ({} if self.asked else dict(self.measured or {}))


DERIVED = Terms()
