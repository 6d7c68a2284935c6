"""What a planted fault is: plain data, and the ground that it is planted in."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from benchmarks.faults.ground import Ground

# Plants a fault, and gives what `deploy check` is to look at: the path of a file, a stored name, or the URL of an endpoint.
Plant = Callable[["Fault", Ground], AbstractContextManager[str]]


@dataclass(frozen=True)
class Fault:
    """One fault: of what `kind`, `where` it sits, in which `model`, who plants it.

    `named` is a pattern: a part of what the report says must match it, or else the culprit was not named. `inside` is one
    for the operator that `--localise` is to name, if there is one. `trust`: the file runs code of its own, which the user
    allows. `raw`: files of bytes are needed to see it.
    """

    name: str
    kind: str
    where: str
    model: str
    plant: Plant
    named: str
    inside: str = ""
    quick: bool = False
    trust: bool = False
    raw: bool = False
