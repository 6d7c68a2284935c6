"""How a contender is asked: over a wire by the load generator, or in a process that has nothing else to do."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from deploy_core.signature import Signature, Tensors
from deploy_dialects.tables import DIALECTS
from deploy_dialects.wire import HttpReply
from deploy_latency import measuring
from deploy_latency.load import Load, Target
from deploy_latency.measuring import Run
from deploy_latency.recording import Kept
from deploy_latency.report import Generator
from deploy_latency.workers import Progress
from deploy_toolkit.flows.bench.runtimes import Runtime

Hear = Callable[[Progress], None]


class Way(Protocol):
    """One way of asking."""

    def load(self, asked: Load) -> Load:
        """Give the load that this way really is under when that is asked for."""

    def measure(self, load: Load, on_progress: Hear) -> Run:
        """Ask under a load."""

    def decoded(self, kept: Kept, signature: Signature) -> Tensors:
        """Read an answer that was kept. Raises EndpointError for one that is none."""

    def generator(self, run: Run) -> Generator | None:
        """Say how whoever asked did; None where nobody sends anything."""


@dataclass(frozen=True)
class OverWire:
    """An endpoint, by the load generator."""

    target: Target

    def load(self, asked: Load) -> Load:
        """Give the very load."""
        return asked

    def measure(self, load: Load, on_progress: Hear) -> Run:
        """Send it the requests."""
        return measuring.measure(self.target, load, on_progress=on_progress)

    def decoded(self, kept: Kept, signature: Signature) -> Tensors:
        """Read it as the endpoint's dialect does."""
        endpoint = self.target.endpoint
        dialect = DIALECTS.load(f"{endpoint.dialect}+{endpoint.transport}")
        reply = HttpReply(200, kept.headers, kept.body) if endpoint.transport == "rest" else kept.body
        outputs: Tensors = dialect.decode(endpoint, signature, reply)
        return outputs

    def generator(self, run: Run) -> Generator | None:
        """Say how the load generator did."""
        return measuring.generator(run)


@dataclass(frozen=True)
class InProcess:
    """A file in its own runtime, one prediction after another: what it takes without any server."""

    runtime: Runtime

    def load(self, asked: Load) -> Load:
        """Give the closed loop of one that it is, whatever was asked for."""
        return replace(asked, schedule=None, concurrency=1)

    def measure(self, load: Load, on_progress: Hear) -> Run:
        """Predict as long as the load lasts; of the load nothing else counts."""
        return self.runtime.measure(load, on_progress)

    def decoded(self, kept: Kept, signature: Signature) -> Tensors:
        """Read it as our own process wrote it."""
        outputs: Tensors = pickle.loads(kept.body)
        return outputs

    def generator(self, run: Run) -> Generator | None:
        """Nothing was sent."""
        return None
