"""What is tolerated, and within which bounds is looked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deploy_agreement.tolerances.limits import Tolerance

ROWS = 64


@dataclass(frozen=True)
class Bounds:
    """The tolerance of every output, and the dtype that a half-precision variant computes in.

    `rows` are the least and the greatest batch that may be asked for. A tolerance that was derived `grows` with answers
    that are greater than any to the golden inputs; one that was asked for does not.
    """

    limits: Mapping[str, Tolerance]
    precision: str = ""
    rows: tuple[int, int] = (1, ROWS)
    grows: bool = True
