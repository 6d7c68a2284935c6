"""What `deploy bench` was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy_core.signature import Tensors
from deploy_latency.load import Load
from deploy_toolkit.flows.access import USUAL, Access

SERVER = "embedded"
RATE = 100.0  # requests a second, where nothing is said: no server is too slow for it, and 10 s of it carry a p99


@dataclass(frozen=True)
class Request:
    """Whom to measure, with what, under which load, and what to say of it.

    `subjects` are stored models and endpoints. Each model is served by each of `servers`, and run by each of `runtimes`
    without any server; with neither, by the embedded server. Of a server, each of `transports` is measured, in its first
    dialect or in each of `dialects`; `binary` sends raw bytes where a dialect has the choice. `inputs` are the user's own
    instead of the golden ones. `access` is for the endpoints among the subjects. `load.seconds` is the time of each
    subject over all its `rounds` (0: as many as a comparison takes).
    """

    subjects: tuple[str, ...]
    load: Load
    servers: tuple[str, ...] = ()
    runtimes: tuple[str, ...] = ()
    transports: tuple[str, ...] = ("rest",)
    dialects: tuple[str, ...] = ()
    binary: bool = False
    batches: tuple[int, ...] = (1,)
    threads: tuple[int, ...] = (1,)
    options: Mapping[str, str] = field(default_factory=dict)
    inputs: Tensors | None = None
    access: Access = USUAL
    rounds: int = 0
    find_max: bool = False
    max_rate: float = 100_000.0
    slo: str = ""
    gate: str = ""
    claim: str = ""
    baseline: Path | None = None
    command: str = "deploy bench"
