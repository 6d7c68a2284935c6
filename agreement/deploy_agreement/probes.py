"""Inputs that every predictor is asked, with the right answers to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from deploy_agreement.rounding import Noise
from deploy_core.signature import Tensors


@dataclass(frozen=True)
class Probe:
    """Named inputs, the reference's own answers, and how much these move by rounding alone.

    `sizes` are those of symbols that differ from the golden inputs. With `counts` false a difference is told, and no
    disagreement.
    """

    name: str  # golden, drawn, edges, given, or sizes: `height = 13`
    inputs: Tensors
    outputs: Tensors
    noise: Noise
    sizes: Mapping[str, int] = field(default_factory=dict)
    counts: bool = True
